// The supervisor with real processes, sockets and HTTP; only what a worker does with its clients is made up
// (fixtures/fake-worker.mjs).
import { EventEmitter } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createLogger, type Logger } from "../base/logger.js";
import { parseConfig } from "../config/load-config.js";
import type { PoolerConfig } from "../config/types.js";
import type { ConsoleResult } from "./ipc.js";
import { runSupervisor } from "./run-supervisor.js";
import { type Supervisor, startSupervisor } from "./supervisor.js";

const workerEntry = fileURLToPath(new URL("fixtures/fake-worker.mjs", import.meta.url));
let directory: string;

beforeAll(() => {
  // The worker speaks through the real link; Node cannot read its TypeScript.
  directory = mkdtempSync(join(tmpdir(), "pooler-link-"));
  const source = readFileSync(new URL("../worker/link.ts", import.meta.url), "utf8");
  const { outputText } = ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 } });
  writeFileSync(join(directory, "link.mjs"), outputText);
  process.env["POOLER_LINK"] = join(directory, "link.mjs");
});

afterAll(() => rmSync(directory, { recursive: true }));

const running: Supervisor[] = [];
const clients: Client[] = [];
afterEach(async () => {
  delete process.env["FAKE_WORKER"];
  for (const client of clients.splice(0)) client.close();
  for (const supervisor of running.splice(0)) {
    supervisor.stop("immediate");
    await supervisor.stopped;
  }
});

function config(workers: number, extra = ""): PoolerConfig {
  const parsed = parseConfig(
    `workers = ${workers}
[listen]
port = 0
[metrics]
port = 0
[databases.app]
url = "postgres://db1/app"
[users.alice]
password = "x"
${extra}`,
    "/etc/pooler.toml",
  );
  const plugin = {
    name: "@acme/audit",
    library: "/opt/audit.so",
    source: "package",
    packageVersion: "1.0.0",
    config: {},
    onError: "fail",
  } as const;
  return { ...parsed, plugins: [plugin] };
}

interface Log {
  readonly logger: Logger;
  /** Resolves with the first line, past or to come, of that event. */
  line(event: string): Promise<Readonly<Record<string, unknown>>>;
}

function log(): Log {
  const lines: Record<string, unknown>[] = [];
  const waiting: { readonly event: string; readonly found: (line: Record<string, unknown>) => void }[] = [];
  const logger = createLogger({
    level: "info",
    format: "json",
    write(text) {
      const line = JSON.parse(text) as Record<string, unknown>;
      lines.push(line);
      for (const { event, found } of waiting) if (line["event"] === event) found(line);
    },
  });
  return {
    logger,
    line: (event) =>
      new Promise((found) => {
        const line = lines.find((candidate) => candidate["event"] === event);
        if (line === undefined) waiting.push({ event, found });
        else found(line);
      }),
  };
}

async function start(
  workers: number,
  options: { logger?: Logger; reload?: () => PoolerConfig; config?: PoolerConfig } = {},
): Promise<Supervisor> {
  const booted = options.config ?? config(workers);
  const supervisor = await startSupervisor({
    config: booted,
    reload: options.reload ?? (() => booted),
    workerEntry,
    logger: options.logger ?? log().logger,
  });
  running.push(supervisor);
  return supervisor;
}

interface Who {
  readonly worker: number;
  readonly pid: number;
  readonly paused: readonly (string | null)[];
  readonly maxClients: number;
  readonly seen: readonly Readonly<Record<string, unknown>>[];
}

/** One connection to some worker; a line out, a line back. */
class Client {
  readonly #socket: Socket;
  #received = "";
  readonly #takers: ((line: string) => void)[] = [];
  readonly closed: Promise<void>;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("error", () => {});
    this.closed = new Promise((closed) => socket.on("close", () => closed()));
    socket.on("data", (chunk: string) => {
      this.#received += chunk;
      this.#deliver();
    });
  }

  #deliver(): void {
    for (let end = this.#received.indexOf("\n"); end >= 0 && this.#takers.length > 0; end = this.#received.indexOf("\n")) {
      this.#takers.shift()?.(this.#received.slice(0, end));
      this.#received = this.#received.slice(end + 1);
    }
  }

  tell(line: string): void {
    this.#socket.write(`${line}\n`);
  }

  hear(): Promise<string> {
    return new Promise((taker) => {
      this.#takers.push(taker);
      this.#deliver();
    });
  }

  ask(line: string): Promise<string> {
    this.tell(line);
    return this.hear();
  }

  async who(): Promise<Who> {
    return JSON.parse(await this.ask("who")) as Who;
  }

  async console(sql: string): Promise<ConsoleResult> {
    return JSON.parse(await this.ask(`console ${sql}`)) as ConsoleResult;
  }

  close(): void {
    this.#socket.destroy();
  }
}

function dial(port: number): Promise<Client> {
  return new Promise((done, fail) => {
    const socket = connect({ host: "127.0.0.1", port });
    const client = new Client(socket);
    clients.push(client);
    socket.once("connect", () => done(client));
    socket.once("error", fail);
  });
}

/** Connections until each worker has one: the system decides who accepts. */
async function dialEach(port: number, workers: number): Promise<Map<number, Client>> {
  const found = new Map<number, Client>();
  while (found.size < workers) {
    const client = await dial(port);
    found.set((await client.who()).worker, client);
  }
  return found;
}

function rowsOf(result: ConsoleResult): Readonly<Record<string, string | null>>[] {
  if (!result.ok) throw new Error(result.message);
  return result.rows.map((row) => Object.fromEntries(result.columns.map(({ name }, index) => [name, row[index] ?? null])));
}

function client(found: Map<number, Client>, worker: number): Client {
  const one = found.get(worker);
  if (one === undefined) throw new Error(`no connection to worker ${worker}`);
  return one;
}

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

test("a worker that dies is replaced within a second, and the log names plugin and hook; others go on, waiting connections survive", async () => {
  const { logger, line } = log();
  const supervisor = await start(2, { logger });
  const each = await dialEach(supervisor.port, 2);
  const victim = client(each, 1);
  const { pid } = await victim.who();
  const began = performance.now();
  victim.tell("crash");
  await victim.closed;
  expect(await line("worker gone")).toMatchObject({
    level: "error",
    worker: 1,
    pid,
    signal: "SIGKILL",
    plugin: "@acme/audit",
    hook: "route_query",
    msg: expect.stringContaining('worker 1 was killed by SIGKILL while plugin "@acme/audit" ran route_query') as string,
  });
  const again = await dialEach(supervisor.port, 2);
  expect(performance.now() - began).toBeLessThan(1_000);
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
  let over = false;
  void supervisor.stopped.then(() => {
    over = true;
  });
  for (const one of clients) one.close();
  await supervisor.stopped;
  expect(over).toBe(true);
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

test("a cancel request goes to every other worker", async () => {
  const supervisor = await start(3);
  const each = await dialEach(supervisor.port, 3);
  await client(each, 1).ask("cancel");
  // The channel of each worker keeps its order: what the console's answer finds has come after the cancel.
  for (const worker of [2, 3]) await client(each, worker).console("SHOW VERSION");
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
  expect(await supervisor.reload()).toEqual({ applied: ["limits.max_clients", "databases.more"], needRestart: ["workers"] });
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

test("the console answers for all workers together", async () => {
  const supervisor = await start(2);
  const each = await dialEach(supervisor.port, 2);
  for (const [worker, one] of each) for (let i = 0; i < worker; i++) await one.ask("query");
  const console = client(each, 1);
  expect(rowsOf(await console.console("show pools;"))[0]).toMatchObject({ database: "app", user: "alice", sv_idle: "4", cl_waiting: "2" });
  expect(rowsOf(await console.console("SHOW CLIENTS"))).toHaveLength(4);
  expect(rowsOf(await console.console("SHOW STATS"))[0]).toMatchObject({ database: "app", total_query_count: "3" });
  expect(rowsOf(await console.console("SHOW PLUGINS"))).toMatchObject([{ position: "1", name: "@acme/audit", calls: "400" }]);
  expect(rowsOf(await console.console("SHOW WORKERS")).map(({ pid }) => Number(pid))).toEqual(supervisor.workerProcessIds);
  expect(await console.console("!RELOAD")).toMatchObject({ ok: false, sqlstate: "42501" });
  expect(await console.console("RELOAD")).toMatchObject({ ok: true, tag: "RELOAD" });
});

test("counters do not go backwards when a worker dies", async () => {
  const supervisor = await start(1);
  const one = await dial(supervisor.port);
  for (let i = 0; i < 5; i++) await one.ask("query");
  const count = async (): Promise<string | null | undefined> =>
    rowsOf(await (await dial(supervisor.port)).console("SHOW STATS"))[0]?.["total_query_count"];
  expect(await count()).toBe("5");
  one.tell("crash");
  await one.closed;
  expect(await count()).toBe("5");
  await (await dial(supervisor.port)).ask("query");
  expect(await count()).toBe("6");
});

test("PAUSE answers when nothing is in use any more, holds for workers that start later, and RESUME ends it", async () => {
  const supervisor = await start(2);
  const each = await dialEach(supervisor.port, 2);
  await client(each, 2).ask("hold");
  const paused = client(each, 1).console("PAUSE app");
  const watcher = client(await dialEach(supervisor.port, 2), 1);
  expect(rowsOf(await watcher.console("SHOW DATABASES"))[0]).toMatchObject({ name: "app", paused: "1" });
  await client(each, 2).ask("release");
  expect(await paused).toMatchObject({ ok: true, tag: "PAUSE" });
  client(each, 2).tell("crash");
  await client(each, 2).closed;
  const again = await dialEach(supervisor.port, 2);
  for (const one of again.values()) expect((await one.who()).paused).toEqual(["app"]);
  expect(await watcher.console("PAUSE app")).toMatchObject({ ok: false, sqlstate: "55000" });
  expect(await watcher.console("RESUME app")).toMatchObject({ ok: true, tag: "RESUME" });
  for (const one of again.values()) expect((await one.who()).paused).toEqual([]);
});

test("a PAUSE that waits ends with an error when somebody resumes, and with success when who held it dies", async () => {
  const supervisor = await start(2);
  const each = await dialEach(supervisor.port, 2);
  await client(each, 2).ask("hold");
  const first = client(each, 1).console("PAUSE");
  const watcher = client(await dialEach(supervisor.port, 2), 1);
  await watcher.console("RESUME");
  expect(await first).toMatchObject({ ok: false, sqlstate: "57P03" });
  const second = client(each, 1).console("PAUSE");
  client(each, 2).tell("exit");
  expect(await second).toMatchObject({ ok: true, tag: "PAUSE" });
});

test("metrics are scraped over HTTP, in the format that is asked for", async () => {
  const supervisor = await start(2);
  const url = `http://127.0.0.1:${supervisor.metrics?.port}`;
  const plain = await fetch(`${url}/metrics`);
  expect(plain.headers.get("content-type")).toContain("text/plain; version=0.0.4");
  const text = await plain.text();
  expect(text).toContain("pooler_workers_ready 2\n");
  expect(text).toContain('pooler_plugin_calls_total{plugin="@acme/audit"} 400\n');
  const open = await fetch(`${url}/metrics`, { headers: { accept: "application/openmetrics-text; version=1.0.0" } });
  expect(open.headers.get("content-type")).toContain("application/openmetrics-text");
  expect(await open.text()).toMatch(/# EOF\n$/);
  expect((await fetch(`${url}/nothing`)).status).toBe(404);
  expect((await fetch(`${url}/metrics`, { method: "POST" })).status).toBe(405);
});

test("health is 200 while all workers are ready, and 503 while one is not", async () => {
  const { logger, line } = log();
  const supervisor = await start(1, { logger });
  const url = `http://127.0.0.1:${supervisor.metrics?.port}/health`;
  const healthy = await fetch(url);
  expect(healthy.status).toBe(200);
  expect(await healthy.json()).toMatchObject({ status: "ok", workers: [{ worker: 1, state: "ready" }] });
  process.env["FAKE_WORKER"] = "hang";
  (await dial(supervisor.port)).tell("exit");
  await line("worker gone");
  const ill = await fetch(url);
  expect(ill.status).toBe(503);
  expect(await ill.json()).toMatchObject({ status: "unavailable" });
});

test("workers end when the supervisor does not tell them to: the channel closed", async () => {
  const supervisor = await start(1);
  const one = await dial(supervisor.port);
  const { pid } = await one.who();
  const gone = new Promise<void>((done) => {
    // The supervisor's end of the channel is what a dead supervisor leaves closed.
    const check = setInterval(() => {
      try {
        process.kill(pid, 0);
      } catch {
        clearInterval(check);
        done();
      }
    }, 10);
  });
  one.close();
  supervisor.stop("drain");
  await gone;
});

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
  for (const one of clients) one.close();
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
