//! What goes into a JSON column must fit a JSON Schema.

use super::{Found, named, some_patterns};
use crate::config;
use crate::finding::Check;
use crate::model::{Assigned, Insert, Model, Source, Table};
use crate::scope::Schemas;
use crate::seen::{Content, Seen};
use boon::{Compiler, Draft, SchemaIndex, UrlLoader, ValidationError};
use parse_tree::pattern::identifier;
use parse_tree::{Constant, Pattern, TypeName};
use serde_json::Value;
use std::fmt;

pub(crate) struct JsonRule {
    tables: Vec<Pattern>,
    column: String,
    allow_null: bool,
    compiled: boon::Schemas,
    schema: SchemaIndex,
}

impl fmt::Debug for JsonRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("JsonRule")
            .field("tables", &self.tables)
            .field("column", &self.column)
            .finish_non_exhaustive()
    }
}

/// The schema must be complete: nothing is fetched.
struct NoLoader;

impl UrlLoader for NoLoader {
    fn load(&self, url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err(format!("\"{url}\" is another document, and those are not loaded").into())
    }
}

const LOCATION: &str = "pooler:schema";

impl JsonRule {
    pub(super) fn new(config: config::JsonSchema) -> Result<Self, String> {
        let schema = match config.schema {
            Value::String(text) => {
                serde_json::from_str(&text).map_err(|error| format!("schema: is not valid JSON: {error}"))?
            }
            schema => schema,
        };
        if !schema.is_object() && !schema.is_boolean() {
            return Err("schema: expected a JSON Schema, as a table or as JSON in a string".to_owned());
        }
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        compiler.enable_format_assertions();
        compiler.use_loader(Box::new(NoLoader));
        compiler.add_resource(LOCATION, schema).map_err(|error| format!("schema: {error}"))?;
        let mut compiled = boon::Schemas::new();
        let schema = compiler.compile(LOCATION, &mut compiled).map_err(|error| format!("schema: {error}"))?;
        Ok(JsonRule {
            tables: some_patterns("tables", &config.tables)?,
            column: identifier(&config.column).map_err(|error| format!("column: {error}"))?,
            allow_null: config.allow_null,
            compiled,
            schema,
        })
    }

    pub(super) fn examine(&self, schemas: &Schemas, model: &Model<'_>, found: &mut Found) {
        for insert in model.inserts.iter().filter(|insert| schemas.any_may_mean(&self.tables, insert.table)) {
            self.insert(insert, found);
        }
        for assignment in &model.assignments {
            if assignment.column != self.column || !schemas.any_may_mean(&self.tables, assignment.table) {
                continue;
            }
            let excluded = assignment.assigned.column.as_ref().is_some_and(|(column, _)| {
                assignment.on_conflict && column.qualifier == Some("excluded") && column.name == self.column
            });
            if !excluded {
                self.assigned(assignment.table, &assignment.assigned, found);
            }
        }
    }

    fn insert(&self, insert: &Insert<'_>, found: &mut Found) {
        let table = insert.table;
        let Some(columns) = &insert.columns else {
            if !matches!(insert.source, Source::Defaults) {
                found.refuse(format!("columns must be listed when rows are inserted into table {}", named(table)));
            }
            return;
        };
        for (place, target) in columns.iter().enumerate().filter(|(_, target)| target.name == self.column) {
            match &insert.source {
                Source::Defaults => {}
                Source::Copy => self.unseen(table, found),
                Source::Rows(_) if target.part => self.unseen(table, found),
                Source::Rows(rows) => {
                    for row in rows {
                        match row.get(place) {
                            Some(assigned) => self.assigned(table, assigned, found),
                            None => self.unseen(table, found),
                        }
                    }
                }
            }
        }
    }

    fn assigned(&self, table: Table<'_>, assigned: &Assigned<'_>, found: &mut Found) {
        let Seen { content, casts } = &assigned.value;
        if assigned.uncertain || !casts.iter().all(keeps_json) {
            return self.unseen(table, found);
        }
        match content {
            Content::Constant(Constant::Null) if self.allow_null => {}
            Content::Constant(Constant::Null) => found.refuse(self.misfit(table)),
            Content::Constant(Constant::Text(json)) => {
                if let Err(reason) = self.validate(json.as_bytes()) {
                    found.refuse_with_detail(self.misfit(table), reason);
                }
            }
            Content::Parameter(parameter) => {
                let cast_to_text = casts.first().is_some_and(|cast| !cast.name.name.starts_with("json"));
                found.check(self.misfit(table), Check::Json { parameter: *parameter, cast_to_text });
            }
            // DEFAULT is what the table's owner wrote.
            Content::Default => {}
            Content::Constant(_) | Content::Hidden => self.unseen(table, found),
        }
    }

    fn misfit(&self, table: Table<'_>) -> String {
        format!("value for column \"{}\" of table {} does not fit its JSON Schema", self.column, named(table))
    }

    fn unseen(&self, table: Table<'_>, found: &mut Found) {
        found.refuse_with_detail(
            format!("column \"{}\" of table {} only takes a literal or a parameter", self.column, named(table)),
            "What cannot be seen cannot be checked against its JSON Schema.".to_owned(),
        );
    }

    pub(crate) fn allows_null(&self) -> bool {
        self.allow_null
    }

    /// # Errors
    /// Why it does not fit.
    pub(crate) fn validate(&self, json: &[u8]) -> Result<(), String> {
        let value: Value = serde_json::from_slice(json).map_err(|error| format!("It is not valid JSON: {error}."))?;
        self.compiled.validate(&value, self.schema).map_err(|error| describe(&error))
    }
}

/// The first leaf of the error: where, and what.
fn describe(error: &ValidationError<'_, '_>) -> String {
    let mut leaf = error;
    while let Some(cause) = leaf.causes.first() {
        leaf = cause;
    }
    let place = leaf.instance_location.to_string();
    match place.as_str() {
        "" => format!("{}.", leaf.kind),
        place => format!("At {place}: {}.", leaf.kind),
    }
}

fn keeps_json(cast: &TypeName<'_>) -> bool {
    !cast.modified
        && !cast.array
        && cast.name.schema.is_none_or(|schema| schema == "pg_catalog")
        && matches!(cast.name.name, "json" | "jsonb" | "text" | "varchar")
}
