//! Clients that come and go: what `pooler_client_connect` and `pooler_client_disconnect` are told, and the answers to
//! the first. Views into the host's frame, and pure values.

use crate::error::Error;
use crate::frame::{BadFrame, Frame, Record, first_size};
use crate::output::Refusal;
use crate::pairs::Pairs;
use crate::session::Session;
use crate::sys;
use std::borrow::Cow;
use std::mem::offset_of;
use std::time::Duration;

/// A client whose startup packet has come. Nothing is proved yet.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    record: Record<'a>,
    session: Record<'a>,
}

impl<'a> Client<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, BadFrame> {
        let frame = Frame(bytes);
        let record = frame.header(first_size::<sys::ConnectInput>())?;
        let session = session(frame, record.u32(offset_of!(sys::ConnectInput, session)))?;
        Pairs::check(record, offset_of!(sys::ConnectInput, parameters))?;
        Ok(Client { record, session })
    }

    /// Id, user and database as plugins before this one have made them, and where the client comes from.
    pub fn session(&self) -> Session<'a> {
        Session::new(self.session)
    }

    /// The user that the client asked for.
    pub fn asked_user(&self) -> Cow<'a, str> {
        text(self.record, offset_of!(sys::ConnectInput, asked_user)).unwrap_or_default()
    }

    /// The database that the client asked for.
    pub fn asked_database(&self) -> Cow<'a, str> {
        text(self.record, offset_of!(sys::ConnectInput, asked_database)).unwrap_or_default()
    }

    /// The common name of the client's certificate, when it was verified.
    pub fn peer_name(&self) -> Option<Cow<'a, str>> {
        text(self.record, offset_of!(sys::ConnectInput, peer_name))
    }

    /// The startup packet.
    pub fn parameters(&self) -> Pairs<'a> {
        Pairs::new(self.record, offset_of!(sys::ConnectInput, parameters))
    }
}

/// A client that has left.
#[derive(Debug, Clone, Copy)]
pub struct ClientEnd<'a> {
    record: Record<'a>,
    session: Record<'a>,
}

impl<'a> ClientEnd<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, BadFrame> {
        let frame = Frame(bytes);
        let record = frame.header(first_size::<sys::DisconnectInput>())?;
        let session = session(frame, record.u32(offset_of!(sys::DisconnectInput, session)))?;
        Ok(ClientEnd { record, session })
    }

    /// Whose it was; the id is that of [`Client::session`].
    pub fn session(&self) -> Session<'a> {
        Session::new(self.session)
    }

    /// Whether its login had ended well.
    pub fn logged_in(&self) -> bool {
        self.record.u32(offset_of!(sys::DisconnectInput, flags)) & sys::DISCONNECT_LOGGED_IN != 0
    }

    /// How long it was there.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.record.u64(offset_of!(sys::DisconnectInput, duration_us)))
    }
}

/// A plugin's answer to a client that wants in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ClientAnswer {
    /// Nothing to say.
    #[default]
    Skip,
    /// Go on, as somebody or somewhere else.
    Accept(Box<Accept>),
    /// Tell the client this, and close.
    Refuse(Box<Refusal>),
    /// The plugin could not do its work: the client is refused.
    Failed(String),
}

impl ClientAnswer {
    /// Nothing to say.
    pub const fn skip() -> Self {
        ClientAnswer::Skip
    }

    /// Go on, with what it says.
    pub fn accept(accept: Accept) -> Self {
        ClientAnswer::Accept(Box::new(accept))
    }

    /// Tell the client this, and close.
    pub fn refuse(refusal: Refusal) -> Self {
        ClientAnswer::Refuse(Box::new(refusal))
    }

    /// Say that the plugin could not do its work.
    pub fn failed(message: impl Into<String>) -> Self {
        ClientAnswer::Failed(message.into())
    }
}

impl From<Accept> for ClientAnswer {
    fn from(accept: Accept) -> Self {
        ClientAnswer::accept(accept)
    }
}

impl From<Refusal> for ClientAnswer {
    fn from(refusal: Refusal) -> Self {
        ClientAnswer::refuse(refusal)
    }
}

impl From<Error> for ClientAnswer {
    fn from(error: Error) -> Self {
        ClientAnswer::Failed(error.to_string())
    }
}

impl<A: Into<ClientAnswer>, E: Into<ClientAnswer>> From<Result<A, E>> for ClientAnswer {
    fn from(result: Result<A, E>) -> Self {
        match result {
            Ok(answer) => answer.into(),
            Err(error) => error.into(),
        }
    }
}

/// As whom a client goes on. What is not said stays as it is.
///
/// ```
/// use pooler_plugin::*;
/// let answer = ClientAnswer::accept(Accept::new().database("tenant_7").server_login("tenant_7", None));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accept {
    pub(crate) user: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) server_user: Option<String>,
    pub(crate) server_password: Option<String>,
}

impl Accept {
    /// As it is.
    pub fn new() -> Self {
        Accept::default()
    }

    /// The user of the pooler's configuration that the client is from now on, whose password it must prove.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The database of the pooler's configuration, and so the cluster.
    #[must_use]
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// As whom to log in at servers; without a password, with that of the pooler's user.
    #[must_use]
    pub fn server_login(mut self, user: impl Into<String>, password: Option<&str>) -> Self {
        self.server_user = Some(user.into());
        self.server_password = password.map(str::to_owned);
        self
    }
}

pub(crate) fn session(frame: Frame<'_>, reference: u32) -> Result<Record<'_>, BadFrame> {
    Ok(frame.follow(reference, first_size::<sys::Session>())?.unwrap_or(Record::ABSENT))
}

pub(crate) fn text(record: Record<'_>, offset: usize) -> Option<Cow<'_, str>> {
    record.bytes(offset).map(String::from_utf8_lossy)
}
