//! Asks an HTTP API about each statement that writes: it may run, or its client gets the API's message. The plugin waits for the
//! API, and with it the session that asks, but nobody else.
//!
//! ```toml
//! [[plugins]]
//! name = "./libexample_http_check.so"
//! max_concurrent = 16                     # questions at a time, in each worker
//! deadline = "2s"
//!
//! [plugins.config]
//! url = "http://127.0.0.1:8080/check"
//! timeout_ms = 1500                       # for all of a question: less than the deadline
//! connect_timeout_ms = 300
//! on_failure = "refuse"                   # or "allow": when the API cannot be asked
//! max_body_bytes = 1048576                # what is larger cannot be asked about
//!
//! [plugins.config.headers]
//! x-api-key = "secret"
//! ```
//!
//! The API is sent `POST {"user", "database", "statement", "params"}`. Parameters are texts or null; those in binary format that have
//! no plain text are `{"type_oid", "hex"}`. It answers 200 and `{"allowed": true}`, or
//! `{"allowed": false, "message": "…", "detail": "…", "hint": "…", "sqlstate": "23514"}`, all but the first optional. Everything else is a failure.
//!
//! Statements that write are INSERT, UPDATE, DELETE, MERGE, COPY FROM, DDL, WITH and EXPLAIN ANALYZE of these, CALL, DO and EXECUTE, and what the
//! pooler's parser does not understand. What a function does that a SELECT calls is not seen. It speaks plain HTTP: put the API,
//! or a proxy to it, on the same machine or into the same private network; or give ureq its feature `rustls`.
#![forbid(unsafe_code)]

mod api;
mod question;
#[cfg(test)]
mod tests;

use api::{Api, Opinion};
use pooler_plugin::{BlockingPlugin, Error, Host, Input, Output, Query, Refusal, plugin};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What `[plugins.config]` may hold.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    url: String,
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
    #[serde(default = "connect_timeout_ms")]
    connect_timeout_ms: u64,
    #[serde(default)]
    on_failure: OnFailure,
    #[serde(default = "max_body_bytes")]
    max_body_bytes: usize,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// What becomes of a statement when the API cannot be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It fails.
    #[default]
    Refuse,
    /// It runs.
    Allow,
}

fn timeout_ms() -> u64 {
    1500
}

fn connect_timeout_ms() -> u64 {
    300
}

fn max_body_bytes() -> usize {
    1 << 20
}

/// The plugin. A reload replaces the API; questions that are under way go on with the one before.
#[derive(Debug)]
pub struct HttpCheck {
    api: RwLock<Arc<Api>>,
}

#[plugin(name = "http-check", capabilities = FACTS | INSPECT)]
impl BlockingPlugin for HttpCheck {
    type Config = Config;
    /// Whether it writes.
    type Statement = bool;

    fn new(_: &Host<'_>, config: Config) -> Result<Self, Error> {
        Ok(HttpCheck {
            api: RwLock::new(Arc::new(Api::new(config)?)),
        })
    }

    fn learn(&self, query: Query<'_>) -> Result<bool, Error> {
        Ok(!query.facts().parsed() || query.facts().writes())
    }

    /// Reads go past it, however many writes wait.
    fn wants(&self, writes: &bool) -> bool {
        *writes
    }

    fn route(&self, input: Input<'_>, _: Option<&bool>) -> Output {
        // What a driver prepares is asked about when it is executed: then there are parameters.
        let Some(query) = input.query().filter(|_| !input.prepare_only()) else {
            return Output::skip();
        };
        // The lock is let go before anything is waited for.
        let api = Arc::clone(&self.api.read().unwrap_or_else(PoisonError::into_inner));
        let answer = match question::json(&input, &query) {
            Ok(question) => api.ask(&question),
            Err(unreadable) => return Refusal::new("0A000", unreadable).into(),
        };
        match answer {
            Ok(Opinion::Allowed) => Output::skip(),
            Ok(Opinion::Denied(refusal)) => refusal.into(),
            Err(_) if api.on_failure == OnFailure::Allow => Output::skip(),
            Err(why) => {
                let refusal = Refusal::new(
                    "58000",
                    "it could not be checked whether this may be written",
                );
                refusal.detail(why).hint("Try again.").into()
            }
        }
    }

    fn reload(&self, _: &Host<'_>, config: Config) -> Result<(), Error> {
        let api = Arc::new(Api::new(config)?);
        *self.api.write().unwrap_or_else(PoisonError::into_inner) = api;
        Ok(())
    }
}
