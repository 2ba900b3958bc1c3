//! Refuses transactions of users who send too many, with an error of its own that says when to come again.
//!
//! ```toml
//! [[plugins]]
//! name = "./libexample_rate_limit.so"
//!
//! [plugins.config]
//! per_second = 100                        # of each user
//! burst = 500                             # so many at once, after a pause
//! sqlstate = "53400"
//! message = "too many queries"
//!
//! [plugins.config.users.batch]            # other limits for some
//! per_second = 5
//! burst = 5
//! ```
//!
//! A transaction counts once, with its first statement: what has begun may end. Workers share nothing, so each of them grants these
//! limits to the clients that it has.
#![forbid(unsafe_code)]

use pooler_plugin::{Error, Host, Input, Output, Plugin, Query, Refusal, plugin};
use std::collections::HashMap;
use std::time::Instant;

/// What `[plugins.config]` may hold.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    per_second: f64,
    burst: f64,
    #[serde(default = "sqlstate")]
    sqlstate: String,
    #[serde(default = "message")]
    message: String,
    #[serde(default)]
    users: HashMap<String, Limit>,
}

fn sqlstate() -> String {
    "53400".to_owned() // configuration_limit_exceeded
}

fn message() -> String {
    "too many queries".to_owned()
}

/// How much one user may send.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    per_second: f64,
    burst: f64,
}

/// Tokens come at a rate, up to as many as fit; each transaction takes one.
#[derive(Debug)]
struct Bucket {
    limit: Limit,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// `Err`: after how many seconds there is one.
    fn take(&mut self, now: Instant) -> Result<(), f64> {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.limit.per_second).min(self.limit.burst);
        self.filled = now;
        if self.tokens < 1.0 {
            return Err((1.0 - self.tokens) / self.limit.per_second);
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

/// The plugin.
#[derive(Debug)]
pub struct RateLimit {
    config: Config,
    /// By user: there are no more of them than the configuration has.
    buckets: HashMap<String, Bucket>,
}

// It inspects, so that it is asked also where another plugin has decided the route.
#[plugin(name = "rate-limit", capabilities = INSPECT)]
impl Plugin for RateLimit {
    type Config = Config;
    type Statement = ();

    fn new(_: &Host<'_>, config: Config) -> Result<Self, Error> {
        let all = Limit {
            per_second: config.per_second,
            burst: config.burst,
        };
        if config
            .users
            .values()
            .chain([&all])
            .any(|limit| !(limit.per_second > 0.0 && limit.burst >= 1.0))
        {
            return Err(Error::new(
                "per_second must be above 0, and burst at least 1",
            ));
        }
        Ok(RateLimit {
            config,
            buckets: HashMap::new(),
        })
    }

    fn learn(&mut self, _: Query<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn route(&mut self, input: Input<'_>, _: Option<&()>) -> Output {
        if !input.first_statement() || input.prepare_only() || input.rewritten() {
            return Output::skip();
        }
        let RateLimit { config, buckets } = self;
        let (user, now) = (input.session().user(), Instant::now());
        if !buckets.contains_key(&*user) {
            let all = Limit {
                per_second: config.per_second,
                burst: config.burst,
            };
            let limit = *config.users.get(&*user).unwrap_or(&all);
            buckets.insert(
                user.to_string(),
                Bucket {
                    limit,
                    tokens: limit.burst,
                    filled: now,
                },
            );
        }
        match buckets
            .get_mut(&*user)
            .map_or(Ok(()), |bucket| bucket.take(now))
        {
            Ok(()) => Output::skip(),
            Err(seconds) => {
                let detail = format!(
                    "User \"{user}\" may begin {} transactions a second.",
                    buckets[&*user].limit.per_second
                );
                let hint = format!("Try again in {} ms.", (seconds * 1000.0).ceil());
                Output::error(
                    Refusal::new(&config.sqlstate, &config.message)
                        .detail(detail)
                        .hint(hint),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Limit, RateLimit};
    use pooler_plugin::Output;
    use pooler_plugin::testing::{Request, Runner};
    use std::time::{Duration, Instant};

    #[test]
    fn tokens_come_at_the_rate_and_no_more_than_fit() {
        let start = Instant::now();
        let limit = Limit {
            per_second: 10.0,
            burst: 2.0,
        };
        let mut bucket = Bucket {
            limit,
            tokens: 2.0,
            filled: start,
        };
        assert_eq!((bucket.take(start), bucket.take(start)), (Ok(()), Ok(())));
        assert_eq!(
            bucket
                .take(start)
                .map_err(|seconds| (seconds * 1000.0).round()),
            Err(100.0)
        );
        let later = start + Duration::from_millis(101);
        assert!(bucket.take(later).is_ok() && bucket.take(later).is_err());
        let much_later = start + Duration::from_secs(3600);
        assert!(
            (0..2).all(|_| bucket.take(much_later).is_ok()) && bucket.take(much_later).is_err()
        );
    }

    #[test]
    fn each_user_has_a_limit_of_its_own() {
        let config =
            r#"{"per_second":0.001,"burst":1,"users":{"batch":{"per_second":0.001,"burst":2}}}"#;
        let mut plugin = Runner::start::<RateLimit>(config).unwrap();
        let mut refused = |request: &Request| matches!(plugin.route(request), Ok(Output::Error(_)));
        let (app, batch) = (
            Request::new("SELECT 1"),
            Request::new("SELECT 1").user("batch"),
        );
        assert_eq!(
            [
                refused(&app),
                refused(&app),
                refused(&app.clone().later_statement())
            ],
            [false, true, false]
        );
        assert_eq!(
            [refused(&batch), refused(&batch), refused(&batch)],
            [false, false, true]
        );
    }
}
