// Example plugins that answer, change, refuse, limit and log statements, in one chain before real servers.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { batch, onAllShards, type Rig, run, startRig } from "../plugins/rig.js";
import { example } from "./example-plugins.js";

const folder = mkdtempSync(join(tmpdir(), "pooler-examples-"));
const file = join(folder, "queries.jsonl");
let rig: Rig;

beforeAll(async () => {
  await onAllShards(`
    DROP TABLE IF EXISTS ex_orders, ex_products, ex_payroll;
    CREATE TABLE ex_products (id bigint PRIMARY KEY);
    CREATE TABLE ex_orders (id bigint PRIMARY KEY, document jsonb);
    CREATE TABLE ex_payroll (id bigint);
    INSERT INTO ex_products VALUES (1), (2), (3);
    CREATE OR REPLACE FUNCTION json_ids_refuse(why text) RETURNS jsonb LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION USING ERRCODE = '23503', MESSAGE = why; END $$;`);
  rig = await startRig({
    plugins: [
      example("query-log", { file }),
      example("fake-result", {
        answers: [
          { statement: "SELECT 1", columns: ["?column?"], rows: [["faked"]] },
          {
            statement: "SHOW app_version",
            columns: ["name", "version"],
            rows: [
              ["shop", "4.2"],
              ["search", { null: true }],
            ],
          },
        ],
      }),
      example("rate-limit", {
        per_second: 1_000_000,
        burst: 1_000_000,
        sqlstate: "53400",
        message: "slow down",
        users: { batch: { per_second: 0.001, burst: 3 } },
      }),
      {
        package: "@pooler/plugin-validator",
        config: {
          rules: [
            { type: "deny_tables", name: "payroll is for HR", tables: ["ex_payroll"], except_users: ["hr"] },
            { type: "deny_statements", statements: ["execute"] },
          ],
        },
      },
      example("json-ids", {
        table: "ex_orders",
        column: "document",
        path: "$.items[*].product",
        exists: { table: "ex_products", column: "id", type: "bigint" },
      }),
      example("row-limit", { rows: 10, users: ["analyst"] }),
    ],
    rest: {
      users: Object.fromEntries([
        ...["app", "analyst", "batch", "hr"].map((user) => [user, { server_user: "postgres" }]),
        ["admin", { console: "admin" }],
      ]),
    },
  });
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await rig.stop();
  rmSync(folder, { recursive: true });
  await onAllShards("DROP TABLE ex_orders, ex_products, ex_payroll; DROP FUNCTION json_ids_refuse");
});

describe("fake-result", () => {
  test("answers in both protocols, also in a transaction", async () => {
    const client = await rig.client();
    expect(rowsOf(await client.query("select 1;"))).toEqual([["faked"]]);
    expect(rowsOf(await batch(client, run("SHOW app_version", { describe: "statement" })))).toEqual([
      ["shop", "4.2"],
      ["search", null],
    ]);
    await client.query("BEGIN");
    expect(rowsOf(await client.query("SELECT  1"))).toEqual([["faked"]]);
    expect(rowsOf(await client.query("SELECT 11"))).toEqual([["11"]]);
  });
});

describe("row-limit", () => {
  const all = "SELECT n FROM generate_series(1, 50) AS n -- all of them";

  test("those whom it concerns get so many rows, others all", async () => {
    const [analyst, app] = [await rig.client({ user: "analyst" }), await rig.client()];
    expect(rowsOf(await analyst.query(all))).toHaveLength(10);
    expect(rowsOf(await batch(analyst, run(`${all} WHERE n > $1`.replace(" -- all of them", ""), { values: ["45"] })))).toHaveLength(5);
    expect(rowsOf(await analyst.query("VALUES (1), (2) UNION ALL SELECT generate_series(1, 30)"))).toHaveLength(10);
    expect(rowsOf(await app.query(all))).toHaveLength(50);
  });

  test("a limit of the query's own stays", async () => {
    const analyst = await rig.client({ user: "analyst" });
    expect(rowsOf(await analyst.query("SELECT generate_series(1, 50) LIMIT 20"))).toHaveLength(20);
    expect(rowsOf(await analyst.query("SELECT generate_series(1, 50) FETCH FIRST 12 ROWS ONLY"))).toHaveLength(12);
  });
});

test("rate-limit: who sends too many is told when to come again, and may end what has begun", async () => {
  const client = await rig.client({ user: "batch" });
  for (const sql of ["SELECT 11", "SELECT 12", "BEGIN", "SELECT 13"]) expect(errorIn(await client.query(sql))).toBeUndefined();
  for (const sql of ["SELECT 14", "SELECT 15", "COMMIT"]) expect(errorIn(await client.query(sql))).toBeUndefined();
  expect(errorIn(await client.query("SELECT 16"))).toMatchObject({
    C: "53400",
    M: "slow down",
    D: 'User "batch" may begin 0.001 transactions a second.',
    H: expect.stringMatching(/^Try again in \d+ ms\.$/),
  });
  const app = await rig.client();
  expect(rowsOf(await app.query("SELECT 17"))).toEqual([["17"]]);
});

describe("rules of the validator", () => {
  test("a table is for some users only", async () => {
    const app = await rig.client();
    const hr = await rig.client({ user: "hr" });
    expect(errorIn(await app.query("SELECT * FROM (SELECT count(*) FROM ex_payroll) AS hidden"))).toMatchObject({ C: "42501" });
    expect(rowsOf(await hr.query("SELECT count(*) FROM ex_payroll"))).toEqual([["0"]]);
  });

  test("EXECUTE is refused", async () => {
    const client = await rig.client();
    expect(errorIn(await client.query("EXECUTE something(1)"))).toMatchObject({ C: "42501" });
  });
});

describe("json-ids", () => {
  const document = (...ids: readonly unknown[]): string => JSON.stringify({ items: ids.map((product) => ({ product })) });
  const insert = "INSERT INTO ex_orders (id, document) VALUES ($1, $2)";

  test("documents whose ids are known are written", async () => {
    const client = await rig.client();
    for (const [id, text] of [
      ["1", document(1, 2)],
      ["2", document()],
      ["3", "{}"],
      ["4", null],
    ] as const) {
      expect(errorIn(await batch(client, run(insert, { values: [id, text] })))).toBeUndefined();
    }
    const update = "UPDATE ex_orders SET document = $2::jsonb WHERE id = $1";
    expect(errorIn(await batch(client, run(update, { values: ["2", document("3")], types: [20, 25] })))).toBeUndefined();
    const rows = rowsOf(await client.query("SELECT id, document #>> '{items,0,product}' FROM ex_orders ORDER BY id"));
    expect(rows).toEqual([
      ["1", "1"],
      ["2", "3"],
      ["3", null],
      ["4", null],
    ]);
  });

  test("others are refused, with the ids that are not there", async () => {
    const client = await rig.client();
    const answer = await batch(client, run(insert, { values: ["5", document(1, 77, 88)] }));
    expect(errorIn(answer)).toMatchObject({ C: "23503", M: "not in ex_products: 77, 88" });
    const two = "INSERT INTO ex_orders (document, id) VALUES ($1, 6), ($2, 7)";
    expect(errorIn(await batch(client, run(two, { values: [document(1), document(9)] })))).toMatchObject({ M: "not in ex_products: 9" });
    expect(rowsOf(await client.query("SELECT count(*) FROM ex_orders WHERE id > 4"))).toEqual([["0"]]);
  });

  test.each([
    `INSERT INTO ex_orders VALUES (8, '${document(99)}')`,
    `INSERT INTO ex_orders (id, document) VALUES (8, '${document(99)}')`,
    "INSERT INTO ex_orders (id, document) SELECT 8, document FROM ex_orders",
    "WITH w AS (INSERT INTO ex_orders (id, document) VALUES (8, '{}') RETURNING id) SELECT * FROM w",
    "COPY ex_orders FROM STDIN",
  ])("what cannot be checked is refused: %s", async (sql) => {
    const client = await rig.client();
    expect(errorIn(await client.query(sql))).toMatchObject({
      C: "0A000",
      M: '"document" of "ex_orders" cannot be checked in this statement',
    });
  });

  test("what leaves the column alone passes", async () => {
    const client = await rig.client();
    for (const sql of [
      "INSERT INTO ex_orders (id) VALUES (20)",
      "UPDATE ex_orders SET id = 21 WHERE id = 20",
      "DELETE FROM ex_orders WHERE id = 21",
    ]) {
      expect(errorIn(await client.query(sql))).toBeUndefined();
    }
  });
});

test("query-log: a line for each statement, without values", async () => {
  const client = await rig.client();
  await client.query("SELECT 'a secret' AS marked, 4711");
  await batch(client, run("SELECT $1::text AS marked", { values: ["another secret"] }));
  await client.query("SELECT 1 / 0 AS marked -- secret");
  const read = (): Record<string, unknown>[] =>
    readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ sql }) => String(sql).includes("marked"));
  await expect.poll(() => read().length).toBe(3);
  expect(read()).toMatchObject([
    { user: "app", sql: "SELECT ? AS marked, ?", rows: 1, sqlstate: null, ran_on: "primary of shard 0" },
    { sql: "SELECT $1::text AS marked", rows: 1 },
    { sql: "SELECT ? / ? AS marked", sqlstate: "22012" },
  ]);
  expect(readFileSync(file, "utf8")).not.toContain("secret");
});
