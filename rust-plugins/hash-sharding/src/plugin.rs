//! The plugin's edge: learns a plan for each statement text, and answers with the shard of each execution.

use crate::config::{Config, Sharding};
use crate::encoding::is_stored_as_sent;
use crate::plan::{Answer, Plan};
use crate::source::{Argument, Arguments};
use pooler_plugin::{Error, Format, Host, Input, Output, Plugin, Query, Refusal, Route, StatementKind, export_plugin};

#[derive(Debug)]
pub struct HashSharding {
    sharding: Sharding,
}

impl Plugin for HashSharding {
    type Config = Config;
    type Statement = Plan;

    fn new(_host: &Host<'_>, config: Config) -> Result<Self, Error> {
        match Sharding::new(config) {
            Ok(sharding) => Ok(HashSharding { sharding }),
            Err(error) => Err(Error::new(format!("config: {error}"))),
        }
    }

    fn learn(&mut self, query: Query<'_>) -> Result<Plan, Error> {
        let facts = query.facts();
        if facts.syntax_error() {
            let message = query.parse_error().unwrap_or_default();
            return Ok(Plan::of_syntax_error(&self.sharding, query.sql(), &message));
        }
        if !facts.parsed() {
            return Ok(Plan::of_unparsed(&self.sharding, query.sql()));
        }
        if query.kind() == StatementKind::Empty {
            return Ok(Plan::untouched());
        }
        match query.parse_tree_value() {
            Ok(Some(tree)) => Plan::of_tree(&self.sharding, &tree)
                .ok_or_else(|| Error::new("the parse tree does not hold one statement")),
            Ok(None) => Ok(Plan::of_unparsed(&self.sharding, query.sql())),
            Err(_) => Ok(Plan::of_too_deep(&self.sharding, query.sql())),
        }
    }

    fn route(&mut self, input: Input<'_>, statement: Option<&Plan>) -> Output {
        // Any shard can describe a statement.
        let (Some(plan), false) = (statement, input.prepare_only()) else { return Output::skip() };
        let Some(query) = input.query() else { return Output::skip() };
        let arguments = Sent { query, server_encoding: &self.sharding.server_encoding };
        match plan.route(&self.sharding, &arguments, input.cluster().shards()) {
            Answer::Skip => Output::skip(),
            Answer::Shard(shard) => Output::forward(Route::only_shard(shard)),
            // Wherever the transaction is, and the first one when it is nowhere yet.
            Answer::AnyShard if input.decided_shard().is_some() => Output::skip(),
            Answer::AnyShard => Output::forward(Route::only_shard(0)),
            Answer::Refuse(refusal) => {
                let mut error = Refusal::new(refusal.sqlstate, refusal.message);
                if let Some(detail) = refusal.detail {
                    error = error.detail(detail);
                }
                if let Some(hint) = refusal.hint {
                    error = error.hint(hint);
                }
                Output::error(error)
            }
        }
    }
}

struct Sent<'a> {
    query: Query<'a>,
    server_encoding: &'a str,
}

impl Arguments for Sent<'_> {
    #[inline]
    fn argument(&self, index: u32) -> Option<Argument<'_>> {
        let parameter = self.query.parameter(index as usize)?;
        let binary = parameter.format() == Format::Binary;
        Some(Argument { bytes: parameter.as_bytes(), binary, type_oid: parameter.type_oid() })
    }

    #[cold]
    fn text_is_stored_as_sent(&self) -> bool {
        is_stored_as_sent(&self.query.client_encoding(), self.server_encoding)
    }
}

export_plugin!(HashSharding {
    name: "hash-sharding",
    capabilities: FACTS | PARSE_TREE | EVERY_STATEMENT | LITERALS,
    grammar: 17..=18
});
