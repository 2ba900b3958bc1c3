// The SQL that generated sequences are made of, on the tables of `schema`. What docs/pooling.md says is different is not among it:
// temporary tables that stay, LISTEN, session advisory locks, PREPARE and EXECUTE, cursors WITH HOLD, set_config for the session,
// currval() outside a transaction, now() (a held BEGIN starts late), DEALLOCATE beside other statements.
import type { ParameterValue } from "./client-messages.js";
import type { Random } from "./random.js";

/** In every database that takes part. `noise` is for those who keep servers changing hands. */
export const schema = `
  SET client_min_messages = error;
  DROP SCHEMA public CASCADE; CREATE SCHEMA public;
  CREATE TABLE t (id int PRIMARY KEY, v text, n int CHECK (n < 1000));
  CREATE TABLE u (id int PRIMARY KEY, t_id int REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED, note text UNIQUE);
  CREATE SEQUENCE counter;
  CREATE TABLE noise (id int, w text);
  INSERT INTO t SELECT i, 'row ' || i, i * 10 FROM generate_series(1, 6) i;
  INSERT INTO u SELECT i, i, 'note ' || i FROM generate_series(1, 3) i;
  INSERT INTO noise SELECT i, '' FROM generate_series(1, 3) i`;

/** What the tables hold in the end. */
export const contents = `
  SELECT 't', id, v, n::text FROM t UNION ALL SELECT 'u', id, note, t_id::text FROM u
  UNION ALL SELECT 'counter', 0, last_value::text, is_called::text FROM counter
  UNION ALL SELECT 'table', 0, relname, relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1, 2, 3, 4`;

type Make = (random: Random) => string;

const savepoints = ["a", "a", "b", '"A"'];
const id = (random: Random): number => 1 + random.below(9);

const reads: readonly Make[] = [
  () => "SELECT 1",
  () => "SELECT id, v, n FROM t ORDER BY id",
  () => "TABLE u ORDER BY id",
  (random) => `SELECT v FROM t WHERE id = ${id(random)}`,
  () => "SELECT count(*) FROM t",
  () => "SELECT i, 'x' FROM generate_series(1, 5) i",
  (random) => `SELECT repeat('y', ${random.pick([10, 5_000, 70_000, 300_000])})`,
  (random) => `SELECT i, repeat('z', 900) FROM generate_series(1, ${random.pick([3, 100])}) i`,
  () => "SELECT NULL, '', 1.50, true, '\\x00ff'::bytea, '{1,2}'::int[]",
  () => "VALUES (1, 'one'), (2, 'two')",
  () => "SELECT",
  () => "SELECT 'a;b', $$;$$, $q$ 'BEGIN' $q$, \"id\" FROM t WHERE id = 1 -- ; COMMIT",
  () => "/* BEGIN; */ SELECT E'\\'; ROLLBACK; --'",
  () => "SELECT 'ü' AS \"ÿ\"",
  () => "SELECT nextval('counter')",
  () => "WITH x AS (INSERT INTO t VALUES (50, 'cte', 1) ON CONFLICT DO NOTHING RETURNING id) SELECT * FROM x",
  () => "SELECT txid_current_if_assigned() IS NULL",
  () => "EXPLAIN (COSTS OFF) SELECT * FROM t",
  () => "SELECT '2024-03-01 12:00:00+00'::timestamptz, '1 day 02:00'::interval, 0.1::float8 + 0.2",
  () => "SELECT count(*) FROM pg_stat_activity WHERE false",
  () => "SELECT id FROM t ORDER BY id FOR UPDATE",
];

const writes: readonly Make[] = [
  (random) => `INSERT INTO t VALUES (${id(random) + 3}, 'new', 5)`,
  (random) => `INSERT INTO t VALUES (${id(random) + 5}, 'new', 5) RETURNING id, v`,
  (random) => `INSERT INTO t VALUES (${id(random)}, 'again', 6) ON CONFLICT (id) DO UPDATE SET v = t.v || '!' RETURNING *`,
  (random) => `UPDATE t SET n = n + 1, v = 'changed' WHERE id > ${id(random)}`,
  (random) => `UPDATE u SET note = note || '+' WHERE id = ${id(random)} RETURNING note`,
  (random) => `DELETE FROM u WHERE id = ${id(random)}`,
  (random) => `DELETE FROM t WHERE id = ${id(random)}`,
  (random) => `INSERT INTO u VALUES (${id(random) + 3}, ${id(random)}, 'n${random.below(4)}')`,
  () => "CREATE TABLE IF NOT EXISTS extra (i int)",
  () => "INSERT INTO extra VALUES (1)",
  () => "DROP TABLE IF EXISTS extra",
  () => "TRUNCATE u",
  () => "CREATE TABLE made AS SELECT id FROM t",
  () => "CREATE TEMP TABLE passing ON COMMIT DROP AS SELECT 1 AS one",
  () => "SELECT * FROM passing",
  () => "LOCK TABLE t IN SHARE MODE",
  () => "SELECT pg_advisory_xact_lock(1)",
  () => "NOTIFY somebody, 'x'",
];

const failures: readonly Make[] = [
  () => "SELECT 1/0",
  () => "SELEC 1",
  () => "SELECT * FROM missing",
  () => "SELECT 'not closed",
  () => "INSERT INTO t VALUES (1, 'twice', 1)",
  () => "UPDATE t SET n = 5000 WHERE id = 2",
  () => "INSERT INTO u VALUES (90, 777, 'orphan')", // refused at COMMIT only
  () => "SELECT 'x'::int",
  () => "SELECT i, 10 / (3 - i) FROM generate_series(1, 5) i", // after some rows
  () => "VACUUM t", // not in a transaction, not in a string of several
  () => "DO $$ BEGIN RAISE EXCEPTION 'said no' USING DETAIL = 'why', HINT = 'what', ERRCODE = 'P0042'; END $$",
  () => "PREPARE TRANSACTION 'x'",
  () => "SELECT nosuch()",
];

const transactionControl: readonly Make[] = [
  (random) =>
    random.pick([
      "BEGIN",
      "BEGIN",
      "begin work",
      "BEGIN TRANSACTION",
      "START TRANSACTION",
      "BEGIN READ ONLY",
      "START TRANSACTION ISOLATION LEVEL SERIALIZABLE",
      "BEGIN ISOLATION LEVEL REPEATABLE READ, READ WRITE",
      "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
      "BEGIN NONSENSE",
    ]),
  (random) => random.pick(["COMMIT", "COMMIT", "END", "commit work", "COMMIT AND CHAIN", "COMMIT AND NO CHAIN", "END TRANSACTION"]),
  (random) => random.pick(["ROLLBACK", "ROLLBACK", "ABORT", "ROLLBACK AND CHAIN", "rollback transaction", "ABORT WORK AND NO CHAIN"]),
  (random) => `SAVEPOINT ${random.pick(savepoints)}`,
  (random) => `${random.pick(["ROLLBACK TO", "ROLLBACK TO SAVEPOINT", "ROLLBACK WORK TO"])} ${random.pick(savepoints)}`,
  (random) => `${random.pick(["RELEASE", "RELEASE SAVEPOINT"])} ${random.pick(savepoints)}`,
  () => "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
  () => "SET TRANSACTION READ ONLY",
  () => "SET TRANSACTION READ WRITE",
  (random) => `SET CONSTRAINTS ALL ${random.pick(["IMMEDIATE", "DEFERRED"])}`,
];

const values: readonly (readonly [name: string, ...values: string[]])[] = [
  ["application_name", "'one'", "'two'", "'thr''ee'", "DEFAULT"],
  ["DateStyle", "'ISO, DMY'", "'SQL, MDY'", "German", "'nonsense'"],
  ["TimeZone", "'UTC'", "'Asia/Tokyo'", "'nowhere'", "DEFAULT"],
  ["IntervalStyle", "iso_8601", "'postgres_verbose'", "postgres"],
  ["extra_float_digits", "0", "-3", "1", "99"],
  ["work_mem", "'5MB'", "'7MB'", "DEFAULT"],
  ["search_path", "public", "pg_catalog, public", "'public', \"$user\""],
  ["bytea_output", "escape", "hex"],
  ["standard_conforming_strings", "off", "on"],
  ["client_encoding", "'LATIN1'", "'UTF8'"],
  ["default_transaction_isolation", "'serializable'", "'read committed'", "DEFAULT"],
  ["default_transaction_read_only", "on", "off"],
  ["statement_timeout", "'20s'", "0"],
  ["my.variable", "'mine'", "'yours'"],
  ["nosuch_parameter", "1"],
  ["max_connections", "5"],
];

const settings: readonly Make[] = [
  (random) => {
    const [name, ...possible] = random.pick(values);
    return `SET ${random.pick(["", "", "", "LOCAL ", "LOCAL ", "SESSION "])}${name} ${random.pick(["=", "TO"])} ${random.pick(possible)}`;
  },
  (random) => `RESET ${random.pick(values)[0]}`,
  (random) => random.pick(["RESET ALL", "SET TIME ZONE 'Europe/Paris'", "SET NAMES 'UTF8'", "SET SCHEMA 'public'", "SET TIME ZONE LOCAL"]),
  () => "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
  (random) => `SELECT set_config('work_mem', '${3 + random.below(3)}MB', true)`,
];

const shows: readonly Make[] = [
  (random) => `SHOW ${random.pick(values)[0]}`,
  (random) => `SELECT current_setting('${random.pick(values)[0]}', true)`,
  (random) => `SHOW ${random.pick(["transaction_isolation", "transaction_read_only", "transaction_deferrable"])}`,
];

const cursors: readonly Make[] = [
  () => "DECLARE c CURSOR FOR SELECT id, v FROM t ORDER BY id",
  () => "DECLARE c SCROLL CURSOR FOR VALUES (1), (2), (3)",
  (random) => `FETCH ${random.pick(["", "2 FROM ", "ALL IN ", "PRIOR FROM "])}c`,
  () => "MOVE 1 IN c",
  (random) => `CLOSE ${random.pick(["c", "ALL"])}`,
];

const speakers: readonly Make[] = [
  () => "DO $$ BEGIN RAISE NOTICE 'first'; RAISE WARNING 'second' USING HINT = 'a hint'; END $$",
  () => "DO $$ BEGIN FOR i IN 1..3 LOOP RAISE INFO 'told %', i; END LOOP; END $$",
  () => "DROP TABLE IF EXISTS nowhere",
  () => "DO $$ BEGIN SET LOCAL work_mem = '6MB'; RAISE NOTICE '%', repeat('n', 9000); END $$",
];

export function statement(random: Random): string {
  return random.pick(
    random.weighted([
      [26, reads],
      [18, writes],
      [10, failures],
      [24, transactionControl],
      [16, settings],
      [8, shows],
      [4, cursors],
      [3, speakers],
    ]),
  )(random);
}

/** What is to be sent by itself. */
export function statementAlone(random: Random): string {
  return random.pick([
    "DISCARD ALL",
    "DEALLOCATE ALL",
    "DEALLOCATE s1",
    'DEALLOCATE PREPARE "S1"',
    "DEALLOCATE nosuch",
    "DISCARD PLANS",
    "VACUUM noise",
    "ANALYZE t",
  ]);
}

const large = 400_000;

const withParameters: readonly (readonly [sql: string, ...values: (readonly ParameterValue[])[]])[] = [
  ["SELECT $1::int + $2::int AS sum", ["1", "2"], ["40", "2"], ["x", "1"]],
  ["SELECT $1::text, length($1)", ["a value"], [large], [5_000], [""]],
  ["SELECT id, v FROM t WHERE id > $1 ORDER BY id", ["0"], ["3"], ["100"]],
  ["INSERT INTO t VALUES ($1, $2, 3)", ["20", "bound"], ["1", "twice"], ["21", 5_000]],
  ["INSERT INTO t VALUES ($1, $2, $3) RETURNING id, v", ["22", "b", "1"], ["23", "c", "9999"]],
  ["UPDATE t SET v = $2 WHERE id = $1", ["1", "updated"], ["99", "none"]],
  ["DELETE FROM t WHERE id = $1", ["2"], ["4"]],
  ["SELECT 10 / $1::int", ["5"], ["0"]],
  ["SELECT i, 10 / ($1::int - i) FROM generate_series(1, 6) i", ["3"], ["100"]],
  ["SELECT * FROM generate_series(1, $1::int) i", ["3"], ["7"]],
  ["SELECT set_config('application_name', $1, true)", ["local"], ["name"]],
  ["SELECT $1::timestamptz, $2::bytea", ["2024-05-06 07:08:09+00", "\\x01ff"]],
  ["INSERT INTO u VALUES ($1, $2, 'by value')", ["50", "1"], ["51", "555"]],
];

export interface Parameterized {
  readonly sql: string;
  readonly values: readonly ParameterValue[];
}

export function parameterized(random: Random): Parameterized {
  const [sql, ...possible] = random.pick(withParameters);
  return { sql, values: random.pick(possible) };
}

export interface CopyStatement {
  readonly sql: string;
  readonly lines: readonly string[];
}

export function copyStatement(random: Random): CopyStatement {
  const sql = random.pick([
    "COPY t FROM STDIN",
    "COPY t FROM STDIN",
    "COPY t (id, v) FROM STDIN WITH (FORMAT csv)",
    "COPY missing FROM STDIN",
    "COPY t TO STDOUT",
    "COPY (SELECT i, repeat('c', 300) FROM generate_series(1, 200) i) TO STDOUT",
    "COPY (SELECT 1 / (3 - i) FROM generate_series(1, 5) i) TO STDOUT",
    "BEGIN; COPY t FROM STDIN; COMMIT",
    "SELECT 1; COPY t FROM STDIN; SELECT 2",
    "COPY t FROM STDIN; COPY u FROM STDIN",
  ]);
  const separator = sql.includes("csv") ? "," : "\t";
  const line = (): string => {
    const fields = [String(30 + random.below(20)), random.pick(["copied", "ü", "x".repeat(3_000)])];
    if (separator === "\t") fields.push("7");
    return `${fields.join(separator)}\n`;
  };
  const lines = Array.from({ length: random.below(4) }, line);
  if (random.percent(20)) lines.push(random.pick(["not a row\n", `1${separator}twice${separator}1\n`, "half"]));
  return { sql, lines };
}
