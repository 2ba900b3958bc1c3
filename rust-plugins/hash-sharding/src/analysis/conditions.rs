//! What a WHERE, ON or HAVING says of sharding keys: equalities, IN lists, = ANY, AND and OR of them, EXISTS and IN with a
//! subquery. Whatever else stands there may only make rows fewer, and is searched for subqueries.

use super::facts::{Fact, FactId, KeyId};
use super::levels::{Conditions, Level};
use super::scope::{Column, Exports, Scope};
use super::state::Analysis;
use super::values::{Unusable, Wanted, are_different_integers, keep_equality, peel};
use super::with::Env;
use crate::refusal::Refusal;
use crate::source::{Null, Source};
use crate::tree::{body, each_object, is_builtin, items, names, tagged};
use parse_tree::{Constant, Fields, constant};
use serde_json::Value;
use std::collections::HashSet;
use std::rc::Rc;

impl<'a> Analysis<'a> {
    /// Adds what an expression says that must be true of every row.
    pub(super) fn conditions(
        &mut self,
        expression: &'a Value,
        scope: &Scope<'_, 'a>,
        env: &Env<'_, 'a>,
        out: &mut Conditions,
    ) {
        match tagged(expression) {
            Some(("BoolExpr", junction)) => match junction.text("boolop") {
                "AND_EXPR" => {
                    for part in junction.list("args") {
                        self.conditions(part, scope, env, out);
                    }
                }
                "OR_EXPR" => self.alternatives(junction.list("args"), scope, env, out),
                _ => self.nested(expression, scope, env, &mut out.nested),
            },
            Some(("A_Expr", comparison)) => self.comparison(expression, comparison, scope, env, out),
            Some(("SubLink", link)) => self.subquery_condition(expression, link, scope, env, out),
            Some(("A_Const", _)) => {
                out.nothing |= matches!(constant(expression), Some(Constant::Boolean(false) | Constant::Null))
            }
            // The cursor stands where the transaction is: its row is on that shard.
            Some(("CurrentOfExpr", _)) => out.nothing = true,
            _ => self.nested(expression, scope, env, &mut out.nested),
        }
    }

    fn comparison(
        &mut self,
        whole: &'a Value,
        comparison: Fields<'a>,
        scope: &Scope<'_, 'a>,
        env: &Env<'_, 'a>,
        out: &mut Conditions,
    ) {
        let equals = is_builtin(comparison, "name", "=");
        let (Some(left), Some(right)) = (comparison.get("lexpr"), comparison.get("rexpr")) else {
            return self.nested(whole, scope, env, &mut out.nested);
        };
        match comparison.text("kind") {
            "AEXPR_OP" if equals => {
                if let Some((key, query)) = scalar_subquery(left, right).or_else(|| scalar_subquery(right, left)) {
                    // The row that it gives must exist for the equality to be true; more than one row is an error wherever they are.
                    let (mut level, exports) = self.query(query, &Env { outer: Some(scope), ctes: env.ctes.clone() });
                    level.transparent = false;
                    self.equate_columns(key, &exports, 0, scope, &mut out.facts);
                    out.semis.push(level);
                    return self.nested(key, scope, env, &mut out.nested);
                }
                out.nothing |= are_different_integers(left, right);
                self.equate(left, right, Null::MatchesNothing, scope, &mut out.facts);
            }
            "AEXPR_NOT_DISTINCT" => self.equate(left, right, Null::Refused, scope, &mut out.facts),
            "AEXPR_IN" if equals => {
                let all: Vec<_> = items(right).iter().collect();
                self.one_of(left, &all, scope, &mut out.facts);
            }
            "AEXPR_OP_ANY" if equals => {
                if let Column::Key(key) = self.column_of(left, scope) {
                    let wanted = self.wanted(key, false, Null::MatchesNothing);
                    let sources = wanted.elements(right);
                    self.constrain(key, sources, &mut out.facts);
                }
            }
            _ => {}
        }
        self.nested(whole, scope, env, &mut out.nested);
    }

    /// EXISTS (…), x IN (SELECT …), (x, y) = ANY (SELECT …): a row of the subquery must be there.
    fn subquery_condition(
        &mut self,
        whole: &'a Value,
        link: Fields<'a>,
        scope: &Scope<'_, 'a>,
        env: &Env<'_, 'a>,
        out: &mut Conditions,
    ) {
        let inside = Env { outer: Some(scope), ctes: env.ctes.clone() };
        match (link.text("subLinkType"), link.get("subselect")) {
            ("EXISTS_SUBLINK", Some(query)) => {
                let (level, _) = self.query(query, &inside);
                out.semis.push(level);
            }
            ("ANY_SUBLINK", Some(query)) if link.list("operName").is_empty() || is_builtin(link, "operName", "=") => {
                let (level, exports) = self.query(query, &inside);
                if let Some(tested) = link.get("testexpr") {
                    match row(tested) {
                        Some(parts) => {
                            for (position, part) in parts.iter().enumerate() {
                                self.equate_columns(part, &exports, position, scope, &mut out.facts);
                            }
                        }
                        None => self.equate_columns(tested, &exports, 0, scope, &mut out.facts),
                    }
                    self.nested(tested, scope, env, &mut out.nested);
                }
                out.semis.push(level);
            }
            _ => self.nested(whole, scope, env, &mut out.nested),
        }
    }

    /// One of several conditions is true: what all of them say is true.
    fn alternatives(&mut self, branches: &'a [Value], scope: &Scope<'_, 'a>, env: &Env<'_, 'a>, out: &mut Conditions) {
        let mut possible: Vec<Vec<FactId>> = Vec::new();
        for branch in branches {
            let mut conditions = Conditions::default();
            self.conditions(branch, scope, env, &mut conditions);
            // A subquery of one branch says nothing when another is true: its tables count as in any other expression.
            out.nested.append(&mut conditions.nested);
            out.nested.append(&mut conditions.semis);
            if !conditions.nothing {
                possible.push(conditions.facts);
            }
        }
        let Some((first, others)) = possible.split_first() else {
            out.nothing = true;
            return;
        };
        let mut keys: Vec<KeyId> = Vec::new();
        let mut seen = HashSet::new();
        for &fact in first {
            let (pair, count) = match self.facts.get(fact) {
                Fact::Equal(a, b) => ([*a, *b], 2),
                Fact::OneOf(key, _) => ([*key, *key], 1),
            };
            keys.extend(pair[..count].iter().filter(|key| seen.insert(**key)));
        }
        for key in keys {
            let values: Option<Vec<_>> = possible.iter().map(|facts| self.facts.values_of(key, facts)).collect();
            if let Some(values) = values {
                let union: Rc<[Source]> = values.iter().flat_map(|sources| sources.iter().cloned()).collect();
                out.facts.push(self.facts.add(Fact::OneOf(key, union)));
            }
        }
        for &fact in first {
            let Fact::Equal(a, b) = *self.facts.get(fact) else { continue };
            let says_so = |&other: &FactId| matches!(*self.facts.get(other), Fact::Equal(c, d) if (a, b) == (c, d) || (a, b) == (d, c));
            if others.iter().all(|facts| facts.iter().any(says_so)) {
                out.facts.push(fact);
            }
        }
    }

    /// `left = right`, both of them columns, values or rows of such.
    pub(super) fn equate(
        &mut self,
        left: &'a Value,
        right: &'a Value,
        null: Null,
        scope: &Scope<'_, 'a>,
        out: &mut Vec<FactId>,
    ) {
        if let (Some(left), Some(right)) = (row(left), row(right)) {
            if left.len() == right.len() && null == Null::MatchesNothing {
                for (left, right) in left.iter().zip(right) {
                    self.equate(left, right, null, scope, out);
                }
            }
            return;
        }
        match (self.column_of(left, scope), self.column_of(right, scope)) {
            // `a IS NOT DISTINCT FROM b` is also true where both are NULL, so it says less than a = b.
            (Column::Key(_), Column::Key(_)) if null == Null::Refused => {}
            (Column::Key(key), Column::Unknown) => self.compare(key, right, null, out),
            (Column::Unknown, Column::Key(key)) => self.compare(key, left, null, out),
            (left, right) if null == Null::MatchesNothing => out.extend(self.equal(&left, &right)),
            _ => {}
        }
    }

    fn compare(&mut self, key: KeyId, value: &'a Value, null: Null, out: &mut Vec<FactId>) {
        if body(value, "ColumnRef").is_some() {
            return;
        }
        let sources = self.wanted(key, false, null).one(value).map(|source| source.into_iter().collect());
        self.constrain(key, sources, out);
    }

    fn constrain(&mut self, key: KeyId, sources: Result<Vec<Source>, Unusable>, out: &mut Vec<FactId>) {
        match sources {
            Ok(sources) => out.push(self.facts.add(Fact::OneOf(key, sources.into()))),
            Err(Unusable::Because(reason)) => self.facts.note(key, reason),
            Err(Unusable::Wrong(failure)) => {
                let table = self.table_of_key(key);
                self.refuse(Refusal::failure(&self.sharding.tables[table], &failure, &self.sharding.server_encoding));
            }
        }
    }

    /// `x IN (…)`, also with rows: `(x, y) IN ((1, 2), (3, 4))`.
    fn one_of(&mut self, tested: &'a Value, values: &[&'a Value], scope: &Scope<'_, 'a>, out: &mut Vec<FactId>) {
        if let Some(parts) = row(tested) {
            let rows: Option<Vec<_>> =
                values.iter().map(|value| row(value).filter(|row| row.len() == parts.len())).collect();
            let Some(rows) = rows else { return };
            for (position, part) in parts.iter().enumerate() {
                let column: Vec<_> = rows.iter().map(|row| &row[position]).collect();
                self.one_of(part, &column, scope, out);
            }
            return;
        }
        if let Column::Key(key) = self.column_of(tested, scope) {
            let wanted = self.wanted(key, false, Null::MatchesNothing);
            let sources: Result<Vec<_>, _> = values.iter().map(|value| wanted.one(value)).collect();
            self.constrain(key, sources.map(|sources| sources.into_iter().flatten().collect()), out);
        }
    }

    fn equate_columns(
        &mut self,
        tested: &'a Value,
        exports: &Exports<'a>,
        position: usize,
        scope: &Scope<'_, 'a>,
        out: &mut Vec<FactId>,
    ) {
        if let Some(column) = exports.at(position) {
            let tested = self.column_of(tested, scope);
            out.extend(self.equal(&tested, column));
        }
    }

    /// The fact that two columns are equal, when it says something of a key.
    pub(super) fn equal(&mut self, a: &Column<'a>, b: &Column<'a>) -> Option<FactId> {
        let fact = match (a, b) {
            (Column::Key(a), Column::Key(b)) => {
                let same_family = self.facts.key_type(*a).family() == self.facts.key_type(*b).family();
                (same_family && a != b).then_some(Fact::Equal(*a, *b))?
            }
            (Column::Key(key), Column::Keys { ty, sources, .. })
            | (Column::Keys { ty, sources, .. }, Column::Key(key)) => {
                (self.facts.key_type(*key).family() == ty.family()).then(|| Fact::OneOf(*key, Rc::clone(sources)))?
            }
            (Column::Key(key), Column::Items { items, .. }) | (Column::Items { items, .. }, Column::Key(key)) => {
                match self.wanted(*key, false, Null::MatchesNothing).all(items) {
                    Ok(sources) => Fact::OneOf(*key, sources.into()),
                    Err(Unusable::Because(reason)) => {
                        self.facts.note(*key, reason);
                        return None;
                    }
                    Err(Unusable::Wrong(_)) => return None,
                }
            }
            _ => return None,
        };
        Some(self.facts.add(fact))
    }

    /// The column that an expression is, casts that change nothing left away.
    pub(super) fn column_of(&self, expression: &'a Value, scope: &Scope<'_, 'a>) -> Column<'a> {
        let Some((inner, casts)) = peel(expression, false) else { return Column::Unknown };
        let Some(fields) = body(inner, "ColumnRef").and_then(|column| names(column, "fields")) else {
            return Column::Unknown;
        };
        match scope.column(self.sharding, &fields) {
            Column::Key(key) if keep_equality(&casts, self.facts.key_type(key).family()) => Column::Key(key),
            column @ (Column::Keys { .. } | Column::Items { .. }) if casts.is_empty() => column,
            _ => Column::Unknown,
        }
    }

    pub(super) fn wanted(&self, key: KeyId, stored: bool, null: Null) -> Wanted {
        self.wanted_of(self.facts.key_type(key), stored, null)
    }

    /// Searches an expression for subqueries.
    pub(super) fn nested(
        &mut self,
        expression: &'a Value,
        scope: &Scope<'_, 'a>,
        env: &Env<'_, 'a>,
        out: &mut Vec<Level>,
    ) {
        each_object(expression, |value, _| {
            let is_query = body(value, "SelectStmt").is_some();
            if is_query {
                let (level, _) = self.query(value, &Env { outer: Some(scope), ctes: env.ctes.clone() });
                out.push(level);
            }
            !is_query
        });
    }

    /// The same in all fields of a clause.
    pub(super) fn nested_in(
        &mut self,
        clause: Fields<'a>,
        scope: &Scope<'_, 'a>,
        env: &Env<'_, 'a>,
        out: &mut Vec<Level>,
    ) {
        for (_, value) in clause.iter() {
            self.nested(value, scope, env, out);
        }
    }
}

/// The parts of a row: `(a, b)` or `ROW(a, b)`.
fn row(expression: &Value) -> Option<&[Value]> {
    body(expression, "RowExpr").map(|row| row.list("args"))
}

/// The other side and the query of `x = (SELECT …)`.
fn scalar_subquery<'a>(other: &'a Value, side: &'a Value) -> Option<(&'a Value, &'a Value)> {
    let link = body(side, "SubLink").filter(|link| link.text("subLinkType") == "EXPR_SUBLINK")?;
    Some((other, link.get("subselect")?))
}
