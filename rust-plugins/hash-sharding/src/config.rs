//! The plugin's configuration: which tables are sharded, by which column of which type. Knows names as PostgreSQL folds
//! them, and how a name in a statement meets a name in the configuration.

use crate::key::KeyType;
use serde::Deserialize;
use std::fmt;

/// `[plugins.config]`, as written. `config.schema.json` of the npm package says the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub tables: Vec<TableConfig>,
    #[serde(default)]
    pub reference_tables: Vec<String>,
    #[serde(default = "default_search_path")]
    pub search_path: Vec<String>,
    #[serde(default)]
    pub on_missing_key: OnMissingKey,
    #[serde(default = "default_server_encoding")]
    pub server_encoding: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    pub table: String,
    pub column: String,
    #[serde(rename = "type")]
    pub key: String,
    #[serde(default)]
    pub columns: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingKey {
    #[default]
    Error,
    First,
}

fn default_search_path() -> Vec<String> {
    vec!["public".to_owned()]
}

fn default_server_encoding() -> String {
    "UTF8".to_owned()
}

/// What the plugin works with.
#[derive(Clone, Debug)]
pub struct Sharding {
    pub tables: Vec<Table>,
    pub on_missing_key: OnMissingKey,
    pub server_encoding: String,
    references: Vec<Name>,
    search_path: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Table {
    /// As the configuration has it, for messages.
    pub name: String,
    pub column: String,
    pub key: KeyType,
    /// All columns of the table in order, when the configuration lists them.
    pub columns: Option<Vec<String>>,
    relation: Name,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    schema: Option<String>,
    relation: String,
}

/// How the configuration knows a relation of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// Index in `tables`.
    Sharded(usize),
    /// Its name in the configuration.
    Reference(&'a str),
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Table {
    /// Its name without the schema.
    pub fn relation(&self) -> &str {
        &self.relation.relation
    }

    /// Where the key stands among the columns, 0-based, when the configuration lists them.
    pub fn key_position(&self) -> Option<usize> {
        self.columns.as_ref()?.iter().position(|column| *column == self.column)
    }
}

impl Sharding {
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let search_path = config
            .search_path
            .iter()
            .enumerate()
            .map(|(index, schema)| {
                identifier(schema).ok_or_else(|| invalid(&format!("search_path[{index}]"), schema, "a schema's name"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if search_path.is_empty() {
            return Err(ConfigError(
                "search_path is empty: name the schemas in which tables without a schema are looked up".to_owned(),
            ));
        }
        let tables = config
            .tables
            .into_iter()
            .enumerate()
            .map(|(index, table)| table.checked(index))
            .collect::<Result<Vec<_>, _>>()?;
        let references = config
            .reference_tables
            .iter()
            .enumerate()
            .map(|(index, table)| {
                name(table).ok_or_else(|| invalid(&format!("reference_tables[{index}]"), table, TABLE_NAME))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let sharding = Self {
            tables,
            on_missing_key: config.on_missing_key,
            server_encoding: config.server_encoding,
            references,
            search_path,
        };
        sharding.refuse_names_twice()?;
        Ok(sharding)
    }

    fn refuse_names_twice(&self) -> Result<(), ConfigError> {
        let all: Vec<_> = self.tables.iter().map(|table| &table.relation).chain(&self.references).collect();
        for (index, name) in all.iter().enumerate() {
            if all[..index].iter().any(|earlier| earlier.relation == name.relation && self.overlap(earlier, name)) {
                return Err(ConfigError(format!(
                    "table {} is listed twice: name each table once, with its schema if there are several",
                    name
                )));
            }
        }
        Ok(())
    }

    fn overlap(&self, a: &Name, b: &Name) -> bool {
        match (&a.schema, &b.schema) {
            (Some(a), Some(b)) => a == b,
            (None, Some(schema)) | (Some(schema), None) => self.search_path.contains(schema),
            (None, None) => true,
        }
    }

    /// Looks a statement's relation up. Without a schema it is the first one along the search path.
    pub fn known(&self, schema: Option<&str>, relation: &str) -> Known<'_> {
        let find = |schema: &str| {
            let matches = |name: &Name| {
                name.relation == relation
                    && match &name.schema {
                        Some(own) => own == schema,
                        None => self.search_path.iter().any(|listed| listed == schema),
                    }
            };
            if let Some(index) = self.tables.iter().position(|table| matches(&table.relation)) {
                return Known::Sharded(index);
            }
            self.references
                .iter()
                .find(|name| matches(name))
                .map_or(Known::Other, |name| Known::Reference(&name.relation))
        };
        match schema {
            Some(schema) => find(schema),
            None => self
                .search_path
                .iter()
                .map(|schema| find(schema))
                .find(|known| *known != Known::Other)
                .unwrap_or(Known::Other),
        }
    }

    /// Whether a text could mean one of the tables: for statements that no grammar has read.
    pub fn may_be_named_in(&self, sql: &[u8]) -> bool {
        let names = self.tables.iter().map(|table| &table.relation).chain(&self.references);
        names
            .map(|name| name.relation.as_bytes())
            .any(|name| sql.windows(name.len()).any(|window| window.eq_ignore_ascii_case(name)))
    }
}

const TABLE_NAME: &str = "a table's name, with or without its schema: \"users\" or \"app.users\"";

impl TableConfig {
    fn checked(self, index: usize) -> Result<Table, ConfigError> {
        let at = |key: &str| format!("tables[{index}].{key}");
        let relation = name(&self.table).ok_or_else(|| invalid(&at("table"), &self.table, TABLE_NAME))?;
        let column = identifier(&self.column).ok_or_else(|| invalid(&at("column"), &self.column, "a column's name"))?;
        let key = KeyType::parse(&self.key).ok_or_else(|| {
            invalid(&at("type"), &self.key, "one of smallint, integer, bigint, uuid, text, varchar, varchar(n), bytea")
        })?;
        let columns = self
            .columns
            .iter()
            .map(|column| {
                identifier(column).ok_or_else(|| invalid(&at("columns"), column, "the names of the table's columns"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if !columns.is_empty() && !columns.contains(&column) {
            return Err(ConfigError(format!(
                "{} does not hold the sharding key {column}: list all columns in their order",
                at("columns")
            )));
        }
        Ok(Table { name: self.table, column, key, columns: (!columns.is_empty()).then_some(columns), relation })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.relation),
            None => f.write_str(&self.relation),
        }
    }
}

fn invalid(key: &str, value: &str, allowed: &str) -> ConfigError {
    ConfigError(format!("{key} is {value:?}, and must be {allowed}"))
}

fn name(text: &str) -> Option<Name> {
    let (first, rest) = read_identifier(text)?;
    match rest.strip_prefix('.') {
        None => rest.is_empty().then_some(Name { schema: None, relation: first }),
        Some(rest) => {
            let (second, rest) = read_identifier(rest)?;
            rest.is_empty().then_some(Name { schema: Some(first), relation: second })
        }
    }
}

fn identifier(text: &str) -> Option<String> {
    let (identifier, rest) = read_identifier(text)?;
    rest.is_empty().then_some(identifier)
}

/// An identifier as SQL reads it: folded to lower case unless it stands in double quotes. What follows is given back.
fn read_identifier(text: &str) -> Option<(String, &str)> {
    const MAX_BYTES: usize = 63;
    let (identifier, rest) = match text.strip_prefix('"') {
        Some(quoted) => {
            let mut identifier = String::new();
            let mut rest = quoted;
            loop {
                let end = rest.find('"')?;
                identifier.push_str(&rest[..end]);
                rest = &rest[end + 1..];
                match rest.strip_prefix('"') {
                    Some(more) => {
                        identifier.push('"');
                        rest = more;
                    }
                    None => break (identifier, rest),
                }
            }
        }
        None => {
            let end = text.find('.').unwrap_or(text.len());
            (text[..end].to_ascii_lowercase(), &text[end..])
        }
    };
    let plain = !text.starts_with('"');
    let usable = !identifier.is_empty()
        && identifier.len() <= MAX_BYTES
        && !(plain
            && identifier.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | ',' | ';')));
    usable.then_some((identifier, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sharding(json: &str) -> Result<Sharding, String> {
        let config: Config = serde_json::from_str(json).map_err(|error| error.to_string())?;
        Sharding::new(config).map_err(|error| error.to_string())
    }

    #[test]
    fn names_meet_as_they_do_in_postgresql() {
        let sharding = sharding(
            r#"{"tables": [
                {"table": "Users", "column": "id", "type": "bigint"},
                {"table": "app.posts", "column": "\"userId\"", "type": "uuid"},
                {"table": "\"Odd.Name\"", "column": "k", "type": "text"}
            ], "reference_tables": ["countries"], "search_path": ["public", "shared"]}"#,
        )
        .unwrap();
        assert_eq!(sharding.known(None, "users"), Known::Sharded(0));
        assert_eq!(sharding.known(Some("public"), "users"), Known::Sharded(0));
        assert_eq!(sharding.known(Some("shared"), "users"), Known::Sharded(0));
        assert_eq!(sharding.known(Some("other"), "users"), Known::Other);
        assert_eq!(sharding.known(None, "Users"), Known::Other);
        assert_eq!(sharding.known(Some("app"), "posts"), Known::Sharded(1));
        assert_eq!(sharding.known(None, "posts"), Known::Other);
        assert_eq!(sharding.known(None, "Odd.Name"), Known::Sharded(2));
        assert_eq!(sharding.known(None, "countries"), Known::Reference("countries"));
        assert_eq!(sharding.tables[1].column, "userId");
    }

    #[test]
    fn the_search_path_is_followed_in_order() {
        let sharding = sharding(
            r#"{"tables": [
                {"table": "b.t", "column": "id", "type": "bigint"},
                {"table": "a.t", "column": "id", "type": "bigint"}
            ], "search_path": ["a", "b"]}"#,
        )
        .unwrap();
        assert_eq!(sharding.known(None, "t"), Known::Sharded(1));
        assert_eq!(sharding.known(Some("b"), "t"), Known::Sharded(0));
    }

    #[test]
    fn a_wrong_configuration_says_where_and_what_is_allowed() {
        let table = |rest: &str| format!(r#"{{"tables": [{{{rest}}}]}}"#);
        for (json, words) in [
            (table(r#""table": "users", "column": "id", "type": "char(3)""#), ["tables[0].type", "char(3)", "bigint"]),
            (table(r#""table": "a.b.c", "column": "id", "type": "int""#), ["tables[0].table", "a.b.c", "app.users"]),
            (table(r#""table": "users", "column": "", "type": "int""#), ["tables[0].column", "\"\"", "column"]),
            (table(r#""table": "t", "column": "id", "type": "int", "columns": ["x"]"#), ["tables[0].columns", "id", "order"]),
            (r#"{"search_path": []}"#.to_owned(), ["search_path", "empty", "schemas"]),
            (
                r#"{"tables": [{"table": "public.users", "column": "id", "type": "int"}], "reference_tables": ["users"]}"#.to_owned(),
                ["users", "twice", "once"],
            ),
            (r#"{"on_missing_key": "guess"}"#.to_owned(), ["guess", "error", "first"]),
            (r#"{"colour": 1}"#.to_owned(), ["colour", "tables", "on_missing_key"]),
        ] {
            let error = sharding(&json).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn identifiers_are_read_as_sql_reads_them() {
        assert_eq!(identifier("Id"), Some("id".to_owned()));
        assert_eq!(identifier("\"I\"\"d\""), Some("I\"d".to_owned()));
        for text in ["", "\"", "\"\"", "a b", "a;", &"x".repeat(64)] {
            assert_eq!(identifier(text), None, "{text}");
        }
    }
}
