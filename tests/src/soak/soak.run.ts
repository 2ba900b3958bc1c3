// The soak: mixed clients, cancels, disconnects and server restarts for as long as one wants. At its end memory must be flat, nothing
// may be left open, and the accounts of clients, pooler and PostgreSQL must be the same to the last transaction.
//
// How the accounts can be exact: clients of the database "exact" do nothing whose outcome they cannot know. Its server is restarted too, but
// only while the database is paused. PostgreSQL counts in pg_stat_database what they did and, beside it, one or more transactions for each
// connection that was opened (how many is measured before), of which it counts the number as `sessions`. Autovacuum is off, nobody else
// looks into that database, and the pooler has no settings to make there, so that there is nothing else to count.
import { type Cluster, type PostgresHost, query, startCluster } from "@pooler/embedded-cluster";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createRandom } from "../differential/random.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { type Match, playAt } from "../multiplex/play.js";
import type { Ground } from "../multiplex/player.js";
import { type Console, openConsole } from "../operations/support/console.js";
import { until } from "../operations/support/until.js";
import { workerPids } from "../operations/support/worker-pids.js";
import { type Disturbed, disturbances } from "./disturbances.js";
import { emptyAccount, runExactClient } from "./exact-client.js";
import { medianOf, openDescriptors, type ProcessWatch, watchMemory } from "./process-watch.js";
import { createVerdict } from "./verdict.js";

const minutes = Number(process.env["POOLER_SOAK_MINUTES"] ?? 30);
const seed = Number(process.env["POOLER_SOAK_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const exactClients = 30;
const roughClients = 60;
const totalMs = minutes * 60_000;
const disturbanceEveryMs = Math.min(60_000, totalMs / 10);
const megabyte = 1 << 20;

let cluster: Cluster;
let pooler: Pooler;
let console: Console;
const calm = (): PostgresHost => cluster.shards[0]?.primary as PostgresHost;
const rough = (): PostgresHost => cluster.shards[1]?.primary as PostgresHost;
const exactUrl = (): string => calm().url.replace(/\/[^/]*$/, "/exact");

beforeAll(async () => {
  cluster = await startCluster({ shards: 2, settings: { autovacuum: "off", max_connections: "100" } });
  await query(calm().url, "CREATE DATABASE exact");
  await query(exactUrl(), "CREATE TABLE soak_rows (word text)");
  await query(rough().url, "CREATE TABLE random_rows (word text PRIMARY KEY)");
  await query(rough().url, "CREATE TABLE random_known AS SELECT n, 'row ' || n AS text FROM generate_series(1, 1000) n");
  await query(rough().url, "ALTER TABLE random_known ADD PRIMARY KEY (n)");
  pooler = await startPooler({
    config: {
      listen: { auth: "trust" },
      // Caches that are full after a minute: what grows then is not a cache.
      limits: { max_cached_statements: 500, max_server_statements: 50 },
      timeouts: { query_wait: "9s", host_retry: "200ms", server_idle: "20s", server_lifetime: "90s" },
      users: { app: { server_user: cluster.user }, admin: { console: "admin" } },
      databases: {
        exact: { url: exactUrl(), pool_size: 8 },
        mixed: { url: rough().url, pool_size: 6, multiplex: 16, multiplex_writes: true, multiplex_prepare: true },
        pinned: { url: rough().url, pool_size: 8, on_session_state: "pin" },
      },
    },
  });
  console = await openConsole(pooler);
}, 120_000);

afterAll(async () => {
  await cluster?.stop();
});

interface Statistics {
  readonly transactions: number;
  readonly sessions: number;
}

/** From another database: whoever looks is not counted. */
async function statistics(): Promise<Statistics> {
  const [row] = await query(
    calm().url,
    "SELECT (xact_commit + xact_rollback)::int AS transactions, sessions::int AS sessions FROM pg_stat_database WHERE datname = 'exact'",
  );
  return { transactions: Number(row?.["transactions"]), sessions: Number(row?.["sessions"]) };
}

/** When nobody is connected to the database any more, and so nothing is on its way into the statistics. */
async function settledStatistics(): Promise<Statistics> {
  await until("the database to have no connections", async () => {
    const rows = await query(calm().url, "SELECT 1 FROM pg_stat_activity WHERE datname = 'exact'");
    return rows.length === 0;
  });
  return statistics();
}

/** What PostgreSQL counts for a connection that does nothing. */
async function transactionsOfAConnection(): Promise<number> {
  const before = await settledStatistics();
  for (let i = 0; i < 10; i++) {
    const client = new pg.Client(exactUrl());
    await client.connect();
    await client.end();
  }
  const after = await settledStatistics();
  expect(after.sessions - before.sessions).toBe(10);
  return (after.transactions - before.transactions) / 10;
}

const ground = (database: string, pins: boolean): Ground => ({
  port: pooler.port,
  database,
  pins,
  waitLimitMs: 10_000,
  losesServers: true,
  written: new Set(),
  perhapsWritten: new Set(),
  acts: new Map(),
});

async function disturb(isOver: () => boolean): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const on: Disturbed = { pooler, console, calm: calm(), calmDatabase: "exact", rough: rough() };
  for (let i = 0; ; i++) {
    const nextAt = performance.now() + disturbanceEveryMs;
    while (performance.now() < nextAt && !isOver()) await new Promise((resolve) => setTimeout(resolve, 100));
    if (isOver()) return counts;
    const disturbance = disturbances[i % disturbances.length] as (typeof disturbances)[number];
    await disturbance.run(on);
    counts.set(disturbance.name, (counts.get(disturbance.name) ?? 0) + 1);
    process.stdout.write(`${new Date().toISOString()} ${disturbance.name}\n`);
  }
}

/** The pooler as it is when nobody wants anything. */
async function atRest(failures: readonly string[] = []): Promise<{ idle: number; descriptors: number }> {
  const busy = ["cl_active", "cl_waiting", "sv_active", "sv_tested", "sv_login"];
  const isAtRest = async (): Promise<boolean> => {
    const pools = await console.run("SHOW POOLS");
    const clients = await console.run("SHOW CLIENTS");
    return clients.length === 0 && pools.every((pool) => busy.every((column) => pool[column] === "0"));
  };
  await until("the pooler to be at rest", isAtRest).catch(async (error: Error) => {
    const left: unknown[] = [];
    for (const command of ["SHOW POOLS", "SHOW CLIENTS", "SHOW SERVERS"]) left.push(...(await console.run(command)));
    throw new Error(`${[error.message, ...failures].join("\n")}\n${left.map((row) => JSON.stringify(row)).join("\n")}`);
  });
  const pools = await console.run("SHOW POOLS");
  return {
    idle: pools.reduce((sum, pool) => sum + Number(pool["sv_idle"]), 0),
    descriptors: workerPids(pooler).reduce((sum, pid) => sum + openDescriptors(pid), 0),
  };
}

test(`${minutes} minutes, seed ${seed}`, { timeout: totalMs + 180_000 }, async () => {
  const verdict = createVerdict();
  const perConnection = await transactionsOfAConnection();
  const before = await settledStatistics();
  const restBefore = await atRest();
  const pids = [pooler.pid, ...workerPids(pooler)];
  const memory: ProcessWatch = watchMemory(pids, Math.max(200, totalMs / 500));

  const endAt = performance.now() + totalMs;
  const failures: string[] = [];
  const isOver = (): boolean => performance.now() > endAt || failures.length >= 5;
  const match: Match = { seed, isOver, failures, refusals: 0 };
  const account = emptyAccount();
  const [mixed, pinned] = [ground("mixed", false), ground("pinned", true)];
  const exact = { port: pooler.port, database: "exact", account, isOver };
  const everybody = [
    ...Array.from({ length: exactClients }, (_, i) =>
      runExactClient(exact, `e${i}`, createRandom(seed + i)).catch((error: Error) => void failures.push(`exact: ${error.message}`)),
    ),
    ...Array.from({ length: roughClients }, (_, place) => playAt(place < roughClients / 6 ? pinned : mixed, place, match)),
  ];
  const disturbed = await disturb(isOver);
  await Promise.all(everybody);
  memory.stop();

  const rest = await atRest(failures);
  const stats = (await console.run("SHOW STATS")).find((row) => row["database"] === "exact");
  const open = (
    await Promise.all(
      [calm(), rough()].map((host) =>
        query(
          host.url,
          "SELECT 1 FROM pg_stat_activity WHERE usename = current_user AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
        ),
      ),
    )
  ).flat();
  const rows = new Set((await query(rough().url, "SELECT word FROM random_rows")).map(({ word }) => String(word)));
  const written = [...mixed.written, ...pinned.written];
  const known = new Set([...written, ...mixed.perhapsWritten, ...pinned.perhapsWritten]);
  const worker = workerPids(pooler);
  console.end();
  const exitCode = await pooler.stop();
  const after = await settledStatistics();

  const acts = [...mixed.acts.values(), ...pinned.acts.values()].reduce((sum, count) => sum + count, 0);
  const sessions = after.sessions - before.sessions;
  verdict.fact("statements of clients that keep account", account.statements);
  verdict.fact("acts of the others, and how often they met no server", `${acts}, ${match.refusals}`);
  verdict.fact("connections of clients that keep account", account.connections);
  verdict.fact("cancelled", account.cancelled);
  verdict.fact("disturbances", [...disturbed].map(([name, count]) => `${count} × ${name}`).join(", "));
  verdict.equal("answers that were wrong or another's", failures.length, 0);
  verdict.equal("statements: clients = pooler", account.statements, Number(stats?.["total_query_count"]));
  verdict.equal("transactions: clients = pooler", account.transactions, Number(stats?.["total_xact_count"]));
  verdict.equal("errors: clients = pooler", account.errors, Number(stats?.["total_error_count"]));
  verdict.equal(
    `transactions: clients = PostgreSQL (less ${perConnection} for each of ${sessions} connections, ${account.abandoned} abandoned)`,
    account.transactions,
    after.transactions - before.transactions - perConnection * sessions - account.abandoned,
  );
  verdict.equal("rows that clients were told were written and are gone", written.filter((word) => !rows.has(word)).length, 0);
  verdict.equal("rows that nobody wrote", [...rows].filter((word) => !known.has(word)).length, 0);
  verdict.equal("server connections: PostgreSQL's = pooler's", open.length, rest.idle);
  verdict.equal(
    "descriptors of the worker, beside its server connections",
    rest.descriptors - rest.idle,
    restBefore.descriptors - restBefore.idle,
  );
  verdict.equal("workers that were replaced", worker.filter((pid) => !pids.includes(pid)).length, 0);
  verdict.equal("exit code", exitCode ?? -1, 0);
  for (const [pid, samples] of memory.samples) {
    const [early, late] = [medianOf(samples, 0.25, 0.5), medianOf(samples, 0.75, 1)];
    const most = early * 1.05 + 8 * megabyte;
    const quarters = [0, 0.25, 0.5, 0.75].map((from) => (medianOf(samples, from, from + 0.25) / megabyte).toFixed(1));
    const what = `memory of the ${pid === pooler.pid ? "supervisor" : "worker"}, MB in each quarter`;
    verdict.check(what, quarters.join(", "), late <= most);
  }
  process.stdout.write(`\n${verdict.table()}\n${failures.join("\n")}\n`);
  expect(verdict.failed, `seed ${seed}`).toEqual([]);
});
