// result_row: plugins see, change and drop rows of the statements that they asked for, in both protocols; no row that a plugin did not let
// through reaches a client, whatever fails.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { columnsOf, errorIn, rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { createHookLog } from "./hook-rig.js";
import { hooks } from "./plugin-libraries.js";
import { again, batch, flush, int4, onAllShards, placeIn, port, prepare, type Rig, run, shortly, startRig, sync } from "./rig.js";

const [first] = sharedShards();
const log = createHookLog();
let rig: Rig;
beforeAll(async () => {
  await onAllShards(
    "DROP TABLE IF EXISTS people; CREATE TABLE people (id int4 PRIMARY KEY, secret text, n int4); INSERT INTO people SELECT i, 'secret ' || i, i * 10 FROM generate_series(1, 10) i; DROP TABLE IF EXISTS written; CREATE TABLE written (id int4)",
  );
  rig = await startRig({
    plugins: [{ as: "hooks", library: hooks() }],
    databases: {
      app: { shards: [first], pool_size: 1 },
      held: { shards: [first], pool_size: 1, pool_mode: "session" },
      sharded: { shards: sharedShards() },
    },
  });
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await rig.stop();
  log.remove();
});

const select = (rule: string, where = "id <= 3"): string =>
  `SELECT /* rows: ${rule} */ id, secret, n FROM people WHERE ${where} ORDER BY id`;

const ways: readonly (readonly [string, (client: WireClient, sql: string) => ReturnType<WireClient["query"]>])[] = [
  ["simple", (client, sql) => client.query(sql)],
  ["extended", (client, sql) => batch(client, run(sql))],
  ["described", (client, sql) => batch(client, run(sql, { describe: "portal" }))],
];

describe.each(ways)("in the %s protocol", (way, ask) => {
  test("a column is masked, and NULL where it is no text", async () => {
    const client = await rig.client();
    expect(rowsOf(await ask(client, select("mask secret")))).toEqual([
      ["1", "***", "10"],
      ["2", "***", "20"],
      ["3", "***", "30"],
    ]);
    expect(rowsOf(await ask(client, select("null n", "id = 1")))).toEqual([["1", "secret 1", null]]);
    // The next statement is nobody's business.
    expect(rowsOf(await ask(client, "SELECT secret FROM people WHERE id = 1"))).toEqual([["secret 1"]]);
  });

  test("rows are dropped, and the count follows", async () => {
    const client = await rig.client();
    const answer = await ask(client, select("drop 2"));
    expect(rowsOf(answer).map(([id]) => id)).toEqual(["1", "3"]);
    expect(shortly(answer)).toMatch(/C\(SELECT 2\) Z\(I\)$/);
    const none = await ask(client, select("drop all"));
    expect(rowsOf(none)).toEqual([]);
    expect(shortly(none)).toMatch(/C\(SELECT 0\) Z\(I\)$/);
    if (way !== "extended") expect(none.find(({ type }) => type === "T")).toBeDefined();
  });

  test("what a statement wrote is counted as it was written", async () => {
    const client = await rig.client();
    const answer = await ask(client, "UPDATE people SET n = n /* rows: drop 2 */ WHERE id <= 3 RETURNING id");
    expect(
      rowsOf(answer)
        .map(([id]) => id)
        .sort(),
    ).toEqual(["1", "3"]);
    expect(shortly(answer)).toMatch(/C\(UPDATE 3\) Z\(I\)$/);
  });

  test("values may grow beyond every buffer, and many rows come through", async () => {
    const client = await rig.client();
    const grown = rowsOf(await ask(client, select("grow secret")));
    expect(grown.map(([, secret]) => secret?.length)).toEqual([100_000, 100_000, 100_000]);
    const many = await ask(client, "SELECT /* rows: mask secret */ i AS id, repeat('x', 100) AS secret FROM generate_series(1, 20000) i");
    expect(rowsOf(many).length).toBe(20_000);
    expect(new Set(rowsOf(many).map(([, secret]) => secret))).toEqual(new Set(["***"]));
  });

  test.each([
    ["fail", 'plugin "./hooks" failed: no row 2'],
    ["panic", 'plugin "./hooks" failed: it panicked: asked to panic at row 2'],
  ])("a plugin that %ss at a row fails the statement, and no row comes after it", async (how, words) => {
    const client = await rig.client();
    const answer = await ask(client, select(`${how} 2`));
    expect(errorIn(answer)).toMatchObject({ C: "XX000", M: expect.stringContaining(words) as string });
    expect(rowsOf(answer)).toEqual([["1", "secret 1", "10"]]);
    expect(shortly(answer)).toMatch(/E\([^)]*\)+ Z\(I\)$/);
    expect(rowsOf(await ask(client, "SELECT 1"))).toEqual([["1"]]);
  });

  test("an answer with too few values fails the statement", async () => {
    const client = await rig.client();
    const answer = await ask(client, select("wrong"));
    expect(errorIn(answer)?.["M"]).toContain("malformed: the row has 3 values, it answered 2");
    expect(rowsOf(answer)).toEqual([]);
  });

  test("a transaction fails by it, at the server, too", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    await client.query("INSERT INTO written VALUES (1)");
    const answer = await ask(client, select("fail 2"));
    expect(errorIn(answer)).toMatchObject({ C: "XX000" });
    expect(shortly(answer)).toMatch(/Z\(E\)$/);
    expect(errorIn(await client.query("SELECT 1"))).toMatchObject({ C: "25P02" });
    expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
    expect(rowsOf(await client.query("SELECT count(*) FROM written"))).toEqual([["0"]]);
  });

  test("COPY TO is refused, COPY FROM is not", async () => {
    const client = await rig.client();
    expect(errorIn(await ask(client, "COPY people /* rows: mask secret */ TO STDOUT"))).toMatchObject({
      C: "0A000",
      M: expect.stringContaining("./hooks") as string,
    });
    expect(errorIn(await ask(client, "COPY (SELECT /* rows: mask secret */ * FROM people) TO STDOUT"))).toMatchObject({ C: "0A000" });
    expect(rowsOf(await ask(client, "SELECT 1"))).toEqual([["1"]]);
  });

  test("in session mode it is the same", async () => {
    const client = await rig.client({ database: "held" });
    expect(rowsOf(await ask(client, select("mask secret", "id = 1")))).toEqual([["1", "***", "10"]]);
    expect(errorIn(await ask(client, select("fail 1")))).toMatchObject({ C: "XX000" });
    expect(rowsOf(await ask(client, "SELECT secret FROM people WHERE id = 1"))).toEqual([["secret 1"]]);
  });
});

test("binary values are seen and replaced in their format", async () => {
  const client = await rig.client();
  const answer = await batch(client, run(select("mask secret", "id = $1"), { values: ["2"], binary: true, describe: "portal" }));
  expect(columnsOf(answer.find(({ type }) => type === "T") as never).map(({ name }) => name)).toEqual(["id", "secret", "n"]);
  expect(shortly(answer)).toMatch(/C\(SELECT 1\) Z\(I\)$/);
  const masked = await batch(client, run(select("null n", "id = $1"), { types: [23], values: [int4(2)], binary: true }));
  expect(rowsOf(masked)[0]?.[2]).toBeNull();
  expect(rowsOf(await batch(client, run(select("drop 2"), { binary: true })))).toHaveLength(2);
});

test("a prepared statement is masked at each execution, and only the statement that asked", async () => {
  const client = await rig.client();
  await prepare(client, "masked", select("mask secret", "id = $1"), [23]);
  await prepare(client, "plain", "SELECT secret FROM people WHERE id = $1", [23]);
  for (let i = 1; i <= 3; i++) {
    const answer = await batch(client, again({ name: "masked", values: [`${i}`] }), again({ name: "plain", values: [`${i}`] }));
    expect(rowsOf(answer)).toEqual([[`${i}`, "***", `${i * 10}`], [`secret ${i}`]]);
  }
});

test("each statement of a string has its own rule", async () => {
  const client = await rig.client();
  const answer = await client.query(
    `SELECT secret FROM people WHERE id = 1; ${select("mask secret", "id = 2")}; SELECT 3; ${select("drop all")}; SELECT 5`,
  );
  expect(rowsOf(answer)).toEqual([["secret 1"], ["2", "***", "20"], ["3"], ["5"]]);
  expect(answer.filter(({ type }) => type === "C").map(String)).toEqual([
    "C(SELECT 1)",
    "C(SELECT 1)",
    "C(SELECT 1)",
    "C(SELECT 0)",
    "C(SELECT 1)",
  ]);
  // What stands behind a failure is not heard of.
  const failed = await client.query(`SELECT 1; ${select("fail 1")}; SELECT secret FROM people`);
  expect(shortly(failed)).toMatch(/^T D\(1\) C\(SELECT 1\) T E\(.*\) Z\(I\)$/);
});

describe("a portal with a row limit", () => {
  test("makes up for rows that were dropped, and goes on where it was", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    const one = await batch(client, run(select("drop 2", "true"), { portal: "p", rows: 3 }));
    expect(rowsOf(one).map(([id]) => id)).toEqual(["1", "3", "4"]);
    expect(shortly(one)).toMatch(/s Z\(T\)$/);
    const two = await batch(client, messages.execute({ portal: "p", rows: 4 }));
    expect(rowsOf(two).map(([id]) => id)).toEqual(["5", "6", "7", "8"]);
    const three = await batch(client, messages.execute({ portal: "p", rows: 4 }));
    expect(rowsOf(three).map(([id]) => id)).toEqual(["9", "10"]);
    expect(shortly(three)).toMatch(/C\(SELECT 2\) Z\(T\)$/);
    await client.query("COMMIT");
  });

  test("is masked in every batch, until another takes its name", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    expect(rowsOf(await batch(client, run(select("mask secret", "true"), { rows: 1 })))).toEqual([["1", "***", "10"]]);
    expect(rowsOf(await batch(client, messages.execute({ rows: 1 })))).toEqual([["2", "***", "20"]]);
    expect(rowsOf(await batch(client, run("SELECT secret FROM people ORDER BY id", { rows: 1 })))).toEqual([["secret 1"]]);
    expect(rowsOf(await batch(client, messages.execute({ rows: 1 })))).toEqual([["secret 2"]]);
    await client.query("COMMIT");
  });
});

test("a batch up to Flush is masked, and fails up to its Sync", async () => {
  const client = await rig.client();
  client.send(run(select("mask secret", "id = 1")), flush);
  expect(rowsOf(await client.until("C"))).toEqual([["1", "***", "10"]]);
  client.send(run(select("fail 1")), flush);
  expect(errorIn(await client.until("E"))).toMatchObject({ C: "XX000" });
  client.send(run("SELECT 1"), sync);
  expect(shortly(await client.until("Z"))).toBe("Z(I)");
  expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
});

test("another session's rows are its own while one is masked", async () => {
  const clients = await Promise.all(Array.from({ length: 6 }, () => rig.client()));
  await Promise.all(
    clients.map(async (client, n) => {
      for (let i = 0; i < 30; i++) {
        const masks = (i + n) % 2 === 0;
        const sql = masks ? select("mask secret", "id = 1") : "SELECT id, secret, n FROM people WHERE id = 1";
        const answer = n % 3 === 0 ? await client.query(sql) : await batch(client, run(sql));
        expect(rowsOf(answer)).toEqual([["1", masks ? "***" : "secret 1", "10"]]);
      }
    }),
  );
});

test("a rewrite may carry a route", async () => {
  const client = await rig.client({ database: "sharded" });
  expect(placeIn(await client.query(`SELECT /* rewrite with route: SELECT ${port} */ 1`))).toBe("1 replica");
});

test("rows are counted by plugin", async () => {
  const client = await rig.client();
  const before = Number((await rig.console("SHOW PLUGINS"))[0]?.["calls_result_row"]);
  await client.query(select("keep"));
  await client.query("SELECT * FROM people");
  expect(Number((await rig.console("SHOW PLUGINS"))[0]?.["calls_result_row"]) - before).toBe(3);
});
