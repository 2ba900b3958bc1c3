// Which texts are prepared where they share servers: what comes again, as long as it means the same, and not too many of them.
import { describe, expect, test } from "vitest";
import { createGlobalStatement } from "../server/global-statement.js";
import { Batch } from "./batch.js";
import { KindTable } from "./kind-table.js";
import { type SharedText, SharedTexts } from "./shared-texts.js";

const rules = { functions: new Set<string>(), never: new Set<string>() };

function createTable(limit = 100): {
  readonly texts: SharedTexts;
  readonly kinds: KindTable;
  find(sql: string, reading?: string): SharedText | null;
} {
  const kinds = new KindTable(rules);
  const texts = new SharedTexts(kinds, limit);
  return {
    texts,
    kinds,
    find(sql, reading = "") {
      const batch = new Batch();
      const buffer = Buffer.from(`Q....${sql}\0`);
      batch.begin(buffer, 0, buffer.length);
      texts.findQuery(batch, 5, buffer.length - 1, reading);
      return batch.text;
    },
  };
}

describe("a simple query is prepared", () => {
  test("when what is left of it without its values comes again", () => {
    const { find } = createTable();
    expect(find("SELECT a FROM t WHERE id = 1")).toBeNull();
    const text = find("SELECT a FROM t WHERE id = 2");
    expect(text?.sql.toString()).toBe("SELECT a FROM t WHERE id = $1");
    expect(find("SELECT a FROM t WHERE id = 3")).toBe(text);
    expect(text?.typeOids).toEqual([23]);
  });

  test.each([
    ["values of other types", "SELECT a FROM t WHERE id = 9876543210", ""],
    ["settings that change what texts mean", "SELECT a FROM t WHERE id = 1", "datestyle"],
    ["other blanks", "SELECT a FROM t WHERE id  = 1", ""],
    ["words in other case", "select a FROM t WHERE id = 1", ""],
  ])("apart from others: %s", (_, sql, reading) => {
    const { find } = createTable();
    for (let i = 0; i < 2; i++) find("SELECT a FROM t WHERE id = 1");
    const text = find("SELECT a FROM t WHERE id = 1");
    for (let i = 0; i < 2; i++) find(sql, reading);
    const other = find(sql, reading);
    expect(other).not.toBeNull();
    expect(other).not.toBe(text);
  });

  test.each([
    "SELECT a = 5, count(*) FROM t GROUP BY ROLLUP (a, a = 5)",
    "SELECT now() = statement_timestamp()",
    "SELECT current_query() WHERE 1 = 1",
    "SELECT name FROM pg_cursor()",
  ])("not what Bind and Execute would make something else of: %s", (sql) => {
    const { find, texts, kinds } = createTable();
    for (let i = 0; i < 3; i++) expect(find(sql)).toBeNull();
    // Whoever sends those has sent them so.
    const global = createGlobalStatement(Buffer.from(sql), []);
    const kind = kinds.find(global.sql, 0, global.sql.length);
    for (let i = 0; i < 2; i++) texts.findStatement(global, kind);
    expect(texts.findStatement(global, kind)).not.toBeNull();
  });

  test.each(["UPDATE t SET a = 1", "SELECT a FROM t WHERE b > 'now'::timestamptz", "SELECT pg_sleep(1)", "SELECT $1"])("not: %s", (sql) => {
    const { find } = createTable();
    for (let i = 0; i < 3; i++) expect(find(sql)).toBeNull();
  });

  test("as another statement when the columns of its tables have changed, and as the same when they are as before", () => {
    const { find } = createTable();
    find("SELECT a FROM t WHERE id = 1");
    const text = find("SELECT a FROM t WHERE id = 1") as SharedText;
    const names = ["one", "two", "one"].map((columns) => {
      text.kind.columns = columns;
      return text.statement.name;
    });
    expect(names[1]).not.toBe(names[0]);
    expect(names[2]).toBe(names[0]);
  });
});

test("the text of an unnamed statement is prepared when it comes again, under another name than the client's own", () => {
  const { texts, kinds } = createTable();
  const sql = Buffer.from("SELECT a FROM t WHERE id = $1");
  const global = createGlobalStatement(sql, [20]);
  const kind = kinds.find(sql, 0, sql.length);
  expect(texts.findStatement(global, kind)).toBeNull();
  const text = texts.findStatement(global, kind);
  expect(text?.statement.typeOids).toEqual([20]);
  expect(text?.statement.name).not.toBe(global.name);
  expect(texts.findStatement(global, kind)).toBe(text);
  const others = new SharedTexts(kinds, 10);
  const otherKind = new KindTable(rules).find(sql, 0, sql.length);
  expect(others.findStatement(global, otherKind)).toBeNull();
});

describe("when all places are taken", () => {
  test("who is in use stays, and what comes more and more gets the place of what comes no more", () => {
    const { texts, find } = createTable(4);
    const keep = (): void => {
      for (const n of [0, 1, 2]) find(`SELECT a${n} FROM t`);
    };
    for (const n of [0, 1, 2, 3]) for (let i = 0; i < 2; i++) find(`SELECT a${n} FROM t`);
    expect(texts.size).toBe(4);
    find("SELECT b FROM t");
    expect(find("SELECT b FROM t")).toBeNull();
    let comes = 0;
    while (find("SELECT b FROM t") === null && comes++ < 1_000) keep();
    expect(comes).toBeLessThan(1_000);
    keep();
    expect(find("SELECT a0 FROM t")).not.toBeNull();
    expect(find("SELECT a3 FROM t")).toBeNull();
    expect(texts.size).toBe(4);
  });

  test("a crowd of texts does not drive each other out all the time", () => {
    const { texts, find } = createTable(8);
    const statements = new Set<SharedText>();
    let found = 0;
    for (let round = 0; round < 50; round++)
      for (let n = 0; n < 32; n++) {
        const text = find(`SELECT a${n} FROM t`);
        if (text === null) continue;
        found++;
        statements.add(text);
      }
    expect(texts.size).toBeLessThanOrEqual(8);
    // Of 1,600 that came hardly any had to be made anew.
    expect(found).toBeGreaterThan(200);
    expect(statements.size).toBeLessThan(60);
  });
});
