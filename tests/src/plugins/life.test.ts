// Plugins while the pooler lives: reloads, statements that are forgotten, large values, the end.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { cargoLibrary, puppet, recorder, verdicts } from "./plugin-libraries.js";
import { again, batch, placeIn, port, prepare, rigConfig, run, shortly } from "./rig.js";

const folder = mkdtempSync(join(tmpdir(), "pooler-life-"));
const destroyed = join(folder, "destroyed");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const [first, second] = sharedShards();
const config = (shards: readonly unknown[], plugins: readonly unknown[]) => ({
  ...rigConfig({ plugins: [], databases: { app: { shards, pool_size: 2 } } }),
  // Two texts at most: nearly every statement is forgotten by the time it comes again.
  limits: { max_cached_statements: 2 },
  metrics: { port: 0 },
  plugins,
});

const plugins = [
  { name: verdicts() },
  { name: cargoLibrary("hash_sharding"), config: { tables: [{ table: "users", column: "id", type: "bigint" }] } },
  { name: cargoLibrary("validator"), config: { rules: [{ type: "deny_tables", tables: ["secrets"] }] } },
  { name: recorder() },
  { name: puppet() },
];

let pooler: Pooler;
const open = new Set<WireClient>();
beforeAll(async () => {
  pooler = await startPooler({ config: config([first, second], plugins), env: { PUPPET_DESTROYED: destroyed } });
});
afterEach(() => {
  for (const client of open) client.reset();
  open.clear();
});
afterAll(() => pooler.stop());

async function connect(database = "app", user = "app"): Promise<WireClient> {
  const client = await connectWire({ port: pooler.port });
  open.add(client);
  await client.login({ user, database });
  return client;
}

async function reload(next: ReturnType<typeof config>): Promise<void> {
  const from = pooler.log.length;
  pooler.writeConfig(next);
  pooler.signal("SIGHUP");
  await pooler.untilLog((line) => line["event"] === "reloaded", from);
}

test("statements are learned again when they were forgotten", async () => {
  const client = await connect();
  for (let i = 0; i < 10; i++) await prepare(client, `s${i}`, `SELECT /* verdict: forward write ${i % 2} */ ${port}, ${i}`);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 10; i++) expect(placeIn(await batch(client, again({ name: `s${i}` })))).toBe(`${i % 2} primary`);
    expect(errorIn(await client.query("SELECT * FROM secrets"))).toMatchObject({ C: "42501" });
  }
  const many = await batch(client, ...Array.from({ length: 10 }, (_, i) => run(`SELECT /* verdict: forward write 1 */ ${port}, ${i}`)));
  expect(rowsOf(many).map((row) => row[1])).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
  expect(placeIn(many)).toBe("1 primary");
  const string = await client.query(
    Array.from({ length: 10 }, (_, i) => `SELECT /* verdict: rewrite SELECT 'new ${i}' */ ${i}`).join("; "),
  );
  expect(rowsOf(string)).toEqual(Array.from({ length: 10 }, (_, i) => [`new ${i}`]));
});

test("texts and values of megabytes pass through the plugins", async () => {
  const client = await connect();
  const large = (bytes: number): string => "x".repeat(bytes);
  const values = [large(5_000_000), "7"];
  expect(rowsOf(await batch(client, run("SELECT length($1), $2::int", { values })))).toEqual([["5000000", "7"]]);
  expect(rowsOf(await client.query(`SELECT length('${large(300_000)}')`))).toEqual([["300000"]]);
  // More than the grammar is given: a plugin that inspects refuses what it cannot read.
  expect(errorIn(await client.query(`SELECT length('${large(5_000_000)}')`))).toMatchObject({ C: "0A000" });
  expect(rowsOf(await batch(client, run("SELECT $1::text", { values: ["small"] })))).toEqual([["small"]]);
});

test("COPY that a plugin refuses takes its data with it", async () => {
  const client = await connect();
  const sql = "COPY /* verdict: error 22023 no */ pg_catalog.nothing FROM STDIN";
  const data = Buffer.from("1\n");
  client.send(messages.query(sql), messages.copyData(data), messages.copyData(data), messages.copyDone(), messages.query("SELECT 1"));
  expect(shortly(await client.until("Z"))).toBe("E(22023 no) Z(I)");
  expect(shortly(await client.until("Z"))).toBe("T D(1) C(SELECT 1) Z(I)");
});

test("metrics tell calls, errors and time of each plugin", async () => {
  const client = await connect();
  await client.query("SELECT /* verdict: fail now */ 1");
  const text = await (await fetch(pooler.metricsUrl ?? "")).text();
  const label = `plugin="${verdicts()}"`;
  expect(text).toMatch(new RegExp(`pooler_plugin_calls_total\\{${label}\\} [1-9]`));
  expect(text).toMatch(new RegExp(`pooler_plugin_errors_total\\{${label}\\} [1-9]`));
  expect(text).toMatch(new RegExp(`pooler_plugin_verdicts_total\\{${label},verdict="forward"\\} [1-9]`));
});

test("a reload keeps chain, transactions and counters, and shows the plugins the cluster as it is now", async () => {
  const client = await connect();
  await client.query("BEGIN");
  expect(placeIn(await client.query(`SELECT /* verdict: forward write 1 */ ${port}`))).toBe("1 primary");
  await prepare(client, "kept", `SELECT /* verdict: forward write 1 */ ${port}`);
  await reload(config([first], plugins));
  expect(errorIn(await client.query("SELECT 1"))).toBeUndefined();
  expect(shortly(await client.query("COMMIT"))).toBe("C(COMMIT) Z(I)");
  expect(errorIn(await batch(client, again({ name: "kept" })))).toMatchObject({
    C: "XX000",
    M: expect.stringContaining("shard is 1, the cluster has 1") as string,
  });
  expect(placeIn(await client.query(`SELECT /* verdict: forward write 0 */ ${port}`))).toBe("0 primary");
  await reload(config([first, second], plugins));
  expect(placeIn(await batch(client, again({ name: "kept" })))).toBe("1 primary");
});

test("a reload with another chain holds for whoever comes next, and the old chain for who is there", async () => {
  const stays = await connect();
  await reload(config([first, second], [{ name: verdicts() }]));
  const client = await connect();
  // Nobody refuses it any more.
  expect(errorIn(await client.query("SELECT * FROM secrets"))).toMatchObject({ C: "42P01" });
  expect(errorIn(await stays.query("SELECT * FROM secrets"))).toMatchObject({ C: "42501" });
  const admin = await connect("pooler", "admin");
  expect(rowsOf(await admin.query("SHOW PLUGINS")).length).toBe(1);
  await reload(config([first, second], plugins));
});

test("a reload with a plugin that is not there changes nothing", async () => {
  const from = pooler.log.length;
  pooler.writeConfig(config([first], [{ name: "@acme/missing" }]));
  pooler.signal("SIGHUP");
  const line = await pooler.untilLog(({ level, msg }) => level === "error" && msg !== undefined && /reload/.test(msg), from);
  expect(JSON.stringify(line)).toMatch(/@acme\/missing/);
  const client = await connect();
  expect(placeIn(await client.query(`SELECT /* verdict: forward write 1 */ ${port}`))).toBe("1 primary");
  await reload(config([first, second], plugins));
});

test("plugins are destroyed when the pooler stops", async () => {
  expect(await pooler.stop()).toBe(0);
  // In the worker that had it first, and in the one that came when the chain was the same again.
  expect(readFileSync(destroyed, "utf8").trim().split("\n").length).toBe(2);
});
