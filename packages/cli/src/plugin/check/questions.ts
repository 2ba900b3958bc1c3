// What a plugin is asked during a check: statements of every kind, parameters in every form, sessions and clusters as they come.

import type { StatementParser } from "@pooler/core/plugin-tools";
import { constants } from "@pooler/plugin-abi";
import type { ClusterSpec, InputSpec, ParameterSpec, SessionSpec, StatementSpec } from "./frame-builder.js";

/** Statements that differ in what a plugin may look at. */
export const statementTexts: readonly string[] = [
  "SELECT 1",
  "select * from users where id = $1",
  "SELECT u.name, o.total FROM users u JOIN public.orders o ON o.user_id = u.id WHERE u.id = 42 AND o.total > 10.5 FOR UPDATE OF u",
  "SELECT * FROM users WHERE id IN (1, 2, 3) OR name LIKE 'a%' ORDER BY id LIMIT 10",
  'SELECT "Quoted;Name"."x" FROM "Quoted;Name" WHERE t = $tag$ ; $tag$ AND e = E\'it\\\'s\'',
  "SELECT * FROM app.public.users",
  "VALUES (1, 'one'), (2, NULL)",
  "TABLE users",
  "SELECT nextval('users_id_seq'), pg_advisory_lock(1), app.touch(2)",
  "SELECT * INTO copy_of_users FROM users",
  "INSERT INTO users (id, name) VALUES ($1, $2)",
  "INSERT INTO users (id, name) VALUES (1, 'a'), (2, 'b'), (-3, NULL) ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *",
  "INSERT INTO users SELECT * FROM old_users WHERE id > $1",
  "INSERT INTO users DEFAULT VALUES",
  "UPDATE users SET name = $2 WHERE id = $1",
  "UPDATE users SET name = 'x'",
  "DELETE FROM users WHERE id = 7",
  "DELETE FROM users USING orders WHERE orders.user_id = users.id",
  "MERGE INTO users USING new_users n ON users.id = n.id WHEN MATCHED THEN UPDATE SET name = n.name WHEN NOT MATCHED THEN INSERT VALUES (n.id, n.name)",
  "WITH gone AS (DELETE FROM users WHERE id = $1 RETURNING *) SELECT count(*) FROM gone",
  "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 100) SELECT sum(n) FROM t",
  "COPY users (id, name) FROM STDIN WITH (FORMAT csv)",
  "COPY (SELECT * FROM users) TO STDOUT",
  "EXPLAIN SELECT * FROM users",
  "EXPLAIN (ANALYZE, FORMAT json) DELETE FROM users WHERE id = 1",
  "CREATE TABLE archive_2020 (id bigint PRIMARY KEY, data jsonb DEFAULT '{}')",
  "ALTER TABLE users ADD COLUMN age int",
  "DROP TABLE IF EXISTS users, orders CASCADE",
  "TRUNCATE users, archive_2020",
  "GRANT SELECT ON users TO app",
  "SET search_path = app, public",
  "SET LOCAL statement_timeout = '5s'",
  "RESET ALL",
  "SHOW transaction_isolation",
  "BEGIN",
  "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
  "COMMIT",
  "ROLLBACK TO SAVEPOINT a",
  "SAVEPOINT a",
  "PREPARE p (int) AS SELECT * FROM users WHERE id = $1",
  "EXECUTE p(1)",
  "DEALLOCATE ALL",
  "CALL app.do_it(1)",
  "DO $$ BEGIN PERFORM 1; END $$",
  "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM users",
  "FETCH 10 FROM c",
  "LISTEN changes",
  "NOTIFY changes, 'x'",
  "LOCK TABLE users IN EXCLUSIVE MODE",
  "VACUUM users",
  "",
  ";",
  " \t\n-- only a comment",
  "/* a /* nested */ comment */ SELECT /*+ hint */ 1 -- end",
  "SELEKT * FROM users",
  "SELECT 'unterminated",
  "SELECT 'ünïcödé 日本語 🐘', U&'\\0441'",
  "SELECT * FROM users WHERE data @> '{\"a\": [1, 2, {\"b\": null}]}'::jsonb AND v <-> '[1,2,3]' < 0.5",
  `SELECT ${"(".repeat(200)}1${")".repeat(200)}`,
];

/** As bytes that no parser sees: other encodings, odd bytes, sizes. */
export const oddTexts: readonly { readonly title: string; readonly sql: Buffer; readonly encoding: string }[] = [
  { title: "a statement in LATIN1", sql: Buffer.from("SELECT 'caf\xe9' FROM users WHERE id = $1", "latin1"), encoding: "LATIN1" },
  {
    title: "a statement in SJIS",
    sql: Buffer.from([...Buffer.from("SELECT '"), 0x83, 0x5c, 0x83, 0x27, ...Buffer.from("' FROM users")]),
    encoding: "SJIS",
  },
  {
    title: "bytes that are not UTF-8",
    sql: Buffer.from([0x53, 0x45, 0x4c, 0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80, 0x20, 0x31]),
    encoding: "UTF8",
  },
  { title: "a cut character at the end", sql: Buffer.from([...Buffer.from("SELECT '日"), 0xe6, 0x97]), encoding: "UTF8" },
  { title: "a statement in an encoding without a name", sql: Buffer.from("SELECT 1"), encoding: "" },
  { title: "a statement of one byte", sql: Buffer.from("S"), encoding: "SQL_ASCII" },
  { title: "a statement of 1 MiB", sql: Buffer.from(`SELECT '${"x".repeat(1 << 20)}'`), encoding: "UTF8" },
  {
    title: "a statement of 100,000 numbers",
    sql: Buffer.from(`SELECT * FROM users WHERE id IN (${"12345,".repeat(100_000)}0)`),
    encoding: "UTF8",
  },
  { title: "ten thousand brackets", sql: Buffer.from(`SELECT ${"(".repeat(10_000)}1${")".repeat(10_000)}`), encoding: "UTF8" },
];

const text = (value: string, typeOid = 0): ParameterSpec => ({ value: Buffer.from(value), format: 0, typeOid });
const binary = (hex: string, typeOid = 0): ParameterSpec => ({ value: Buffer.from(hex, "hex"), format: 1, typeOid });
const nullValue = (format = 0, typeOid = 0): ParameterSpec => ({ value: null, format, typeOid });

export interface ParameterSet {
  readonly title: string;
  readonly parameters: readonly ParameterSpec[];
  /** So large that it goes with few statements only. */
  readonly isLarge?: boolean;
}

export const parameterSets: readonly ParameterSet[] = [
  { title: "NULL", parameters: [nullValue()] },
  { title: "a binary NULL", parameters: [nullValue(1, 20), nullValue(0, 25)] },
  { title: "an empty text", parameters: [text("")] },
  { title: "empty bytes", parameters: [{ value: Buffer.alloc(0), format: 1, typeOid: 17 }] },
  { title: "numbers as text", parameters: [text("42", 20), text("-9223372036854775808")] },
  {
    title: "what is no number",
    parameters: [text("abc", 23), text("99999999999999999999999999", 20), text("1e400", 701), text("NaN", 1700)],
  },
  { title: "binary numbers", parameters: [binary("0007", 21), binary("ffffffff", 23), binary("8000000000000000", 20)] },
  {
    title: "binary numbers of wrong sizes",
    parameters: [binary("07", 20), binary("00000000000000000000000001", 23), binary("000102", 21)],
  },
  { title: "uuids", parameters: [text("123e4567-e89b-12d3-a456-426614174000", 2950), binary("123e4567e89b12d3a456426614174000", 2950)] },
  { title: "bytes that are not UTF-8", parameters: [{ value: Buffer.from([0xff, 0x00, 0xc0, 0x80]), format: 0, typeOid: 25 }] },
  {
    title: "arrays",
    parameters: [text("{1,2,NULL}", 1007), binary("0000000100000001000000170000000200000001000000040000000100000004ffffffff", 1007)],
  },
  {
    title: "damaged binary arrays",
    parameters: [binary("7fffffff", 1007), binary("00000001000000010000001700ffffff00000001", 1007), binary("0000", 1700)],
  },
  { title: "1,000 values", parameters: Array.from({ length: 1000 }, (_, index) => text(String(index))), isLarge: true },
  { title: "65,535 NULLs", parameters: Array.from({ length: 65_535 }, () => nullValue()), isLarge: true },
  { title: "a value of 4 MiB", parameters: [{ value: Buffer.alloc(4 << 20, 0x39), format: 0, typeOid: 25 }, text("1")], isLarge: true },
];

export const usualSession: SessionSpec = {
  id: 11,
  flags: constants.POOLER_SESSION_TLS,
  user: "app",
  database: "app",
  applicationName: "psql",
  clientAddress: "127.0.0.1",
  clientEncoding: "UTF8",
};

export const sessions: readonly { readonly title: string; readonly session: SessionSpec }[] = [
  {
    title: "a session whose texts are empty",
    session: { ...usualSession, flags: 0, user: "", database: "", applicationName: "", clientAddress: "" },
  },
  {
    title: "a session whose texts are absent",
    session: { ...usualSession, user: null, database: null, applicationName: null, clientAddress: null },
  },
  {
    title: "a session with names that are not UTF-8",
    session: { ...usualSession, user: Buffer.from([0xff, 0xfe]), applicationName: Buffer.from([0xe9]) },
  },
  { title: "a session with long names", session: { ...usualSession, user: "u".repeat(10_000), applicationName: "a".repeat(10_000) } },
  { title: "a session over a socket", session: { ...usualSession, clientAddress: "unix", clientEncoding: "EUC_JP" } },
];

const host = (shard: number, role: number, up: boolean, lagMs: number) => ({
  shard,
  role,
  flags: up ? constants.POOLER_HOST_UP : 0,
  lagMs,
  address: `db${shard}:5432`,
});

export const usualCluster: ClusterSpec = {
  name: "app",
  shards: 2,
  generation: 1,
  hosts: [0, 1].flatMap((shard) => [
    host(shard, constants.POOLER_ROLE_WRITE, true, constants.POOLER_NEVER),
    host(shard, constants.POOLER_ROLE_READ, true, 12),
  ]),
};

export const clusters: readonly { readonly title: string; readonly cluster: ClusterSpec }[] = [
  { title: "a cluster with one server", cluster: { ...usualCluster, shards: 1, generation: 2, hosts: usualCluster.hosts.slice(0, 1) } },
  { title: "a cluster whose hosts are unknown", cluster: { ...usualCluster, generation: 3, hosts: [] } },
  {
    title: "a cluster whose hosts are down",
    cluster: {
      ...usualCluster,
      generation: 4,
      hosts: usualCluster.hosts.map((each) => ({ ...each, flags: 0, lagMs: constants.POOLER_NEVER })),
    },
  },
  {
    title: "a cluster of 1,000 shards",
    cluster: {
      name: "large",
      shards: 1000,
      generation: 5,
      hosts: Array.from({ length: 1000 }, (_, shard) => host(shard, constants.POOLER_ROLE_WRITE, shard % 3 !== 0, constants.POOLER_NEVER)),
    },
  },
];

const { POOLER_FIRST_STATEMENT: first, POOLER_IN_TRANSACTION: inTransaction, POOLER_READ_ONLY: readOnly } = constants;
const { POOLER_PREPARE_ONLY: prepare, POOLER_SEVERAL_STATEMENTS: several, POOLER_REWRITTEN: rewritten } = constants;
const { POOLER_ROLE_DECIDED: roleDecided, POOLER_SHARD_DECIDED: shardDecided } = constants;
const open = { role: constants.POOLER_ROLE_OPEN, shard: constants.POOLER_SHARD_OPEN, msSinceWrite: constants.POOLER_NEVER };
const { POOLER_PROTOCOL_SIMPLE: simple, POOLER_PROTOCOL_EXTENDED: extended } = constants;

type Circumstances = Pick<InputSpec, "protocol" | "flags" | "role" | "shard" | "msSinceWrite">;

/** The circumstances in which a statement may come. */
export const circumstances: readonly { readonly title: string; readonly input: Circumstances }[] = [
  { title: "alone", input: { ...open, protocol: simple, flags: first } },
  { title: "in the extended protocol", input: { ...open, protocol: extended, flags: first } },
  { title: "prepared only", input: { ...open, protocol: extended, flags: first | prepare } },
  { title: "first in a transaction", input: { ...open, protocol: simple, flags: first | inTransaction, msSinceWrite: 0 } },
  { title: "first in a READ ONLY transaction", input: { ...open, protocol: extended, flags: first | inTransaction | readOnly } },
  {
    title: "later in a transaction",
    input: {
      protocol: simple,
      flags: inTransaction | roleDecided | shardDecided,
      role: constants.POOLER_ROLE_WRITE,
      shard: 1,
      msSinceWrite: 17,
    },
  },
  { title: "when the role is decided", input: { ...open, protocol: simple, flags: first | roleDecided, role: constants.POOLER_ROLE_READ } },
  {
    title: "when all shards are decided",
    input: { ...open, protocol: extended, flags: first | shardDecided, shard: constants.POOLER_SHARD_ALL },
  },
  { title: "as one of several", input: { ...open, protocol: simple, flags: first | several, msSinceWrite: 4_000_000_000 } },
  { title: "rewritten", input: { ...open, protocol: extended, flags: first | rewritten } },
  { title: "with flags that nobody knows", input: { ...open, protocol: 7, flags: (first | 0xffff_ff00) >>> 0 } },
];

/** `id`: of the statement's text. */
export function statementOf(
  id: number,
  sql: Buffer | string,
  parser: StatementParser,
  wanted: { facts: boolean; tree: boolean; fingerprint: boolean },
): StatementSpec {
  const bytes = Buffer.from(sql);
  const facts = wanted.facts && typeof sql === "string" ? (parser.parse(sql)?.[0] ?? null) : null;
  const parsed = facts !== null && (facts.facts & constants.POOLER_FACT_PARSED) !== 0;
  return {
    id,
    sql: bytes,
    kind: facts?.kind ?? constants.POOLER_STATEMENT_OTHER,
    facts: facts?.facts ?? 0,
    grammar: facts?.grammar ?? 0,
    fingerprint: parsed && wanted.fingerprint ? facts.fingerprint() : "0",
    tables: facts?.tables ?? [],
    functions: facts?.functions ?? [],
    parseTree: parsed && wanted.tree ? facts.parseTree() : null,
    parseError: facts?.parseError ?? null,
  };
}

export function usualInput(statement: StatementSpec): InputSpec {
  return { ...open, protocol: simple, flags: first, queryId: 1, statement, session: usualSession, cluster: usualCluster, parameters: [] };
}
