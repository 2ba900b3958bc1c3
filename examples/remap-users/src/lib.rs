//! Lets clients in as somebody else: names that moved, and logins at servers that clients never see.
//!
//! ```toml
//! [[plugins]]
//! name = "./libexample_remap_users.so"
//!
//! [plugins.config.users.old_app]
//! user = "app"                            # whose password the client must prove, from [users.app]
//!
//! [plugins.config.users.app]
//! server_user = "svc_app"                 # how the pooler logs in at servers for it
//! server_password_env = "SVC_APP_PASSWORD"
//!
//! [plugins.config.users.intruder]
//! refuse = "this account is closed"
//! ```
//!
//! A client that becomes another user gets that one's entry, too, but no further one.
#![forbid(unsafe_code)]

use pooler_plugin::{Accept, Client, ClientAnswer, Error, Host, Plugin, Query, Refusal, plugin};
use std::collections::HashMap;

/// What `[plugins.config]` may hold.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    users: HashMap<String, Entry>,
}

/// What becomes of a user.
#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Entry {
    user: Option<String>,
    server_user: Option<String>,
    server_password_env: Option<String>,
    refuse: Option<String>,
}

/// The plugin.
#[derive(Debug)]
pub struct RemapUsers {
    users: HashMap<String, Entry>,
    /// By the name of the environment variable.
    passwords: HashMap<String, String>,
}

impl RemapUsers {
    fn read(config: Config) -> Result<Self, Error> {
        let mut passwords = HashMap::new();
        for (user, entry) in &config.users {
            let Some(name) = &entry.server_password_env else {
                continue;
            };
            if entry.server_user.is_none() {
                return Err(Error::new(format!(
                    "users.{user}: server_password_env needs a server_user"
                )));
            }
            // The message never has the password in it.
            let password = std::env::var(name)
                .map_err(|_| Error::new(format!("users.{user}: {name} is not set")))?;
            passwords.insert(name.clone(), password);
        }
        Ok(RemapUsers {
            users: config.users,
            passwords,
        })
    }
}

#[plugin(name = "remap-users")]
impl Plugin for RemapUsers {
    type Config = Config;
    type Statement = ();

    fn new(_: &Host<'_>, config: Config) -> Result<Self, Error> {
        RemapUsers::read(config)
    }

    fn learn(&mut self, _: Query<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn client_connect(&mut self, client: Client<'_>) -> ClientAnswer {
        let Some(entry) = self.users.get(&*client.session().user()) else {
            return ClientAnswer::skip();
        };
        let other = entry.user.as_ref().and_then(|user| self.users.get(user));
        if let Some(why) = entry
            .refuse
            .as_ref()
            .or_else(|| other.and_then(|entry| entry.refuse.as_ref()))
        {
            return Refusal::new("28000", why).into();
        }
        let mut accept = Accept::new();
        if let Some(user) = &entry.user {
            accept = accept.user(user);
        }
        let login = [Some(entry), other]
            .into_iter()
            .flatten()
            .find(|entry| entry.server_user.is_some());
        if let Some(Entry {
            server_user: Some(user),
            server_password_env: name,
            ..
        }) = login
        {
            let password = name.as_ref().and_then(|name| self.passwords.get(name));
            accept = accept.server_login(user, password.map(String::as_str));
        }
        accept.into()
    }

    fn reload(&mut self, _: &Host<'_>, config: Config) -> Result<(), Error> {
        *self = RemapUsers::read(config)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::RemapUsers;
    use pooler_plugin::testing::{ClientRequest, Runner};
    use pooler_plugin::{Accept, ClientAnswer, Refusal};

    const CONFIG: &str = r#"{"users":{
        "old":{"user":"app"},
        "app":{"server_user":"svc","server_password_env":"PATH"},
        "gone":{"refuse":"this account is closed"}
    }}"#;

    #[test]
    fn a_client_becomes_another_user_with_its_login() {
        let mut plugin = Runner::start::<RemapUsers>(CONFIG).unwrap();
        let path = std::env::var("PATH").unwrap();
        let login = Accept::new().server_login("svc", Some(&path));
        let connect = |plugin: &mut Runner, user: &str| {
            plugin.client_connect(&ClientRequest::new(user, "shop"))
        };
        assert_eq!(
            connect(&mut plugin, "app"),
            Ok(ClientAnswer::accept(login.clone()))
        );
        assert_eq!(
            connect(&mut plugin, "old"),
            Ok(ClientAnswer::accept(login.user("app")))
        );
        assert_eq!(connect(&mut plugin, "other"), Ok(ClientAnswer::skip()));
        let refusal = Refusal::new("28000", "this account is closed");
        assert_eq!(
            connect(&mut plugin, "gone"),
            Ok(ClientAnswer::refuse(refusal))
        );
    }

    #[test]
    fn a_password_that_is_not_there_stops_the_start() {
        let config =
            r#"{"users":{"app":{"server_user":"svc","server_password_env":"NOT_SET_ANYWHERE"}}}"#;
        assert_eq!(
            Runner::start::<RemapUsers>(config).unwrap_err().message,
            "users.app: NOT_SET_ANYWHERE is not set"
        );
    }
}
