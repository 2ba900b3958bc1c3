// The example of the contract, a whole plugin in C compiled here from the bare header: every verdict of it in the running pooler.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { columnsOf, errorIn, rowBytes, rowsOf, typesOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { messages } from "../harness/wire-client.js";
import { byCustomer } from "./plugin-libraries.js";
import { again, batch, int4, int8, onAllShards, placeIn, port, prepare, type Rig, run, shortly, startRig } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  await onAllShards(
    `DROP TABLE IF EXISTS orders; CREATE TABLE orders (id int, owner text);
     INSERT INTO orders SELECT n, CASE WHEN n % 2 = 0 THEN 'app' ELSE 'other' END FROM generate_series(1, 150) AS n`,
  );
  rig = await startRig({ plugins: [{ as: "by-customer", library: byCustomer() }] });
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await rig.stop();
  await onAllShards("DROP TABLE orders");
});

test("forward: the customer number in $1 decides the shard, as text and as binary", async () => {
  const client = await rig.client();
  const sql = `SELECT ${port}, $1::int8`;
  for (const customer of [0, 1, 2, 7, 4_000_000_001]) {
    const place = `${customer % 2} primary`;
    expect(placeIn(await batch(client, run(sql, { values: [String(customer)] })))).toBe(place);
    expect(placeIn(await batch(client, run(sql, { values: [int8(customer)] })))).toBe(place);
  }
  await prepare(client, "by number", sql);
  expect(placeIn(await batch(client, again({ name: "by number", values: ["5"] })))).toBe("1 primary");
  expect(placeIn(await batch(client, again({ name: "by number", values: ["6"] })))).toBe("0 primary");
});

test("skip: what it does not know goes to the first shard", async () => {
  const client = await rig.client();
  const sql = `SELECT ${port}, $1::text`;
  expect(placeIn(await batch(client, run(sql, { values: [null] })))).toBe("0 primary");
  expect(placeIn(await batch(client, run(sql, { values: ["no number"] })))).toBe("0 primary");
  expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 primary");
});

test("forward: a transaction stays where its first customer is", async () => {
  const client = await rig.client();
  await client.query("BEGIN");
  expect(placeIn(await batch(client, run(`SELECT ${port}, $1::int8`, { values: ["3"] })))).toBe("1 primary");
  expect(placeIn(await client.query(`SELECT ${port}`))).toBe("1 primary");
  expect(shortly(await client.query("COMMIT"))).toBe("C(COMMIT) Z(I)");
});

test("error: DROP is refused", async () => {
  const client = await rig.client();
  const refusal = { C: "42501", M: "nothing is dropped here", H: "Ask an administrator." };
  expect(errorIn(await client.query("DROP TABLE orders"))).toMatchObject(refusal);
  expect(errorIn(await batch(client, run("DROP TABLE orders")))).toMatchObject(refusal);
});

test("rewrite: orders are limited to a hundred", async () => {
  const client = await rig.client();
  expect(rowsOf(await client.query("SELECT * FROM orders")).length).toBe(100);
  expect(rowsOf(await batch(client, run("SELECT * FROM orders", { name: "o", describe: "statement" }))).length).toBe(100);
  expect(rowsOf(await batch(client, again({ name: "o" }))).length).toBe(100);
});

test("rewrite: a table that is not there becomes a query with a parameter of the plugin's own", async () => {
  const client = await rig.client();
  const answer = await batch(client, run("SELECT * FROM my_orders", { describe: "statement" }));
  expect(typesOf(answer)).toBe(`1tT2${"D".repeat(75)}CZ`);
  expect(new Set(rowsOf(answer).map(([, owner]) => owner))).toEqual(new Set(["app"]));
  expect(errorIn(await client.query("SELECT * FROM my_orders"))).toMatchObject({
    C: "XX000",
    M: 'plugin "./by-customer" failed: it rewrote a statement of the simple protocol with parameters',
  });
});

test("intercept: the hosts of the cluster, with binary, text and NULL", async () => {
  const client = await rig.client();
  const hosts = sharedShards().flatMap(({ primary, replicas }, shard) =>
    [primary, ...replicas].map((url) => [String(shard), new URL(url).host]),
  );
  const simple = await client.query("SHOW shard_map");
  expect(rowsOf(simple)).toEqual(hosts.map(([shard, host]) => [shard, host, null]));
  expect(simple.at(-2)?.toString()).toBe("C(SHOW)");
  const extended = await batch(
    client,
    messages.parse({ text: "SHOW shard_map" }),
    messages.describe({ type: "S", name: "" }),
    again({ binary: true }),
  );
  expect(columnsOf(extended.find(({ type }) => type === "T") as (typeof extended)[0]).map(({ name, typeOid }) => [name, typeOid])).toEqual([
    ["shard", 23],
    ["address", 25],
    ["lag_ms", 25],
  ]);
  expect(extended.filter(({ type }) => type === "D").map((row) => rowBytes(row)[0])).toEqual(hosts.map(([shard]) => int4(Number(shard))));
});
