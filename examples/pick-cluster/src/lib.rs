//! Sends connections to databases of the pooler, and so to clusters, by where they come from and what they call themselves.
//!
//! ```toml
//! [[plugins]]
//! name = "./libexample_pick_cluster.so"
//!
//! [[plugins.config.rules]]                # the first one that fits counts
//! database = "shop"                       # what the client asked for
//! application = "report"                  # application_name begins with it
//! to = "shop_reporting"
//!
//! [[plugins.config.rules]]
//! address = "10.2."                       # its address begins with it
//! certificate = "eu-"                     # the name in its certificate begins with it
//! to = "shop_eu"
//! ```
//!
//! `to` is a database of the configuration: `[databases.shop_reporting]`. Who fits no rule gets what it asked for.
#![forbid(unsafe_code)]

use pooler_plugin::{Accept, Client, ClientAnswer, Error, Host, Plugin, Query, plugin};

/// What `[plugins.config]` may hold.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    rules: Vec<Rule>,
}

/// What a connection must be, all of it, to go somewhere.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    database: Option<String>,
    application: Option<String>,
    address: Option<String>,
    certificate: Option<String>,
    to: String,
}

impl Rule {
    fn fits(&self, client: &Client<'_>) -> bool {
        let session = client.session();
        let begins = |wanted: &Option<String>, has: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| has.starts_with(&**wanted))
        };
        self.database
            .as_ref()
            .is_none_or(|database| *database == client.asked_database())
            && begins(
                &self.application,
                &client
                    .parameters()
                    .get("application_name")
                    .unwrap_or_default(),
            )
            && begins(&self.address, &session.client_address())
            && begins(&self.certificate, &client.peer_name().unwrap_or_default())
    }
}

/// The plugin.
#[derive(Debug)]
pub struct PickCluster {
    rules: Vec<Rule>,
}

#[plugin(name = "pick-cluster")]
impl Plugin for PickCluster {
    type Config = Config;
    type Statement = ();

    fn new(_: &Host<'_>, config: Config) -> Result<Self, Error> {
        Ok(PickCluster {
            rules: config.rules,
        })
    }

    fn learn(&mut self, _: Query<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn client_connect(&mut self, client: Client<'_>) -> ClientAnswer {
        match self.rules.iter().find(|rule| rule.fits(&client)) {
            Some(rule) => Accept::new().database(&rule.to).into(),
            None => ClientAnswer::skip(),
        }
    }

    fn reload(&mut self, _: &Host<'_>, config: Config) -> Result<(), Error> {
        self.rules = config.rules;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::PickCluster;
    use pooler_plugin::testing::{ClientRequest, Runner};
    use pooler_plugin::{Accept, ClientAnswer};

    const CONFIG: &str = r#"{"rules":[
        {"database":"shop","application":"report","to":"reporting"},
        {"address":"127.","certificate":"eu-","to":"eu"}
    ]}"#;

    #[test]
    fn the_first_rule_that_fits_counts() {
        let mut plugin = Runner::start::<PickCluster>(CONFIG).unwrap();
        let to = |database: &str| Ok(ClientAnswer::accept(Accept::new().database(database)));
        let report = ClientRequest::new("app", "shop").parameter("application_name", "reports 2");
        assert_eq!(
            plugin.client_connect(&report.clone().peer_name("eu-1")),
            to("reporting")
        );
        assert_eq!(plugin.client_connect(&report), to("reporting"));
        assert_eq!(
            plugin.client_connect(&ClientRequest::new("app", "shop").peer_name("eu-1")),
            to("eu")
        );
        assert_eq!(
            plugin.client_connect(&ClientRequest::new("app", "shop")),
            Ok(ClientAnswer::skip())
        );
    }
}
