// The limits of the whole pooler: connections to servers, clients, and how long anybody may wait or linger.
import { query } from "@pooler/embedded-cluster";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { backendKeyIn, errorIn, typesOf } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { openConsole } from "./support/console.js";
import { startLoad } from "./support/load.js";
import { connectRaw } from "./support/raw-socket.js";
import { trustingConfig } from "./support/trusting-config.js";
import { until } from "./support/until.js";

const direct = (): string => sharedShards()[0]?.primary ?? "";
/** The first shard's primary as a user of this file alone, so that its connections can be counted. */
const as = (user: string): string => direct().replace("postgres@", `${user}@`);

beforeAll(async () => {
  await query(direct(), "DO $$ BEGIN FOR i IN 1..4 LOOP EXECUTE format('CREATE ROLE limits%s LOGIN SUPERUSER', i); END LOOP; END $$");
});

afterAll(async () => {
  await query(direct(), "DO $$ BEGIN FOR i IN 1..4 LOOP EXECUTE format('DROP ROLE limits%s', i); END LOOP; END $$");
});

async function connectionsOf(user: string): Promise<number> {
  const [row] = await query(direct(), "SELECT count(*)::int AS connections FROM pg_stat_activity WHERE usename = $1", [user]);
  return Number(row?.["connections"]);
}

async function login(pooler: Pooler, parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> {
  const client = await connectWire({ port: pooler.port });
  await client.login({ user: "app", database: "app", ...parameters });
  return client;
}

describe.each([1, 3])("with %i workers", (workers) => {
  const user = `limits${workers}`;
  let pooler: Pooler;

  beforeAll(async () => {
    pooler = await startPooler({ config: trustingConfig(as(user), { workers, databases: { app: { pool_size: 7 } } }) });
  });

  afterAll(async () => {
    expect(await pooler.stop()).toBe(0);
  });

  test("200 clients never have more than pool_size connections to the server, all of which are used, and nobody starves", async () => {
    const rounds = new Map<number, number>();
    const load = startLoad({
      url: pooler.url(),
      clients: 200,
      async round(client, worker) {
        await client.query("SELECT pg_sleep(0.001)");
        rounds.set(worker, (rounds.get(worker) ?? 0) + 1);
      },
    });
    let most = 0;
    let isOver = false;
    const watch = (async () => {
      const watcher = new pg.Client(direct());
      await watcher.connect();
      while (!isOver) {
        const { rows } = await watcher.query<{ count: number }>("SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = $1", [
          user,
        ]);
        most = Math.max(most, rows[0]?.count ?? 0);
      }
      await watcher.end();
    })();
    await until(
      "everybody to have had three turns",
      () => rounds.size === 200 && [...rounds.values()].every((count) => count >= 3),
      30_000,
    );
    isOver = true;
    await Promise.all([load.stop(), watch]);
    expect(load.errors).toEqual({});
    expect(most).toBe(7);
  });

  test("connections that lie idle in one place serve those who wait in another", async () => {
    // Seven transactions hold all connections; when they end, seven others must get them, whichever worker has those.
    for (let round = 0; round < 3; round++) {
      const holders = await Promise.all(Array.from({ length: 7 }, () => login(pooler)));
      await Promise.all(holders.map((client) => client.query("BEGIN; SELECT 1")));
      expect(await connectionsOf(user)).toBe(7);
      const late = await login(pooler);
      const answer = late.query("SELECT 1");
      holders[0]?.end();
      expect(typesOf(await answer)).toBe("TDCZ");
      for (const client of [...holders, late]) client.end();
      await Promise.all([...holders, late].map(({ closed }) => closed));
    }
  });
});

describe("with more workers than connections", () => {
  test("one connection goes round between three workers", async () => {
    const pooler = await startPooler({ config: trustingConfig(as("limits2"), { workers: 3, databases: { app: { pool_size: 1 } } }) });
    const clients = await Promise.all(Array.from({ length: 12 }, () => login(pooler)));
    const answers = await Promise.all(clients.map((client) => client.query("SELECT 1")));
    expect(answers.map(typesOf)).toEqual(clients.map(() => "TDCZ"));
    expect(await connectionsOf("limits2")).toBeLessThanOrEqual(1);
    for (const client of clients) client.end();
    await pooler.stop();
  });
});

describe("max_clients", () => {
  test.each([1, 3])(
    "counts for all of %i workers; the console stays open, and a place that is free again is given away",
    async (workers) => {
      const pooler = await startPooler({ config: trustingConfig(direct(), { workers, limits: { max_clients: 10 } }) });
      const clients = await Promise.all(Array.from({ length: 10 }, () => login(pooler)));
      for (let i = 0; i < 6; i++) {
        const refused = await connectWire({ port: pooler.port });
        refused.send(messages.startup({ user: "app", database: "app" }));
        expect(errorIn(await refused.until("E"))).toMatchObject({
          S: "FATAL",
          C: "53300",
          M: "no more connections allowed: max_clients is 10",
        });
        await refused.closed;
      }
      const console = await openConsole(pooler);
      expect(await console.run("SHOW CLIENTS")).toHaveLength(10);
      console.end();
      clients[0]?.end();
      await clients[0]?.closed;
      const next = await until("the place to be free", () => login(pooler).catch(() => null));
      for (const client of [...clients, next]) client.end();
      await pooler.stop();
    },
  );

  test("many at once do not slip in together", async () => {
    const pooler = await startPooler({
      config: trustingConfig(direct(), {
        limits: { max_clients: 10 },
        listen: { auth: "scram-sha-256" },
        users: { app: { password: "right" }, admin: { password: "right" } },
      }),
    });
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const client = new pg.Client(pooler.url({ password: "right" }));
        client.on("error", () => {});
        return client.connect().then(
          () => client,
          (error: { code?: string }) => error.code,
        );
      }),
    );
    const inside = outcomes.filter((outcome) => outcome instanceof pg.Client);
    expect(inside).toHaveLength(10);
    expect(outcomes.filter((outcome) => outcome === "53300")).toHaveLength(30);
    await Promise.all(inside.map((client) => client.end()));
    await pooler.stop();
  });
});

describe("time limits", () => {
  let pooler: Pooler;

  beforeAll(async () => {
    pooler = await startPooler({
      config: trustingConfig(as("limits4"), {
        timeouts: {
          client_login: "300ms",
          query_wait: "300ms",
          client_idle_in_transaction: "400ms",
          server_idle: "400ms",
          server_lifetime: "1s",
        },
        databases: {
          app: { pool_size: 2 },
          two: { shards: [as("limits4"), sharedShards()[1]?.primary], pool_size: 2 },
        },
      }),
    });
  });

  afterAll(async () => {
    expect(await pooler.stop()).toBe(0);
  });

  test("client_login: who says nothing, or only half of it, is closed", async () => {
    const silent = await connectRaw(pooler.port);
    const half = await connectRaw(pooler.port);
    half.send(messages.startup({ user: "app", database: "app" }).subarray(0, 20));
    for (const socket of [silent, half]) expect((await socket.closed).toString()).toContain("the login did not end within 300 ms");
  });

  test("query_wait: the statement fails, the client stays, and others are served", async () => {
    const holders = [await login(pooler), await login(pooler)];
    for (const client of holders) await client.query("SELECT 1");
    for (const client of holders) client.send(messages.query("SELECT pg_sleep(1)"));
    const late = await login(pooler);
    const error = errorIn(await late.query("SELECT 1"));
    expect(error).toMatchObject({ S: "ERROR", C: "53300", M: "no server connection came free within 300 ms" });
    expect(error?.["D"]).toContain("2 of 2 connections are in use");
    for (const client of holders) await client.until("Z");
    expect(typesOf(await late.query("SELECT 1"))).toBe("TDCZ");
    for (const client of [...holders, late]) client.end();
  });

  test("a client that is cancelled while it waits hears of it at once", async () => {
    const holders = [await login(pooler), await login(pooler)];
    for (const client of holders) client.send(messages.query("SELECT pg_sleep(0.6)"));
    const late = await connectWire({ port: pooler.port });
    const key = backendKeyIn(await late.login({ user: "app", database: "app" }));
    late.send(messages.query("SELECT 1"));
    const canceller = await connectRaw(pooler.port);
    canceller.send(messages.cancel(key?.processId ?? 0, key?.secretKey ?? 0));
    expect(errorIn(await late.until("Z"))).toMatchObject({ C: "57014" });
    for (const client of holders) await client.until("Z");
    for (const client of [...holders, late]) client.end();
  });

  test.each(["app", "two"])(
    "client_idle_in_transaction, database %s: the client is closed and its transaction rolled back",
    async (database) => {
      const client = await login(pooler, { database });
      // A client that was idle for long before is not held to account for that.
      await new Promise((resolve) => setTimeout(resolve, 600));
      expect(typesOf(await client.query("BEGIN"))).toBe("CZ");
      await new Promise((resolve) => setTimeout(resolve, 150));
      expect(typesOf(await client.query("SELECT 1"))).toBe("TDCZ");
      const closed = await client.until("E");
      expect(errorIn(closed)).toMatchObject({ S: "FATAL", C: "25P03" });
      await client.closed;
      await until("the transaction to be over", async () => {
        const rows = await query(
          direct(),
          "SELECT 1 FROM pg_stat_activity WHERE usename = 'limits4' AND state LIKE 'idle in transaction%'",
        );
        return rows.length === 0;
      });
    },
  );

  test("client_idle_in_transaction: a BEGIN that was answered here counts, too", async () => {
    const client = await login(pooler, { database: "two" });
    await client.query("BEGIN");
    const begunAt = performance.now();
    expect(errorIn(await client.until("E"))).toMatchObject({ C: "25P03" });
    expect(performance.now() - begunAt).toBeGreaterThan(350);
    await client.closed;
  });

  test("server_idle: connections that nobody needs go away", async () => {
    const client = await login(pooler);
    await client.query("SELECT 1");
    expect(await connectionsOf("limits4")).toBeGreaterThan(0);
    await until("the connections to go", async () => (await connectionsOf("limits4")) === 0);
    expect(typesOf(await client.query("SELECT 1"))).toBe("TDCZ");
    client.end();
  });

  test("server_lifetime: a connection in steady use is replaced between two transactions", async () => {
    const client = new pg.Client(pooler.url());
    await client.connect();
    const backends = new Set<number>();
    await until("a third backend", async () => {
      const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
      if (rows[0] !== undefined) backends.add(rows[0].pid);
      return backends.size >= 3;
    });
    await client.end();
  });
});
