//! Sends statements to the shard of the schema that they name: `SELECT … FROM tenant_acme.orders`.
//!
//! ```toml
//! [[plugins]]
//! name = "./libexample_tenant_schema.so"
//!
//! [plugins.config]
//! prefix = "tenant_"                      # schemas that begin so are those of tenants
//! tenants = { acme = 0, globex = 1 }      # and their shards
//! ```
//!
//! A tenant that is not listed is refused, as is a statement about tenants on two shards. What names no such schema is left to the
//! plugins behind, or goes to the first shard.
#![forbid(unsafe_code)]

use pooler_plugin::{Error, Host, Input, Output, Plugin, Query, Refusal, Route, plugin};
use std::collections::HashMap;

/// What `[plugins.config]` may hold.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    prefix: String,
    tenants: HashMap<String, u32>,
}

/// The plugin.
#[derive(Debug)]
pub struct TenantSchema {
    config: Config,
}

// Every statement of a transaction is looked at: one about another tenant than the first is refused by the host.
#[plugin(name = "tenant-schema", capabilities = EVERY_STATEMENT | FACTS | LITERALS)]
impl Plugin for TenantSchema {
    type Config = Config;
    /// The shard that the text is about, or why there is none.
    type Statement = Result<Option<u32>, Refusal>;

    fn new(_: &Host<'_>, config: Config) -> Result<Self, Error> {
        Ok(TenantSchema { config })
    }

    fn learn(&mut self, query: Query<'_>) -> Result<Self::Statement, Error> {
        Ok(self.shard_of(query))
    }

    fn route(&mut self, input: Input<'_>, statement: Option<&Self::Statement>) -> Output {
        match statement {
            Some(Ok(Some(shard))) if *shard >= input.cluster().shards() => {
                Output::failed(format!("tenants: there is no shard {shard}"))
            }
            Some(Ok(Some(shard))) => Output::forward(Route::only_shard(*shard)),
            Some(Err(refusal)) => Output::error(refusal.clone()),
            _ => Output::skip(),
        }
    }
}

impl TenantSchema {
    fn shard_of(&self, query: Query<'_>) -> Result<Option<u32>, Refusal> {
        let mut found: Option<(&str, u32)> = None;
        let schemas: Vec<_> = query.tables().filter_map(|table| table.schema()).collect();
        let functions: Vec<_> = query
            .functions()
            .filter_map(|function| function.schema())
            .collect();
        for tenant in schemas
            .iter()
            .chain(&functions)
            .filter_map(|schema| schema.strip_prefix(&*self.config.prefix))
        {
            let Some(&shard) = self.config.tenants.get(tenant) else {
                return Err(Refusal::new(
                    "3F000",
                    format!("there is no tenant \"{tenant}\""),
                ));
            };
            match found {
                Some((first, other)) if other != shard => {
                    let message =
                        format!("tenants \"{first}\" and \"{tenant}\" are on different shards");
                    return Err(
                        Refusal::new("0A000", message).hint("Ask about one after the other.")
                    );
                }
                _ => found = Some((tenant, shard)),
            }
        }
        Ok(found.map(|(_, shard)| shard))
    }
}

#[cfg(test)]
mod tests {
    use super::TenantSchema;
    use pooler_plugin::testing::{Request, Runner};
    use pooler_plugin::{Output, Refusal, Route, sys};

    fn ask(tables: &[&str]) -> Output {
        let config = r#"{"prefix":"tenant_","tenants":{"acme":0,"globex":1,"initech":1,"far":9}}"#;
        let request = tables.iter().fold(
            Request::new("SELECT").parsed().shards(2),
            |request, table| request.table(table, sys::TABLE_READ),
        );
        let answer = Runner::start::<TenantSchema>(config)
            .unwrap()
            .route(&request);
        answer.unwrap_or_else(|failure| Output::failed(failure.message))
    }

    #[test]
    fn the_schema_decides_the_shard() {
        assert_eq!(
            ask(&["tenant_acme.orders", "public.countries"]),
            Output::forward(Route::only_shard(0))
        );
        assert_eq!(
            ask(&["tenant_globex.orders", "tenant_initech.items"]),
            Output::forward(Route::only_shard(1))
        );
        assert_eq!(ask(&["orders", "public.orders"]), Output::skip());
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let unknown = Refusal::new("3F000", "there is no tenant \"hooli\"");
        assert_eq!(ask(&["tenant_hooli.orders"]), Output::error(unknown));
        assert!(
            matches!(ask(&["tenant_acme.a", "tenant_globex.a"]), Output::Error(refusal) if refusal.sqlstate() == "0A000")
        );
        assert_eq!(
            ask(&["tenant_far.orders"]),
            Output::failed("tenants: there is no shard 9")
        );
    }
}
