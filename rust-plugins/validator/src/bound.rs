//! Which values a column must equal: follows the equalities of a level from column to column, and out of subqueries.
//!
//! It may miss an equality that holds, never find one that does not. Only names are known, not which table has which
//! columns, except that the tables of rules have the column that their rule names.

use crate::model::{ColumnName, Equality, From, Item, Join, JoinKind, Model, Operand, Outer, Table};
use crate::seen::Seen;
use std::cell::Cell;

pub(crate) struct Bounds<'m, 'a> {
    pub(crate) model: &'m Model<'a>,
    pub(crate) column: &'m str,
    /// Tables that have this column.
    pub(crate) has_column: &'m dyn Fn(Table<'a>) -> bool,
    /// One list of values is enough.
    pub(crate) first_only: bool,
    pub(crate) effort: &'m Effort,
}

/// Keeps a hostile statement from taking long: once it is spent, nothing more is found.
#[derive(Debug)]
pub(crate) struct Effort(Cell<usize>);

impl Effort {
    pub(crate) fn new() -> Self {
        Effort(Cell::new(2_000_000))
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    fn spend(&self, steps: usize) {
        self.0.set(self.0.get().saturating_sub(steps));
    }
}

type Place<'m> = (usize, usize, &'m str);

impl<'m, 'a> Bounds<'m, 'a> {
    /// What the rule's column of an item must equal: one of the values in each list.
    pub(crate) fn of_item(&self, level: usize, item: usize) -> Vec<Vec<Seen<'a>>> {
        let mut found = Vec::new();
        self.follow((level, item, self.column), &mut Vec::new(), &mut found);
        found
    }

    /// The same for a column that is named somewhere.
    pub(crate) fn of_column(&self, column: &'m ColumnName<'a>, stands: &'m Outer) -> Vec<Vec<Seen<'a>>> {
        let mut found = Vec::new();
        if let Some(place) = self.place(stands.level, &stands.scope, column) {
            self.follow(place, &mut Vec::new(), &mut found);
        }
        found
    }

    fn follow(&self, place: Place<'m>, visited: &mut Vec<Place<'m>>, found: &mut Vec<Vec<Seen<'a>>>) {
        self.effort.spend(visited.len());
        if visited.contains(&place) {
            return;
        }
        visited.push(place);
        let (level, item, _) = place;
        let model = self.model;
        self.effort.spend(model.levels[level].equalities.len());
        for equality in model.levels[level].equalities.iter().filter(|equality| equality.restricts.contains(&item)) {
            for (this, other) in [(&equality.left, &equality.right), (&equality.right, &equality.left)] {
                if self.effort.is_spent() || self.first_only && !found.is_empty() {
                    return;
                }
                if !matches!(this, Operand::Column(column) if self.means(column, equality, place)) {
                    continue;
                }
                match other {
                    Operand::Values(values) => {
                        self.effort.spend(values.len());
                        found.push(values.clone());
                    }
                    Operand::Column(column) => {
                        if let Some(next) = self.place(level, &equality.scope, column) {
                            self.follow(next, visited, found);
                        }
                    }
                }
            }
        }
        if place.2 == self.column {
            let mut partners = Vec::new();
            model.levels[level].from.iter().for_each(|from| self.partners(level, from, item, &mut partners));
            for partner in partners {
                self.follow((level, partner, self.column), visited, found);
            }
        }
    }

    /// Whether the column, where the equality stands, is that of the place.
    fn means(&self, column: &ColumnName<'a>, equality: &Equality<'a>, (level, item, name): Place<'m>) -> bool {
        if column.name != name {
            return false;
        }
        match column.qualifier {
            Some(_) => self.qualified(level, &equality.scope, column) == Found::Item(item),
            // Without a qualifier it is this table's, or one that USING made of several, or PostgreSQL refuses it as ambiguous.
            None => equality.scope.contains(&item) && self.is_subject(level, item) && name == self.column,
        }
    }

    /// Where a column is from.
    fn place(&self, mut level: usize, scope: &'m [usize], column: &'m ColumnName<'a>) -> Option<Place<'m>> {
        if column.qualifier.is_none() {
            return match scope {
                [only] if column.name == self.column && self.is_subject(level, *only) => {
                    Some((level, *only, column.name))
                }
                _ => None,
            };
        }
        let mut scope = scope;
        loop {
            match self.qualified(level, scope, column) {
                Found::Item(item) => return Some((level, item, column.name)),
                Found::Hidden => return None,
                Found::Nowhere => {}
            }
            let outer = self.model.levels[level].outer.as_ref()?;
            (level, scope) = (outer.level, &outer.scope);
        }
    }

    fn qualified(&self, level: usize, scope: &[usize], column: &ColumnName<'a>) -> Found {
        let level = &self.model.levels[level];
        self.effort.spend(level.items.len());
        let fitting: Vec<_> = (0..level.items.len()).filter(|&item| goes_by(&level.items[item], column)).collect();
        let seen: Vec<_> = fitting.iter().filter(|item| scope.contains(item)).collect();
        match seen.as_slice() {
            // The schema of a table that was named without one is a guess, unless there is nothing else it could be.
            [item] if column.schema.is_some() && level.outer.is_some() && !has_schema(&level.items[**item]) => {
                Found::Hidden
            }
            [item] => Found::Item(**item),
            _ if !fitting.is_empty() || level.unnamed => Found::Hidden,
            _ if level.join_names.iter().any(|name| column.qualifier == Some(name)) => Found::Hidden,
            _ => Found::Nowhere,
        }
    }

    /// Whether the item is a table that has the rule's column under its own name.
    fn is_subject(&self, level: usize, item: usize) -> bool {
        let item = &self.model.levels[level].items[item];
        !item.renames_columns && item.table.is_some_and(|table| (self.has_column)(table))
    }

    /// Items whose column the item's must equal because of USING or NATURAL.
    fn partners(&self, level: usize, from: &From<'a>, item: usize, partners: &mut Vec<usize>) {
        let From::Join(join) = from else { return };
        if self.effort.is_spent() {
            return;
        }
        self.partners(level, &join.left, item, partners);
        self.partners(level, &join.right, item, partners);
        if !self.merges(join) {
            return;
        }
        if matches!(join.kind, JoinKind::Inner | JoinKind::Left) && self.merged(level, &join.right).contains(&item) {
            partners.extend(self.valued(level, &join.left));
        }
        if matches!(join.kind, JoinKind::Inner | JoinKind::Right) && self.merged(level, &join.left).contains(&item) {
            partners.extend(self.valued(level, &join.right));
        }
    }

    fn merges(&self, join: &Join<'a>) -> bool {
        join.natural || join.using.contains(&self.column)
    }

    /// Items whose column is the one that this part of FROM offers under the rule's column's name, or part of it.
    fn merged(&self, level: usize, from: &From<'a>) -> Vec<usize> {
        self.effort.spend(1);
        match from {
            From::Item(item) => Vec::from_iter(self.is_subject(level, *item).then_some(*item)),
            From::Join(join) if join.aliased => Vec::new(),
            From::Join(join) => [self.merged(level, &join.left), self.merged(level, &join.right)].concat(),
        }
    }

    /// Of those, the items whose value it always is.
    fn valued(&self, level: usize, from: &From<'a>) -> Vec<usize> {
        match from {
            From::Item(_) => self.merged(level, from),
            From::Join(join) if join.aliased => Vec::new(),
            From::Join(join) => match (self.merges(join), join.kind) {
                (true, JoinKind::Left) => self.valued(level, &join.left),
                (true, JoinKind::Right) => self.valued(level, &join.right),
                (true, JoinKind::Full) => Vec::new(),
                (true, JoinKind::Inner) | (false, _) => {
                    [self.valued(level, &join.left), self.valued(level, &join.right)].concat()
                }
            },
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Item(usize),
    /// There is one of that name, but not one that this place may name: what it means is left open.
    Hidden,
    Nowhere,
}

fn goes_by(item: &Item<'_>, column: &ColumnName<'_>) -> bool {
    let Some(qualifier) = column.qualifier.filter(|qualifier| !qualifier.is_empty()) else { return false };
    match column.schema {
        None => item.name == qualifier,
        // Only a table without an alias can be named with its schema, and the table may have been named without.
        Some(schema) => {
            !item.aliased
                && item
                    .table
                    .is_some_and(|table| table.name == qualifier && table.schema.is_none_or(|own| own == schema))
        }
    }
}

fn has_schema(item: &Item<'_>) -> bool {
    item.table.is_some_and(|table| table.schema.is_some())
}
