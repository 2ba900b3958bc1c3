// Texts that nest: those that people send are parsed, those that would end the grammar's stack never reach it.
import { beforeAll, describe, expect, it } from "vitest";
import { GrammarBroken, loadGrammar } from "./grammar.js";
import { isTooDeep } from "./nesting.js";
import { createStatementParser } from "./parser.js";
import type { StatementParser } from "./types.js";

const tooDeep = (sql: string): boolean => {
  const bytes = Buffer.from(sql);
  return isTooDeep(bytes, 0, bytes.length);
};

const nested: Readonly<Record<string, (n: number) => string>> = {
  parentheses: (n) => `SELECT ${"(".repeat(n)}1${")".repeat(n)}`,
  "parentheses that do not end": (n) => `SELECT ${"(".repeat(n)}`,
  "sums in parentheses": (n) => `SELECT ${"(1+".repeat(n)}1${")".repeat(n)}`,
  sums: (n) => `SELECT 1${"+1".repeat(n)}`,
  "sums without spaces": (n) => `SELECT a${"||a".repeat(n)}`,
  casts: (n) => `SELECT a${"::int".repeat(n)}`,
  "NOT NOT": (n) => `SELECT ${"NOT ".repeat(n)}a`,
  "minus minus": (n) => `SELECT ${"- ".repeat(n)}a`,
  unions: (n) => `SELECT 1, 2${" UNION SELECT 1, 2".repeat(n)}`,
  joins: (n) => `SELECT 1 FROM a${" JOIN b ON c AND d".repeat(n)}`,
  subselects: (n) => `SELECT ${"(SELECT ".repeat(n)}1${")".repeat(n)}`,
  "subselects behind AND": (n) => `SELECT a ${"AND (SELECT a ".repeat(n)}${")".repeat(n)}`,
  "subselects behind a label": (n) => `SELECT ${"(SELECT 1 AS end, ".repeat(n)}1${")".repeat(n)}`,
  "CASE behind AND": (n) => `SELECT ${"CASE WHEN a AND ".repeat(n)}1${" THEN 1 END".repeat(n)}`,
  "CASE with columns called end": (n) => `SELECT ${"CASE WHEN a.end THEN ".repeat(n)}1${" END".repeat(n)}`,
  arrays: (n) => `SELECT ARRAY${"[".repeat(n)}1${"]".repeat(n)}`,
  subscripts: (n) => `SELECT ${"a[".repeat(n)}1${"]".repeat(n)}`,
  calls: (n) => `SELECT ${"f(".repeat(n)}1${")".repeat(n)}`,
  "derived tables": (n) => `SELECT 1 FROM ${"(SELECT 1 FROM ".repeat(n)}t${") a".repeat(n)}`,
  ctes: (n) => `${"WITH a AS (".repeat(n)}SELECT 1${") SELECT 1".repeat(n)}`,
  bodies: (n) => `${"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS end; ".repeat(n)}SELECT 1;${" END;".repeat(n)}`,
};

describe("nesting", () => {
  let parser: StatementParser;

  beforeAll(async () => {
    parser = await createStatementParser();
  });

  it.each(Object.keys(nested))("of %s does not break the grammar at any depth", (name) => {
    const text = nested[name] as (n: number) => string;
    for (const n of [100, 300, 500, 700, 740, 750, 900, 1_400, 1_500, 2_000, 2_990, 3_000, 4_000, 10_000, 40_000]) {
      parser.parse(text(n));
      expect(parser.ready, `${name} ${n}`).toBe(true);
    }
    expect(parser.parse("SELECT 1")).toHaveLength(1);
    expect(parser.parse(text(100))).not.toBeNull();
  });

  it.each<[string, string]>([
    [
      "many rows",
      `INSERT INTO a VALUES ${Array.from({ length: 20_000 }, (_, n) => `(${n}, -1, f('x'), now() + '1 day'::interval)`).join(", ")}`,
    ],
    ["a long IN list", `SELECT 1 FROM a WHERE x IN (${Array.from({ length: 50_000 }, (_, n) => n).join(",")})`],
    ["many conditions", `SELECT 1 FROM a WHERE ${Array.from({ length: 10_000 }, (_, n) => `(x = ${n} AND lower(y) = 'a')`).join(" OR ")}`],
    [
      "a CASE with many arms",
      `UPDATE a SET x = CASE id ${Array.from({ length: 5_000 }, (_, n) => `WHEN ${n} THEN f(${n}) || 'x'`).join(" ")} ELSE 'y' END`,
    ],
    ["many columns", `SELECT ${Array.from({ length: 5_000 }, (_, n) => `t.a${n} AS "b ${n}"`).join(", ")} FROM t`],
    [
      "many joins",
      `SELECT 1 FROM a ${Array.from({ length: 500 }, (_, n) => `LEFT JOIN b${n} ON a.x = b${n}.x AND b${n}.y > 3`).join(" ")}`,
    ],
    ["many statements", "UPDATE a SET x = (SELECT max(y) FROM b) + 1 WHERE id = 1; ".repeat(3_000)],
  ])("does not mistake %s for depth", (_, sql) => {
    expect(tooDeep(sql)).toBe(false);
    expect(parser.parse(sql)).not.toBeNull();
  });
});

describe("a grammar whose stack has ended", () => {
  const endless = `SELECT 1${"+1".repeat(50_000)}`;

  it("says so instead of going on", async () => {
    const grammar = await loadGrammar();
    expect(() => grammar.parse(endless)).toThrow(GrammarBroken);
  });

  it("is replaced, and statements are known again", async () => {
    let loaded = 0;
    const parser = await createStatementParser({
      load: async () => {
        const grammar = await loadGrammar();
        loaded++;
        // What the check of the depth keeps away from it otherwise.
        return {
          parse: (text) => grammar.parse(text === "SELECT endless" ? endless : text),
          fingerprint: (text) => grammar.fingerprint(text),
        };
      },
    });
    const facts = parser.parse("SELECT 1")?.[0];
    expect(parser.parse("SELECT endless")).toBeNull();
    expect(parser.ready).toBe(false);
    expect(parser.parse("SELECT 1")).toBeNull();
    expect(facts?.parseTree()).toBe("");
    await expect.poll(() => parser.ready).toBe(true);
    expect(parser.parse("SELECT 1")).toHaveLength(1);
    expect(facts?.parseTree()).toContain("SelectStmt");
    expect(loaded).toBe(2);
  });
});
