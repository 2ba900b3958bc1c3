//! What the host would ask: a statement with all that surrounds it, each part with a default. How it becomes a
//! frame is in `request_frame`.

use crate::facts::StatementKind;
use crate::output::NewParameter;
use crate::route::{Role, Shard};
use crate::sys;
use std::hash::{DefaultHasher, Hash, Hasher};

#[derive(Debug, Clone)]
pub(super) struct NamedTable {
    pub(super) catalog: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) name: String,
    pub(super) usage: u32,
}

#[derive(Debug, Clone)]
pub(super) struct NamedHost {
    pub(super) shard: u32,
    pub(super) role: Role,
    pub(super) up: bool,
    pub(super) lag_ms: Option<u32>,
    pub(super) address: String,
}

/// One question to a plugin. Unless said otherwise it is the first statement of a transaction, not parsed, asked by
/// user `app` of database `app` over a plain connection, on a cluster with one shard.
#[derive(Debug, Clone)]
pub struct Request {
    pub(super) sql: Vec<u8>,
    pub(super) id: Option<u64>,
    pub(super) kind: StatementKind,
    pub(super) facts: u32,
    pub(super) grammar: u32,
    pub(super) fingerprint: u64,
    pub(super) tables: Vec<NamedTable>,
    pub(super) functions: Vec<(Option<String>, String)>,
    pub(super) parse_tree: Option<String>,
    pub(super) parse_error: Option<String>,
    pub(super) parameters: Vec<NewParameter>,
    pub(super) protocol: Option<u32>,
    pub(super) flags: u32,
    pub(super) role: Role,
    pub(super) shard: Shard,
    pub(super) ms_since_write: u32,
    pub(super) query_id: u64,
    pub(super) session_id: u64,
    pub(super) session_flags: u32,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) application_name: String,
    pub(super) client_address: String,
    pub(super) client_encoding: String,
    pub(super) cluster_name: String,
    pub(super) generation: u64,
    pub(super) shards: u32,
    pub(super) hosts: Vec<NamedHost>,
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
}
