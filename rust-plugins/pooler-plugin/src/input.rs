//! What a hook is asked: one statement of one session, as views into the host's frame. The frame's structure is
//! checked once, when it comes in; nothing is copied. Knows the input structs, not what a plugin does with them.

use crate::cluster::Cluster;
use crate::frame::{BadFrame, Frame, Record, Records, first_size};
use crate::parameter::Parameter;
use crate::query::{self, Query};
use crate::route::{Role, Shard};
use crate::session::Session;
use crate::sys;
use std::mem::offset_of;

/// How the client sent the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// A simple query: no parameters.
    Simple,
    /// Parse, Bind, Execute.
    Extended,
}

/// One question of the host: which statement, in which state of which session, on which cluster.
///
/// It borrows the host's frame, so it cannot outlive the call; copy out what you want to keep.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    header: Record<'a>,
    query: Option<Query<'a>>,
    session: Record<'a>,
    cluster: Record<'a>,
}

impl<'a> Input<'a> {
    /// Reads a frame that begins with `pooler_input`.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, BadFrame> {
        let frame = Frame(bytes);
        let header = frame.header(first_size::<sys::Input>())?;
        let statement = frame.follow(header.u32(offset_of!(sys::Input, statement)), first_size::<sys::Statement>())?;
        let session = frame
            .follow(header.u32(offset_of!(sys::Input, session)), first_size::<sys::Session>())?
            .unwrap_or(Record::ABSENT);
        let cluster = frame
            .follow(header.u32(offset_of!(sys::Input, cluster)), first_size::<sys::Cluster>())?
            .unwrap_or(Record::ABSENT);
        let parameters = header.array(offset_of!(sys::Input, parameters), first_size::<sys::Parameter>())?;
        check_parameters(parameters)?;
        cluster.array(offset_of!(sys::Cluster, hosts), first_size::<sys::Host>())?;
        let query = match statement {
            Some(statement) => {
                query::check(statement)?;
                Some(Query::new(statement, parameters, session))
            }
            None => None,
        };
        Ok(Input { header, query, session, cluster })
    }

    /// The statement with its parameters.
    pub fn query(&self) -> Option<Query<'a>> {
        self.query
    }

    /// Who asks.
    pub fn session(&self) -> Session<'a> {
        Session::new(self.session)
    }

    /// Where it may go.
    pub fn cluster(&self) -> Cluster<'a> {
        Cluster::new(self.cluster)
    }

    /// How the client sent the statement.
    pub fn protocol(&self) -> Protocol {
        match self.header.u32(offset_of!(sys::Input, protocol)) {
            sys::PROTOCOL_SIMPLE => Protocol::Simple,
            _ => Protocol::Extended,
        }
    }

    /// Inside an explicit transaction.
    pub fn in_transaction(&self) -> bool {
        self.flag(sys::IN_TRANSACTION)
    }

    /// Inside an explicit transaction that was begun READ ONLY.
    pub fn read_only(&self) -> bool {
        self.flag(sys::READ_ONLY)
    }

    /// This statement decides where the transaction goes.
    pub fn first_statement(&self) -> bool {
        self.flag(sys::FIRST_STATEMENT)
    }

    /// A driver prepares or describes: there are no parameters, any shard can answer, and routes do not count.
    pub fn prepare_only(&self) -> bool {
        self.flag(sys::PREPARE_ONLY)
    }

    /// The statement is what a plugin made of the client's.
    pub fn rewritten(&self) -> bool {
        self.flag(sys::REWRITTEN)
    }

    /// One of several statements of a query string or batch.
    pub fn several_statements(&self) -> bool {
        self.flag(sys::SEVERAL_STATEMENTS)
    }

    /// The role that an earlier plugin, or the transaction, has decided.
    pub fn decided_role(&self) -> Option<Role> {
        if !self.flag(sys::ROLE_DECIDED) {
            return None;
        }
        match Role::from_number(self.header.u32(offset_of!(sys::Input, role))) {
            Role::Open => None,
            role => Some(role),
        }
    }

    /// The shard that an earlier plugin, or the transaction, has decided: a number, or all of them.
    pub fn decided_shard(&self) -> Option<Shard> {
        if !self.flag(sys::SHARD_DECIDED) {
            return None;
        }
        match Shard::from_number(self.header.u32(offset_of!(sys::Input, shard))) {
            Shard::Open => None,
            shard => Some(shard),
        }
    }

    /// Milliseconds since this session's last transaction that may have written ended; `None` when there was none.
    pub fn ms_since_write(&self) -> Option<u32> {
        match self.header.u32(offset_of!(sys::Input, ms_since_write)) {
            sys::NEVER => None,
            ms => Some(ms),
        }
    }

    /// A number for this question, unique in this worker.
    pub fn query_id(&self) -> u64 {
        self.header.u64(offset_of!(sys::Input, query_id))
    }

    fn flag(&self, flag: u32) -> bool {
        self.header.u32(offset_of!(sys::Input, flags)) & flag != 0
    }
}

/// A parameter whose value cannot be read must never look like another value, or like NULL.
fn check_parameters(parameters: Records<'_>) -> Result<(), BadFrame> {
    for record in parameters.iter() {
        Parameter::check(record)?;
    }
    Ok(())
}
