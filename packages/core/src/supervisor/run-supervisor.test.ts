import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { parseConfig } from "../config/load-config.js";
import { config, dial, hangUp, log, workerEntry } from "./fixtures/harness.js";
import { runSupervisor } from "./run-supervisor.js";

test("signals: SIGHUP reloads, the first SIGTERM drains, the second ends at once", async () => {
  const signals = new EventEmitter();
  const { logger, line } = log();
  let next = config(1);
  const ended = runSupervisor({ config: next, reload: () => next, workerEntry, logger }, signals);
  const { port } = (await line("ready")) as { port: number };
  next = { ...next, limits: { ...next.limits, maxClients: 5 } };
  signals.emit("SIGHUP", "SIGHUP");
  expect(await line("reloaded")).toMatchObject({ applied: ["limits.max_clients"] });
  next = { ...next, databases: [] };
  const one = await dial(port);
  expect((await one.who()).maxClients).toBe(5);
  signals.emit("SIGTERM", "SIGTERM");
  expect(await one.hear()).toBe("draining 30000");
  signals.emit("SIGTERM", "SIGTERM");
  expect(await ended).toEqual({ exitCode: 1 });
  expect(signals.eventNames()).toEqual([]);
});

test("a reload that fails leaves everything as it was and says why", async () => {
  const signals = new EventEmitter();
  const { logger, line } = log();
  const booted = config(1);
  const ended = runSupervisor(
    { config: booted, reload: () => parseConfig("nonsense = 1", "/etc/pooler.toml"), workerEntry, logger },
    signals,
  );
  const { port } = (await line("ready")) as { port: number };
  signals.emit("SIGHUP", "SIGHUP");
  expect(await line("reload failed")).toMatchObject({ level: "error", msg: expect.stringContaining("nonsense") as string });
  expect((await (await dial(port)).who()).maxClients).toBe(1_000);
  hangUp();
  signals.emit("SIGINT", "SIGINT");
  expect(await ended).toEqual({ exitCode: 0 });
});

test("a start that fails has exit code 1 and says why", async () => {
  process.env["FAKE_WORKER"] = "fail";
  const { logger, line } = log();
  const booted = config(1);
  expect(await runSupervisor({ config: booted, reload: () => booted, workerEntry, logger }, new EventEmitter())).toEqual({ exitCode: 1 });
  expect(await line("start failed")).toMatchObject({ hint: "Install it for this platform." });
});

test("a signal during the start gives it up", async () => {
  process.env["FAKE_WORKER"] = "hang";
  const signals = new EventEmitter();
  const booted = config(1);
  const ended = runSupervisor({ config: booted, reload: () => booted, workerEntry, logger: log().logger }, signals);
  setImmediate(() => signals.emit("SIGINT", "SIGINT"));
  expect(await ended).toEqual({ exitCode: 0 });
});
