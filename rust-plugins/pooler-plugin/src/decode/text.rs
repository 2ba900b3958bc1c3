//! Text, as UTF-8.

use super::{Body, Decode, DecodeError, RawValue};
use crate::oid;

impl<'a> Decode<'a> for &'a str {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        let wanted = "text";
        let bytes = match (raw.body(wanted, &[oid::JSONB])?, raw.type_oid) {
            (Body::Text(bytes), _) => bytes,
            // jsonb_recv: a version, then the text
            (Body::Binary([1, rest @ ..]), oid::JSONB) => rest,
            (Body::Binary(_), oid::JSONB) => {
                return Err(DecodeError::Syntax { wanted, reason: "a jsonb of an unknown version" });
            }
            (Body::Binary(bytes), _) => bytes,
        };
        std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8 { wanted })
    }
}

impl<'a> Decode<'a> for String {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        <&str>::decode(raw).map(str::to_owned)
    }
}
