//! INSERT, UPDATE, DELETE, MERGE: what goes into which column.

use super::query::{column, table_item};
use super::{Context, Reader, table_of};
use crate::kinds::Kind;
use crate::model::{Assigned, Assignment, Conflict, Insert, Item, Operation, Source, Table, Target};
use crate::seen::{Content, Seen, names_a_column, see};
use parse_tree::{Fields, Node, Relation};
use serde_json::Value;

impl<'a> Reader<'a> {
    pub(super) fn insert(&mut self, fields: Fields<'a>, context: &Context<'a>) {
        let context = &self.with(fields, context);
        let Some(target) = self.target(fields) else { return };
        let table = table_of(&target);
        let conflict = fields.bare("onConflictClause");
        let updates = conflict.is_some_and(|conflict| conflict.text("action") == "ONCONFLICT_UPDATE");
        self.uses(table, updates || returns(fields), true, Operation::Insert);

        let source = match fields.get("selectStmt") {
            None => Source::Defaults,
            Some(query) => self.rows(query, context),
        };
        let level = self.open_level(context);
        self.item(level, table_item(&target));
        self.item(level, Item { table: None, name: "excluded", aliased: true, renames_columns: false });
        let scope = self.visible(level);
        let inner = context.inside(level, scope.clone());
        if let Some(conflict) = conflict.filter(|_| updates) {
            if let Some(condition) = conflict.get("whereClause") {
                self.conditions(condition, level, &scope, &scope, context);
            }
            self.assignments(table, conflict.list("targetList"), true, &inner);
        }
        self.walk_fields(fields, &["withClause", "relation", "cols", "selectStmt"], &inner);

        self.model.inserts.push(Insert {
            table,
            columns: columns(fields.list("cols")),
            source,
            conflict: conflict.filter(|_| updates).map(|conflict| Conflict { columns: inferred(conflict), level }),
        });
    }

    pub(super) fn update(&mut self, fields: Fields<'a>, context: &Context<'a>) {
        if !restricted(fields) {
            self.model.kinds.insert(Kind::UpdateWithoutWhere);
        }
        let Some(inner) = self.change(fields, "fromClause", context) else { return };
        let Some(target) = self.target(fields) else { return };
        self.assignments(table_of(&target), fields.list("targetList"), false, &inner);
    }

    pub(super) fn delete(&mut self, fields: Fields<'a>, context: &Context<'a>) {
        if !restricted(fields) {
            self.model.kinds.insert(Kind::DeleteWithoutWhere);
        }
        self.change(fields, "usingClause", context);
    }

    /// Everything that UPDATE and DELETE have in common.
    fn change(&mut self, fields: Fields<'a>, from: &str, context: &Context<'a>) -> Option<Context<'a>> {
        let context = &self.with(fields, context);
        let target = self.target(fields)?;
        let condition = fields.get("whereClause");
        let inner = self.level(fields.list(from), condition, Some(target), false, context);
        let level = self.level_of(&inner);
        let reads = condition.is_some() || returns(fields) || fields.has(from);
        self.uses(table_of(&target), reads, true, Operation::Rows { level, item: 0 });
        self.walk_fields(fields, &["withClause", "relation", from], &inner);
        Some(inner)
    }

    pub(super) fn merge(&mut self, fields: Fields<'a>, context: &Context<'a>) {
        let context = &self.with(fields, context);
        let Some(target) = self.target(fields) else { return };
        let table = table_of(&target);
        let level = self.open_level(context);
        let item = self.item(level, table_item(&target));
        self.uses(table, true, true, Operation::Rows { level, item });
        let mut pending = super::query::Pending::default();
        match fields.get("sourceRelation") {
            Some(source) => {
                let place = super::query::Place { level, writes: false, left: [item].into() };
                let source = self.from(source, &place, context, &mut pending);
                self.model.levels[level].from.push(source);
            }
            None => self.model.unknown = Some("MERGE"),
        }
        let scope = self.visible(level);
        let clauses: Vec<_> = fields.nodes("mergeWhenClauses").map(|clause| clause.fields).collect();
        // Rows of the source are kept whether they match or not; those of the target too, with BY SOURCE.
        let keeps_target = clauses.iter().any(|clause| clause.text("matchKind") == "MERGE_WHEN_NOT_MATCHED_BY_SOURCE");
        if let Some(condition) = fields.get("joinCondition").filter(|_| !keeps_target) {
            self.conditions(condition, level, &scope, &[item].into(), context);
        }
        self.pending(pending, level, context);
        let inner = context.inside(level, scope);
        for clause in clauses {
            match clause.text("commandType") {
                "CMD_UPDATE" => self.assignments(table, clause.list("targetList"), false, &inner),
                "CMD_INSERT" => self.merge_insert(table, clause, &inner),
                _ => {}
            }
        }
        self.walk_fields(fields, &["withClause", "relation", "sourceRelation"], &inner);
    }

    fn merge_insert(&mut self, table: Table<'a>, clause: Fields<'a>, inner: &Context<'a>) {
        let source = match clause.list("values") {
            [] => Source::Defaults,
            values => Source::Rows(vec![values.iter().map(|value| assigned(value, inner)).collect()]),
        };
        let columns = columns(clause.list("targetList"));
        self.model.inserts.push(Insert { table, columns, source, conflict: None });
    }

    fn target(&mut self, fields: Fields<'a>) -> Option<Relation<'a>> {
        let target = fields.bare("relation").and_then(Relation::of_fields);
        if target.is_none() {
            self.model.unknown = Some("target");
        }
        target
    }

    fn level_of(&self, context: &Context<'a>) -> usize {
        context.outer.as_ref().map_or(0, |outer| outer.level)
    }

    /// What INSERT inserts, row for row or query for query.
    fn rows(&mut self, query: &'a Value, context: &Context<'a>) -> Source<'a> {
        let Some(fields) = Node::of_kind(query, "SelectStmt") else {
            self.model.unknown = Some("INSERT");
            return Source::Defaults;
        };
        let mut rows = Vec::new();
        for leaf in self.query(fields, context) {
            match leaf.inner {
                Some(inner) => {
                    let inner = Context { outer: Some(inner), ..context.clone() };
                    rows.push(targets(leaf.fields.list("targetList"), &inner));
                }
                None => {
                    for row in leaf.fields.nodes("valuesLists") {
                        rows.push(row.fields.list("items").iter().map(|value| assigned(value, context)).collect());
                    }
                }
            }
        }
        Source::Rows(rows)
    }

    fn assignments(&mut self, table: Table<'a>, targets: &'a [Value], on_conflict: bool, inner: &Context<'a>) {
        for target in targets.iter().filter_map(|target| Node::of_kind(target, "ResTarget")) {
            let mut assigned = target.get("val").map_or_else(hidden, |value| assigned(part_of_row(value), inner));
            assigned.uncertain = target.has("indirection");
            let column = target.text("name");
            self.model.assignments.push(Assignment { table, column, assigned, on_conflict });
        }
    }
}

/// `(a, b) = (1, 2)` has the whole row at each column, with the column's place in it.
fn part_of_row(value: &Value) -> &Value {
    let Some(part) = Node::of_kind(value, "MultiAssignRef") else { return value };
    let row = part.get("source").and_then(|source| Node::of_kind(source, "RowExpr"));
    let place = usize::try_from(part.number("colno")).ok().and_then(|number| number.checked_sub(1));
    row.zip(place).and_then(|(row, place)| row.list("args").get(place)).unwrap_or(value)
}

/// The target list of a SELECT; from a star on nobody knows which entry is which column.
fn targets<'a>(list: &'a [Value], inner: &Context<'a>) -> Vec<Assigned<'a>> {
    let mut uncertain = false;
    let mut targets = Vec::with_capacity(list.len());
    for target in list {
        let Some(value) = Node::of_kind(target, "ResTarget").and_then(|target| target.get("val")) else {
            uncertain = true;
            continue;
        };
        uncertain = uncertain || is_star(value);
        targets.push(Assigned { uncertain, ..assigned(value, inner) });
    }
    targets
}

fn is_star(value: &Value) -> bool {
    Node::of(value).is_some_and(|node| {
        let parts = node.fields.list("fields").iter().chain(node.fields.list("indirection"));
        parts.filter_map(Node::of).any(|part| part.is("A_Star"))
    })
}

fn assigned<'a>(value: &'a Value, inner: &Context<'a>) -> Assigned<'a> {
    let column = column(value).zip(inner.outer.clone());
    Assigned { value: see(value, inner.parameters), column, uncertain: false }
}

fn hidden<'a>() -> Assigned<'a> {
    Assigned { value: Seen { content: Content::Hidden, casts: Vec::new() }, column: None, uncertain: true }
}

/// INSERT's column list; `None` without one.
fn columns(list: &[Value]) -> Option<Vec<Target<'_>>> {
    let targets = list.iter().filter_map(|target| Node::of_kind(target, "ResTarget"));
    let columns: Vec<_> =
        targets.map(|target| Target { name: target.text("name"), part: target.has("indirection") }).collect();
    (!columns.is_empty()).then_some(columns)
}

/// The plain columns that ON CONFLICT names.
fn inferred(conflict: Fields<'_>) -> Vec<&str> {
    let elements = conflict.bare("infer").map(|infer| infer.nodes("indexElems")).into_iter().flatten();
    elements.filter(|element| !element.fields.has("expr")).map(|element| element.fields.text("name")).collect()
}

fn returns(fields: Fields<'_>) -> bool {
    fields.has("returningClause") || fields.has("returningList")
}

/// WHERE that names no column, such as `WHERE true`, restricts nothing.
fn restricted(fields: Fields<'_>) -> bool {
    fields.get("whereClause").is_some_and(names_a_column)
}
