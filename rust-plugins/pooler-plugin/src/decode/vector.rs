//! pgvector's `vector`. Its OID differs between databases, so any type that is not built in may be one.

use super::numbers::parse_float;
use super::{Body, Decode, DecodeError, RawValue, Reader, ascii};
use crate::oid;

const WANTED: &str = "vector";
const MAX_DIMENSIONS: usize = 16_000;

/// A vector of pgvector: 1 to 16,000 finite numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector(pub Vec<f32>);

impl<'a> Decode<'a> for Vector {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        let own = if oid::is_built_in(raw.type_oid) { 0 } else { raw.type_oid };
        let numbers = match raw.body(WANTED, if own == 0 { &[] } else { std::slice::from_ref(&own) })? {
            Body::Text(text) => parse(ascii(WANTED, text)?)?,
            Body::Binary(bytes) => receive(bytes)?,
        };
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(DecodeError::Syntax { wanted: WANTED, reason: "NaN and infinity are not allowed" });
        }
        Ok(Vector(numbers))
    }
}

/// `[1,2.5,-3e2]`
fn parse(text: &str) -> Result<Vec<f32>, DecodeError> {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or(DecodeError::Syntax { wanted: WANTED, reason: "not in square brackets" })?;
    let mut numbers = Vec::new();
    for number in inner.split(',') {
        if numbers.len() == MAX_DIMENSIONS {
            return Err(DecodeError::OutOfRange { wanted: WANTED });
        }
        numbers.push(parse_number(ascii(WANTED, number.as_bytes())?)?);
    }
    Ok(numbers)
}

/// What is too small for a float is 0 to pgvector, which only minds what is too large. It also takes what strtof() takes beyond decimals
/// (`0x10`), which nothing writes; here that is no number.
fn parse_number(text: &str) -> Result<f32, DecodeError> {
    match parse_float(text, WANTED) {
        Err(DecodeError::OutOfRange { wanted }) => {
            text.parse().ok().filter(|number: &f32| number.is_finite()).ok_or(DecodeError::OutOfRange { wanted })
        }
        other => other,
    }
}

/// vector_recv: the number of dimensions, 16 unused bits, the numbers.
fn receive(bytes: &[u8]) -> Result<Vec<f32>, DecodeError> {
    let mut reader = Reader { wanted: WANTED, bytes };
    let dimensions = reader.i16()?;
    if reader.i16()? != 0 {
        return Err(DecodeError::Syntax { wanted: WANTED, reason: "the reserved field is not 0" });
    }
    let dimensions = usize::try_from(dimensions).unwrap_or(0);
    if dimensions == 0 || dimensions > MAX_DIMENSIONS {
        return Err(DecodeError::OutOfRange { wanted: WANTED });
    }
    let mut numbers = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        numbers.push(f32::from_be_bytes(reader.array()?));
    }
    reader.end()?;
    Ok(numbers)
}
