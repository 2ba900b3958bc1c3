import { describe, expect, it } from "vitest";
import { Command, createLexed, Hazard, LexFlag, lex, MAX_LEXED } from "./lexer.js";

interface Seen {
  readonly statements: readonly string[];
  readonly commands: readonly number[];
  readonly hazards: number;
  readonly flags: number;
  readonly unterminated: boolean;
}

const out = createLexed();

/** Lexes `text` in the middle of a larger buffer whose other bytes would change the result if they were read. */
function see(text: string, standardStrings = true): Seen {
  const bytes = Buffer.from(text);
  const buffer = Buffer.concat([Buffer.from("COMMIT;'\"$$ "), bytes, Buffer.from("'\"*/;$$ COMMIT; ) END (;")]);
  lex(buffer, 12, 12 + bytes.length, standardStrings, out);
  const kept = Math.min(out.count, MAX_LEXED);
  const statements: string[] = [];
  for (let n = 0; n < kept; n++) statements.push(buffer.toString("utf8", out.starts[n], out.ends[n]));
  return {
    statements,
    commands: Array.from(out.commands.subarray(0, kept)),
    hazards: out.hazards,
    flags: out.flags,
    unterminated: out.unterminated,
  };
}

describe("statement boundaries", () => {
  it.each([
    ["", []],
    ["   \n\t ; ;; -- nothing\n ; /* nothing */", []],
    ["SELECT 1", ["SELECT 1"]],
    ["  SELECT 1 ; ", ["SELECT 1"]],
    ["/* a */ SELECT /* b */ 1 /* c */ -- d", ["SELECT /* b */ 1"]],
    ["SELECT 1; SELECT 2;COMMIT", ["SELECT 1", "SELECT 2", "COMMIT"]],
    ["SELECT ';'; SELECT 2", ["SELECT ';'", "SELECT 2"]],
    ["SELECT 'it''s; ok'; SELECT 2", ["SELECT 'it''s; ok'", "SELECT 2"]],
    ["SELECT 'a\\'; SELECT 2", ["SELECT 'a\\'", "SELECT 2"]],
    ["SELECT E'a\\'; b'; SELECT 2", ["SELECT E'a\\'; b'", "SELECT 2"]],
    ["SELECT e'a\\\\'; SELECT 2", ["SELECT e'a\\\\'", "SELECT 2"]],
    ["SELECT E'a''\\'; b'; SELECT 2", ["SELECT E'a''\\'; b'", "SELECT 2"]],
    ["SELECT E'a' -- c\n  'b\\'; c'; SELECT 2", ["SELECT E'a' -- c\n  'b\\'; c'", "SELECT 2"]],
    ["SELECT E'a' 'b\\'; SELECT 2", ["SELECT E'a' 'b\\'", "SELECT 2"]],
    ["SELECT name'a\\'; SELECT 2", ["SELECT name'a\\'", "SELECT 2"]],
    ["SELECT U&'a\\'; SELECT 2", ["SELECT U&'a\\'", "SELECT 2"]],
    ["SELECT N'a\\'; SELECT 2", ["SELECT N'a\\'", "SELECT 2"]],
    ["SELECT B'01';SELECT X'1F'", ["SELECT B'01'", "SELECT X'1F'"]],
    ['SELECT "a;b"; SELECT "c"";d"', ['SELECT "a;b"', 'SELECT "c"";d"']],
    ['SELECT U&"a;b"; SELECT 2', ['SELECT U&"a;b"', "SELECT 2"]],
    ["SELECT $$;$$; SELECT 2", ["SELECT $$;$$", "SELECT 2"]],
    ["SELECT $a$ ; $$ ; $b$ ; $a$; SELECT 2", ["SELECT $a$ ; $$ ; $b$ ; $a$", "SELECT 2"]],
    ["SELECT $a$;$$a$; SELECT 2", ["SELECT $a$;$$a$", "SELECT 2"]],
    ["SELECT $é$;$é$; SELECT 2", ["SELECT $é$;$é$", "SELECT 2"]],
    ["SELECT a$b$c; SELECT b$$; SELECT 1", ["SELECT a$b$c", "SELECT b$$", "SELECT 1"]],
    ["SELECT $1; SELECT $2", ["SELECT $1", "SELECT $2"]],
    ["SELECT $1$$;$$; SELECT 2", ["SELECT $1$$;$$", "SELECT 2"]],
    ["SELECT /* ; /* ; */ ; */ 1; SELECT 2", ["SELECT /* ; /* ; */ ; */ 1", "SELECT 2"]],
    ["SELECT 1 /*/ ; */; SELECT 2", ["SELECT 1", "SELECT 2"]],
    ["SELECT 1 /***/; SELECT 2 /**/", ["SELECT 1", "SELECT 2"]],
    ["SELECT 1 -- ; '\n; SELECT 2", ["SELECT 1", "SELECT 2"]],
    ["SELECT 1 -- ; '\r; SELECT 2", ["SELECT 1", "SELECT 2"]],
    ["SELECT 1+--;\n2; SELECT 3-/*;*/1", ["SELECT 1+--;\n2", "SELECT 3-/*;*/1"]],
    ["SELECT 8/2; SELECT 8/ 2 - 1", ["SELECT 8/2", "SELECT 8/ 2 - 1"]],
    [
      "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b); SELECT 1",
      ["CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b)", "SELECT 1"],
    ],
    ["SELECT 1); SELECT 2", ["SELECT 1)", "SELECT 2"]],
    ["é; SELECT 1", ["é", "SELECT 1"]],
    ["- ; SELECT 1", ["-", "SELECT 1"]],
    ["/ ; SELECT 1", ["/", "SELECT 1"]],
  ] as const)("splits %j", (text, statements) => {
    const seen = see(text);
    expect(seen.statements).toEqual(statements);
    expect(seen.unterminated).toBe(false);
  });

  it("takes backslashes in plain strings as escapes when standard_conforming_strings is off", () => {
    expect(see("SELECT 'a\\'; SELECT 2'; SELECT 3", false).statements).toEqual(["SELECT 'a\\'; SELECT 2'", "SELECT 3"]);
    expect(see("SELECT B'1\\'; SELECT 2", false).statements).toEqual(["SELECT B'1\\'", "SELECT 2"]);
    expect(see("SELECT 'a'\n'\\';'; SELECT 2", false).statements).toEqual(["SELECT 'a'\n'\\';'", "SELECT 2"]);
  });

  it.each([
    "SELECT 'a; SELECT 2",
    "SELECT E'a\\'; SELECT 2",
    "SELECT E'a\\",
    'SELECT "a; SELECT 2',
    "SELECT $$; SELECT 2",
    "SELECT $a$ $A$; SELECT 2",
    "SELECT /* /* */; SELECT 2",
    'SELECT U&"a; SELECT 2',
    "SELECT U&'a; SELECT 2",
    "/* a",
  ])("says that %j does not end", (text) => {
    const seen = see(text);
    expect(seen.unterminated).toBe(true);
    expect(seen.statements.length).toBe(text.startsWith("/*") ? 0 : 1);
  });

  it("keeps the first 64 statements and counts the others", () => {
    const text = `${"SELECT 1;".repeat(MAX_LEXED)} LISTEN x; COPY t FROM STDIN`;
    const seen = see(text);
    expect(out.count).toBe(MAX_LEXED + 2);
    expect(out.overflow).toBe(true);
    expect(seen.statements.length).toBe(MAX_LEXED);
    expect(seen.hazards).toBe(Hazard.LISTEN);
    expect(seen.flags).toBe(LexFlag.HAS_COPY);
    see("SELECT 1");
    expect(out.overflow).toBe(false);
  });
});

describe("BEGIN ATOMIC", () => {
  const body =
    "CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN a > 0 THEN 1 ELSE 2 END; SELECT 2 AS end, t.end FROM t; END";
  it.each([
    [`${body}; SELECT 1`, [body, "SELECT 1"]],
    ["create or replace procedure p() begin/**/atomic end; COMMIT", ["create or replace procedure p() begin/**/atomic end", "COMMIT"]],
    ["CREATE PROCEDURE p() BEGIN ATOMIC ; ; END; COMMIT", ["CREATE PROCEDURE p() BEGIN ATOMIC ; ; END", "COMMIT"]],
    ["CREATE FUNCTION f(begin atomic) RETURNS int AS 'x'; COMMIT", ["CREATE FUNCTION f(begin atomic) RETURNS int AS 'x'", "COMMIT"]],
    [
      "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT 1; END; SELECT 2; END; COMMIT",
      ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT 1; END; SELECT 2; END", "COMMIT"],
    ],
    ["CREATE TABLE t (a int); BEGIN; ATOMIC; END", ["CREATE TABLE t (a int)", "BEGIN", "ATOMIC", "END"]],
  ])("keeps a body together: %j", (text, statements) => {
    expect(see(text).statements).toEqual(statements);
  });

  it("is flagged", () => {
    expect(see(body).flags & LexFlag.HAS_ATOMIC).toBe(LexFlag.HAS_ATOMIC);
    expect(see("CREATE FUNCTION f(begin atomic) RETURNS int AS 'x'").flags).toBe(0);
  });
});

describe("commands", () => {
  it.each([
    ["SELECT 1", Command.SELECT],
    ["sElEcT 1", Command.SELECT],
    ["SELECT", Command.SELECT],
    ["SELECT1", Command.OTHER],
    ["selec", Command.OTHER],
    ["(SELECT 1)", Command.SELECT],
    ["( (/* x */ VALUES (1)))", Command.VALUES],
    ["((WITH x AS (SELECT 1) TABLE x))", Command.WITH],
    ["(TABLE x)", Command.TABLE],
    ["(1)", Command.SELECT],
    ["INSERT INTO t VALUES (1)", Command.INSERT],
    ["UPDATE t SET a = 1", Command.UPDATE],
    ["DELETE FROM t", Command.DELETE],
    ["MERGE INTO t", Command.MERGE],
    ["VALUES (1)", Command.VALUES],
    ["WITH x AS (SELECT 1) SELECT 1", Command.WITH],
    ["TABLE t", Command.TABLE],
    ["BEGIN", Command.BEGIN],
    ["START TRANSACTION READ ONLY", Command.BEGIN],
    ["COMMIT", Command.COMMIT],
    ["END WORK", Command.COMMIT],
    ["COMMIT PREPARED 'x'", Command.COMMIT_PREPARED],
    ["ROLLBACK", Command.ROLLBACK],
    ["ABORT", Command.ROLLBACK],
    ["ROLLBACK WORK", Command.ROLLBACK],
    ["ROLLBACK PREPARED 'x'", Command.COMMIT_PREPARED],
    ["ROLLBACK TO a", Command.ROLLBACK_TO],
    ["ROLLBACK/**/TRANSACTION TO SAVEPOINT a", Command.ROLLBACK_TO],
    ["SAVEPOINT a", Command.SAVEPOINT],
    ["RELEASE a", Command.RELEASE],
    ["PREPARE TRANSACTION 'x'", Command.PREPARE_TRANSACTION],
    ["PREPARE TRANSACTION E'x'", Command.PREPARE_TRANSACTION],
    ["PREPARE TRANSACTION $$x$$", Command.PREPARE_TRANSACTION],
    ["PREPARE transaction AS SELECT 1", Command.PREPARE],
    ["PREPARE transaction(int) AS SELECT 1", Command.PREPARE],
    ["PREPARE p AS SELECT 1", Command.PREPARE],
    ["SET a = 1", Command.SET],
    ["SET SESSION a = 1", Command.SET],
    ["SET session.a = 1", Command.SET],
    ["SET local.a = 1", Command.SET],
    ["SET LOCAL a = 1", Command.SET_LOCAL],
    ["SET LOCAL TIME ZONE 'UTC'", Command.SET_LOCAL],
    ["SET SESSION AUTHORIZATION x", Command.SET],
    ["SET LOCAL SESSION AUTHORIZATION x", Command.SET_LOCAL],
    ["SET TRANSACTION READ ONLY", Command.SET_TRANSACTION],
    ["SET LOCAL TRANSACTION READ ONLY", Command.SET_TRANSACTION],
    ["SET SESSION TRANSACTION READ ONLY", Command.SET_TRANSACTION],
    ["SET transaction.x = 1", Command.SET],
    ["SET TRANSACTION_READ_ONLY TO on", Command.SET],
    ["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Command.SET_CHARACTERISTICS],
    ["SET SESSION SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Command.SET_CHARACTERISTICS],
    ["SET CONSTRAINTS ALL DEFERRED", Command.SET_CONSTRAINTS],
    ["SET constraints.x = 1", Command.SET],
    ["RESET ALL", Command.RESET],
    ["SHOW a", Command.SHOW],
    ["DISCARD ALL", Command.DISCARD],
    ["LISTEN a", Command.LISTEN],
    ["UNLISTEN *", Command.UNLISTEN],
    ["NOTIFY a", Command.NOTIFY],
    ["EXECUTE a", Command.EXECUTE],
    ["DEALLOCATE a", Command.DEALLOCATE],
    ["DECLARE a CURSOR FOR SELECT 1", Command.DECLARE],
    ["FETCH a", Command.FETCH],
    ["MOVE a", Command.FETCH],
    ["CLOSE a", Command.CLOSE],
    ["COPY t TO STDOUT", Command.COPY],
    ["LOCK t", Command.LOCK],
    ["CALL p()", Command.CALL],
    ["DO $$ $$", Command.DO],
    ["EXPLAIN SELECT 1", Command.EXPLAIN],
    ["LOAD 'x'", Command.LOAD],
    ["CREATE TABLE t ()", Command.CREATE],
    ["ALTER TABLE t ADD a int", Command.ALTER],
    ["DROP TABLE t", Command.DROP],
    ["TRUNCATE t", Command.TRUNCATE],
    ["REVOKE ALL ON t FROM x", Command.GRANT],
    ["VACUUM", Command.VACUUM],
    ["ANALYSE", Command.ANALYZE],
    ["frobnicate", Command.OTHER],
    ['"SELECT" 1', Command.OTHER],
    ["1", Command.OTHER],
  ])("%j", (text, command) => {
    expect(see(text).commands).toEqual([command]);
  });

  it("flags what the session must handle", () => {
    expect(see("SELECT 1; UPDATE t SET a = 1").flags).toBe(0);
    expect(see("BEGIN; SET LOCAL a = 1; SET b = 1; COPY t FROM STDIN; COMMIT AND CHAIN; DEALLOCATE ALL").flags).toBe(
      LexFlag.HAS_TRANSACTION_CONTROL |
        LexFlag.HAS_SET |
        LexFlag.HAS_SET_LOCAL |
        LexFlag.HAS_COPY |
        LexFlag.HAS_CHAIN |
        LexFlag.HAS_SQL_PREPARED,
    );
    expect(see("COMMIT AND NO CHAIN").flags).toBe(LexFlag.HAS_TRANSACTION_CONTROL);
    expect(see("ROLLBACK WORK AND CHAIN").flags & LexFlag.HAS_CHAIN).toBe(LexFlag.HAS_CHAIN);
  });
});

describe("hazards", () => {
  it.each([
    ["CREATE TEMP TABLE t (a int)", Hazard.TEMP_OBJECT],
    ["create temporary view v as select 1", Hazard.TEMP_OBJECT],
    ["CREATE LOCAL TEMP TABLE t ()", Hazard.TEMP_OBJECT],
    ["CREATE OR REPLACE GLOBAL TEMPORARY VIEW v AS SELECT 1", Hazard.TEMP_OBJECT],
    ["CREATE TEMP TABLE t (a int) ON COMMIT DROP", 0],
    ["CREATE TEMP TABLE t ON COMMIT /* x */ DROP AS SELECT 1", 0],
    ["CREATE TEMP TABLE t (a int) ON COMMIT DELETE ROWS", Hazard.TEMP_OBJECT],
    ["CREATE TEMP TABLE a () ON COMMIT DROP; CREATE TEMP TABLE b ()", Hazard.TEMP_OBJECT],
    ["CREATE TABLE pg_temp.t (a int)", Hazard.TEMP_OBJECT],
    ['CREATE TABLE "pg_temp" . t (a int)', Hazard.TEMP_OBJECT],
    ["CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT pg_advisory_lock(1)'", 0],
    ["CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", Hazard.TEMP_OBJECT],
    ["CREATE TABLE temp (a int)", 0],
    ["SELECT 1 INTO TEMP t", Hazard.TEMP_OBJECT],
    ["WITH x AS (SELECT 1) SELECT * INTO LOCAL TEMPORARY TABLE t FROM x", Hazard.TEMP_OBJECT],
    ["SELECT 1 INTO pg_temp.t", Hazard.TEMP_OBJECT],
    ['SELECT 1 INTO "pg_temp".t', Hazard.TEMP_OBJECT],
    ["SELECT 1 INTO t", 0],
    ["INSERT INTO temp VALUES (1)", 0],
    ["MERGE INTO temp USING a ON true WHEN MATCHED THEN DELETE", 0],
    ["INSERT INTO pg_temp.t VALUES (1)", 0],
    ["EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", Hazard.TEMP_OBJECT],
    ["EXPLAIN (ANALYZE, COSTS off) CREATE TEMP TABLE t AS SELECT 1", Hazard.TEMP_OBJECT],
    ["LISTEN a", Hazard.LISTEN],
    ["UNLISTEN a; NOTIFY a", 0],
    ["SELECT pg_advisory_lock(1)", Hazard.ADVISORY_LOCK],
    ["SELECT pg_catalog . PG_TRY_ADVISORY_LOCK_SHARED /* x */ (1)", Hazard.ADVISORY_LOCK],
    ['SELECT "pg_advisory_unlock"(1)', Hazard.ADVISORY_LOCK],
    ["SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;", 0],
    ["SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(1)", 0],
    ["SELECT pg_advisory_lock FROM t", 0],
    ["SELECT 'pg_advisory_lock(1)' -- pg_advisory_lock(1)", 0],
    ['SELECT U&"pg\\005fadvisory_lock"(1)', Hazard.DISGUISED_NAME],
    ["SELECT U&\"pg!005fadvisory_lock\" UESCAPE '!' (1)", Hazard.DISGUISED_NAME],
    ['SELECT U&"a" FROM t', 0],
    ["SELECT E'\"'(1)", 0],
    ["PREPARE p AS SELECT 1", Hazard.SQL_PREPARE],
    ["EXECUTE p", Hazard.SQL_EXECUTE],
    ["EXPLAIN EXECUTE p", Hazard.SQL_EXECUTE],
    ["EXPLAIN ANALYZE VERBOSE EXECUTE p", Hazard.SQL_EXECUTE],
    ["EXPLAIN SELECT execute FROM t", 0],
    ["CREATE TABLE t AS EXECUTE p", Hazard.SQL_EXECUTE],
    ["CREATE TEMP TABLE t AS EXECUTE p", Hazard.TEMP_OBJECT | Hazard.SQL_EXECUTE],
    ["CREATE TRIGGER t AFTER INSERT ON x EXECUTE FUNCTION f()", 0],
    ["DECLARE c CURSOR WITH HOLD FOR SELECT 1", Hazard.HOLD_CURSOR],
    ['DECLARE "c d" NO SCROLL CURSOR WITH HOLD FOR SELECT 1', Hazard.HOLD_CURSOR],
    ["DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1", 0],
    ["DECLARE c CURSOR FOR WITH hold AS (SELECT 1) SELECT 1", 0],
    ["SELECT set_config('a', 'b', false)", Hazard.SET_CONFIG],
    ["SELECT set_config('a', $1, $2)", Hazard.SET_CONFIG],
    ["SELECT set_config('a', 'b', true)", 0],
    ["SELECT pg_catalog.set_config('a,(', coalesce($1, 'x'), TRUE )", 0],
    ["SELECT set_config('a', 'b', 'true')", 0],
    ["SELECT set_config('a', 'b', true AND false)", Hazard.SET_CONFIG],
    ["SELECT set_config('a', 'b', true), set_config('a', 'b', false)", Hazard.SET_CONFIG],
    ["SELECT set_config('a', set_config('b', 'c', false), true)", Hazard.SET_CONFIG],
    ["SELECT set_config(E'a\\'', 'b, c, true)', false)", Hazard.SET_CONFIG],
    ["SELECT set_config", 0],
    ["LOAD 'x'", Hazard.LOAD],
    ["SELECT currval('s'), lastval()", Hazard.SEQUENCE_STATE],
    ["SELECT nextval('s')", 0],
    ["SELECT setseed(0.5)", Hazard.SESSION_FUNCTION],
    ["SELECT pg_replication_origin_session_setup('x')", Hazard.SESSION_FUNCTION],
    ["DO $$ BEGIN END $$", Hazard.OPAQUE],
    ["CALL p()", Hazard.OPAQUE],
    ["SELECT 1; LISTEN a; SELECT pg_advisory_lock(1)", Hazard.LISTEN | Hazard.ADVISORY_LOCK],
    ["SET a = 1; RESET a; SAVEPOINT x; LOCK t; SELECT now()", 0],
  ])("%j", (text, hazards) => {
    expect(see(text).hazards).toBe(hazards);
  });
});

describe("input that is cut or made up", () => {
  const corpus = [
    "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN 1 = 1 THEN 2 END; END; SELECT E'a\\'b'\n'c', $x$y$x$",
    "SET LOCAL SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; ROLLBACK WORK AND CHAIN; PREPARE TRANSACTION 'x'",
    'EXPLAIN (ANALYZE) CREATE TEMP TABLE t ON COMMIT DROP AS EXECUTE p; DECLARE "c" NO SCROLL CURSOR WITH HOLD FOR SELECT 1',
    "SELECT pg_catalog.set_config('a', E'b\\'', true), U&\"x\" UESCAPE '!', \"pg_advisory_lock\"(1) INTO TEMP t /* /* */ */ -- x",
  ];

  it("is read up to every possible end", () => {
    for (const text of corpus) {
      for (let length = 0; length <= text.length; length++) {
        const seen = see(text.slice(0, length));
        for (let n = 0; n < out.count; n++) {
          const from = out.starts[n] as number;
          const to = out.ends[n] as number;
          expect(from).toBeGreaterThanOrEqual(12);
          expect(to).toBeGreaterThan(from);
          expect(to).toBeLessThanOrEqual(12 + length);
        }
        expect(seen.statements.length).toBe(out.count);
      }
    }
  });

  it("never throws and always ends, whatever the bytes", () => {
    const pieces = [
      "'",
      '"',
      "$",
      "$$",
      "$a$",
      "\\",
      "/*",
      "*/",
      "--",
      "\n",
      "(",
      ")",
      ";",
      " ",
      "E'",
      'U&"',
      "B'",
      "begin atomic",
      "end",
      "case",
    ];
    pieces.push(
      "create function f() ",
      "set_config(",
      "true",
      ",",
      "into temp",
      "é",
      "\0",
      "\xff",
      "1",
      "a",
      "SET LOCAL ",
      "commit and chain",
      "-",
      "/",
    );
    let state = 0x2545f491;
    const random = (below: number) => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) % below;
    };
    for (let round = 0; round < 20_000; round++) {
      let text = "";
      for (let n = random(24); n > 0; n--) text += pieces[random(pieces.length)];
      const buffer = Buffer.from(text, "latin1");
      const from = random(buffer.length + 1);
      lex(buffer, from, buffer.length, random(2) === 0, out);
      let last = from;
      for (let n = 0; n < out.count; n++) {
        expect(out.starts[n]).toBeGreaterThanOrEqual(last);
        expect(out.ends[n]).toBeGreaterThan(out.starts[n] as number);
        last = out.ends[n] as number;
      }
      expect(last).toBeLessThanOrEqual(buffer.length);
    }
  });

  it("takes time in proportion to the length", () => {
    // Twenty milliseconds when it does; minutes when each piece looks at all that follow. Processor time: others work here, too.
    const bytes = 200_000;
    for (const piece of [
      "(",
      ";",
      "/*",
      "'",
      "set_config(",
      "set_config(a,b,true)",
      "pg_advisory_lock ",
      "INTO ",
      "$a",
      "e'\n",
      "x'\n",
      "begin atomic ",
    ]) {
      const buffer = Buffer.from(`CREATE FUNCTION f ${piece.repeat(Math.floor(bytes / piece.length))}`);
      const select = Buffer.from(`SELECT ${piece.repeat(Math.floor(bytes / piece.length))}`);
      const begun = process.cpuUsage();
      lex(buffer, 0, buffer.length, true, out);
      lex(select, 0, select.length, true, out);
      expect(process.cpuUsage(begun).user / 1000, piece).toBeLessThan(2_000);
    }
  });
});
