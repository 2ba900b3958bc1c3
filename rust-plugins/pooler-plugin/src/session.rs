//! Who asks: the client session behind a question.

use crate::frame::Record;
use crate::sys;
use std::borrow::Cow;
use std::mem::offset_of;

/// The client session. Texts are handed out as UTF-8; bytes that are not are replaced by U+FFFD.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    record: Record<'a>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(record: Record<'a>) -> Self {
        Session { record }
    }

    /// A number for the session, unique in this worker.
    pub fn id(&self) -> u64 {
        self.record.u64(offset_of!(sys::Session, id))
    }

    /// Whether the client came over TLS.
    pub fn tls(&self) -> bool {
        self.record.u32(offset_of!(sys::Session, flags)) & sys::SESSION_TLS != 0
    }

    /// The user that the client logged in as.
    pub fn user(&self) -> Cow<'a, str> {
        self.text(offset_of!(sys::Session, user))
    }

    /// The database as the client asked for it.
    pub fn database(&self) -> Cow<'a, str> {
        self.text(offset_of!(sys::Session, database))
    }

    /// The client's `application_name`, empty when it gave none.
    pub fn application_name(&self) -> Cow<'a, str> {
        self.text(offset_of!(sys::Session, application_name))
    }

    /// `127.0.0.1`, `::1`, or `unix`.
    pub fn client_address(&self) -> Cow<'a, str> {
        self.text(offset_of!(sys::Session, client_address))
    }

    /// PostgreSQL's name of the client's encoding: `UTF8`.
    pub fn client_encoding(&self) -> Cow<'a, str> {
        self.text(offset_of!(sys::Session, client_encoding))
    }

    fn text(&self, offset: usize) -> Cow<'a, str> {
        String::from_utf8_lossy(self.record.bytes(offset).unwrap_or_default())
    }
}
