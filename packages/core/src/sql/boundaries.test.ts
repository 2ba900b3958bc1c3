// The lexer against PostgreSQL's own grammar: where it accepts a text, both must see the same statements.
// (libpg_query returns comments as tokens, so it refuses strings that go on behind a comment; PostgreSQL takes them.)
import { loadModule, parseSync } from "libpg-query";
import { beforeAll, describe, expect, it } from "vitest";
import { createLexed, lex, MAX_LEXED } from "./lexer.js";

const out = createLexed();

/** Statements by the grammar: offsets in UTF-8, without blanks and comments around. */
function grammarStatements(text: string): string[] | null {
  let result: ReturnType<typeof parseSync>;
  try {
    result = parseSync(text);
  } catch {
    return null;
  }
  const bytes = Buffer.from(text);
  return (result.stmts ?? []).map((statement) => {
    const start = statement.stmt_location ?? 0;
    const length = statement.stmt_len ?? 0;
    return bytes.toString("utf8", start, length === 0 ? bytes.length : start + length);
  });
}

function lexed(text: string): string[] {
  const bytes = Buffer.from(text);
  lex(bytes, 0, bytes.length, true, out);
  return Array.from({ length: Math.min(out.count, MAX_LEXED) }, (_, n) => bytes.toString("utf8", out.starts[n], out.ends[n]));
}

const statements = [
  "SELECT 1",
  "SELECT 'a;b', E'a\\';b', $$;$$, $q$;$$;$q$, \"a;b\" FROM t -- c;d\n",
  "SELECT U&'a\\0061;', B'01', X'1F', N';'",
  "SELECT E'a'\n ';\\';' /* ; /* ; */ */",
  "SELECT 'a'\n';', 'b' -- '\n , '\\'",
  "SELECT a$b, $1, $2||$$;$$ FROM t WHERE x <-- ;\n 1",
  "SELECT 1 /*;*/ -1 */*;*/ 2",
  "SELECT 1.5e3, .5, 0x1F, 1_000",
  "(SELECT 1)",
  "((VALUES (1, ';')))",
  "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b WHERE x = ';')",
  "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN SELECT 1; END; $f$",
  "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END",
  "CREATE OR REPLACE FUNCTION f(begin int, atomic int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN begin = 1 THEN CASE WHEN true THEN 2 END END; SELECT 1 AS end; SELECT 1 end; SELECT t.end, t.case FROM t; END",
  "CREATE PROCEDURE p() BEGIN ATOMIC END",
  "CREATE PROCEDURE p() BEGIN ATOMIC ; ; INSERT INTO t VALUES (';'); END",
  "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT 1; END; SELECT 2; END",
  "CREATE FUNCTION f() RETURNS int RETURN (SELECT CASE WHEN true THEN 1 END)",
  "CREATE TABLE begin (atomic int)",
  "BEGIN",
  "END",
  "COMMIT AND CHAIN",
  "SET LOCAL a TO 'x;y'",
  'SELECT "a"";b" AS "É;"',
  "DO $x$ BEGIN PERFORM 1; END $x$",
  "SELECT é FROM ü WHERE ß = 'ö;'",
  "COPY t FROM STDIN WITH (DELIMITER ';')",
  "SELECT '$$;', $$ ' $$",
  "DECLARE c CURSOR FOR SELECT 1",
  "",
  " ",
  "/* ; */",
  "-- ;\n",
];

beforeAll(async () => {
  await loadModule();
});

describe("statement boundaries agree with PostgreSQL's grammar", () => {
  it("for every pair of tricky statements", () => {
    let accepted = 0;
    for (const first of statements) {
      for (const second of statements) {
        const text = `${first};${second}`;
        const expected = grammarStatements(text);
        expect(expected, text).not.toBeNull();
        accepted++;
        const seen = lexed(text);
        expect(out.unterminated, text).toBe(false);
        compare(seen, expected ?? [], text);
      }
    }
    expect(accepted).toBe(statements.length ** 2);
  });

  it("for texts put together at random", () => {
    const pieces = [
      "'",
      "''",
      "E'",
      "\\'",
      "\\",
      '"',
      "U&'",
      'U&"',
      "$$",
      "$a$",
      "$1",
      "/*",
      "*/",
      "--",
      "\n",
      " ",
      ";",
      "(",
      ")",
      "1",
      "a",
      "SELECT ",
      ",",
      "+",
      "-",
      "/",
      "*",
      "é",
      "x'",
      "b'0'",
      "AS end",
      "case when a then b end",
      "e",
    ];
    let state = 0x9e3779b9;
    const random = (below: number) => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) % below;
    };
    let accepted = 0;
    for (let round = 0; round < 40_000; round++) {
      let text = "SELECT ";
      for (let n = random(9) + 1; n > 0; n--) text += pieces[random(pieces.length)];
      const expected = grammarStatements(text);
      if (expected === null) continue;
      accepted++;
      const seen = lexed(text);
      expect(out.unterminated, text).toBe(false);
      compare(seen, expected, text);
    }
    expect(accepted).toBeGreaterThan(1_000);
  });
});

/** The grammar's bounds hold blanks and comments around the statement: what the lexer found must lie in each, and be all of it. */
function compare(seen: readonly string[], expected: readonly string[], text: string): void {
  expect(seen.length, text).toBe(expected.length);
  for (const [n, statement] of seen.entries()) {
    const around = expected[n] ?? "";
    expect(around, text).toContain(statement);
    lexed(around);
    expect(out.count, text).toBe(1);
  }
}
