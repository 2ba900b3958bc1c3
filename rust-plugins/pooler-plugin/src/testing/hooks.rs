//! The hooks beside `pooler_route_query` as the host would call them: what they are told, each part with a default, and
//! their answers read back out of the frame.

use super::runner::{create_frame, exported};
use super::{Failure, FrameBuffer, Request, Runner, answer};
use crate::client::{Accept, ClientAnswer};
use crate::decode::Format;
use crate::frame::{BadFrame, Frame, Record, first_size};
use crate::route::Role;
use crate::row::RowAnswer;
use crate::rows::{Column, Value};
use crate::server::{First, ServerAnswer};
use crate::sys;
use std::mem::{offset_of, size_of};

/// A client that wants in. Unless said otherwise it is user `app` of database `app` from 127.0.0.1.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    session: Request,
    peer_name: Option<String>,
    parameters: Vec<(String, String)>,
}

impl ClientRequest {
    /// A client that asks for this.
    pub fn new(user: &str, database: &str) -> Self {
        let parameters = [("user", user), ("database", database)];
        ClientRequest {
            session: Request::new("").user(user).database(database),
            peer_name: None,
            parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        }
    }

    /// Another parameter of the startup packet.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The common name of its certificate.
    #[must_use]
    pub fn peer_name(mut self, name: &str) -> Self {
        self.peer_name = Some(name.to_owned());
        self
    }

    pub(super) fn frame(&self) -> FrameBuffer {
        let mut frame = started::<sys::ConnectInput>();
        let session = self.session.put_session(&mut frame);
        frame.put_u32(offset_of!(sys::ConnectInput, session), session as u32);
        for (field, name) in [
            (offset_of!(sys::ConnectInput, asked_user), "user"),
            (offset_of!(sys::ConnectInput, asked_database), "database"),
        ] {
            let value = self.parameters.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_bytes());
            frame.put_slice(field, value);
        }
        frame.put_slice(offset_of!(sys::ConnectInput, peer_name), self.peer_name.as_deref().map(str::as_bytes));
        put_pairs(&mut frame, offset_of!(sys::ConnectInput, parameters), &self.parameters);
        frame
    }

    fn end_frame(&self) -> FrameBuffer {
        let mut frame = started::<sys::DisconnectInput>();
        let session = self.session.put_session(&mut frame);
        frame.put_u32(offset_of!(sys::DisconnectInput, session), session as u32);
        frame.put_u32(offset_of!(sys::DisconnectInput, flags), sys::DISCONNECT_LOGGED_IN);
        frame.put_u64(offset_of!(sys::DisconnectInput, duration_us), 1_000_000);
        frame
    }
}

/// A new connection to a server: shard 0, a primary, unless said otherwise.
#[derive(Debug, Clone)]
pub struct ServerRequest {
    shard: u32,
    role: Role,
    database: String,
    user: String,
    address: String,
    parameters: Vec<(String, String)>,
}

impl Default for ServerRequest {
    fn default() -> Self {
        ServerRequest {
            shard: 0,
            role: Role::Write,
            database: "app".to_owned(),
            user: "app".to_owned(),
            address: "127.0.0.1:5432".to_owned(),
            parameters: vec![("server_version".to_owned(), "18.0".to_owned())],
        }
    }
}

impl ServerRequest {
    /// A connection with nothing special about it.
    pub fn new() -> Self {
        ServerRequest::default()
    }

    /// Where it goes.
    #[must_use]
    pub fn at(mut self, role: Role, shard: u32, address: &str) -> Self {
        (self.role, self.shard, self.address) = (role, shard, address.to_owned());
        self
    }

    /// To which database, by its name in the pooler, and as whom.
    #[must_use]
    pub fn database(mut self, database: &str, user: &str) -> Self {
        (self.database, self.user) = (database.to_owned(), user.to_owned());
        self
    }

    /// Something that the server reports.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn frame(&self) -> FrameBuffer {
        let mut frame = started::<sys::ServerInput>();
        frame.put_u64(offset_of!(sys::ServerInput, id), 1);
        frame.put_u32(offset_of!(sys::ServerInput, shard), self.shard);
        frame.put_u32(offset_of!(sys::ServerInput, role), self.role.number());
        frame.put_slice(offset_of!(sys::ServerInput, database), Some(self.database.as_bytes()));
        frame.put_slice(offset_of!(sys::ServerInput, server_database), Some(self.database.as_bytes()));
        frame.put_slice(offset_of!(sys::ServerInput, user), Some(self.user.as_bytes()));
        frame.put_slice(offset_of!(sys::ServerInput, address), Some(self.address.as_bytes()));
        put_pairs(&mut frame, offset_of!(sys::ServerInput, parameters), &self.parameters);
        frame
    }
}

/// How a statement ended: well, on the primary of shard 0, unless said otherwise.
#[derive(Debug, Clone)]
pub struct End {
    rows: u64,
    tag: Option<String>,
    error: Option<(String, String)>,
    duration_us: u64,
}

impl End {
    /// Well, with this command tag and so many rows.
    pub fn well(tag: &str, rows: u64) -> Self {
        End { rows, tag: Some(tag.to_owned()), error: None, duration_us: 1_000 }
    }

    /// With an error.
    pub fn error(sqlstate: &str, message: &str) -> Self {
        End { rows: 0, tag: None, error: Some((sqlstate.to_owned(), message.to_owned())), duration_us: 1_000 }
    }

    /// After so many microseconds.
    #[must_use]
    pub fn after_us(mut self, duration_us: u64) -> Self {
        self.duration_us = duration_us;
        self
    }

    fn frame(&self, request: &Request) -> FrameBuffer {
        let mut frame = started::<sys::EndInput>();
        let statement = request.put_statement(&mut frame, false);
        frame.put_u32(offset_of!(sys::EndInput, statement), statement as u32);
        let session = request.put_session(&mut frame);
        frame.put_u32(offset_of!(sys::EndInput, session), session as u32);
        frame.put_u64(offset_of!(sys::EndInput, query_id), request.query_id);
        frame.put_u64(offset_of!(sys::EndInput, duration_us), self.duration_us);
        frame.put_u64(offset_of!(sys::EndInput, rows), self.rows);
        frame.put_u32(offset_of!(sys::EndInput, role), sys::ROLE_WRITE);
        frame.put_u32(offset_of!(sys::EndInput, flags), if self.error.is_some() { sys::END_FAILED } else { 0 });
        frame.put_slice(offset_of!(sys::EndInput, address), Some(b"127.0.0.1:5432"));
        frame.put_slice(offset_of!(sys::EndInput, command_tag), self.tag.as_deref().map(str::as_bytes));
        let error = self.error.as_ref();
        frame.put_slice(offset_of!(sys::EndInput, sqlstate), error.map(|(state, _)| state.as_bytes()));
        frame.put_slice(offset_of!(sys::EndInput, message), error.map(|(_, message)| message.as_bytes()));
        frame
    }
}

impl Runner {
    /// A client wants in.
    ///
    /// # Errors
    /// When the hook fails, or the answer is malformed.
    pub fn client_connect(&mut self, client: &ClientRequest) -> Result<ClientAnswer, Failure> {
        let hook = exported(self.exports.client_connect, "pooler_client_connect")?;
        let (status, output) = self.call(&client.frame(), hook)?;
        client_answer(status, &output)
    }

    /// A client has left.
    ///
    /// # Errors
    /// When the hook fails.
    pub fn client_disconnect(&mut self, client: &ClientRequest) -> Result<(), Failure> {
        let hook = exported(self.exports.client_disconnect, "pooler_client_disconnect")?;
        self.call(&client.end_frame(), hook).map(|_| ())
    }

    /// There is a new connection to a server.
    ///
    /// # Errors
    /// When the hook fails, or the answer is malformed.
    pub fn server_connect(&mut self, server: &ServerRequest) -> Result<ServerAnswer, Failure> {
        let hook = exported(self.exports.server_connect, "pooler_server_connect")?;
        let (status, output) = self.call(&server.frame(), hook)?;
        server_answer(status, &output)
    }

    /// The statement of a request has ended.
    ///
    /// # Errors
    /// When the hook fails.
    pub fn query_end(&mut self, request: &Request, end: &End) -> Result<(), Failure> {
        let hook = exported(self.exports.query_end, "pooler_query_end")?;
        self.call(&end.frame(request), hook).map(|_| ())
    }

    /// A row of the request's statement comes, for which the plugin gave this cookie. Values are in their columns' formats.
    ///
    /// # Errors
    /// When the hook fails, or the answer is malformed.
    pub fn result_row(
        &mut self,
        request: &Request,
        cookie: u64,
        columns: &[Column],
        values: &[Value],
    ) -> Result<RowAnswer, Failure> {
        let hook = exported(self.exports.result_row, "pooler_result_row")?;
        let (status, output) = self.call(&row_frame(request, cookie, columns, values), hook)?;
        read(status, &output, |status, output| match status {
            sys::ROW_KEEP => Ok(RowAnswer::Keep),
            sys::ROW_DROP => Ok(RowAnswer::Drop),
            sys::ROW_CHANGE => read_row(output, columns).map(RowAnswer::Change),
            _ => Err(BadFrame("an unknown verdict")),
        })
    }

    /// The configuration was read again.
    ///
    /// # Errors
    /// When the plugin refuses it.
    pub fn reload(&mut self, config_json: &str) -> Result<(), Failure> {
        let hook = exported(self.exports.reload, "pooler_reload")?;
        self.call(&create_frame(config_json), hook).map(|_| ())
    }
}

/// The answer of `pooler_client_connect`.
pub(super) fn client_answer(status: sys::Status, output: &FrameBuffer) -> Result<ClientAnswer, Failure> {
    read(status, output, |status, output| match status {
        sys::SKIP => Ok(ClientAnswer::Skip),
        sys::ERROR => answer::read_refusal(output).map(ClientAnswer::refuse),
        sys::ACCEPT => Ok(ClientAnswer::accept(Accept {
            user: answer::text(output, offset_of!(sys::Output, user))?,
            database: answer::text(output, offset_of!(sys::Output, database))?,
            server_user: answer::text(output, offset_of!(sys::Output, server_user))?,
            server_password: answer::text(output, offset_of!(sys::Output, server_password))?,
        })),
        _ => Err(BadFrame("an unknown verdict")),
    })
}

/// The answer of `pooler_server_connect`.
pub(super) fn server_answer(status: sys::Status, output: &FrameBuffer) -> Result<ServerAnswer, Failure> {
    read(status, output, |status, output| match status {
        sys::SKIP => Ok(ServerAnswer::Skip),
        sys::ERROR => answer::read_refusal(output).map(ServerAnswer::refuse),
        sys::ACCEPT => Ok(ServerAnswer::first(First {
            session: answer::text(output, offset_of!(sys::Output, sql))?,
            once: answer::text(output, offset_of!(sys::Output, once_sql))?,
        })),
        _ => Err(BadFrame("an unknown verdict")),
    })
}

fn read<A>(
    status: sys::Status,
    output: &FrameBuffer,
    read: impl FnOnce(sys::Status, Record<'_>) -> Result<A, BadFrame>,
) -> Result<A, Failure> {
    let answer = Frame(output.bytes()).header(first_size::<sys::Output>()).and_then(|output| read(status, output));
    answer.map_err(|bad| Failure { status, message: bad.to_string() })
}

fn started<T>() -> FrameBuffer {
    let mut frame = FrameBuffer::default();
    frame.reserve(size_of::<T>());
    frame.put_u32(0, size_of::<T>() as u32); // every input begins with its size
    frame
}

fn put_pairs(frame: &mut FrameBuffer, field: usize, pairs: &[(String, String)]) {
    let size = size_of::<sys::Pair>();
    let array = frame.put_array(field, pairs.len(), size);
    for (index, (name, value)) in pairs.iter().enumerate() {
        let at = array + index * size;
        frame.put_slice(at + offset_of!(sys::Pair, name), Some(name.as_bytes()));
        frame.put_slice(at + offset_of!(sys::Pair, value), Some(value.as_bytes()));
    }
}

fn row_frame(request: &Request, cookie: u64, columns: &[Column], values: &[Value]) -> FrameBuffer {
    let mut frame = started::<sys::RowInput>();
    let session = request.put_session(&mut frame);
    frame.put_u32(offset_of!(sys::RowInput, session), session as u32);
    frame.put_u64(offset_of!(sys::RowInput, query_id), request.query_id);
    frame.put_u64(offset_of!(sys::RowInput, statement_id), request.statement_id());
    frame.put_u64(offset_of!(sys::RowInput, cookie), cookie);
    let size = size_of::<sys::Column>();
    let array = frame.put_array(offset_of!(sys::RowInput, columns), columns.len(), size);
    for (index, column) in columns.iter().enumerate() {
        let at = array + index * size;
        frame.put_slice(at + offset_of!(sys::Column, name), Some(column.name.as_bytes()));
        frame.put_u32(at + offset_of!(sys::Column, type_oid), column.type_oid);
        frame.put_u32(at + offset_of!(sys::Column, type_modifier), column.type_modifier as u32);
        frame.put_u32(at + offset_of!(sys::Column, type_size), column.type_size as u32);
        frame.put_u32(at + offset_of!(sys::Column, format), u32::from(column.format == Format::Binary));
    }
    let size = size_of::<sys::Value>();
    let array = frame.put_array(offset_of!(sys::RowInput, values), values.len(), size);
    for (index, value) in values.iter().enumerate() {
        let at = array + index * size;
        match value {
            Value::Null => frame.put_u32(at + offset_of!(sys::Value, flags), sys::VALUE_NULL),
            Value::Text(text) => frame.put_slice(at + offset_of!(sys::Value, value), Some(text.as_bytes())),
            Value::Binary(bytes) => frame.put_slice(at + offset_of!(sys::Value, value), Some(bytes)),
        }
    }
    frame
}

fn read_row(output: Record<'_>, columns: &[Column]) -> Result<Vec<Option<Value>>, BadFrame> {
    let records = answer::array(output, offset_of!(sys::Output, values), first_size::<sys::Value>())?;
    if records.len() != columns.len() {
        return Err(BadFrame("a changed row has another number of values"));
    }
    let mut values = Vec::with_capacity(columns.len());
    for (record, column) in records.iter().zip(columns) {
        let flags = record.u32(offset_of!(sys::Value, flags));
        let bytes = answer::slice(record, offset_of!(sys::Value, value))?;
        values.push(match bytes {
            _ if flags & sys::VALUE_KEEP != 0 => None,
            _ if flags & sys::VALUE_NULL != 0 => Some(Value::Null),
            None => return Err(BadFrame("a value is absent and not NULL")),
            Some(bytes) if column.format == Format::Binary => Some(Value::binary(bytes)),
            Some(_) => Some(Value::Text(answer::text(record, offset_of!(sys::Value, value))?.unwrap_or_default())),
        });
    }
    Ok(values)
}
