// The layout of pooler_plugin.h as plain numbers: sizes, offsets and constants under the header's own names. The header is
// the truth; a test compiles a probe against it and compares every number here, in both directions.

/** Sizes, alignments and byte offsets of every struct that crosses, on the 64-bit platforms that the host runs on. */
export const structs = {
  pooler_slice: { size: 8, align: 4, fields: { offset: 0, length: 4 } },
  pooler_array: { size: 16, align: 4, fields: { offset: 0, count: 4, stride: 8, reserved: 12 } },
  pooler_plugin_info: {
    size: 56,
    align: 8,
    fields: {
      size: 0,
      abi_major: 4,
      abi_minor: 8,
      min_host_minor: 12,
      hooks: 16,
      capabilities: 20,
      grammar_min: 24,
      grammar_max: 28,
      name: 32,
      version: 40,
      sdk: 48,
    },
  },
  pooler_input: {
    size: 64,
    align: 8,
    fields: {
      size: 0,
      protocol: 4,
      flags: 8,
      role: 12,
      shard: 16,
      ms_since_write: 20,
      query_id: 24,
      statement: 32,
      session: 36,
      cluster: 40,
      reserved: 44,
      parameters: 48,
    },
  },
  pooler_parameter: { size: 24, align: 4, fields: { value: 0, format: 8, type_oid: 12, flags: 16, reserved: 20 } },
  pooler_table: { size: 32, align: 4, fields: { catalog: 0, schema: 8, name: 16, use: 24, reserved: 28 } },
  pooler_function: { size: 16, align: 4, fields: { schema: 0, name: 8 } },
  pooler_statement: {
    size: 88,
    align: 8,
    fields: {
      size: 0,
      kind: 4,
      id: 8,
      fingerprint: 16,
      facts: 24,
      grammar: 28,
      sql: 32,
      tables: 40,
      functions: 56,
      parse_tree: 72,
      parse_error: 80,
    },
  },
  pooler_session: {
    size: 56,
    align: 8,
    fields: { size: 0, flags: 4, id: 8, user: 16, database: 24, application_name: 32, client_address: 40, client_encoding: 48 },
  },
  pooler_host: { size: 24, align: 4, fields: { shard: 0, role: 4, flags: 8, lag_ms: 12, address: 16 } },
  pooler_cluster: { size: 40, align: 8, fields: { size: 0, shards: 4, generation: 8, name: 16, hosts: 24 } },
  pooler_create_input: { size: 32, align: 4, fields: { size: 0, host_minor: 4, config: 8, name: 16, worker: 24, grammar: 28 } },
  pooler_column: { size: 24, align: 4, fields: { name: 0, type_oid: 8, type_modifier: 12, type_size: 16, format: 20 } },
  pooler_value: { size: 16, align: 4, fields: { value: 0, flags: 8, reserved: 12 } },
  pooler_output: {
    size: 120,
    align: 4,
    fields: {
      size: 0,
      used: 4,
      needed: 8,
      flags: 12,
      role: 16,
      shard: 20,
      sqlstate: 24,
      message: 32,
      detail: 40,
      hint: 48,
      sql: 56,
      parameters: 64,
      columns: 80,
      values: 96,
      command_tag: 112,
    },
  },
} as const;

export type StructName = keyof typeof structs;

export const constants = {
  POOLER_ABI_MAJOR: 1,
  POOLER_ABI_MINOR: 0,

  POOLER_SKIP: 0,
  POOLER_FORWARD: 1,
  POOLER_ERROR: 2,
  POOLER_REWRITE: 3,
  POOLER_INTERCEPT: 4,

  POOLER_OK: 0,
  POOLER_FAILED: -1,
  POOLER_PANICKED: -2,
  POOLER_BAD_INPUT: -3,
  POOLER_NEEDS_SPACE: -4,

  POOLER_HOOK_ROUTE_QUERY: 0x1,

  POOLER_CAP_INSPECT: 0x1,
  POOLER_CAP_EVERY_STATEMENT: 0x2,
  POOLER_CAP_FACTS: 0x4,
  POOLER_CAP_PARSE_TREE: 0x8,
  POOLER_CAP_FINGERPRINT: 0x10,

  POOLER_PROTOCOL_SIMPLE: 0,
  POOLER_PROTOCOL_EXTENDED: 1,

  POOLER_IN_TRANSACTION: 0x1,
  POOLER_READ_ONLY: 0x2,
  POOLER_FIRST_STATEMENT: 0x4,
  POOLER_PREPARE_ONLY: 0x8,
  POOLER_ROLE_DECIDED: 0x10,
  POOLER_SHARD_DECIDED: 0x20,
  POOLER_REWRITTEN: 0x40,
  POOLER_SEVERAL_STATEMENTS: 0x80,

  POOLER_NEVER: 0xffffffff,

  POOLER_PARAMETER_NULL: 0x1,

  POOLER_STATEMENT_OTHER: 0,
  POOLER_STATEMENT_SELECT: 1,
  POOLER_STATEMENT_INSERT: 2,
  POOLER_STATEMENT_UPDATE: 3,
  POOLER_STATEMENT_DELETE: 4,
  POOLER_STATEMENT_MERGE: 5,
  POOLER_STATEMENT_COPY: 6,
  POOLER_STATEMENT_EXPLAIN: 7,
  POOLER_STATEMENT_DDL: 8,
  POOLER_STATEMENT_SET: 9,
  POOLER_STATEMENT_SHOW: 10,
  POOLER_STATEMENT_TRANSACTION: 11,
  POOLER_STATEMENT_PREPARE: 12,
  POOLER_STATEMENT_EXECUTE: 13,
  POOLER_STATEMENT_CALL: 14,
  POOLER_STATEMENT_CURSOR: 15,
  POOLER_STATEMENT_LISTEN: 16,
  POOLER_STATEMENT_EMPTY: 17,

  POOLER_FACT_PARSED: 0x1,
  POOLER_FACT_WRITES: 0x2,
  POOLER_FACT_LOCKS_ROWS: 0x4,
  POOLER_FACT_MODIFYING_CTE: 0x8,
  POOLER_FACT_UNKNOWN_FUNCTION: 0x10,
  POOLER_FACT_SYNTAX_ERROR: 0x20,

  POOLER_TABLE_READ: 0x1,
  POOLER_TABLE_WRITE: 0x2,
  POOLER_TABLE_LOCK: 0x4,

  POOLER_SESSION_TLS: 0x1,
  POOLER_HOST_UP: 0x1,

  POOLER_ROLE_OPEN: 0,
  POOLER_ROLE_WRITE: 1,
  POOLER_ROLE_READ: 2,

  POOLER_SHARD_OPEN: 0xffffffff,
  POOLER_SHARD_ALL: 0xfffffffe,

  POOLER_OUT_PARAMETERS: 0x1,
  POOLER_VALUE_NULL: 0x1,
} as const;

export type ConstantName = keyof typeof constants;
