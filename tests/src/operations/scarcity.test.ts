// A system that has little to give: sockets that take and give one byte at a time, and too few descriptors.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BackendMessage, typesOf } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { trustingConfig } from "./support/trusting-config.js";
import { until } from "./support/until.js";
import { workerPids } from "./support/worker-pids.js";

const { parse, bind, describe: describeMessage, execute, sync, query, copyData, copyDone } = messages;
const direct = (): string => sharedShards()[0]?.primary ?? "";
const onSockets = process.platform === "linux" && process.env["POOLER_TEST_IO"] !== "streams";

describe.runIf(onSockets)("one byte at a time, both ways", () => {
  const directory = mkdtempSync(join(tmpdir(), "pooler-scarcity-"));
  let pooler: Pooler;

  beforeAll(async () => {
    const library = join(directory, "byte-by-byte.so");
    const source = fileURLToPath(new URL("fixtures/byte-by-byte.c", import.meta.url));
    execFileSync("cc", ["-std=gnu11", "-Wall", "-O1", "-shared", "-fPIC", source, "-o", library, "-ldl"], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    pooler = await startPooler({
      config: trustingConfig(direct(), { databases: { app: { pool_size: 2 } }, users: { app: { server_user: "postgres" } } }),
      env: { LD_PRELOAD: library },
    });
  });

  afterAll(async () => {
    expect(pooler.log.filter(({ level }) => level === "error")).toEqual([]);
    expect(await pooler.stop()).toBe(0);
    rmSync(directory, { recursive: true });
  });

  const conversations: readonly (readonly [string, readonly (readonly Uint8Array[])[]])[] = [
    ["simple queries", [[query("SELECT n, repeat('x', n * 10) FROM generate_series(1, 30) n; SELECT 1/0")], [query("SELECT 'again'")]]],
    [
      "prepared statements",
      [
        [parse({ name: "s", text: "SELECT $1::text || 'y', $2::int" }), describeMessage({ type: "S", name: "s" }), sync()],
        ...[1, 2, 3].map((n) => [bind({ statement: "s", values: ["x".repeat(n * 40), String(n)] }), execute(), sync()]),
        [parse({ name: "bad", text: "SELEC" }), bind({ statement: "bad" }), execute(), sync()],
      ],
    ],
    ["a transaction that fails", [[query("BEGIN")], [query("SELECT nothing")], [query("SELECT 1")], [query("ROLLBACK")]]],
    ["COPY out", [[query("COPY (SELECT n, repeat('z', 50) FROM generate_series(1, 20) n) TO STDOUT")]]],
  ];

  async function transcript(client: WireClient, steps: readonly (readonly Uint8Array[])[]): Promise<string[]> {
    const said: BackendMessage[] = [];
    for (const step of steps) {
      client.send(...step);
      said.push(...(await client.until("Z")));
    }
    return said.map(({ type, body }) => `${type} ${body.toString("latin1")}`);
  }

  test.each(conversations)("%s: every message is the server's own", async (_, steps) => {
    const own = await connectWire({ port: Number(new URL(direct()).port) });
    await own.login({ user: "postgres", database: "app" });
    const pooled = await connectWire({ port: pooler.port });
    await pooled.login({ user: "app", database: "app" });
    expect(await transcript(pooled, steps)).toEqual(await transcript(own, steps));
    for (const client of [own, pooled]) client.end();
  });

  test("COPY in", async () => {
    const client = await connectWire({ port: pooler.port });
    await client.login({ user: "app", database: "app" });
    await client.query("BEGIN; CREATE TEMP TABLE scarcity (n int, t text) ON COMMIT DROP");
    client.send(query("COPY scarcity FROM STDIN"));
    await client.until("G");
    for (let n = 0; n < 20; n++) client.send(copyData(Buffer.from(`${n}\t${"w".repeat(n)}\n`)));
    client.send(copyDone());
    expect(typesOf(await client.until("Z"))).toBe("CZ");
    const rows = await client.query("SELECT count(*), sum(length(t)) FROM scarcity; COMMIT");
    expect(rows.find(({ type }) => type === "D")?.body.toString("latin1")).toContain("190");
    client.end();
  });
});

describe.runIf(process.platform === "linux")("too few descriptors", () => {
  test("a worker without any is asked how it is, and serves who is connected", async () => {
    const config = trustingConfig(direct(), { databases: { app: { pool_size: 2 } } });
    const pooler = await startPooler({ config: { ...config, metrics: { port: 0 } } });
    const [worker = 0] = workerPids(pooler);
    const early = await connectWire({ port: pooler.port });
    await early.login({ user: "app", database: "app" });
    await early.query("SELECT 1");
    // Fewer than are open: whatever the worker opens from now on fails.
    execFileSync("prlimit", ["--pid", String(worker), "--nofile=3:3"]);
    const metrics = await (await fetch(pooler.metricsUrl ?? "")).text();
    expect(metrics).toMatch(/^pooler_worker_info\{worker="1",/m);
    expect(typesOf(await early.query("SELECT 1"))).toBe("TDCZ");
    expect(workerPids(pooler)).toEqual([worker]);
    expect(pooler.log.filter(({ event }) => event === "worker gone")).toEqual([]);
    early.reset();
    await pooler.stop();
  });

  // Under Node's streams it is libuv that deals with it: it closes those who wait.
  test.runIf(onSockets)("who is connected is served, nothing spins, and whoever waits is let in as soon as there is room", async () => {
    const pooler = await startPooler({ config: trustingConfig(direct(), { databases: { app: { pool_size: 2 } } }) });
    const [worker = 0] = workerPids(pooler);
    const early = await connectWire({ port: pooler.port });
    await early.login({ user: "app", database: "app" });
    await early.query("SELECT 1");
    execFileSync("prlimit", ["--pid", String(worker), "--nofile=60:60"]);
    const from = pooler.log.length;
    const crowd = await Promise.all(Array.from({ length: 80 }, () => connectWire({ port: pooler.port })));
    const greeted = crowd.map((client) =>
      client.login({ user: "app", database: "app" }).then(
        () => true,
        () => false,
      ),
    );
    await pooler.untilLog(({ level }) => level === "error", from);
    const ticks = (): number => {
      const [, fields = ""] = execFileSync("cat", [`/proc/${worker}/stat`], { encoding: "utf8" }).split(") ");
      return Number(fields.split(" ")[11]) + Number(fields.split(" ")[12]);
    };
    const before = ticks();
    await new Promise((done) => setTimeout(done, 1_000));
    expect(ticks() - before).toBeLessThan(50);
    expect(pooler.log.slice(from).filter(({ level }) => level === "error").length).toBeLessThan(5);
    // The server that is open goes on serving, although no further one can be opened.
    expect(typesOf(await early.query("SELECT 1"))).toBe("TDCZ");
    for (const client of crowd.slice(0, 60)) client.reset();
    const late = await until("room", async () => {
      const outcomes = await Promise.race([
        Promise.all(greeted.slice(60)),
        new Promise<null>((done) => setTimeout(() => done(null), 5_000)),
      ]);
      return outcomes?.every((isIn) => isIn);
    });
    expect(late).toBe(true);
    for (const client of [...crowd, early]) client.reset();
    expect(await pooler.stop()).toBe(0);
  });
});
