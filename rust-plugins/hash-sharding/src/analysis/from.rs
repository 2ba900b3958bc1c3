//! What stands in FROM: tables, joins, subqueries, functions. Each becomes a tree of joins and the relations that it makes
//! visible. Follows PostgreSQL in who sees whom: LATERAL, USING, NATURAL, aliases of joins.

use super::levels::{Conditions, Join, JoinKind, Level, Occurrence, Tree};
use super::query::aliased;
use super::scope::{Column, Exports, Found, Item, Relation, Scope, column_names, find, make_uncertain};
use super::state::Analysis;
use super::with::{Env, find_cte};
use crate::config::Known;
use crate::tree::{self, body, items, tagged, text};
use parse_tree::Fields;
use serde_json::Value;
use std::rc::Rc;

impl<'a> Analysis<'a> {
    /// `before` are the relations to the left of it, which LATERAL sees.
    pub(super) fn source_item(
        &mut self,
        item: &'a Value,
        env: &Env<'_, 'a>,
        before: &[Relation<'a>],
    ) -> (Tree, Vec<Relation<'a>>) {
        match tagged(item) {
            Some(("RangeVar", _)) => match item.get("RangeVar") {
                Some(range) => self.table(range, env),
                None => (Tree::empty(), Vec::new()),
            },
            Some(("RangeTableSample", sample)) => {
                let Some(relation) = sample.get("relation") else { return (Tree::empty(), Vec::new()) };
                let (mut tree, relations) = self.source_item(relation, env, before);
                if let (Tree::Leaf { nested, .. }, Some(arguments)) = (&mut tree, sample.get("args")) {
                    self.nested(arguments, &Scope { relations: before, outer: env.outer }, env, nested);
                }
                (tree, relations)
            }
            Some(("RangeSubselect", subselect)) => {
                let beside = Scope { relations: before, outer: env.outer };
                let outer = if subselect.flag("lateral") { Some(&beside) } else { env.outer };
                let Some(query) = subselect.get("subquery") else { return (Tree::empty(), Vec::new()) };
                let (level, exports) = self.query(query, &Env { outer, ctes: env.ctes.clone() });
                (Tree::Sub(Box::new(level)), vec![aliased(subselect, exports)])
            }
            Some(("JoinExpr", join)) => self.join(join, env, before),
            Some(("RangeFunction", function)) => {
                let beside = Scope { relations: before, outer: env.outer };
                let mut nested = Vec::new();
                self.nested(item, &beside, env, &mut nested);
                (Tree::Leaf { occurrence: None, nested }, vec![function_relation(function)])
            }
            Some((_, other)) => {
                // XMLTABLE, JSON_TABLE
                let beside = Scope { relations: before, outer: env.outer };
                let mut nested = Vec::new();
                self.nested(item, &beside, env, &mut nested);
                let name = other.bare("alias").and_then(|alias| text(alias, "aliasname"));
                (Tree::Leaf { occurrence: None, nested }, vec![Relation::unknown(name)])
            }
            None => (Tree::empty(), vec![Relation::unknown(None)]),
        }
    }

    fn table(&mut self, range: &'a Value, env: &Env<'_, 'a>) -> (Tree, Vec<Relation<'a>>) {
        let Some(fields) = Fields::of(range) else { return (Tree::empty(), Vec::new()) };
        let alias = fields.bare("alias").and_then(|alias| text(alias, "aliasname"));
        let name = fields.text("relname");
        if text(fields, "schemaname").is_none() {
            if let Some(exports) = find_cte(&env.ctes, name) {
                self.accounted.insert(range);
                let mut relation = aliased(fields, exports);
                relation.name = alias.or(Some(name));
                return (Tree::empty(), vec![relation]);
            }
        }
        let (occurrence, relation) = self.occurrence(range);
        (Tree::Leaf { occurrence, nested: Vec::new() }, vec![relation])
    }

    /// A table itself, be it read or changed: never a common table expression.
    pub(super) fn occurrence(&mut self, range: &'a Value) -> (Option<Occurrence>, Relation<'a>) {
        self.accounted.insert(range);
        let Some(fields) = Fields::of(range) else { return (None, Relation::unknown(None)) };
        let alias = fields.bare("alias");
        let own_name = fields.text("relname");
        let name = alias.and_then(|alias| text(alias, "aliasname")).unwrap_or(own_name);
        let Known::Sharded(table) = self.sharding.known(text(fields, "schemaname"), own_name) else {
            return (None, Relation::unknown(Some(name)));
        };
        self.touched = true;
        let key = self.new_key(table);
        let listed = &self.sharding.tables[table];
        let column = match (column_names(alias), listed.key_position()) {
            (None, _) => Some(listed.column.as_str()),
            (Some(names), Some(position)) => Some(names.get(position).copied().unwrap_or(&listed.column)),
            (Some(_), None) => {
                self.facts.note(key, "the alias of the table gives its columns other names".to_owned());
                None
            }
        };
        let relation = Relation {
            name: Some(name),
            table: alias.is_none().then_some(table),
            columns: column.map(|column| (column, Column::Key(key))).into_iter().collect(),
            merged: Vec::new(),
            open: true,
        };
        (Some(Occurrence { table, key }), relation)
    }

    fn join(&mut self, join: Fields<'a>, env: &Env<'_, 'a>, before: &[Relation<'a>]) -> (Tree, Vec<Relation<'a>>) {
        let kind = match join.text("jointype") {
            "JOIN_LEFT" => JoinKind::Left,
            "JOIN_RIGHT" => JoinKind::Right,
            "JOIN_FULL" => JoinKind::Full,
            _ => JoinKind::Inner,
        };
        let start = self.facts.next_key();
        let (left, mut left_relations) = match join.get("larg") {
            Some(left) => self.source_item(left, env, before),
            None => (Tree::empty(), Vec::new()),
        };
        let middle = self.facts.next_key();
        let (right, mut right_relations) = match join.get("rarg") {
            Some(right) => {
                let beside: Vec<_> = before.iter().chain(&left_relations).cloned().collect();
                self.source_item(right, env, &beside)
            }
            None => (Tree::empty(), Vec::new()),
        };
        let end = self.facts.next_key();
        let mut on = Conditions::default();
        let merged = self.merge_columns(join, kind, &mut left_relations, &mut right_relations, &mut on);
        let mut relations: Vec<_> = left_relations.iter().chain(&right_relations).cloned().collect();
        if let Some(condition) = join.get("quals") {
            self.conditions(condition, &Scope { relations: &relations, outer: env.outer }, env, &mut on);
        }
        let left_count = left_relations.len();
        match kind {
            JoinKind::Inner => {}
            JoinKind::Left => make_uncertain(&mut relations[left_count..]),
            JoinKind::Right => make_uncertain(&mut relations[..left_count]),
            JoinKind::Full => make_uncertain(&mut relations),
        }
        relations.extend(merged);
        if let Some(alias) = join.bare("alias") {
            relations = vec![under_one_name(&relations, alias)];
        }
        let tree = Tree::Join(Box::new(Join { kind, left, right, keys: (start..middle, middle..end), on }));
        (tree, relations)
    }

    /// USING and NATURAL: the columns that both sides have become one, and are equal.
    fn merge_columns(
        &mut self,
        join: Fields<'a>,
        kind: JoinKind,
        left: &mut [Relation<'a>],
        right: &mut [Relation<'a>],
        on: &mut Conditions,
    ) -> Option<Relation<'a>> {
        let names = if join.flag("isNatural") {
            common_names(left, right)
        } else {
            tree::names(join, "usingClause").unwrap_or_default()
        };
        if names.is_empty() {
            return None;
        }
        let mut merged = Relation {
            name: join.bare("join_using_alias").and_then(|alias| text(alias, "aliasname")),
            ..Relation::default()
        };
        for name in names {
            let side = |relations: &[Relation<'a>]| match find(relations, name) {
                Found::One(column) => column,
                Found::Unclear | Found::Nothing => Column::Unknown,
            };
            let (of_left, of_right) = (side(left), side(right));
            let equal = self.equal(&of_left, &of_right);
            on.facts.extend(equal);
            // Beside a column of unknown type the merged one may have that type, and compare by its rules.
            let column = match (kind, equal) {
                (_, None) | (JoinKind::Full, _) => Column::Unknown,
                (JoinKind::Right, _) => of_right,
                (JoinKind::Left, _) => of_left,
                (JoinKind::Inner, _) => match of_left {
                    Column::Key(_) => of_left,
                    _ => of_right,
                },
            };
            merged.columns.push((name, column));
            for relation in left.iter_mut().chain(right.iter_mut()) {
                relation.merged.push(name);
            }
        }
        Some(merged)
    }
}

/// For NATURAL: known columns that the other side has too, or may have.
fn common_names<'a>(left: &[Relation<'a>], right: &[Relation<'a>]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (own, other) in [(left, right), (right, left)] {
        for relation in own {
            for (name, _) in
                relation.columns.iter().filter(|(name, _)| !name.is_empty() && !relation.merged.contains(name))
            {
                if !names.contains(name) && !matches!(find(other, name), Found::Nothing) {
                    names.push(*name);
                }
            }
        }
    }
    names
}

/// `(a JOIN b …) AS j`: only j is visible, with the columns of both.
fn under_one_name<'a>(relations: &[Relation<'a>], alias: Fields<'a>) -> Relation<'a> {
    let mut relation = Relation::unknown(text(alias, "aliasname"));
    if column_names(Some(alias)).is_none() {
        for inner in relations {
            for (name, column) in inner.columns.iter().filter(|(name, _)| !inner.merged.contains(name)) {
                relation.columns.push((name, column.clone()));
            }
        }
        relation.open = relations.iter().any(|inner| inner.open);
    }
    relation
}

/// `unnest($1) AS t(id)` has the elements of an array; of other functions nothing is known.
fn function_relation<'a>(function: Fields<'a>) -> Relation<'a> {
    let alias = function.bare("alias");
    let name = alias.and_then(|alias| text(alias, "aliasname"));
    let call = match function.list("functions") {
        [only] => items(only).first().and_then(|call| body(call, "FuncCall")),
        _ => None,
    };
    let arguments = call.filter(|call| is_unnest(*call)).map_or(&[][..], |call| call.list("args"));
    if arguments.is_empty() {
        return Relation::unknown(
            name.or_else(|| call.and_then(|call| tree::names(call, "funcname")?.last().copied())),
        );
    }
    let mut exports = Exports::default();
    for argument in arguments {
        let items: Rc<[_]> = Rc::new([Item { expression: argument, elements: true }]);
        // Shorter arrays beside longer ones are filled up with NULL. Without names a single column has the alias's.
        exports.push(
            name.filter(|_| arguments.len() == 1).or(Some("unnest")),
            Column::Items { items, certain: arguments.len() == 1 },
        );
    }
    exports.open = function.flag("ordinality");
    let exports = match column_names(alias) {
        Some(names) => exports.rename(&names),
        None => exports,
    };
    exports.into_relation(name.or(Some("unnest")))
}

fn is_unnest(call: Fields<'_>) -> bool {
    matches!(tree::names(call, "funcname").as_deref(), Some(["unnest"] | ["pg_catalog", "unnest"]))
}

impl Level {
    /// A level with one occurrence in front of its FROM: the target of UPDATE, DELETE or MERGE.
    pub(super) fn with_target(occurrence: Option<Occurrence>) -> Self {
        Self { from: vec![Tree::Leaf { occurrence, nested: Vec::new() }], witnessed: true, ..Self::default() }
    }
}
