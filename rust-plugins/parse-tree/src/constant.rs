//! Constants, type names and the options of utility statements.

use crate::name::Name;
use crate::node::{Fields, Node};
use serde_json::Value;

/// A literal of the statement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constant<'a> {
    Null,
    Integer(i64),
    /// A number that is no 32-bit integer, as it was written.
    Number(&'a str),
    Boolean(bool),
    Text(&'a str),
    /// B'…' or X'…'.
    Bits(&'a str),
}

/// Reads an A_Const; `None` for any other node.
pub fn constant(value: &Value) -> Option<Constant<'_>> {
    let fields = Node::of_kind(value, "A_Const")?;
    if fields.flag("isnull") {
        return Some(Constant::Null);
    }
    // The value is a bare struct of its own, empty for 0, false and the empty string.
    let (kind, value) = fields.iter().find(|(field, _)| *field != "location")?;
    let value = Fields::of(value)?;
    match kind {
        "ival" => Some(Constant::Integer(value.number("ival"))),
        "fval" => Some(Constant::Number(value.text("fval"))),
        "boolval" => Some(Constant::Boolean(value.flag("boolval"))),
        "sval" => Some(Constant::Text(value.text("sval"))),
        "bsval" => Some(Constant::Bits(value.text("bsval"))),
        _ => None,
    }
}

/// The type of a cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeName<'a> {
    pub name: Name<'a>,
    /// `varchar(3)`: the value may change on its way into the type.
    pub modified: bool,
    pub array: bool,
}

impl<'a> TypeName<'a> {
    pub fn of_fields(fields: Fields<'a>) -> Option<Self> {
        Some(TypeName {
            name: Name::of(fields.list("names"))?,
            modified: !fields.list("typmods").is_empty(),
            array: !fields.list("arrayBounds").is_empty(),
        })
    }
}

/// The value of a Boolean option such as `EXPLAIN (ANALYZE false)`, as PostgreSQL reads it: nothing means true. `None` for
/// what PostgreSQL would refuse.
pub fn boolean_option(option: Fields<'_>) -> Option<bool> {
    let Some(value) = option.get("arg") else { return Some(true) };
    let node = Node::of(value)?;
    match node.kind {
        "Integer" => match node.fields.number("ival") {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        "Boolean" => Some(node.fields.flag("boolval")),
        "String" => match node.fields.text("sval").to_ascii_lowercase().as_str() {
            "true" | "on" => Some(true),
            "false" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn constants_of_every_kind_are_read() {
        let read = |value: Value| constant(&json!({"A_Const": value})).map(|constant| format!("{constant:?}"));
        assert_eq!(read(json!({"isnull": true, "location": 7})), Some("Null".into()));
        assert_eq!(read(json!({"ival": {"ival": 5}, "location": 7})), Some("Integer(5)".into()));
        assert_eq!(read(json!({"ival": {}})), Some("Integer(0)".into()));
        assert_eq!(read(json!({"fval": {"fval": "1.5"}})), Some("Number(\"1.5\")".into()));
        assert_eq!(read(json!({"boolval": {}})), Some("Boolean(false)".into()));
        assert_eq!(read(json!({"sval": {}})), Some("Text(\"\")".into()));
        assert_eq!(read(json!({"bsval": {"bsval": "x1f"}})), Some("Bits(\"x1f\")".into()));
        assert_eq!(read(json!({})), None);
        assert_eq!(constant(&json!({"ParamRef": {"number": 1}})), None);
    }

    #[test]
    fn boolean_options_read_as_postgresql_reads_them() {
        let read = |arg: Value| boolean_option(Fields::of(&json!({"defname": "analyze", "arg": arg})).unwrap());
        assert_eq!(boolean_option(Fields::of(&json!({"defname": "analyze"})).unwrap()), Some(true));
        assert_eq!(read(json!({"String": {"sval": "off"}})), Some(false));
        assert_eq!(read(json!({"String": {"sval": "TRUE"}})), Some(true));
        assert_eq!(read(json!({"Integer": {}})), Some(false));
        assert_eq!(read(json!({"Integer": {"ival": 1}})), Some(true));
        assert_eq!(read(json!({"Boolean": {}})), Some(false));
        assert_eq!(read(json!({"String": {"sval": "perhaps"}})), None);
    }
}
