//! One statement as a plugin sees it: text, parameters, and the facts that the host's parser found.

use crate::Error;
use crate::facts::{self, Facts, Function, StatementKind, Table, text};
use crate::frame::{BadFrame, Record, Records, first_size};
use crate::parameter::Parameter;
use crate::sys;
use std::borrow::Cow;
use std::mem::offset_of;

/// One statement: its text, its parameters when there are some, and what the host's parser found.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    statement: Record<'a>,
    parameters: Records<'a>,
    session: Record<'a>,
}

impl<'a> Query<'a> {
    pub(crate) fn new(statement: Record<'a>, parameters: Records<'a>, session: Record<'a>) -> Self {
        Query { statement, parameters, session }
    }

    /// The text as the client sent it, in the client's encoding.
    pub fn sql(&self) -> &'a [u8] {
        self.statement.bytes(offset_of!(sys::Statement, sql)).unwrap_or_default()
    }

    /// The text, when it is valid UTF-8 (always so for ASCII).
    pub fn as_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.sql()).ok()
    }

    /// The text for logs and messages: what is not UTF-8 is replaced.
    pub fn as_str_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.sql())
    }

    /// PostgreSQL's name of the client's encoding, in which [`Query::sql`] is.
    pub fn client_encoding(&self) -> Cow<'a, str> {
        let bytes = self.session.bytes(offset_of!(sys::Session, client_encoding));
        String::from_utf8_lossy(bytes.unwrap_or_default())
    }

    /// Whether the text begins with exactly this, leading white space aside.
    ///
    /// Case counts, as in [`str::starts_with`]; [`Query::starts_with_keyword`] reads as SQL does.
    /// Neither says what a statement does: for that, see [`Query::facts`].
    pub fn starts_with(&self, prefix: &str) -> bool {
        self.sql().trim_ascii_start().starts_with(prefix.as_bytes())
    }

    /// Whether the first word is this keyword, in any case, leading white space and comments aside.
    pub fn starts_with_keyword(&self, keyword: &str) -> bool {
        let text = skip_blank(self.sql());
        let Some((word, rest)) = text.split_at_checked(keyword.len()) else { return false };
        let ends = !rest
            .first()
            .is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80);
        ends && word.eq_ignore_ascii_case(keyword.as_bytes())
    }

    /// Parameter `index`, 0-based: 0 is `$1`.
    pub fn parameter(&self, index: usize) -> Option<Parameter<'a>> {
        self.parameters.get(index).map(Parameter::new)
    }

    /// All parameters, `$1` first.
    pub fn parameters(&self) -> impl ExactSizeIterator<Item = Parameter<'a>> + use<'a> {
        self.parameters.iter().map(Parameter::new)
    }

    /// What the statement is. Needs the capability `FACTS`, like everything the parser finds.
    pub fn kind(&self) -> StatementKind {
        StatementKind::from_number(self.statement.u32(offset_of!(sys::Statement, kind)))
    }

    /// What the host's parser found out.
    pub fn facts(&self) -> Facts {
        Facts(self.statement.u32(offset_of!(sys::Statement, facts)))
    }

    /// Every table that is named, with how it is used; names of WITH queries are left out.
    pub fn tables(&self) -> impl ExactSizeIterator<Item = Table<'a>> + use<'a> {
        self.statement
            .records(offset_of!(sys::Statement, tables), first_size::<sys::Table>())
            .iter()
            .map(|record| Table { record })
    }

    /// Every function that is called by name.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = Function<'a>> + use<'a> {
        self.statement
            .records(offset_of!(sys::Statement, functions), first_size::<sys::Function>())
            .iter()
            .map(|record| Function { record })
    }

    /// The whole parse tree as libpg_query's JSON, `{"version":…,"stmts":[one]}`.
    ///
    /// Only in [`Plugin::learn`](crate::Plugin::learn), for plugins with the capability `PARSE_TREE`, when the text parses.
    pub fn parse_tree(&self) -> Option<&'a str> {
        text(self.statement, offset_of!(sys::Statement, parse_tree))
    }

    /// The parse tree read into a JSON value; `None` when there is no tree.
    ///
    /// # Errors
    /// When it is no JSON, or nested deeper than [`PARSE_TREE_DEPTH`](crate::PARSE_TREE_DEPTH), which protects the stack.
    pub fn parse_tree_value(&self) -> Result<Option<serde_json::Value>, Error> {
        match self.statement.bytes(offset_of!(sys::Statement, parse_tree)) {
            Some(bytes) => crate::parse_tree::read(bytes).map(Some),
            None => Ok(None),
        }
    }

    /// What the grammar said about a text that it refuses.
    pub fn parse_error(&self) -> Option<Cow<'a, str>> {
        let bytes = self.statement.bytes(offset_of!(sys::Statement, parse_error))?;
        Some(String::from_utf8_lossy(bytes))
    }

    /// The PostgreSQL major whose grammar read the text, `None` when it was not parsed.
    pub fn grammar(&self) -> Option<u32> {
        match self.statement.u32(offset_of!(sys::Statement, grammar)) {
            0 => None,
            major => Some(major),
        }
    }

    /// A number for this text, stable in this worker until the text is forgotten: a key for what you learn about it.
    pub fn id(&self) -> u64 {
        self.statement.u64(offset_of!(sys::Statement, id))
    }

    /// libpg_query's fingerprint, for statistics only: statements that differ in meaning may share it.
    /// Needs the capability `FINGERPRINT`; 0 when unknown.
    pub fn fingerprint(&self) -> u64 {
        self.statement.u64(offset_of!(sys::Statement, fingerprint))
    }
}

/// Everything of a statement that a decision may rest on must be readable, or the frame is refused.
pub(crate) fn check(statement: Record<'_>) -> Result<(), BadFrame> {
    statement.slice(offset_of!(sys::Statement, sql))?.ok_or(BadFrame("a statement has no text"))?;
    statement.slice(offset_of!(sys::Statement, parse_tree))?;
    statement.slice(offset_of!(sys::Statement, parse_error))?;
    facts::check(statement)
}

/// What follows leading white space and comments, block comments nested as PostgreSQL nests them.
fn skip_blank(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        if let [b'-', b'-', rest @ ..] = text {
            let end = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r');
            text = end.map_or(&[], |end| &rest[end..]);
        } else if let [b'/', b'*', rest @ ..] = text {
            text = skip_block_comment(rest);
        } else {
            return text;
        }
    }
}

fn skip_block_comment(mut text: &[u8]) -> &[u8] {
    let mut depth = 1u32;
    loop {
        text = match text {
            [b'*', b'/', rest @ ..] => {
                depth -= 1;
                if depth == 0 {
                    return rest;
                }
                rest
            }
            [b'/', b'*', rest @ ..] => {
                depth += 1;
                rest
            }
            [_, rest @ ..] => rest,
            [] => return text,
        };
    }
}
