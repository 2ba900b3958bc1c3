//! A new connection to a server: what `pooler_server_connect` is told, and what it may answer.

use crate::client::text;
use crate::error::Error;
use crate::frame::{BadFrame, Frame, Record, first_size};
use crate::output::Refusal;
use crate::pairs::Pairs;
use crate::route::Role;
use crate::sys;
use std::borrow::Cow;
use std::mem::offset_of;

/// A connection to a server whose login is over and that nobody has used yet.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    record: Record<'a>,
}

impl<'a> Server<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, BadFrame> {
        let record = Frame(bytes).header(first_size::<sys::ServerInput>())?;
        Pairs::check(record, offset_of!(sys::ServerInput, parameters))?;
        Ok(Server { record })
    }

    /// A number for the connection, unique in this worker.
    pub fn id(&self) -> u64 {
        self.record.u64(offset_of!(sys::ServerInput, id))
    }

    /// Whether it is over TLS.
    pub fn tls(&self) -> bool {
        self.record.u32(offset_of!(sys::ServerInput, flags)) & sys::SERVER_TLS != 0
    }

    /// The shard that the server belongs to.
    pub fn shard(&self) -> u32 {
        self.record.u32(offset_of!(sys::ServerInput, shard))
    }

    /// `Write` for a primary, `Read` for a replica.
    pub fn role(&self) -> Role {
        Role::from_number(self.record.u32(offset_of!(sys::ServerInput, role)))
    }

    /// The process id of the backend.
    pub fn process_id(&self) -> u32 {
        self.record.u32(offset_of!(sys::ServerInput, process_id))
    }

    /// The database by its name in the pooler's configuration.
    pub fn database(&self) -> Cow<'a, str> {
        self.text(offset_of!(sys::ServerInput, database))
    }

    /// The database by its name on the server.
    pub fn server_database(&self) -> Cow<'a, str> {
        self.text(offset_of!(sys::ServerInput, server_database))
    }

    /// As whom the pooler logged in.
    pub fn user(&self) -> Cow<'a, str> {
        self.text(offset_of!(sys::ServerInput, user))
    }

    /// `host:port`
    pub fn address(&self) -> Cow<'a, str> {
        self.text(offset_of!(sys::ServerInput, address))
    }

    /// What the server reported: `server_version`, `TimeZone`, ….
    pub fn parameters(&self) -> Pairs<'a> {
        Pairs::new(self.record, offset_of!(sys::ServerInput, parameters))
    }

    fn text(&self, offset: usize) -> Cow<'a, str> {
        text(self.record, offset).unwrap_or_default()
    }
}

/// A plugin's answer to a new connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ServerAnswer {
    /// Nothing to say.
    #[default]
    Skip,
    /// Run this first.
    First(Box<First>),
    /// Do not use the connection; clients that wait for it hear this.
    Refuse(Box<Refusal>),
    /// The plugin could not do its work: the connection is not used.
    Failed(String),
}

impl ServerAnswer {
    /// Nothing to say.
    pub const fn skip() -> Self {
        ServerAnswer::Skip
    }

    /// Run this first.
    pub fn first(first: First) -> Self {
        ServerAnswer::First(Box::new(first))
    }

    /// Do not use the connection.
    pub fn refuse(refusal: Refusal) -> Self {
        ServerAnswer::Refuse(Box::new(refusal))
    }

    /// Say that the plugin could not do its work.
    pub fn failed(message: impl Into<String>) -> Self {
        ServerAnswer::Failed(message.into())
    }
}

impl From<First> for ServerAnswer {
    fn from(first: First) -> Self {
        ServerAnswer::first(first)
    }
}

impl From<Refusal> for ServerAnswer {
    fn from(refusal: Refusal) -> Self {
        ServerAnswer::refuse(refusal)
    }
}

impl From<Error> for ServerAnswer {
    fn from(error: Error) -> Self {
        ServerAnswer::Failed(error.to_string())
    }
}

impl<A: Into<ServerAnswer>, E: Into<ServerAnswer>> From<Result<A, E>> for ServerAnswer {
    fn from(result: Result<A, E>) -> Self {
        match result {
            Ok(answer) => answer.into(),
            Err(error) => error.into(),
        }
    }
}

/// Statements to run before anybody uses a connection. When one of them fails the connection is not used.
///
/// ```
/// use pooler_plugin::*;
/// let answer = ServerAnswer::first(First::new().session("SET ROLE reporting").once("SELECT pg_prewarm('orders')"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct First {
    pub(crate) session: Option<String>,
    pub(crate) once: Option<String>,
}

impl First {
    /// Nothing yet.
    pub fn new() -> Self {
        First::default()
    }

    /// Statements that make the session what it shall be: run first, and again whenever the session was reset.
    #[must_use]
    pub fn session(mut self, sql: impl Into<String>) -> Self {
        self.session = Some(sql.into());
        self
    }

    /// Statements that are run once, after those for the session.
    #[must_use]
    pub fn once(mut self, sql: impl Into<String>) -> Self {
        self.once = Some(sql.into());
        self
    }
}
