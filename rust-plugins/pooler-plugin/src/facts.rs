//! What the host's parser found out about a statement: its kind, what it may do, the tables and functions that it names.

use crate::frame::{BadFrame, Record, first_size};
use crate::sys;
use std::mem::offset_of;

/// What a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatementKind {
    /// Not parsed, or a kind without a name of its own here.
    Other,
    /// SELECT, VALUES, TABLE, WITH … SELECT.
    Select,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// MERGE.
    Merge,
    /// COPY, in either direction.
    Copy,
    /// EXPLAIN, with or without ANALYZE.
    Explain,
    /// CREATE, ALTER, DROP, TRUNCATE, GRANT …
    Ddl,
    /// SET, RESET.
    Set,
    /// SHOW.
    Show,
    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT …
    Transaction,
    /// PREPARE.
    Prepare,
    /// EXECUTE.
    Execute,
    /// CALL, DO.
    Call,
    /// DECLARE, FETCH, MOVE, CLOSE.
    Cursor,
    /// LISTEN, UNLISTEN, NOTIFY.
    Listen,
    /// Nothing but white space, comments and semicolons.
    Empty,
}

impl StatementKind {
    /// The number that the contract gives this kind.
    pub const fn number(self) -> u32 {
        match self {
            StatementKind::Other => sys::STATEMENT_OTHER,
            StatementKind::Select => sys::STATEMENT_SELECT,
            StatementKind::Insert => sys::STATEMENT_INSERT,
            StatementKind::Update => sys::STATEMENT_UPDATE,
            StatementKind::Delete => sys::STATEMENT_DELETE,
            StatementKind::Merge => sys::STATEMENT_MERGE,
            StatementKind::Copy => sys::STATEMENT_COPY,
            StatementKind::Explain => sys::STATEMENT_EXPLAIN,
            StatementKind::Ddl => sys::STATEMENT_DDL,
            StatementKind::Set => sys::STATEMENT_SET,
            StatementKind::Show => sys::STATEMENT_SHOW,
            StatementKind::Transaction => sys::STATEMENT_TRANSACTION,
            StatementKind::Prepare => sys::STATEMENT_PREPARE,
            StatementKind::Execute => sys::STATEMENT_EXECUTE,
            StatementKind::Call => sys::STATEMENT_CALL,
            StatementKind::Cursor => sys::STATEMENT_CURSOR,
            StatementKind::Listen => sys::STATEMENT_LISTEN,
            StatementKind::Empty => sys::STATEMENT_EMPTY,
        }
    }

    /// The kind of a number; what this version does not know is `Other`.
    pub const fn from_number(number: u32) -> Self {
        match number {
            sys::STATEMENT_SELECT => StatementKind::Select,
            sys::STATEMENT_INSERT => StatementKind::Insert,
            sys::STATEMENT_UPDATE => StatementKind::Update,
            sys::STATEMENT_DELETE => StatementKind::Delete,
            sys::STATEMENT_MERGE => StatementKind::Merge,
            sys::STATEMENT_COPY => StatementKind::Copy,
            sys::STATEMENT_EXPLAIN => StatementKind::Explain,
            sys::STATEMENT_DDL => StatementKind::Ddl,
            sys::STATEMENT_SET => StatementKind::Set,
            sys::STATEMENT_SHOW => StatementKind::Show,
            sys::STATEMENT_TRANSACTION => StatementKind::Transaction,
            sys::STATEMENT_PREPARE => StatementKind::Prepare,
            sys::STATEMENT_EXECUTE => StatementKind::Execute,
            sys::STATEMENT_CALL => StatementKind::Call,
            sys::STATEMENT_CURSOR => StatementKind::Cursor,
            sys::STATEMENT_LISTEN => StatementKind::Listen,
            sys::STATEMENT_EMPTY => StatementKind::Empty,
            _ => StatementKind::Other,
        }
    }
}

/// What the host's parser found out. Everything is unknown, and reads as false, unless [`Facts::parsed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts(pub(crate) u32);

impl Facts {
    /// The facts were computed. Without it nothing below says anything: treat the statement as able to do all.
    pub fn parsed(self) -> bool {
        self.0 & sys::FACT_PARSED != 0
    }

    /// Certainly or possibly changes data, schema or a sequence.
    pub fn writes(self) -> bool {
        self.0 & sys::FACT_WRITES != 0
    }

    /// FOR UPDATE and the like, LOCK TABLE.
    pub fn locks_rows(self) -> bool {
        self.0 & sys::FACT_LOCKS_ROWS != 0
    }

    /// A WITH query that inserts, updates, deletes or merges.
    pub fn modifying_cte(self) -> bool {
        self.0 & sys::FACT_MODIFYING_CTE != 0
    }

    /// Calls a function that is not known to be free of side effects.
    pub fn unknown_function(self) -> bool {
        self.0 & sys::FACT_UNKNOWN_FUNCTION != 0
    }

    /// PostgreSQL's grammar refuses the text.
    pub fn syntax_error(self) -> bool {
        self.0 & sys::FACT_SYNTAX_ERROR != 0
    }

    /// The raw flags, `POOLER_FACT_*`.
    pub fn bits(self) -> u32 {
        self.0
    }
}

/// A table that the statement names. Names are as the parser has them: unquoted, lower-cased where SQL does so.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    pub(crate) record: Record<'a>,
}

impl<'a> Table<'a> {
    /// The database in `database.schema.table`.
    pub fn catalog(&self) -> Option<&'a str> {
        text(self.record, offset_of!(sys::Table, catalog))
    }

    /// The schema, when the name is qualified.
    pub fn schema(&self) -> Option<&'a str> {
        text(self.record, offset_of!(sys::Table, schema))
    }

    /// The table's own name.
    pub fn name(&self) -> &'a str {
        text(self.record, offset_of!(sys::Table, name)).unwrap_or_default()
    }

    /// The statement reads it.
    pub fn read(&self) -> bool {
        self.usage() & sys::TABLE_READ != 0
    }

    /// It is the target of INSERT, UPDATE, DELETE, MERGE, COPY FROM or DDL.
    pub fn written(&self) -> bool {
        self.usage() & sys::TABLE_WRITE != 0
    }

    /// It, or rows of it, are locked.
    pub fn locked(&self) -> bool {
        self.usage() & sys::TABLE_LOCK != 0
    }

    fn usage(&self) -> u32 {
        self.record.u32(offset_of!(sys::Table, r#use))
    }
}

/// A function that the statement calls by name.
#[derive(Debug, Clone, Copy)]
pub struct Function<'a> {
    pub(crate) record: Record<'a>,
}

impl<'a> Function<'a> {
    /// The schema, when the name is qualified.
    pub fn schema(&self) -> Option<&'a str> {
        text(self.record, offset_of!(sys::Function, schema))
    }

    /// The function's own name.
    pub fn name(&self) -> &'a str {
        text(self.record, offset_of!(sys::Function, name)).unwrap_or_default()
    }
}

/// Names that a decision may rest on must be readable.
pub(crate) fn check(statement: Record<'_>) -> Result<(), BadFrame> {
    let tables = statement.array(offset_of!(sys::Statement, tables), first_size::<sys::Table>())?;
    for table in tables.iter() {
        check_name(table, offset_of!(sys::Table, catalog))?;
        check_name(table, offset_of!(sys::Table, schema))?;
        check_name(table, offset_of!(sys::Table, name))?.ok_or(BadFrame("a table has no name"))?;
    }
    let functions = statement.array(offset_of!(sys::Statement, functions), first_size::<sys::Function>())?;
    for function in functions.iter() {
        check_name(function, offset_of!(sys::Function, schema))?;
        check_name(function, offset_of!(sys::Function, name))?.ok_or(BadFrame("a function has no name"))?;
    }
    Ok(())
}

fn check_name<'a>(record: Record<'a>, offset: usize) -> Result<Option<&'a str>, BadFrame> {
    match record.slice(offset)? {
        None => Ok(None),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(name) => Ok(Some(name)),
            Err(_) => Err(BadFrame("a name is not UTF-8")),
        },
    }
}

pub(crate) fn text<'a>(record: Record<'a>, offset: usize) -> Option<&'a str> {
    std::str::from_utf8(record.bytes(offset)?).ok()
}
