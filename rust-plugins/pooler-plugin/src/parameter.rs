//! One parameter of a statement, as the client sent it.

use crate::decode::{Decode, DecodeError, Format, RawValue};
use crate::frame::{BadFrame, Record};
use crate::sys;
use std::mem::offset_of;

/// A parameter: NULL, or bytes in text or binary format, with the type's OID where the client gave it.
#[derive(Debug, Clone, Copy)]
pub struct Parameter<'a> {
    record: Record<'a>,
}

impl<'a> Parameter<'a> {
    pub(crate) fn new(record: Record<'a>) -> Self {
        Parameter { record }
    }

    /// Refuses what could be mistaken for another value.
    pub(crate) fn check(record: Record<'_>) -> Result<(), BadFrame> {
        let value = record.slice(offset_of!(sys::Parameter, value))?;
        let null = record.u32(offset_of!(sys::Parameter, flags)) & sys::PARAMETER_NULL != 0;
        if value.is_none() && !null {
            return Err(BadFrame("a parameter has no value and is not NULL"));
        }
        if record.u32(offset_of!(sys::Parameter, format)) > 1 {
            return Err(BadFrame("a parameter is in neither text nor binary format"));
        }
        Ok(())
    }

    /// Whether it is NULL, which is not the empty string.
    pub fn is_null(&self) -> bool {
        self.record.u32(offset_of!(sys::Parameter, flags)) & sys::PARAMETER_NULL != 0
    }

    /// Whether it is a literal of a simple query: see [`capability::LITERALS`](crate::capability::LITERALS).
    pub fn is_literal(&self) -> bool {
        self.record.u32(offset_of!(sys::Parameter, flags)) & sys::PARAMETER_LITERAL != 0
    }

    /// The format of the bytes.
    pub fn format(&self) -> Format {
        match self.record.u32(offset_of!(sys::Parameter, format)) {
            0 => Format::Text,
            _ => Format::Binary,
        }
    }

    /// The OID of its type; 0 when the client left it to the server. Names for the common ones are in [`oid`](crate::oid).
    pub fn type_oid(&self) -> u32 {
        self.record.u32(offset_of!(sys::Parameter, type_oid))
    }

    /// The value in text format; `None` when it is NULL, in binary format, or not UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        match self.format() {
            Format::Text => std::str::from_utf8(self.as_bytes()?).ok(),
            Format::Binary => None,
        }
    }

    /// The bytes as they are, in either format; `None` when it is NULL.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self.is_null() {
            true => None,
            false => self.record.bytes(offset_of!(sys::Parameter, value)),
        }
    }

    /// Reads the value, whichever format it is in. `Option<T>` takes NULL as `None`.
    ///
    /// ```
    /// # use pooler_plugin::*;
    /// fn key(query: &Query<'_>) -> Result<Option<i64>, DecodeError> {
    ///     query.parameter(0).map_or(Ok(None), |parameter| parameter.decode())
    /// }
    /// ```
    ///
    /// # Errors
    /// When it is NULL and `T` is no `Option`, is of another type, or is no value of this type.
    pub fn decode<T: Decode<'a>>(&self) -> Result<T, DecodeError> {
        self.raw().decode()
    }

    /// Like [`Parameter::decode`], with the type to assume where the client left it to the server.
    ///
    /// # Errors
    /// As [`Parameter::decode`].
    pub fn decode_as<T: Decode<'a>>(&self, type_oid: u32) -> Result<T, DecodeError> {
        let raw = self.raw();
        match raw.type_oid {
            0 => RawValue { type_oid, ..raw }.decode(),
            _ => raw.decode(),
        }
    }

    /// Bytes, format and type together.
    pub fn raw(&self) -> RawValue<'a> {
        RawValue { bytes: self.as_bytes(), format: self.format(), type_oid: self.type_oid() }
    }
}
