//! WITH, and what is known of a query's columns outside of it: for common table expressions, for branches of a UNION, for
//! rows that are stored.

use super::levels::Level;
use super::scope::{Column, Exports, Scope};
use super::state::Analysis;
use super::values::Unusable;
use crate::key::KeyType;
use crate::source::{Null, Source};
use crate::tree::{self, body};
use parse_tree::Fields;
use std::rc::Rc;

/// What a query sees around it.
#[derive(Clone, Debug)]
pub(super) struct Env<'s, 'a> {
    pub(super) outer: Option<&'s Scope<'s, 'a>>,
    pub(super) ctes: Ctes<'a>,
}

/// Common table expressions in sight, the nearest first.
pub(super) type Ctes<'a> = Option<Rc<Cte<'a>>>;

#[derive(Debug)]
pub(super) struct Cte<'a> {
    name: &'a str,
    exports: Exports<'a>,
    next: Ctes<'a>,
}

pub(super) fn find_cte<'a>(ctes: &Ctes<'a>, name: &str) -> Option<Exports<'a>> {
    let mut next = ctes.as_ref();
    while let Some(cte) = next {
        if cte.name == name {
            return Some(cte.exports.clone());
        }
        next = cte.next.as_ref();
    }
    None
}

impl<'a> Analysis<'a> {
    /// A column that comes from one of several queries.
    pub(super) fn either<'c>(&self, columns: impl Iterator<Item = (&'c Level, &'c Column<'a>)>) -> Column<'a>
    where
        'a: 'c,
    {
        let mut all_items = Vec::new();
        let mut keys: Option<(KeyType, Vec<Source>)> = None;
        let columns: Vec<_> = columns.map(|(level, column)| self.detached(level, column)).collect();
        for column in &columns {
            match column {
                Column::Items { items, certain: true } => all_items.extend(items.iter().copied()),
                Column::Keys { ty, sources, certain: true } => {
                    let (first, all) = keys.get_or_insert_with(|| (*ty, Vec::new()));
                    if first.family() != ty.family() {
                        return Column::Unknown;
                    }
                    all.extend(sources.iter().cloned());
                }
                _ => return Column::Unknown,
            }
        }
        match keys {
            None => Column::Items { items: all_items.into(), certain: true },
            Some((ty, mut sources)) => match self.wanted_of(ty, false, Null::IsAKey).all(&all_items) {
                Ok(more) => {
                    sources.extend(more);
                    Column::Keys { ty, sources: sources.into(), certain: true }
                }
                Err(_) => Column::Unknown,
            },
        }
    }

    /// A column of a query as it can be known outside of it, where its keys mean nothing.
    fn detached(&self, level: &Level, column: &Column<'a>) -> Column<'a> {
        match column {
            Column::Key(key) => match self.facts.values_of(*key, &level.settle(&self.facts, &[])) {
                Some(sources) => Column::Keys { ty: self.facts.key_type(*key), sources, certain: true },
                None => Column::Unknown,
            },
            other => other.clone(),
        }
    }

    /// Reads WITH: its queries go to `apart`, what they give is in sight of what follows.
    pub(super) fn with(&mut self, statement: Fields<'a>, env: &Env<'_, 'a>, apart: &mut Vec<Level>) -> Ctes<'a> {
        let mut ctes = env.ctes.clone();
        let Some(clause) = statement.bare("withClause") else { return ctes };
        let expressions: Vec<_> = clause.list("ctes").iter().filter_map(|cte| body(cte, "CommonTableExpr")).collect();
        if clause.flag("recursive") {
            // Each may speak of itself and of those after it: of their rows nothing is known.
            for cte in &expressions {
                ctes = Some(Rc::new(Cte { name: cte.text("ctename"), exports: Exports::unknown(), next: ctes }));
            }
        }
        for cte in expressions {
            let name = cte.text("ctename");
            let Some(query) = cte.get("ctequery") else { continue };
            let (level, exports) = self.query(query, &Env { outer: env.outer, ctes: ctes.clone() });
            let mut exports = match tree::names(cte, "aliascolnames") {
                Some(names) if !names.is_empty() => exports.rename(&names),
                _ => exports,
            };
            for (_, column) in &mut exports.columns {
                *column = self.detached(&level, column);
            }
            exports.open |= cte.has("search_clause") || cte.has("cycle_clause");
            apart.push(level);
            ctes = Some(Rc::new(Cte { name, exports, next: ctes }));
        }
        ctes
    }

    /// The values that a column of a query can have when it is stored as a key.
    pub(super) fn stored(&self, level: &Level, column: &Column<'a>, key: KeyType) -> Result<Rc<[Source]>, Unusable> {
        match self.detached(level, column) {
            Column::Keys { ty, certain: true, .. } if is_cut_on_its_way(ty, key) => {
                Err("its value may be cut when it is stored".into())
            }
            Column::Keys { ty, sources, certain: true } if ty.family() == key.family() => Ok(sources),
            Column::Items { items, certain: true } => Ok(self.wanted_of(key, true, Null::IsAKey).all(&items)?.into()),
            Column::Keys { certain: false, .. } | Column::Items { certain: false, .. } => {
                Err("its value may be missing in an outer join".into())
            }
            _ => Err("its value comes from a query that does not say it".into()),
        }
    }
}

/// From a column to a shorter one: the hash is of the value as it was.
fn is_cut_on_its_way(from: KeyType, to: KeyType) -> bool {
    match (from, to) {
        (KeyType::Varchar(Some(from)), KeyType::Varchar(Some(to))) => from > to,
        (KeyType::Text | KeyType::Varchar(None), KeyType::Varchar(Some(_))) => true,
        _ => false,
    }
}
