//! What a plugin may answer: five verdicts, and that it failed. Pure values; how they cross the boundary is in `encode`.

use crate::decode::{Format, RawValue};
use crate::error::Error;
use crate::parameter::Parameter;
use crate::route::Route;
use crate::rows::Rows;

/// A plugin's answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Output {
    /// Not mine: ask the next plugin.
    #[default]
    Skip,
    /// Send it there; what the route leaves open a later plugin may decide.
    Forward(Route),
    /// Answer the client with this error; no server is touched.
    Error(Box<Refusal>),
    /// This text, and these parameters, replace the statement for everyone after.
    Rewrite(Box<Rewrite>),
    /// These rows are the answer; no server is touched.
    Intercept(Box<Rows>),
    /// This verdict, and let the plugin see each row of the result: see [`Output::with_rows`].
    WithRows(Box<Output>, u64),
    /// The plugin could not do its work, and why: an operator's matter, not the client's.
    Failed(String),
}

impl Output {
    /// Not mine: ask the next plugin.
    pub const fn skip() -> Self {
        Output::Skip
    }

    /// Send the statement there.
    pub const fn forward(route: Route) -> Self {
        Output::Forward(route)
    }

    /// Answer the client with an error.
    pub fn error(refusal: Refusal) -> Self {
        Output::Error(Box::new(refusal))
    }

    /// Replace the statement: a text, or a [`Rewrite`] with parameters.
    pub fn rewrite(rewrite: impl Into<Rewrite>) -> Self {
        Output::Rewrite(Box::new(rewrite.into()))
    }

    /// Answer the client with rows.
    pub fn intercept(rows: Rows) -> Self {
        Output::Intercept(Box::new(rows))
    }

    /// Lets [`Plugin::result_row`](crate::Plugin::result_row) see each row of this execution, with the cookie, a number
    /// of the plugin's own. Not for errors: there are no rows then.
    #[must_use]
    pub fn with_rows(self, cookie: u64) -> Self {
        match self {
            Output::WithRows(verdict, _) => Output::WithRows(verdict, cookie),
            verdict => Output::WithRows(Box::new(verdict), cookie),
        }
    }

    /// Say that the plugin could not do its work; what then happens is the configuration's `on_error`.
    pub fn failed(message: impl Into<String>) -> Self {
        Output::Failed(message.into())
    }
}

impl From<Route> for Output {
    fn from(route: Route) -> Self {
        Output::Forward(route)
    }
}

impl From<Refusal> for Output {
    fn from(refusal: Refusal) -> Self {
        Output::error(refusal)
    }
}

impl From<Error> for Output {
    fn from(error: Error) -> Self {
        Output::Failed(error.to_string())
    }
}

impl<O: Into<Output>, E: Into<Output>> From<Result<O, E>> for Output {
    fn from(result: Result<O, E>) -> Self {
        match result {
            Ok(output) => output.into(),
            Err(error) => error.into(),
        }
    }
}

/// A PostgreSQL error for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
}

impl Refusal {
    /// An error with a SQLSTATE (five of `0-9A-Z`, such as `42501`) and a message.
    pub fn new(sqlstate: impl Into<String>, message: impl Into<String>) -> Self {
        Refusal { sqlstate: sqlstate.into(), message: message.into(), detail: None, hint: None }
    }

    /// Adds what exactly was wrong.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The SQLSTATE.
    pub fn sqlstate(&self) -> &str {
        &self.sqlstate
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// What a statement becomes: a text, and parameters where the client's do not fit it any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    pub(crate) sql: Vec<u8>,
    pub(crate) parameters: Option<Vec<NewParameter>>,
    pub(crate) route: Option<Route>,
}

impl Rewrite {
    /// One statement, in the client's encoding. The client's parameters stay as they are.
    pub fn new(sql: impl Into<Vec<u8>>) -> Self {
        Rewrite { sql: sql.into(), parameters: None, route: None }
    }

    /// Replaces all of the client's parameters.
    #[must_use]
    pub fn parameters(mut self, parameters: impl IntoIterator<Item = NewParameter>) -> Self {
        self.parameters = Some(parameters.into_iter().collect());
        self
    }

    /// Says where the rewritten statement shall go, too.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.route = Some(route);
        self
    }

    /// The text.
    pub fn sql(&self) -> &[u8] {
        &self.sql
    }
}

impl From<&str> for Rewrite {
    fn from(sql: &str) -> Self {
        Rewrite::new(sql)
    }
}

impl From<String> for Rewrite {
    fn from(sql: String) -> Self {
        Rewrite::new(sql)
    }
}

/// A parameter of a rewritten statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewParameter {
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) format: Format,
    pub(crate) type_oid: u32,
}

impl NewParameter {
    /// A value in text format, its type left to the server.
    pub fn text(value: impl Into<String>) -> Self {
        NewParameter { value: Some(value.into().into_bytes()), format: Format::Text, type_oid: 0 }
    }

    /// A value in binary format, which needs its type's OID.
    pub fn binary(type_oid: u32, value: impl Into<Vec<u8>>) -> Self {
        NewParameter { value: Some(value.into()), format: Format::Binary, type_oid }
    }

    /// NULL, its type left to the server.
    pub fn null() -> Self {
        NewParameter { value: None, format: Format::Text, type_oid: 0 }
    }

    /// Gives the type's OID.
    #[must_use]
    pub fn type_oid(mut self, type_oid: u32) -> Self {
        self.type_oid = type_oid;
        self
    }
}

impl From<Parameter<'_>> for NewParameter {
    /// The client's parameter as it is.
    fn from(parameter: Parameter<'_>) -> Self {
        let RawValue { bytes, format, type_oid } = parameter.raw();
        NewParameter { value: bytes.map(<[u8]>::to_vec), format, type_oid }
    }
}
