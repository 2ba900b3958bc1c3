//! Keeps archives read-only: a statement that writes to a table whose name begins with the prefix of the configuration
//! is refused, whoever sends it, however it is sent.
#![forbid(unsafe_code)]

use pooler_plugin::{Error, Host, Input, Output, Plugin, Query, Refusal, export_plugin};

/// What `[plugins.config]` may hold: `config.schema.json` says the same to the pooler.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Tables whose names begin so are archives.
    #[serde(default = "default_prefix")]
    prefix: String,
}

fn default_prefix() -> String {
    "archive_".to_owned()
}

/// The plugin. One exists per worker process and entry of the configuration.
#[derive(Debug)]
pub struct Archives {
    prefix: String,
}

impl Plugin for Archives {
    type Config = Config;
    /// The archive that a statement text writes to: worked out once for each text.
    type Statement = Option<String>;

    fn new(_host: &Host<'_>, config: Config) -> Result<Self, Error> {
        if config.prefix.is_empty() {
            return Err(Error::new("config: prefix: with an empty one every table would be an archive"));
        }
        Ok(Archives { prefix: config.prefix })
    }

    fn learn(&mut self, query: Query<'_>) -> Result<Option<String>, Error> {
        let archive = query.tables().find(|table| table.written() && table.name().starts_with(&self.prefix));
        Ok(archive.map(|table| table.name().to_owned()))
    }

    fn route(&mut self, _input: Input<'_>, archive: Option<&Option<String>>) -> Output {
        match archive {
            Some(Some(name)) => Output::error(
                Refusal::new("42501", format!("table \"{name}\" is an archive"))
                    .hint("Archives can be read. To change one, go past the pooler."),
            ),
            _ => Output::skip(),
        }
    }
}

// INSPECT: asked about every statement, wherever the plugin stands in the chain. FACTS: the host says which tables a
// statement uses, and how.
export_plugin!(Archives { name: "template-plugin-name", capabilities: INSPECT | FACTS });

#[cfg(test)]
mod tests {
    use super::*;
    use pooler_plugin::StatementKind;
    use pooler_plugin::sys::{TABLE_READ, TABLE_WRITE};
    use pooler_plugin::testing::{Request, Runner};

    #[test]
    fn a_write_to_an_archive_is_refused() {
        let mut plugin = Runner::start::<Archives>("{}").unwrap();
        let request = Request::new("DELETE FROM archive_2020").kind(StatementKind::Delete).table("archive_2020", TABLE_WRITE);
        let Ok(Output::Error(refusal)) = plugin.route(&request) else { panic!("it was let through") };
        assert_eq!(
            *refusal,
            Refusal::new("42501", "table \"archive_2020\" is an archive")
                .hint("Archives can be read. To change one, go past the pooler.")
        );
    }

    #[test]
    fn reading_an_archive_and_writing_elsewhere_is_not_its_business() {
        let mut plugin = Runner::start::<Archives>("{}").unwrap();
        let request = Request::new("INSERT INTO orders SELECT * FROM archive_2020")
            .kind(StatementKind::Insert)
            .table("orders", TABLE_WRITE)
            .table("archive_2020", TABLE_READ);
        assert_eq!(plugin.route(&request), Ok(Output::skip()));
    }

    #[test]
    fn the_prefix_comes_from_the_configuration() {
        let mut plugin = Runner::start::<Archives>(r#"{"prefix":"old_"}"#).unwrap();
        let request = Request::new("TRUNCATE old_orders").kind(StatementKind::Ddl).table("old_orders", TABLE_WRITE);
        assert!(matches!(plugin.route(&request), Ok(Output::Error(_))));
    }

    #[test]
    fn an_empty_prefix_and_unknown_keys_are_refused() {
        assert!(Runner::start::<Archives>(r#"{"prefix":""}"#).unwrap_err().message.contains("prefix"));
        assert!(Runner::start::<Archives>(r#"{"perfix":"old_"}"#).unwrap_err().message.contains("perfix"));
    }
}
