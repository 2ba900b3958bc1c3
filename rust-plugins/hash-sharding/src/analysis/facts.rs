//! What is known of the key columns of one statement: that two are equal, that one has certain values. Knows numbers of
//! keys only; which facts hold where is decided by `levels.rs`.

use crate::key::KeyType;
use crate::source::Source;
use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

/// A key column of one occurrence of a table. Numbers are given in the order of the text, so those of any part of the
/// statement are a range.
pub(super) type KeyId = u32;
pub(super) type FactId = u32;

#[derive(Debug)]
pub(super) enum Fact {
    Equal(KeyId, KeyId),
    /// In every row that counts the key has one of these values; none at all means that no row counts.
    OneOf(KeyId, Rc<[Source]>),
}

#[derive(Debug)]
struct Key {
    ty: KeyType,
    /// Why a condition on it was of no use.
    note: Option<String>,
}

/// Work that one statement may cost: far above what people write, far below what anyone notices.
const MAX_STEPS: u32 = 4_000_000;

#[derive(Debug, Default)]
pub(super) struct Facts {
    facts: Vec<Fact>,
    keys: Vec<Key>,
    steps: Cell<u32>,
}

impl Facts {
    pub(super) fn new_key(&mut self, ty: KeyType) -> KeyId {
        self.keys.push(Key { ty, note: None });
        self.keys.len() as KeyId - 1
    }

    /// The number that the next key will have.
    pub(super) fn next_key(&self) -> KeyId {
        self.keys.len() as KeyId
    }

    pub(super) fn key_type(&self, key: KeyId) -> KeyType {
        self.keys[key as usize].ty
    }

    pub(super) fn note(&mut self, key: KeyId, note: String) {
        self.keys[key as usize].note = Some(note);
    }

    pub(super) fn noted(&self, key: KeyId) -> Option<&str> {
        self.keys[key as usize].note.as_deref()
    }

    pub(super) fn add(&mut self, fact: Fact) -> FactId {
        self.facts.push(fact);
        self.facts.len() as FactId - 1
    }

    pub(super) fn get(&self, fact: FactId) -> &Fact {
        &self.facts[fact as usize]
    }

    /// Whether a fact says something about a key of the range. Such a fact is false where that key is NULL.
    pub(super) fn mentions(&self, fact: FactId, keys: &std::ops::Range<KeyId>) -> bool {
        self.step(1);
        match self.get(fact) {
            Fact::Equal(a, b) => keys.contains(a) || keys.contains(b),
            Fact::OneOf(key, _) => keys.contains(key),
        }
    }

    /// The values that facts leave for a key, by way of all keys that it equals. Any one constraint is enough; the shortest is the best.
    pub(super) fn values_of(&self, key: KeyId, facts: &[FactId]) -> Option<Rc<[Source]>> {
        self.step(facts.len() + 1);
        let mut equals: HashMap<KeyId, Vec<KeyId>> = HashMap::new();
        let mut values: HashMap<KeyId, Vec<&Rc<[Source]>>> = HashMap::new();
        for &fact in facts {
            match self.get(fact) {
                Fact::Equal(a, b) => {
                    equals.entry(*a).or_default().push(*b);
                    equals.entry(*b).or_default().push(*a);
                }
                Fact::OneOf(key, sources) => values.entry(*key).or_default().push(sources),
            }
        }
        let mut seen = HashSet::from([key]);
        let mut queue = VecDeque::from([key]);
        let mut best: Option<&Rc<[Source]>> = None;
        while let Some(key) = queue.pop_front() {
            for &sources in values.get(&key).into_iter().flatten() {
                if best.is_none_or(|best| cost(sources) < cost(best)) {
                    best = Some(sources);
                }
            }
            queue.extend(equals.get(&key).into_iter().flatten().filter(|&&next| seen.insert(next)));
        }
        best.cloned()
    }

    /// Counts work that was done.
    pub(super) fn step(&self, steps: usize) {
        self.steps.set(self.steps.get().saturating_add(steps.try_into().unwrap_or(u32::MAX)));
    }

    /// The statement has cost too much: nothing that was found out about it counts.
    pub(super) fn exhausted(&self) -> bool {
        self.steps.get() > MAX_STEPS
    }
}

fn cost(sources: &[Source]) -> usize {
    sources
        .iter()
        .map(|source| match source {
            Source::Hash(_) => 1,
            Source::Parameter(_) => 2,
            Source::Array(_) => 100,
        })
        .sum()
}
