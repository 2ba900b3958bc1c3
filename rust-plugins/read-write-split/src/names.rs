//! The names of functions and tables that the configuration lists.

use parse_tree::{Name, Pattern, Relation};

#[derive(Debug, Default)]
pub(crate) struct Names {
    read_only: Vec<Pattern>,
    writing: Vec<Pattern>,
    primary: Vec<Pattern>,
}

impl Names {
    /// Each list as the configuration has it.
    ///
    /// # Errors
    /// What is wrong with which entry.
    pub(crate) fn new(read_only: &[String], writing: &[String], primary: &[String]) -> Result<Self, String> {
        if let Some(both) = read_only.iter().find(|name| writing.contains(name)) {
            return Err(format!(
                "\"{both}\" is in read_only_functions and in write_functions: take it out of one of them"
            ));
        }
        Ok(Names {
            read_only: parse("read_only_functions", read_only)?,
            writing: parse("write_functions", writing)?,
            primary: parse("primary_tables", primary)?,
        })
    }

    /// A bare call could be a function of any schema, so `schema.name` does not vouch for it.
    pub(crate) fn only_reads(&self, function: Name<'_>) -> bool {
        self.read_only.iter().any(|pattern| {
            pattern.matches_name(function.name)
                && function.schema.map_or(!pattern.is_qualified(), |schema| pattern.matches_schema(schema))
        })
    }

    /// ... but it counts against it.
    pub(crate) fn writes(&self, function: Name<'_>) -> bool {
        may_mean(&self.writing, function.schema, function.name)
    }

    pub(crate) fn on_primary(&self, relation: &Relation<'_>) -> bool {
        may_mean(&self.primary, relation.schema, relation.name)
    }
}

fn may_mean(patterns: &[Pattern], schema: Option<&str>, name: &str) -> bool {
    patterns.iter().any(|pattern| {
        let schema_fits = match schema {
            Some(schema) => pattern.matches_schema(schema),
            // `schema.*` would be every bare name there is.
            None => !(pattern.is_qualified() && pattern.is_any_name()),
        };
        schema_fits && pattern.matches_name(name)
    })
}

fn parse(key: &str, entries: &[String]) -> Result<Vec<Pattern>, String> {
    entries.iter().map(|entry| Pattern::parse(entry).map_err(|error| format!("{key}: {error}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(read_only: &[&str], writing: &[&str]) -> Result<Names, String> {
        let owned = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        Names::new(&owned(read_only), &owned(writing), &[])
    }

    fn bare(name: &str) -> Name<'_> {
        Name { schema: None, name }
    }

    fn qualified<'a>(schema: &'a str, name: &'a str) -> Name<'a> {
        Name { schema: Some(schema), name }
    }

    #[test]
    fn a_qualified_entry_vouches_for_qualified_calls_only() {
        let names = names(&["app.total", "reports.*"], &[]).unwrap();
        assert!(names.only_reads(qualified("app", "total")) && names.only_reads(qualified("reports", "any")));
        assert!(
            !names.only_reads(bare("total"))
                && !names.only_reads(qualified("other", "total"))
                && !names.only_reads(bare("any"))
        );
    }

    #[test]
    fn a_bare_entry_means_the_function_in_any_schema() {
        let names = names(&["total", "get_*"], &["touch"]).unwrap();
        assert!(
            names.only_reads(bare("total"))
                && names.only_reads(qualified("app", "total"))
                && names.only_reads(bare("get_user"))
        );
        assert!(names.writes(bare("touch")) && names.writes(qualified("app", "touch")));
    }

    #[test]
    fn a_qualified_write_function_counts_against_bare_calls() {
        let names = names(&[], &["app.touch", "audit.*"]).unwrap();
        assert!(
            names.writes(bare("touch"))
                && names.writes(qualified("app", "touch"))
                && names.writes(qualified("audit", "x"))
        );
        assert!(!names.writes(qualified("other", "touch")) && !names.writes(bare("x")));
    }

    #[test]
    fn wrong_entries_are_named() {
        assert!(names(&["a.b.c"], &[]).unwrap_err().contains("read_only_functions: \"a.b.c\""));
        assert!(names(&[], &[""]).unwrap_err().contains("write_functions"));
        assert!(names(&["f"], &["f"]).unwrap_err().contains("\"f\" is in read_only_functions and in write_functions"));
    }
}
