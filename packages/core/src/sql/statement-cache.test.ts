import { constants } from "@pooler/plugin-abi";
import { beforeAll, describe, expect, it } from "vitest";
import { decoderOf } from "./encodings.js";
import { createStatementParser } from "./parser.js";
import type { Statement, StatementText } from "./statement.js";
import { createStatementCache, type StatementCache } from "./statement-cache.js";
import type { StatementParser } from "./types.js";

let parser: StatementParser;

beforeAll(async () => {
  parser = await createStatementParser();
});

interface Made {
  readonly cache: StatementCache;
  readonly forgotten: Statement[];
  of(sql: string | Buffer, encoding?: string, standardStrings?: boolean): StatementText;
}

function make(options: { parser?: StatementParser | null; maxTexts?: number; maxBytes?: number } = {}): Made {
  const forgotten: Statement[] = [];
  const cache = createStatementCache({
    maxTexts: options.maxTexts ?? 100,
    maxBytes: options.maxBytes ?? 1 << 20,
    liftsLiterals: false,
    parser: options.parser === undefined ? parser : options.parser,
    onForget: (statement) => forgotten.push(statement),
  });
  return {
    cache,
    forgotten,
    of: (sql, encoding = "UTF8", standardStrings = true) => {
      // In the middle of a buffer that is used again afterwards, as a client's bytes are.
      const bytes = Buffer.concat([Buffer.from("';"), Buffer.from(sql), Buffer.from("';")]);
      const text = cache.statementsOf(bytes, 2, bytes.length - 2, encoding, standardStrings);
      bytes.fill(0x78);
      return text;
    },
  };
}

const sqlOf = (text: StatementText): string[] => text.statements.map(({ sql }) => sql.toString());

describe("a text", () => {
  it("is known again, with the same statements", () => {
    const { of, cache } = make();
    const first = of("SELECT 1 ; DELETE FROM a -- x");
    expect(sqlOf(first)).toEqual(["SELECT 1", "DELETE FROM a"]);
    expect(first.statements.map(({ id }) => id)).toEqual([1, 2]);
    expect(of("SELECT 1 ; DELETE FROM a -- x")).toBe(first);
    expect(of("SELECT 1 ; DELETE FROM a -- y")).not.toBe(first);
    expect(cache.texts).toBe(2);
  });

  it("is another one in another encoding, or with other rules for strings", () => {
    const { of } = make();
    const first = of("SELECT 1");
    expect(of("SELECT 1", "LATIN1")).not.toBe(first);
    expect(of("SELECT 1", "UTF8", false)).not.toBe(first);
    expect(of("SELECT 1")).toBe(first);
  });

  it("is split by the lexer when nobody reads facts", () => {
    const { of } = make({ parser: null });
    const text = of("SELECT '1;2'; SELECT nonsense FROM ; /* x */");
    expect(sqlOf(text)).toEqual(["SELECT '1;2'", "SELECT nonsense FROM"]);
    expect(text.statements.map(({ facts }) => facts)).toEqual([null, null]);
    expect(text.unparsed).toBe(false);
    expect(sqlOf(of("SELECT 1;".repeat(65)))).toHaveLength(1);
  });

  it("may hold nothing", () => {
    for (const sql of ["", " ; -- x"]) expect(make().of(sql)).toMatchObject({ statements: [], unparsed: false });
  });

  it("has facts and trees of each statement, with places in the statement's own text", () => {
    const text = make().of("  SELECT 'é'; /* x */ UPDATE a SET x = 1 WHERE y = 2");
    expect(text.statements.map(({ facts }) => facts?.kind)).toEqual([constants.POOLER_STATEMENT_SELECT, constants.POOLER_STATEMENT_UPDATE]);
    const update = text.statements[1];
    expect(update?.facts?.tables).toEqual([{ catalog: null, schema: null, name: "a", use: constants.POOLER_TABLE_WRITE }]);
    expect(update?.facts?.start).toBe(0);
    expect(update?.facts?.length).toBe(update?.sql.length);
    expect(update?.facts?.parseTree()).toContain('"relation":{"relname":"a","inh":true,"relpersistence":"p","location":7}');
  });

  it("that the grammar refuses is one statement with the error", () => {
    const text = make().of("SELECT 1; SELEC 2");
    expect(sqlOf(text)).toEqual(["SELECT 1; SELEC 2"]);
    expect(text.statements[0]?.facts?.parseError).toMatch(/SELEC/);
    expect(text.unparsed).toBe(false);
    expect(make().of("SELEC 2").statements[0]?.facts?.facts).toBe(constants.POOLER_FACT_SYNTAX_ERROR);
  });

  it.each<[string, string | Buffer, string, boolean]>([
    ["standard_conforming_strings is off", "SELECT 1", "UTF8", false],
    ["the encoding is SJIS", "SELECT 1", "SJIS", true],
    ["the encoding is GBK", "SELECT 1", "GBK", true],
    ["the encoding is BIG5", "SELECT 1", "BIG5", true],
    ["the encoding is not known", "SELECT 1", "MULE_INTERNAL", true],
    ["the bytes are not of the encoding", Buffer.from("SELECT '\xff'", "latin1"), "UTF8", true],
    ["the bytes are not UTF-8 and the encoding is SQL_ASCII", Buffer.from("SELECT '\xff'", "latin1"), "SQL_ASCII", true],
    ["there are too many statements", "SELECT 1;".repeat(65), "UTF8", true],
    ["it is too long", `SELECT '${"x".repeat(1 << 20)}'`, "UTF8", true],
    ["it is nested too deep", `SELECT ${"(".repeat(100_000)}`, "UTF8", true],
  ])("has no facts when %s", (_, sql, encoding, standardStrings) => {
    const { of } = make();
    const text = of(sql, encoding, standardStrings);
    expect(text.unparsed).toBe(true);
    expect(text.statements.map(({ facts }) => facts)).toEqual([null]);
    expect(text.statements[0]?.sql.length).toBe(sql.length);
    expect(of(sql, encoding, standardStrings)).toBe(text);
  });

  it.each([
    ["LATIN1", Buffer.from("SELECT * FROM caf\xe9; SELECT '\xe9;'", "latin1"), "café"],
    ["WIN1252", Buffer.from("SELECT * FROM caf\xe9; SELECT '\x80'", "latin1"), "café"],
    ["EUC_JP", Buffer.from("SELECT * FROM \xc6\xfc\xcb\xdc; SELECT ''", "latin1"), "日本"],
    ["KOI8R", Buffer.from("SELECT * FROM \xc1; SELECT ''", "latin1"), "а"],
    ["utf-8", Buffer.from("SELECT * FROM 日本; SELECT ''"), "日本"],
    ["SQL_ASCII", Buffer.from("SELECT * FROM 日本; SELECT ''"), "日本"],
  ])("in %s has facts in UTF-8 and its own bytes", (encoding, bytes, table) => {
    const { statements, unparsed } = make().of(bytes, encoding);
    expect(unparsed).toBe(false);
    expect(statements[0]?.facts?.tables.map(({ name }) => name)).toEqual([table]);
    expect(Buffer.concat([statements[0]?.sql ?? Buffer.alloc(0), Buffer.from("; "), statements[1]?.sql ?? Buffer.alloc(0)])).toEqual(bytes);
  });
});

describe("what is forgotten", () => {
  it("is not kept any more, nor are texts that are read by other rules; to ask for one is to use it", () => {
    const { of, cache } = make({ parser: null, maxTexts: 2 });
    const first = of("SELECT 1");
    const second = of("SELECT 2");
    const keeps = (text: StatementText, encoding = "UTF8", standardStrings = true) => cache.keeps(text, encoding, standardStrings);
    expect([keeps(first), keeps(second)]).toEqual([true, true]);
    expect([keeps(first, "LATIN1"), keeps(first, "UTF8", false), make().cache.keeps(first, "UTF8", true)]).toEqual([false, false, false]);
    keeps(first);
    of("SELECT 3");
    expect([keeps(first), keeps(second)]).toEqual([true, false]);
    expect(sqlOf(of("SELECT 2"))).toEqual(["SELECT 2"]);
    expect(keeps(second)).toBe(false);
  });

  it("is the text that was not used for the longest time, each statement once", () => {
    const { of, forgotten, cache } = make({ parser: null, maxTexts: 3 });
    const kept = of("SELECT 1");
    of("SELECT 2; SELECT 22");
    of("SELECT 3");
    of("SELECT 1");
    of("SELECT 4");
    expect(forgotten.map(({ sql }) => sql.toString())).toEqual(["SELECT 2", "SELECT 22"]);
    expect(of("SELECT 1")).toBe(kept);
    of("SELECT 5");
    of("SELECT 6");
    expect(forgotten.map(({ sql }) => sql.toString())).toEqual(["SELECT 2", "SELECT 22", "SELECT 3", "SELECT 4"]);
    expect(cache.texts).toBe(3);
    const again = of("SELECT 2; SELECT 22");
    expect(again.statements[0]?.id).toBeGreaterThan(6);
  });

  it("makes room for bytes, too, and the newest text stays however large it is", () => {
    const { of, forgotten, cache } = make({ parser: null, maxBytes: 100_000 });
    for (let n = 0; n < 200; n++) of(`SELECT ${n}`);
    expect(cache.bytes).toBeLessThanOrEqual(100_000);
    expect(forgotten.length).toBeGreaterThan(100);
    const large = `SELECT '${"x".repeat(200_000)}'`;
    const text = of(large);
    expect(cache.texts).toBe(1);
    expect(of(large)).toBe(text);
    of("SELECT 1");
    expect(cache.texts).toBe(1);
    expect(cache.bytes).toBeLessThan(10_000);
  });

  it("follows a model of the order, whatever is asked for", () => {
    const { of, forgotten } = make({ parser: null, maxTexts: 5 });
    let model: string[] = [];
    const expected: string[] = [];
    let state = 1;
    for (let round = 0; round < 5_000; round++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      const sql = `SELECT ${(state >>> 16) % 9}`;
      of(sql);
      model = [...model.filter((text) => text !== sql), sql];
      if (model.length > 5) expected.push(model.shift() ?? "");
    }
    expect(forgotten.map(({ sql }) => sql.toString())).toEqual(expected);
  });
});

describe("a grammar that is being replaced", () => {
  it("is asked again for texts that came meanwhile, but not for the one that broke it", () => {
    let ready = true;
    const fake: StatementParser = {
      grammar: 18,
      get ready() {
        return ready;
      },
      parse(sql) {
        if (sql === "SELECT break") ready = false;
        return ready ? parser.parse(sql) : null;
      },
    };
    const { of, forgotten } = make({ parser: fake });
    const broke = of("SELECT break");
    const meanwhile = of("SELECT 1");
    expect([broke.unparsed, meanwhile.unparsed]).toEqual([true, true]);
    expect(of("SELECT 1")).toBe(meanwhile);
    ready = true;
    expect(of("SELECT break")).toBe(broke);
    const met = meanwhile.statements;
    const later = of("SELECT 1");
    expect(later.unparsed).toBe(false);
    expect(forgotten).toEqual(met);
  });
});

describe("decoderOf", () => {
  it("knows encodings by all of PostgreSQL's spellings and no others", () => {
    for (const name of [
      "UTF8",
      "utf-8",
      "UNICODE",
      "SQL_ASCII",
      "LATIN1",
      "iso-8859-1",
      "ISO_8859_5",
      "WIN1251",
      "KOI8U",
      "EUC_KR",
      "LATIN9",
    ]) {
      expect(decoderOf(name)?.(Buffer.from("abc")), name).toBe("abc");
    }
    for (const name of ["", "SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "EUC_TW", "__proto__", "constructor"]) {
      expect(decoderOf(name), name).toBeNull();
    }
  });
});
