//! Tables and schemas that may not be read, written, or touched at all.

use super::{Found, named, some_patterns};
use crate::config::{self, Usage};
use crate::model::Model;
use crate::scope::Schemas;
use parse_tree::Pattern;

#[derive(Debug)]
pub(crate) struct DenyTables {
    tables: Vec<Pattern>,
    usage: Usage,
}

impl DenyTables {
    pub(super) fn new(config: &config::DenyTables) -> Result<Self, String> {
        Ok(DenyTables { tables: some_patterns("tables", &config.tables)?, usage: config.usage })
    }

    pub(super) fn examine(&self, schemas: &Schemas, model: &Model<'_>, found: &mut Found) {
        for used in &model.tables {
            let (denied, verb) = match self.usage {
                Usage::Any => (true, "used"),
                Usage::Read => (used.reads, "read"),
                Usage::Write => (used.writes, "written"),
            };
            if denied && schemas.any_may_mean(&self.tables, used.table) {
                found.refuse(format!("table {} may not be {verb}", named(used.table)));
                return;
            }
        }
        for schema in &model.schemas {
            let concerned = |pattern: &Pattern| schema.is_none_or(|schema| pattern.matches_schema(schema));
            if self.tables.iter().any(concerned) {
                let which = schema.map_or_else(|| "all schemas".to_owned(), |schema| format!("schema \"{schema}\""));
                found.refuse(format!("{which} may not be changed as a whole, since tables in it are denied"));
                return;
            }
        }
    }
}
