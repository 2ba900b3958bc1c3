// Several workers as one pooler: one of them dies or is replaced, cancel requests reach the wrong one.
import { availableParallelism } from "node:os";
import { query } from "@pooler/embedded-cluster";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { backendKeyIn, errorIn, typesOf } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { startLimitMs } from "../harness/start-limit.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { openConsole } from "./support/console.js";
import { startLoad } from "./support/load.js";
import { connectRaw } from "./support/raw-socket.js";
import { trustingConfig } from "./support/trusting-config.js";
import { until } from "./support/until.js";
import { workerPids } from "./support/worker-pids.js";

const direct = (): string => sharedShards()[0]?.primary ?? "";

async function login(pooler: Pooler): Promise<WireClient> {
  const client = await connectWire({ port: pooler.port });
  await client.login({ user: "app", database: "app" });
  return client;
}

/** The process that serves most clients; where connections are accepted by whoever is first, another one may have none. */
async function busiestWorker(pooler: Pooler): Promise<number> {
  const console = await openConsole(pooler);
  const workers = await console.run("SHOW WORKERS");
  console.end();
  workers.sort((a, b) => Number(b["clients"]) - Number(a["clients"]));
  return Number(workers[0]?.["pid"]);
}

describe("three workers", () => {
  let pooler: Pooler;

  beforeAll(async () => {
    pooler = await startPooler({ config: trustingConfig(direct(), { workers: 3 }) });
  });

  afterAll(async () => {
    expect(await pooler.stop()).toBe(0);
  });

  test("one is killed under load: its clients lose their connection, the others notice nothing, another takes its place within a second", async () => {
    const load = startLoad({ url: pooler.url(), clients: 30, round: async (client) => void (await client.query("SELECT 1")) });
    await load.more(300);
    // Whoever connects meanwhile may have to wait, but is never refused.
    let isOver = false;
    const knocks: (string | undefined)[] = [];
    const knocking = (async () => {
      while (!isOver) {
        const client = new pg.Client({ connectionString: pooler.url(), connectionTimeoutMillis: 5_000 });
        client.on("error", () => {});
        const outcome = await client.connect().then(
          () => "in",
          (error: { code?: string }) => error.code,
        );
        knocks.push(outcome);
        await client.end().catch(() => {});
      }
    })();
    const victim = await busiestWorker(pooler);
    const from = pooler.log.length;
    const limitMs = await startLimitMs();
    const killedAt = performance.now();
    process.kill(victim, "SIGKILL");
    const gone = await pooler.untilLog(({ event }) => event === "worker gone", from);
    expect(gone).toMatchObject({ level: "error", signal: "SIGKILL", pid: victim });
    await pooler.untilLog(({ event }) => event === "worker ready", from);
    expect(performance.now() - killedAt).toBeLessThan(limitMs);
    await load.more(300);
    isOver = true;
    await Promise.all([knocking, load.stop()]);
    expect(load.reconnects).toBeGreaterThan(0);
    expect(load.reconnects).toBeLessThan(30);
    // Each client that was there lost one statement at most.
    const lost = Object.values(load.errors).reduce((sum, count) => sum + count, 0);
    expect(lost).toBeLessThanOrEqual(load.reconnects);
    // A connection that the dead worker had accepted is reset; nobody finds the door shut.
    expect(knocks.filter((outcome) => outcome === "ECONNREFUSED")).toEqual([]);
    expect(knocks.filter((outcome) => outcome !== "in").length).toBeLessThanOrEqual(1);
  });

  test("one gets SIGTERM: it is drained and replaced, its transactions end", async () => {
    const clients = await Promise.all(Array.from({ length: 9 }, () => login(pooler)));
    for (const client of clients) await client.query("BEGIN; SELECT 1");
    const from = pooler.log.length;
    const [victim] = workerPids(pooler);
    process.kill(victim as number, "SIGTERM");
    await pooler.untilLog(({ event }) => event === "worker drained", from);
    for (const client of clients) expect(typesOf(await client.query("COMMIT"))).toMatch(/^CZ/);
    await pooler.untilLog(({ event }) => event === "worker ready", from);
    expect(workerPids(pooler)).not.toContain(victim);
    for (const client of clients) client.end();
  });

  test("a cancel request that reaches another worker than the client's is passed on, one with a wrong key is not heard", async () => {
    const clients = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const client = await connectWire({ port: pooler.port });
        return { client, key: backendKeyIn(await client.login({ user: "app", database: "app" })) };
      }),
    );
    expect(new Set(clients.map(({ key }) => key?.processId)).size).toBe(6);
    for (const { client } of clients) client.send(messages.query("SELECT pg_sleep(20) AS cancelled_elsewhere"));
    await until("all to run", async () => {
      const rows = await query(direct(), "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%AS cancelled_elsewhere'");
      return rows.length === 6;
    });
    for (const { key } of clients) {
      const wrong = await connectRaw(pooler.port);
      wrong.send(messages.cancel(key?.processId ?? 0, (key?.secretKey ?? 0) ^ 1));
      await wrong.closed;
    }
    const answers = clients.map(({ client }) => client.until("Z"));
    for (const { key } of clients) {
      const right = await connectRaw(pooler.port);
      right.send(messages.cancel(key?.processId ?? 0, key?.secretKey ?? 0));
      await right.closed;
    }
    for (const answer of answers) expect(errorIn(await answer)).toMatchObject({ C: "57014" });
    for (const { client } of clients) client.end();
  });
});

test.each([1, 3])("once a cancel request's connection has ended it hits no later statement (workers: %i)", async (workers) => {
  const pooler = await startPooler({ config: trustingConfig(direct(), { workers, databases: { app: { pool_mode: "session" } } }) });
  const clients = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const client = await connectWire({ port: pooler.port });
      return { client, key: backendKeyIn(await client.login({ user: "app", database: "app" })) };
    }),
  );
  const hit = await Promise.all(
    clients.map(async ({ client, key }) => {
      let later = 0;
      for (let round = 0; round < 25; round++) {
        // Over at about the time at which the request gets there.
        client.send(messages.query("SELECT pg_sleep(0.001)"));
        const request = await connectRaw(pooler.port);
        request.send(messages.cancel(key?.processId ?? 0, key?.secretKey ?? 0));
        await Promise.all([request.closed, client.until("Z")]);
        if (errorIn(await client.query("SELECT pg_sleep(0.005)")) !== undefined) later++;
      }
      return later;
    }),
  );
  expect(hit).toEqual(clients.map(() => 0));
  for (const { client } of clients) client.end();
  expect(await pooler.stop()).toBe(0);
});

test("the only worker is killed: connections that come meanwhile wait for the next one", async () => {
  const pooler = await startPooler({ config: trustingConfig(direct()) });
  const client = await login(pooler);
  const [victim] = workerPids(pooler);
  process.kill(victim as number, "SIGKILL");
  await client.closed;
  const late = await login(pooler);
  expect(typesOf(await late.query("SELECT 1"))).toBe("TDCZ");
  late.end();
  expect(await pooler.stop()).toBe(0);
});

test('workers = "auto" makes one for each core', async () => {
  const pooler = await startPooler({ config: trustingConfig(direct(), { workers: "auto" }) });
  expect(workerPids(pooler)).toHaveLength(availableParallelism());
  const console = await openConsole(pooler);
  console.end();
  expect(await pooler.stop()).toBe(0);
});
