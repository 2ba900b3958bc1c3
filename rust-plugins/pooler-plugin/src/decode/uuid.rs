//! `uuid`.

use super::{Body, Decode, DecodeError, RawValue, exactly};
use crate::oid;
use std::fmt;

const WANTED: &str = "uuid";

/// A UUID: 16 bytes, printed as PostgreSQL does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl<'a> Decode<'a> for Uuid {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        match raw.body(WANTED, &[oid::UUID])? {
            Body::Binary(bytes) => exactly(WANTED, bytes).map(Uuid),
            Body::Text(text) => parse(text),
        }
    }
}

/// As uuid_in: 32 hex digits of any case, a hyphen allowed after every four of them, braces allowed around all.
fn parse(text: &[u8]) -> Result<Uuid, DecodeError> {
    let syntax = DecodeError::Syntax { wanted: WANTED, reason: "not 32 hexadecimal digits" };
    let mut rest = match text {
        [b'{', inner @ .., b'}'] => inner,
        [b'{', ..] => return Err(syntax),
        plain => plain,
    };
    let mut bytes = [0u8; 16];
    for (index, byte) in bytes.iter_mut().enumerate() {
        let [high, low, after @ ..] = rest else { return Err(syntax) };
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(syntax.clone());
        *byte = (digit(*high)? * 16 + digit(*low)?) as u8;
        rest = match after {
            [b'-', after_hyphen @ ..] if index % 2 == 1 && index < 15 => after_hyphen,
            after => after,
        };
    }
    match rest {
        [] => Ok(Uuid(bytes)),
        _ => Err(syntax),
    }
}
