//! `bytea`, in hex, escape and binary form.

use super::{Body, Decode, DecodeError, RawValue};
use crate::oid;

const WANTED: &str = "bytea";

impl<'a> Decode<'a> for Vec<u8> {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        match raw.body(WANTED, &[oid::BYTEA])? {
            Body::Binary(bytes) => Ok(bytes.to_vec()),
            Body::Text([b'\\', b'x', hex @ ..]) => parse_hex(hex),
            Body::Text(text) => parse_escape(text),
        }
    }
}

/// Pairs of hex digits, white space allowed between pairs.
fn parse_hex(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let syntax = |reason| DecodeError::Syntax { wanted: WANTED, reason };
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut rest = text;
    loop {
        match rest {
            [] => return Ok(bytes),
            [b' ' | b'\n' | b'\t' | b'\r', after @ ..] => rest = after,
            [high, low, after @ ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(syntax("not a hexadecimal digit"));
                bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
                rest = after;
            }
            [_] => return Err(syntax("an odd number of hexadecimal digits")),
        }
    }
}

/// The old form: bytes as they are, `\\` for a backslash, `\ooo` for any byte in octal.
fn parse_escape(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', after @ ..] => {
                bytes.push(b'\\');
                rest = after;
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                bytes.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                rest = after;
            }
            [b'\\', ..] => {
                return Err(DecodeError::Syntax { wanted: WANTED, reason: "a backslash that escapes nothing" });
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
}
