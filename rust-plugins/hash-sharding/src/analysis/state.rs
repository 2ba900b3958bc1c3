//! What the analysis of one statement gathers, and the end of it: what every occurrence of a sharded table requires.

use super::facts::{Facts, KeyId};
use super::levels::Level;
use super::values::Wanted;
use crate::config::Sharding;
use crate::encoding::is_utf8;
use crate::key::KeyType;
use crate::refusal::{Refusal, Use};
use crate::source::{Null, Source};
use serde_json::Value;
use std::collections::HashSet;
use std::rc::Rc;

/// What a statement does with the values that a requirement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Rows,
    Insert,
    KeyChange,
}

/// All values must belong to one shard, the same for all requirements of a statement.
#[derive(Clone, Debug)]
pub(crate) struct Requirement {
    pub(crate) table: usize,
    pub(crate) purpose: Purpose,
    pub(crate) sources: Rc<[Source]>,
}

#[derive(Clone, Debug)]
pub(crate) struct Missing {
    pub(crate) table: usize,
    pub(crate) used: Use,
    pub(crate) reason: String,
}

/// One statement under analysis.
#[derive(Debug)]
pub(super) struct Analysis<'a> {
    pub(super) sharding: &'a Sharding,
    pub(super) facts: Facts,
    /// The table of each key, by its number.
    pub(super) tables: Vec<usize>,
    pub(super) requirements: Vec<Requirement>,
    pub(super) missing: Vec<Missing>,
    pub(super) refusal: Option<Refusal>,
    /// A sharded table is named somewhere.
    pub(super) touched: bool,
    /// The relations that have been dealt with, by their place in the parse tree.
    pub(super) accounted: HashSet<*const Value>,
    /// Whether parameters are those of this execution.
    pub(super) parameters: bool,
}

impl<'a> Analysis<'a> {
    pub(super) fn new(sharding: &'a Sharding) -> Self {
        Self {
            sharding,
            facts: Facts::default(),
            tables: Vec::new(),
            requirements: Vec::new(),
            missing: Vec::new(),
            refusal: None,
            touched: false,
            accounted: HashSet::new(),
            parameters: true,
        }
    }

    /// The first refusal is the one that the client sees.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    pub(super) fn new_key(&mut self, table: usize) -> KeyId {
        self.tables.push(table);
        self.facts.new_key(self.sharding.tables[table].key)
    }

    pub(super) fn table_of_key(&self, key: KeyId) -> usize {
        self.tables[key as usize]
    }

    pub(super) fn wanted_of(&self, key: KeyType, stored: bool, null: Null) -> Wanted {
        Wanted {
            key,
            stored,
            null,
            parameters: self.parameters,
            server_is_utf8: is_utf8(&self.sharding.server_encoding),
        }
    }

    /// Goes through all that was built, and says what every occurrence of a sharded table requires.
    pub(super) fn conclude(&mut self, level: &Level) {
        let mut found = Vec::new();
        level.visit(&self.facts, &[], &mut |occurrence, facts| {
            found.push((occurrence.table, occurrence.key, self.facts.values_of(occurrence.key, facts)));
        });
        for (table, key, sources) in found {
            match sources {
                Some(sources) => self.requirements.push(Requirement { table, purpose: Purpose::Rows, sources }),
                None => {
                    let reason = self.facts.noted(key).map_or_else(String::new, |note| {
                        let column = &self.sharding.tables[table].column;
                        format!("There is a condition on {column}, but {note}")
                    });
                    self.missing.push(Missing { table, used: Use::Rows, reason });
                }
            }
        }
    }
}
