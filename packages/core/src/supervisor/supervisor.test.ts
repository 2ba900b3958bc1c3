// The supervisor with real processes and sockets; only what a worker does with its clients is made up.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { createCrashPage } from "../plugins/crash-page.js";
import { client, config, dial, dialEach, hangUp, log, start, workerEntry } from "./fixtures/harness.js";
import { openListeners } from "./listener.js";

test("workers accept on the inherited listener, and the log says once that the pooler is ready", async () => {
  const { logger, line } = log();
  const supervisor = await start(2, { logger });
  expect(await line("ready")).toMatchObject({
    msg: "pooler is ready",
    host: "127.0.0.1",
    port: supervisor.port,
    metricsPort: supervisor.metrics?.port,
    workers: 2,
  });
  const each = await dialEach(supervisor.port, 2);
  expect([...each.keys()].sort()).toEqual([1, 2]);
  expect(new Set(supervisor.workerProcessIds).size).toBe(2);
});

test("a worker that dies is replaced at once, the log names plugin and hook, and the others go on", async () => {
  const { logger, line } = log();
  const supervisor = await start(2, { logger });
  const each = await dialEach(supervisor.port, 2);
  const victim = client(each, 1);
  const { pid } = await victim.who();
  victim.tell("crash");
  await victim.closed;
  expect(await line("worker gone")).toMatchObject({
    level: "error",
    worker: 1,
    pid,
    signal: "SIGKILL",
    plugin: "@acme/audit",
    hook: "route_query",
    msg: 'worker 1 was killed by SIGKILL while plugin "@acme/audit" ran route_query; a new one is started',
  });
  const again = await dialEach(supervisor.port, 2);
  expect((await client(again, 1).who()).pid).not.toBe(pid);
  expect((await client(each, 2).who()).worker).toBe(2);
});

test("connections that come while no worker is there wait for the next one", async () => {
  const supervisor = await start(1);
  const first = await dial(supervisor.port);
  const { pid } = await first.who();
  first.tell("crash");
  await first.closed;
  const second = await dial(supervisor.port);
  expect((await second.who()).pid).not.toBe(pid);
});

test("an exit code is named, too, and no plugin is blamed that was not running", async () => {
  const { logger, line } = log();
  const supervisor = await start(1, { logger });
  (await dial(supervisor.port)).tell("exit");
  const gone = await line("worker gone");
  expect(gone).toMatchObject({ exitCode: 7, signal: null });
  expect(gone).not.toHaveProperty("plugin");
});

test("a worker that says why it cannot start stops the start with its words", async () => {
  process.env["FAKE_WORKER"] = "fail";
  await expect(start(2)).rejects.toMatchObject({
    message: expect.stringMatching(/^worker \d could not start: plugin "x" cannot be loaded: wrong platform$/) as string,
    hint: "Install it for this platform.",
  });
});

test("a worker that dies while it starts stops the start", async () => {
  process.env["FAKE_WORKER"] = "die";
  await expect(start(1)).rejects.toMatchObject({ message: "worker 1 ended with exit code 9 while it started" });
});

test("an address in use is found out before any worker starts", async () => {
  const supervisor = await start(1);
  const taken = config(1);
  await expect(start(1, { config: { ...taken, listen: { ...taken.listen, port: supervisor.port } } })).rejects.toMatchObject({
    code: "IO",
  });
  await expect(
    start(1, { config: { ...taken, metrics: { host: "127.0.0.1", port: supervisor.metrics?.port ?? 0 } } }),
  ).rejects.toMatchObject({
    message: expect.stringContaining("cannot serve metrics on 127.0.0.1") as string,
  });
});

test("a drain lets clients finish, refuses new ones, and ends", async () => {
  const supervisor = await start(2);
  const each = await dialEach(supervisor.port, 2);
  supervisor.stop("drain");
  expect(await client(each, 1).hear()).toBe("draining 30000");
  expect(await client(each, 2).hear()).toBe("draining 30000");
  expect(await client(each, 2).ask("query")).toBe("ok");
  expect(supervisor.workerProcessIds).toHaveLength(2);
  hangUp();
  await supervisor.stopped;
  expect(supervisor.workerProcessIds).toEqual([]);
  await expect(dial(supervisor.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

test("a worker that ignores its drain is killed after the deadline", async () => {
  process.env["FAKE_WORKER"] = "ignore-drain";
  const { logger, line } = log();
  const booted = config(1);
  const supervisor = await start(1, { logger, config: { ...booted, timeouts: { ...booted.timeouts, drainMs: 50 } } });
  supervisor.stop("drain");
  await line("worker killed");
  await supervisor.stopped;
});

test("SIGTERM to one worker drains and replaces it", async () => {
  const { logger, line } = log();
  const supervisor = await start(1, { logger });
  const one = await dial(supervisor.port);
  const { pid } = await one.who();
  one.tell("terminate");
  expect(await one.hear()).toBe("draining 30000");
  expect(await line("worker drained")).toMatchObject({ worker: 1 });
  one.close();
  const next = await dial(supervisor.port);
  expect((await next.who()).pid).not.toBe(pid);
});

test("a cancel request goes to every other worker, and its own hears when all have seen it", async () => {
  const supervisor = await start(3);
  const each = await dialEach(supervisor.port, 3);
  await client(each, 1).ask("cancel");
  expect((await client(each, 2).who()).seen).toEqual([{ cancel: [12, 34] }]);
  expect((await client(each, 3).who()).seen).toEqual([{ cancel: [12, 34] }]);
  expect((await client(each, 1).who()).seen).toEqual([]);
});

test("slots go from worker to worker, and those of a dead worker to who waits", async () => {
  const supervisor = await start(2);
  const each = await dialEach(supervisor.port, 2);
  expect(await client(each, 1).ask("want")).toBe("slot");
  client(each, 2).tell("want");
  const other = client(await dialEach(supervisor.port, 2), 1);
  await other.console("SHOW VERSION");
  expect((await other.who()).seen).toContainEqual({ slotsWanted: 1, urgent: false });
  client(each, 1).tell("exit");
  expect(await client(each, 2).hear()).toBe("slot");
});

test("a reload reaches every worker, and what needs a restart is named", async () => {
  let next = config(2);
  const { logger, line } = log();
  const supervisor = await start(2, { logger, reload: () => next });
  next = config(2, "[limits]\nmax_clients = 7\n[databases.more]\nurl = 'postgres://db2/more'\n");
  next = { ...next, workers: 5 };
  expect(await supervisor.reload()).toEqual({ applied: ["limits.max_clients", "databases.more"], needRestart: ["workers"], restored: [] });
  expect(await line("reload needs restart")).toMatchObject({ level: "warn", keys: ["workers"] });
  const each = await dialEach(supervisor.port, 2);
  for (const one of each.values()) expect((await one.who()).maxClients).toBe(7);
  client(each, 1).tell("crash");
  await client(each, 1).closed;
  const again = await dialEach(supervisor.port, 2);
  expect((await client(again, 1).who()).maxClients).toBe(7);
});

test("a configuration that one worker refuses is taken back from all of them", async () => {
  let next = config(2);
  const supervisor = await start(2, { reload: () => next });
  next = config(2, "[limits]\nmax_clients = 7\n[databases.refused-by-2]\nurl = 'postgres://db2/x'\n");
  await expect(supervisor.reload()).rejects.toMatchObject({ message: "the new configuration was refused (worker 2: I do not like it)" });
  const each = await dialEach(supervisor.port, 2);
  for (const one of each.values()) expect((await one.who()).maxClients).toBe(1_000);
});

test("a worker that dies again and again is given more and more time, until it stays", async () => {
  const { logger, line } = log();
  const supervisor = await start(1, { logger });
  process.env["FAKE_WORKER"] = "die";
  (await dial(supervisor.port)).tell("exit");
  const message = (text: string) => ({ msg: expect.stringContaining(text) as string });
  expect(await line("worker gone")).toMatchObject(message("worker 1 ended with exit code 7; a new one is started"));
  expect(await line("worker gone", 1)).toMatchObject(message("ended with exit code 9 while it started; a new one is started in 100 ms"));
  expect(await line("worker gone", 2)).toMatchObject(message("a new one is started in 200 ms"));
  delete process.env["FAKE_WORKER"];
  expect((await (await dial(supervisor.port)).who()).worker).toBe(1);
});

test("a worker whose supervisor is gone lets its clients finish, then exits", async () => {
  const listeners = await openListeners({ host: "127.0.0.1", port: 0, backlog: 8 });
  const crashPage = createCrashPage();
  const worker = spawn(process.execPath, [workerEntry], {
    stdio: ["ignore", "inherit", "inherit", "ipc", crashPage, ...listeners.fds],
    serialization: "advanced",
  });
  onTestFinished(() => {
    worker.kill("SIGKILL");
    listeners.close();
    closeSync(crashPage);
  });
  worker.send({ kind: "boot", worker: 1, config: config(1), listeners: listeners.fds.length, outOfService: [], shares: false });
  expect((await once(worker, "message"))[0]).toEqual({ kind: "ready", io: "streams" });
  const one = await dial(listeners.port);
  await one.who();
  // What is left of a supervisor that was killed: a channel that ended.
  worker.disconnect();
  const exited = once(worker, "exit");
  expect(await one.ask("query")).toBe("ok");
  one.close();
  expect(await exited).toEqual([0, null]);
});
