/*
 * pooler_plugin.h: the contract between Pooler and a native plugin. ABI 1.1.
 *
 * This header is the one truth. The TypeScript host and the Rust SDK are checked against it field by field.
 * It needs C11 and nothing but <stddef.h>, <stdint.h> and <string.h>.
 *
 * A plugin is a shared library that exports
 *
 *   pooler_plugin_info_v1     who it is and what it wants            required
 *   pooler_create             make a state from its configuration    required
 *   pooler_destroy            free that state                        required
 *   pooler_route_query        decide about one statement             required when POOLER_HOOK_ROUTE_QUERY is set
 *   pooler_fetch_output       an answer that did not fit             required when a hook may answer POOLER_NEEDS_SPACE
 *   pooler_learn_statement    a statement text is seen for the first time     optional
 *   pooler_forget_statement   ... and will not be seen again under this id    required with the one above
 *   pooler_client_connect     a client wants in                      required when POOLER_HOOK_CLIENT_CONNECT is set
 *   pooler_client_disconnect  ... and has left                       POOLER_HOOK_CLIENT_DISCONNECT
 *   pooler_server_connect     a new connection to a server           POOLER_HOOK_SERVER_CONNECT
 *   pooler_query_end          a statement has ended                  POOLER_HOOK_QUERY_END
 *   pooler_result_row         a row of a statement whose rows this plugin asked for    POOLER_HOOK_RESULT_ROW
 *   pooler_reload             the configuration was read again       POOLER_HOOK_RELOAD
 *
 * Frames. What a hook is given (`in`) and where it writes its answer (`out`) are frames: position-independent
 * bytes, 8-byte aligned, that belong to the host. A frame begins with a struct of this header; everything that
 * struct refers to lies in the same frame, as a pooler_slice, a pooler_array or a pooler_ref counted in bytes
 * from the frame's first byte. A plugin keeps no pointer into a frame after it returns.
 *
 * Growth. A struct that begins with `size` may grow at its end in a later minor version; whoever reads it reads
 * min(size, what it knows) and takes what is missing as 0. Array elements are found by the array's stride. Nothing
 * that is released changes its place or meaning. Unknown values from the host mean OTHER, unknown flags nothing.
 *
 * Numbers are native little-endian; text is bytes with a length, without a terminating NUL, not validated.
 * Nothing may unwind (throw, panic, longjmp) out of a hook.
 *
 * Threads. Hooks are called from one thread and never re-entered. One state exists per plugin entry of the
 * configuration and worker process; workers share nothing. With POOLER_CAP_BLOCKING some hooks run on threads beside
 * that one, several at a time: see there.
 */
#ifndef POOLER_PLUGIN_H
#define POOLER_PLUGIN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define POOLER_ABI_MAJOR 1u
#define POOLER_ABI_MINOR 1u

#if defined(_WIN32)
#define POOLER_EXPORT __declspec(dllexport)
#else
#define POOLER_EXPORT __attribute__((visibility("default")))
#endif

/* ---- What a hook returns: 0 and up are verdicts, below 0 are failures ------------------------------------- */

typedef int32_t pooler_status;

#define POOLER_SKIP 0      /* not mine: ask the next plugin */
#define POOLER_FORWARD 1   /* role and/or shard in the output; what stays open a later plugin may decide */
#define POOLER_ERROR 2     /* answer the client with sqlstate, message, detail, hint; no server is touched */
#define POOLER_REWRITE 3   /* sql (and parameters) replace the statement for everyone after */
#define POOLER_INTERCEPT 4 /* columns, rows and command_tag are the answer; no server is touched */

#define POOLER_ACCEPT 1    /* client_connect, server_connect: go on, with what the output says; POOLER_SKIP: with nothing to say,
                              POOLER_ERROR: refuse */
#define POOLER_ROW_KEEP 0  /* result_row: as it is */
#define POOLER_ROW_CHANGE 1 /* ... with `values` in its place */
#define POOLER_ROW_DROP 2  /* ... the client does not get it */

#define POOLER_OK 0             /* create, learn, reload, query_end, client_disconnect: done */
#define POOLER_NOT_MINE 1       /* since 1.1. learn: done, and the verdict would be POOLER_SKIP: do not ask me about this statement */
#define POOLER_FAILED (-1)      /* the plugin could not do its work; `message` says why */
#define POOLER_PANICKED (-2)    /* the SDK caught a panic or exception; `message` is its text */
#define POOLER_BAD_INPUT (-3)   /* the frame could not be read */
#define POOLER_NEEDS_SPACE (-4) /* `needed` bytes are wanted; the answer waits for pooler_fetch_output */

/* ---- Pieces ----------------------------------------------------------------------------------------------- */

/* Bytes of the frame. offset 0 means absent, which is not the same as empty (offset > 0, length 0). */
typedef struct pooler_slice {
  uint32_t offset;
  uint32_t length;
} pooler_slice;

/* `count` elements, `stride` bytes from one to the next. offset 0 means none. */
typedef struct pooler_array {
  uint32_t offset;
  uint32_t count;
  uint32_t stride;
  uint32_t reserved;
} pooler_array;

/* Offset of a struct in the frame; 0 means absent. */
typedef uint32_t pooler_ref;

/* ---- Handshake -------------------------------------------------------------------------------------------- */

#define POOLER_HOOK_ROUTE_QUERY 0x1u
#define POOLER_HOOK_CLIENT_CONNECT 0x2u
#define POOLER_HOOK_SERVER_CONNECT 0x4u
#define POOLER_HOOK_QUERY_END 0x8u
#define POOLER_HOOK_CLIENT_DISCONNECT 0x10u
#define POOLER_HOOK_RELOAD 0x20u
#define POOLER_HOOK_RESULT_ROW 0x40u

#define POOLER_CAP_INSPECT 0x1u         /* ask me for every statement, also when the route is decided, again after a rewrite */
#define POOLER_CAP_EVERY_STATEMENT 0x2u /* ask me for every statement of a transaction, not for its first only */
#define POOLER_CAP_FACTS 0x4u           /* I read kind, flags, tables and functions of the statement */
#define POOLER_CAP_PARSE_TREE 0x8u      /* give pooler_learn_statement the parse tree (implies FACTS) */
#define POOLER_CAP_FINGERPRINT 0x10u    /* I read the fingerprint of the statement, which costs half as much as parsing it (implies FACTS) */
#define POOLER_CAP_LITERALS 0x20u        /* I take literals as parameters, see POOLER_PARAMETER_LITERAL: without it each text of a simple query is parsed and learned */
/*
 * since 1.1. My pooler_route_query, pooler_client_connect and pooler_server_connect may wait: they are called on threads of a pool,
 * several at a time with the same state, and in any order. Only whoever asks waits, no longer than the entry's deadline; a call
 * goes on after it, and its answer is dropped. All other exports are called from one thread as ever, but while such calls run:
 * pooler_learn_statement and pooler_forget_statement, pooler_reload, and pooler_fetch_output, which is given in `out->cookie` what the call
 * that answered POOLER_NEEDS_SPACE has put there. A statement is learned before the first call that names it, and forgotten after the
 * last one has returned; pooler_destroy comes when none runs. A call's frames are its own until it returns. Not together with
 * pooler_client_disconnect, pooler_query_end and pooler_result_row. `min_host_minor` is 1 or more, since an older host would wait.
 */
#define POOLER_CAP_BLOCKING 0x40u /* my hooks may wait, and be called from several threads at a time */

/* Static data of the library; the only struct with pointers (NUL-terminated UTF-8, valid while it is loaded). */
typedef struct pooler_plugin_info {
  uint32_t size;           /* sizeof(pooler_plugin_info) */
  uint32_t abi_major;      /* POOLER_ABI_MAJOR it was built with: must equal the host's */
  uint32_t abi_minor;      /* POOLER_ABI_MINOR it was built with */
  uint32_t min_host_minor; /* the oldest host minor that it can work with: at most the host's */
  uint32_t hooks;          /* POOLER_HOOK_* */
  uint32_t capabilities;   /* POOLER_CAP_* */
  uint32_t grammar_min;    /* with PARSE_TREE: the PostgreSQL majors whose parse trees it reads, e.g. 17 and 18; */
  uint32_t grammar_max;    /* 0 means no limit */
  const char *name;        /* for logs and errors */
  const char *version;
  const char *sdk;         /* what it was built with, e.g. "pooler-plugin 0.1.0"; "c" for the bare header */
} pooler_plugin_info;

/* ---- Input ------------------------------------------------------------------------------------------------ */

#define POOLER_PROTOCOL_SIMPLE 0u
#define POOLER_PROTOCOL_EXTENDED 1u

#define POOLER_IN_TRANSACTION 0x1u     /* inside an explicit transaction */
#define POOLER_READ_ONLY 0x2u          /* ... that was begun READ ONLY */
#define POOLER_FIRST_STATEMENT 0x4u    /* this decides where the transaction goes */
#define POOLER_PREPARE_ONLY 0x8u       /* a driver prepares or describes: no parameters, any shard can answer, routes do not count */
#define POOLER_ROLE_DECIDED 0x10u      /* an earlier plugin, or the transaction, has decided the role: see `role` */
#define POOLER_SHARD_DECIDED 0x20u     /* ... the shard: see `shard` */
#define POOLER_REWRITTEN 0x40u         /* the statement is what a plugin made of the client's */
#define POOLER_SEVERAL_STATEMENTS 0x80u /* one of several statements of a query string or batch */

#define POOLER_NEVER 0xffffffffu

typedef struct pooler_input {
  uint32_t size;
  uint32_t protocol;        /* POOLER_PROTOCOL_* */
  uint32_t flags;           /* POOLER_IN_TRANSACTION ... */
  uint32_t role;            /* POOLER_ROLE_*: decided so far, or OPEN */
  uint32_t shard;           /* decided so far, or POOLER_SHARD_OPEN */
  uint32_t ms_since_write;  /* since this session's last transaction that may have written ended; POOLER_NEVER */
  uint64_t query_id;        /* unique in this worker */
  pooler_ref statement;     /* pooler_statement */
  pooler_ref session;       /* pooler_session */
  pooler_ref cluster;       /* pooler_cluster */
  uint32_t reserved;
  pooler_array parameters;  /* pooler_parameter, 0-based: element 0 is $1 */
} pooler_input;

#define POOLER_PARAMETER_NULL 0x1u
/*
 * A literal of a simple query. When all plugins of a chain have POOLER_CAP_LITERALS, texts that differ in nothing but literals, blanks
 * and comments share a statement id: pooler_learn_statement is given one of them, with a parse tree in which these literals are
 * ParamRefs, and pooler_route_query the text at hand with its literals as parameters, in text format, without quotes, with the type that
 * PostgreSQL gives them (int4, int8, numeric, unknown). Literals that mean something by their value (ORDER BY 1, varchar(3))
 * stay constants, and so do those of statements that are not plain queries.
 */
#define POOLER_PARAMETER_LITERAL 0x2u

typedef struct pooler_parameter {
  pooler_slice value;  /* raw bytes as the client sent them; absent when NULL */
  uint32_t format;     /* 0 text, 1 binary */
  uint32_t type_oid;   /* 0 when the client left it to the server */
  uint32_t flags;      /* POOLER_PARAMETER_NULL, POOLER_PARAMETER_LITERAL */
  uint32_t reserved;
} pooler_parameter;

#define POOLER_STATEMENT_OTHER 0u   /* not parsed, or a kind without a number of its own (any other utility) */
#define POOLER_STATEMENT_SELECT 1u  /* SELECT, VALUES, TABLE, WITH ... SELECT */
#define POOLER_STATEMENT_INSERT 2u
#define POOLER_STATEMENT_UPDATE 3u
#define POOLER_STATEMENT_DELETE 4u
#define POOLER_STATEMENT_MERGE 5u
#define POOLER_STATEMENT_COPY 6u
#define POOLER_STATEMENT_EXPLAIN 7u
#define POOLER_STATEMENT_DDL 8u      /* CREATE, ALTER, DROP, TRUNCATE, GRANT ... */
#define POOLER_STATEMENT_SET 9u      /* SET, RESET */
#define POOLER_STATEMENT_SHOW 10u
#define POOLER_STATEMENT_TRANSACTION 11u
#define POOLER_STATEMENT_PREPARE 12u
#define POOLER_STATEMENT_EXECUTE 13u
#define POOLER_STATEMENT_CALL 14u    /* CALL, DO */
#define POOLER_STATEMENT_CURSOR 15u  /* DECLARE, FETCH, MOVE, CLOSE */
#define POOLER_STATEMENT_LISTEN 16u  /* LISTEN, UNLISTEN, NOTIFY */
#define POOLER_STATEMENT_EMPTY 17u

#define POOLER_FACT_PARSED 0x1u            /* the facts below were computed; without it all of them are unknown */
#define POOLER_FACT_WRITES 0x2u            /* certainly or possibly changes data, schema or sequence: INSERT, DDL, CALL, COPY FROM, SELECT INTO, EXPLAIN ANALYZE of such ... */
#define POOLER_FACT_LOCKS_ROWS 0x4u        /* FOR UPDATE and the like, LOCK TABLE */
#define POOLER_FACT_MODIFYING_CTE 0x8u
#define POOLER_FACT_UNKNOWN_FUNCTION 0x10u /* calls a function that is not known to be free of side effects */
#define POOLER_FACT_SYNTAX_ERROR 0x20u     /* PostgreSQL's grammar refuses it (PARSED is not set) */

#define POOLER_TABLE_READ 0x1u
#define POOLER_TABLE_WRITE 0x2u /* target of INSERT, UPDATE, DELETE, MERGE, COPY FROM, DDL */
#define POOLER_TABLE_LOCK 0x4u

typedef struct pooler_table {
  pooler_slice catalog; /* absent when not qualified */
  pooler_slice schema;  /* absent when not qualified */
  pooler_slice name;
  uint32_t use;         /* POOLER_TABLE_* */
  uint32_t reserved;
} pooler_table;

typedef struct pooler_function {
  pooler_slice schema; /* absent when not qualified */
  pooler_slice name;
} pooler_function;

/* One statement text. Statement ids are stable per text within a worker until forgotten. */
typedef struct pooler_statement {
  uint32_t size;
  uint32_t kind;            /* POOLER_STATEMENT_* */
  uint64_t id;
  uint64_t fingerprint;     /* libpg_query's, for statistics only: texts that differ in more than literals may share it; 0 when unknown, and without POOLER_CAP_FINGERPRINT */
  uint32_t facts;           /* POOLER_FACT_* */
  uint32_t grammar;         /* PostgreSQL major of the grammar that the facts come from, 0 when not parsed */
  pooler_slice sql;         /* one statement, in the client's encoding: see pooler_session.client_encoding */
  pooler_array tables;      /* pooler_table: names as the statement has them, CTE names left out */
  pooler_array functions;   /* pooler_function: every function that is called by name */
  pooler_slice parse_tree;  /* in pooler_learn_statement with POOLER_CAP_PARSE_TREE: libpg_query's JSON, {"version":..,"stmts":[one]}, UTF-8 */
  pooler_slice parse_error; /* with SYNTAX_ERROR: what the grammar said */
} pooler_statement;

#define POOLER_SESSION_TLS 0x1u

typedef struct pooler_session {
  uint32_t size;
  uint32_t flags;                /* POOLER_SESSION_TLS */
  uint64_t id;                   /* unique in this worker */
  pooler_slice user;
  pooler_slice database;         /* as the client asked for it */
  pooler_slice application_name;
  pooler_slice client_address;   /* "127.0.0.1", "::1", "unix" */
  pooler_slice client_encoding;  /* PostgreSQL's name: "UTF8" */
} pooler_session;

#define POOLER_HOST_UP 0x1u

typedef struct pooler_host {
  uint32_t shard;
  uint32_t role;        /* POOLER_ROLE_WRITE: a primary, POOLER_ROLE_READ: a replica */
  uint32_t flags;       /* POOLER_HOST_UP */
  uint32_t lag_ms;      /* replicas: POOLER_NEVER when unknown */
  pooler_slice address; /* "host:port" */
} pooler_host;

typedef struct pooler_cluster {
  uint32_t size;
  uint32_t shards;      /* number of shards: a verdict's shard is below it */
  uint64_t generation;  /* changes whenever anything in this struct does */
  pooler_slice name;
  pooler_array hosts;   /* pooler_host */
} pooler_cluster;

/* What pooler_create is given, and pooler_reload. */
typedef struct pooler_create_input {
  uint32_t size;
  uint32_t host_minor;  /* the host's POOLER_ABI_MINOR */
  pooler_slice config;  /* [plugins.config] as JSON, UTF-8; "{}" when there is none */
  pooler_slice name;    /* the name of the entry in the configuration */
  uint32_t worker;      /* 0-based number of the worker process */
  uint32_t grammar;     /* PostgreSQL major of the host's grammar */
} pooler_create_input;

/* A name and its value: a parameter of a startup packet, or one that a server reports. */
typedef struct pooler_pair {
  pooler_slice name;
  pooler_slice value;
} pooler_pair;

/* What pooler_client_connect is given: the startup packet has come, nothing is proved yet. */
typedef struct pooler_connect_input {
  uint32_t size;
  uint32_t flags;              /* none yet */
  pooler_ref session;          /* pooler_session: user and database as they are now, see the output */
  uint32_t reserved;
  pooler_slice asked_user;     /* as the client sent it */
  pooler_slice asked_database;
  pooler_slice peer_name;      /* common name of the client's certificate; absent without one that was verified */
  pooler_array parameters;     /* pooler_pair: the startup packet, user and database included */
} pooler_connect_input;

#define POOLER_DISCONNECT_LOGGED_IN 0x1u /* the login had ended well */

/* What pooler_client_disconnect is given. */
typedef struct pooler_disconnect_input {
  uint32_t size;
  uint32_t flags;       /* POOLER_DISCONNECT_* */
  pooler_ref session;   /* pooler_session: its id is that of pooler_client_connect */
  uint32_t reserved;
  uint64_t duration_us; /* since the client connected */
} pooler_disconnect_input;

#define POOLER_SERVER_TLS 0x1u

/* What pooler_server_connect is given: the login at the server is over, nobody has used the connection yet. */
typedef struct pooler_server_input {
  uint32_t size;
  uint32_t flags;               /* POOLER_SERVER_* */
  uint64_t id;                  /* of the connection, unique in this worker */
  uint32_t shard;
  uint32_t role;                /* POOLER_ROLE_WRITE: a primary, POOLER_ROLE_READ: a replica */
  uint32_t process_id;          /* of the backend */
  uint32_t reserved;
  pooler_slice database;        /* by its name in the pooler's configuration */
  pooler_slice server_database; /* by its name on the server */
  pooler_slice user;            /* as whom the pooler logged in there */
  pooler_slice address;         /* "host:port" */
  pooler_array parameters;      /* pooler_pair: what the server reported, server_version among it */
} pooler_server_input;

#define POOLER_END_FAILED 0x1u    /* the client got an error: see `sqlstate` and `message` */
#define POOLER_END_LOCAL 0x2u     /* no server was asked: `role`, `shard` and `address` say nothing */
#define POOLER_END_SUSPENDED 0x4u /* as many rows as the client wanted, there may be more */
#define POOLER_END_REWRITTEN 0x8u /* what ran is what a plugin made of the statement */

/* What pooler_query_end is given: the client has been sent the whole answer. */
typedef struct pooler_end_input {
  uint32_t size;
  uint32_t flags;           /* POOLER_END_* */
  uint64_t query_id;        /* of the pooler_route_query that was about it; 0 when there was none */
  uint64_t duration_us;     /* since it came, or since the statement before it in the same string or batch ended */
  uint64_t rows;            /* as command_tag says, or sent before POOLER_END_SUSPENDED */
  pooler_ref statement;     /* pooler_statement, as the client sent it */
  pooler_ref session;       /* pooler_session */
  uint32_t protocol;        /* POOLER_PROTOCOL_* */
  uint32_t role;            /* POOLER_ROLE_*: where it ran */
  uint32_t shard;
  uint32_t reserved;
  pooler_slice address;     /* "host:port" of the server */
  pooler_slice command_tag; /* "SELECT 2" */
  pooler_slice sqlstate;    /* with POOLER_END_FAILED */
  pooler_slice message;
} pooler_end_input;

/* What pooler_result_row is given. Columns and values are as the client would get them, or as an earlier plugin made them. */
typedef struct pooler_row_input {
  uint32_t size;
  uint32_t flags;        /* none yet */
  uint64_t query_id;     /* of the pooler_route_query that asked for the rows */
  uint64_t statement_id; /* of the statement that it was about */
  uint64_t cookie;       /* what it gave */
  uint64_t row;          /* 0-based, counted by statement */
  pooler_ref session;    /* pooler_session */
  uint32_t reserved;
  pooler_array columns;  /* pooler_column: the format is that of the values */
  pooler_array values;   /* pooler_value, one for each column */
} pooler_row_input;

/* ---- Output ----------------------------------------------------------------------------------------------- */

#define POOLER_ROLE_OPEN 0u
#define POOLER_ROLE_WRITE 1u /* the primary */
#define POOLER_ROLE_READ 2u  /* a replica, or the primary where there is none */

#define POOLER_SHARD_OPEN 0xffffffffu
#define POOLER_SHARD_ALL 0xfffffffeu

#define POOLER_OUT_PARAMETERS 0x1u /* REWRITE: `parameters` replace the client's, all of them */
#define POOLER_OUT_ROUTE 0x2u      /* REWRITE: role and shard count as with FORWARD */
#define POOLER_OUT_ROWS 0x4u       /* any verdict but ERROR: show me the rows of this statement, see pooler_result_row */

#define POOLER_VALUE_NULL 0x1u
#define POOLER_VALUE_KEEP 0x2u /* ROW_CHANGE: this value stays as it is */

typedef struct pooler_column {
  pooler_slice name;
  uint32_t type_oid;
  int32_t type_modifier; /* -1 when none */
  int32_t type_size;     /* pg_type.typlen: -1 for variable length */
  uint32_t format;       /* of the values: 0 text, 1 binary */
} pooler_column;

typedef struct pooler_value {
  pooler_slice value;
  uint32_t flags; /* POOLER_VALUE_* */
  uint32_t reserved;
} pooler_value;

/* The host zeroes the struct and sets `size` before each call; the plugin fills what its verdict needs. What the fields refer
 * to lies behind the host's `size`. */
typedef struct pooler_output {
  uint32_t size;
  uint32_t used;            /* bytes of the frame that the plugin used, this struct included */
  uint32_t needed;          /* with POOLER_NEEDS_SPACE: the capacity that the answer wants */
  uint32_t flags;           /* POOLER_OUT_* */
  uint32_t role;            /* FORWARD, or with POOLER_OUT_ROUTE: POOLER_ROLE_* */
  uint32_t shard;           /* ... 0-based, POOLER_SHARD_OPEN or POOLER_SHARD_ALL */
  pooler_slice sqlstate;    /* ERROR: five characters; absent means 42501 */
  pooler_slice message;     /* ERROR, and every failure */
  pooler_slice detail;
  pooler_slice hint;
  pooler_slice sql;         /* REWRITE: one statement, in the client's encoding. server_connect: statements that make the session what
                               it shall be (SET ROLE ...), run first and again whenever the session was reset */
  pooler_array parameters;  /* REWRITE with POOLER_OUT_PARAMETERS: pooler_parameter */
  pooler_array columns;     /* INTERCEPT: pooler_column; none for a statement that returns no rows */
  pooler_array values;      /* INTERCEPT: pooler_value, row after row, columns.count each. ROW_CHANGE: one for each column */
  pooler_slice command_tag; /* INTERCEPT: "SELECT 2"; absent: "SELECT <rows>" */
  uint64_t cookie;          /* POOLER_OUT_ROWS: given to pooler_result_row with each row of this execution */
  pooler_slice user;        /* client_connect: who the client is from now on, a user of the configuration, whose password it must prove */
  pooler_slice database;    /* client_connect: ... a database of the configuration */
  pooler_slice server_user; /* client_connect: as whom to log in at servers, in place of what the configuration says */
  pooler_slice server_password; /* client_connect: ... with server_user only */
  pooler_slice once_sql;    /* server_connect: statements that are run once, after `sql` */
} pooler_output;

/* ---- Exports ---------------------------------------------------------------------------------------------- */

typedef const pooler_plugin_info *(*pooler_plugin_info_v1_fn)(void);
/* `out` uses `message` only. On any status but POOLER_OK the start stops with that message. */
typedef pooler_status (*pooler_create_fn)(const pooler_create_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap, void **state);
typedef void (*pooler_destroy_fn)(void *state);
typedef pooler_status (*pooler_route_query_fn)(void *state, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
typedef pooler_status (*pooler_fetch_output_fn)(void *state, pooler_output *out, uint32_t out_cap);
/* Called before the first pooler_route_query that names the statement's id, with `in->statement` and `in->session`
 * set; `out` uses `message` only. A failure fails that query and the statement is learned again with the next one.
 * Since 1.1 POOLER_NOT_MINE: pooler_route_query is not called about it, which costs nothing and, with POOLER_CAP_BLOCKING, takes no thread. */
typedef pooler_status (*pooler_learn_statement_fn)(void *state, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
typedef void (*pooler_forget_statement_fn)(void *state, uint64_t statement_id);
/* Verdicts: POOLER_SKIP, POOLER_ACCEPT, POOLER_ERROR. A failure refuses the client. Not called for the console. */
typedef pooler_status (*pooler_client_connect_fn)(void *state, const pooler_connect_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
/* Once for every client that pooler_client_connect let in, and without that hook once for every session. */
typedef pooler_status (*pooler_client_disconnect_fn)(void *state, const pooler_disconnect_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
/* Verdicts: POOLER_SKIP, POOLER_ACCEPT, POOLER_ERROR. After a refusal or a failure the connection is not used. */
typedef pooler_status (*pooler_server_connect_fn)(void *state, const pooler_server_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
typedef pooler_status (*pooler_query_end_fn)(void *state, const pooler_end_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
/* Verdicts: POOLER_ROW_*. A failure fails the statement, whatever on_error says: no row gets past. */
typedef pooler_status (*pooler_result_row_fn)(void *state, const pooler_row_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
/* POOLER_OK: the configuration in `in` is in force. Anything else: it is refused, `message` says why, and the one before stays
 * in force. When another plugin or worker refuses, the hook is called again with the configuration that was in force. */
typedef pooler_status (*pooler_reload_fn)(void *state, const pooler_create_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);

#ifndef POOLER_NO_PROTOTYPES
POOLER_EXPORT const pooler_plugin_info *pooler_plugin_info_v1(void);
POOLER_EXPORT pooler_status pooler_create(const pooler_create_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap, void **state);
POOLER_EXPORT void pooler_destroy(void *state);
POOLER_EXPORT pooler_status pooler_route_query(void *state, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
POOLER_EXPORT pooler_status pooler_fetch_output(void *state, pooler_output *out, uint32_t out_cap);
POOLER_EXPORT pooler_status pooler_learn_statement(void *state, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
POOLER_EXPORT void pooler_forget_statement(void *state, uint64_t statement_id);
POOLER_EXPORT pooler_status pooler_client_connect(void *state, const pooler_connect_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
POOLER_EXPORT pooler_status pooler_client_disconnect(void *state, const pooler_disconnect_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
POOLER_EXPORT pooler_status pooler_server_connect(void *state, const pooler_server_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
POOLER_EXPORT pooler_status pooler_query_end(void *state, const pooler_end_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
POOLER_EXPORT pooler_status pooler_result_row(void *state, const pooler_row_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
POOLER_EXPORT pooler_status pooler_reload(void *state, const pooler_create_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
#endif

/* ---- Accessors: an author never needs an offset ----------------------------------------------------------- */

typedef struct pooler_bytes {
  const uint8_t *data; /* NULL when absent */
  uint32_t length;
} pooler_bytes;

/* The bytes of a slice; absent when it is, or when it does not lie in the frame. */
static inline pooler_bytes pooler_get(const void *frame, uint32_t frame_len, pooler_slice slice) {
  pooler_bytes none = {NULL, 0};
  if (slice.offset == 0 || slice.offset > frame_len || slice.length > frame_len - slice.offset) return none;
  pooler_bytes bytes = {(const uint8_t *)frame + slice.offset, slice.length};
  return bytes;
}

static inline int pooler_equals(pooler_bytes bytes, const char *text) {
  size_t length = strlen(text);
  return bytes.data != NULL && bytes.length == length && memcmp(bytes.data, text, length) == 0;
}

/* A struct of the frame by its offset: NULL when absent or when `at_least` bytes of it do not lie in the frame. */
static inline const void *pooler_at(const void *frame, uint32_t frame_len, pooler_ref ref, uint32_t at_least) {
  if (ref == 0 || (ref & 7u) != 0 || ref > frame_len || at_least > frame_len - ref) return NULL;
  return (const uint8_t *)frame + ref;
}

/* Element `index` of an array: NULL when there is none or when `at_least` bytes of it do not lie in the frame. */
static inline const void *pooler_element(const void *frame, uint32_t frame_len, pooler_array array, uint32_t index, uint32_t at_least) {
  if (array.offset == 0 || index >= array.count || array.stride < at_least) return NULL;
  uint64_t at = (uint64_t)array.offset + (uint64_t)array.stride * index;
  if (at + at_least > frame_len) return NULL;
  return (const uint8_t *)frame + at;
}

static inline const pooler_statement *pooler_get_statement(const pooler_input *in, uint32_t in_len) {
  return (const pooler_statement *)pooler_at(in, in_len, in->statement, sizeof(pooler_statement));
}
static inline const pooler_session *pooler_get_session(const pooler_input *in, uint32_t in_len) {
  return (const pooler_session *)pooler_at(in, in_len, in->session, sizeof(pooler_session));
}
static inline const pooler_cluster *pooler_get_cluster(const pooler_input *in, uint32_t in_len) {
  return (const pooler_cluster *)pooler_at(in, in_len, in->cluster, sizeof(pooler_cluster));
}
static inline const pooler_parameter *pooler_get_parameter(const pooler_input *in, uint32_t in_len, uint32_t index) {
  return (const pooler_parameter *)pooler_element(in, in_len, in->parameters, index, sizeof(pooler_parameter));
}
/* The session of pooler_connect_input, pooler_disconnect_input, pooler_end_input or pooler_row_input: give its field `session`. */
static inline const pooler_session *pooler_session_at(const void *in, uint32_t in_len, pooler_ref session) {
  return (const pooler_session *)pooler_at(in, in_len, session, sizeof(pooler_session));
}
/* The value of a name among the parameters of pooler_connect_input or pooler_server_input; absent when there is none. */
static inline pooler_bytes pooler_get_pair(const void *in, uint32_t in_len, pooler_array parameters, const char *name) {
  pooler_bytes none = {NULL, 0};
  for (uint32_t i = 0; i < parameters.count; i++) {
    const pooler_pair *pair = (const pooler_pair *)pooler_element(in, in_len, parameters, i, sizeof(pooler_pair));
    if (pair == NULL) break;
    if (pooler_equals(pooler_get(in, in_len, pair->name), name)) return pooler_get(in, in_len, pair->value);
  }
  return none;
}
static inline const pooler_column *pooler_get_column(const pooler_row_input *in, uint32_t in_len, uint32_t index) {
  return (const pooler_column *)pooler_element(in, in_len, in->columns, index, sizeof(pooler_column));
}
static inline const pooler_value *pooler_get_value(const pooler_row_input *in, uint32_t in_len, uint32_t index) {
  return (const pooler_value *)pooler_element(in, in_len, in->values, index, sizeof(pooler_value));
}
static inline pooler_bytes pooler_get_sql(const pooler_input *in, uint32_t in_len) {
  const pooler_statement *statement = pooler_get_statement(in, in_len);
  pooler_bytes none = {NULL, 0};
  return statement == NULL ? none : pooler_get(in, in_len, statement->sql);
}

/* Reserve `length` bytes (8-byte aligned) at the end of the output; NULL when they do not fit. Start with out->used = 0. */
static inline uint8_t *pooler_reserve(pooler_output *out, uint32_t out_cap, uint32_t length, uint32_t *offset) {
  uint32_t head = out->size < sizeof(pooler_output) ? (uint32_t)sizeof(pooler_output) : out->size; /* a later host's is larger */
  uint32_t at = ((out->used < head ? head : out->used) + 7u) & ~7u;
  if (at > out_cap || length > out_cap - at) return NULL;
  out->used = at + length;
  *offset = at;
  return (uint8_t *)out + at;
}

/* Copy bytes into the output and let `slice` name them; 0 when they do not fit. */
static inline int pooler_put(pooler_output *out, uint32_t out_cap, pooler_slice *slice, const void *data, uint32_t length) {
  uint32_t offset = 0;
  uint8_t *to = pooler_reserve(out, out_cap, length, &offset);
  if (to == NULL) return 0;
  if (length > 0) memcpy(to, data, length);
  slice->offset = offset;
  slice->length = length;
  return 1;
}

static inline int pooler_put_text(pooler_output *out, uint32_t out_cap, pooler_slice *slice, const char *text) {
  return pooler_put(out, out_cap, slice, text, (uint32_t)strlen(text));
}

static inline pooler_status pooler_forward(pooler_output *out, uint32_t role, uint32_t shard) {
  out->role = role;
  out->shard = shard;
  return POOLER_FORWARD;
}

/* Values in place of the row's, all of them kept to begin with: set `value` or flags of those that shall be others. NULL when they
 * do not fit. */
static inline pooler_value *pooler_change_row(const pooler_row_input *in, pooler_output *out, uint32_t out_cap) {
  uint32_t count = in->columns.count;
  if (count > out_cap / sizeof(pooler_value)) return NULL;
  pooler_value *values = (pooler_value *)(void *)pooler_reserve(out, out_cap, count * (uint32_t)sizeof(pooler_value), &out->values.offset);
  if (values == NULL) return NULL;
  memset(values, 0, count * sizeof(pooler_value));
  for (uint32_t i = 0; i < count; i++) values[i].flags = POOLER_VALUE_KEEP;
  out->values.count = count;
  out->values.stride = (uint32_t)sizeof(pooler_value);
  return values;
}

/* Texts that do not fit are left out: the host then uses its defaults. */
static inline pooler_status pooler_refuse(pooler_output *out, uint32_t out_cap, const char *sqlstate, const char *message, const char *hint) {
  (void)pooler_put_text(out, out_cap, &out->sqlstate, sqlstate);
  (void)pooler_put_text(out, out_cap, &out->message, message);
  if (hint != NULL) (void)pooler_put_text(out, out_cap, &out->hint, hint);
  return POOLER_ERROR;
}

#ifdef __cplusplus
}
#endif

#endif /* POOLER_PLUGIN_H */
