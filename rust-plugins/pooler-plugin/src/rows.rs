//! A result that a plugin answers itself: columns, rows, command tag. Pure values.

use crate::decode::Format;
use crate::oid;

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    pub(crate) type_modifier: i32,
    pub(crate) type_size: i32,
    pub(crate) format: Format,
}

impl Column {
    /// A column whose values are given in text format.
    pub fn text(name: impl Into<String>, type_oid: u32) -> Self {
        Column {
            name: name.into(),
            type_oid,
            type_modifier: -1,
            type_size: oid::type_size(type_oid),
            format: Format::Text,
        }
    }

    /// A column whose values are given in binary format.
    pub fn binary(name: impl Into<String>, type_oid: u32) -> Self {
        Column { format: Format::Binary, ..Column::text(name, type_oid) }
    }

    /// Sets `pg_type.typlen`, for types that the SDK does not know: -1 (variable length) is what it assumes.
    #[must_use]
    pub fn type_size(mut self, type_size: i32) -> Self {
        self.type_size = type_size;
        self
    }

    /// Sets the type modifier; -1 when there is none.
    #[must_use]
    pub fn type_modifier(mut self, type_modifier: i32) -> Self {
        self.type_modifier = type_modifier;
        self
    }
}

/// A value of a result: NULL, text, or bytes in binary format.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// NULL.
    Null,
    /// PostgreSQL's text form, for columns in text format.
    Text(String),
    /// PostgreSQL's binary form, for columns in binary format.
    Binary(Vec<u8>),
}

impl Value {
    /// NULL.
    pub const fn null() -> Self {
        Value::Null
    }

    /// PostgreSQL's text form of the value.
    pub fn text(value: impl Into<String>) -> Self {
        Value::Text(value.into())
    }

    /// PostgreSQL's binary form of the value.
    pub fn binary(value: impl Into<Vec<u8>>) -> Self {
        Value::Binary(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::text(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::text(if value { "t" } else { "f" })
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

macro_rules! value_from_number {
    ($($type:ty),*) => { $(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Value::Text(value.to_string())
            }
        }
    )* };
}
value_from_number!(i16, i32, i64, u32, u64);

/// A result: columns, rows, and the command tag.
///
/// ```
/// use pooler_plugin::*;
/// let rows = Rows::new([Column::text("name", oid::TEXT), Column::text("calls", oid::INT8)])
///     .row(["audit".into(), 42_i64.into()])
///     .row(["other".into(), Value::null()]);
/// let answer = Output::intercept(rows);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) command_tag: Option<String>,
}

impl Rows {
    /// A result with these columns and no rows yet.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Rows { columns: columns.into_iter().collect(), rows: Vec::new(), command_tag: None }
    }

    /// The result of a statement that returns no rows: `Rows::command("SET")`.
    pub fn command(tag: impl Into<String>) -> Self {
        Rows { columns: Vec::new(), rows: Vec::new(), command_tag: Some(tag.into()) }
    }

    /// Adds a row, a value for each column.
    #[must_use]
    pub fn row(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.push(values);
        self
    }

    /// Adds a row, a value for each column.
    pub fn push(&mut self, values: impl IntoIterator<Item = Value>) {
        self.rows.push(values.into_iter().collect());
    }

    /// Sets the command tag; `SELECT <rows>` without it.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.command_tag = Some(tag.into());
        self
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The rows.
    pub fn rows(&self) -> &[Vec<Value>] {
        &self.rows
    }
}
