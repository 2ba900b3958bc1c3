//! The API: a question goes out over a connection that is kept, an opinion comes back, or a failure in words. Knows nothing of
//! statements.

use crate::{Config, OnFailure};
use pooler_plugin::{Error, Refusal};
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::http::Uri;

/// What the API says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opinion {
    Allowed,
    Denied(Refusal),
}

/// Asked by several threads at a time: the agent has a connection for each.
#[derive(Debug)]
pub(crate) struct Api {
    agent: Agent,
    url: String,
    headers: Vec<(String, String)>,
    timeout: Duration,
    max_body_bytes: usize,
    pub(crate) on_failure: OnFailure,
}

/// An opinion has a few words.
const LARGEST_ANSWER: u64 = 64 << 10;
/// Messages go to clients: what is longer is cut.
const LONGEST_TEXT: usize = 2000;
const KEPT_CONNECTIONS: usize = 64;

#[derive(serde::Deserialize)]
struct Answer {
    allowed: bool,
    message: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
    sqlstate: Option<String>,
}

impl Api {
    pub(crate) fn new(config: Config) -> Result<Self, Error> {
        let Config {
            url,
            timeout_ms,
            connect_timeout_ms,
            on_failure,
            max_body_bytes,
            headers,
        } = config;
        let known = url
            .parse::<Uri>()
            .ok()
            .filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
        if known.is_none() {
            return Err(Error::new(format!(
                "config: url: {url:?} is not http:// and a host"
            )));
        }
        if timeout_ms == 0 || connect_timeout_ms == 0 {
            return Err(Error::new(
                "config: timeout_ms and connect_timeout_ms must be more than 0",
            ));
        }
        let agent = Agent::config_builder()
            .timeout_connect(Some(Duration::from_millis(connect_timeout_ms)))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(KEPT_CONNECTIONS)
            .max_idle_connections_per_host(KEPT_CONNECTIONS)
            .proxy(None) // not by way of whatever the environment names
            .user_agent(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            ))
            .build()
            .new_agent();
        let api = Api {
            agent,
            url,
            headers: headers.into_iter().collect(),
            timeout: Duration::from_millis(timeout_ms),
            max_body_bytes,
            on_failure,
        };
        match api.request(api.timeout).headers_mut() {
            Some(_) => Ok(api),
            None => Err(Error::new(
                "config: headers: there is a name or a value that HTTP does not allow",
            )),
        }
    }

    /// `Err`: why nobody knows.
    pub(crate) fn ask(&self, question: &[u8]) -> Result<Opinion, String> {
        if question.len() > self.max_body_bytes {
            let most = self.max_body_bytes;
            return Err(format!(
                "the statement and its parameters take {} bytes, of {most} that may be sent",
                question.len()
            ));
        }
        let began = Instant::now();
        match self.post(question, self.timeout) {
            // The API may have closed a kept connection just when it was used again; asking twice does no harm.
            Err(ureq::Error::Io(_) | ureq::Error::Protocol(_)) => {
                let left = self
                    .timeout
                    .checked_sub(began.elapsed())
                    .filter(|left| !left.is_zero());
                self.post(question, left.ok_or("the API took too long")?)
                    .map_err(|error| unasked(&error))?
            }
            other => other.map_err(|error| unasked(&error))?,
        }
    }

    /// The inner result is the API's answer, as far as it is one.
    fn post(
        &self,
        question: &[u8],
        timeout: Duration,
    ) -> Result<Result<Opinion, String>, ureq::Error> {
        let mut response = self.request(timeout).send(question)?;
        let status = response.status();
        // Read to its end, so that the connection can be kept.
        let body = response
            .body_mut()
            .with_config()
            .limit(LARGEST_ANSWER)
            .read_to_vec()?;
        Ok(match status.as_u16() {
            200 => opinion(&body),
            _ => Err(format!("the API answered {status}")),
        })
    }

    fn request(&self, timeout: Duration) -> ureq::RequestBuilder<ureq::typestate::WithBody> {
        let mut request = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.config().timeout_global(Some(timeout)).build()
    }
}

fn unasked(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "the API took too long".to_owned(),
        error => format!("the API could not be asked: {error}"),
    }
}

fn opinion(body: &[u8]) -> Result<Opinion, String> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| format!("the API's answer cannot be read: {error}"))?;
    if answer.allowed {
        return Ok(Opinion::Allowed);
    }
    // Class 00 would mean success.
    let sqlstate = answer
        .sqlstate
        .filter(|state| is_sqlstate(state) && !state.starts_with("00"));
    let message = answer
        .message
        .map(|text| plain(&text))
        .filter(|text| !text.is_empty());
    let mut refusal = Refusal::new(
        sqlstate.as_deref().unwrap_or("23514"), // check_violation
        message.as_deref().unwrap_or("this may not be written"),
    );
    if let Some(detail) = answer.detail {
        refusal = refusal.detail(plain(&detail));
    }
    if let Some(hint) = answer.hint {
        refusal = refusal.hint(plain(&hint));
    }
    Ok(Opinion::Denied(refusal))
}

fn is_sqlstate(text: &str) -> bool {
    text.len() == 5
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// Not longer than a message should be, and without what would end it early.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|character| *character != '\0')
        .take(LONGEST_TEXT)
        .collect()
}
