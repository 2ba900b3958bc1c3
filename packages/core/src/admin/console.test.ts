import { readFileSync } from "node:fs";
import { beforeEach, expect, test } from "vitest";
import { PoolerError } from "../base/errors.js";
import { createSilentLogger } from "../base/logger.js";
import { parseConfig } from "../config/load-config.js";
import { createCounterLedger } from "../metrics/counter-ledger.js";
import type { PoolerView } from "../metrics/pooler-view.js";
import sample from "../supervisor/fixtures/worker-snapshot.json" with { type: "json" };
import type { ConsoleResult, WorkerSnapshot } from "../supervisor/ipc.js";
import type { PluginHealth } from "../supervisor/plugin-ward.js";
import { consoleCommands } from "./commands.js";
import { createConsole } from "./console.js";
import type { ConsoleContext } from "./console-command.js";

const first = sample as unknown as WorkerSnapshot;
const second: WorkerSnapshot = {
  ...first,
  worker: 2,
  processId: 4_712,
  hosts: first.hosts.map((host) => ({ ...host, up: true, downSinceMs: null, lastError: null })),
};
const parsed = parseConfig(
  `workers = 2
[databases.app]
shards = [{ primary = "postgres://db1/app_s0", replicas = ["postgres://db1r:5433/app_s0"] }, "postgres://db2/app_s1"]
[databases."rarely used"]
url = "postgres://owner@db1/rare"
pool_mode = "session"
[users.alice]
password = "alice's secret"
console = "admin"
[users.bob]
password = "bob's secret"
databases = ["app"]
`,
  "/etc/pooler.toml",
);
const plugin = (name: string) =>
  ({ name, library: `/opt/${name}.so`, source: "package", packageVersion: "1.0.0", config: {}, onError: "fail" }) as const;
const config = { ...parsed, plugins: [plugin("@pooler/plugin-read-write-split"), plugin("./libaudit.so")] };

let snapshots: readonly WorkerSnapshot[];
let paused: Set<string | null>;
let calls: string[];
let health: readonly PluginHealth[];
let context: ConsoleContext;

beforeEach(() => {
  snapshots = [first, second];
  paused = new Set();
  health = [];
  calls = [];
  context = {
    logger: createSilentLogger(),
    view: async () => view(),
    reload: async () => ({ applied: ["limits.max_clients"], needRestart: ["listen.port"], restored: ["./libaudit.so"] }),
    pause: async (database) => {
      calls.push(`pause ${database}`);
    },
    resume: async (database) => {
      calls.push(`resume ${database}`);
    },
    shutdown: (mode) => {
      calls.push(`shutdown ${mode}`);
    },
  };
});

function view(): PoolerView {
  const ledger = createCounterLedger(0);
  for (const snapshot of snapshots) ledger.observe(snapshot);
  return {
    config,
    version: "1.2.3",
    atMs: 1_767_225_660_000,
    startedAtMs: 1_767_225_600_000,
    supervisorMemoryBytes: 40_000_000,
    workers: [
      { worker: 1, state: "ready", processId: 4_711 },
      { worker: 2, state: "ready", processId: 4_712 },
    ],
    workerRestarts: 0,
    snapshots,
    counters: ledger.counters(),
    recent: ledger.recent(10_000),
    paused,
    pluginHealth: health,
  };
}

const run = (sql: string, admin = true): Promise<ConsoleResult> => createConsole(context).run("alice", admin, sql);

async function rows(sql: string): Promise<Readonly<Record<string, string | null>>[]> {
  const result = await run(sql);
  if (!result.ok) throw new Error(result.message);
  return result.rows.map((row) => Object.fromEntries(result.columns.map(({ name }, index) => [name, row[index] ?? null])));
}

async function columnsOf(sql: string): Promise<string> {
  const result = await run(sql);
  if (!result.ok) throw new Error(result.message);
  return result.columns.map(({ name }) => name).join(",");
}

test("SHOW POOLS has PgBouncer's columns first, in its order, then the host", async () => {
  expect(await columnsOf("SHOW POOLS")).toBe(
    "database,user,cl_active,cl_waiting,cl_active_cancel_req,cl_waiting_cancel_req,sv_active,sv_active_cancel,sv_being_canceled,sv_idle,sv_used,sv_tested," +
      "sv_login,maxwait,maxwait_us,pool_mode,load_balance_hosts,host,port,shard,role,pool_size",
  );
});

test("SHOW POOLS adds up the workers and takes the longest wait", async () => {
  snapshots = [first, { ...second, pools: second.pools.map((pool) => ({ ...pool, maxWaitUs: 2_000_001 })) }];
  expect(await rows("SHOW POOLS")).toMatchObject([
    {
      host: "db1",
      port: "5432",
      cl_active: "2",
      cl_waiting: "2",
      sv_active: "2",
      sv_idle: "4",
      maxwait: "2",
      maxwait_us: "1",
      pool_mode: "transaction",
      pool_size: "10",
    },
    { host: "db1r", role: "replica", sv_login: "2" },
  ]);
});

test("SHOW CLIENTS and SHOW SERVERS have PgBouncer's columns first, and link to one another", async () => {
  const bouncer =
    "type,user,database,replication,state,addr,port,local_addr,local_port,connect_time,request_time,wait,wait_us,close_needed,ptr,link,remote_pid,tls,application_name,prepared_statements,id";
  expect(await columnsOf("SHOW CLIENTS")).toBe(`${bouncer},worker,cancel_pid`);
  expect(await columnsOf("SHOW SERVERS")).toBe(`${bouncer},shard,role,worker`);
  const [client, waiting] = await rows("SHOW CLIENTS");
  const [server, login] = await rows("SHOW SERVERS");
  expect(client).toMatchObject({
    type: "C",
    addr: "192.0.2.10",
    connect_time: "2026-01-01 00:00:01 UTC",
    ptr: "w1c7",
    link: "w1s3",
    tls: "TLS",
    application_name: "web",
  });
  expect(waiting).toMatchObject({ state: "waiting", wait: "1", wait_us: "250000", link: "", tls: "" });
  expect(server).toMatchObject({
    type: "S",
    state: "active",
    ptr: "w1s3",
    link: "w1c7",
    remote_pid: "9001",
    application_name: "web",
    close_needed: "0",
  });
  expect(login).toMatchObject({ state: "new", role: "replica", shard: "0" });
});

test("SHOW STATS has PgBouncer's names, totals of all workers and averages", async () => {
  const names =
    "server_assignment_count,xact_count,query_count,received,sent,xact_time,query_time,wait_time,client_parse_count,server_parse_count,bind_count,error_count".split(
      ",",
    );
  const averages = names.map((name) => (name === "received" ? "recv" : name));
  expect(await columnsOf("SHOW STATS")).toBe(
    ["database", ...names.map((name) => `total_${name}`), ...averages.map((name) => `avg_${name}`)].join(","),
  );
  const [app, rare] = await rows("SHOW STATS");
  expect(app).toMatchObject({
    database: "app",
    total_xact_count: "200",
    total_query_count: "500",
    total_received: "20000",
    // 500 in ten seconds, 800000 µs for them
    avg_query_count: "50",
    avg_query_time: "1600",
    avg_xact_time: "5000",
  });
  expect(rare).toMatchObject({ database: "rarely used", total_query_count: "0", avg_query_time: "0" });
});

test("SHOW STATS_TOTALS, STATS_AVERAGES and TOTALS are parts of it", async () => {
  expect((await columnsOf("SHOW STATS_TOTALS")).split(",").slice(0, 5)).toEqual([
    "database",
    "server_assignment_count",
    "xact_count",
    "query_count",
    "bytes_received",
  ]);
  expect((await rows("SHOW STATS_AVERAGES"))[0]).toMatchObject({ query_count: "50", query_time: "1600" });
  expect(await rows("SHOW TOTALS")).toContainEqual({ name: "total_query_count", value: "500" });
});

test("SHOW DATABASES has PgBouncer's columns, and tells pauses", async () => {
  paused.add("rarely used");
  expect(await rows("SHOW DATABASES")).toMatchObject([
    {
      name: "app",
      host: "db1",
      port: "5432",
      database: "app_s0",
      force_user: null,
      pool_size: "20",
      current_connections: "8",
      current_client_connections: "4",
      paused: "0",
      shards: "2",
      replicas: "1",
    },
    {
      name: "rarely used",
      database: "rare",
      force_user: "owner",
      pool_mode: "session",
      server_lifetime: "3600",
      paused: "1",
      disabled: "0",
    },
  ]);
});

test("SHOW SHARDS lists every server; one worker's word is enough to hold it for down", async () => {
  expect(await rows("SHOW SHARDS")).toMatchObject([
    { database: "app", shard: "0", role: "primary", host: "db1", server_database: "app_s0", state: "up", sv_active: "2", sv_idle: "4" },
    {
      role: "replica",
      host: "db1r",
      state: "down",
      down_in_workers: "1",
      down_since: "2026-01-01 00:00:40 UTC",
      last_error: "connection refused",
    },
    { shard: "1", host: "db2", state: "unknown", last_error: null },
    { database: "rarely used", host: "db1", state: "unknown" },
  ]);
  expect((await rows("SHOW HOSTS"))[0]).toMatchObject({ host: "db1", databases: "app,rarely used", roles: "primary", state: "up" });
});

test("SHOW PLUGINS follows the configuration's order and knows plugins that were never called", async () => {
  health = [
    { state: "active", hooks: new Map(), last: null },
    {
      state: "refusing",
      hooks: new Map([
        ["route_query", { crashes: 2, hangs: 1 }],
        ["create", { crashes: 1, hangs: 0 }],
      ]),
      last: { plugin: 1, hook: "route_query", hung: true, worker: 2, atMs: 1_767_225_640_000 },
    },
  ];
  expect(await rows("SHOW PLUGINS")).toMatchObject([
    {
      position: "1",
      name: "@pooler/plugin-read-write-split",
      plugin: "read-write-split",
      version: "0.1.0",
      abi: "1.0",
      library: "/opt/@pooler/plugin-read-write-split.so",
      hooks: "route_query",
      on_error: "fail",
      calls: "400",
      errors: "2",
      verdict_skip: "40",
      verdict_forward: "300",
      verdict_error: "20",
      verdict_rewrite: "30",
      verdict_intercept: "10",
      total_time: "600",
      avg_time: "1.5",
      state: "active",
      on_crash: "restart",
      crashes: "0",
      last_crash: null,
    },
    {
      position: "2",
      name: "./libaudit.so",
      capabilities: "inspect,every_statement",
      calls: "0",
      avg_time: "0",
      state: "refusing",
      crashes: "3",
      hangs: "1",
      last_crash: "2026-01-01 00:00:40 UTC",
      last_crash_hook: "route_query",
      last_crash_worker: "2",
    },
  ]);
});

test("SHOW USERS and SHOW CONFIG tell no secret", async () => {
  expect(await rows("SHOW USERS")).toMatchObject([
    { name: "alice", current_connections: "8", current_client_connections: "4", console: "admin", databases: null },
    { name: "bob", console: "none", databases: "app" },
  ]);
  expect(await columnsOf("SHOW CONFIG")).toBe("key,value,default,changeable");
  expect(await rows("SHOW CONFIG")).toContainEqual({ key: "workers", value: "2", default: "1", changeable: "no" });
  for (const { name, access } of consoleCommands) {
    if (access === "stats") expect(JSON.stringify(await run(name)), name).not.toContain("secret");
  }
});

test("SHOW LISTS, STATE, VERSION and WORKERS tell of the pooler itself", async () => {
  paused.add(null);
  const lists = new Map((await rows("SHOW LISTS")).map(({ list, items }) => [list, items]));
  expect([lists.get("databases"), lists.get("used_clients"), lists.get("plugins"), lists.get("hosts")]).toEqual(["2", "4", "2", "4"]);
  expect(await rows("SHOW STATE")).toContainEqual({ key: "paused", value: "yes" });
  expect(await rows("SHOW VERSION")).toEqual([{ version: "Pooler 1.2.3" }]);
  expect(await rows("SHOW WORKERS")).toMatchObject([
    { worker: "1", state: "ready", pid: "4711", clients: "2", servers: "4", io: "sockets" },
    { worker: "2", pid: "4712" },
  ]);
});

test("a worker that does not answer is named in a notice", async () => {
  snapshots = [first];
  expect(await run("SHOW POOLS")).toMatchObject({ ok: true, notices: ["without worker 2 (ready), which did not answer"] });
});

test("case, spaces, comments and semicolons do not matter", async () => {
  expect(await run("  sHoW\n/* all */ pOOls ;; -- please")).toMatchObject({ ok: true, tag: "SHOW" });
});

test("an empty command has an empty tag, and SET is taken and forgotten", async () => {
  expect(await run(" ; ")).toEqual({ ok: true, columns: [], rows: [], tag: "", notices: [] });
  expect(await run("SET extra_float_digits = 3")).toMatchObject({ ok: true, tag: "SET" });
  expect(await run("set session characteristics as transaction isolation level read committed", false)).toMatchObject({ tag: "SET" });
});

test("an unknown command is told with what there is", async () => {
  const result = await run("SELECT * FROM users");
  expect(result).toMatchObject({ ok: false, sqlstate: "42601", message: 'the console does not know "SELECT * FROM users"' });
  for (const { name } of consoleCommands) expect(JSON.stringify(result)).toContain(name.replace("SHOW ", ""));
  expect(await run("SHOW")).toMatchObject({ ok: false, sqlstate: "42601" });
});

test("what a command does not take is refused", async () => {
  expect(await run("SHOW POOLS app")).toMatchObject({ ok: false, sqlstate: "42601", hint: "It is: SHOW POOLS" });
  expect(await run("PAUSE app now")).toMatchObject({ ok: false, sqlstate: "42601" });
});

test("users without admin rights may look, not touch", async () => {
  for (const { name, access } of consoleCommands) {
    expect(await run(name, false), name).toMatchObject(access === "stats" ? { ok: true, tag: "SHOW" } : { ok: false, sqlstate: "42501" });
  }
  expect(calls).toEqual([]);
});

test("PAUSE and RESUME take a database or all", async () => {
  expect(await run("PAUSE")).toMatchObject({ ok: true, tag: "PAUSE", columns: [] });
  expect(await run('pause "rarely used"')).toMatchObject({ ok: true });
  paused.add("app");
  expect(await run("RESUME app")).toMatchObject({ ok: true, tag: "RESUME" });
  expect(calls).toEqual(["pause null", "pause rarely used", "resume app"]);
});

test("PAUSE and RESUME in the wrong state, or of a database that is none, are refused", async () => {
  expect(await run("RESUME")).toMatchObject({ ok: false, sqlstate: "55000", message: "the pooler is not paused" });
  expect(await run("PAUSE nowhere")).toMatchObject({ ok: false, sqlstate: "3D000" });
  paused.add(null);
  expect(await run("PAUSE app")).toMatchObject({ ok: false, sqlstate: "55000", message: 'database "app" is paused already' });
  expect(await run("RESUME app")).toMatchObject({
    ok: false,
    sqlstate: "55000",
    hint: "PAUSE was given without a name: so must be RESUME.",
  });
  expect(calls).toEqual([]);
});

test("RELOAD tells what changed and what needs a restart", async () => {
  expect(await run("RELOAD")).toMatchObject({
    tag: "RELOAD",
    notices: ["changed: limits.max_clients", "changed, but needs a restart: listen.port", "in service again: ./libaudit.so"],
  });
  context = { ...context, reload: () => Promise.reject(new PoolerError("CONFIG_INVALID", "pooler.toml:3: port: what?")) };
  expect(await run("RELOAD")).toMatchObject({ ok: false, sqlstate: "F0000", message: "pooler.toml:3: port: what?" });
});

test("SHUTDOWN stops at once, or after the transactions", async () => {
  expect(await run("SHUTDOWN")).toMatchObject({ tag: "SHUTDOWN" });
  await run("shutdown wait_for_servers");
  expect(await run("SHUTDOWN NOW")).toMatchObject({ ok: false, sqlstate: "42601" });
  expect(calls).toEqual(["shutdown immediate", "shutdown drain"]);
});

test("a bug in a command is an internal error, not the end", async () => {
  context = { ...context, view: () => Promise.reject(new TypeError("x is not a function")) };
  expect(await run("SHOW POOLS")).toMatchObject({ ok: false, sqlstate: "XX000" });
});

test("docs/console.md describes every command with its columns, types and order", () => {
  const page = readFileSync(new URL("../../../../docs/console.md", import.meta.url), "utf8");
  const sections = new Map(page.split(/^### /m).map((section) => [section.split("\n")[0]?.replaceAll("`", ""), section]));
  for (const { name, argument, columns } of consoleCommands) {
    const section = sections.get(argument === null ? name : `${name} ${argument}`);
    expect(section, name).toBeDefined();
    const documented = [...(section ?? "").matchAll(/^\| `(\w+)` +\| (\w+) +\| \S.*\|$/gm)].map(([, column, type]) => `${column} ${type}`);
    expect(documented, name).toEqual(columns.map((column) => `${column.name} ${column.type}`));
  }
});
