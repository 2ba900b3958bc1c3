// Values that become parameters: where PostgreSQL takes the one for the other, and nowhere else.
import { describe, expect, test } from "vitest";
import { createParameterized, keepsMeaning, mostValues, parameterize, stringLength } from "./parameterize.js";

/** The text with parameters and the values with their types; null: left alone. */
function parameterized(sql: string): string | null {
  const out = createParameterized();
  const bytes = Buffer.from(` ${sql}`, "latin1");
  if (!parameterize(bytes, 1, bytes.length, out)) return null;
  const values = Array.from({ length: out.count }, (_, i) => `${bytes.latin1Slice(out.starts[i], out.ends[i])}:${out.typeOids[i]}`);
  return [Buffer.from(out.bytes.subarray(0, out.length)).latin1Slice(), ...values].join(" | ");
}

describe("values", () => {
  test.each([
    ["SELECT a FROM t WHERE id = 42", "SELECT a FROM t WHERE id = $1 | 42:23"],
    ["SELECT a FROM t WHERE id=42;", "SELECT a FROM t WHERE id=$1; | 42:23"],
    ["select a from t where id <> 1 and b != 2 or c >= 3", "select a from t where id <> $1 and b != $2 or c >= $3 | 1:23 | 2:23 | 3:23"],
    ["SELECT a FROM t WHERE (id < 1) ORDER BY a", "SELECT a FROM t WHERE (id < $1) ORDER BY a | 1:23"],
    ["SELECT a FROM t WHERE id <= 2147483647", "SELECT a FROM t WHERE id <= $1 | 2147483647:23"],
    ["SELECT a FROM t WHERE id > 2147483648", "SELECT a FROM t WHERE id > $1 | 2147483648:20"],
    ["SELECT a FROM t WHERE x = 1.50", "SELECT a FROM t WHERE x = $1 | 1.50:1700"],
    ["SELECT a FROM t WHERE w = 'it''s' LIMIT 5", "SELECT a FROM t WHERE w = $1 LIMIT 5 | it''s:0"],
    ["SELECT a FROM t WHERE w = ''", "SELECT a FROM t WHERE w = $1 | :0"],
    ["SELECT a FROM t WHERE CASE WHEN a = 1 THEN b = 2 END", "SELECT a FROM t WHERE CASE WHEN a = $1 THEN b = $2 END | 1:23 | 2:23"],
    [
      "SELECT a FROM t JOIN u ON t.a = u.a AND u.b = 1 WHERE c = 2",
      "SELECT a FROM t JOIN u ON t.a = u.a AND u.b = $1 WHERE c = $2 | 1:23 | 2:23",
    ],
    [
      "SELECT a = 1 FROM t WHERE b IN (SELECT c = 2 FROM u WHERE d = 3 GROUP BY c = 4) AND e = 5 ORDER BY a = 6",
      "SELECT a = 1 FROM t WHERE b IN (SELECT c = 2 FROM u WHERE d = $1 GROUP BY c = 4) AND e = $2 ORDER BY a = 6 | 3:23 | 5:23",
    ],
    ["SELECT count(*) FILTER (WHERE a = 1), a = 2 FROM t", "SELECT count(*) FILTER (WHERE a = $1), a = 2 FROM t | 1:23"],
    ["SELECT a FROM t WHERE w = '\xe4' GROUP BY a", "SELECT a FROM t WHERE w = $1 GROUP BY a | \xe4:0"],
  ])("become parameters: %s", (sql, expected) => {
    expect(parameterized(sql)).toBe(expected);
  });

  test.each([
    "SELECT 1, 'a'",
    "SELECT a FROM t WHERE id = -42",
    "SELECT a FROM t WHERE id = 4 + 2",
    "SELECT a FROM t WHERE id = 42::bigint",
    "SELECT a FROM t WHERE w = 'a' COLLATE \"C\"",
    "SELECT a FROM t WHERE w = 'a' || 'b'",
    "SELECT a FROM t WHERE d = DATE '2026-01-01'",
    "SELECT a FROM t WHERE id IN (1, 2)",
    "SELECT a FROM t WHERE w LIKE 'a%'",
    "SELECT a FROM t WHERE j @> '{}'",
    "SELECT a FROM t WHERE j =>> 5",
    "SELECT a = 5, b > 3 FROM t GROUP BY a = 5, b > 3 HAVING count(*) > 1 ORDER BY a = 5 LIMIT 1",
    "SELECT f(x => 5)",
    "SELECT a FROM t WHERE id = /* c */ 42",
    "SELECT a FROM t WHERE id = 42 -- c",
    "SELECT a FROM t WHERE id = 1e3",
    "SELECT a FROM t WHERE id = 0x1f",
    "SELECT a FROM t WHERE id = 007123456789",
    "SELECT a FROM t WHERE id = 42and true",
    "SELECT a FROM t WHERE a = 5 = true",
    'SELECT a FROM t WHERE "=" 5',
    "SELECT a FROM t ORDER BY 1 LIMIT 10 OFFSET 5",
  ])("stay: %s", (sql) => {
    expect(parameterized(sql)).toBe(sql);
  });

  test("in a comment are none", () => {
    expect(parameterized("SELECT a -- x = 5\n FROM t /* y = 6 */ WHERE z = 7")).toBe(
      "SELECT a -- x = 5\n FROM t /* y = 6 */ WHERE z = $1 | 7:23",
    );
  });

  test("in too many parentheses are none", () => {
    const deep = (n: number): string | null => parameterized(`SELECT 1 FROM t WHERE ${"(".repeat(n)}a = 1${")".repeat(n)} AND b = 2`);
    expect(deep(30)?.split(" | ")).toHaveLength(3);
    expect(deep(31)).toBeNull();
  });

  test("behind the sixteenth stay", () => {
    const sql = `SELECT 1 FROM t WHERE ${Array.from({ length: mostValues + 1 }, (_, i) => `a = ${i}`).join(" OR ")}`;
    const [text, ...values] = (parameterized(sql) ?? "").split(" | ");
    expect(values).toHaveLength(mostValues);
    expect(text).toMatch(/a = \$9 OR a = \$10 .* a = \$16 OR a = 16$/);
  });

  test("the longest text with the shortest values has room", () => {
    const sql = `SELECT ${"x".repeat(3_900)} FROM t WHERE ${Array.from({ length: mostValues }, () => "a=1").join(" OR ")}`;
    expect(parameterized(sql.slice(0, 4_096))?.startsWith("SELECT xxx")).toBe(true);
    expect(parameterized(`${sql}${" ".repeat(4_096)}`)).toBeNull();
  });
});

test.each([
  "SELECT $1",
  "SELECT $$a$$",
  "SELECT E'a'",
  "SELECT U&'a'",
  "SELECT B'1'",
  "SELECT 'a'\n'b'",
  "SELECT 'a",
  'SELECT "a',
  "SELECT /* a",
  "",
])("a text that holds something else than plain strings and numbers is left alone: %s", (sql) => {
  expect(parameterized(sql)).toBeNull();
});

test("doubled quotes in a string are one byte each", () => {
  const of = (text: string): number => stringLength(Buffer.from(text), 0, text.length);
  expect([of(""), of("abc"), of("it''s"), of("''''")]).toEqual([0, 3, 4, 2]);
});

describe("a statement that was prepared once means what its text means", () => {
  test.each([
    "SELECT a FROM t WHERE b = $1",
    "SELECT now(), a FROM t WHERE b > now()",
    "SELECT 'word', \"today's\" FROM t WHERE known = 'x' -- it's now",
    "SELECT $1::text || 'x' || $2",
    "/* it's tagged: 'now' */ SELECT a FROM t WHERE b = $1",
    "SELECT a FROM registered WHERE b = 'x'",
    "SELECT 'infinity'::timestamptz",
  ])("always: %s", (sql) => {
    expect(keepsMeaning(sql)).toBe(true);
  });

  test.each([
    "SELECT 'now'::timestamptz",
    "SELECT a FROM t WHERE b BETWEEN 'Yesterday' AND 'TODAY'",
    "SELECT a FROM t WHERE b = '{tomorrow}'::date[]",
    "SELECT E'\\x6eow'::timestamptz",
    "SELECT U&'\\006eow'::timestamptz",
    "SELECT 'a' /* /* ' */ */, 'now'::timestamptz",
    "SELECT 'a' /* ' */, 'now'::timestamptz",
    "SELECT 'a' -- it's\n, 'now'::timestamptz",
    "SELECT 'no'\n'w'::timestamptz",
    "SELECT $$now$$::timestamptz",
    "SELECT $a$now$a$::timestamptz",
    "SELECT 't'::regclass",
    "SELECT pg_catalog.regtype 'x'",
    "SELECT CAST('x' AS \"regproc\")",
    `SELECT ${"a".repeat(64)} FROM t`,
    `SELECT "${"a ".repeat(32)}" FROM t`,
  ])("not: %s", (sql) => {
    expect(keepsMeaning(sql)).toBe(false);
  });
});
