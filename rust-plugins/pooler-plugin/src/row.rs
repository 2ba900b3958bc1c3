//! A row of a result on its way to the client: what `pooler_result_row` is told, and what it may answer.

use crate::client::{session, text};
use crate::decode::{Decode, DecodeError, Format, RawValue};
use crate::error::Error;
use crate::frame::{BadFrame, Frame, Record, Records, first_size};
use crate::oid;
use crate::rows::Value;
use crate::session::Session;
use crate::sys;
use std::borrow::Cow;
use std::mem::offset_of;

/// One row, with its columns.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    record: Record<'a>,
    session: Record<'a>,
    columns: Records<'a>,
    values: Records<'a>,
}

impl<'a> Row<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, BadFrame> {
        let frame = Frame(bytes);
        let record = frame.header(first_size::<sys::RowInput>())?;
        let session = session(frame, record.u32(offset_of!(sys::RowInput, session)))?;
        let columns = record.array(offset_of!(sys::RowInput, columns), first_size::<sys::Column>())?;
        let values = record.array(offset_of!(sys::RowInput, values), first_size::<sys::Value>())?;
        if columns.len() != values.len() {
            return Err(BadFrame("a row has another number of values than of columns"));
        }
        for value in values.iter() {
            let bytes = value.slice(offset_of!(sys::Value, value))?;
            if bytes.is_none() && !is_null(value) {
                return Err(BadFrame("a value is absent and not NULL"));
            }
        }
        Ok(Row { record, session, columns, values })
    }

    /// Who gets it.
    pub fn session(&self) -> Session<'a> {
        Session::new(self.session)
    }

    /// [`Input::query_id`](crate::Input::query_id) of the question whose answer asked for the rows.
    pub fn query_id(&self) -> u64 {
        self.record.u64(offset_of!(sys::RowInput, query_id))
    }

    /// The statement that the question was about.
    pub fn statement_id(&self) -> u64 {
        self.record.u64(offset_of!(sys::RowInput, statement_id))
    }

    /// What [`Output::with_rows`](crate::Output::with_rows) gave.
    pub fn cookie(&self) -> u64 {
        self.record.u64(offset_of!(sys::RowInput, cookie))
    }

    /// Its number, 0-based.
    pub fn number(&self) -> u64 {
        self.record.u64(offset_of!(sys::RowInput, row))
    }

    /// How many columns it has.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether it has no columns.
    pub fn is_empty(&self) -> bool {
        self.columns.len() == 0
    }

    /// The name of a column. Names need not be unique.
    pub fn name(&self, index: usize) -> Option<Cow<'a, str>> {
        text(self.columns.get(index)?, offset_of!(sys::Column, name))
    }

    /// The first column of a name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.bytes(offset_of!(sys::Column, name)) == Some(name.as_bytes()))
    }

    /// A value with its format and the OID of its type; `None` when there is no such column.
    pub fn raw(&self, index: usize) -> Option<RawValue<'a>> {
        let (column, value) = (self.columns.get(index)?, self.values.get(index)?);
        let bytes = if is_null(value) { None } else { value.bytes(offset_of!(sys::Value, value)) };
        let format = match column.u32(offset_of!(sys::Column, format)) {
            0 => Format::Text,
            _ => Format::Binary,
        };
        Some(RawValue { bytes, format, type_oid: column.u32(offset_of!(sys::Column, type_oid)) })
    }

    /// Reads a value, whichever format it is in. `Option<T>` takes NULL as `None`.
    ///
    /// # Errors
    /// When there is no such column, or as [`Parameter::decode`](crate::Parameter::decode).
    pub fn decode<T: Decode<'a>>(&self, index: usize) -> Result<T, DecodeError> {
        let nothing = RawValue { bytes: None, format: Format::Text, type_oid: 0 };
        self.raw(index).unwrap_or(nothing).decode()
    }

    /// The row with other values; those that are not set stay as they are.
    pub fn change(&self) -> RowChange<'a> {
        RowChange { row: *self, values: vec![None; self.len()], error: None }
    }
}

fn is_null(value: Record<'_>) -> bool {
    value.u32(offset_of!(sys::Value, flags)) & sys::VALUE_NULL != 0
}

/// A row with some of its values replaced.
#[derive(Debug, Clone)]
pub struct RowChange<'a> {
    row: Row<'a>,
    values: Vec<Option<Value>>,
    error: Option<String>,
}

impl RowChange<'_> {
    /// Replaces a value. It must be in the column's format: text for text, binary for binary; for types whose binary
    /// form is their text, such as `text` and `varchar`, text does for both.
    #[must_use]
    pub fn set(mut self, index: usize, value: impl Into<Value>) -> Self {
        let value = value.into();
        match self.row.raw(index) {
            None => self.error = Some(format!("the plugin changed column {index} of a row with {}", self.row.len())),
            Some(RawValue { format, type_oid, .. }) => {
                let fits = match (&value, format) {
                    (Value::Null, _) | (Value::Text(_), Format::Text) | (Value::Binary(_), Format::Binary) => true,
                    (Value::Text(_), Format::Binary) => oid::is_text(type_oid),
                    (Value::Binary(_), Format::Text) => false,
                };
                if !fits {
                    self.error = Some(format!(
                        "the plugin changed column {index} to a value that is not in its format, {format:?} of type {type_oid}"
                    ));
                }
                self.values[index] = Some(value);
            }
        }
        self
    }
}

/// A plugin's answer to a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RowAnswer {
    /// The client gets it as it is.
    #[default]
    Keep,
    /// The client gets these in its place; `None` stays as it is.
    Change(Vec<Option<Value>>),
    /// The client does not get it.
    Drop,
    /// The plugin could not do its work: the statement fails, and the client gets no row any more.
    Failed(String),
}

impl RowAnswer {
    /// The client gets it as it is.
    pub const fn keep() -> Self {
        RowAnswer::Keep
    }

    /// The client does not get it.
    pub const fn drop() -> Self {
        RowAnswer::Drop
    }

    /// Say that the plugin could not do its work.
    pub fn failed(message: impl Into<String>) -> Self {
        RowAnswer::Failed(message.into())
    }
}

impl From<RowChange<'_>> for RowAnswer {
    fn from(change: RowChange<'_>) -> Self {
        match change.error {
            Some(error) => RowAnswer::Failed(error),
            None => RowAnswer::Change(change.values),
        }
    }
}

impl From<Error> for RowAnswer {
    fn from(error: Error) -> Self {
        RowAnswer::Failed(error.to_string())
    }
}

impl<A: Into<RowAnswer>, E: Into<RowAnswer>> From<Result<A, E>> for RowAnswer {
    fn from(result: Result<A, E>) -> Self {
        match result {
            Ok(answer) => answer.into(),
            Err(error) => error.into(),
        }
    }
}
