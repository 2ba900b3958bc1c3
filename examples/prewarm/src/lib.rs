//! Makes new connections to servers ready before anybody gets them: hot tables are in the cache, plans are made, a role is set.
//!
//! ```toml
//! [[plugins]]
//! name = "./libexample_prewarm.so"
//!
//! [[plugins.config.rules]]
//! database = "shop"                       # by its name in the pooler; all of them without it
//! role = "replica"                        # or "primary"; both without it
//! once = ["SELECT pg_prewarm('orders')", "SELECT count(*) FROM products"]
//! session = ["SET plan_cache_mode = 'force_generic_plan'"]     # again whenever the session was reset
//! ```
//!
//! A statement that fails keeps the connection from being used.
#![forbid(unsafe_code)]

use pooler_plugin::{Error, First, Host, Plugin, Query, Role, Server, ServerAnswer, plugin};

/// What `[plugins.config]` may hold.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    rules: Vec<Rule>,
}

/// What runs on which connections.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    database: Option<String>,
    role: Option<HostRole>,
    #[serde(default)]
    once: Vec<String>,
    #[serde(default)]
    session: Vec<String>,
}

/// What a server is.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostRole {
    /// It takes writes.
    Primary,
    /// It follows one that does.
    Replica,
}

impl Rule {
    fn is_about(&self, server: &Server<'_>) -> bool {
        let role = match self.role {
            None => true,
            Some(HostRole::Primary) => server.role() == Role::Write,
            Some(HostRole::Replica) => server.role() == Role::Read,
        };
        role && self
            .database
            .as_ref()
            .is_none_or(|database| *database == server.database())
    }
}

/// The plugin.
#[derive(Debug)]
pub struct Prewarm {
    rules: Vec<Rule>,
}

#[plugin(name = "prewarm")]
impl Plugin for Prewarm {
    type Config = Config;
    type Statement = ();

    fn new(_: &Host<'_>, config: Config) -> Result<Self, Error> {
        Ok(Prewarm {
            rules: config.rules,
        })
    }

    fn learn(&mut self, _: Query<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn server_connect(&mut self, server: Server<'_>) -> ServerAnswer {
        let rules: Vec<_> = self
            .rules
            .iter()
            .filter(|rule| rule.is_about(&server))
            .collect();
        let once: Vec<_> = rules
            .iter()
            .flat_map(|rule| rule.once.iter().map(String::as_str))
            .collect();
        let session: Vec<_> = rules
            .iter()
            .flat_map(|rule| rule.session.iter().map(String::as_str))
            .collect();
        let mut first = First::new();
        if !session.is_empty() {
            first = first.session(session.join(";\n"));
        }
        if !once.is_empty() {
            first = first.once(once.join(";\n"));
        }
        if first == First::new() {
            ServerAnswer::skip()
        } else {
            first.into()
        }
    }

    fn reload(&mut self, _: &Host<'_>, config: Config) -> Result<(), Error> {
        self.rules = config.rules;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Prewarm;
    use pooler_plugin::testing::{Runner, ServerRequest};
    use pooler_plugin::{First, Role, ServerAnswer};

    const CONFIG: &str = r#"{"rules":[
        {"database":"shop","role":"replica","once":["SELECT 1","SELECT 2"]},
        {"session":["SET a.b = 'c'"]}
    ]}"#;

    #[test]
    fn runs_what_all_rules_say_about_a_server() {
        let mut plugin = Runner::start::<Prewarm>(CONFIG).unwrap();
        let replica = ServerRequest::new()
            .at(Role::Read, 0, "db:5432")
            .database("shop", "app");
        let all = First::new()
            .session("SET a.b = 'c'")
            .once("SELECT 1;\nSELECT 2");
        assert_eq!(
            plugin.server_connect(&replica),
            Ok(ServerAnswer::first(all))
        );
        let primary = ServerRequest::new().database("shop", "app");
        assert_eq!(
            plugin.server_connect(&primary),
            Ok(ServerAnswer::first(First::new().session("SET a.b = 'c'")))
        );
        plugin.reload(r#"{"rules":[]}"#).unwrap();
        assert_eq!(plugin.server_connect(&replica), Ok(ServerAnswer::skip()));
    }
}
