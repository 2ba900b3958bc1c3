//! What a statement does, as far as rules ask: which tables and functions, how, and which rows. Borrowed from the parse
//! tree; knows no rules.

use crate::kinds::Kind;
use crate::seen::Seen;
use parse_tree::Name;
use std::collections::BTreeSet;
use std::rc::Rc;

#[derive(Debug, Default)]
pub(crate) struct Model<'a> {
    pub(crate) kinds: BTreeSet<Kind>,
    /// A part of the tree that the reader does not understand: the statement cannot be judged.
    pub(crate) unknown: Option<&'a str>,
    pub(crate) tables: Vec<TableUse<'a>>,
    /// Schemas that the statement works on as a whole; `None` means all of them.
    pub(crate) schemas: Vec<Option<&'a str>>,
    pub(crate) calls: Vec<Call<'a>>,
    pub(crate) search_paths: Vec<SearchPath<'a>>,
    /// Code in a string: DO, CREATE FUNCTION … AS '…'.
    pub(crate) hidden_code: bool,
    pub(crate) levels: Vec<Level<'a>>,
    pub(crate) inserts: Vec<Insert<'a>>,
    pub(crate) assignments: Vec<Assignment<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table<'a> {
    pub(crate) schema: Option<&'a str>,
    pub(crate) name: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// In FROM, or the target of UPDATE, DELETE, MERGE: rows of it are chosen by conditions.
    Rows {
        level: usize,
        item: usize,
    },
    Insert,
    CopyTo,
    CopyFrom,
    Truncate,
    /// DDL, LOCK, VACUUM and whatever else names it.
    Other,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct TableUse<'a> {
    pub(crate) table: Table<'a>,
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    pub(crate) operation: Operation,
}

/// A function that is called by name.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    pub(crate) name: Name<'a>,
    pub(crate) arguments: Vec<Seen<'a>>,
}

/// A change of search_path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SearchPath<'a> {
    /// SET: one schema each.
    Schemas(Vec<&'a str>),
    /// set_config: a list as text.
    List(&'a str),
    /// It cannot be seen.
    Hidden,
}

/// One SELECT, UPDATE, DELETE or MERGE: what is in its FROM, and which columns must equal what.
#[derive(Debug, Default)]
pub(crate) struct Level<'a> {
    pub(crate) outer: Option<Outer>,
    pub(crate) items: Vec<Item<'a>>,
    pub(crate) from: Vec<From<'a>>,
    pub(crate) equalities: Vec<Equality<'a>>,
    /// Names that columns can be qualified with and that are no item's: aliases of joins.
    pub(crate) join_names: Vec<&'a str>,
    /// Something in FROM has a name that nobody gave it.
    pub(crate) unnamed: bool,
}

/// Where a subquery stands: columns of these items of the level around it can be named in it.
#[derive(Debug, Clone)]
pub(crate) struct Outer {
    pub(crate) level: usize,
    pub(crate) scope: Rc<[usize]>,
}

/// Something with columns: a table, a subquery, a function, a WITH query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    /// `None` for everything but tables.
    pub(crate) table: Option<Table<'a>>,
    /// What its columns are qualified with; empty when they cannot be.
    pub(crate) name: &'a str,
    pub(crate) aliased: bool,
    pub(crate) renames_columns: bool,
}

#[derive(Debug)]
pub(crate) enum From<'a> {
    Item(usize),
    Join(Box<Join<'a>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

#[derive(Debug)]
pub(crate) struct Join<'a> {
    pub(crate) kind: JoinKind,
    pub(crate) left: From<'a>,
    pub(crate) right: From<'a>,
    pub(crate) using: Vec<&'a str>,
    pub(crate) natural: bool,
    /// `(a JOIN b …) AS x` hides a and b.
    pub(crate) aliased: bool,
}

/// An equality that holds for every row that comes out of the level.
#[derive(Debug)]
pub(crate) struct Equality<'a> {
    /// Items whose columns can be named where it stands.
    pub(crate) scope: Rc<[usize]>,
    /// Items whose rows it restricts: not those that an outer join keeps anyway.
    pub(crate) restricts: Rc<[usize]>,
    pub(crate) left: Operand<'a>,
    pub(crate) right: Operand<'a>,
}

#[derive(Debug, Clone)]
pub(crate) enum Operand<'a> {
    Column(ColumnName<'a>),
    /// One of these values, which depend on no row.
    Values(Vec<Seen<'a>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColumnName<'a> {
    pub(crate) schema: Option<&'a str>,
    pub(crate) qualifier: Option<&'a str>,
    pub(crate) name: &'a str,
}

#[derive(Debug)]
pub(crate) struct Insert<'a> {
    pub(crate) table: Table<'a>,
    /// `None`: all columns, in the table's order, which nobody knows here.
    pub(crate) columns: Option<Vec<Target<'a>>>,
    pub(crate) source: Source<'a>,
    pub(crate) conflict: Option<Conflict<'a>>,
}

/// A column of INSERT's list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) name: &'a str,
    /// `column['key']`: the value goes into a part of it.
    pub(crate) part: bool,
}

#[derive(Debug)]
pub(crate) enum Source<'a> {
    /// DEFAULT VALUES.
    Defaults,
    /// What each row, or each SELECT that makes rows, has in each place.
    Rows(Vec<Vec<Assigned<'a>>>),
    /// COPY FROM.
    Copy,
}

/// ON CONFLICT DO UPDATE.
#[derive(Debug)]
pub(crate) struct Conflict<'a> {
    /// The plain columns of its target.
    pub(crate) columns: Vec<&'a str>,
    /// The level of its WHERE; item 0 is the table, item 1 `excluded`.
    pub(crate) level: usize,
}

/// A value on its way into a column.
#[derive(Debug, Clone)]
pub(crate) struct Assigned<'a> {
    pub(crate) value: Seen<'a>,
    /// When it is a column: which, and of which level.
    pub(crate) column: Option<(ColumnName<'a>, Outer)>,
    /// A star before it, or a subscript: nobody knows what ends up in the column.
    pub(crate) uncertain: bool,
}

/// SET column = value of UPDATE, MERGE and ON CONFLICT.
#[derive(Debug)]
pub(crate) struct Assignment<'a> {
    pub(crate) table: Table<'a>,
    pub(crate) column: &'a str,
    pub(crate) assigned: Assigned<'a>,
    /// In ON CONFLICT: `excluded.column` is what INSERT has, which is looked at there.
    pub(crate) on_conflict: bool,
}
