//! Which names a pattern of the configuration may mean.

use crate::model::Table;
use parse_tree::{Name, Pattern, functions};

/// The schemas in which PostgreSQL looks for a name without one.
#[derive(Debug)]
pub(crate) struct Schemas(Vec<String>);

impl Schemas {
    pub(crate) fn new(search_path: Vec<String>) -> Self {
        Schemas(search_path)
    }

    pub(crate) fn contains(&self, schema: &str) -> bool {
        schema == "pg_catalog" || self.0.iter().any(|listed| listed == schema)
    }

    /// A table without a schema may be any table of this name on the search path, or one of PostgreSQL's own.
    pub(crate) fn may_mean(&self, pattern: &Pattern, table: Table<'_>) -> bool {
        pattern.matches_name(table.name)
            && match table.schema {
                Some(schema) => pattern.matches_schema(schema),
                None => {
                    !pattern.is_qualified()
                        || self.0.iter().any(|schema| pattern.matches_schema(schema))
                        || is_catalog(pattern, table.name)
                }
            }
    }

    /// A function without a schema is PostgreSQL's own when that has one of this name, and else on the search path.
    pub(crate) fn function(&self, pattern: &Pattern, function: Name<'_>) -> bool {
        pattern.matches_name(function.name)
            && match function.schema {
                Some(schema) => pattern.matches_schema(schema),
                None if functions::builtin(function.name).is_some() && pattern.matches_schema("pg_catalog") => true,
                None => !pattern.is_qualified() || self.0.iter().any(|schema| pattern.matches_schema(schema)),
            }
    }

    pub(crate) fn any_may_mean(&self, patterns: &[Pattern], table: Table<'_>) -> bool {
        patterns.iter().any(|pattern| self.may_mean(pattern, table))
    }
}

/// PostgreSQL's own tables begin with pg_.
fn is_catalog(pattern: &Pattern, name: &str) -> bool {
    name.starts_with("pg_") && pattern.matches_schema("pg_catalog")
}
