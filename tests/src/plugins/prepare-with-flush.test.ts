// Drivers that ask for a description and wait for it before they bind (Parse, Describe, Flush; then Bind, Execute, Sync), as postgres.js
// and asyncpg do: where the statement runs is known only with its values.
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { byCustomer, capability, script } from "./plugin-libraries.js";
import { again, batch, flush, placeIn, placeOf, port, type Rig, run, shortly, startRig, type Value } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    plugins: [
      { as: "by-customer", library: byCustomer() },
      { as: "script", library: script(capability.everyStatement), config: { name: "s" } },
    ],
    app: { pool_size: 1 },
  });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

/** The description, then the answer. */
async function ask(
  client: WireClient,
  sql: string,
  values: readonly Value[],
  name = "",
): Promise<{ described: string; answer: ReturnType<WireClient["pending"]> }> {
  client.send(messages.parse({ name, text: sql }), messages.describe({ type: "S", name }), flush);
  const described = shortly(await client.until("T"));
  return { described, answer: await batch(client, again({ name, values })) };
}

const sql = `SELECT ${port}, $1::int8`;

test.each(["", "named"])("a statement goes where its values say (%j)", async (name) => {
  for (const customer of [0, 1, 2, 3]) {
    const client = await rig.client();
    const { described, answer } = await ask(client, sql, [String(customer)], name);
    expect(described).toBe("1 t T");
    expect(placeIn(answer)).toBe(`${customer % 2} primary`);
    expect(shortly(answer)).toMatch(/^2 D\(.*\) C\(SELECT 1\) Z\(I\)$/);
  }
});

test("no server is kept between the description and the Bind", async () => {
  const [one, two] = [await rig.client(), await rig.client()];
  one.send(messages.parse({ text: sql }), messages.describe({ type: "S", name: "" }), flush);
  await one.until("T");
  expect(placeIn(await two.query(`SELECT ${port}`))).toBe("0 primary");
  expect(placeIn(await batch(one, again({ values: ["1"] })))).toBe("1 primary");
});

test("a transaction that is held stays held", async () => {
  const client = await rig.client();
  await client.query("BEGIN");
  const { described, answer } = await ask(client, sql, ["3"]);
  expect(described).toBe("1 t T");
  expect(placeIn(answer)).toBe("1 primary");
  expect(shortly(answer)).toMatch(/Z\(T\)$/);
  expect(placeIn((await ask(client, sql, ["1"])).answer)).toBe("1 primary");
  expect(shortly(await client.query("COMMIT"))).toBe("C(COMMIT) Z(I)");
});

test("an error of the description is told at once, and what follows is passed over up to Sync", async () => {
  const client = await rig.client();
  client.send(messages.parse({ name: "bad", text: "SELECT nothing" }), messages.describe({ type: "S", name: "bad" }), flush);
  expect(errorIn(await client.until("E"))).toMatchObject({ C: "42703" });
  expect(shortly(await batch(client, again({ name: "bad" }), run("SELECT 1")))).toBe("Z(I)");
  expect(errorIn(await batch(client, again({ name: "bad" })))).toMatchObject({ C: "26000" });
  expect(rowsOf(await client.query("SELECT 2"))).toEqual([["2"]]);
});

test("an error of the description fails a transaction that is held", async () => {
  const client = await rig.client();
  await client.query("BEGIN");
  client.send(messages.parse({ text: "SELECT nothing" }), messages.describe({ type: "S", name: "" }), flush);
  expect(errorIn(await client.until("E"))).toMatchObject({ C: "42703" });
  expect(shortly(await batch(client))).toBe("Z(E)");
  expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
});

test("a refusal of the plugin is told at once, too", async () => {
  const client = await rig.client();
  client.send(messages.parse({ text: "DROP TABLE t" }), messages.describe({ type: "S", name: "" }), flush);
  // A plugin that does not inspect refuses what is run, not what is prepared.
  expect(shortly(await client.until("n"))).toBe("1 t n");
  expect(shortly(await batch(client, again()))).toBe("E(42501 nothing is dropped here) Z(I)");
});

test("a rewrite is described, and what runs must have its columns", async () => {
  const client = await rig.client();
  const same = await ask(client, "SELECT /*s: rewrite SELECT 'new' AS a*/ 'old' AS a", []);
  expect(rowsOf(same.answer)).toEqual([["new"]]);
  const other = await ask(client, "SELECT /*s bind: rewrite SELECT 'new' AS b*/ 'old' AS a", []);
  expect(errorIn(other.answer)).toMatchObject({ C: "XX000" });
});

test("an answer of the plugin is described and given", async () => {
  const client = await rig.client();
  const { described, answer } = await ask(client, "SELECT /*s: intercept a mine*/ 1", []);
  expect([described, shortly(answer)]).toEqual(["1 t T", "2 D(mine) C(SELECT 1) Z(I)"]);
});

test("several batches in a pipeline", async () => {
  const client = await rig.client();
  const describe = (name: string): Buffer =>
    Buffer.concat([messages.parse({ name, text: sql }), messages.describe({ type: "S", name }), flush]);
  const execute = (name: string, customer: number): Buffer => Buffer.concat([again({ name, values: [String(customer)] }), messages.sync()]);
  client.send(describe("a"), execute("a", 1), describe("b"), execute("b", 2), execute("a", 3));
  expect(shortly(await client.until("T"))).toBe("1 t T");
  expect(placeIn(await client.until("Z"))).toBe("1 primary");
  expect(shortly(await client.until("T"))).toBe("1 t T");
  expect(placeIn(await client.until("Z"))).toBe("0 primary");
  expect(placeIn(await client.until("Z"))).toBe("1 primary");
});

test("postgres.js is routed by its values, prepared or not, in a transaction and outside", async () => {
  const client = postgres(rig.pooler.url(), { max: 1, fetch_types: false });
  try {
    for (const prepare of [true, false]) {
      for (const customer of [0, 1, 2, 3]) {
        const [row] = await client.unsafe(sql, [String(customer)], { prepare });
        expect(placeOf(row?.["current_setting"] as string)).toBe(`${customer % 2} primary`);
      }
    }
    await client.begin(async (transaction) => {
      const [first] = await transaction.unsafe(sql, ["1"], { prepare: true });
      const [second] = await transaction.unsafe(sql, ["3"], { prepare: false });
      expect([first, second].map((row) => placeOf(row?.["current_setting"] as string))).toEqual(["1 primary", "1 primary"]);
    });
    await expect(client.unsafe("SELECT $1::int8 / 0", ["4"])).rejects.toMatchObject({ code: "22012" });
    await expect(client.unsafe("SELECT nothing, $1::int8", ["4"])).rejects.toMatchObject({ code: "42703" });
    expect((await client`SELECT 1 AS one`)[0]?.["one"]).toBe(1);
  } finally {
    await client.end();
  }
});
