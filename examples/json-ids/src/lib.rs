//! Refuses documents with ids that are not in a table: the check becomes part of the statement that writes the document, so that it sees
//! what that statement sees, and costs no other round trip.
//!
//! ```toml
//! [[plugins]]
//! name = "./libexample_json_ids.so"
//!
//! [plugins.config]
//! table = "orders"
//! column = "document"                     # json or jsonb
//! path = "$.items[*].product"             # jsonpath of the ids
//! exists = { table = "products", column = "id", type = "bigint" }
//! ```
//!
//! SQL has no expression that raises an error; this function, once in the database, does:
//!
//! ```sql
//! CREATE FUNCTION json_ids_refuse(why text) RETURNS jsonb LANGUAGE plpgsql AS
//!   $$ BEGIN RAISE EXCEPTION USING ERRCODE = '23503', MESSAGE = why; END $$;
//! ```
//!
//! The document must be a parameter of an `INSERT … (columns) VALUES` or an `UPDATE … SET`; what writes the column in another way, COPY
//! included, is refused. Nothing keeps an id from being deleted later: a foreign key would.
#![forbid(unsafe_code)]

mod documents;

use documents::Documents;
use pooler_plugin::{Error, Host, Input, Output, Plugin, Query, Refusal, Rewrite, plugin};

/// What `[plugins.config]` may hold.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    table: String,
    column: String,
    path: String,
    exists: Exists,
}

/// Where the ids must be.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exists {
    table: String,
    column: String,
    r#type: String,
}

/// The plugin.
#[derive(Debug)]
pub struct JsonIds {
    config: Config,
}

#[plugin(name = "json-ids", capabilities = INSPECT | PARSE_TREE)]
impl Plugin for JsonIds {
    type Config = Config;
    /// The text with the check in it, or why there can be none.
    type Statement = Result<Option<String>, Refusal>;

    fn new(_: &Host<'_>, config: Config) -> Result<Self, Error> {
        let words = |name: &str| {
            name.chars()
                .all(|c| c.is_alphanumeric() || "_. ".contains(c))
        };
        if !words(&config.exists.r#type) {
            return Err(Error::new("exists.type: not the name of a type"));
        }
        Ok(JsonIds { config })
    }

    fn learn(&mut self, query: Query<'_>) -> Result<Self::Statement, Error> {
        let Config { table, column, .. } = &self.config;
        if query.facts().parsed()
            && !query
                .tables()
                .any(|used| used.written() && used.name() == table)
        {
            return Ok(Ok(None));
        }
        let tree = query.parse_tree_value()?;
        let statement = tree.as_ref().map(|tree| &tree["stmts"][0]["stmt"]);
        Ok(
            match statement.map_or(Documents::Unknown, |statement| {
                documents::find(statement, table, column)
            }) {
                Documents::None => Ok(None),
                Documents::Parameters(places) => {
                    self.checked(query.as_str().unwrap_or_default(), &places)
                }
                Documents::Unknown => Err(self.refusal()),
            },
        )
    }

    fn route(&mut self, _: Input<'_>, statement: Option<&Self::Statement>) -> Output {
        match statement {
            Some(Ok(Some(sql))) => Output::rewrite(Rewrite::new(sql.as_str())),
            Some(Err(refusal)) => Output::error(refusal.clone()),
            _ => Output::skip(),
        }
    }
}

impl JsonIds {
    /// `places`: where in the text each parameter is, and its number.
    fn checked(&self, sql: &str, places: &[(usize, u64)]) -> Result<Option<String>, Refusal> {
        let mut text = sql.to_owned();
        let mut places = places.to_vec();
        places.sort_unstable();
        for (at, number) in places.into_iter().rev() {
            let parameter = format!("${number}");
            // In another encoding than UTF-8 places are not what they seem.
            if !text
                .get(at..)
                .is_some_and(|rest| rest.starts_with(&parameter))
            {
                return Err(self.refusal());
            }
            text.replace_range(at..at + parameter.len(), &self.check(&parameter));
        }
        Ok(Some(text))
    }

    /// The document, or an error in its place.
    fn check(&self, document: &str) -> String {
        let Config { path, exists, .. } = &self.config;
        let (table, column, kind) = (
            quoted(&exists.table),
            quoted(&exists.column),
            &exists.r#type,
        );
        let (path, why) = (
            literal(path),
            literal(&format!("not in {}: ", exists.table)),
        );
        format!(
            "(SELECT CASE WHEN count(*) = 0 THEN {document}::jsonb ELSE json_ids_refuse({why} || string_agg(wanted.id #>> '{{}}', ', ')) END \
             FROM jsonb_path_query({document}::jsonb, {path}) AS wanted (id) \
             WHERE NOT EXISTS (SELECT FROM {table} AS known WHERE known.{column} = (wanted.id #>> '{{}}')::{kind}))"
        )
    }

    fn refusal(&self) -> Refusal {
        let message = format!(
            "\"{}\" of \"{}\" cannot be checked in this statement",
            self.config.column, self.config.table
        );
        Refusal::new("0A000", message).hint(
            "Write it with INSERT … (columns) VALUES or UPDATE … SET, and send it as a parameter.",
        )
    }
}

/// `app.products` has a schema.
fn quoted(name: &str) -> String {
    let parts: Vec<_> = name
        .split('.')
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
        .collect();
    parts.join(".")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::JsonIds;
    use pooler_plugin::testing::{Request, Runner};
    use pooler_plugin::{Output, sys};

    const CONFIG: &str = r#"{"table":"orders","column":"document","path":"$.ids[*]",
        "exists":{"table":"app.products","column":"id","type":"bigint"}}"#;
    const UPDATE: &str = r#"{"stmts":[{"stmt":{"UpdateStmt":{"relation":{"relname":"orders"},
        "targetList":[{"ResTarget":{"name":"document","val":{"ParamRef":{"number":1,"location":29}}}}]}}}]}"#;

    fn ask(sql: &str, tree: &str) -> Output {
        let request = Request::new(sql)
            .table("orders", sys::TABLE_WRITE)
            .parse_tree(tree);
        Runner::start::<JsonIds>(CONFIG)
            .unwrap()
            .route(&request)
            .unwrap()
    }

    #[test]
    fn the_check_takes_the_place_of_the_parameter() {
        let Output::Rewrite(rewrite) = ask("UPDATE orders SET document = $1 WHERE id = $2", UPDATE)
        else {
            panic!()
        };
        let sql = String::from_utf8(rewrite.sql().to_vec()).unwrap();
        assert!(
            sql.starts_with(
                "UPDATE orders SET document = (SELECT CASE WHEN count(*) = 0 THEN $1::jsonb"
            ),
            "{sql}"
        );
        assert!(
            sql.contains(
                "FROM \"app\".\"products\" AS known WHERE known.\"id\" = (wanted.id #>> '{}')::bigint)"
            ),
            "{sql}"
        );
        assert!(sql.ends_with(") WHERE id = $2"), "{sql}");
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        for (sql, tree) in [
            (
                "COPY orders FROM STDIN",
                r#"{"stmts":[{"stmt":{"CopyStmt":{}}}]}"#,
            ),
            ("UPDATE orders SET dokument = '', document = $1", UPDATE),
        ] {
            assert!(
                matches!(ask(sql, tree), Output::Error(refusal) if refusal.sqlstate() == "0A000"),
                "{sql}"
            );
        }
    }
}
