// More than the servers can do: what is admitted is served in bounded time, the rest is told so, memory stays where it is, and
// afterwards all is as before.
import { query } from "@pooler/embedded-cluster";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf, typesOf } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { type Console, openConsole } from "./support/console.js";
import { trustingConfig } from "./support/trusting-config.js";
import { until } from "./support/until.js";

const user = "overload";
const megabyte = 1 << 20;
const direct = (): string => sharedShards()[0]?.primary ?? "";

let pooler: Pooler;
let console: Console;

/** Gives the tests around it a pooler of their own. */
function withPooler(queryWait: string): void {
  beforeAll(async () => {
    const url = direct().replace("postgres@", `${user}@`);
    pooler = await startPooler({
      config: trustingConfig(url, {
        metrics: { port: 0 },
        limits: { max_buffered_bytes: "16MB" },
        timeouts: { query_wait: queryWait },
        databases: {
          app: { pool_size: 2 },
          few: { url, pool_size: 2, max_waiting: 10 },
          one: { url, pool_size: 1 },
        },
      }),
    });
    console = await openConsole(pooler);
  });

  afterAll(async () => {
    console.end();
    expect(await pooler.stop()).toBe(0);
  });
}

beforeAll(async () => void (await query(direct(), `CREATE ROLE ${user} LOGIN SUPERUSER`)));
afterAll(async () => void (await query(direct(), `DROP ROLE ${user}`)));

async function login(database = "app"): Promise<WireClient> {
  const client = await connectWire({ port: pooler.port });
  await client.login({ user: "app", database });
  return client;
}

const logins = (count: number, database = "app"): Promise<WireClient[]> =>
  Promise.all(Array.from({ length: count }, () => login(database)));

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Nobody waits, nothing is lent, and no server connection is there beside the pool's. */
async function expectQuiet(database: string, poolSize: number): Promise<void> {
  await until("the pool to be quiet", async () => {
    const pool = (await console.run("SHOW POOLS")).find((row) => row["database"] === database);
    return pool?.["cl_waiting"] === "0" && pool["sv_active"] === "0" && pool["sv_tested"] === "0" && pool["sv_login"] === "0";
  });
  const pools = await console.run("SHOW POOLS");
  const held = pools.reduce((sum, pool) => sum + Number(pool["sv_idle"]), 0);
  expect(Number(pools.find((row) => row["database"] === database)?.["sv_idle"])).toBeLessThanOrEqual(poolSize);
  await until("no connection to be there that the pooler does not know", async () => {
    const [row] = await query(direct(), "SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = $1", [user]);
    return row?.["count"] === held;
  });
}

/** Resident memory of the only worker. */
async function memory(): Promise<number> {
  const text = await (await fetch(pooler.metricsUrl ?? "")).text();
  return Number(/^pooler_process_resident_memory_bytes\{process="worker-1"\} (\S+)$/m.exec(text)?.[1]);
}

describe("waiting for a second at most", () => {
  withPooler("1s");

  test("300 clients want more than two connections can do: who is served waited for no longer than query_wait, the rest is told at once", async () => {
    const clients = await logins(300);
    const servedMs: number[] = [];
    const refused: { code: string | undefined; retryable: boolean; ms: number; atMs: number }[] = [];
    const beganAt = performance.now();
    let isOver = false;
    const run = async (client: WireClient): Promise<void> => {
      while (!isOver) {
        const sentAt = performance.now();
        const answer = await client.query("SELECT pg_sleep(0.01)");
        const ms = performance.now() - sentAt;
        const error = errorIn(answer);
        if (error === undefined) servedMs.push(ms);
        else {
          refused.push({ code: error["C"], retryable: error["M"]?.includes("would come free") === true, ms, atMs: sentAt - beganAt });
          await pause(100);
        }
      }
    };
    const running = clients.map(run);
    await pause(6_000);
    isOver = true;
    await Promise.all(running);

    expect(servedMs.length).toBeGreaterThan(100);
    // query_wait, the statement, and what a busy machine adds to it.
    expect(Math.max(...servedMs)).toBeLessThan(2_500);
    expect(refused.length).toBeGreaterThan(100);
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(["53300"]));
    // When it is known how fast it goes, hardly anybody waits in vain.
    const late = refused.filter(({ atMs }) => atMs > 3_000).map(({ ms }) => ms);
    late.sort((a, b) => a - b);
    expect(late[late.length >> 1]).toBeLessThan(400);

    const next = await login();
    const askedAt = performance.now();
    expect(rowsOf(await next.query("SELECT 'served'"))).toEqual([["served"]]);
    expect(performance.now() - askedAt).toBeLessThan(500);
    await expectQuiet("app", 2);
    for (const client of [...clients, next]) client.end();
  });

  test("max_waiting: exactly so many wait, everybody else is refused at once with 53300", async () => {
    const clients = await logins(60, "few");
    const answers = await Promise.all(
      clients.map(async (client) => {
        const sentAt = performance.now();
        const answer = await client.query("SELECT pg_sleep(0.05)");
        return { error: errorIn(answer), types: typesOf(answer), ms: performance.now() - sentAt };
      }),
    );
    const refused = answers.filter(({ error }) => error !== undefined);
    // Two may be under way to connections that are being opened, and count as waiting.
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(10);
    expect(answers.length - refused.length).toBeLessThanOrEqual(12);
    for (const { error } of refused) {
      expect(error).toMatchObject({ S: "ERROR", C: "53300", M: "10 clients wait for a server connection already: max_waiting is reached" });
      expect(error?.["H"]).toContain("pool_size");
    }
    // They stay connected.
    for (const client of clients.slice(0, 5)) expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    await expectQuiet("few", 2);
    for (const client of clients) client.end();
  });

  test("who has a transaction open is read, however much memory those take who wait for its server", async () => {
    const holder = await login("one");
    await holder.query("BEGIN; SELECT 1");
    const waiting = await logins(10, "one");
    for (const client of waiting) client.send(messages.query(`SELECT length('${"x".repeat(4 * megabyte)}')`));
    await pause(100);
    const answer = await holder.query(`SELECT length('${"x".repeat(12 * megabyte)}')`);
    expect(rowsOf(answer)).toEqual([[String(12 * megabyte)]]);
    await holder.query("COMMIT");
    for (const client of [holder, ...waiting]) client.reset();
    await expectQuiet("one", 1);
  });

  test("who finds no memory for its message within query_wait is told so and closed; whoever held it keeps nobody else out", async () => {
    const slow = await login("one");
    const large = messages.query(`SELECT length('${"x".repeat(15 * megabyte)}')`);
    // Announces 15 MB and stops in the middle.
    slow.send(large.subarray(0, megabyte));
    await pause(100);
    const late = await login("one");
    late.send(large.subarray(0, 2 * megabyte));
    const error = errorIn(await late.until("E"));
    expect(error).toMatchObject({ S: "FATAL", C: "53200", M: expect.stringContaining(`no memory for a message of ${large.length} bytes`) });
    expect(error?.["H"]).toContain("limits.max_buffered_bytes");
    await late.closed;
    slow.reset();
    const next = await login("one");
    expect(rowsOf(await next.query(`SELECT length('${"x".repeat(15 * megabyte)}')`))).toEqual([[String(15 * megabyte)]]);
    next.end();
    await expectQuiet("one", 1);
  });
});

// Long enough for many of them, on a busy machine, too.
describe("waiting for four seconds at most", () => {
  withPooler("4s");

  test("150 clients with queries of 3 MB each do not fill the memory while they wait, and are served when there is room", async () => {
    const holders = await logins(2);
    const clients = await logins(150);
    const large = (i: number): string => `SELECT ${i} + length('${"x".repeat(3 * megabyte)}')`;
    await Promise.all(clients.slice(0, 4).map((client, i) => client.query(large(i))));
    for (const holder of holders) await holder.query("BEGIN; SELECT 1");
    const base = await memory();
    let most = 0;
    const outcomes = clients.map(async (client, i) => {
      client.send(messages.query(large(i)));
      const answer = await client.until("Z").catch(() => client.pending());
      return rowsOf(answer)[0]?.[0] === String(i + 3 * megabyte) ? "served" : errorIn(answer)?.["C"];
    });
    const look = async (): Promise<void> => {
      most = Math.max(most, (await memory()) - base);
    };
    for (let i = 0; i < 15; i++) {
      await pause(40);
      await look();
    }
    for (const holder of holders) await holder.query("COMMIT");
    const watch = setInterval(() => void look(), 50);
    const results = await Promise.all(outcomes);
    clearInterval(watch);
    // 450 MB wanted to be kept.
    expect(most).toBeLessThan(150 * megabyte);
    const counts = new Map<unknown, number>();
    for (const result of results) counts.set(result, (counts.get(result) ?? 0) + 1);
    expect(counts.get("served")).toBeGreaterThan(4);
    for (const result of counts.keys()) expect(["served", "53300", "53200"]).toContain(result);
    await expectQuiet("app", 2);
    expect(rowsOf(await (holders[0] as WireClient).query("SELECT 1"))).toEqual([["1"]]);
    for (const client of [...holders, ...clients]) client.end();
  });
});
