//! Writes what ran to a file, a line of JSON for each statement, without the values in it: `WHERE email = ?`.
//!
//! ```toml
//! [[plugins]]
//! name = "./libexample_query_log.so"
//! on_error = "skip"                       # a full disk is no reason to refuse queries
//! config = { file = "/var/log/pooler/queries.jsonl", slower_than_ms = 100 }
//! ```
//!
//! `slower_than_ms` (0) leaves faster statements out, unless they failed. The text of an error may quote values: only its SQLSTATE is
//! written. The file is opened again with each reload, so that logrotate can move it and send SIGHUP.
#![forbid(unsafe_code)]

mod scrub;

use pooler_plugin::{Error, Host, Plugin, Query, QueryEnd, Role, plugin};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

/// What `[plugins.config]` may hold.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    file: PathBuf,
    #[serde(default)]
    slower_than_ms: u64,
}

/// The plugin.
#[derive(Debug)]
pub struct QueryLog {
    slower_than_ms: u64,
    file: File,
}

impl QueryLog {
    fn open(config: &Config) -> Result<Self, Error> {
        // Lines of several workers do not mix: each is one write to a file that is appended to.
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&config.file);
        let file =
            file.map_err(|error| Error::new(format!("file: {}: {error}", config.file.display())))?;
        Ok(QueryLog {
            slower_than_ms: config.slower_than_ms,
            file,
        })
    }
}

#[plugin(name = "query-log")]
impl Plugin for QueryLog {
    type Config = Config;
    type Statement = ();

    fn new(_: &Host<'_>, config: Config) -> Result<Self, Error> {
        QueryLog::open(&config)
    }

    fn learn(&mut self, _: Query<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn query_end(&mut self, end: QueryEnd<'_>, _: Option<&()>) -> Result<(), Error> {
        let duration_us = u64::try_from(end.duration().as_micros()).unwrap_or(u64::MAX);
        if end.sqlstate().is_none() && duration_us < self.slower_than_ms.saturating_mul(1000) {
            return Ok(());
        }
        let ran_on = end.ran_on().map(|(role, shard)| {
            format!(
                "{} of shard {shard}",
                if role == Role::Read {
                    "replica"
                } else {
                    "primary"
                }
            )
        });
        let line = json!({
            "user": end.session().user(),
            "database": end.session().database(),
            "sql": scrub::scrub(&end.query().as_str_lossy()),
            "rows": end.rows(),
            "sqlstate": end.sqlstate(),
            "duration_us": duration_us,
            "ran_on": ran_on,
        });
        writeln!(self.file, "{line}").map_err(|error| Error::new(format!("the query log: {error}")))
    }

    fn reload(&mut self, _: &Host<'_>, config: Config) -> Result<(), Error> {
        *self = QueryLog::open(&config)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::QueryLog;
    use pooler_plugin::testing::{End, Request, Runner};

    fn logged(config: &str, ends: &[(&str, End)]) -> Vec<serde_json::Value> {
        let file =
            std::env::temp_dir().join(format!("query-log-{}-{}", std::process::id(), config.len()));
        let config = config.replace("FILE", file.to_str().unwrap());
        let mut plugin = Runner::start::<QueryLog>(&config).unwrap();
        for (sql, end) in ends {
            plugin.query_end(&Request::new(*sql), end).unwrap();
        }
        plugin.reload(&config).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(file).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn writes_a_line_without_values() {
        let lines = logged(
            r#"{"file":"FILE"}"#,
            &[("SELECT 'secret', 42", End::well("SELECT 1", 1))],
        );
        assert_eq!(lines[0]["sql"], "SELECT ?, ?");
        assert_eq!(
            (&lines[0]["rows"], &lines[0]["user"]),
            (&1.into(), &"app".into())
        );
    }

    #[test]
    fn leaves_out_what_was_fast_and_went_well() {
        let ends = [
            ("SELECT 1", End::well("SELECT 1", 1).after_us(99_999)),
            ("SELECT 2", End::well("SELECT 1", 1).after_us(100_000)),
            ("SELECT 3", End::error("22012", "division by zero")),
        ];
        let lines = logged(r#"{"file":"FILE","slower_than_ms":100}"#, &ends);
        let states: Vec<_> = lines.iter().map(|line| line["sqlstate"].as_str()).collect();
        assert_eq!(states, [None, Some("22012")]);
    }
}
