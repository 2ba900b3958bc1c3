//! A statement that has ended: what `pooler_query_end` is told.

use crate::client::{session, text};
use crate::frame::{BadFrame, Frame, Record, Records, first_size};
use crate::input::Protocol;
use crate::query::{self, Query};
use crate::route::Role;
use crate::session::Session;
use crate::sys;
use std::borrow::Cow;
use std::mem::offset_of;
use std::time::Duration;

/// A statement whose answer the client has been sent.
#[derive(Debug, Clone, Copy)]
pub struct QueryEnd<'a> {
    record: Record<'a>,
    session: Record<'a>,
    query: Query<'a>,
}

impl<'a> QueryEnd<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, BadFrame> {
        let frame = Frame(bytes);
        let record = frame.header(first_size::<sys::EndInput>())?;
        let session = session(frame, record.u32(offset_of!(sys::EndInput, session)))?;
        let statement = frame
            .follow(record.u32(offset_of!(sys::EndInput, statement)), first_size::<sys::Statement>())?
            .ok_or(BadFrame("there is no statement"))?;
        query::check(statement)?;
        Ok(QueryEnd { record, session, query: Query::new(statement, Records::NONE, session) })
    }

    /// The statement as the client sent it, without parameters.
    pub fn query(&self) -> Query<'a> {
        self.query
    }

    /// Whose it was.
    pub fn session(&self) -> Session<'a> {
        Session::new(self.session)
    }

    /// How the client sent it.
    pub fn protocol(&self) -> Protocol {
        match self.record.u32(offset_of!(sys::EndInput, protocol)) {
            sys::PROTOCOL_SIMPLE => Protocol::Simple,
            _ => Protocol::Extended,
        }
    }

    /// [`Input::query_id`](crate::Input::query_id) of the question about it; 0 when no plugin was asked.
    pub fn query_id(&self) -> u64 {
        self.record.u64(offset_of!(sys::EndInput, query_id))
    }

    /// Since it came, or since the statement before it in the same string or batch ended.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.record.u64(offset_of!(sys::EndInput, duration_us)))
    }

    /// Rows that were returned or changed.
    pub fn rows(&self) -> u64 {
        self.record.u64(offset_of!(sys::EndInput, rows))
    }

    /// `SELECT 2`; `None` when it failed or was suspended.
    pub fn command_tag(&self) -> Option<Cow<'a, str>> {
        text(self.record, offset_of!(sys::EndInput, command_tag))
    }

    /// The SQLSTATE of its error; `None` when it succeeded.
    pub fn sqlstate(&self) -> Option<Cow<'a, str>> {
        text(self.record, offset_of!(sys::EndInput, sqlstate))
    }

    /// The message of its error.
    pub fn message(&self) -> Option<Cow<'a, str>> {
        text(self.record, offset_of!(sys::EndInput, message))
    }

    /// Whether as many rows came as the client wanted, and there may be more.
    pub fn suspended(&self) -> bool {
        self.flag(sys::END_SUSPENDED)
    }

    /// Whether what ran is what a plugin made of it.
    pub fn rewritten(&self) -> bool {
        self.flag(sys::END_REWRITTEN)
    }

    /// Where it ran: role and shard; `None` when no server was asked.
    pub fn ran_on(&self) -> Option<(Role, u32)> {
        if self.flag(sys::END_LOCAL) {
            return None;
        }
        let role = Role::from_number(self.record.u32(offset_of!(sys::EndInput, role)));
        Some((role, self.record.u32(offset_of!(sys::EndInput, shard))))
    }

    /// `host:port` of the server.
    pub fn address(&self) -> Option<Cow<'a, str>> {
        text(self.record, offset_of!(sys::EndInput, address))
    }

    fn flag(&self, flag: u32) -> bool {
        self.record.u32(offset_of!(sys::EndInput, flags)) & flag != 0
    }
}
