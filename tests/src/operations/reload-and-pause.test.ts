// RELOAD, SIGHUP, PAUSE and RESUME while clients work: nobody is dropped, what changed takes effect, what is wrong changes nothing.
import { type Cluster, type PostgresHost, query, startCluster } from "@pooler/embedded-cluster";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, typesOf } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { type Console, openConsole } from "./support/console.js";
import { startLoad } from "./support/load.js";
import { trustingConfig } from "./support/trusting-config.js";
import { until } from "./support/until.js";

let cluster: Cluster;

const host = (shard: number): PostgresHost => cluster.shards[shard]?.primary as PostgresHost;
const url = (shard = 0): string => host(shard).url.replace("postgres@", "changing@");

beforeAll(async () => {
  cluster = await startCluster({ shards: 2 });
  for (const shard of [0, 1]) await query(host(shard).url, "CREATE ROLE changing LOGIN SUPERUSER");
});

afterAll(() => cluster.stop());

async function connections(shard = 0): Promise<number> {
  const [row] = await query(host(shard).url, "SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = 'changing'");
  return Number(row?.["count"]);
}

describe.each([1, 3])("with %i workers", (workers) => {
  let pooler: Pooler;
  let console: Console;
  const clients: WireClient[] = [];

  const config = (more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> =>
    trustingConfig(url(), { workers, timeouts: { query_wait: "5s" }, ...more });

  const reload = async (more: Readonly<Record<string, unknown>>): Promise<void> => {
    pooler.writeConfig(config(more));
    await console.run("RELOAD");
  };

  async function login(parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> {
    const client = await connectWire({ port: pooler.port });
    clients.push(client);
    await client.login({ user: "app", database: "app", ...parameters });
    return client;
  }

  beforeAll(async () => {
    pooler = await startPooler({ config: config() });
    console = await openConsole(pooler);
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.end();
    await reload({});
  });

  afterAll(async () => {
    console.end();
    expect(await pooler.stop()).toBe(0);
  });

  test("PAUSE under load, a restart of the server, RESUME: no client sees an error", async () => {
    const load = startLoad({
      url: pooler.url(),
      clients: 20,
      async round(client) {
        await client.query("BEGIN");
        await client.query("SELECT 1");
        await client.query("COMMIT");
      },
    });
    await load.more(200);
    await console.run("PAUSE");
    await until("the connections to be closed", async () => (await connections()) === 0);
    const before = load.done;
    await host(0).stop();
    await host(0).start();
    expect(load.done).toBe(before);
    await console.run("RESUME");
    await load.more(200);
    await load.stop();
    expect([load.errors, load.reconnects]).toEqual([{}, 0]);
  });

  test("PAUSE waits for the transaction under way; who comes meanwhile waits for RESUME", async () => {
    const client = await login();
    await client.query("BEGIN; SELECT 1");
    let isPaused = false;
    const paused = console.run("PAUSE app").then(() => {
      isPaused = true;
    });
    const other = await openConsole(pooler);
    await until("the pause", async () =>
      (await other.run("SHOW DATABASES")).some(({ name, paused: flag }) => name === "app" && flag === "1"),
    );
    other.end();
    expect(isPaused).toBe(false);
    expect(typesOf(await client.query("SELECT 1"))).toBe("TDCZ");
    await client.query("COMMIT");
    await paused;
    const late = login().then((other) => other.query("SELECT 1"));
    const early = client.query("SELECT 1");
    await console.run("RESUME app");
    expect([typesOf(await early), typesOf(await late)]).toEqual(["TDCZ", "TDCZ"]);
  });

  test("pool_size: a larger one serves those who wait, a smaller one closes what is too many", async () => {
    await reload({ databases: { app: { pool_size: 1 } } });
    const holders = [await login(), await login(), await login()];
    await holders[0]?.query("BEGIN; SELECT 1");
    const answers = holders.slice(1).map((client) => client.query("BEGIN; SELECT 1"));
    await reload({ databases: { app: { pool_size: 3 } } });
    await Promise.all(answers);
    expect(await connections()).toBe(3);
    await reload({ databases: { app: { pool_size: 1 } } });
    for (const client of holders) await client.query("COMMIT");
    await until("two of them to go", async () => (await connections()) <= 1);
  });

  test("a new user and a new database can be used, those taken out can not; clients that are there stay", async () => {
    const client = await login();
    await reload({ users: { app: {}, late: {} }, databases: { extra: { url: url(1) } } });
    const late = await login({ user: "late", database: "extra" });
    expect(typesOf(await late.query("SELECT 1"))).toBe("TDCZ");
    await late.query("BEGIN; SELECT 1");
    await reload({});
    for (const parameters of [
      { user: "late", database: "app" },
      { user: "app", database: "extra" },
    ]) {
      const refused = await connectWire({ port: pooler.port });
      refused.send(messages.startup(parameters));
      expect(errorIn(await refused.until("E"))).toMatchObject({ S: "FATAL" });
    }
    // What is under way ends; then there is nothing more.
    expect(typesOf(await late.query("COMMIT"))).toBe("CZ");
    expect(errorIn(await late.query("SELECT 1"))).toMatchObject({ C: "3D000", M: 'database "extra" was taken out of the configuration' });
    await until("its connections to be closed", async () => (await connections(1)) === 0);
    expect(typesOf(await client.query("SELECT 1"))).toBe("TDCZ");
  });

  test("a database moves to another server: transactions end where they are, what waits and what comes goes to the new one", async () => {
    await reload({ databases: { app: { pool_size: 1 } } });
    const port = async (client: WireClient): Promise<string> =>
      String((await client.query("SELECT inet_server_port()"))[1]?.body.subarray(6));
    const [first, second] = [await login(), await login()];
    await first.query("BEGIN; SELECT 1");
    const waiting = port(second);
    await reload({ databases: { app: { url: url(1), pool_size: 1 } } });
    expect(await waiting).toBe(String(host(1).port));
    expect(await port(first)).toBe(String(host(0).port));
    await first.query("COMMIT");
    expect(await port(first)).toBe(String(host(1).port));
    await until("the old connections to be closed", async () => (await connections(0)) === 0);
  });

  test("reloads under load drop nobody", async () => {
    const load = startLoad({ url: pooler.url(), clients: 20, round: async (client) => void (await client.query("SELECT 1")) });
    for (let size = 3; size < 9; size++) {
      await load.more(50);
      await reload({ databases: { app: { pool_size: size } }, timeouts: { query_wait: `${size}s` } });
    }
    await load.more(50);
    await load.stop();
    expect([load.errors, load.reconnects]).toEqual([{}, 0]);
  });

  test("a file with a mistake changes nothing, whether by RELOAD or by SIGHUP", async () => {
    const client = await login();
    pooler.writeConfig(config({ databases: { app: { pool_size: -1 } } }));
    await expect(console.run("RELOAD")).rejects.toMatchObject({ code: "F0000", message: expect.stringContaining("pool_size") });
    const from = pooler.log.length;
    pooler.signal("SIGHUP");
    const line = await pooler.untilLog(({ event }) => event === "reload failed", from);
    expect(line).toMatchObject({ level: "error", msg: expect.stringContaining("the old one stays in force") });
    expect(typesOf(await client.query("SELECT 1"))).toBe("TDCZ");
    expect(typesOf(await (await login()).query("SELECT 1"))).toBe("TDCZ");
    expect((await console.run("SHOW DATABASES")).find(({ name }) => name === "app")?.["pool_size"]).toBe("20");
  });

  test("SIGHUP does what RELOAD does, and says what needs a restart", async () => {
    const from = pooler.log.length;
    pooler.writeConfig(config({ users: { late: {} }, listen: { backlog: 77 } }));
    pooler.signal("SIGHUP");
    await pooler.untilLog(({ event }) => event === "reloaded", from);
    const warning = await pooler.untilLog(({ event }) => event === "reload needs restart", from);
    expect(warning["keys"]).toEqual(["listen.backlog"]);
    expect(typesOf(await (await login({ user: "late" })).query("SELECT 1"))).toBe("TDCZ");
  });

  test("a worker that replaces a dead one knows what was reloaded and paused", async () => {
    await reload({ users: { late: {} } });
    await console.run("PAUSE");
    console.end();
    const from = pooler.log.length;
    for (const line of pooler.log.filter(({ event }) => event === "worker ready")) process.kill(Number(line["pid"]), "SIGKILL");
    for (let worker = 1; worker <= workers; worker++)
      await pooler.untilLog(({ event, worker: number }) => event === "worker ready" && number === worker, from);
    console = await openConsole(pooler);
    // The greeting needs a server, so not even the login gets through before RESUME.
    const late = new pg.Client(pooler.url({ user: "late" }));
    let isIn = false;
    const connected = late.connect().then(() => {
      isIn = true;
    });
    expect((await console.run("SHOW DATABASES")).find(({ name }) => name === "app")?.["paused"]).toBe("1");
    expect(await connections()).toBe(0);
    expect(isIn).toBe(false);
    await console.run("RESUME");
    await connected;
    expect((await late.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await late.end();
  });
});
