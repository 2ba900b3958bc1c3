//! Builds what the host would ask: a statement with all that surrounds it, each part with a default.

use super::FrameBuffer;
use crate::decode::Format;
use crate::output::NewParameter;
use crate::query::StatementKind;
use crate::route::{Role, Shard};
use crate::sys;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::{offset_of, size_of};

#[derive(Debug, Clone)]
struct NamedTable {
    catalog: Option<String>,
    schema: Option<String>,
    name: String,
    usage: u32,
}

#[derive(Debug, Clone)]
struct NamedHost {
    shard: u32,
    role: Role,
    up: bool,
    lag_ms: Option<u32>,
    address: String,
}

/// One question to a plugin. Unless said otherwise it is the first statement of a transaction, not parsed, asked by
/// user `app` of database `app` over a plain connection, on a cluster with one shard.
#[derive(Debug, Clone)]
pub struct Request {
    sql: Vec<u8>,
    id: Option<u64>,
    kind: StatementKind,
    facts: u32,
    grammar: u32,
    fingerprint: u64,
    tables: Vec<NamedTable>,
    functions: Vec<(Option<String>, String)>,
    parse_tree: Option<String>,
    parse_error: Option<String>,
    parameters: Vec<NewParameter>,
    protocol: Option<u32>,
    flags: u32,
    role: Role,
    shard: Shard,
    ms_since_write: u32,
    query_id: u64,
    session_id: u64,
    session_flags: u32,
    user: String,
    database: String,
    application_name: String,
    client_address: String,
    client_encoding: String,
    cluster_name: String,
    generation: u64,
    shards: u32,
    hosts: Vec<NamedHost>,
}

impl Request {
    /// A question about this statement.
    pub fn new(sql: impl Into<Vec<u8>>) -> Self {
        Request {
            sql: sql.into(),
            id: None,
            kind: StatementKind::Other,
            facts: 0,
            grammar: 0,
            fingerprint: 0,
            tables: Vec::new(),
            functions: Vec::new(),
            parse_tree: None,
            parse_error: None,
            parameters: Vec::new(),
            protocol: None,
            flags: sys::FIRST_STATEMENT,
            role: Role::Open,
            shard: Shard::Open,
            ms_since_write: sys::NEVER,
            query_id: 1,
            session_id: 1,
            session_flags: 0,
            user: "app".to_owned(),
            database: "app".to_owned(),
            application_name: String::new(),
            client_address: "127.0.0.1".to_owned(),
            client_encoding: "UTF8".to_owned(),
            cluster_name: "app".to_owned(),
            generation: 1,
            shards: 1,
            hosts: Vec::new(),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The statement's id; without it, one that follows from the text.
    #[must_use]
    pub fn id(self, id: u64) -> Self {
        self.with(|request| request.id = Some(id))
    }

    /// The id that the frames carry.
    pub fn statement_id(&self) -> u64 {
        self.id.unwrap_or_else(|| {
            let mut hasher = DefaultHasher::new();
            self.sql.hash(&mut hasher);
            hasher.finish()
        })
    }

    /// What the statement is; says that it was parsed, too.
    #[must_use]
    pub fn kind(self, kind: StatementKind) -> Self {
        self.with(|request| request.kind = kind).parsed()
    }

    /// The statement was parsed, by the grammar of PostgreSQL 17 unless [`Request::grammar`] says otherwise.
    #[must_use]
    pub fn parsed(self) -> Self {
        self.with(|request| {
            request.facts |= sys::FACT_PARSED;
            request.grammar = if request.grammar == 0 { 17 } else { request.grammar };
        })
    }

    /// It may change data; says that it was parsed, too.
    #[must_use]
    pub fn writes(self) -> Self {
        self.facts(sys::FACT_WRITES).parsed()
    }

    /// It locks rows; says that it was parsed, too.
    #[must_use]
    pub fn locks_rows(self) -> Self {
        self.facts(sys::FACT_LOCKS_ROWS).parsed()
    }

    /// It calls a function that is not known to be harmless; says that it was parsed, too.
    #[must_use]
    pub fn unknown_function(self) -> Self {
        self.facts(sys::FACT_UNKNOWN_FUNCTION).parsed()
    }

    /// Further `POOLER_FACT_*` flags, as [`sys`](crate::sys) names them.
    #[must_use]
    pub fn facts(self, flags: u32) -> Self {
        self.with(|request| request.facts |= flags)
    }

    /// The grammar refuses the text, and says why.
    #[must_use]
    pub fn syntax_error(self, message: impl Into<String>) -> Self {
        let message = message.into();
        self.with(|request| {
            request.facts = sys::FACT_SYNTAX_ERROR;
            request.parse_error = Some(message);
        })
    }

    /// The PostgreSQL major of the grammar.
    #[must_use]
    pub fn grammar(self, major: u32) -> Self {
        self.with(|request| request.grammar = major)
    }

    /// libpg_query's fingerprint.
    #[must_use]
    pub fn fingerprint(self, fingerprint: u64) -> Self {
        self.with(|request| request.fingerprint = fingerprint)
    }

    /// A table that the statement names, `schema.name` or `name`, with `POOLER_TABLE_*` flags as [`sys`](crate::sys) has them.
    #[must_use]
    pub fn table(self, name: &str, usage: u32) -> Self {
        let mut parts = name.rsplitn(3, '.').map(str::to_owned);
        let (name, schema, catalog) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        self.with(|request| request.tables.push(NamedTable { catalog, schema, name, usage }))
    }

    /// A function that the statement calls, `schema.name` or `name`.
    #[must_use]
    pub fn function(self, name: &str) -> Self {
        let (schema, name) = match name.rsplit_once('.') {
            Some((schema, name)) => (Some(schema.to_owned()), name.to_owned()),
            None => (None, name.to_owned()),
        };
        self.with(|request| request.functions.push((schema, name)))
    }

    /// The parse tree as libpg_query's JSON; says that the statement was parsed, too. Only `learn` sees it.
    #[must_use]
    pub fn parse_tree(self, json: impl Into<String>) -> Self {
        let json = json.into();
        self.with(|request| request.parse_tree = Some(json)).parsed()
    }

    /// The next parameter.
    #[must_use]
    pub fn parameter(self, parameter: NewParameter) -> Self {
        self.with(|request| request.parameters.push(parameter))
    }

    /// The next parameter, in text format, its type left to the server.
    #[must_use]
    pub fn text(self, value: impl Into<String>) -> Self {
        self.parameter(NewParameter::text(value))
    }

    /// The next parameter, in binary format.
    #[must_use]
    pub fn binary(self, type_oid: u32, value: impl Into<Vec<u8>>) -> Self {
        self.parameter(NewParameter::binary(type_oid, value))
    }

    /// The next parameter, NULL.
    #[must_use]
    pub fn null(self) -> Self {
        self.parameter(NewParameter::null())
    }

    /// The extended protocol, which parameters imply.
    #[must_use]
    pub fn extended(self) -> Self {
        self.with(|request| request.protocol = Some(sys::PROTOCOL_EXTENDED))
    }

    /// Inside an explicit transaction.
    #[must_use]
    pub fn in_transaction(self) -> Self {
        self.flag(sys::IN_TRANSACTION)
    }

    /// Inside an explicit transaction that was begun READ ONLY.
    #[must_use]
    pub fn read_only(self) -> Self {
        self.flag(sys::IN_TRANSACTION | sys::READ_ONLY)
    }

    /// Not the first statement of its transaction.
    #[must_use]
    pub fn later_statement(self) -> Self {
        self.with(|request| request.flags &= !sys::FIRST_STATEMENT)
    }

    /// A driver prepares or describes.
    #[must_use]
    pub fn prepare_only(self) -> Self {
        self.flag(sys::PREPARE_ONLY).extended()
    }

    /// The statement is what a plugin made of the client's.
    #[must_use]
    pub fn rewritten(self) -> Self {
        self.flag(sys::REWRITTEN)
    }

    /// One of several statements.
    #[must_use]
    pub fn several_statements(self) -> Self {
        self.flag(sys::SEVERAL_STATEMENTS)
    }

    fn flag(self, flag: u32) -> Self {
        self.with(|request| request.flags |= flag)
    }

    /// The role is decided.
    #[must_use]
    pub fn decided_role(self, role: Role) -> Self {
        self.with(|request| request.role = role).flag(sys::ROLE_DECIDED)
    }

    /// The shard is decided.
    #[must_use]
    pub fn decided_shard(self, shard: Shard) -> Self {
        self.with(|request| request.shard = shard).flag(sys::SHARD_DECIDED)
    }

    /// The session's last transaction that may have written ended so long ago.
    #[must_use]
    pub fn ms_since_write(self, ms: u32) -> Self {
        self.with(|request| request.ms_since_write = ms)
    }

    /// The question's number.
    #[must_use]
    pub fn query_id(self, id: u64) -> Self {
        self.with(|request| request.query_id = id)
    }

    /// The session's number.
    #[must_use]
    pub fn session_id(self, id: u64) -> Self {
        self.with(|request| request.session_id = id)
    }

    /// The session's user.
    #[must_use]
    pub fn user(self, user: impl Into<String>) -> Self {
        let user = user.into();
        self.with(|request| request.user = user)
    }

    /// The session's database.
    #[must_use]
    pub fn database(self, database: impl Into<String>) -> Self {
        let database = database.into();
        self.with(|request| request.database = database)
    }

    /// The session's `application_name`.
    #[must_use]
    pub fn application_name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with(|request| request.application_name = name)
    }

    /// Where the client is.
    #[must_use]
    pub fn client_address(self, address: impl Into<String>) -> Self {
        let address = address.into();
        self.with(|request| request.client_address = address)
    }

    /// The client's encoding, by PostgreSQL's name.
    #[must_use]
    pub fn client_encoding(self, encoding: impl Into<String>) -> Self {
        let encoding = encoding.into();
        self.with(|request| request.client_encoding = encoding)
    }

    /// The client came over TLS.
    #[must_use]
    pub fn tls(self) -> Self {
        self.with(|request| request.session_flags |= sys::SESSION_TLS)
    }

    /// The cluster's name.
    #[must_use]
    pub fn cluster_name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with(|request| request.cluster_name = name)
    }

    /// How many shards the cluster has.
    #[must_use]
    pub fn shards(self, shards: u32) -> Self {
        self.with(|request| request.shards = shards)
    }

    /// The cluster's generation.
    #[must_use]
    pub fn generation(self, generation: u64) -> Self {
        self.with(|request| request.generation = generation)
    }

    /// A host of the cluster that is up; `lag_ms` is `None` when it is not known.
    #[must_use]
    pub fn host(self, shard: u32, role: Role, lag_ms: Option<u32>, address: impl Into<String>) -> Self {
        let address = address.into();
        self.with(|request| request.hosts.push(NamedHost { shard, role, up: true, lag_ms, address }))
    }

    /// A host of the cluster that is down.
    #[must_use]
    pub fn host_down(self, shard: u32, role: Role, address: impl Into<String>) -> Self {
        let address = address.into();
        self.with(|request| request.hosts.push(NamedHost { shard, role, up: false, lag_ms: None, address }))
    }

    /// The frame of `pooler_route_query`.
    pub fn frame(&self) -> FrameBuffer {
        self.build(false)
    }

    /// The frame of `pooler_learn_statement`: with the parse tree, without parameters and cluster.
    pub fn learn_frame(&self) -> FrameBuffer {
        self.build(true)
    }

    fn build(&self, learn: bool) -> FrameBuffer {
        let mut frame = FrameBuffer::default();
        frame.reserve(size_of::<sys::Input>());
        frame.put_u32(offset_of!(sys::Input, size), size_of::<sys::Input>() as u32);
        let default = if self.parameters.is_empty() { sys::PROTOCOL_SIMPLE } else { sys::PROTOCOL_EXTENDED };
        frame.put_u32(offset_of!(sys::Input, protocol), self.protocol.unwrap_or(default));
        frame.put_u32(offset_of!(sys::Input, flags), self.flags);
        frame.put_u32(offset_of!(sys::Input, role), self.role.number());
        frame.put_u32(offset_of!(sys::Input, shard), self.shard.number().unwrap_or(sys::SHARD_OPEN));
        frame.put_u32(offset_of!(sys::Input, ms_since_write), self.ms_since_write);
        frame.put_u64(offset_of!(sys::Input, query_id), self.query_id);
        let statement = self.put_statement(&mut frame, learn);
        frame.put_u32(offset_of!(sys::Input, statement), statement as u32);
        let session = self.put_session(&mut frame);
        frame.put_u32(offset_of!(sys::Input, session), session as u32);
        if !learn {
            let cluster = self.put_cluster(&mut frame);
            frame.put_u32(offset_of!(sys::Input, cluster), cluster as u32);
            self.put_parameters(&mut frame);
        }
        frame
    }

    fn put_statement(&self, frame: &mut FrameBuffer, learn: bool) -> usize {
        let at = frame.reserve(size_of::<sys::Statement>());
        frame.put_u32(at + offset_of!(sys::Statement, size), size_of::<sys::Statement>() as u32);
        frame.put_u32(at + offset_of!(sys::Statement, kind), self.kind.number());
        frame.put_u64(at + offset_of!(sys::Statement, id), self.statement_id());
        frame.put_u64(at + offset_of!(sys::Statement, fingerprint), self.fingerprint);
        frame.put_u32(at + offset_of!(sys::Statement, facts), self.facts);
        frame.put_u32(at + offset_of!(sys::Statement, grammar), self.grammar);
        frame.put_slice(at + offset_of!(sys::Statement, sql), Some(&self.sql));
        let size = size_of::<sys::Table>();
        let tables = frame.put_array(at + offset_of!(sys::Statement, tables), self.tables.len(), size);
        for (index, table) in self.tables.iter().enumerate() {
            let at = tables + index * size;
            frame.put_slice(at + offset_of!(sys::Table, catalog), table.catalog.as_deref().map(str::as_bytes));
            frame.put_slice(at + offset_of!(sys::Table, schema), table.schema.as_deref().map(str::as_bytes));
            frame.put_slice(at + offset_of!(sys::Table, name), Some(table.name.as_bytes()));
            frame.put_u32(at + offset_of!(sys::Table, r#use), table.usage);
        }
        let size = size_of::<sys::Function>();
        let functions = frame.put_array(at + offset_of!(sys::Statement, functions), self.functions.len(), size);
        for (index, (schema, name)) in self.functions.iter().enumerate() {
            let at = functions + index * size;
            frame.put_slice(at + offset_of!(sys::Function, schema), schema.as_deref().map(str::as_bytes));
            frame.put_slice(at + offset_of!(sys::Function, name), Some(name.as_bytes()));
        }
        if learn {
            let tree = self.parse_tree.as_deref().map(str::as_bytes);
            frame.put_slice(at + offset_of!(sys::Statement, parse_tree), tree);
        }
        let error = self.parse_error.as_deref().map(str::as_bytes);
        frame.put_slice(at + offset_of!(sys::Statement, parse_error), error);
        at
    }

    fn put_session(&self, frame: &mut FrameBuffer) -> usize {
        let at = frame.reserve(size_of::<sys::Session>());
        frame.put_u32(at + offset_of!(sys::Session, size), size_of::<sys::Session>() as u32);
        frame.put_u32(at + offset_of!(sys::Session, flags), self.session_flags);
        frame.put_u64(at + offset_of!(sys::Session, id), self.session_id);
        for (field, text) in [
            (offset_of!(sys::Session, user), &self.user),
            (offset_of!(sys::Session, database), &self.database),
            (offset_of!(sys::Session, application_name), &self.application_name),
            (offset_of!(sys::Session, client_address), &self.client_address),
            (offset_of!(sys::Session, client_encoding), &self.client_encoding),
        ] {
            frame.put_slice(at + field, Some(text.as_bytes()));
        }
        at
    }

    fn put_cluster(&self, frame: &mut FrameBuffer) -> usize {
        let at = frame.reserve(size_of::<sys::Cluster>());
        frame.put_u32(at + offset_of!(sys::Cluster, size), size_of::<sys::Cluster>() as u32);
        frame.put_u32(at + offset_of!(sys::Cluster, shards), self.shards);
        frame.put_u64(at + offset_of!(sys::Cluster, generation), self.generation);
        frame.put_slice(at + offset_of!(sys::Cluster, name), Some(self.cluster_name.as_bytes()));
        let size = size_of::<sys::Host>();
        let hosts = frame.put_array(at + offset_of!(sys::Cluster, hosts), self.hosts.len(), size);
        for (index, host) in self.hosts.iter().enumerate() {
            let at = hosts + index * size;
            frame.put_u32(at + offset_of!(sys::Host, shard), host.shard);
            frame.put_u32(at + offset_of!(sys::Host, role), host.role.number());
            frame.put_u32(at + offset_of!(sys::Host, flags), if host.up { sys::HOST_UP } else { 0 });
            frame.put_u32(at + offset_of!(sys::Host, lag_ms), host.lag_ms.unwrap_or(sys::NEVER));
            frame.put_slice(at + offset_of!(sys::Host, address), Some(host.address.as_bytes()));
        }
        at
    }

    fn put_parameters(&self, frame: &mut FrameBuffer) {
        let size = size_of::<sys::Parameter>();
        let array = frame.put_array(offset_of!(sys::Input, parameters), self.parameters.len(), size);
        for (index, parameter) in self.parameters.iter().enumerate() {
            let at = array + index * size;
            frame.put_slice(at + offset_of!(sys::Parameter, value), parameter.value.as_deref());
            let format = u32::from(parameter.format == Format::Binary);
            frame.put_u32(at + offset_of!(sys::Parameter, format), format);
            frame.put_u32(at + offset_of!(sys::Parameter, type_oid), parameter.type_oid);
            let flags = if parameter.value.is_none() { sys::PARAMETER_NULL } else { 0 };
            frame.put_u32(at + offset_of!(sys::Parameter, flags), flags);
        }
    }
}
