//! SELECT, VALUES, UNION and WITH: each becomes a level, and the columns that it gives to what is around it. Knows the
//! grammar's SelectStmt; conditions and FROM are read next door.

use super::levels::{Conditions, Level};
use super::scope::{Column, Exports, Item, Relation, Scope, column_names};
use super::state::Analysis;
use super::with::Env;
use crate::tree::{self, body, each_object, items, tagged, text};
use parse_tree::{Constant, Fields, constant};
use serde_json::Value;
use std::rc::Rc;

impl<'a> Analysis<'a> {
    /// Any query that may stand in parentheses or in WITH.
    pub(super) fn query(&mut self, query: &'a Value, env: &Env<'_, 'a>) -> (Level, Exports<'a>) {
        match tagged(query) {
            Some(("SelectStmt", select)) => self.select(select, env),
            Some(("InsertStmt", insert)) => self.insert(insert, env),
            Some(("UpdateStmt", update)) => self.update(update, env),
            Some(("DeleteStmt", delete)) => self.delete(delete, env),
            Some(("MergeStmt", merge)) => self.merge(merge, env),
            // Its tables are found when all of the tree is searched at the end.
            _ => (Level::default(), Exports::unknown()),
        }
    }

    pub(super) fn select(&mut self, select: Fields<'a>, env: &Env<'_, 'a>) -> (Level, Exports<'a>) {
        let first = self.facts.next_key();
        let mut level = Level { witnessed: true, transparent: true, ..Level::default() };
        let env = &Env { outer: env.outer, ctes: self.with(select, env, &mut level.apart) };
        let exports = if !matches!(select.text("op"), "" | "SETOP_NONE") {
            self.union(select, env, &mut level)
        } else if !select.list("valuesLists").is_empty() {
            self.values(select, env, &mut level)
        } else {
            self.plain_select(select, env, &mut level)
        };
        let has_limit = select.has("limitCount") || select.has("limitOffset");
        level.transparent &= !has_limit;
        level.keys = first..self.facts.next_key();
        (level, exports)
    }

    fn plain_select(&mut self, select: Fields<'a>, env: &Env<'_, 'a>, level: &mut Level) -> Exports<'a> {
        let mut relations = Vec::new();
        for item in select.list("fromClause") {
            let (tree, found) = self.source_item(item, env, &relations);
            level.from.push(tree);
            relations.extend(found);
        }
        let scope = &Scope { relations: &relations, outer: env.outer };
        if let Some(condition) = select.get("whereClause") {
            self.conditions(condition, scope, env, &mut level.filter);
        }
        if let Some(condition) = select.get("havingClause") {
            // What it says of keys is true of the rows of every group that is left; its subqueries see groups.
            let mut having = Conditions::default();
            self.conditions(condition, scope, env, &mut having);
            level.filter.facts.append(&mut having.facts);
            level.filter.nested.append(&mut having.semis);
            level.filter.nested.append(&mut having.nested);
        }
        for clause in
            ["targetList", "distinctClause", "groupClause", "windowClause", "sortClause", "limitCount", "limitOffset"]
        {
            if let Some(clause) = select.get(clause) {
                self.nested(clause, scope, env, &mut level.filter.nested);
            }
        }
        for locking in select.list("lockingClause").iter().filter_map(|locking| body(locking, "LockingClause")) {
            // FOR UPDATE OF names aliases, not tables.
            self.accounted.extend(
                locking.list("lockedRels").iter().filter_map(|alias| alias.get("RangeVar")).map(std::ptr::from_ref),
            );
        }
        level.filter.nothing |= select.get("limitCount").is_some_and(is_zero);
        let mut exports = self.target_list(select.list("targetList"), scope);
        let calls =
            FunctionCalls::of([select.get("targetList"), select.get("sortClause"), select.get("distinctClause")]);
        let groups = select.list("groupClause");
        let grouping_sets = groups.iter().any(|group| body(group, "GroupingSet").is_some());
        let may_be_one_group = groups.is_empty()
            && (select.has("havingClause")
                || (calls.any && !selects_own_column(select.list("targetList"), &relations)));
        if grouping_sets {
            // Rows of the larger groups have NULL in the columns of the smaller ones.
            exports.columns.iter_mut().for_each(|(_, column)| *column = Column::Unknown);
        }
        level.witnessed = !grouping_sets && !may_be_one_group;
        let distinct_on = select.list("distinctClause").iter().any(|expression| tagged(expression).is_some());
        level.transparent = !calls.window && !distinct_on && !grouping_sets;
        exports
    }

    /// Result columns of a SELECT or RETURNING.
    pub(super) fn target_list(&mut self, targets: &'a [Value], scope: &Scope<'_, 'a>) -> Exports<'a> {
        let mut exports = Exports::default();
        for target in targets.iter().filter_map(|target| body(target, "ResTarget")) {
            let Some(value) = target.get("val") else { continue };
            match star(value) {
                Some(None) => exports.push_all(scope.relations, false),
                Some(Some(name)) => {
                    let named: Vec<_> =
                        scope.relations.iter().filter(|relation| relation.name == Some(name)).cloned().collect();
                    exports.open |= named.len() != 1;
                    exports.push_all(&named, true);
                }
                None => {
                    let last_field =
                        body(value, "ColumnRef").and_then(|column| tree::names(column, "fields")?.last().copied());
                    let column = match self.column_of(value, scope) {
                        Column::Unknown if is_value(value) => Column::Items {
                            items: Rc::new([Item { expression: value, elements: false }]),
                            certain: true,
                        },
                        column => column,
                    };
                    exports.push(text(target, "name").or(last_field), column);
                }
            }
        }
        exports
    }

    fn values(&mut self, select: Fields<'a>, env: &Env<'_, 'a>, level: &mut Level) -> Exports<'a> {
        const NAMES: [&str; 8] =
            ["column1", "column2", "column3", "column4", "column5", "column6", "column7", "column8"];
        let rows: Vec<_> = select.list("valuesLists").iter().map(items).collect();
        let scope = &Scope { relations: &[], outer: env.outer };
        for clause in ["valuesLists", "sortClause", "limitCount", "limitOffset"] {
            if let Some(clause) = select.get(clause) {
                self.nested(clause, scope, env, &mut level.filter.nested);
            }
        }
        // A `(row).*` becomes several columns, so that those after it stand elsewhere.
        let placed =
            |row: &&[Value]| row.iter().position(|value| star(value).is_some() || has_star(value)).unwrap_or(row.len());
        let width = rows.iter().map(placed).min().unwrap_or(0);
        let mut exports = Exports::default();
        for position in 0..width {
            let items = rows.iter().map(|row| Item { expression: &row[position], elements: false }).collect();
            exports.push(NAMES.get(position).copied(), Column::Items { items, certain: true });
        }
        exports.open = rows.iter().any(|row| row.len() > width);
        exports
    }

    fn union(&mut self, select: Fields<'a>, env: &Env<'_, 'a>, level: &mut Level) -> Exports<'a> {
        // A long chain of UNIONs leans to the left: it is walked, not recursed into.
        let mut arms = Vec::new();
        let mut left = select;
        while let (Some(next), Some(arm)) = (left.bare("larg"), left.bare("rarg")) {
            arms.push(arm);
            left = next;
            let is_plain_union = left.has("larg") && !left.has("withClause");
            if !is_plain_union {
                break;
            }
        }
        arms.push(left);
        let mut branches = Vec::new();
        for arm in arms.into_iter().rev() {
            branches.push(self.select(arm, env));
        }
        for clause in ["sortClause", "limitCount", "limitOffset"] {
            if let Some(clause) = select.get(clause) {
                self.nested(clause, &Scope { relations: &[], outer: env.outer }, env, &mut level.filter.nested);
            }
        }
        let mut exports = Exports::default();
        let width = branches.iter().map(|(_, exports)| exports.placed).min().unwrap_or(0);
        for position in 0..width {
            let name = branches[0].1.columns[position].0;
            let column = self.either(branches.iter().map(|(level, exports)| (level, &exports.columns[position].1)));
            exports.push(name, column);
        }
        exports.open = branches.iter().any(|(_, exports)| exports.open || exports.columns.len() > width);
        level.apart.extend(branches.into_iter().map(|(level, _)| level));
        // No row of it comes from a row of its own FROM, so it brings no facts with it, and takes none.
        level.transparent = false;
        exports
    }
}

/// The alias of something in FROM: its name, and new names of its columns.
pub(super) fn aliased<'a>(item: Fields<'a>, exports: Exports<'a>) -> Relation<'a> {
    let alias = item.bare("alias");
    let exports = match column_names(alias) {
        Some(names) => exports.rename(&names),
        None => exports,
    };
    exports.into_relation(alias.and_then(|alias| text(alias, "aliasname")))
}

/// `*` is Some(None), `t.*` is Some(Some("t")); a longer one names nothing that is known.
fn star(value: &Value) -> Option<Option<&str>> {
    let fields = body(value, "ColumnRef")?.list("fields");
    let (last, before) = fields.split_last()?;
    body(last, "A_Star")?;
    match before {
        [] => Some(None),
        [name] => Some(Some(tree::string(name)?)),
        _ => Some(Some("")),
    }
}

/// `(row).*`
fn has_star(value: &Value) -> bool {
    body(value, "A_Indirection")
        .is_some_and(|value| value.list("indirection").iter().any(|step| body(step, "A_Star").is_some()))
}

/// A literal or a parameter, perhaps cast: the same in every row, and there in every row.
fn is_value(expression: &Value) -> bool {
    let mut inner = expression;
    while let Some(cast) = body(inner, "TypeCast") {
        let Some(argument) = cast.get("arg") else { return false };
        inner = argument;
    }
    matches!(tagged(inner), Some(("A_Const" | "ParamRef", _)))
}

fn is_zero(limit: &Value) -> bool {
    constant(limit) == Some(Constant::Integer(0))
}

/// A bare column of its own FROM in the target list: without GROUP BY PostgreSQL then takes no aggregate beside it.
fn selects_own_column(targets: &[Value], relations: &[Relation<'_>]) -> bool {
    targets.iter().filter_map(|target| body(target, "ResTarget")?.get("val")).any(|value| {
        let Some(fields) = body(value, "ColumnRef").map(|column| column.list("fields")) else { return false };
        let is_star = fields.last().is_some_and(|field| body(field, "A_Star").is_some());
        let names: Vec<_> = fields.iter().filter_map(tree::string).collect();
        if is_call_by_dot(value) {
            return false;
        }
        match *names.as_slice() {
            [] => is_star && !relations.is_empty(),
            [name] if !is_star => relations.iter().any(|relation| relation.columns.iter().any(|(own, _)| *own == name)),
            [name] | [name, _] => relations.iter().any(|relation| relation.name == Some(name)),
            _ => false,
        }
    })
}

/// `u.count` is `count(u)` when u has no such column: of PostgreSQL's aggregates, those that take whole rows.
fn is_call_by_dot(value: &Value) -> bool {
    let Some([.., _, last]) = body(value, "ColumnRef").map(|column| column.list("fields")) else { return false };
    let aggregates = [
        "count",
        "array_agg",
        "json_agg",
        "json_agg_strict",
        "jsonb_agg",
        "jsonb_agg_strict",
        "any_value",
        "min",
        "max",
    ];
    tree::string(last).is_some_and(|name| aggregates.contains(&name))
}

struct FunctionCalls {
    any: bool,
    window: bool,
}

impl FunctionCalls {
    fn of(clauses: [Option<&Value>; 3]) -> Self {
        let mut calls = Self { any: false, window: false };
        for clause in clauses.into_iter().flatten() {
            each_object(clause, |value, fields| {
                calls.any |= matches!(tagged(value), Some(("FuncCall" | "JsonObjectAgg" | "JsonArrayAgg", _)));
                calls.any |= is_call_by_dot(value);
                // OVER has a field of its own, in whatever kind of call.
                calls.window |= fields.has("over");
                true
            });
        }
        calls
    }
}
