//! Which rows of each table can matter to a statement's answer. A level is one SELECT, INSERT, UPDATE, DELETE or MERGE with
//! its joins; facts go down into them and come up out of them by the rules below. Knows levels and facts, no SQL text.
//!
//! The question asked of each occurrence of a sharded table is: do all its rows that can change the answer have a key of
//! these values? Then the shard of those values answers as all shards together would.
//!
//! * A fact is strict: it is false where one of its keys is NULL. So a fact about the inner side of an outer join, true in
//!   every row that survives, turns that join into an inner one.
//! * ON of an inner join filters both sides. ON of an outer join filters only the side that may be missing.
//! * What holds in every row of a subquery holds around it, when each of its rows comes from rows of its tables
//!   (`witnessed`: not so for `SELECT count(*) …`, which has a row even when there are none).
//! * What is asked of a subquery's columns from outside holds inside when it may be asked before or after (`transparent`:
//!   not so with LIMIT, DISTINCT ON or window functions).
//! * A subquery in an expression is asked only about rows that survive the facts around it.

use super::facts::{FactId, Facts, KeyId};
use std::collections::HashSet;
use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

/// An occurrence of a sharded table whose rows are read or changed.
#[derive(Debug)]
pub(super) struct Occurrence {
    pub(super) table: usize,
    pub(super) key: KeyId,
}

#[derive(Debug)]
pub(super) enum Tree {
    /// A table, or what has no table in it: a function, a common table expression.
    Leaf {
        occurrence: Option<Occurrence>,
        nested: Vec<Level>,
    },
    Sub(Box<Level>),
    Join(Box<Join>),
}

#[derive(Debug)]
pub(super) struct Join {
    pub(super) kind: JoinKind,
    pub(super) left: Tree,
    pub(super) right: Tree,
    /// Where the keys of the left side end and those of the right side begin.
    pub(super) keys: (Range<KeyId>, Range<KeyId>),
    pub(super) on: Conditions,
}

/// What a WHERE or ON says.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) facts: Vec<FactId>,
    /// Subqueries that must have a row: EXISTS, IN.
    pub(super) semis: Vec<Level>,
    /// All other subqueries.
    pub(super) nested: Vec<Level>,
    /// No row fulfils it.
    pub(super) nothing: bool,
}

#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) keys: Range<KeyId>,
    pub(super) from: Vec<Tree>,
    pub(super) filter: Conditions,
    /// Levels that see nothing of this one: common table expressions, branches of a UNION, the source of an INSERT.
    pub(super) apart: Vec<Level>,
    pub(super) witnessed: bool,
    pub(super) transparent: bool,
}

/// Facts in the order they were found, each once.
#[derive(Debug, Default)]
struct Set {
    order: Vec<FactId>,
    seen: HashSet<FactId>,
}

impl Set {
    fn extend(&mut self, facts: &[FactId]) {
        for &fact in facts {
            if self.seen.insert(fact) {
                self.order.push(fact);
            }
        }
    }
}

impl Level {
    /// The facts that hold in every row of this level that matters, given those around it.
    pub(super) fn settle(&self, facts: &Facts, around: &[FactId]) -> Vec<FactId> {
        let mut set = Set::default();
        set.extend(around);
        set.extend(&self.filter.facts);
        add_witnesses(&self.filter.semis, facts, &mut set);
        settle_trees(&self.from.iter().collect::<Vec<_>>(), facts, set)
    }

    /// The facts that its rows bring with them.
    fn rising(&self, facts: &Facts) -> Vec<FactId> {
        if self.witnessed && !facts.exhausted() { self.settle(facts, &[]) } else { Vec::new() }
    }

    /// Finds every occurrence, and the facts that hold for it.
    pub(super) fn visit(&self, facts: &Facts, around: &[FactId], found: &mut dyn FnMut(&Occurrence, &[FactId])) {
        if facts.exhausted() {
            return;
        }
        let settled = self.settle(facts, around);
        if !self.filter.nothing {
            for tree in &self.from {
                tree.visit(facts, &settled, found);
            }
            for semi in &self.filter.semis {
                semi.visit_inside(facts, &settled, found);
            }
        }
        for nested in &self.filter.nested {
            nested.visit(facts, &settled, found);
        }
        for apart in &self.apart {
            apart.visit(facts, around, found);
        }
    }

    /// Visits a subquery whose columns the facts around may speak of.
    fn visit_inside(&self, facts: &Facts, around: &[FactId], found: &mut dyn FnMut(&Occurrence, &[FactId])) {
        if self.transparent {
            self.visit(facts, around, found);
        } else {
            let outside: Vec<_> = around.iter().copied().filter(|&fact| !facts.mentions(fact, &self.keys)).collect();
            self.visit(facts, &outside, found);
        }
    }
}

fn add_witnesses(semis: &[Level], facts: &Facts, set: &mut Set) {
    for semi in semis {
        set.extend(&semi.rising(facts));
    }
}

/// Adds what the trees bring, until no outer join turns out to be an inner one any more.
fn settle_trees(trees: &[&Tree], facts: &Facts, mut set: Set) -> Vec<FactId> {
    let mut outer: Vec<(&Join, JoinKind)> = Vec::new();
    let mut open: Vec<&Tree> = trees.to_vec();
    loop {
        while let Some(tree) = open.pop() {
            match tree {
                Tree::Leaf { .. } => {}
                Tree::Sub(level) => set.extend(&level.rising(facts)),
                Tree::Join(join) => match join.kind {
                    JoinKind::Inner => join.open_as_inner(facts, &mut set, &mut open),
                    JoinKind::Left => {
                        open.push(&join.left);
                        outer.push((join, JoinKind::Left));
                    }
                    JoinKind::Right => {
                        open.push(&join.right);
                        outer.push((join, JoinKind::Right));
                    }
                    JoinKind::Full => outer.push((join, JoinKind::Full)),
                },
            }
        }
        facts.step(set.order.len());
        let mut still_outer = Vec::with_capacity(outer.len());
        let mut changed = false;
        for (join, kind) in outer {
            let reduced = join.reduce(kind, facts, &set.order);
            changed |= reduced != kind;
            match reduced {
                JoinKind::Inner => {
                    set.extend(&join.on.facts);
                    add_witnesses(&join.on.semis, facts, &mut set);
                    match kind {
                        JoinKind::Left => open.push(&join.right),
                        JoinKind::Right => open.push(&join.left),
                        JoinKind::Full | JoinKind::Inner => open.extend([&join.left, &join.right]),
                    }
                }
                JoinKind::Left if kind == JoinKind::Full => open.push(&join.left),
                JoinKind::Right if kind == JoinKind::Full => open.push(&join.right),
                _ => {}
            }
            if reduced != JoinKind::Inner {
                still_outer.push((join, reduced));
            }
        }
        outer = still_outer;
        if !changed || facts.exhausted() {
            return set.order;
        }
    }
}

impl Join {
    fn open_as_inner<'l>(&'l self, facts: &Facts, set: &mut Set, open: &mut Vec<&'l Tree>) {
        set.extend(&self.on.facts);
        add_witnesses(&self.on.semis, facts, set);
        open.extend([&self.left, &self.right]);
    }

    /// What is left of an outer join when facts exclude rows in which one side is missing.
    fn reduce(&self, kind: JoinKind, facts: &Facts, held: &[FactId]) -> JoinKind {
        let has_left = || held.iter().any(|&fact| facts.mentions(fact, &self.keys.0));
        let has_right = || held.iter().any(|&fact| facts.mentions(fact, &self.keys.1));
        match kind {
            JoinKind::Left if has_right() => JoinKind::Inner,
            JoinKind::Right if has_left() => JoinKind::Inner,
            JoinKind::Full => match (has_left(), has_right()) {
                (true, true) => JoinKind::Inner,
                (true, false) => JoinKind::Left,
                (false, true) => JoinKind::Right,
                (false, false) => JoinKind::Full,
            },
            _ => kind,
        }
    }

    fn visit(&self, facts: &Facts, held: &[FactId], found: &mut dyn FnMut(&Occurrence, &[FactId])) {
        // A row of the inner side matters by the pairs that it is part of: what holds in those, on both sides.
        let matching = || {
            let mut set = Set::default();
            set.extend(held);
            set.extend(&self.on.facts);
            add_witnesses(&self.on.semis, facts, &mut set);
            set
        };
        let kind = self.reduce(self.kind, facts, held);
        let around_on = match kind {
            JoinKind::Inner => {
                self.left.visit(facts, held, found);
                self.right.visit(facts, held, found);
                held.to_vec()
            }
            JoinKind::Left => {
                self.left.visit(facts, held, found);
                let inside = settle_trees(&[&self.left, &self.right], facts, matching());
                self.right.visit(facts, &inside, found);
                inside
            }
            JoinKind::Right => {
                let inside = settle_trees(&[&self.left, &self.right], facts, matching());
                self.left.visit(facts, &inside, found);
                self.right.visit(facts, held, found);
                inside
            }
            JoinKind::Full => {
                for side in [&self.left, &self.right] {
                    let mut set = Set::default();
                    set.extend(held);
                    side.visit(facts, &settle_trees(&[side], facts, set), found);
                }
                held.to_vec()
            }
        };
        for semi in &self.on.semis {
            semi.visit_inside(facts, &around_on, found);
        }
        for nested in &self.on.nested {
            nested.visit(facts, &around_on, found);
        }
    }
}

impl Tree {
    pub(super) fn empty() -> Self {
        Self::Leaf { occurrence: None, nested: Vec::new() }
    }

    fn visit(&self, facts: &Facts, held: &[FactId], found: &mut dyn FnMut(&Occurrence, &[FactId])) {
        if facts.exhausted() {
            return;
        }
        match self {
            Self::Leaf { occurrence, nested } => {
                if let Some(occurrence) = occurrence {
                    found(occurrence, held);
                }
                for level in nested {
                    level.visit(facts, held, found);
                }
            }
            Self::Sub(level) => level.visit_inside(facts, held, found),
            Self::Join(join) => join.visit(facts, held, found),
        }
    }
}
