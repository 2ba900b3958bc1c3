import { beforeAll, describe, expect, it, test } from "vitest";
import { type Grammar, loadGrammar } from "./grammar.js";
import { liftTree } from "./lifted-tree.js";
import { LiteralKind, LiteralScan } from "./literal-scan.js";
import { createStatementParser } from "./parser.js";
import { createStatementCache, type StatementCache } from "./statement-cache.js";
import type { StatementParser } from "./types.js";

let grammar: Grammar;
let parser: StatementParser;
beforeAll(async () => {
  grammar = await loadGrammar();
  parser = await createStatementParser();
});

function treeOf(sql: string): string {
  const parsed = grammar.parse(sql);
  if (!("tree" in parsed)) throw new Error(`${parsed.error}: ${sql}`);
  return parsed.tree;
}

function scanOf(sql: string): LiteralScan | null {
  const scan = new LiteralScan();
  const bytes = Buffer.from(sql);
  return scan.scan(bytes, 0, bytes.length, true) ? scan : null;
}

/** The shape with its marks made visible. */
function shapeOf(sql: string): string | null {
  return scanOf(sql)?.key.replace(/[^ -\u{ff}]/gu, (mark) => `<${"sild"[mark.charCodeAt(0) - 1]}>`) ?? null;
}

function valuesOf(sql: string): string[] {
  const scan = scanOf(sql) as LiteralScan;
  return Array.from({ length: scan.count }, (_, n) => Buffer.from(scan.valueOf(n), "latin1").toString());
}

describe("the shape of a text", () => {
  it.each([
    ["SELECT a FROM t WHERE id = 42 AND b='x'", "SELECT a FROM t WHERE id = <i> AND b=<s>"],
    ["SELECT  a -- 1\n,\tb /* 'x' /* 2 */ */ FROM t", "SELECT a , b FROM t"],
    ["SELECT 1, 2147483647, 2147483648, 123456789012345678, 1.50", "SELECT <i>, <i>, <l>, <l>, <d>"],
    ["SELECT 1e5, 0x1F, 1_000, 5., 0123456789, 1234567890123456789", "SELECT 1e5, 0x1F, 1_000, 5., 0123456789, 1234567890123456789"],
    ["SELECT t1.c2 FROM t1 WHERE \"1 'x'\" = 3", "SELECT t1.c2 FROM t1 WHERE \"1 'x'\" = <i>"],
    [
      "SELECT E'a\\'1', U&'x', B'01', X'1f', $$1 'x'$$, $a$ $$ 2 $a$, 3",
      "SELECT E'a\\'1', U&'x', B'01', X'1f', $$1 'x'$$, $a$ $$ 2 $a$, <i>",
    ],
    ["SELECT 'it''s', '', ''''", "SELECT <s>, <s>, <s>"],
    ["SELECT N'x' , é FROM t", "SELECT N<s> , é FROM t"],
  ])("%s", (sql, shape) => {
    const expected = shape === null ? null : Buffer.from(shape).toString("latin1");
    expect(shapeOf(sql)).toBe(expected);
  });

  it("comes with the values, without quotes", () => {
    expect(valuesOf("INSERT INTO t VALUES (1, 'it''s', '', '''', 'é ☃', 9999999999, 1.5)")).toEqual([
      "1",
      "it's",
      "",
      "'",
      "é ☃",
      "9999999999",
      "1.5",
    ]);
  });

  it.each([
    ["a parameter", "SELECT $1, 2"],
    ["strings that go on", "SELECT 'a'\n'b'"],
    ["a string that does not end", "SELECT 'a"],
    ["a comment that does not end", "SELECT 1 /* 'a'"],
    ["a semicolon", "SELECT 1; SELECT 2"],
    ["bytes that could be taken for a mark", "SELECT \u0002"],
    ["a very long text", `SELECT '${"x".repeat(9000)}'`],
    ["more literals than are counted", `SELECT ${"1,".repeat(70)}1`],
  ])("is not made of %s", (_, sql) => {
    expect(scanOf(sql)).toBeNull();
  });

  it("is not made of bytes whose encoding is not known", () => {
    const bytes = Buffer.from("SELECT 'é', 1");
    expect(new LiteralScan().scan(bytes, 0, bytes.length, false)).toBe(false);
    const ascii = Buffer.from("SELECT 'e', 1");
    expect(new LiteralScan().scan(ascii, 0, ascii.length, false)).toBe(true);
  });
});

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The tree as it would be without lifting: constants in place of the parameters that stand for them, without places. */
function putBack(tree: string, values: readonly { readonly kind: number; readonly text: string }[]): Json {
  const visit = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value !== "object" || value === null) return value;
    const out: { [key: string]: Json } = {};
    for (const key in value) {
      if (/location|stmt_len|list_start|list_end/.test(key)) continue;
      if (key === "ParamRef") {
        const number = (value[key] as { number: number }).number;
        const { kind, text } = values[number - 1] as { kind: number; text: string };
        out["A_Const"] = constantOf(kind, text);
      } else {
        out[key] = visit(value[key] as Json);
      }
    }
    return out;
  };
  return visit(JSON.parse(tree) as Json);
}

function constantOf(kind: number, text: string): { [key: string]: Json } {
  if (kind === LiteralKind.STRING) return { sval: { sval: text } };
  if (kind === LiteralKind.INTEGER) return { ival: Number(text) === 0 ? {} : { ival: Number(text) } };
  return { fval: { fval: text } };
}

/** Texts with the places of their literals: ‹n› is a number, ‹s› a string, ‹l› a large number, ‹d› a decimal. */
const templates = [
  "SELECT abalance FROM pgbench_accounts WHERE aid = ‹n›",
  "SELECT ‹n›, ‹s› AS a, -‹n›, - ‹n›, a-‹n›, a - -‹n› FROM t",
  "SELECT * FROM t WHERE a IN (‹n›, ‹n›, -‹n›) AND b BETWEEN ‹d› AND ‹l› OR c LIKE ‹s› ESCAPE '!'",
  "SELECT * FROM t WHERE (a, b) = (‹n›, ‹s›) AND c = ANY(ARRAY[‹n›, ‹n›]) AND d = ANY(‹s›::int[])",
  "SELECT CASE WHEN a > ‹n› THEN ‹s› ELSE ‹s› END, coalesce(a, ‹n›), greatest(‹n›, b), f(‹n›, x => ‹s›) FROM t",
  "SELECT a FROM t ORDER BY 1, 2 DESC LIMIT 10 OFFSET ‹n›",
  "SELECT a, count(*) FROM t GROUP BY 1 HAVING count(*) > ‹n› ORDER BY a + ‹n›",
  "SELECT CAST(‹s› AS varchar(3)), ‹s›::char(4), ‹d›::numeric(5, 2), date ‹s›, interval ‹s› day, interval(3) ‹s› FROM t",
  "SELECT a[1], b[2:3], (c).d, e -> ‹s›, e #> ‹s› FROM t TABLESAMPLE bernoulli (‹n›) REPEATABLE (3)",
  "INSERT INTO t (a, b) VALUES (‹n›, ‹s›), (‹n›, ‹s›) ON CONFLICT (a) DO UPDATE SET b = ‹s› WHERE t.a < ‹n› RETURNING ‹n›",
  "INSERT INTO t SELECT ‹n›, x FROM generate_series(‹n›, ‹n›) AS g(x)",
  "UPDATE pgbench_accounts SET abalance = abalance + -‹n›, c = ‹s› WHERE aid = ‹n›",
  "DELETE FROM t USING u WHERE t.a = u.a AND u.b IS NOT DISTINCT FROM ‹n›",
  "WITH a AS (SELECT ‹n› AS x), b (y) AS (VALUES (‹s›)) SELECT * FROM a, b WHERE x = ‹n› FOR UPDATE",
  "MERGE INTO t USING u ON t.a = u.a AND u.k = ‹n› WHEN MATCHED THEN UPDATE SET b = ‹s› WHEN NOT MATCHED THEN INSERT VALUES (‹n›, ‹s›)",
  "VALUES (‹n›, ‹s›), (‹l›, ‹s›)",
  "SELECT extract(year FROM a), extract('year' FROM a), a AT TIME ZONE ‹s›, overlay(a placing ‹s› from ‹n›), position(‹s› in a), trim(‹s› from a)",
  "SELECT U&'d!0061t' UESCAPE '!', E'x', B'01', ‹n› WHERE true AND a IS NULL",
  "SELECT row_number() OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING), percentile_cont(‹d›) WITHIN GROUP (ORDER BY a) FROM t",
  "SELECT a FROM t OFFSET ‹n› FETCH FIRST 7 ROWS ONLY",
  "SELECT EXISTS (SELECT ‹n› FROM u WHERE u.a = ‹s›), (SELECT ‹n›), NOT (a = ‹n›), a <-‹n› FROM t",
];

function fill(template: string, round: number): string {
  let i = round * 7;
  return template.replace(/‹(.)›/g, (_, kind: string) => {
    i++;
    switch (kind) {
      case "n":
        return String((i * 7919) % 100_000);
      case "l":
        return String(3_000_000_000 + i);
      case "d":
        return `${i}.${i}5`;
      default:
        return ["'a'", "''", "'it''s'", `'${i}'`, "'é -- 1'", "'$1 /*'"][i % 6] as string;
    }
  });
}

describe("the tree of a shape", () => {
  test.each(templates)("is that of every text of the shape: %s", (template) => {
    const first = fill(template, 0);
    const scan = scanOf(first) as LiteralScan;
    const lifted = liftTree(treeOf(first), scan);
    if (/‹/.test(template)) expect(lifted.lifted).toBeGreaterThan(0);
    for (let round = 0; round < 6; round++) {
      const text = fill(template, round).replaceAll(
        / (?=[^']*(?:'[^']*'[^']*)*$)/g,
        round % 2 === 0 || /UESCAPE/.test(template) ? " " : " /* 5 */  ",
      );
      const other = scanOf(text) as LiteralScan;
      expect(other.key).toBe(scan.key);
      const values: { kind: number; text: string }[] = [];
      for (let n = 0; n < other.count; n++) {
        if (lifted.kept[n] === true) continue;
        const value = Buffer.from(other.valueOf(n), "latin1").toString();
        values.push({ kind: other.kinds[n] as number, text: (lifted.negated[n] === true ? "-" : "") + value });
      }
      expect(putBack(lifted.tree, values)).toEqual(putBack(treeOf(text), []));
    }
  });

  it("keeps what means something by its value", () => {
    const kept = (sql: string) => {
      const scan = scanOf(sql) as LiteralScan;
      const { kept } = liftTree(treeOf(sql), scan);
      return Array.from({ length: scan.count }, (_, n) => n)
        .filter((n) => kept[n] === true)
        .map((n) => scan.valueOf(n));
    };
    expect(kept("SELECT a FROM t WHERE b = 3 GROUP BY 1 ORDER BY 2")).toEqual(["1", "2"]);
    expect(kept("SELECT 'x'::varchar(7), 1.5::numeric(4, 2), a[6]")).toEqual(["7", "4", "2", "6"]);
    expect(kept("SELECT DISTINCT ON (1) a FROM t LIMIT 4")).toEqual(["1", "4"]);
    expect(kept("SELECT +8, a FROM t WHERE 1 = 0 AND b = 5")).toEqual(["8", "1", "0"]);
    expect(kept("SELECT U&'d!0061' UESCAPE '!', 5")).toEqual(["!"]);
  });
});

function createCache(
  options: { readonly liftsLiterals?: boolean; readonly maxTexts?: number } = {},
): StatementCache & { readonly forgotten: number[] } {
  const forgotten: number[] = [];
  const cache = createStatementCache({
    maxTexts: options.maxTexts ?? 100,
    maxBytes: 1 << 20,
    parser,
    liftsLiterals: options.liftsLiterals ?? true,
    onForget: ({ id }) => forgotten.push(id),
  });
  return Object.assign(cache, { forgotten });
}

function lift(cache: StatementCache, sql: string, encoding = "UTF8") {
  const bytes = Buffer.concat([Buffer.from("';"), Buffer.from(sql), Buffer.from("';")]);
  const lifted = cache.lift(bytes, 2, bytes.length - 2, encoding);
  if (lifted === null) return null;
  const { statement, literals } = lifted;
  const values = Array.from({ length: literals.count }, (_, i) => {
    const from = literals.offsets[i] as number;
    const value = literals.buffer.toString("utf8", from, from + (literals.lengths[i] as number));
    return `${value}:${literals.typeOids[i]}`;
  });
  const text = lifted.buffer.toString("utf8", lifted.start, lifted.end);
  return { statement, values, text };
}

describe("texts that differ in literals", () => {
  it("are one statement, whose literals are its parameters", () => {
    const cache = createCache();
    const first = lift(cache, "SELECT a FROM t WHERE id = 42 AND b = 'x'");
    const second = lift(cache, "SELECT a FROM t  WHERE id = 43 AND b = 'it''s' /* 7 */");
    expect(second?.statement).toBe(first?.statement);
    expect(first?.values).toEqual(["42:23", "x:705"]);
    expect(second?.values).toEqual(["43:23", "it's:705"]);
    expect(second?.text).toBe("SELECT a FROM t  WHERE id = 43 AND b = 'it''s' /* 7 */");
    expect(first?.statement.facts?.tables.map(({ name }) => name)).toEqual(["t"]);
    expect(first?.statement.facts?.parseTree()).toContain('"ParamRef":{"number":2');
    expect(first?.statement.facts?.parseTree()).not.toContain("A_Const");
    expect(cache.texts).toBe(1);
  });

  it("are different ones where the value counts, and where the numbers are of other types", () => {
    const cache = createCache();
    const id = (sql: string) => lift(cache, sql)?.statement.id;
    expect(id("SELECT a, b FROM t WHERE c = 1 ORDER BY 1")).toBe(id("SELECT a, b FROM t WHERE c = 2 ORDER BY 1"));
    expect(id("SELECT a, b FROM t WHERE c = 1 ORDER BY 1")).not.toBe(id("SELECT a, b FROM t WHERE c = 1 ORDER BY 2"));
    expect(id("SELECT a FROM t WHERE c = 1")).not.toBe(id("SELECT a FROM t WHERE c = 9999999999"));
    expect(id("SELECT a FROM t WHERE c = 1")).not.toBe(id("SELECT a FROM t WHERE c = '1'"));
    expect(lift(cache, "UPDATE t SET a = a + -5, b = 9999999999, c = 1.5")?.values).toEqual(["-5:23", "9999999999:20", "1.5:1700"]);
  });

  it("are looked at one by one when a plugin does not take literals as parameters", () => {
    expect(lift(createCache({ liftsLiterals: false }), "SELECT 1")).toBeNull();
  });

  it("are looked at one by one when the grammar refuses them, or nothing can be lifted", () => {
    const cache = createCache();
    expect(lift(cache, "SELECT FROM WHERE 1")).toBeNull();
    expect(lift(cache, "SELECT a FROM t ORDER BY 1")).toBeNull();
    expect(lift(cache, "SELECT a FROM t")).toBeNull();
    expect(cache.texts).toBe(0);
  });

  it("are forgotten as texts are, and come back under another id", () => {
    const cache = createCache({ maxTexts: 2 });
    const first = lift(cache, "SELECT a FROM t WHERE id = 1")?.statement.id as number;
    lift(cache, "SELECT b FROM t WHERE id = 1");
    const exact = Buffer.from("SELECT 1");
    cache.statementsOf(exact, 0, exact.length, "UTF8", true);
    expect(cache.forgotten).toEqual([first]);
    expect(lift(cache, "SELECT a FROM t WHERE id = 2")?.statement.id).toBeGreaterThan(first);
    expect(cache.texts).toBe(2);
  });

  it("are never taken for a text that looks like their shape", () => {
    const cache = createCache();
    const id = lift(cache, "SELECT 1")?.statement.id;
    const disguised = Buffer.from("SELECT \u0002");
    const { statements } = cache.statementsOf(disguised, 0, disguised.length, "UTF8", true);
    expect(statements.map((statement) => statement.id)).not.toContain(id);
    expect(lift(cache, "SELECT \u0002")).toBeNull();
  });
});
