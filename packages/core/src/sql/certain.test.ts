// Which statements are certain to begin and end in themselves, and which only look so.
import { describe, expect, test } from "vitest";
import { certaintyOf, Doubt } from "./certain.js";
import { createNormalized, normalize } from "./normalize.js";

const normalized = (sql: string): string | null => {
  const out = createNormalized();
  const bytes = Buffer.from(sql);
  return normalize(bytes, 0, bytes.length, out) ? Buffer.from(out.bytes.subarray(0, out.length)).latin1Slice() : null;
};

const rules = { functions: new Set(["distance", "geo.area", "mytype", "<#>"]), never: new Set(["jobs", "app.secret", "nap"]) };

const certain = (sql: string): ReturnType<typeof certaintyOf> => {
  const text = normalized(sql);
  return text === null ? { doubt: Doubt.KIND, writes: true, relations: null } : certaintyOf(text, rules);
};

const names = new Map<number, string>(Object.entries(Doubt).map(([name, value]) => [value, name] as const));
const doubt = (sql: string): string | undefined => names.get(certain(sql).doubt);

describe("texts that differ in nothing but values are one", () => {
  test.each([
    ["SELECT * FROM t WHERE id = 42", "select * from T where ID=7;"],
    ["SELECT 'a'", "SELECT 'it''s'"],
    ["SELECT 'a'", "SELECT E'\\'; drop'"],
    ["SELECT 'a'", "SELECT $$it's$$"],
    ["SELECT 'a'", "SELECT $x$ $$ $y$ $x$"],
    ["SELECT 1", "SELECT 1.5e-10"],
    ["SELECT 1", "SELECT .5"],
    ["SELECT x FROM t WHERE id IN (1, 2, 3)", "SELECT x FROM t WHERE id IN (4)"],
    ["SELECT x FROM t WHERE id IN ('a','b')", "SELECT x FROM t WHERE id IN ('c')"],
    ["SELECT $1, a", "SELECT $17, a"],
    ["SELECT a -- one\n, b", "/* two /* nested */ */ SELECT a, b ; ; -- three"],
    ["SELECT a+b", "SELECT a + b"],
    ['SELECT a"b"', 'SELECT a "b"'],
  ])("%s = %s", (one, other) => {
    expect(normalized(one)).not.toBeNull();
    expect(normalized(one)).toBe(normalized(other));
  });

  test.each([
    ["SELECT a FROM t", "SELECT b FROM t"],
    ["SELECT ab", "SELECT a b"],
    ['SELECT "a"', "SELECT a"],
    ['SELECT "A"', 'SELECT "a"'],
    ['SELECT "a""b"', 'SELECT "a" "b"'],
    ["SELECT a - - b", "SELECT a + b"],
    ["SELECT a @ -b", "SELECT a @-b"],
    ["SELECT $1", "SELECT 1"],
    ["SELECT $1, 'a'", "SELECT $1"],
    ["SELECT 1 x", "SELECT 1"],
  ])("%s ≠ %s", (one, other) => {
    expect(normalized(one)).not.toBe(normalized(other));
  });

  test.each([
    "SELECT 1; SELECT 2",
    "SELECT 'a",
    'SELECT "a',
    "SELECT $$a",
    "SELECT 1 /* a",
    "SELECT E'\\'",
    "",
    " ; ",
    "-- nothing",
    // Releases of PostgreSQL see different tokens here.
    "SELECT 1into t",
    "SELECT 0x1f",
    "SELECT 1_000",
    "SELECT 1e",
    "SELECT $1a",
    "SELECT $ 1",
    "SELECT 1..2",
    'SELECT U&"\\0061"',
    "SELECT \x01",
    "SELECT a\\b",
    "SELECT {a}",
    `SELECT ${"'x', ".repeat(10_000)}1`,
    `SELECT ${"a, ".repeat(3_000)}1`,
    `a${"+a".repeat(2_047)}+1`,
  ])("what is not one statement, or not certain in its tokens, is none: %j", (sql) => {
    expect(normalized(sql)).toBeNull();
  });

  test("texts of different kinds have different hashes", () => {
    const hashes = Array.from({ length: 100 }, (_, i) => {
      const out = createNormalized();
      const text = Buffer.from(`SELECT column_${i} FROM t`);
      normalize(text, 0, text.length, out);
      return out.hash;
    });
    expect(new Set(hashes).size).toBeGreaterThan(95);
  });
});

describe("certain", () => {
  test.each([
    "SELECT 1",
    "SELECT abalance FROM pgbench_accounts WHERE aid = 5",
    "select a, count(*) from t where b = any($1) group by a having count(*) > 2 order by 1 desc limit 5 offset 3",
    "SELECT * FROM a JOIN b USING (id) LEFT JOIN (SELECT 1 AS x) c ON (a.x = c.x) WHERE NOT (a.y IN (1, 2) OR EXISTS (SELECT 1))",
    'SELECT coalesce(a, 1), greatest(a, b), lower(c), "lower"(c), pg_catalog.upper(d), extract(year from e), substring(f from 1 for 2)',
    "SELECT a::int, b::numeric(10,2), c::timestamp with time zone, d::pg_catalog.text, e::int[], CAST(f AS varchar(5)), g[1:2]",
    "SELECT date '2001-01-01', interval '1 day', timestamp '2001-01-01', double precision '1.5'",
    "SELECT row_number() OVER (PARTITION BY a ORDER BY b ROWS 5 PRECEDING), sum(x) FILTER (WHERE y) OVER w FROM t WINDOW w AS (ORDER BY z)",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM t",
    "SELECT a FROM t WHERE b = -5 AND c <> -1 AND d LIKE ('a' || $1) AND e ->> 'x' = 'y' AND f @> '{}'",
    "SELECT a IS DISTINCT FROM b, a BETWEEN 1 AND 2, CASE WHEN a THEN 1 ELSE 2 END, a IN (SELECT 1), (1, 2) = ROW(1, 2)",
    "SELECT * FROM generate_series(1, 10) AS g(n)",
    "SELECT * FROM t AS x(a, b) FETCH FIRST 5 ROWS ONLY",
    "SELECT DISTINCT ON (a) a FROM t UNION ALL (SELECT 2) ORDER BY 1 NULLS LAST",
    "SELECT 1 FROM t GROUP BY GROUPING SETS ((a), (b)), ROLLUP (c)".replace(", ROLLUP (c)", ""),
    "WITH x AS (SELECT 1), y (a, b) AS MATERIALIZED (SELECT 1, 2) SELECT * FROM x, y",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r",
    "VALUES (1, 'a'), (2, 'b')",
    "TABLE t",
    "(SELECT 1) UNION (SELECT 2)",
    "INSERT INTO t (a, b) VALUES (1, DEFAULT) ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING a",
    "INSERT INTO app.t(a) SELECT 1",
    "UPDATE t SET a = a + 1 WHERE id = 5 RETURNING *",
    "DELETE FROM t USING u WHERE t.id = u.id",
    "SELECT distance(a, b), geo.area(c), d <#> e, f::mytype, mytype 'x'",
    "SELECT current_user, current_timestamp, current_setting('x')",
    "SELECT a FROM t TABLESAMPLE bernoulli (5)",
    "SELECT x.* FROM t x WHERE (x).* IS NOT NULL",
    "SELECT a FROM t WHERE b=-5",
    "SELECT a LIKE ('b'), like('a', 'b')",
    "SELECT * FROM json_to_record($1) AS x (a int, b numeric(10, 2), c timestamp with time zone)",
    "INSERT INTO t SELECT * FROM jsonb_to_recordset($1) AS (a text, b int[])",
  ])("%s", (sql) => {
    expect(doubt(sql)).toBe("NONE");
  });

  test.each([
    ["SELECT 1", false],
    ["SELECT deleted FROM t", false],
    ["INSERT INTO t VALUES (1)", true],
    ["WITH d AS (DELETE FROM t RETURNING 1) SELECT * FROM d", true],
    ["UPDATE t SET a = 1", true],
    ["MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", true],
  ])("%s writes: %s", (sql, writes) => {
    expect(certain(sql)).toMatchObject({ doubt: Doubt.NONE, writes });
  });
});

describe("not certain", () => {
  test.each([
    "BEGIN",
    "COMMIT",
    "SET x = 1",
    "RESET ALL",
    "COPY t TO STDOUT",
    "CALL p()",
    "DO $$ $$",
    "LISTEN x",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DECLARE c CURSOR FOR SELECT 1",
    "FETCH c",
    "EXPLAIN SELECT 1",
    "CREATE TEMP TABLE t ()",
    "LOCK t",
    "TRUNCATE t",
    "SHOW all",
    "VACUUM",
    '"select" 1',
    "SELECT :a",
  ])("%s", (sql) => {
    expect(doubt(sql)).toBe("KIND");
  });

  test.each([
    "SELECT * INTO t FROM u",
    "SELECT * INTO TEMP t FROM u",
    "WITH x AS (SELECT 1) SELECT * INTO t FROM x",
    "SELECT 1 /* */ INTO /* */ t",
  ])("%s", (sql) => {
    expect(doubt(sql)).toBe("INTO");
  });

  test.each([
    "SELECT 1 FROM t FOR UPDATE",
    "SELECT 1 FROM t FOR NO KEY UPDATE SKIP LOCKED",
    "SELECT 1 FROM t FOR SHARE",
    "SELECT 1 FROM t for\nkey share",
    "SELECT * FROM (SELECT 1 FROM t FOR UPDATE) x",
    "DELETE FROM t WHERE CURRENT OF c",
  ])("%s", (sql) => {
    expect(doubt(sql)).toBe("LOCKS");
  });

  test.each([
    "SELECT set_config('a', 'b', false)",
    "SELECT set_config('a', 'b', true)",
    "SELECT pg_catalog.set_config('a', 'b', false)",
    "SELECT \"set_config\"('a', 'b', false)",
    'SELECT pg_catalog . "set_config" (1)',
    "SELECT set_config/* */\n('a', 'b', false)",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_xact_lock(1)",
    "SELECT nextval('s')",
    "SELECT currval('s'), lastval()",
    "SELECT setseed(0.5)",
    "SELECT lo_creat(1)",
    "SELECT pg_notify('a', 'b')",
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_sleep(1)",
    "SELECT dblink('a', 'b')",
    "SELECT * FROM my_function(1)",
    "SELECT * FROM my_function(1) AS (a int, b text)",
    "SELECT * FROM my_function(1) AS (values int)",
    "SELECT my_function (1)",
    'SELECT "My Function"(1)',
    "SELECT app.lower('x')",
    "SELECT a.b.lower('x')",
    "SELECT app.pg_catalog.lower('x')",
    'SELECT "coalesce"(1)',
    'SELECT "int"(1)',
    "SELECT my_function(1) IN (SELECT 1)",
    "SELECT * FROM json_to_record($1) AS x (a int, b yourtype)",
    "SELECT * FROM pg_catalog.json_to_recordset($1) AS (a yourtype, b int)",
    "SELECT json_to_record($1)",
    "SELECT filter(1)",
    "SELECT over(2)",
    "SELECT by(3)",
    "SELECT set(4)",
    "SELECT rollup(1)",
    "SELECT sets(1)",
    "SELECT materialized(1)",
    "SELECT ilike(1, 2)",
    "SELECT 1 + ilike(1, 2)",
    "SELECT join(1)",
    "SELECT conflict(1)",
    "SELECT cube(1)",
    "SELECT 1 OPERATOR(app.+) 2",
    "SELECT a <#>+ b",
    "SELECT a %% b",
    "SELECT a::yourtype",
    "SELECT CAST(a AS yourtype)",
    "SELECT CAST(a AS app.int)",
    "SELECT CAST(a AS yourtype(3))",
    'SELECT a::"int"',
    "SELECT a::pg_catalog.text.x",
    "SELECT yourtype 'x'",
    "SELECT yourtype 'x', 1",
    "SELECT yourtype 'x' preceding",
    "SELECT app.int '5'",
    "SELECT a.5",
    "SELECT app.yourtype 'x'",
    "SELECT json_value(a, '$' RETURNING yourtype)",
    "SELECT (row).name FROM t",
    "SELECT XMLSERIALIZE(CONTENT a AS yourtype)",
    "SELECT treat(a AS yourtype)",
    "SELECT * FROM json_table('[]', '$[*]' COLUMNS (a yourtype PATH '$'))",
    "SELECT * FROM xmltable('/a' PASSING x COLUMNS b yourtype)",
    "SELECT 'a' UESCAPE '!'",
    "INSERT INTO t VALUES (nextval('s'))",
    "INSERT INTO t (a) VALUES (f(1))",
    "UPDATE t SET (a, b) = f(1)",
    "WITH x AS (SELECT pg_advisory_lock(1)) SELECT 1",
  ])("%s", (sql) => {
    expect(doubt(sql)).toBe("FUNCTION");
  });

  test.each(["SELECT * FROM jobs", 'SELECT * FROM app."jobs"', "SELECT * FROM app.secret", "SELECT nap(1)", "SELECT * FROM pg_temp.t"])(
    "%s",
    (sql) => {
      expect(doubt(sql)).toBe("EXCLUDED");
    },
  );

  test("what the configuration excludes by schema and name stays allowed elsewhere", () => {
    expect(doubt("SELECT * FROM secret")).toBe("NONE");
  });
});

test("what is no text of normalize() is not certain", () => {
  expect(certaintyOf("select {", rules).doubt).toBe(Doubt.KIND);
});

describe("relations", () => {
  test.each([
    ["SELECT 1", []],
    ["SELECT * FROM t", ["t"]],
    ["SELECT * FROM app.t AS x, ONLY u y, (SELECT * FROM v) z", ["app.t", "u", "v"]],
    ["SELECT * FROM a JOIN b ON a.x = b.x, c LEFT JOIN (d CROSS JOIN e) ON true", ["a", "b", "c", "d", "e"]],
    ["SELECT extract(year from x), substring(y from 2), trim(both from z) FROM t", ["t"]],
    ["SELECT a IS DISTINCT FROM b FROM t", ["t"]],
    ["SELECT a FROM t WHERE x IN (SELECT y FROM u) ORDER BY a, b", ["t", "u"]],
    ["SELECT * FROM generate_series(1, 2) g, t", ["t"]],
    ["SELECT (SELECT max(x) FROM u), y FROM t", ["u", "t"]],
    ["WITH q AS (SELECT * FROM t) SELECT * FROM q, u", ["t", "u"]],
    ['SELECT * FROM "T"', ["T"]],
    ["TABLE t", ["t"]],
    ["INSERT INTO t (a) SELECT b FROM u", ["t", "u"]],
    ["INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 1", ["t"]],
    ["UPDATE t SET a = 1 FROM u, v WHERE true", ["t", "u", "v"]],
    ["DELETE FROM ONLY t USING u, v", ["t", "u", "v"]],
    ["MERGE INTO t USING s ON true WHEN MATCHED THEN UPDATE SET a = 1", ["t", "s"]],
    ["SELECT * FROM t WHERE a = 1 UNION SELECT * FROM u", ["t", "u"]],
    ["SELECT * FROM ((a CROSS JOIN b) CROSS JOIN c)", ["a", "b", "c"]],
    ["SELECT * FROM t, (a CROSS JOIN b), c", ["t", "a", "b", "c"]],
    ["SELECT * FROM a JOIN (b CROSS JOIN c) ON true", ["a", "b", "c"]],
    ["SELECT a FROM t ORDER BY a USING <, b", ["t"]],
    ["SELECT a.table FROM t", ["t"]],
    ["WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT * FROM r", []],
    // The query of a name is not there before its end, unless it is recursive, and its rows cannot be changed.
    ["WITH t AS (SELECT * FROM t WHERE a) SELECT * FROM t", ["t"]],
    ["WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM a, b", ["b"]],
    ["WITH t AS (SELECT 1) INSERT INTO t SELECT * FROM t", ["t"]],
    ["WITH t AS (SELECT 1) UPDATE t SET a = 1", ["t"]],
    ["WITH t AS (SELECT 1) DELETE FROM t", ["t"]],
    ["WITH app AS (SELECT 1) SELECT * FROM app.t", ["app.t"]],
    ["WITH t AS (SELECT 1) SELECT * FROM ONLY (t)", ["t"]],
    ["SELECT * FROM ONLY (t)", ["t"]],
    ["UPDATE ONLY (t) SET a = 1", ["t"]],
    // Words that may be names.
    ["UPDATE set SET a = 1", ["set"]],
    ["SELECT * FROM values, t", ["values", "t"]],
    ["SELECT * FROM a set, b values, c", ["a", "b", "c"]],
    ["SELECT * FROM a JOIN b ON CASE WHEN a.x THEN b.y END, c", ["a", "b", "c"]],
    ["SELECT * FROM (VALUES (1, 2), (3, 4)) AS v (a, b), t", ["t"]],
    ["INSERT INTO t SELECT * FROM u ON CONFLICT (a) DO UPDATE SET a = 1, b = 2", ["t", "u"]],
    ["MERGE INTO t USING s ON true WHEN MATCHED THEN UPDATE SET a = 1, b = 2", ["t", "s"]],
    ["MERGE INTO t USING s ON true WHEN NOT MATCHED THEN INSERT VALUES (1, s.b)", ["t", "s"]],
  ])("%s: %j", (sql, relations) => {
    expect(certain(sql).relations).toEqual(relations);
  });

  test.each([
    "SELECT * FROM (WITH q AS (SELECT 1) SELECT * FROM q) x",
    "SELECT * FROM ROWS FROM (generate_series(1, 2)) x",
    "SELECT * FROM a.b.c",
    "SELECT * FROM t, a.b.c",
    "SELECT 1)",
    'SELECT * FROM "a.b"',
    "WITH RECURSIVE r(n) AS (SELECT 1) CYCLE n SET c USING p SELECT * FROM r",
    "WITH RECURSIVE r(n) AS (SELECT 1) SEARCH DEPTH FIRST BY n SET c SELECT * FROM r",
    "SELECT * FROM (WITH t AS (SELECT 1) SELECT * FROM t) x",
  ])("%s: they cannot be told", (sql) => {
    expect(certain(sql).relations).toBeNull();
  });
});
