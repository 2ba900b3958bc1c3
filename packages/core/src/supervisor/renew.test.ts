// Workers that are replaced since a reload found other plugins, with real processes; what a worker does with its clients is made up.
import { expect, test } from "vitest";
import type { PoolerConfig } from "../config/types.js";
import { type Client, client, config, dial, dialEach, hangUp, log, rowsOf, start } from "./fixtures/harness.js";

/** The plugin as it is after somebody has installed another version. */
function withPlugins(workers: number, ...stamps: readonly string[]): PoolerConfig {
  const base = config(workers);
  const [plugin] = base.plugins;
  if (plugin === undefined) throw new Error("the configuration has no plugin");
  return { ...base, plugins: stamps.map((libraryStamp) => ({ ...plugin, libraryStamp })) };
}

const pidsOf = async (clients: Iterable<Client>): Promise<Set<number>> =>
  new Set(await Promise.all([...clients].map(async (each) => (await each.who()).pid)));

test.each([1, 2])(
  "%i workers: new ones take the places, and the old ones serve their clients for as long as these stay",
  async (workers) => {
    const { logger, line } = log();
    let next = withPlugins(workers, "old");
    const supervisor = await start(workers, { logger, config: next, reload: () => next });
    const before = await dialEach(supervisor.port, workers);
    const oldPids = await pidsOf(before.values());
    next = withPlugins(workers, "new");
    expect(await supervisor.reload()).toEqual({ applied: ["plugins[0].library"], needRestart: [], restored: [] });
    await line("worker retired", workers - 1);
    // Everybody who was there has the same connection to the same worker.
    expect(await pidsOf(before.values())).toEqual(oldPids);
    const after = await Promise.all(Array.from({ length: 8 }, () => dial(supervisor.port)));
    for (const pid of await pidsOf(after)) expect(oldPids).not.toContain(pid);
    const statuses = rowsOf(await (after[0] as Client).console("SHOW WORKERS")).map(({ state }) => state);
    expect(statuses.filter((state) => state === "ready")).toHaveLength(workers);
    expect(statuses.filter((state) => state === "retiring")).toHaveLength(workers);
    // Those that dialEach() needed no more are there, too.
    hangUp();
    expect(await line("worker gone", workers - 1)).toMatchObject({ level: "info", exitCode: 0 });
    expect(supervisor.workerProcessIds).toHaveLength(workers);
    // The numbers of those that are gone are given again.
    next = withPlugins(workers, "newer");
    await supervisor.reload();
    const each = await dialEach(supervisor.port, workers);
    expect([...each.keys()].sort()).toEqual(Array.from({ length: workers }, (_, index) => index + 1));
  },
);

test("a reload that finds the same plugins replaces nobody", async () => {
  const { logger } = log();
  const next = withPlugins(2, "same");
  const supervisor = await start(2, { logger, config: next, reload: () => withPlugins(2, "same") });
  const pids = supervisor.workerProcessIds;
  expect(await supervisor.reload()).toMatchObject({ applied: [] });
  expect(supervisor.workerProcessIds).toEqual(pids);
});

test("a new version that cannot be loaded leaves everything as it was, and says why", async () => {
  let next = withPlugins(2, "old");
  const supervisor = await start(2, { config: next, reload: () => next });
  const pids = supervisor.workerProcessIds;
  next = withPlugins(2, "new");
  process.env["FAKE_WORKER"] = "fail";
  await expect(supervisor.reload()).rejects.toMatchObject({
    code: "PLUGIN_UNUSABLE",
    message: 'the plugins stay as they were: worker 3 could not start: plugin "x" cannot be loaded: wrong platform',
    hint: "Install it for this platform. What else has changed in the configuration is in force.",
  });
  expect(supervisor.workerProcessIds).toEqual(pids);
  // Who dies meanwhile comes back with the plugin that works; the next reload finds the other one again.
  delete process.env["FAKE_WORKER"];
  const each = await dialEach(supervisor.port, 2);
  client(each, 1).tell("crash");
  await client(each, 1).closed;
  await dialEach(supervisor.port, 2);
  expect(await supervisor.reload()).toMatchObject({ applied: ["plugins[0].library"] });
});

test("a reload is over when those that were replaced accept nobody any more", async () => {
  const { logger, line } = log();
  let next = withPlugins(1, "old");
  const supervisor = await start(1, { logger, config: next, reload: () => next });
  const stays = await dial(supervisor.port);
  stays.tell("hold");
  expect(await stays.hear()).toBe("ok");
  next = withPlugins(1, "new");
  let isOver = false;
  const reload = supervisor.reload().finally(() => {
    isOver = true;
  });
  await line("worker retired");
  await new Promise((resolve) => setImmediate(resolve));
  expect(isOver).toBe(false);
  stays.tell("release");
  expect(await reload).toMatchObject({ applied: ["plugins[0].library"] });
});

test("a worker that was replaced is told of reloads, and keeps its own plugins", async () => {
  let next = withPlugins(1, "old");
  const supervisor = await start(1, { config: next, reload: () => next });
  const stays = await dial(supervisor.port);
  await stays.who();
  next = withPlugins(1, "new");
  await supervisor.reload();
  next = { ...next, limits: { ...next.limits, maxClients: 7 } };
  await supervisor.reload();
  expect(await stays.who()).toMatchObject({ maxClients: 7, stamps: ["old"] });
  expect(await (await dial(supervisor.port)).who()).toMatchObject({ maxClients: 7, stamps: ["new"] });
});

test("one that dies after it was replaced is not started again", async () => {
  const { logger, line } = log();
  let next = withPlugins(1, "old");
  const supervisor = await start(1, { logger, config: next, reload: () => next });
  const victim = await dial(supervisor.port);
  const { pid } = await victim.who();
  next = withPlugins(1, "new");
  await supervisor.reload();
  victim.tell("crash");
  await victim.closed;
  expect(await line("worker gone")).toMatchObject({
    level: "error",
    pid,
    msg: expect.stringContaining("it was replaced before") as string,
  });
  expect(supervisor.workerProcessIds).toHaveLength(1);
  expect((await (await dial(supervisor.port)).who()).pid).toBe(supervisor.workerProcessIds[0]);
});

test("timeouts.retire drains who is left, and a stop does not wait for more than the drain", async () => {
  const { logger, line } = log();
  let next = withPlugins(1, "old");
  next = { ...next, timeouts: { ...next.timeouts, retireMs: 20, drainMs: 30_000 } };
  const supervisor = await start(1, { logger, config: next, reload: () => next });
  const stays = await dial(supervisor.port);
  await stays.who();
  next = { ...withPlugins(1, "new"), timeouts: next.timeouts };
  await supervisor.reload();
  expect(await stays.hear()).toBe("draining 30000");
  stays.close();
  await line("worker gone");
  supervisor.stop("drain");
  await supervisor.stopped;
});

test("the first plugin of a single worker needs a restart, that of several does not", async () => {
  let next: PoolerConfig = { ...config(1), plugins: [] };
  const alone = await start(1, { config: next, reload: () => next });
  next = withPlugins(1, "new");
  expect(await alone.reload()).toMatchObject({ applied: [], needRestart: ["plugins"] });
  next = { ...config(2), plugins: [] };
  const several = await start(2, { config: next, reload: () => next });
  next = withPlugins(2, "new");
  expect(await several.reload()).toMatchObject({ applied: ["plugins"], needRestart: [] });
});
