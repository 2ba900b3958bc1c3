// Console, metrics and health of a supervisor with real workers' processes, over real HTTP.
import { expect, test } from "vitest";
import { client, dial, dialEach, log, rowsOf, start } from "./fixtures/harness.js";

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

test("SHUTDOWN answers before it stops", async () => {
  const supervisor = await start(2);
  const one = await dial(supervisor.port);
  expect(await one.console("SHUTDOWN WAIT_FOR_SERVERS")).toMatchObject({ ok: true, tag: "SHUTDOWN" });
  expect(await one.hear()).toBe("draining 30000");
  one.close();
  await supervisor.stopped;
});

test("a PAUSE of everything takes the place of those of single databases", async () => {
  const supervisor = await start(1);
  const one = await dial(supervisor.port);
  await one.console("PAUSE app");
  expect(await one.console("PAUSE")).toMatchObject({ ok: true });
  expect(await one.console("RESUME app")).toMatchObject({ ok: false, sqlstate: "55000" });
  expect(await one.console("RESUME")).toMatchObject({ ok: true });
  expect(rowsOf(await one.console("SHOW STATE"))).toContainEqual({ key: "active", value: "yes" });
});
