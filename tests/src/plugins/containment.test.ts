// Plugins that end their worker in each of their hooks, by a crash or by not returning: the log and the console name plugin and hook,
// clients of other workers notice nothing, and on_crash says what becomes of a plugin that does it again and again.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { backendKeyIn, errorIn, rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { refusalOf } from "./hook-rig.js";
import { compilePlugin } from "./plugin-libraries.js";
import { batch, type Rig, run, startRig } from "./rig.js";

type How = "segfault" | "hang";

const library = compilePlugin(fileURLToPath(new URL("fixtures/doom.c", import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), "pooler-doom-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The next call of the hook, in whatever worker, does it. */
const arm = (hook: string, how: How): void => writeFileSync(join(folder, `${hook}-${how}`), "");

const shards = sharedShards().slice(0, 1);

/** The plugin before two workers. A call may take a second: long enough for a machine that is busy. */
const startDoom = (entry: Readonly<Record<string, unknown>> = {}): Promise<Rig> =>
  startRig({
    plugins: [{ as: "doom", library, config: { folder }, entry }],
    databases: { app: { shards }, segfault: { shards }, hang: { shards } },
    rest: { workers: 2, timeouts: { plugin_call: "1s" } },
  });

/** One client of each worker, by its number. */
async function clientOfEach(rig: Rig): Promise<ReadonlyMap<number, WireClient>> {
  const found = new Map<number, WireClient>();
  while (found.size < 2) {
    const client = await connectWire({ port: rig.pooler.port });
    const processId = String(backendKeyIn(await client.login({ user: "app", database: "app" }))?.processId);
    const worker = Number((await rig.console("SHOW CLIENTS")).find((row) => row["cancel_pid"] === processId)?.["worker"]);
    if (found.has(worker)) client.end();
    else found.set(worker, client);
  }
  onTestFinished(() => {
    for (const client of found.values()) client.reset();
  });
  return found;
}

/** Crashes the worker of a new client, and waits for the next one. */
async function crash(rig: Rig, how: How = "segfault"): Promise<void> {
  const from = rig.pooler.log.length;
  const victim = await connectWire({ port: rig.pooler.port });
  await victim.login({ user: "app", database: "app" });
  arm("route_query", how);
  victim.send(messages.query("SELECT 1"));
  await victim.closed;
  await rig.pooler.untilLog(({ event }) => event === "worker gone", from);
  await rig.pooler.untilLog(({ event }) => event === "worker ready", from);
}

const errorOf = async (client: WireClient, sql: string): Promise<string> => {
  const error = errorIn(await client.query(sql));
  return error === undefined ? "none" : `${error["C"]} ${error["M"]}`;
};

const stateOf = async (rig: Rig): Promise<string | null | undefined> => (await rig.console("SHOW PLUGINS"))[0]?.["state"];

describe("two workers", () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startDoom();
  });
  afterEach(() => rig.disconnectAll());
  afterAll(() => rig.stop());

  /** Brings the hook about, in whatever worker. */
  const ways: Readonly<Record<string, (client: WireClient, how: How) => void>> = {
    route_query: (client) => client.send(messages.query("SELECT 1")),
    fetch_output: (client) => client.send(messages.query("SELECT 'space'")),
    learn_statement: (client) => client.send(messages.query(`SELECT 'never seen before' AS n${Date.now()}`)),
    query_end: (client) => client.send(Buffer.concat([run("SELECT 1"), messages.sync()])),
    result_row: (client) => client.send(messages.query("SELECT 1")),
    client_disconnect: (client) => client.reset(),
    client_connect: () => {
      void connectWire({ port: rig.pooler.port }).then((client) => client.send(messages.startup({ user: "app", database: "app" })));
    },
    reload: () => rig.pooler.signal("SIGHUP"),
    // Nobody has connected to this database before.
    server_connect: (_, how) => {
      void connectWire({ port: rig.pooler.port }).then((client) => client.send(messages.startup({ user: "app", database: how })));
    },
  };

  describe.each<How>(["segfault", "hang"])("%s", (how) => {
    test.each(Object.keys(ways))("in %s", async (hook) => {
      const clients = await clientOfEach(rig);
      for (const client of clients.values()) await client.query("SELECT 1");
      const trigger = await rig.client();
      const from = rig.pooler.log.length;
      arm(hook, how);
      ways[hook]?.(trigger, how);
      const gone = await rig.pooler.untilLog(({ event }) => event === "worker gone", from);
      expect(gone).toMatchObject({ level: "error", plugin: "./doom", hook, signal: how === "hang" ? "SIGKILL" : "SIGSEGV" });
      expect(gone.msg).toContain(
        how === "hang" ? `was killed: plugin "./doom" did not return from ${hook}` : `while plugin "./doom" ran ${hook}`,
      );
      if (how === "hang")
        expect(await rig.pooler.untilLog(({ event }) => event === "plugin stuck", from)).toMatchObject({ plugin: "./doom", hook });
      await rig.pooler.untilLog(({ event }) => event === "worker ready", from);
      const doomed = Number(gone["worker"]);
      await clients.get(doomed)?.closed;
      // The other worker's client has its connection and its answers.
      const bystander = clients.get(3 - doomed) as WireClient;
      expect(rowsOf(await bystander.query("SELECT 1"))).toEqual([["1"]]);
      expect(rowsOf(await batch(await rig.client(), run("SELECT 2")))).toEqual([["2"]]);
      const [row] = await rig.console("SHOW PLUGINS");
      expect(row).toMatchObject({ state: "active", last_crash_hook: hook, last_crash_worker: String(doomed) });
    });
  });

  test("the metrics and SHOW PLUGINS have counted all of them, and the plugin is in service", async () => {
    const hooks = Object.keys(ways).length;
    expect((await rig.console("SHOW PLUGINS"))[0]).toMatchObject({
      on_crash: "restart",
      crashes: String(hooks),
      hangs: String(hooks),
      version: "1.0.0",
    });
    expect(await errorOf(await rig.client(), "SELECT 'forbidden'")).toBe("42501 that is forbidden by 1.0.0");
  });
});

test("a loop without an end in a plugin that is JavaScript", async () => {
  const js = fileURLToPath(new URL("../../../packages/plugin-abi/dist/js/index.js", import.meta.url));
  const module = join(folder, "loop.mjs");
  writeFileSync(
    module,
    `import { definePlugin } from ${JSON.stringify(js)};
export default definePlugin({
  name: "loop",
  route({ statement }) {
    if (statement.sql.includes("'loop'")) for (;;);
    return undefined;
  },
});
`,
  );
  const rig = await startRig({
    plugins: [{ as: "loop.mjs", library: module }],
    databases: { app: { shards } },
    rest: { workers: 2, timeouts: { plugin_call: "1s" } },
  });
  onTestFinished(() => rig.stop());
  const clients = await clientOfEach(rig);
  const [doomed, victim] = [...clients][0] as [number, WireClient];
  victim.send(messages.query("SELECT 'loop'"));
  await victim.closed;
  expect(await rig.pooler.untilLog(({ event }) => event === "worker gone")).toMatchObject({
    level: "error",
    worker: doomed,
    plugin: "./loop.mjs",
    hook: "route_query",
  });
  expect(rowsOf(await (clients.get(3 - doomed) as WireClient).query("SELECT 1"))).toEqual([["1"]]);
});

describe('on_crash = "refuse"', () => {
  test("clients are refused in all workers with the plugin's name, transactions may end, and a reload lets them in again", async () => {
    const rig = await startDoom({ on_crash: "refuse", crash_limit: 2 });
    onTestFinished(() => rig.stop());
    await crash(rig);
    expect(await stateOf(rig)).toBe("active");
    const clients = await clientOfEach(rig);
    for (const client of clients.values()) await client.query("BEGIN; SELECT 1");
    await crash(rig, "hang");
    const refusal = expect.stringContaining('plugin "./doom" is out of service: it ended its worker 2 times within 60 s') as string;
    expect(await rig.pooler.untilLog(({ event }) => event === "plugin out of service")).toMatchObject({
      level: "error",
      plugin: "./doom",
      hook: "route_query",
      msg: refusal,
    });
    expect(await stateOf(rig)).toBe("refusing");
    const gone = rig.pooler.log.filter(({ event }) => event === "worker gone").at(-1);
    const left = clients.get(3 - Number(gone?.["worker"])) as WireClient;
    // The transaction was let in by the plugin, which goes on to be asked in it.
    expect(await errorOf(left, "SELECT 'forbidden'")).toBe("42501 that is forbidden by 1.0.0");
    expect(await errorOf(left, "ROLLBACK")).toBe("none");
    expect(await errorOf(left, "SELECT 1")).toMatch(/^57P03 plugin "\.\/doom" is out of service/);
    expect(errorIn(await batch(left, run("SELECT 1")))).toMatchObject({ C: "57P03" });
    // Whichever worker accepts.
    for (let i = 0; i < 6; i++)
      expect(await refusalOf(rig.pooler, { user: "app", database: "app" })).toMatchObject({ C: "57P03", M: refusal });

    const from = rig.pooler.log.length;
    await rig.console("RELOAD");
    await rig.pooler.untilLog(({ event, restored }) => event === "reloaded" && JSON.stringify(restored) === '["./doom"]', from);
    await rig.pooler.untilLog(({ event }) => event === "worker ready", from);
    expect(await errorOf(left, "SELECT 'forbidden'")).toBe("42501 that is forbidden by 1.0.0");
    expect(await errorOf(left, "SELECT 1")).toBe("none");
    const again = await clientOfEach(rig);
    for (const client of again.values()) expect(await errorOf(client, "SELECT 'forbidden'")).toBe("42501 that is forbidden by 1.0.0");
    expect(await stateOf(rig)).toBe("active");
  });

  test("a plugin that new workers cannot even create is refused, too, instead of workers that never come up", async () => {
    const rig = await startDoom({ on_crash: "refuse", crash_limit: 2 });
    onTestFinished(() => rig.stop());
    arm("create", "segfault");
    await crash(rig);
    expect(await rig.pooler.untilLog(({ event }) => event === "plugin out of service")).toMatchObject({ hook: "create" });
    expect(await refusalOf(rig.pooler, { user: "app", database: "app" })).toMatchObject({ C: "57P03" });
    expect(await rig.console("SHOW PLUGINS")).toMatchObject([{ state: "refusing", crashes: "2", last_crash_hook: "create" }]);
  });
});

test('on_crash = "disable": the chain goes on without the plugin, in all workers, until a reload', async () => {
  const rig = await startDoom({ on_crash: "disable", crash_limit: 1 });
  onTestFinished(() => rig.stop());
  const before = await clientOfEach(rig);
  await crash(rig);
  expect(await stateOf(rig)).toBe("disabled");
  const gone = rig.pooler.log.find(({ event }) => event === "worker gone");
  const left = before.get(3 - Number(gone?.["worker"])) as WireClient;
  const after = await clientOfEach(rig);
  for (const client of [left, ...after.values()]) expect(await errorOf(client, "SELECT 'forbidden'")).toBe("none");
  // Nothing of it is called.
  arm("client_connect", "segfault");
  arm("query_end", "segfault");
  for (const client of (await clientOfEach(rig)).values()) await client.query("SELECT 1");
  for (const hook of ["client_connect", "query_end"]) rmSync(join(folder, `${hook}-segfault`));

  const from = rig.pooler.log.length;
  await rig.console("RELOAD");
  await rig.pooler.untilLog(({ event }) => event === "worker ready", from);
  const again = await clientOfEach(rig);
  for (const client of [left, ...again.values()])
    expect(await errorOf(client, "SELECT 'forbidden'")).toBe("42501 that is forbidden by 1.0.0");
});
