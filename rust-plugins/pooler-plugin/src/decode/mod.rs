//! Reading PostgreSQL values, text and binary format alike. Pure: bytes in, values out; no frames, no server.
//! Forms that depend on a server's settings (DateStyle, TimeZone) are refused, not guessed.

mod array;
mod bytes;
mod calendar;
mod datetime;
mod numbers;
mod numeric;
mod text;
mod uuid;
mod vector;

pub use array::{Array, Dimension};
pub use datetime::{Date, Time, Timestamp, TimestampTz};
pub use numeric::Decimal;
pub use uuid::Uuid;
pub use vector::Vector;

use crate::oid;
use std::fmt;

/// The format of a value's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// What PostgreSQL prints and psql shows.
    #[default]
    Text,
    /// The type's own binary form, big-endian.
    Binary,
}

/// A value that is not decoded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawValue<'a> {
    /// The bytes; `None` is NULL.
    pub bytes: Option<&'a [u8]>,
    /// Their format.
    pub format: Format,
    /// The type's OID, 0 when nobody has said it.
    pub type_oid: u32,
}

impl<'a> RawValue<'a> {
    /// A value in text format, such as a literal of a statement; type OID 0 when that is open.
    pub const fn text(value: &'a str, type_oid: u32) -> Self {
        RawValue { bytes: Some(value.as_bytes()), format: Format::Text, type_oid }
    }

    /// A value in binary format.
    pub const fn binary(value: &'a [u8], type_oid: u32) -> Self {
        RawValue { bytes: Some(value), format: Format::Binary, type_oid }
    }

    /// NULL.
    pub const fn null() -> Self {
        RawValue { bytes: None, format: Format::Text, type_oid: 0 }
    }

    /// Reads the value.
    ///
    /// # Errors
    /// When it is NULL and `T` is no `Option`, is of another type, or is no value of this type.
    pub fn decode<T: Decode<'a>>(&self) -> Result<T, DecodeError> {
        T::decode(*self)
    }

    /// The bytes, sorted by how they are to be read. In binary format only the types of `accepted` are taken,
    /// those that nobody has named, and text, whose binary form is its text form.
    fn body(self, wanted: &'static str, accepted: &[u32]) -> Result<Body<'a>, DecodeError> {
        let bytes = self.bytes.ok_or(DecodeError::Null { wanted })?;
        match self.format {
            Format::Text => Ok(Body::Text(bytes)),
            Format::Binary if self.type_oid == 0 || accepted.contains(&self.type_oid) => Ok(Body::Binary(bytes)),
            Format::Binary if oid::is_text(self.type_oid) => Ok(Body::Text(bytes)),
            Format::Binary => Err(DecodeError::Type { wanted, type_oid: self.type_oid }),
        }
    }
}

enum Body<'a> {
    Text(&'a [u8]),
    Binary(&'a [u8]),
}

/// A type that can be read from a PostgreSQL value.
pub trait Decode<'a>: Sized {
    /// Reads the value, whichever format it is in.
    ///
    /// # Errors
    /// When it is NULL, of another type, or no value of this type.
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError>;
}

impl<'a, T: Decode<'a>> Decode<'a> for Option<T> {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        match raw.bytes {
            None => Ok(None),
            Some(_) => T::decode(raw).map(Some),
        }
    }
}

/// Why a value could not be read. The value itself is left out: it may be a secret, and this may be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is NULL.
    Null {
        /// What was asked for.
        wanted: &'static str,
    },
    /// It is in binary format and of a type that cannot be read so.
    Type {
        /// What was asked for.
        wanted: &'static str,
        /// The type it has.
        type_oid: u32,
    },
    /// It is in binary format and has a length that the type cannot have.
    Length {
        /// What was asked for.
        wanted: &'static str,
        /// The length it has.
        actual: usize,
    },
    /// It does not follow the type's syntax.
    Syntax {
        /// What was asked for.
        wanted: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// It is a value of the kind, but too large or too small for what was asked for.
    OutOfRange {
        /// What was asked for.
        wanted: &'static str,
    },
    /// It is text, but not UTF-8.
    NotUtf8 {
        /// What was asked for.
        wanted: &'static str,
    },
    /// An element of an array could not be read.
    Element {
        /// Which one, 0-based, in storage order.
        index: usize,
        /// Why.
        source: Box<DecodeError>,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Null { wanted } => write!(f, "NULL where a value of type {wanted} was expected"),
            DecodeError::Type { wanted, type_oid } => {
                write!(f, "a binary {} cannot be read as {wanted}", oid::name(*type_oid))
            }
            DecodeError::Length { wanted, actual } => {
                write!(f, "{actual} bytes are no binary {wanted}")
            }
            DecodeError::Syntax { wanted, reason } => write!(f, "invalid {wanted}: {reason}"),
            DecodeError::OutOfRange { wanted } => write!(f, "value out of range for type {wanted}"),
            DecodeError::NotUtf8 { wanted } => write!(f, "invalid {wanted}: not UTF-8"),
            DecodeError::Element { index, source } => write!(f, "array element {index}: {source}"),
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DecodeError::Element { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// White space as PostgreSQL's input functions skip it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes {
        if !is_space(*first) {
            break;
        }
        bytes = rest;
    }
    while let [rest @ .., last] = bytes {
        if !is_space(*last) {
            break;
        }
        bytes = rest;
    }
    bytes
}

/// Text of which only ASCII can be valid.
fn ascii<'a>(wanted: &'static str, bytes: &'a [u8]) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(trim(bytes)).map_err(|_| DecodeError::NotUtf8 { wanted })
}

/// Exactly `N` bytes, or an error that says how many there were.
fn exactly<const N: usize>(wanted: &'static str, bytes: &[u8]) -> Result<[u8; N], DecodeError> {
    <[u8; N]>::try_from(bytes).map_err(|_| DecodeError::Length { wanted, actual: bytes.len() })
}

/// Reads big-endian pieces off the front of a binary value.
struct Reader<'a> {
    wanted: &'static str,
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let short = DecodeError::Syntax { wanted: self.wanted, reason: "the binary value ends too early" };
        let (head, rest) = self.bytes.split_at_checked(length).ok_or(short)?;
        self.bytes = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let wanted = self.wanted;
        exactly(wanted, self.take(N)?)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    fn end(self) -> Result<(), DecodeError> {
        match self.bytes {
            [] => Ok(()),
            _ => Err(DecodeError::Syntax { wanted: self.wanted, reason: "bytes follow the binary value" }),
        }
    }
}
