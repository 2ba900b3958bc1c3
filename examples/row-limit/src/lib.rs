//! Adds a limit to queries that have none, so that nobody reads a whole table by mistake.
//!
//! ```toml
//! [[plugins]]
//! name = "./libexample_row_limit.so"
//! config = { rows = 10000, users = ["analyst", "metabase"] }
//! ```
//!
//! `users` are those for whom it holds; everybody without it. The limit goes to the end of a SELECT, VALUES or TABLE without LIMIT or
//! FETCH FIRST of its own. Queries with FOR UPDATE stay as they are: who locks rows must lock all of them.
#![forbid(unsafe_code)]

use pooler_plugin::{Error, Host, Input, Output, Plugin, Query, Rewrite, plugin};
use serde_json::Value;

/// What `[plugins.config]` may hold.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    rows: u64,
    users: Option<Vec<String>>,
}

/// The plugin.
#[derive(Debug)]
pub struct RowLimit {
    config: Config,
}

#[plugin(name = "row-limit", capabilities = INSPECT | PARSE_TREE)]
impl Plugin for RowLimit {
    type Config = Config;
    /// The text with the limit; `None` stays as it is.
    type Statement = Option<Vec<u8>>;

    fn new(_: &Host<'_>, config: Config) -> Result<Self, Error> {
        Ok(RowLimit { config })
    }

    fn learn(&mut self, query: Query<'_>) -> Result<Self::Statement, Error> {
        let is_unlimited = query
            .parse_tree_value()?
            .is_some_and(|tree| is_unlimited(&tree));
        // A new line: the text may end in a comment.
        Ok(is_unlimited.then(|| {
            [
                query.sql(),
                format!("\nLIMIT {}", self.config.rows).as_bytes(),
            ]
            .concat()
        }))
    }

    fn route(&mut self, input: Input<'_>, statement: Option<&Self::Statement>) -> Output {
        let concerns =
            |users: &Vec<String>| users.iter().any(|user| *user == input.session().user());
        match statement {
            Some(Some(limited)) if self.config.users.as_ref().is_none_or(concerns) => {
                Output::rewrite(Rewrite::new(limited.clone()))
            }
            _ => Output::skip(),
        }
    }
}

fn is_unlimited(tree: &Value) -> bool {
    let select = &tree["stmts"][0]["stmt"]["SelectStmt"];
    let absent = |name: &str| select.get(name).is_none();
    select.is_object() && absent("limitCount") && absent("lockingClause") && absent("intoClause")
}

#[cfg(test)]
mod tests {
    use super::RowLimit;
    use pooler_plugin::testing::{Request, Runner};
    use pooler_plugin::{Output, Rewrite};

    fn tree(fields: &str) -> String {
        format!(r#"{{"version":170007,"stmts":[{{"stmt":{fields}}}]}}"#)
    }

    #[test]
    fn limits_queries_of_those_concerned() {
        let mut plugin = Runner::start::<RowLimit>(r#"{"rows":10,"users":["analyst"]}"#).unwrap();
        let query = Request::new("TABLE t -- all")
            .parse_tree(tree(r#"{"SelectStmt":{"op":"SETOP_NONE"}}"#));
        let limited = Output::rewrite(Rewrite::new("TABLE t -- all\nLIMIT 10"));
        assert_eq!(plugin.route(&query.clone().user("analyst")), Ok(limited));
        assert_eq!(plugin.route(&query), Ok(Output::skip()));
    }

    #[test]
    fn leaves_the_rest_alone() {
        let mut plugin = Runner::start::<RowLimit>(r#"{"rows":10}"#).unwrap();
        for fields in [
            r#"{"SelectStmt":{"limitCount":{"A_Const":{}}}}"#,
            r#"{"SelectStmt":{"lockingClause":[{}]}}"#,
            r#"{"SelectStmt":{"intoClause":{}}}"#,
            r#"{"UpdateStmt":{}}"#,
        ] {
            assert_eq!(
                plugin.route(&Request::new(fields).parse_tree(tree(fields))),
                Ok(Output::skip()),
                "{fields}"
            );
        }
        assert_eq!(plugin.route(&Request::new("SELEKT")), Ok(Output::skip()));
    }
}
