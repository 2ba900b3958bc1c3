//! INSERT, UPDATE, DELETE and MERGE: where rows are written, and that a key never moves to another shard. Knows the
//! grammar's statements; what their conditions say is read next door.

use super::facts::{Fact, KeyId};
use super::levels::{Join, JoinKind, Level, Occurrence, Tree};
use super::scope::{Column, Exports, Relation, Scope};
use super::state::{Analysis, Missing, Purpose, Requirement};
use super::values::Unusable;
use super::with::Env;
use crate::config::{Known, Table};
use crate::refusal::{Refusal, Use};
use crate::source::{Failure, Null, Source};
use crate::tree::{body, tagged, text};
use parse_tree::Fields;
use serde_json::Value;
use std::rc::Rc;

impl<'a> Analysis<'a> {
    pub(super) fn insert(&mut self, insert: Fields<'a>, env: &Env<'_, 'a>) -> (Level, Exports<'a>) {
        let first = self.facts.next_key();
        let mut level = Level { witnessed: true, ..Level::default() };
        let env = &Env { outer: env.outer, ctes: self.with(insert, env, &mut level.apart) };
        let (target, relation) = self.target(insert);
        let source = insert.get("selectStmt").map(|query| self.query(query, env));
        if let Some(Occurrence { table, key }) = target {
            match self.inserted(insert, table, source.as_ref()) {
                Ok(sources) => {
                    self.requirements.push(Requirement {
                        table,
                        purpose: Purpose::Insert,
                        sources: Rc::clone(&sources),
                    });
                    // A row that was there already, when ON CONFLICT finds one, is on the same shard.
                    level.filter.facts.push(self.facts.add(Fact::OneOf(key, sources)));
                }
                Err(unusable) => self.unusable(table, unusable),
            }
            self.on_conflict(insert, key, &relation, env, &mut level);
        } else {
            self.on_conflict_elsewhere(insert, &relation, env, &mut level);
        }
        level.apart.extend(source.map(|(level, _)| level));
        let exports = self.returning(insert, &[relation], env, &mut level);
        level.keys = first..self.facts.next_key();
        (level, exports)
    }

    fn unusable(&mut self, table: usize, unusable: Unusable) {
        match unusable {
            Unusable::Because(reason) => {
                let reason = format!("The row's {} is not known: {reason}", self.sharding.tables[table].column);
                self.missing.push(Missing { table, used: Use::Insert, reason });
            }
            Unusable::Wrong(failure) => self.wrong(table, &failure),
        }
    }

    fn wrong(&mut self, table: usize, failure: &Failure) {
        self.refuse(Refusal::failure(&self.sharding.tables[table], failure, &self.sharding.server_encoding));
    }

    /// The keys of the rows that an INSERT makes.
    fn inserted(
        &mut self,
        insert: Fields<'a>,
        table: usize,
        source: Option<&(Level, Exports<'a>)>,
    ) -> Result<Rc<[Source]>, Unusable> {
        let listed = &self.sharding.tables[table];
        let (level, exports) = source.ok_or("its value is DEFAULT, which the server makes up")?;
        if insert.text("override") == "OVERRIDING_USER_VALUE" {
            return Err("OVERRIDING USER VALUE takes none of the values that are given for an identity column".into());
        }
        let position = column_position(insert.list("cols"), listed)?;
        let column =
            exports.at(position).ok_or("there is no value for it that can be told from the statement alone")?;
        self.stored(level, column, listed.key)
    }

    fn on_conflict(
        &mut self,
        insert: Fields<'a>,
        key: KeyId,
        relation: &Relation<'a>,
        env: &Env<'_, 'a>,
        level: &mut Level,
    ) {
        let Some(clause) = insert.bare("onConflictClause") else { return };
        let excluded = Relation { name: Some("excluded"), table: None, ..relation.clone() };
        let relations = [relation.clone(), excluded];
        let scope = Scope { relations: &relations, outer: env.outer };
        self.nested_in(clause, &scope, env, &mut level.filter.nested);
        self.key_changes(clause.list("targetList"), key, &scope, level);
    }

    fn on_conflict_elsewhere(
        &mut self,
        insert: Fields<'a>,
        relation: &Relation<'a>,
        env: &Env<'_, 'a>,
        level: &mut Level,
    ) {
        let Some(clause) = insert.bare("onConflictClause") else { return };
        let relations = [relation.clone(), Relation::unknown(Some("excluded"))];
        self.nested_in(clause, &Scope { relations: &relations, outer: env.outer }, env, &mut level.filter.nested);
    }

    pub(super) fn update(&mut self, update: Fields<'a>, env: &Env<'_, 'a>) -> (Level, Exports<'a>) {
        let first = self.facts.next_key();
        let mut apart = Vec::new();
        let env = &Env { outer: env.outer, ctes: self.with(update, env, &mut apart) };
        let (target, relation) = self.target(update);
        let key = target.as_ref().map(|target| target.key);
        let (mut level, relations) = self.target_and(target, relation, update.list("fromClause"), env);
        level.apart = apart;
        let scope = &Scope { relations: &relations, outer: env.outer };
        if let Some(condition) = update.get("whereClause") {
            self.conditions(condition, scope, env, &mut level.filter);
        }
        if let Some(targets) = update.get("targetList") {
            self.nested(targets, scope, env, &mut level.filter.nested);
        }
        if let Some(key) = key {
            self.key_changes(update.list("targetList"), key, scope, &level);
        }
        let exports = self.returning(update, &relations, env, &mut level);
        level.keys = first..self.facts.next_key();
        (level, exports)
    }

    pub(super) fn delete(&mut self, delete: Fields<'a>, env: &Env<'_, 'a>) -> (Level, Exports<'a>) {
        let first = self.facts.next_key();
        let mut apart = Vec::new();
        let env = &Env { outer: env.outer, ctes: self.with(delete, env, &mut apart) };
        let (target, relation) = self.target(delete);
        let (mut level, relations) = self.target_and(target, relation, delete.list("usingClause"), env);
        level.apart = apart;
        if let Some(condition) = delete.get("whereClause") {
            self.conditions(condition, &Scope { relations: &relations, outer: env.outer }, env, &mut level.filter);
        }
        let exports = self.returning(delete, &relations, env, &mut level);
        level.keys = first..self.facts.next_key();
        (level, exports)
    }

    pub(super) fn merge(&mut self, merge: Fields<'a>, env: &Env<'_, 'a>) -> (Level, Exports<'a>) {
        let first = self.facts.next_key();
        let mut level = Level { witnessed: true, ..Level::default() };
        let env = &Env { outer: env.outer, ctes: self.with(merge, env, &mut level.apart) };
        let (source, source_relations) = match merge.get("sourceRelation") {
            Some(source) => self.source_item(source, env, &[]),
            None => (Tree::empty(), Vec::new()),
        };
        let middle = self.facts.next_key();
        let (target, relation) = self.target(merge);
        let table_and_key = target.as_ref().map(|target| (target.table, target.key));
        let end = self.facts.next_key();
        let relations: Vec<_> = source_relations.iter().cloned().chain([relation]).collect();
        let scope = &Scope { relations: &relations, outer: env.outer };
        let mut join = Join {
            kind: JoinKind::Full,
            left: source,
            right: Tree::Leaf { occurrence: target, nested: Vec::new() },
            keys: (first..middle, middle..end),
            on: Default::default(),
        };
        if let Some(condition) = merge.get("joinCondition") {
            self.conditions(condition, scope, env, &mut join.on);
        }
        let clauses: Vec<_> =
            merge.list("mergeWhenClauses").iter().filter_map(|clause| body(clause, "MergeWhenClause")).collect();
        // Rows without a match matter on the side that a clause asks for them.
        let asks_for = |kind| clauses.iter().any(|clause| clause.text("matchKind") == kind);
        join.kind = match (asks_for("MERGE_WHEN_NOT_MATCHED_BY_TARGET"), asks_for("MERGE_WHEN_NOT_MATCHED_BY_SOURCE")) {
            (false, false) => JoinKind::Inner,
            (true, false) => JoinKind::Left,
            (false, true) => JoinKind::Right,
            (true, true) => JoinKind::Full,
        };
        // What holds of the source's rows alone, and of pairs that match.
        let unmatched = Level { from: vec![join.left], ..Level::default() };
        let matched_facts: Vec<_> = unmatched.settle(&self.facts, &join.on.facts);
        for clause in clauses {
            self.nested_in(clause, scope, env, &mut level.filter.nested);
            let Some((table, key)) = table_and_key else { continue };
            match clause.text("commandType") {
                "CMD_INSERT" => {
                    let by_source = Scope { relations: &source_relations, outer: env.outer };
                    match self.merge_inserted(clause, table, &by_source, &unmatched) {
                        Ok(sources) => self.requirements.push(Requirement { table, purpose: Purpose::Insert, sources }),
                        Err(unusable) => self.unusable(table, unusable),
                    }
                }
                "CMD_UPDATE" => {
                    let mut pairs = Level::default();
                    pairs.filter.facts.clone_from(&matched_facts);
                    self.key_changes(clause.list("targetList"), key, scope, &pairs);
                }
                _ => {}
            }
        }
        let mut unmatched = unmatched;
        join.left = unmatched.from.pop().unwrap_or(Tree::empty());
        level.from.push(Tree::Join(Box::new(join)));
        self.returning(merge, &relations, env, &mut level);
        level.keys = first..self.facts.next_key();
        // What RETURNING gives may come from an INSERT or from a row that was there.
        (level, Exports::unknown())
    }

    fn merge_inserted(
        &mut self,
        clause: Fields<'a>,
        table: usize,
        scope: &Scope<'_, 'a>,
        source: &Level,
    ) -> Result<Rc<[Source]>, Unusable> {
        let listed = &self.sharding.tables[table];
        if clause.text("override") == "OVERRIDING_USER_VALUE" {
            return Err("OVERRIDING USER VALUE takes none of the values that are given for an identity column".into());
        }
        let position = column_position(clause.list("targetList"), listed)?;
        let value = clause.list("values").get(position).ok_or("its value is DEFAULT, which the server makes up")?;
        self.stored_value(value, table, scope, source)
    }

    /// The values that an expression can have when it is stored as a key.
    fn stored_value(
        &mut self,
        value: &'a Value,
        table: usize,
        scope: &Scope<'_, 'a>,
        level: &Level,
    ) -> Result<Rc<[Source]>, Unusable> {
        let key = self.sharding.tables[table].key;
        match self.column_of(value, scope) {
            Column::Unknown if body(value, "ColumnRef").is_some() => {
                Err("its value comes from a column of unknown value".into())
            }
            Column::Unknown => Ok(self.wanted_of(key, true, Null::IsAKey).one(value)?.into_iter().collect()),
            column => self.stored(level, &column, key),
        }
    }

    /// SET of the key: only to what belongs on the same shard.
    fn key_changes(&mut self, targets: &'a [Value], key: KeyId, scope: &Scope<'_, 'a>, level: &Level) {
        let table = self.table_of_key(key);
        let listed = &self.sharding.tables[table];
        for target in targets.iter().filter_map(|target| body(target, "ResTarget")) {
            if target.text("name") != listed.column {
                continue;
            }
            let value = target.get("val").map(single_assignment);
            let sources = match value {
                Some(Some(value)) if matches!(self.column_of(value, scope), Column::Key(same) if same == key) => {
                    continue;
                }
                Some(Some(value)) if target.list("indirection").is_empty() => {
                    self.stored_value(value, table, scope, level)
                }
                _ => Err("its value comes from a subquery".into()),
            };
            match sources {
                Ok(sources) => self.requirements.push(Requirement { table, purpose: Purpose::KeyChange, sources }),
                Err(Unusable::Because(reason)) => {
                    self.refuse(Refusal::key_changes(listed, &format!("In SET {}, {reason}", listed.column)))
                }
                Err(Unusable::Wrong(failure)) => self.wrong(table, &failure),
            }
        }
    }

    /// The table that a statement writes to.
    fn target(&mut self, statement: Fields<'a>) -> (Option<Occurrence>, Relation<'a>) {
        let Some(range) = statement.get("relation") else { return (None, Relation::unknown(None)) };
        self.refuse_reference(range);
        self.occurrence(range)
    }

    /// Tables that every shard holds whole are written on every shard or on none.
    pub(super) fn refuse_reference(&mut self, range: &'a Value) {
        let Some(fields) = Fields::of(range) else { return };
        if let Known::Reference(name) = self.sharding.known(text(fields, "schemaname"), fields.text("relname")) {
            self.refuse(Refusal::reference_write(name));
        }
    }

    /// A target joined with what stands in UPDATE's FROM or DELETE's USING.
    fn target_and(
        &mut self,
        target: Option<Occurrence>,
        relation: Relation<'a>,
        from: &'a [Value],
        env: &Env<'_, 'a>,
    ) -> (Level, Vec<Relation<'a>>) {
        let mut level = Level::with_target(target);
        let mut beside = Vec::new();
        for item in from {
            let (tree, found) = self.source_item(item, env, &beside);
            level.from.push(tree);
            beside.extend(found);
        }
        (level, [relation].into_iter().chain(beside).collect())
    }

    fn returning(
        &mut self,
        statement: Fields<'a>,
        relations: &[Relation<'a>],
        env: &Env<'_, 'a>,
        level: &mut Level,
    ) -> Exports<'a> {
        // Before PostgreSQL 18 the grammar had a list here.
        let targets = match statement.bare("returningClause") {
            Some(clause) => clause.list("exprs"),
            None => statement.list("returningList"),
        };
        let scope = Scope { relations, outer: env.outer };
        for target in targets {
            self.nested(target, &scope, env, &mut level.filter.nested);
        }
        let mut exports = self.target_list(targets, &scope);
        let sets_key =
            statement.list("targetList").iter().filter_map(|target| body(target, "ResTarget")).any(|target| {
                let sharded = relations.first().and_then(|relation| relation.columns.first());
                sharded.is_some_and(|(column, _)| target.text("name") == *column)
            });
        if sets_key {
            // RETURNING gives the new key, conditions speak of the old one.
            exports.columns.iter_mut().for_each(|(_, column)| *column = Column::Unknown);
        }
        exports
    }
}

/// Where the key's value stands among the values of an INSERT.
fn column_position(columns: &[Value], table: &Table) -> Result<usize, Unusable> {
    if columns.is_empty() {
        return table.key_position().ok_or_else(|| {
            "the INSERT has no column list, and the configuration does not list the table's columns".into()
        });
    }
    columns
        .iter()
        .filter_map(|column| body(column, "ResTarget"))
        .position(|column| column.text("name") == table.column && column.list("indirection").is_empty())
        .ok_or_else(|| "the column list does not name it, so it takes its default".into())
}

/// The value that one column gets in `SET a = 1` or `SET (a, b) = (1, 2)`; None for `SET (a, b) = (SELECT …)`.
fn single_assignment(value: &Value) -> Option<&Value> {
    match tagged(value) {
        Some(("MultiAssignRef", assignment)) => {
            let column = assignment.number("colno").checked_sub(1)?;
            let parts = body(assignment.get("source")?, "RowExpr")?.list("args");
            parts.get(usize::try_from(column).ok()?)
        }
        _ => Some(value),
    }
}
