//! Integers, booleans, floating-point numbers.

use super::{Body, Decimal, Decode, DecodeError, RawValue, ascii, exactly};
use crate::oid;

/// Any integer type, and numerics that are whole, as a bigint.
fn bigint(raw: RawValue<'_>, wanted: &'static str) -> Result<i64, DecodeError> {
    let accepted = [oid::INT2, oid::INT4, oid::INT8, oid::OID, oid::NUMERIC];
    match (raw.body(wanted, &accepted)?, raw.type_oid) {
        (_, oid::NUMERIC) => Decimal::decode(raw)?.whole(wanted),
        (Body::Text(text), _) => parse_integer(ascii(wanted, text)?, wanted),
        (Body::Binary(bytes), oid::INT2) => exactly(wanted, bytes).map(|b| i16::from_be_bytes(b).into()),
        (Body::Binary(bytes), oid::INT4) => exactly(wanted, bytes).map(|b| i32::from_be_bytes(b).into()),
        (Body::Binary(bytes), oid::OID) => exactly(wanted, bytes).map(|b| u32::from_be_bytes(b).into()),
        (Body::Binary(bytes), oid::INT8) => exactly(wanted, bytes).map(i64::from_be_bytes),
        (Body::Binary(bytes), _) => match bytes.len() {
            2 => exactly(wanted, bytes).map(|b| i16::from_be_bytes(b).into()),
            4 => exactly(wanted, bytes).map(|b| i32::from_be_bytes(b).into()),
            _ => exactly(wanted, bytes).map(i64::from_be_bytes),
        },
    }
}

/// What int2in, int4in and int8in take: a sign, then decimal digits, or 0x, 0o, 0b; `_` between digits.
fn parse_integer(text: &str, wanted: &'static str) -> Result<i64, DecodeError> {
    let (negative, magnitude) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = parse_magnitude(magnitude, wanted)?;
    let value = if negative { -i128::from(magnitude) } else { i128::from(magnitude) };
    i64::try_from(value).map_err(|_| DecodeError::OutOfRange { wanted })
}

/// An unsigned integer in decimal, or with a 0x, 0o or 0b prefix.
pub(super) fn parse_magnitude(text: &str, wanted: &'static str) -> Result<u64, DecodeError> {
    let syntax = DecodeError::Syntax { wanted, reason: "not an integer" };
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', b'o' | b'O', rest @ ..] => (8, rest),
        [b'0', b'b' | b'B', rest @ ..] => (2, rest),
        rest => (10, rest),
    };
    let mut value: u64 = 0;
    let mut overflow = false;
    let mut after_digit = radix != 10; // `0x_1` is fine, `_1` is not
    for &byte in digits {
        if byte == b'_' {
            if !after_digit {
                return Err(syntax);
            }
            after_digit = false;
            continue;
        }
        let digit = char::from(byte).to_digit(radix).ok_or(syntax.clone())?;
        after_digit = true;
        match value.checked_mul(radix.into()).and_then(|v| v.checked_add(digit.into())) {
            Some(next) => value = next,
            None => overflow = true,
        }
    }
    if digits.is_empty() || !after_digit {
        return Err(syntax);
    }
    if overflow {
        return Err(DecodeError::OutOfRange { wanted });
    }
    Ok(value)
}

macro_rules! decode_integer {
    ($($type:ty, $wanted:literal);* $(;)?) => { $(
        impl<'a> Decode<'a> for $type {
            fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
                let value = bigint(raw, $wanted)?;
                Self::try_from(value).map_err(|_| DecodeError::OutOfRange { wanted: $wanted })
            }
        }
    )* };
}
decode_integer! { i16, "smallint"; i32, "integer"; i64, "bigint"; u32, "oid"; }

impl<'a> Decode<'a> for bool {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        let wanted = "boolean";
        match raw.body(wanted, &[oid::BOOL])? {
            Body::Binary(bytes) => exactly(wanted, bytes).map(|[byte]| byte != 0),
            Body::Text(text) => {
                let text = ascii(wanted, text)?.to_ascii_lowercase();
                // Every prefix that is not ambiguous, as parse_bool has it: "o" could be on or off.
                let is = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
                if is("true", 1) || is("yes", 1) || is("on", 2) || text == "1" {
                    Ok(true)
                } else if is("false", 1) || is("no", 1) || is("off", 2) || text == "0" {
                    Ok(false)
                } else {
                    Err(DecodeError::Syntax { wanted, reason: "neither true nor false" })
                }
            }
        }
    }
}

impl<'a> Decode<'a> for f64 {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        let wanted = "double precision";
        match (raw.body(wanted, &[oid::FLOAT8, oid::FLOAT4])?, raw.type_oid) {
            (Body::Text(text), _) => parse_float(ascii(wanted, text)?, wanted),
            (Body::Binary(bytes), oid::FLOAT4) => exactly(wanted, bytes).map(|b| f32::from_be_bytes(b).into()),
            (Body::Binary(bytes), 0) if bytes.len() == 4 => {
                exactly(wanted, bytes).map(|b| f32::from_be_bytes(b).into())
            }
            (Body::Binary(bytes), _) => exactly(wanted, bytes).map(f64::from_be_bytes),
        }
    }
}

impl<'a> Decode<'a> for f32 {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        let wanted = "real";
        match raw.body(wanted, &[oid::FLOAT4])? {
            Body::Text(text) => parse_float(ascii(wanted, text)?, wanted),
            Body::Binary(bytes) => exactly(wanted, bytes).map(f32::from_be_bytes),
        }
    }
}

pub(super) trait Float: std::str::FromStr + Copy {
    fn is_infinite(self) -> bool;
    fn is_zero(self) -> bool;
}

impl Float for f32 {
    fn is_infinite(self) -> bool {
        f32::is_infinite(self)
    }
    fn is_zero(self) -> bool {
        self == 0.0
    }
}

impl Float for f64 {
    fn is_infinite(self) -> bool {
        f64::is_infinite(self)
    }
    fn is_zero(self) -> bool {
        self == 0.0
    }
}

/// Like PostgreSQL, refuses numbers that would become infinite or zero.
pub(super) fn parse_float<F: Float>(text: &str, wanted: &'static str) -> Result<F, DecodeError> {
    let value: F = text.parse().map_err(|_| DecodeError::Syntax { wanted, reason: "not a number" })?;
    let says_infinite = text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'i'));
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let says_nonzero = mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    if (value.is_infinite() && !says_infinite) || (value.is_zero() && says_nonzero) {
        return Err(DecodeError::OutOfRange { wanted });
    }
    Ok(value)
}
