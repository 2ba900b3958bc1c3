/*
 * pooler_plugin.h: the contract between Pooler and a native plugin. ABI 1.0.
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
 * configuration and worker process; workers share nothing.
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
#define POOLER_ABI_MINOR 0u

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

#define POOLER_OK 0             /* create, destroy, learn: done */
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

#define POOLER_CAP_INSPECT 0x1u         /* ask me for every statement, also when the route is decided, again after a rewrite */
#define POOLER_CAP_EVERY_STATEMENT 0x2u /* ask me for every statement of a transaction, not for its first only */
#define POOLER_CAP_FACTS 0x4u           /* I read kind, flags, tables and functions of the statement */
#define POOLER_CAP_PARSE_TREE 0x8u      /* give pooler_learn_statement the parse tree (implies FACTS) */
#define POOLER_CAP_FINGERPRINT 0x10u    /* I read the fingerprint of the statement, which costs half as much as parsing it (implies FACTS) */

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

typedef struct pooler_parameter {
  pooler_slice value;  /* raw bytes as the client sent them; absent when NULL */
  uint32_t format;     /* 0 text, 1 binary */
  uint32_t type_oid;   /* 0 when the client left it to the server */
  uint32_t flags;      /* POOLER_PARAMETER_NULL */
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

/* What pooler_create is given. */
typedef struct pooler_create_input {
  uint32_t size;
  uint32_t host_minor;  /* the host's POOLER_ABI_MINOR */
  pooler_slice config;  /* [plugins.config] as JSON, UTF-8; "{}" when there is none */
  pooler_slice name;    /* the name of the entry in the configuration */
  uint32_t worker;      /* 0-based number of the worker process */
  uint32_t grammar;     /* PostgreSQL major of the host's grammar */
} pooler_create_input;

/* ---- Output ----------------------------------------------------------------------------------------------- */

#define POOLER_ROLE_OPEN 0u
#define POOLER_ROLE_WRITE 1u /* the primary */
#define POOLER_ROLE_READ 2u  /* a replica, or the primary where there is none */

#define POOLER_SHARD_OPEN 0xffffffffu
#define POOLER_SHARD_ALL 0xfffffffeu

#define POOLER_OUT_PARAMETERS 0x1u /* REWRITE: `parameters` replace the client's, all of them */

#define POOLER_VALUE_NULL 0x1u

typedef struct pooler_column {
  pooler_slice name;
  uint32_t type_oid;
  int32_t type_modifier; /* -1 when none */
  int32_t type_size;     /* pg_type.typlen: -1 for variable length */
  uint32_t format;       /* of the values that the plugin gives: 0 text, 1 binary */
} pooler_column;

typedef struct pooler_value {
  pooler_slice value;
  uint32_t flags; /* POOLER_VALUE_NULL */
  uint32_t reserved;
} pooler_value;

/* The host zeroes the struct and sets `size` before each call; the plugin fills what its verdict needs. */
typedef struct pooler_output {
  uint32_t size;
  uint32_t used;            /* bytes of the frame that the plugin used, this struct included */
  uint32_t needed;          /* with POOLER_NEEDS_SPACE: the capacity that the answer wants */
  uint32_t flags;           /* POOLER_OUT_* */
  uint32_t role;            /* FORWARD: POOLER_ROLE_* */
  uint32_t shard;           /* FORWARD: 0-based, POOLER_SHARD_OPEN or POOLER_SHARD_ALL */
  pooler_slice sqlstate;    /* ERROR: five characters; absent means 42501 */
  pooler_slice message;     /* ERROR, and every failure */
  pooler_slice detail;
  pooler_slice hint;
  pooler_slice sql;         /* REWRITE: one statement, in the client's encoding */
  pooler_array parameters;  /* REWRITE with POOLER_OUT_PARAMETERS: pooler_parameter */
  pooler_array columns;     /* INTERCEPT: pooler_column; none for a statement that returns no rows */
  pooler_array values;      /* INTERCEPT: pooler_value, row after row, columns.count each */
  pooler_slice command_tag; /* INTERCEPT: "SELECT 2"; absent: "SELECT <rows>" */
} pooler_output;

/* ---- Exports ---------------------------------------------------------------------------------------------- */

/* `out` uses `message` only. On any status but POOLER_OK the start stops with that message. */
typedef const pooler_plugin_info *(*pooler_plugin_info_v1_fn)(void);
typedef pooler_status (*pooler_create_fn)(const pooler_create_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap, void **state);
typedef void (*pooler_destroy_fn)(void *state);
typedef pooler_status (*pooler_route_query_fn)(void *state, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
typedef pooler_status (*pooler_fetch_output_fn)(void *state, pooler_output *out, uint32_t out_cap);
/* Called before the first pooler_route_query that names the statement's id, with `in->statement` and `in->session`
 * set; `out` uses `message` only. A failure fails that query and the statement is learned again with the next one. */
typedef pooler_status (*pooler_learn_statement_fn)(void *state, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
typedef void (*pooler_forget_statement_fn)(void *state, uint64_t statement_id);

#ifndef POOLER_NO_PROTOTYPES
POOLER_EXPORT const pooler_plugin_info *pooler_plugin_info_v1(void);
POOLER_EXPORT pooler_status pooler_create(const pooler_create_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap, void **state);
POOLER_EXPORT void pooler_destroy(void *state);
POOLER_EXPORT pooler_status pooler_route_query(void *state, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
POOLER_EXPORT pooler_status pooler_fetch_output(void *state, pooler_output *out, uint32_t out_cap);
POOLER_EXPORT pooler_status pooler_learn_statement(void *state, const pooler_input *in, uint32_t in_len, pooler_output *out, uint32_t out_cap);
POOLER_EXPORT void pooler_forget_statement(void *state, uint64_t statement_id);
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
static inline pooler_bytes pooler_get_sql(const pooler_input *in, uint32_t in_len) {
  const pooler_statement *statement = pooler_get_statement(in, in_len);
  pooler_bytes none = {NULL, 0};
  return statement == NULL ? none : pooler_get(in, in_len, statement->sql);
}

/* Reserve `length` bytes (8-byte aligned) at the end of the output; NULL when they do not fit. Start with out->used = 0. */
static inline uint8_t *pooler_reserve(pooler_output *out, uint32_t out_cap, uint32_t length, uint32_t *offset) {
  uint32_t at = out->used < sizeof(pooler_output) ? (uint32_t)sizeof(pooler_output) : out->used;
  at = (at + 7u) & ~7u;
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
