//! The C contract as Rust sees it: structs and constants of `pooler_plugin.h`, ABI 1.1, written by hand.
//! A test compiles the header and compares every size, offset and number; nothing here is a second truth.

use std::ffi::{c_char, c_void};

/// `POOLER_ABI_MAJOR`
pub const ABI_MAJOR: u32 = 1;
/// `POOLER_ABI_MINOR`
pub const ABI_MINOR: u32 = 1;

/// `pooler_status`: 0 and up are verdicts, below 0 are failures.
pub type Status = i32;

/// `POOLER_SKIP`
pub const SKIP: Status = 0;
/// `POOLER_FORWARD`
pub const FORWARD: Status = 1;
/// `POOLER_ERROR`
pub const ERROR: Status = 2;
/// `POOLER_REWRITE`
pub const REWRITE: Status = 3;
/// `POOLER_INTERCEPT`
pub const INTERCEPT: Status = 4;
/// `POOLER_ACCEPT`
pub const ACCEPT: Status = 1;
/// `POOLER_ROW_KEEP`
pub const ROW_KEEP: Status = 0;
/// `POOLER_ROW_CHANGE`
pub const ROW_CHANGE: Status = 1;
/// `POOLER_ROW_DROP`
pub const ROW_DROP: Status = 2;
/// `POOLER_OK`
pub const OK: Status = 0;
/// `POOLER_NOT_MINE`
pub const NOT_MINE: Status = 1;
/// `POOLER_FAILED`
pub const FAILED: Status = -1;
/// `POOLER_PANICKED`
pub const PANICKED: Status = -2;
/// `POOLER_BAD_INPUT`
pub const BAD_INPUT: Status = -3;
/// `POOLER_NEEDS_SPACE`
pub const NEEDS_SPACE: Status = -4;

/// `POOLER_HOOK_ROUTE_QUERY`
pub const HOOK_ROUTE_QUERY: u32 = 0x1;
/// `POOLER_HOOK_CLIENT_CONNECT`
pub const HOOK_CLIENT_CONNECT: u32 = 0x2;
/// `POOLER_HOOK_SERVER_CONNECT`
pub const HOOK_SERVER_CONNECT: u32 = 0x4;
/// `POOLER_HOOK_QUERY_END`
pub const HOOK_QUERY_END: u32 = 0x8;
/// `POOLER_HOOK_CLIENT_DISCONNECT`
pub const HOOK_CLIENT_DISCONNECT: u32 = 0x10;
/// `POOLER_HOOK_RELOAD`
pub const HOOK_RELOAD: u32 = 0x20;
/// `POOLER_HOOK_RESULT_ROW`
pub const HOOK_RESULT_ROW: u32 = 0x40;
/// `POOLER_CAP_INSPECT`
pub const CAP_INSPECT: u32 = 0x1;
/// `POOLER_CAP_EVERY_STATEMENT`
pub const CAP_EVERY_STATEMENT: u32 = 0x2;
/// `POOLER_CAP_FACTS`
pub const CAP_FACTS: u32 = 0x4;
/// `POOLER_CAP_PARSE_TREE`
pub const CAP_PARSE_TREE: u32 = 0x8;
/// `POOLER_CAP_FINGERPRINT`
pub const CAP_FINGERPRINT: u32 = 0x10;
/// `POOLER_CAP_LITERALS`
pub const CAP_LITERALS: u32 = 0x20;
/// `POOLER_CAP_BLOCKING`
pub const CAP_BLOCKING: u32 = 0x40;

/// `POOLER_PROTOCOL_SIMPLE`
pub const PROTOCOL_SIMPLE: u32 = 0;
/// `POOLER_PROTOCOL_EXTENDED`
pub const PROTOCOL_EXTENDED: u32 = 1;

/// `POOLER_IN_TRANSACTION`
pub const IN_TRANSACTION: u32 = 0x1;
/// `POOLER_READ_ONLY`
pub const READ_ONLY: u32 = 0x2;
/// `POOLER_FIRST_STATEMENT`
pub const FIRST_STATEMENT: u32 = 0x4;
/// `POOLER_PREPARE_ONLY`
pub const PREPARE_ONLY: u32 = 0x8;
/// `POOLER_ROLE_DECIDED`
pub const ROLE_DECIDED: u32 = 0x10;
/// `POOLER_SHARD_DECIDED`
pub const SHARD_DECIDED: u32 = 0x20;
/// `POOLER_REWRITTEN`
pub const REWRITTEN: u32 = 0x40;
/// `POOLER_SEVERAL_STATEMENTS`
pub const SEVERAL_STATEMENTS: u32 = 0x80;
/// `POOLER_NEVER`
pub const NEVER: u32 = 0xffff_ffff;

/// `POOLER_PARAMETER_NULL`
pub const PARAMETER_NULL: u32 = 0x1;
/// `POOLER_PARAMETER_LITERAL`
pub const PARAMETER_LITERAL: u32 = 0x2;

/// `POOLER_STATEMENT_OTHER`
pub const STATEMENT_OTHER: u32 = 0;
/// `POOLER_STATEMENT_SELECT`
pub const STATEMENT_SELECT: u32 = 1;
/// `POOLER_STATEMENT_INSERT`
pub const STATEMENT_INSERT: u32 = 2;
/// `POOLER_STATEMENT_UPDATE`
pub const STATEMENT_UPDATE: u32 = 3;
/// `POOLER_STATEMENT_DELETE`
pub const STATEMENT_DELETE: u32 = 4;
/// `POOLER_STATEMENT_MERGE`
pub const STATEMENT_MERGE: u32 = 5;
/// `POOLER_STATEMENT_COPY`
pub const STATEMENT_COPY: u32 = 6;
/// `POOLER_STATEMENT_EXPLAIN`
pub const STATEMENT_EXPLAIN: u32 = 7;
/// `POOLER_STATEMENT_DDL`
pub const STATEMENT_DDL: u32 = 8;
/// `POOLER_STATEMENT_SET`
pub const STATEMENT_SET: u32 = 9;
/// `POOLER_STATEMENT_SHOW`
pub const STATEMENT_SHOW: u32 = 10;
/// `POOLER_STATEMENT_TRANSACTION`
pub const STATEMENT_TRANSACTION: u32 = 11;
/// `POOLER_STATEMENT_PREPARE`
pub const STATEMENT_PREPARE: u32 = 12;
/// `POOLER_STATEMENT_EXECUTE`
pub const STATEMENT_EXECUTE: u32 = 13;
/// `POOLER_STATEMENT_CALL`
pub const STATEMENT_CALL: u32 = 14;
/// `POOLER_STATEMENT_CURSOR`
pub const STATEMENT_CURSOR: u32 = 15;
/// `POOLER_STATEMENT_LISTEN`
pub const STATEMENT_LISTEN: u32 = 16;
/// `POOLER_STATEMENT_EMPTY`
pub const STATEMENT_EMPTY: u32 = 17;

/// `POOLER_FACT_PARSED`
pub const FACT_PARSED: u32 = 0x1;
/// `POOLER_FACT_WRITES`
pub const FACT_WRITES: u32 = 0x2;
/// `POOLER_FACT_LOCKS_ROWS`
pub const FACT_LOCKS_ROWS: u32 = 0x4;
/// `POOLER_FACT_MODIFYING_CTE`
pub const FACT_MODIFYING_CTE: u32 = 0x8;
/// `POOLER_FACT_UNKNOWN_FUNCTION`
pub const FACT_UNKNOWN_FUNCTION: u32 = 0x10;
/// `POOLER_FACT_SYNTAX_ERROR`
pub const FACT_SYNTAX_ERROR: u32 = 0x20;

/// `POOLER_TABLE_READ`
pub const TABLE_READ: u32 = 0x1;
/// `POOLER_TABLE_WRITE`
pub const TABLE_WRITE: u32 = 0x2;
/// `POOLER_TABLE_LOCK`
pub const TABLE_LOCK: u32 = 0x4;

/// `POOLER_SESSION_TLS`
pub const SESSION_TLS: u32 = 0x1;
/// `POOLER_HOST_UP`
pub const HOST_UP: u32 = 0x1;

/// `POOLER_DISCONNECT_LOGGED_IN`
pub const DISCONNECT_LOGGED_IN: u32 = 0x1;
/// `POOLER_SERVER_TLS`
pub const SERVER_TLS: u32 = 0x1;
/// `POOLER_END_FAILED`
pub const END_FAILED: u32 = 0x1;
/// `POOLER_END_LOCAL`
pub const END_LOCAL: u32 = 0x2;
/// `POOLER_END_SUSPENDED`
pub const END_SUSPENDED: u32 = 0x4;
/// `POOLER_END_REWRITTEN`
pub const END_REWRITTEN: u32 = 0x8;

/// `POOLER_ROLE_OPEN`
pub const ROLE_OPEN: u32 = 0;
/// `POOLER_ROLE_WRITE`
pub const ROLE_WRITE: u32 = 1;
/// `POOLER_ROLE_READ`
pub const ROLE_READ: u32 = 2;
/// `POOLER_SHARD_OPEN`
pub const SHARD_OPEN: u32 = 0xffff_ffff;
/// `POOLER_SHARD_ALL`
pub const SHARD_ALL: u32 = 0xffff_fffe;
/// `POOLER_OUT_PARAMETERS`
pub const OUT_PARAMETERS: u32 = 0x1;
/// `POOLER_OUT_ROUTE`
pub const OUT_ROUTE: u32 = 0x2;
/// `POOLER_OUT_ROWS`
pub const OUT_ROWS: u32 = 0x4;
/// `POOLER_VALUE_NULL`
pub const VALUE_NULL: u32 = 0x1;
/// `POOLER_VALUE_KEEP`
pub const VALUE_KEEP: u32 = 0x2;

/// Declares the structs of the header: public fields, C layout, plain data.
macro_rules! structs {
    ($( $(#[$meta:meta])* $name:ident { $( $field:ident : $type:ty ),* $(,)? } )*) => { $(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy)]
        #[allow(missing_docs)] // the header documents the fields
        pub struct $name { $( pub $field: $type ),* }
    )* };
}

/// `pooler_ref`: offset of a struct in the frame, 0 when absent.
pub type Ref = u32;

structs! {
    /// `pooler_slice`: bytes of the frame; offset 0 means absent.
    Slice { offset: u32, length: u32 }

    /// `pooler_array`: `count` elements, `stride` bytes from one to the next; offset 0 means none.
    Array { offset: u32, count: u32, stride: u32, reserved: u32 }

    /// `pooler_plugin_info`: the handshake, the only struct with pointers.
    PluginInfo {
        size: u32,
        abi_major: u32,
        abi_minor: u32,
        min_host_minor: u32,
        hooks: u32,
        capabilities: u32,
        grammar_min: u32,
        grammar_max: u32,
        name: *const c_char,
        version: *const c_char,
        sdk: *const c_char,
    }

    /// `pooler_input`
    Input {
        size: u32,
        protocol: u32,
        flags: u32,
        role: u32,
        shard: u32,
        ms_since_write: u32,
        query_id: u64,
        statement: Ref,
        session: Ref,
        cluster: Ref,
        reserved: u32,
        parameters: Array,
    }

    /// `pooler_parameter`
    Parameter { value: Slice, format: u32, type_oid: u32, flags: u32, reserved: u32 }

    /// `pooler_table`
    Table { catalog: Slice, schema: Slice, name: Slice, r#use: u32, reserved: u32 }

    /// `pooler_function`
    Function { schema: Slice, name: Slice }

    /// `pooler_statement`
    Statement {
        size: u32,
        kind: u32,
        id: u64,
        fingerprint: u64,
        facts: u32,
        grammar: u32,
        sql: Slice,
        tables: Array,
        functions: Array,
        parse_tree: Slice,
        parse_error: Slice,
    }

    /// `pooler_session`
    Session {
        size: u32,
        flags: u32,
        id: u64,
        user: Slice,
        database: Slice,
        application_name: Slice,
        client_address: Slice,
        client_encoding: Slice,
    }

    /// `pooler_host`
    Host { shard: u32, role: u32, flags: u32, lag_ms: u32, address: Slice }

    /// `pooler_cluster`
    Cluster { size: u32, shards: u32, generation: u64, name: Slice, hosts: Array }

    /// `pooler_create_input`
    CreateInput { size: u32, host_minor: u32, config: Slice, name: Slice, worker: u32, grammar: u32 }

    /// `pooler_pair`
    Pair { name: Slice, value: Slice }

    /// `pooler_connect_input`
    ConnectInput {
        size: u32,
        flags: u32,
        session: Ref,
        reserved: u32,
        asked_user: Slice,
        asked_database: Slice,
        peer_name: Slice,
        parameters: Array,
    }

    /// `pooler_disconnect_input`
    DisconnectInput { size: u32, flags: u32, session: Ref, reserved: u32, duration_us: u64 }

    /// `pooler_server_input`
    ServerInput {
        size: u32,
        flags: u32,
        id: u64,
        shard: u32,
        role: u32,
        process_id: u32,
        reserved: u32,
        database: Slice,
        server_database: Slice,
        user: Slice,
        address: Slice,
        parameters: Array,
    }

    /// `pooler_end_input`
    EndInput {
        size: u32,
        flags: u32,
        query_id: u64,
        duration_us: u64,
        rows: u64,
        statement: Ref,
        session: Ref,
        protocol: u32,
        role: u32,
        shard: u32,
        reserved: u32,
        address: Slice,
        command_tag: Slice,
        sqlstate: Slice,
        message: Slice,
    }

    /// `pooler_row_input`
    RowInput {
        size: u32,
        flags: u32,
        query_id: u64,
        statement_id: u64,
        cookie: u64,
        row: u64,
        session: Ref,
        reserved: u32,
        columns: Array,
        values: Array,
    }

    /// `pooler_column`
    Column { name: Slice, type_oid: u32, type_modifier: i32, type_size: i32, format: u32 }

    /// `pooler_value`
    Value { value: Slice, flags: u32, reserved: u32 }

    /// `pooler_output`
    Output {
        size: u32,
        used: u32,
        needed: u32,
        flags: u32,
        role: u32,
        shard: u32,
        sqlstate: Slice,
        message: Slice,
        detail: Slice,
        hint: Slice,
        sql: Slice,
        parameters: Array,
        columns: Array,
        values: Array,
        command_tag: Slice,
        cookie: u64,
        user: Slice,
        database: Slice,
        server_user: Slice,
        server_password: Slice,
        once_sql: Slice,
    }
}

/// `pooler_plugin_info_v1_fn`
pub type PluginInfoV1Fn = unsafe extern "C" fn() -> *const PluginInfo;
/// `pooler_create_fn`
pub type CreateFn = unsafe extern "C" fn(*const CreateInput, u32, *mut Output, u32, *mut *mut c_void) -> Status;
/// `pooler_destroy_fn`
pub type DestroyFn = unsafe extern "C" fn(*mut c_void);
/// `pooler_route_query_fn`
pub type RouteQueryFn = unsafe extern "C" fn(*mut c_void, *const Input, u32, *mut Output, u32) -> Status;
/// `pooler_fetch_output_fn`
pub type FetchOutputFn = unsafe extern "C" fn(*mut c_void, *mut Output, u32) -> Status;
/// `pooler_learn_statement_fn`
pub type LearnStatementFn = unsafe extern "C" fn(*mut c_void, *const Input, u32, *mut Output, u32) -> Status;
/// `pooler_forget_statement_fn`
pub type ForgetStatementFn = unsafe extern "C" fn(*mut c_void, u64);
/// `pooler_client_connect_fn`
pub type ClientConnectFn = unsafe extern "C" fn(*mut c_void, *const ConnectInput, u32, *mut Output, u32) -> Status;
/// `pooler_client_disconnect_fn`
pub type ClientDisconnectFn =
    unsafe extern "C" fn(*mut c_void, *const DisconnectInput, u32, *mut Output, u32) -> Status;
/// `pooler_server_connect_fn`
pub type ServerConnectFn = unsafe extern "C" fn(*mut c_void, *const ServerInput, u32, *mut Output, u32) -> Status;
/// `pooler_query_end_fn`
pub type QueryEndFn = unsafe extern "C" fn(*mut c_void, *const EndInput, u32, *mut Output, u32) -> Status;
/// `pooler_result_row_fn`
pub type ResultRowFn = unsafe extern "C" fn(*mut c_void, *const RowInput, u32, *mut Output, u32) -> Status;
/// `pooler_reload_fn`
pub type ReloadFn = unsafe extern "C" fn(*mut c_void, *const CreateInput, u32, *mut Output, u32) -> Status;
