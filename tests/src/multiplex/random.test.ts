// Hundreds of clients do what comes into their heads, on far fewer servers: each gets the answers to what it asked, and nothing of
// anybody else's session. POOLER_RANDOM_SEED repeats what each client does, POOLER_RANDOM_CLIENTS and POOLER_RANDOM_SECONDS make it longer.
import { query } from "@pooler/embedded-cluster";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { openConsole } from "../operations/support/console.js";
import { until } from "../operations/support/until.js";
import { acts } from "./acts.js";
import { type Match, playAt } from "./play.js";
import type { Ground } from "./player.js";

const number = (name: string, standard: number): number => Number(process.env[`POOLER_RANDOM_${name}`] ?? standard);
const seed = number("SEED", Math.floor(Math.random() * 2 ** 31));
const clients = number("CLIENTS", 240);
const seconds = number("SECONDS", 20);
const workers = number("WORKERS", 1);
/** So many times more servers and time than a few hundred clients need: who plays thousands of clients is slow itself. */
const crowd = Math.max(1, Math.ceil(clients / 700));
/** After so many wrong answers there is nothing more to learn. */
const mostFailures = 5;

/** A role of its own: its connections and locks can be told from those of other tests. */
const role = "random_player";
const direct = (): string => sharedShards()[0]?.primary ?? "";

let pooler: Pooler;

beforeAll(async () => {
  await query(direct(), `CREATE ROLE ${role} LOGIN SUPERUSER`);
  await query(direct(), "CREATE TABLE random_rows (word text PRIMARY KEY)");
  await query(direct(), "CREATE TABLE random_known AS SELECT n, 'row ' || n AS text FROM generate_series(1, 1000) n");
  await query(direct(), "ALTER TABLE random_known ADD PRIMARY KEY (n)");
  const url = direct().replace("postgres@", `${role}@`);
  pooler = await startPooler({
    config: {
      workers,
      listen: { auth: "trust" },
      limits: { max_clients: clients + 500, max_server_statements: 50 },
      timeouts: { query_wait: `${9 * crowd}s` },
      users: { app: {}, admin: { console: "admin" } },
      databases: {
        shared: { url, pool_size: 4 * crowd, multiplex: 16, multiplex_writes: true },
        prepared: { url, pool_size: 4 * crowd, multiplex: 16, multiplex_writes: true, multiplex_prepare: true },
        alone: { url, pool_size: 4 * crowd },
        pinned: { url, pool_size: 8 * crowd, on_session_state: "pin" },
      },
    },
  });
});

afterAll(async () => {
  expect(await pooler.stop()).toBe(0);
  await query(direct(), `DROP TABLE random_rows, random_known; DROP ROLE ${role}`).catch(() => {});
});

function createGround(database: string, pins: boolean): Ground {
  const waitLimitMs = 10_000 * crowd;
  return {
    port: pooler.port,
    database,
    pins,
    waitLimitMs,
    losesServers: false,
    written: new Set(),
    perhapsWritten: new Set(),
    acts: new Map(),
  };
}

test(`${clients} clients for ${seconds} s, seed ${seed}`, { timeout: (seconds + 120) * 1_000 }, async () => {
  const grounds = [
    createGround("shared", false),
    createGround("prepared", false),
    createGround("alone", false),
    createGround("pinned", true),
  ] as const;
  const [shared, prepared, alone, pinned] = grounds;
  const failures: string[] = [];
  const endAt = performance.now() + seconds * 1_000;
  const match: Match = {
    seed,
    isOver: () => performance.now() > endAt || failures.length >= mostFailures,
    failures,
    refusals: 0,
  };

  // Of seven clients, five share servers where they can.
  const order = [pinned, alone, shared, prepared, shared, prepared, prepared];
  const groundOf = (place: number): Ground => order[place % order.length] as Ground;
  await Promise.all(Array.from({ length: clients }, (_, place) => playAt(groundOf(place), place, match)));

  expect(failures.slice(0, mostFailures).join("\n"), `seed ${seed}`).toBe("");
  const played = (name: string): number => grounds.reduce((sum, ground) => sum + (ground.acts.get(name) ?? 0), 0);
  for (const { name } of acts) expect(played(name), `act "${name}" never came to its end`).toBeGreaterThan(0);
  const total = acts.reduce((sum, { name }) => sum + played(name), 0);
  expect(match.refusals).toBeLessThan(total / 20);

  const console = await openConsole(pooler);
  const multiplexed = await console.run("SHOW MULTIPLEX");
  const counted = (name: string): number => multiplexed.reduce((sum, row) => sum + Number(row[name]), 0);
  process.stdout.write(
    `${clients} clients for ${seconds} s, seed ${seed}: ${total} acts, ${match.refusals} met no server, ` +
      `${counted("rides")} statements could share a server, ${counted("waits_saved")} were sent behind others, ${counted("prepared")} prepared for that\n`,
  );
  // Sharing is what is tested here: it must have happened, often, and no statement was what it did not seem.
  expect(counted("waits_saved")).toBeGreaterThan(total / 100);
  expect(counted("prepared")).toBeGreaterThan(total / 100);
  expect(counted("servers_taken_out")).toBe(0);
  await until("all servers to be idle", async () => {
    const pools = await console.run("SHOW POOLS");
    return pools.every((pool) => pool["cl_waiting"] === "0" && pool["sv_active"] === "0" && pool["sv_tested"] === "0");
  });
  const pools = await console.run("SHOW POOLS");
  const idle = pools.reduce((sum, pool) => sum + Number(pool["sv_idle"]), 0);
  console.end();
  await until("no connection to be there that the pooler does not know, and none in a transaction", async () => {
    const rows = await query(direct(), "SELECT state FROM pg_stat_activity WHERE usename = $1", [role]);
    return rows.length === idle && rows.every(({ state }) => state === "idle");
  });
  const [locks] = await query(direct(), "SELECT count(*)::int AS count FROM pg_locks WHERE locktype = 'advisory'");
  expect(locks).toEqual({ count: 0 });

  // What clients were told was written is there, and nothing else but what left clients may have written.
  const rows = new Set((await query(direct(), "SELECT word FROM random_rows")).map(({ word }) => String(word)));
  const written = grounds.flatMap((ground) => [...ground.written]);
  expect(written.filter((word) => !rows.has(word))).toEqual([]);
  const known = new Set([...written, ...grounds.flatMap((ground) => [...ground.perhapsWritten])]);
  expect([...rows].filter((word) => !known.has(word))).toEqual([]);
});
