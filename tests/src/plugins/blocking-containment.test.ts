// Plugins that may wait and do not come back, or crash on a thread: the deadline, what is seen of such calls, and what becomes of the worker.
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { runPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages } from "../harness/wire-client.js";
import { createWaiter, untilPlugin, untilRunning } from "./blocking-rig.js";
import { puppet } from "./plugin-libraries.js";
import { batch, placeLibraries, type Rig, type RigOptions, rigConfig, run, shortly, startRig } from "./rig.js";

const waiter = createWaiter();
const shards = sharedShards().slice(0, 1);
afterAll(() => waiter.remove());

async function startWaiter(keys: Readonly<Record<string, unknown>>, rest: RigOptions["rest"] = {}): Promise<Rig> {
  const rig = await startRig({ plugins: [waiter.entry(keys)], databases: { app: { shards } }, rest });
  onTestFinished(async () => {
    waiter.releaseAll();
    await rig.stop();
  });
  return rig;
}

describe("the deadline", () => {
  const late = {
    C: "XX000",
    M: 'plugin "./waiter" failed: it did not answer within 1000 ms',
    H: expect.stringContaining("deadline") as string,
  };

  test("is an error for who asked, and fails its transaction; the call is seen as stuck until it returns", async () => {
    const rig = await startWaiter({ deadline: "1s" }, { metrics: { port: 0 } });
    const client = await rig.client();
    waiter.hold("a");
    expect(errorIn(await client.query("SELECT /* hold:a */ 1"))).toMatchObject(late);
    expect(errorIn(await batch(client, run("SELECT /* hold:a */ 2")))).toMatchObject(late);
    expect(rowsOf(await client.query("SELECT 'next'"))).toEqual([["next"]]);
    await client.query("BEGIN; SELECT 1");
    expect(shortly(await client.query("SELECT /* hold:a */ 3"))).toMatch(/^E\(XX000 .*\) Z\(E\)$/);
    expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
    expect(await untilPlugin(rig, { running: "3", stuck: "3" })).toMatchObject({ timeouts: "3", overloads: "0", errors: "3" });
    const metrics = await (await fetch(rig.pooler.metricsUrl ?? "")).text();
    expect(metrics).toContain('pooler_plugin_stuck_calls{plugin="./waiter"} 3');
    expect(metrics).toContain('pooler_plugin_timeouts_total{plugin="./waiter"} 3');
    waiter.release("a");
    await untilPlugin(rig, { running: "0", stuck: "0", timeouts: "3" });
    expect(rowsOf(await client.query("SELECT /* hold:a */ 'again'"))).toEqual([["again"]]);
  });

  test('with on_error = "skip" lets the statement pass', async () => {
    const rig = await startWaiter({ deadline: "1s", on_error: "skip" });
    const client = await rig.client();
    waiter.hold("a");
    expect(rowsOf(await client.query("SELECT /* hold:a */ 'passed'"))).toEqual([["passed"]]);
    expect(await untilPlugin(rig, { stuck: "1" })).toMatchObject({ errors: "1" });
  });

  test("refuses a login", async () => {
    const rig = await startWaiter({ deadline: "1s" });
    waiter.hold("a");
    const client = await connectWire({ port: rig.pooler.port });
    client.send(messages.startup({ user: "app", database: "app", application_name: "hold:a" }));
    expect(errorIn(await client.until("E"))).toMatchObject({ S: "FATAL", ...late });
    await client.closed;
  });
});

test("a crash on a thread names plugin and hook, of a statement and of a login", async () => {
  const rig = await startWaiter({});
  for (const [hook, begin] of [
    ["route_query", () => rig.client().then((client) => client.send(messages.query("SELECT 'crash'")))],
    [
      "client_connect",
      () =>
        connectWire({ port: rig.pooler.port }).then((client) =>
          client.send(messages.startup({ user: "app", database: "app", application_name: "crash" })),
        ),
    ],
  ] as const) {
    const from = rig.pooler.log.length;
    await begin();
    expect(await rig.pooler.untilLog(({ event }) => event === "worker gone", from)).toMatchObject({
      level: "error",
      plugin: "./waiter",
      hook,
      signal: "SIGSEGV",
      msg: expect.stringContaining(`while plugin "./waiter" ran ${hook}`) as string,
    });
    await rig.pooler.untilLog(({ event }) => event === "worker ready", from);
    expect(rowsOf(await (await rig.client()).query("SELECT 1"))).toEqual([["1"]]);
    expect((await rig.console("SHOW PLUGINS"))[0]).toMatchObject({ last_crash_hook: hook });
  }
  expect((await rig.console("SHOW PLUGINS"))[0]).toMatchObject({ crashes: "2", hangs: "0" });
});

test("a worker that is killed from outside is not the fault of what runs on its threads", async () => {
  const rig = await startWaiter({ deadline: "60s" });
  const client = await rig.client();
  waiter.hold("a");
  client.send(messages.query("SELECT /* hold:a */ 1"));
  await untilRunning(rig, 1);
  const from = rig.pooler.log.length;
  const [row] = await rig.console("SHOW WORKERS");
  process.kill(Number(row?.["pid"]), "SIGKILL");
  expect(await rig.pooler.untilLog(({ event }) => event === "worker gone", from)).not.toHaveProperty("plugin");
  await rig.pooler.untilLog(({ event }) => event === "worker ready", from);
  expect((await rig.console("SHOW PLUGINS"))[0]).toMatchObject({ crashes: "0", hangs: "0" });
});

test("when all calls of a plugin hang, the worker is replaced and drained, and ends though they never return", async () => {
  const rig = await startWaiter({ deadline: "1s", max_concurrent: 2 }, { timeouts: { plugin_call: "2s" } });
  const [first, second] = [await rig.client(), await rig.client()];
  waiter.hold("a");
  const from = rig.pooler.log.length;
  for (const client of [first, second]) client.send(messages.query("SELECT /* hold:a */ 1"));
  for (const client of [first, second]) expect(errorIn(await client.until("Z"))).toMatchObject({ C: "XX000" });
  expect(await rig.pooler.untilLog(({ event }) => event === "plugin exhausted", from)).toMatchObject({
    level: "error",
    plugin: "./waiter",
    hook: "route_query",
    msg: expect.stringContaining("none of its calls of route_query returns") as string,
  });
  await rig.pooler.untilLog(({ event }) => event === "worker ready", from);
  for (const client of [first, second]) {
    expect(errorIn(await client.until("E"))).toMatchObject({ C: "57P01" });
    await client.closed;
  }
  // The new worker has places.
  const client = await rig.client();
  expect(rowsOf(await client.query("SELECT 'served'"))).toEqual([["served"]]);
  expect(await rig.pooler.untilLog(({ msg }) => msg?.includes("which was replaced before, has ended") === true, from)).toMatchObject({
    exitCode: 0,
  });
  expect((await rig.console("SHOW PLUGINS"))[0]).toMatchObject({ hangs: "1", crashes: "0", state: "active", stuck: "0" });
});

test("the pooler stops in order while calls hang, and destroys the plugin when none does", async () => {
  const rig = await startWaiter({ deadline: "1s" });
  const client = await rig.client();
  waiter.hold("a");
  expect(errorIn(await client.query("SELECT /* hold:a */ 1"))).toMatchObject({ C: "XX000" });
  const before = waiter.logged().filter((line) => line === "destroyed").length;
  expect(await rig.pooler.stop()).toBe(0);
  expect(waiter.logged().filter((line) => line === "destroyed")).toHaveLength(before);
  expect(rig.pooler.log.filter(({ level }) => level === "error")).toHaveLength(1);
  waiter.release("a");
  const other = await startWaiter({});
  await (await other.client()).query("SELECT 1");
  expect(await other.pooler.stop()).toBe(0);
  expect(waiter.logged().filter((line) => line === "destroyed")).toHaveLength(before + 1);
});

test("max_concurrent and deadline are refused for a plugin that answers at once", async () => {
  const plugins = [{ as: "idle", library: puppet(), entry: { deadline: "1s", max_concurrent: 2 } }];
  const { code, stderr } = await runPooler(["check"], {
    config: rigConfig({ plugins, databases: { app: { shards } } }),
    prepare: (directory) => placeLibraries(plugins, directory),
  });
  expect(code).not.toBe(0);
  expect(stderr).toContain("its entry has max_concurrent and deadline, and it is not blocking (POOLER_CAP_BLOCKING)");
});
