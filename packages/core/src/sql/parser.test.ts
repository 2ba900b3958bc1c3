import { constants } from "@pooler/plugin-abi";
import { beforeAll, describe, expect, it } from "vitest";
import { createStatementParser, grammarMajor } from "./parser.js";
import type { StatementFacts, StatementParser } from "./types.js";

let parser: StatementParser;

beforeAll(async () => {
  parser = await createStatementParser();
});

function only(sql: string): StatementFacts {
  const facts = parser.parse(sql);
  if (facts?.length !== 1 || facts[0] === undefined) throw new TypeError(`${sql}: ${facts?.length} statements`);
  return facts[0];
}

const LETTERS: readonly (readonly [string, number])[] = [
  ["w", constants.POOLER_FACT_WRITES],
  ["l", constants.POOLER_FACT_LOCKS_ROWS],
  ["m", constants.POOLER_FACT_MODIFYING_CTE],
  ["f", constants.POOLER_FACT_UNKNOWN_FUNCTION],
];

/** "w" writes, "l" locks rows, "m" modifying CTE, "f" unknown function. */
function facts(statement: StatementFacts): string {
  expect(statement.facts & constants.POOLER_FACT_PARSED).toBe(constants.POOLER_FACT_PARSED);
  return LETTERS.filter(([, bit]) => (statement.facts & bit) !== 0)
    .map(([letter]) => letter)
    .join("");
}

/** "a.b:rwl" for each table. */
function tables(statement: StatementFacts): string {
  return statement.tables
    .map(({ catalog, schema, name, use }) => {
      const uses = `${use & constants.POOLER_TABLE_READ ? "r" : ""}${use & constants.POOLER_TABLE_WRITE ? "w" : ""}${use & constants.POOLER_TABLE_LOCK ? "l" : ""}`;
      return `${[catalog, schema, name].filter((part) => part !== null).join(".")}:${uses}`;
    })
    .sort()
    .join(" ");
}

const functions = (statement: StatementFacts): string =>
  statement.functions.map(({ schema, name }) => (schema === null ? name : `${schema}.${name}`)).join(" ");

const kinds = Object.entries(constants)
  .filter(([name]) => name.startsWith("POOLER_STATEMENT_"))
  .map(([name, value]) => [value, name.slice("POOLER_STATEMENT_".length)] as const);
const kind = (statement: StatementFacts): string => kinds.find(([value]) => value === statement.kind)?.[1] ?? "?";

describe("kind, facts and tables", () => {
  it.each([
    // Queries.
    ["SELECT 1", "SELECT", "", ""],
    ["VALUES (1)", "SELECT", "", ""],
    ["TABLE a", "SELECT", "", "a:r"],
    ["(SELECT * FROM a)", "SELECT", "", "a:r"],
    ['SELECT * FROM a x, s.b AS "y", c.s.t JOIN LATERAL (SELECT * FROM d) z ON true', "SELECT", "", "a:r c.s.t:r d:r s.b:r"],
    [
      "SELECT (SELECT 1 FROM b), EXISTS (SELECT 1 FROM c) FROM a WHERE x IN (SELECT y FROM d) ORDER BY (SELECT 1 FROM e)",
      "SELECT",
      "",
      "a:r b:r c:r d:r e:r",
    ],
    ["SELECT 1 FROM a UNION SELECT 1 FROM b EXCEPT (SELECT 1 FROM c INTERSECT SELECT 1 FROM d)", "SELECT", "", "a:r b:r c:r d:r"],
    ["SELECT * FROM ONLY a TABLESAMPLE system (1)", "SELECT", "", "a:r"],
    ["SELECT * INTO b FROM a", "SELECT", "w", "a:r b:w"],
    ['SELECT * FROM "A"', "SELECT", "", "A:r"],
    // Row locks.
    ["SELECT * FROM a FOR UPDATE", "SELECT", "l", "a:rl"],
    ["SELECT * FROM a x JOIN b ON true FOR SHARE OF x", "SELECT", "l", "a:rl b:r"],
    ["SELECT * FROM a, (SELECT * FROM b, c) s FOR NO KEY UPDATE", "SELECT", "l", "a:rl b:rl c:rl"],
    ["SELECT * FROM a, (SELECT * FROM b) s FOR UPDATE OF a", "SELECT", "l", "a:rl b:r"],
    ["SELECT * FROM a WHERE x = (SELECT 1 FROM b FOR KEY SHARE)", "SELECT", "l", "a:r b:rl"],
    ["LOCK TABLE a, s.b IN SHARE MODE", "OTHER", "l", "a:l s.b:l"],
    // CTEs.
    ["WITH x AS (SELECT * FROM a) SELECT * FROM x", "SELECT", "", "a:r"],
    ["WITH a AS (SELECT * FROM a) SELECT * FROM a", "SELECT", "", "a:r"],
    ["WITH x AS (SELECT * FROM y), y AS (SELECT 1) SELECT * FROM x, y", "SELECT", "", "y:r"],
    ["WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT * FROM x, y), y AS (SELECT 1) SELECT * FROM x", "SELECT", "", ""],
    ["WITH x AS (SELECT 1) SELECT * FROM s.x, (SELECT * FROM x) y", "SELECT", "", "s.x:r"],
    ["SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) y, x", "SELECT", "", "x:r"],
    ["WITH x AS (WITH y AS (SELECT * FROM a) SELECT * FROM y) SELECT * FROM x, y", "SELECT", "", "a:r y:r"],
    ["WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", "SELECT", "wm", "a:w"],
    ["WITH x AS (SELECT 1) SELECT 1 FROM a WHERE y IN (SELECT * FROM x) UNION SELECT * FROM x", "SELECT", "", "a:r"],
    ["WITH a AS (SELECT 1) INSERT INTO a SELECT * FROM a", "INSERT", "w", "a:w"],
    ["WITH x AS (SELECT 1) SELECT * FROM x, a FOR UPDATE", "SELECT", "l", "a:rl"],
    // Changes.
    ["INSERT INTO a VALUES (1)", "INSERT", "w", "a:w"],
    [
      "INSERT INTO s.a SELECT * FROM b ON CONFLICT (x) DO UPDATE SET y = (SELECT 1 FROM c) RETURNING (SELECT 1 FROM d)",
      "INSERT",
      "w",
      "b:r c:r d:r s.a:w",
    ],
    ["INSERT INTO a SELECT * FROM a", "INSERT", "w", "a:rw"],
    ["UPDATE a SET x = 1 FROM b WHERE a.y IN (SELECT y FROM c)", "UPDATE", "w", "a:w b:r c:r"],
    ["DELETE FROM a USING b WHERE x = 1", "DELETE", "w", "a:w b:r"],
    ["MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)", "MERGE", "w", "a:w b:r"],
    ["WITH x AS (INSERT INTO a VALUES (1) RETURNING *) UPDATE b SET y = 1 FROM x", "UPDATE", "wm", "a:w b:w"],
    ["TRUNCATE a, b", "DDL", "w", "a:w b:w"],
    // COPY.
    ["COPY a FROM STDIN", "COPY", "w", "a:w"],
    ["COPY a (x, y) TO STDOUT", "COPY", "", "a:r"],
    ["COPY (SELECT * FROM a) TO STDOUT", "COPY", "", "a:r"],
    ["COPY (DELETE FROM a RETURNING *) TO STDOUT", "COPY", "w", "a:w"],
    ["COPY a TO '/tmp/a'", "COPY", "w", "a:r"],
    ["COPY a TO PROGRAM 'x'", "COPY", "w", "a:r"],
    // EXPLAIN.
    ["EXPLAIN SELECT * FROM a", "EXPLAIN", "", "a:r"],
    ["EXPLAIN INSERT INTO a VALUES (1)", "EXPLAIN", "", "a:w"],
    ["EXPLAIN ANALYZE INSERT INTO a VALUES (1)", "EXPLAIN", "w", "a:w"],
    ["EXPLAIN (COSTS off, ANALYZE) DELETE FROM a", "EXPLAIN", "w", "a:w"],
    ["EXPLAIN (ANALYZE false) DELETE FROM a", "EXPLAIN", "", "a:w"],
    ["EXPLAIN (ANALYZE 0) DELETE FROM a", "EXPLAIN", "", "a:w"],
    ["EXPLAIN (ANALYZE 1) DELETE FROM a", "EXPLAIN", "w", "a:w"],
    ["EXPLAIN (ANALYZE, ANALYZE off) DELETE FROM a", "EXPLAIN", "", "a:w"],
    ["EXPLAIN ANALYZE SELECT * FROM a FOR UPDATE", "EXPLAIN", "l", "a:rl"],
    ["EXPLAIN SELECT f() FROM a FOR UPDATE", "EXPLAIN", "f", "a:rl"],
    ["EXPLAIN ANALYZE CREATE TABLE b AS SELECT * FROM a", "EXPLAIN", "w", "a:r b:w"],
    ["EXPLAIN ANALYZE EXECUTE x", "EXPLAIN", "w", ""],
    ["EXPLAIN ANALYZE WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", "EXPLAIN", "wm", "a:w"],
    // Definitions.
    ["CREATE TABLE a (x int REFERENCES b, LIKE c, y int DEFAULT f()) INHERITS (d)", "DDL", "wf", "a:w b:r c:r d:r"],
    ["CREATE TABLE a AS SELECT * FROM b", "DDL", "w", "a:w b:r"],
    ["CREATE VIEW s.v AS SELECT * FROM b", "DDL", "w", "b:r s.v:w"],
    ["CREATE MATERIALIZED VIEW v AS SELECT * FROM b", "DDL", "w", "b:r v:w"],
    ["REFRESH MATERIALIZED VIEW v", "DDL", "w", "v:w"],
    ["CREATE INDEX ON a (lower(x))", "DDL", "w", "a:w"],
    ["ALTER TABLE a ADD FOREIGN KEY (x) REFERENCES b", "DDL", "w", "a:w b:r"],
    ["ALTER TABLE a RENAME TO b", "DDL", "w", "a:w"],
    ["DROP TABLE a, s.b, c.s.t", "DDL", "w", "a:w c.s.t:w s.b:w"],
    ["DROP VIEW v", "DDL", "w", "v:w"],
    ["DROP TRIGGER t ON s.a", "DDL", "w", "s.a:w"],
    ["DROP FUNCTION f(int)", "DDL", "w", ""],
    ["COMMENT ON TABLE s.a IS 'x'", "DDL", "w", "s.a:w"],
    ["COMMENT ON COLUMN s.a.x IS 'x'", "DDL", "w", "s.a:w"],
    ["GRANT SELECT ON a TO x", "DDL", "w", "a:w"],
    ["CREATE SEQUENCE q", "DDL", "w", "q:w"],
    ["CREATE TRIGGER t AFTER INSERT ON a EXECUTE FUNCTION f()", "DDL", "w", "a:w"],
    ["CREATE POLICY p ON a USING (x IN (SELECT y FROM b))", "DDL", "w", "a:w b:r"],
    ["CREATE RULE r AS ON INSERT TO a DO ALSO INSERT INTO b VALUES (1)", "DDL", "w", "a:w b:w"],
    ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC INSERT INTO a VALUES (1); SELECT 1 FROM b; END", "DDL", "w", "a:w b:r"],
    ["CREATE ROLE x", "DDL", "w", ""],
    ["ALTER SYSTEM SET a = 1", "DDL", "w", ""],
    ["CLUSTER a", "DDL", "w", "a:w"],
    ["REINDEX TABLE a", "DDL", "w", "a:w"],
    ["VACUUM a", "OTHER", "w", "a:w"],
    ["ANALYZE a", "OTHER", "w", "a:w"],
    ["CHECKPOINT", "OTHER", "w", ""],
    // The rest.
    ["SET a = 1", "SET", "", ""],
    ["RESET ALL", "SET", "", ""],
    ["SET TRANSACTION READ ONLY", "SET", "", ""],
    ["SHOW a", "SHOW", "", ""],
    ["BEGIN", "TRANSACTION", "", ""],
    ["START TRANSACTION READ ONLY", "TRANSACTION", "", ""],
    ["ROLLBACK TO x", "TRANSACTION", "", ""],
    ["PREPARE TRANSACTION 'x'", "TRANSACTION", "w", ""],
    ["COMMIT PREPARED 'x'", "TRANSACTION", "w", ""],
    ["PREPARE p AS SELECT * FROM a", "PREPARE", "", "a:r"],
    ["PREPARE p AS DELETE FROM a", "PREPARE", "w", "a:w"],
    ["EXECUTE p(f())", "EXECUTE", "wf", ""],
    ["DEALLOCATE p", "OTHER", "", ""],
    ["DISCARD ALL", "OTHER", "", ""],
    ["CALL p(1)", "CALL", "wf", ""],
    ["DO 'x'", "CALL", "w", ""],
    ["DECLARE c CURSOR FOR SELECT * FROM a FOR UPDATE", "CURSOR", "l", "a:rl"],
    ["FETCH c", "CURSOR", "", ""],
    ["CLOSE c", "CURSOR", "", ""],
    ["LISTEN a", "LISTEN", "", ""],
    ["UNLISTEN *", "LISTEN", "", ""],
    ["NOTIFY a", "LISTEN", "", ""],
    ["LOAD 'x'", "OTHER", "", ""],
  ])("%s", (sql, expectedKind, expectedFacts, expectedTables) => {
    const statement = only(sql);
    expect([kind(statement), facts(statement), tables(statement)]).toEqual([expectedKind, expectedFacts, expectedTables]);
  });
});

describe("functions", () => {
  it.each([
    [
      "SELECT lower(x), count(*), now(), pg_catalog.upper(y), row_number() OVER (ORDER BY abs(x)) FROM a",
      "lower count now pg_catalog.upper row_number abs",
      "",
    ],
    [
      "SELECT random(), gen_random_uuid(), pg_is_in_recovery(), pg_relation_size('a')",
      "random gen_random_uuid pg_is_in_recovery pg_relation_size",
      "",
    ],
    [
      "SELECT EXTRACT(year FROM x), x AT TIME ZONE 'UTC', TRIM(x), SUBSTRING(x FROM 1), CURRENT_TIMESTAMP, COALESCE(x, 1)",
      "pg_catalog.extract pg_catalog.timezone pg_catalog.btrim pg_catalog.substring",
      "",
    ],
    ["SELECT * FROM generate_series(1, 2), unnest('{1}'::int[])", "generate_series unnest", ""],
    ["SELECT nextval('s')", "nextval", "wf"],
    ["SELECT setval('s', 1)", "setval", "wf"],
    ["SELECT lo_create(0)", "lo_create", "wf"],
    ["SELECT currval('s')", "currval", "f"],
    ["SELECT set_config('a', 'b', true)", "set_config", "f"],
    ["SELECT pg_advisory_lock(1)", "pg_advisory_lock", "f"],
    ["SELECT pg_advisory_xact_lock(1)", "pg_advisory_xact_lock", "f"],
    ["SELECT txid_current()", "txid_current", "f"],
    ["SELECT pg_notify('a', 'b')", "pg_notify", "f"],
    ["SELECT table_to_xml('a', true, true, '')", "table_to_xml", "f"],
    ["SELECT query_to_xml('DELETE FROM a', true, true, '')", "query_to_xml", "f"],
    ["SELECT ts_stat('SELECT 1')", "ts_stat", "f"],
    ["SELECT pg_terminate_backend(1)", "pg_terminate_backend", "f"],
    ["SELECT my_function(1)", "my_function", "f"],
    ["SELECT s.lower(1)", "s.lower", "f"],
    ['SELECT "LOWER"(1)', "LOWER", "f"],
    ["SELECT 1 FROM a WHERE x = ANY (SELECT f(y) FROM b)", "f", "f"],
    ["SELECT * FROM ROWS FROM (f(1), g(2))", "f g", "f"],
    ["CALL s.p(g(1))", "s.p g", "wf"],
    ["INSERT INTO a VALUES (f(1))", "f", "wf"],
    ["SELECT f(1), f(2)", "f", "f"],
  ])("%s", (sql, expectedFunctions, expectedFacts) => {
    const statement = only(sql);
    expect([functions(statement), facts(statement)]).toEqual([expectedFunctions, expectedFacts]);
  });
});

describe("texts", () => {
  it("give each statement its place in UTF-8 bytes", () => {
    const sql = "SELECT 'é' ; /* ü */ DELETE FROM a;; ";
    const found = parser.parse(sql) ?? [];
    const bytes = Buffer.from(sql);
    expect(found.map(({ start, length }) => bytes.toString("utf8", start, start + length).trim())).toEqual(["SELECT 'é'", "DELETE FROM a"]);
    expect(found.map((statement) => kind(statement))).toEqual(["SELECT", "DELETE"]);
    expect(JSON.parse(found[1]?.parseTree() ?? "").stmts).toHaveLength(1);
    expect(found[1]?.parseTree()).toContain("DeleteStmt");
  });

  it("without a statement give none", () => {
    for (const sql of ["", " ", ";;", "-- x", "/* x */"]) expect(parser.parse(sql), sql).toEqual([]);
  });

  it.each([
    ["SELEC 1", 'syntax error at or near "SELEC"'],
    ["SELECT 1; SELECT (", "syntax error at end of input"],
    ["SELECT 'x", 'unterminated quoted string at or near "\'x"'],
  ])("that the grammar refuses are one statement with the error: %s", (sql, error) => {
    const [refused, ...others] = parser.parse(sql) ?? [];
    expect(others).toEqual([]);
    expect(refused?.parseError).toBe(error);
    expect(refused?.facts).toBe(constants.POOLER_FACT_SYNTAX_ERROR);
    expect(refused?.grammar).toBe(0);
    expect(refused?.length).toBe(sql.length);
    expect(refused?.parseTree()).toBe("");
  });

  it("have a tree with its version, and a fingerprint that ignores literals", () => {
    const statement = only("SELECT * FROM a WHERE x = 1");
    const tree = JSON.parse(statement.parseTree()) as { version: number; stmts: unknown[] };
    expect(Math.floor(tree.version / 10_000)).toBe(grammarMajor);
    expect(statement.grammar).toBe(grammarMajor);
    expect(tree.stmts).toHaveLength(1);
    expect(statement.fingerprint()).toMatch(/^[0-9a-f]{16}$/);
    expect(only("SELECT * FROM a WHERE x = 2").fingerprint()).toBe(statement.fingerprint());
    expect(only("SELECT * FROM b WHERE x = 1").fingerprint()).not.toBe(statement.fingerprint());
  });

  it("that are too long are not parsed", async () => {
    const small = await createStatementParser({ maxTextBytes: 20 });
    expect(small.parse("SELECT 1 FROM abcdef")).toHaveLength(1);
    expect(small.parse("SELECT 1 FROM abcdefg")).toBeNull();
    expect(parser.parse(`SELECT '${"x".repeat(1 << 20)}'`)).toBeNull();
  });
});
