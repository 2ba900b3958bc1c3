//! What a client is told when a statement cannot go to one shard: SQLSTATE, message, detail, hint, in PostgreSQL's manner.
//! Knows words only; when they are said is decided by the analysis and the plan.

use crate::config::Table;
use crate::source::Failure;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub sqlstate: &'static str,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

const FEATURE_NOT_SUPPORTED: &str = "0A000";
const STATEMENT_TOO_COMPLEX: &str = "54001";
const SYNTAX_ERROR: &str = "42601";

/// What a statement does with a table whose key it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It reads or changes rows that are already there.
    Rows,
    Insert,
    Copy,
    /// DDL, TRUNCATE, LOCK, VACUUM: it means the whole table.
    Table,
}

impl Refusal {
    pub fn missing_key(table: &Table, reason: &str, used: Use) -> Self {
        let (name, column) = (&table.name, &table.column);
        let hint = match used {
            Use::Rows => format!(
                "Add a condition such as {}.{column} = $1 (a literal, a parameter, or a column that is joined to one), or set on_missing_key = \"first\" for this plugin.",
                table.relation()
            ),
            Use::Insert => format!(
                "Name {column} in the column list of the INSERT and give it a literal or a parameter in every row."
            ),
            Use::Copy => {
                "Run the COPY on each shard, connected to it directly, with the rows that belong there; or use INSERT."
                    .to_owned()
            }
            Use::Table => "Run it on every shard, connected to it directly.".to_owned(),
        };
        Self {
            sqlstate: FEATURE_NOT_SUPPORTED,
            message: match used {
                Use::Table => format!("table {name} is sharded, and this statement means all of it"),
                _ => format!("the sharding key {column} of table {name} is not in the statement"),
            },
            detail: (!reason.is_empty()).then(|| format!("{reason}.")),
            hint: Some(hint),
        }
    }

    pub fn several_shards(table: &Table, first: u32, second: u32) -> Self {
        Self {
            sqlstate: FEATURE_NOT_SUPPORTED,
            message: "the statement needs rows of several shards".to_owned(),
            detail: Some(format!(
                "By its sharding keys it belongs on shard {first} and, by {} of table {}, on shard {second}.",
                table.column, table.name
            )),
            hint: Some(
                "Send one statement for each shard: only keys of the same shard can be named together.".to_owned(),
            ),
        }
    }

    pub fn key_moves(table: &Table, from: u32, to: u32) -> Self {
        Self {
            sqlstate: FEATURE_NOT_SUPPORTED,
            message: format!(
                "the sharding key {} of table {} cannot be changed to a value of another shard",
                table.column, table.name
            ),
            detail: Some(format!("The row is on shard {from}, the new value belongs on shard {to}.")),
            hint: Some("Delete the row and insert it again, in two statements.".to_owned()),
        }
    }

    pub fn key_changes(table: &Table, reason: &str) -> Self {
        Self {
            sqlstate: FEATURE_NOT_SUPPORTED,
            message: format!("the sharding key {} of table {} cannot be set to a value that is not known yet", table.column, table.name),
            detail: Some(format!("{reason}.")),
            hint: Some("Set it to a literal or a parameter that belongs on the same shard, or delete the row and insert it again.".to_owned()),
        }
    }

    pub fn reference_write(name: &str) -> Self {
        Self {
            sqlstate: FEATURE_NOT_SUPPORTED,
            message: format!("table {name} is held whole by every shard and cannot be written through the pooler"),
            detail: None,
            hint: Some("Run it on every shard, connected to it directly.".to_owned()),
        }
    }

    pub fn too_complex() -> Self {
        Self {
            sqlstate: STATEMENT_TOO_COMPLEX,
            message: "the statement is too complex for its sharding keys to be found".to_owned(),
            detail: None,
            hint: Some("Split it, or nest it less deeply.".to_owned()),
        }
    }

    pub fn syntax_error(message: &str) -> Self {
        Self { sqlstate: SYNTAX_ERROR, message: message.to_owned(), detail: None, hint: None }
    }

    pub fn unparsed() -> Self {
        Self {
            sqlstate: FEATURE_NOT_SUPPORTED,
            message: "the statement could not be read, so its sharding keys are not known".to_owned(),
            detail: None,
            hint: Some("Use standard_conforming_strings = on and a client encoding such as UTF8.".to_owned()),
        }
    }

    /// A key that is there, with a value that cannot be hashed.
    pub fn failure(table: &Table, failure: &Failure, server_encoding: &str) -> Self {
        let key = format!("the sharding key {} of table {}", table.column, table.name);
        let ty = table.key;
        let (sqlstate, message, hint) = match failure {
            Failure::Syntax => ("22P02", format!("invalid input syntax for type {ty} in {key}"), None),
            Failure::OutOfRange => ("22003", format!("value out of range for type {ty} in {key}"), None),
            Failure::Length(length) => {
                ("22P03", format!("incorrect binary data format in {key}: {length} bytes for type {ty}"), None)
            }
            Failure::NoParameter(number) => ("42P02", format!("there is no parameter ${number}, which is {key}"), None),
            Failure::Type(oid) => (
                FEATURE_NOT_SUPPORTED,
                format!("{key} has type {ty}, and its parameter was sent with type OID {oid}"),
                Some(format!("Send it as {ty}, or leave its type to the server.")),
            ),
            Failure::NullKey => (
                FEATURE_NOT_SUPPORTED,
                format!("{key} is compared with NULL"),
                Some(format!("Use {} = …, or give a value.", table.column)),
            ),
            Failure::Encoding => (
                FEATURE_NOT_SUPPORTED,
                format!("{key} has characters that are not ASCII, in another encoding than the server's"),
                Some(format!(
                    "Send it as a parameter with client_encoding = {server_encoding}: the shard depends on the bytes that the server stores."
                )),
            ),
        };
        Self { sqlstate, message, detail: None, hint }
    }
}
