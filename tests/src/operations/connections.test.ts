// Connections as such: what they go through, and how they spread over workers.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, type WireClient } from "../harness/wire-client.js";
import { openConsole } from "./support/console.js";
import { trustingConfig } from "./support/trusting-config.js";

const direct = (): string => sharedShards()[0]?.primary ?? "";
/** Sockets are the default on Linux alone. */
const expectedIo = process.env["POOLER_TEST_IO"] ?? (process.platform === "linux" ? "sockets" : "streams");

async function login(pooler: Pooler): Promise<WireClient> {
  const client = await connectWire({ port: pooler.port });
  await client.login({ user: "app", database: "app" });
  return client;
}

test.each([{}, { io: "streams" }])("log, console and metrics say what connections go through (%o)", async (io) => {
  const pooler = await startPooler({ config: trustingConfig(direct(), { ...io, workers: 2, metrics: { port: 0 } }) });
  const expected = io.io ?? expectedIo;
  const ready = pooler.log.filter(({ event }) => event === "worker ready");
  expect(ready.map((line) => line["io"])).toEqual([expected, expected]);
  const console = await openConsole(pooler);
  expect((await console.run("SHOW WORKERS")).map((row) => row["io"])).toEqual([expected, expected]);
  console.end();
  const metrics = await (await fetch(pooler.metricsUrl ?? "")).text();
  expect(metrics).toContain(`pooler_worker_info{worker="2",io="${expected}"} 1`);
  expect(await pooler.stop()).toBe(0);
});

describe.runIf(expectedIo === "sockets")("three workers", () => {
  let pooler: Pooler;
  const clients: WireClient[] = [];

  beforeAll(async () => {
    pooler = await startPooler({ config: trustingConfig(direct(), { workers: 3 }) });
  });

  afterAll(async () => {
    for (const client of clients) client.end();
    expect(await pooler.stop()).toBe(0);
  });

  async function spread(): Promise<number[]> {
    const console = await openConsole(pooler);
    const rows = await console.run("SHOW WORKERS");
    console.end();
    return rows.map((row) => Number(row["clients"]));
  }

  test("two hundred clients that come at once are spread over all of them", async () => {
    clients.push(...(await Promise.all(Array.from({ length: 200 }, () => login(pooler)))));
    const counts = await spread();
    expect(counts.reduce((sum, count) => sum + count)).toBe(200);
    expect(Math.min(...counts)).toBeGreaterThan(30);
    expect(Math.max(...counts)).toBeLessThan(110);
  });

  test("a worker that replaces another one gets those who come next", async () => {
    const before = await spread();
    const from = pooler.log.length;
    const victim = pooler.log.find(({ event, worker }) => event === "worker ready" && worker === 1)?.["pid"];
    process.kill(Number(victim), "SIGKILL");
    await pooler.untilLog(({ event }) => event === "worker ready", from);
    // One after the other: each goes where there are fewest, unless that worker has no processor just then.
    for (let i = 0; i < 30; i++) clients.push(await login(pooler));
    const after = await spread();
    expect(after[0]).toBeGreaterThan(20);
    expect(after.slice(1).reduce((sum, count) => sum + count, 0)).toBeLessThan(10 + (before[1] ?? 0) + (before[2] ?? 0));
  });
});
