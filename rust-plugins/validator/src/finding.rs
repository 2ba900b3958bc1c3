//! What an examination of a statement's text found: refusals, and checks that wait for parameters and session.

use crate::config::{Required, Scalar, SessionValue};
use crate::seen::{Content, Seen};
use parse_tree::{Constant, TypeName};

#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) by: By,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    /// `None`: refused whatever the parameters are.
    pub(crate) check: Option<Check>,
}

/// Who objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Rule(usize),
    /// What protects rules about tables from being evaded; holds for whom one of these rules holds.
    Guard,
}

/// Passes when the statement may run.
#[derive(Debug)]
pub(crate) enum Check {
    /// One of the alternatives must hold: all of its values are the required one.
    Equals { required: Required, alternatives: Vec<Vec<Value>> },
    /// The parameter must be JSON that fits the rule's schema.
    Json { parameter: usize, cast_to_text: bool },
}

/// A value that outlives the parse tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Integer(i64),
    Text(String),
    Parameter(usize),
}

impl Value {
    /// `None` for what cannot be compared: expressions, NULL, casts that may change the value.
    pub(crate) fn of(seen: &Seen<'_>, required: &Required) -> Option<Self> {
        let number = matches!(required, Required::Constant(Scalar::Integer(_)));
        if !seen.casts.iter().all(|cast| keeps_value(cast, number)) {
            return None;
        }
        match seen.content {
            Content::Constant(Constant::Integer(number)) => Some(Value::Integer(number)),
            Content::Constant(Constant::Number(text) | Constant::Text(text)) => Some(Value::Text(text.to_owned())),
            Content::Parameter(index) => Some(Value::Parameter(index)),
            _ => None,
        }
    }
}

fn keeps_value(cast: &TypeName<'_>, number: bool) -> bool {
    let plain = !cast.modified && !cast.array && cast.name.schema.is_none_or(|schema| schema == "pg_catalog");
    let fits = match cast.name.name {
        "int2" | "int4" | "int8" | "numeric" => number,
        "text" | "varchar" => true,
        "uuid" => !number,
        _ => false,
    };
    plain && fits
}

/// What the session says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionValues<'a> {
    pub(crate) user: &'a str,
    pub(crate) database: &'a str,
}

impl SessionValues<'_> {
    pub(crate) fn get(&self, value: SessionValue) -> &str {
        match value {
            SessionValue::User => self.user,
            SessionValue::Database => self.database,
        }
    }
}
