// Servers that go away: killed under load, restarted in the middle of transactions, connections that are terminated.
import { type Cluster, type PostgresHost, query, startCluster } from "@pooler/embedded-cluster";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorIn, transactionState } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { type Console, openConsole } from "./support/console.js";
import { startLoad } from "./support/load.js";
import { trustingConfig } from "./support/trusting-config.js";
import { until } from "./support/until.js";

const hostRetryMs = 300;

let cluster: Cluster;
let pooler: Pooler;
let console: Console;

const primary = (): PostgresHost => cluster.shards[0]?.primary as PostgresHost;
const replica = (index: number): PostgresHost => cluster.shards[0]?.replicas[index] as PostgresHost;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 2 });
  pooler = await startPooler({
    config: trustingConfig("", {
      timeouts: { host_retry: `${hostRetryMs}ms` },
      databases: {
        app: { shards: [{ primary: primary().url, replicas: [replica(0).url, replica(1).url] }], pool_size: 5 },
        single: { url: primary().url, pool_size: 5 },
      },
      plugins: [{ name: "@pooler/plugin-read-write-split" }],
    }),
  });
  console = await openConsole(pooler);
});

afterAll(async () => {
  console.end();
  expect(await pooler.stop()).toBe(0);
  await cluster.stop();
});

const isUp = async (host: PostgresHost): Promise<boolean> =>
  (await console.run("SHOW SHARDS")).some((row) => row["port"] === String(host.port) && row["state"] === "up");

/** What a client may be told when a server went away under it. */
const retryable = /^(08006|57P0[1-3])$/;

test("the primary is killed under load: clear errors, reads go on, writes come back by themselves, no answered row is lost", async () => {
  await query(primary().url, "CREATE TABLE written (worker int, round int)");
  const answered: string[] = [];
  const writes = startLoad({
    url: pooler.url(),
    clients: 10,
    async round(client, worker, round) {
      await client.query("INSERT INTO written VALUES ($1, $2)", [worker, round]);
      answered.push(`${worker}/${round}`);
    },
  });
  const reads = startLoad({ url: pooler.url(), clients: 5, round: async (client) => void (await client.query("SELECT 1")) });
  await Promise.all([writes.more(200), reads.more(100)]);
  await primary().kill();
  await until("the writers to notice", () => Object.keys(writes.errors).length > 0);
  await reads.more(100);
  await primary().start();
  const startedAt = performance.now();
  await writes.more(50);
  expect(performance.now() - startedAt).toBeLessThan(hostRetryMs + 2_000);
  await Promise.all([writes.stop(), reads.stop()]);
  expect(Object.keys(writes.errors).filter((code) => !retryable.test(code))).toEqual([]);
  expect(reads.errors).toEqual({});
  expect([writes.reconnects, reads.reconnects]).toEqual([0, 0]);
  const rows = await query(primary().url, "SELECT worker || '/' || round AS id FROM written");
  const there = new Set(rows.map(({ id }) => id));
  expect(answered.filter((id) => !there.has(id))).toEqual([]);
});

test("a replica is killed under load: its reads move over, and some come back when it does", async () => {
  const reads = startLoad({
    url: pooler.url(),
    clients: 8,
    round: async (client) => {
      await client.query("SELECT 1");
    },
  });
  await reads.more(200);
  await replica(0).kill();
  await until("the console to show it", async () => !(await isUp(replica(0))));
  const before = { ...reads.errors };
  await reads.more(300);
  // Only what was on its way got an error.
  expect(reads.errors).toEqual(before);
  await replica(0).start();
  await until("the pooler to come back to it", () => isUp(replica(0)));
  await until("reads to be run there", async () =>
    (await console.run("SHOW SERVERS")).some((row) => row["port"] === String(replica(0).port) && row["state"] === "active"),
  );
  await reads.stop();
  expect(Object.keys(reads.errors).filter((code) => !retryable.test(code))).toEqual([]);
  expect(reads.reconnects).toBe(0);
});

test("without any replica the primary serves the reads", async () => {
  await Promise.all([replica(0).stop(), replica(1).stop()]);
  const client = new pg.Client(pooler.url());
  await client.connect();
  const port = async (): Promise<unknown> => (await client.query<{ port: number }>("SELECT inet_server_port() AS port")).rows[0]?.port;
  await until("a read without an error", () => port().catch(() => null));
  expect(await port()).toBe(primary().port);
  await Promise.all([replica(0).start(), replica(1).start()]);
  await until("both to be back", async () => (await isUp(replica(0))) && (await isUp(replica(1))));
  expect([replica(0).port, replica(1).port]).toContain(await port());
  await client.end();
});

describe("a server that is restarted in the middle of a transaction", () => {
  async function connect(database: string): Promise<WireClient> {
    const client = await connectWire({ port: pooler.port });
    await client.login({ user: "app", database });
    return client;
  }
  const stateAfter = async (client: WireClient, sql: string): Promise<string> => {
    const answer = await client.query(sql);
    const error = errorIn(answer);
    const last = answer.at(-1);
    return `${error === undefined ? "ok" : error["C"]} ${last === undefined ? "" : transactionState(last)}`;
  };

  test.each(["app", "single"])(
    "database %s: the client hears of it, nothing of the rest runs, and a new transaction is served",
    async (database) => {
      await query(primary().url, "CREATE TABLE IF NOT EXISTS half (a int); TRUNCATE half");
      const client = await connect(database);
      expect(await stateAfter(client, "BEGIN")).toBe("ok T");
      expect(await stateAfter(client, "INSERT INTO half VALUES (1)")).toBe("ok T");
      const lost = pooler.untilLog(({ msg }) => msg === "a server connection was lost", pooler.log.length);
      await primary().stop();
      await lost;
      await primary().start();
      const first = await stateAfter(client, "INSERT INTO half VALUES (2)");
      expect(first).toMatch(/^(08006|57P01) E$/);
      // The transaction is gone: what belongs to it must not run on its own.
      expect(await stateAfter(client, "INSERT INTO half VALUES (3)")).toBe("25P02 E");
      const end = await client.query("COMMIT");
      expect(end.map(String)).toEqual(["C(ROLLBACK)", "Z(I)"]);
      await until("the primary to be back", async () => (await stateAfter(client, "INSERT INTO half VALUES (4)")) === "ok I");
      expect(await query(primary().url, "SELECT a FROM half")).toEqual([{ a: 4 }]);
      client.end();
    },
  );

  test.each([
    ["COMMIT", "57P01 I"],
    ["ROLLBACK", "ok I"],
  ])("%s as the first thing after the loss ends the transaction", async (command, state) => {
    const client = await connect("app");
    await client.query("BEGIN");
    await client.query("INSERT INTO half VALUES (1)");
    const lost = pooler.untilLog(({ msg }) => msg === "a server connection was lost", pooler.log.length);
    await query(primary().url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'");
    await lost;
    expect(await stateAfter(client, command)).toBe(state);
    expect(await stateAfter(client, "SELECT 1")).toBe("ok I");
    client.end();
  });

  test("COMMIT itself is lost: the transaction is over for the client", async () => {
    await query(
      primary().url,
      `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END';
       CREATE TABLE slowly (a int);
       CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slowly INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`,
    );
    const client = await connect("app");
    await client.query("BEGIN");
    await client.query("INSERT INTO slowly VALUES (1)");
    const answer = stateAfter(client, "COMMIT");
    const sleeping = "wait_event = 'PgSleep'";
    await until("COMMIT to run", async () => (await query(primary().url, `SELECT 1 FROM pg_stat_activity WHERE ${sleeping}`)).length > 0);
    await query(primary().url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${sleeping}`);
    expect(await answer).toBe("57P01 I");
    client.end();
  });

  test("what was sent ahead in a pipeline does not run either", async () => {
    await query(primary().url, "CREATE TABLE IF NOT EXISTS half (a int); TRUNCATE half");
    const client = await connect("single");
    await client.query("BEGIN");
    await client.query("INSERT INTO half VALUES (1)");
    const [row] = await query(primary().url, "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'");
    const insert = (value: number): Uint8Array[] => [
      messages.parse({ text: `INSERT INTO half SELECT ${value} FROM pg_sleep(0.3)` }),
      messages.bind(),
      messages.execute(),
      messages.sync(),
    ];
    client.send(...insert(2), ...insert(3), ...insert(4), messages.query("COMMIT"));
    await query(primary().url, "SELECT pg_terminate_backend($1)", [row?.["pid"]]);
    const states: string[] = [];
    for (let i = 0; i < 4; i++) {
      const answer = await client.until("Z");
      states.push(`${errorIn(answer)?.["C"] ?? "ok"} ${transactionState(answer.at(-1) as never)}`);
    }
    expect(states).toEqual(["57P01 E", "25P02 E", "25P02 E", "ok I"]);
    expect(await query(primary().url, "SELECT a FROM half")).toEqual([]);
    client.end();
  });
});

describe("pg_terminate_backend", () => {
  const terminate = (condition: string): Promise<unknown> =>
    query(
      primary().url,
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE backend_type = 'client backend' AND ${condition}`,
    );

  test("of idle connections is not noticed by any client", async () => {
    const client = new pg.Client(pooler.url({ database: "single" }));
    await client.connect();
    await client.query("SELECT 1");
    for (let i = 0; i < 5; i++) {
      const from = pooler.log.length;
      await terminate("state = 'idle' AND pid <> pg_backend_pid()");
      await pooler.untilLog(({ msg }) => msg === "a server connection was lost", from);
      expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    }
    await client.end();
  });

  test("of an active connection: that statement fails with the server's words, the client stays", async () => {
    const client = new pg.Client(pooler.url({ database: "single" }));
    await client.connect();
    const sleeping = client.query("SELECT pg_sleep(30)").catch((error: unknown) => error);
    await until(
      "the statement to run",
      async () => (await query(primary().url, "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)%'")).length > 0,
    );
    await terminate("query LIKE 'SELECT pg_sleep(30)%'");
    expect(await sleeping).toMatchObject({ code: "57P01", message: "terminating connection due to administrator command" });
    expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await client.end();
  });
});

test("all servers down: who logs in is told, who is there stays, and everything comes back by itself", async () => {
  const client = new pg.Client(pooler.url({ database: "single" }));
  await client.connect();
  await primary().stop("immediate");
  await expect(client.query("INSERT INTO written VALUES (1, 1)")).rejects.toMatchObject({ code: expect.stringMatching(retryable) });
  await expect(client.query("INSERT INTO written VALUES (1, 1)")).rejects.toMatchObject({
    code: "08006",
    message: expect.stringContaining("ECONNREFUSED"),
  });
  await primary().start();
  await until("a write without an error", () => client.query("INSERT INTO written VALUES (1, 1)").catch(() => null));
  await client.end();
});

test("a BEGIN that gets no server: what was sent behind it fails with it, and a client that waited for the answer is in no transaction", async () => {
  // Without plugins nothing is held: BEGIN needs a server itself.
  const plain = await startPooler({ config: trustingConfig(primary().url) });
  const client = await connectWire({ port: plain.port });
  await client.login({ user: "app", database: "app" });
  await primary().stop("immediate");
  client.send(messages.query("BEGIN"), messages.query("INSERT INTO written VALUES (7, 7)"), messages.query("COMMIT"));
  const states: string[] = [];
  for (let i = 0; i < 3; i++) {
    const answer = await client.until("Z");
    states.push(`${errorIn(answer)?.["C"] ?? "ok"} ${transactionState(answer.at(-1) as never)}`);
  }
  expect(states).toEqual([expect.stringMatching(/^(08006|57P0\d) E$/), "25P02 E", "ok I"]);
  const alone = await client.query("BEGIN");
  expect([errorIn(alone)?.["C"], transactionState(alone.at(-1) as never)]).toEqual(["08006", "I"]);
  client.end();
  await primary().start();
  await plain.stop();
});
