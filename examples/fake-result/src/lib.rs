//! Answers statements itself, without a server: health checks, features that a driver asks for, tables that are not there.
//!
//! ```toml
//! [[plugins]]
//! name = "./libexample_fake_result.so"
//!
//! [[plugins.config.answers]]
//! statement = "select 1"                  # case, blanks and a semicolon at the end do not count
//! columns = ["?column?"]
//! rows = [["1"]]
//!
//! [[plugins.config.answers]]
//! statement = "SHOW app_version"
//! columns = ["name", "version"]
//! rows = [["shop", "4.2"], ["search", { null = true }]]
//! ```
//!
//! All columns are of type text.
#![forbid(unsafe_code)]

use pooler_plugin::{Column, Error, Host, Input, Output, Plugin, Query, Rows, Value, oid, plugin};
use std::collections::HashMap;

/// What `[plugins.config]` may hold.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    answers: Vec<Answer>,
}

/// A statement and what it is answered with.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    statement: String,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// TOML has no null.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A text.
    Text(String),
    /// `{ null = true }`
    Null {
        /// Must be true.
        null: bool,
    },
}

/// The plugin: answers by statement.
#[derive(Debug)]
pub struct FakeResult {
    answers: HashMap<String, Rows>,
}

#[plugin(name = "fake-result", capabilities = EVERY_STATEMENT)]
impl Plugin for FakeResult {
    type Config = Config;
    /// The answer to this text.
    type Statement = Option<Rows>;

    fn new(_: &Host<'_>, config: Config) -> Result<Self, Error> {
        let answers = config
            .answers
            .iter()
            .map(|answer| Ok((normalized(&answer.statement), rows_of(answer)?)));
        Ok(FakeResult {
            answers: answers.collect::<Result<_, Error>>()?,
        })
    }

    fn learn(&mut self, query: Query<'_>) -> Result<Self::Statement, Error> {
        Ok(self
            .answers
            .get(&normalized(&query.as_str_lossy()))
            .cloned())
    }

    fn route(&mut self, _: Input<'_>, statement: Option<&Self::Statement>) -> Output {
        match statement {
            Some(Some(rows)) => Output::intercept(rows.clone()),
            _ => Output::skip(),
        }
    }
}

fn normalized(statement: &str) -> String {
    let words: Vec<_> = statement
        .trim_end_matches([';', ' ', '\n'])
        .split_ascii_whitespace()
        .collect();
    words.join(" ").to_ascii_lowercase()
}

fn rows_of(answer: &Answer) -> Result<Rows, Error> {
    let mut rows = Rows::new(
        answer
            .columns
            .iter()
            .map(|name| Column::text(name, oid::TEXT)),
    );
    for row in &answer.rows {
        if row.len() != answer.columns.len() {
            let (have, want) = (row.len(), answer.columns.len());
            return Err(Error::new(format!(
                "answers: {}: a row has {have} values, not {want}",
                answer.statement
            )));
        }
        rows.push(row.iter().map(|cell| match cell {
            Cell::Text(text) => Value::text(text),
            Cell::Null { .. } => Value::null(),
        }));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::FakeResult;
    use pooler_plugin::testing::{Request, Runner};
    use pooler_plugin::{Column, Output, Rows, Value, oid};

    const CONFIG: &str = r#"{"answers":[{"statement":"SELECT 1;","columns":["a","b"],"rows":[["1",{"null":true}]]}]}"#;

    #[test]
    fn answers_the_statement_however_it_is_spaced() {
        let mut plugin = Runner::start::<FakeResult>(CONFIG).unwrap();
        let rows = Rows::new([Column::text("a", oid::TEXT), Column::text("b", oid::TEXT)]);
        let answer = Output::intercept(rows.row([Value::text("1"), Value::null()]));
        assert_eq!(plugin.route(&Request::new("select\n 1 ;")), Ok(answer));
        assert_eq!(plugin.route(&Request::new("SELECT 12")), Ok(Output::skip()));
    }

    #[test]
    fn refuses_rows_of_another_length() {
        let error = Runner::start::<FakeResult>(
            r#"{"answers":[{"statement":"x","columns":["a"],"rows":[[]]}]}"#,
        );
        assert_eq!(
            error.unwrap_err().message,
            "answers: x: a row has 0 values, not 1"
        );
    }
}
