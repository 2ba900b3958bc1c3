//! Every statement must say which rows of a table it means: `tenant_id = …`, AND-ed, wherever the table appears.

use super::{Found, Rules, named, some_patterns};
use crate::bound::{Bounds, Effort};
use crate::config::{self, Required};
use crate::finding::{Check, Value};
use crate::model::{Assigned, Assignment, Conflict, Insert, Model, Operation, Source, Table};
use crate::seen::{Content, Seen};
use parse_tree::Pattern;
use parse_tree::pattern::identifier;

#[derive(Debug)]
pub(crate) struct RequirePredicate {
    pub(super) tables: Vec<Pattern>,
    pub(super) column: String,
    required: Required,
}

impl RequirePredicate {
    pub(super) fn new(config: config::RequirePredicate) -> Result<Self, String> {
        Ok(RequirePredicate {
            tables: some_patterns("tables", &config.tables)?,
            column: identifier(&config.column).map_err(|error| format!("column: {error}"))?,
            required: config.value,
        })
    }

    /// For messages, which do not tell the value itself.
    fn value(&self) -> &'static str {
        match self.required {
            Required::Any => "value",
            Required::Constant(_) | Required::Session(_) => "the required value",
        }
    }

    pub(super) fn looks_at_values(&self) -> bool {
        self.required != Required::Any
    }

    pub(super) fn examine(&self, rules: &Rules, model: &Model<'_>, found: &mut Found) {
        let examination = Examination { rule: self, rules, model, effort: Effort::new() };
        examination.run(found);
    }
}

struct Examination<'e, 'a> {
    rule: &'e RequirePredicate,
    rules: &'e Rules,
    model: &'e Model<'a>,
    effort: Effort,
}

impl<'a> Examination<'_, 'a> {
    fn run(&self, found: &mut Found) {
        for used in &self.model.tables {
            if !self.concerns(used.table) {
                continue;
            }
            match used.operation {
                Operation::Rows { level, item } => self.rows(used.table, level, item, found),
                Operation::CopyTo | Operation::Truncate => {
                    found.refuse(format!(
                        "all rows of table {} at once are not allowed, only those with a certain \"{}\"",
                        named(used.table),
                        self.rule.column
                    ));
                }
                Operation::Insert | Operation::CopyFrom | Operation::Other => {}
            }
        }
        for insert in self.model.inserts.iter().filter(|insert| self.concerns(insert.table)) {
            self.insert(insert, found);
        }
        for assignment in self.model.assignments.iter().filter(|assignment| self.concerns(assignment.table)) {
            self.assignment(assignment, found);
        }
    }

    fn concerns(&self, table: Table<'a>) -> bool {
        self.rules.schemas.any_may_mean(&self.rule.tables, table)
    }

    /// What the column of rows that are chosen must equal.
    fn rows(&self, table: Table<'a>, level: usize, item: usize, found: &mut Found) {
        let column = &self.rule.column;
        if self.model.levels[level].items[item].renames_columns {
            found.refuse(format!(
                "columns of table {} may not be renamed: its \"{column}\" must be compared with a value",
                named(table)
            ));
            return;
        }
        let values = self.bounds(|bounds| bounds.of_item(level, item));
        let (table, value) = (named(table), self.rule.value());
        self.require(&values, format!("table {table} may only be used with a condition \"{column}\" = {value}"), found);
    }

    fn insert(&self, insert: &Insert<'a>, found: &mut Found) {
        let column = &self.rule.column;
        let table = named(insert.table);
        let message = format!("rows of table {table} must be inserted with a value for \"{column}\"");
        let place = insert.columns.as_ref().map(|columns| columns.iter().position(|target| target.name == column));
        let Some(Some(place)) = place else {
            let listed = matches!(place, Some(None)) || matches!(insert.source, Source::Defaults);
            let detail =
                if listed { "The column is not in the list of columns." } else { "The columns must be listed." };
            found.refuse_with_detail(message, detail.to_owned());
            return;
        };
        match &insert.source {
            Source::Defaults => found.refuse(message),
            Source::Copy if self.rule.required == Required::Any => {}
            Source::Copy => found.refuse_with_detail(message, "The values of COPY are not seen.".to_owned()),
            Source::Rows(rows) => {
                for row in rows {
                    match row.get(place) {
                        Some(assigned) => self.assigned(assigned, message.clone(), found),
                        None => found.refuse(message.clone()),
                    }
                }
            }
        }
        if let Some(conflict) = &insert.conflict {
            self.conflict(insert.table, conflict, found);
        }
    }

    /// ON CONFLICT DO UPDATE changes a row that is there already: it must be one with the same value.
    fn conflict(&self, table: Table<'a>, conflict: &Conflict<'a>, found: &mut Found) {
        let column = self.rule.column.as_str();
        if conflict.columns.contains(&column) {
            return;
        }
        let values = self.bounds(|bounds| bounds.of_item(conflict.level, 0));
        let (table, value) = (named(table), self.rule.value());
        let message = format!(
            "ON CONFLICT DO UPDATE of table {table} must have \"{column}\" in its target, or a condition \"{column}\" = {value}"
        );
        self.require(&values, message, found);
    }

    fn assignment(&self, assignment: &Assignment<'a>, found: &mut Found) {
        if assignment.column != self.rule.column || self.rule.required == Required::Any {
            return;
        }
        let message = format!(
            "\"{}\" of table {} may only be set to the required value",
            self.rule.column,
            named(assignment.table)
        );
        let excluded = assignment.assigned.column.as_ref().is_some_and(|(column, _)| {
            assignment.on_conflict && column.qualifier == Some("excluded") && column.name == self.rule.column
        });
        if !excluded {
            self.assigned(&assignment.assigned, message, found);
        }
    }

    /// A value on its way into the column.
    fn assigned(&self, assigned: &Assigned<'a>, message: String, found: &mut Found) {
        if assigned.uncertain {
            found.refuse_with_detail(message, "The value cannot be seen.".to_owned());
            return;
        }
        if self.rule.required == Required::Any {
            return;
        }
        let mut values = vec![vec![assigned.value.clone()]];
        if let Some((column, stands)) = &assigned.column {
            values.extend(self.bounds(|bounds| bounds.of_column(column, stands)));
        }
        self.require(&values, message, found);
    }

    fn bounds<T>(&self, ask: impl FnOnce(&Bounds<'_, 'a>) -> T) -> T {
        let first_only = self.rule.required == Required::Any;
        let has_column = |table: Table<'a>| self.rules.has_column(table, &self.rule.column);
        ask(&Bounds {
            model: self.model,
            column: &self.rule.column,
            has_column: &has_column,
            first_only,
            effort: &self.effort,
        })
    }

    /// One of the alternatives must be what the rule requires.
    fn require(&self, alternatives: &[Vec<Seen<'a>>], message: String, found: &mut Found) {
        let required = &self.rule.required;
        if self.effort.is_spent() {
            found.refuse_with_detail(message, "The statement is too complex to be examined further.".to_owned());
            return;
        }
        if *required == Required::Any {
            if !alternatives.iter().any(|values| values.iter().all(|value| value.content != Content::Default)) {
                found.refuse(message);
            }
            return;
        }
        let comparable: Vec<Vec<Value>> = alternatives
            .iter()
            .filter_map(|values| values.iter().map(|value| Value::of(value, required)).collect::<Option<Vec<_>>>())
            .filter(|values| !values.is_empty())
            .collect();
        match comparable.is_empty() {
            true => found.refuse(message),
            false => {
                found.check(message, Check::Equals { required: required.clone(), alternatives: comparable });
            }
        }
    }
}
