//! Which column a name means. Only the columns of sharded tables are known, so a name that could mean an unknown column of
//! another relation means nothing here, rather than something wrong. Follows PostgreSQL's name resolution.

use super::facts::KeyId;
use crate::config::{Known, Sharding};
use crate::key::KeyType;
use crate::source::Source;
use crate::tree;
use parse_tree::Fields;
use serde_json::Value;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub(super) enum Column<'a> {
    /// The sharding key of an occurrence of a table.
    Key(KeyId),
    /// Keys that came out of a common table expression or a UNION.
    Keys {
        ty: KeyType,
        sources: Rc<[Source]>,
        certain: bool,
    },
    /// Literals and parameters: a VALUES list, `SELECT 5 AS id`, `unnest($1)`.
    Items {
        items: Rc<[Item<'a>]>,
        certain: bool,
    },
    Unknown,
}

/// An expression, or an array expression that stands for its elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) expression: &'a Value,
    pub(super) elements: bool,
}

impl Column<'_> {
    /// On the inner side of an outer join it may be NULL instead.
    fn make_uncertain(&mut self) {
        if let Self::Keys { certain, .. } | Self::Items { certain, .. } = self {
            *certain = false;
        }
    }
}

/// What FROM makes visible under one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Relation<'a> {
    /// None for the columns that USING merges: they have no table's name.
    pub(super) name: Option<&'a str>,
    /// Index of the sharded table that it is under its own name: `public.users.id` finds it, unless it has an alias.
    pub(super) table: Option<usize>,
    /// With an empty name when it is not known.
    pub(super) columns: Vec<(&'a str, Column<'a>)>,
    /// Columns that only their table's name reaches any more, because USING has merged them.
    pub(super) merged: Vec<&'a str>,
    /// It may have more columns than those.
    pub(super) open: bool,
}

impl<'a> Relation<'a> {
    pub(super) fn unknown(name: Option<&'a str>) -> Self {
        Self { name, open: true, ..Self::default() }
    }

    fn column(&self, name: &str) -> Option<&Column<'a>> {
        let mut matching = self.columns.iter().filter(|(own, _)| *own == name);
        let found = matching.next();
        // Twice the same name is an error of PostgreSQL's when somebody uses it.
        if matching.next().is_some() { None } else { found.map(|(_, column)| column) }
    }

    fn is_merged(&self, name: &str) -> bool {
        self.merged.contains(&name)
    }
}

/// What a bare name finds among relations.
pub(super) enum Found<'a> {
    One(Column<'a>),
    /// Several, or perhaps one of those whose columns are unknown.
    Unclear,
    Nothing,
}

pub(super) fn find<'a>(relations: &[Relation<'a>], name: &str) -> Found<'a> {
    let mut found = None;
    let mut unclear = false;
    for relation in relations.iter().filter(|relation| !relation.is_merged(name)) {
        if relation.columns.iter().any(|(own, _)| *own == name) {
            // Where a known column has the name, an unknown one beside it would be PostgreSQL's "ambiguous".
            match relation.column(name) {
                Some(column) if found.is_none() => found = Some(column.clone()),
                _ => return Found::Unclear,
            }
        } else {
            unclear |= relation.open || relation.columns.iter().any(|(own, _)| own.is_empty());
        }
    }
    match found {
        Some(column) => Found::One(column),
        None if unclear => Found::Unclear,
        None => Found::Nothing,
    }
}

pub(super) fn make_uncertain(relations: &mut [Relation<'_>]) {
    for (_, column) in relations.iter_mut().flat_map(|relation| &mut relation.columns) {
        column.make_uncertain();
    }
}

/// The relations of one level, and what lies around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'s, 'a> {
    pub(super) relations: &'s [Relation<'a>],
    pub(super) outer: Option<&'s Scope<'s, 'a>>,
}

impl<'a> Scope<'_, 'a> {
    /// The column that a ColumnRef's fields name.
    pub(super) fn column(&self, sharding: &Sharding, fields: &[&str]) -> Column<'a> {
        match *fields {
            [name] => match find(self.relations, name) {
                Found::One(column) => column,
                Found::Unclear => Column::Unknown,
                Found::Nothing => self.outer.map_or(Column::Unknown, |outer| outer.column(sharding, fields)),
            },
            [.., relation, name] if fields.len() <= 4 => {
                let schema = fields.len().checked_sub(3).map(|at| fields[at]);
                let mut named = self.relations.iter().filter(|candidate| match schema {
                    None => candidate.name == Some(relation),
                    Some(schema) => {
                        candidate.name == Some(relation)
                            && candidate
                                .table
                                .is_none_or(|table| sharding.known(Some(schema), relation) == Known::Sharded(table))
                    }
                });
                match (named.next(), named.next()) {
                    (Some(found), None) if schema.is_none() || found.table.is_some() => {
                        found.column(name).cloned().unwrap_or(Column::Unknown)
                    }
                    (None, _) => self.outer.map_or(Column::Unknown, |outer| outer.column(sharding, fields)),
                    _ => Column::Unknown,
                }
            }
            _ => Column::Unknown,
        }
    }
}

/// The columns that a query gives to what is around it.
#[derive(Clone, Debug, Default)]
pub(super) struct Exports<'a> {
    /// Without a name when it is not known.
    pub(super) columns: Vec<(Option<&'a str>, Column<'a>)>,
    /// There are columns beyond those, with names and in places that are not known.
    pub(super) open: bool,
    /// As many columns from the first have their place for certain.
    pub(super) placed: usize,
}

impl<'a> Exports<'a> {
    pub(super) fn unknown() -> Self {
        Self { open: true, ..Self::default() }
    }

    pub(super) fn push(&mut self, name: Option<&'a str>, column: Column<'a>) {
        if !self.open {
            self.placed += 1;
        }
        self.columns.push((name, column));
    }

    /// `*` or `t.*`.
    pub(super) fn push_all(&mut self, relations: &[Relation<'a>], with_merged: bool) {
        for relation in relations {
            for (name, column) in &relation.columns {
                if with_merged || !relation.is_merged(name) {
                    // In a relation with unknown columns the known ones stand somewhere among them.
                    self.open |= relation.open;
                    self.push(Some(*name).filter(|name| !name.is_empty()), column.clone());
                }
            }
            self.open |= relation.open;
        }
    }

    pub(super) fn at(&self, position: usize) -> Option<&Column<'a>> {
        (position < self.placed).then(|| &self.columns[position].1)
    }

    /// The same under other names: `AS t(a, b)`.
    pub(super) fn rename(mut self, names: &[&'a str]) -> Self {
        if names.len() > self.placed {
            return Self::unknown();
        }
        for (column, name) in self.columns.iter_mut().zip(names) {
            column.0 = Some(name);
        }
        if self.open {
            // Those beyond may have had the names of these.
            self.columns.truncate(self.placed);
        }
        self
    }

    pub(super) fn into_relation(self, name: Option<&'a str>) -> Relation<'a> {
        let columns = self.columns.into_iter().map(|(name, column)| (name.unwrap_or_default(), column)).collect();
        Relation { name, columns, open: self.open, ..Relation::default() }
    }
}

/// The names in an alias's column list.
pub(super) fn column_names(alias: Option<Fields<'_>>) -> Option<Vec<&str>> {
    let names = alias.map(|alias| tree::names(alias, "colnames")).unwrap_or_default()?;
    (!names.is_empty()).then_some(names)
}
