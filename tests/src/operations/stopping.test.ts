// How the pooler ends: signals, drain, and processes that are killed. Nothing is left behind, and nobody is cut off who need not be.
import { connect } from "node:net";
import { query } from "@pooler/embedded-cluster";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commandTags, errorIn, typesOf } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { trustingConfig } from "./support/trusting-config.js";
import { until } from "./support/until.js";
import { workerPids } from "./support/worker-pids.js";

const direct = (shard = 0): string => sharedShards()[shard]?.primary ?? "";
const asStopper = (): string => direct().replace("postgres@", "stopper@");

beforeAll(() => query(direct(), "CREATE ROLE stopper LOGIN SUPERUSER"));
afterAll(() => query(direct(), "DROP ROLE stopper"));

async function login(pooler: Pooler, database = "app"): Promise<WireClient> {
  const client = await connectWire({ port: pooler.port });
  await client.login({ user: "app", database });
  return client;
}

/** What a new connection is met with: "open", or the error. */
const knock = (port: number): Promise<string | undefined> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      resolve("open");
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
  });

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const farewell = { S: "FATAL", C: "57P01", M: "terminating connection due to administrator command" };

describe("SIGTERM", () => {
  test.each([1, 2])("with %i workers: idle clients leave, transactions end first, nobody new comes in, exit code 0", async (workers) => {
    const pooler = await startPooler({
      config: trustingConfig(asStopper(), { workers, databases: { two: { shards: [direct(0), direct(1)] } } }),
    });
    const [idle, open, held, running] = await Promise.all([login(pooler), login(pooler), login(pooler, "two"), login(pooler)]);
    await query(direct(), "CREATE TABLE stopping (a int)");
    await open.query("BEGIN; INSERT INTO stopping VALUES (1)");
    await held.query("BEGIN");
    running.send(messages.query("SELECT pg_sleep(0.5)"));
    await until(
      "the statement to run",
      async () => (await query(direct(), "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(0.5)'")).length > 0,
    );
    pooler.signal("SIGTERM");
    expect(errorIn(await idle.until("E"))).toMatchObject(farewell);
    await until("the door to be shut", async () => (await knock(pooler.port)) === "ECONNREFUSED");
    // A transaction may even go on.
    expect(commandTags(await open.query("INSERT INTO stopping VALUES (2)"))).toEqual(["INSERT 0 1"]);
    expect(typesOf(await running.until("Z"))).toBe("TDCZ");
    expect(errorIn(await running.until("E"))).toMatchObject(farewell);
    expect(commandTags(await held.query("COMMIT"))).toEqual(["COMMIT"]);
    expect(errorIn(await held.until("E"))).toMatchObject(farewell);
    expect(commandTags(await open.query("COMMIT"))).toEqual(["COMMIT"]);
    expect(errorIn(await open.until("E"))).toMatchObject(farewell);
    expect(await pooler.ended).toBe(0);
    expect(await query(direct(), "SELECT a FROM stopping ORDER BY a")).toEqual([{ a: 1 }, { a: 2 }]);
    await query(direct(), "DROP TABLE stopping");
    expect(await query(direct(), "SELECT 1 FROM pg_stat_activity WHERE usename = 'stopper'")).toEqual([]);
  });

  test("a client that waits for a server still gets it", async () => {
    const pooler = await startPooler({ config: trustingConfig(asStopper(), { databases: { app: { pool_size: 1 } } }) });
    const [holder, waiting] = [await login(pooler), await login(pooler)];
    await holder.query("BEGIN; SELECT 1");
    waiting.send(messages.query("SELECT 'served'"));
    const seen = pooler.untilLog(({ event }) => event === "stopping");
    pooler.signal("SIGTERM");
    await seen;
    await holder.query("COMMIT");
    expect(typesOf(await waiting.until("Z"))).toBe("TDCZ");
    expect(await pooler.ended).toBe(0);
  });

  test("whoever is in a transaction at the deadline is told, and rolled back", async () => {
    const pooler = await startPooler({ config: trustingConfig(asStopper(), { timeouts: { drain: "300ms" } }) });
    const client = await login(pooler);
    await client.query("BEGIN; CREATE TABLE never (a int)");
    const startedAt = performance.now();
    pooler.signal("SIGTERM");
    expect(errorIn(await client.until("E"))).toMatchObject({ S: "FATAL", C: "57P01" });
    expect(await pooler.ended).toBe(0);
    expect(performance.now() - startedAt).toBeGreaterThan(290);
    await until(
      "the backend to go",
      async () => (await query(direct(), "SELECT 1 FROM pg_stat_activity WHERE usename = 'stopper'")).length === 0,
    );
    expect(await query(direct(), "SELECT to_regclass('never') AS never")).toEqual([{ never: null }]);
  });

  test("the second one does not wait: exit code 1, and no process is left", async () => {
    const pooler = await startPooler({ config: trustingConfig(asStopper(), { workers: 2 }) });
    const client = await login(pooler);
    await client.query("BEGIN; SELECT 1");
    const seen = pooler.untilLog(({ event }) => event === "stopping");
    pooler.signal("SIGTERM");
    await seen;
    pooler.signal("SIGTERM");
    await client.closed;
    expect(await pooler.ended).toBe(1);
    expect(workerPids(pooler).filter(isAlive)).toEqual([]);
  });
});

test("the supervisor is killed: its workers let transactions end and then go, too", async () => {
  const pooler = await startPooler({ config: trustingConfig(asStopper(), { workers: 3 }) });
  const pids = workerPids(pooler);
  expect(pids).toHaveLength(3);
  const clients = await Promise.all(Array.from({ length: 6 }, () => login(pooler)));
  await clients[0]?.query("BEGIN; SELECT 1");
  pooler.signal("SIGKILL");
  for (const client of clients.slice(1)) expect(errorIn(await client.until("E"))).toMatchObject({ C: "57P01" });
  expect(commandTags((await clients[0]?.query("COMMIT")) ?? [])).toEqual(["COMMIT"]);
  await until("the workers to go", () => pids.every((pid) => !isAlive(pid)));
  expect(await knock(pooler.port)).toBe("ECONNREFUSED");
  await until(
    "their connections to go",
    async () => (await query(direct(), "SELECT 1 FROM pg_stat_activity WHERE usename = 'stopper'")).length === 0,
  );
  expect(await pooler.ended).toBeNull();
});
