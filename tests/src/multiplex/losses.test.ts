// What becomes of those who share a server when something goes wrong: it breaks, a statement was not what it seemed, somebody wants to stop
// or does not read, one takes too long.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { messages, type WireClient } from "../harness/wire-client.js";
import { openConsole } from "../operations/support/console.js";
import { type FakeConnection, type FakeServer, fake, startFakeServer } from "../operations/support/fake-server.js";
import { until } from "../operations/support/until.js";
import { shortly, untilRunning, valueIn } from "../protocol/rig.js";
import { cancel, errorText, lockQuery, type MultiplexRig, sharing, startMultiplexRig } from "./multiplex-rig.js";

const { parse, bind, execute, sync, query } = messages;

/** Of this file's own: others run beside it, at the same server. */
const key = 4723;

let rig: MultiplexRig;
let played: FakeServer;
/** The test says what comes of each message. */
let onQuery: (connection: FakeConnection, sql: string, count: number) => void = () => {};

beforeAll(async () => {
  played = await startFakeServer({
    onData: (connection, bytes) => {
      // Simple queries only, whole: that is what these tests send.
      for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1)) {
        const sql = bytes.toString("latin1", at + 5, at + bytes.readInt32BE(at + 1));
        if (bytes[at] === 0x51) onQuery(connection, sql, ++asked);
      }
    },
  });
  const toPlayed = { url: played.url, multiplex_relations: "any", multiplex_writes: true };
  rig = await startMultiplexRig(
    {
      app: sharing({
        multiplex_writes: true,
        multiplex_functions: ["pg_advisory_xact_lock_shared", "pg_sleep", "shared_set", "set_config"],
      }),
      keeps: sharing({ multiplex_retry_reads: false, multiplex_writes: true }),
      two: sharing({ pool_size: 2, multiplex_slow: "50ms" }),
      played: sharing(toPlayed),
    },
    { server_connect: "2s" },
  );
  const direct = await rig.direct();
  await direct.query("CREATE TABLE IF NOT EXISTS lost_rows (id int PRIMARY KEY, word text)");
});
let asked = 0;
afterEach(async () => {
  asked = 0;
  await rig.disconnectAll();
  // What is left on the way must not meet the next test.
  for (const database of ["app", "keeps", "two", "played"]) await rig.untilInFlight(database, 0);
});
afterAll(async () => {
  await (await rig.direct()).query("DROP TABLE lost_rows");
  await rig.disconnectAll();
  await rig.stop();
  await played.close();
});

const clients = (count: number, database: string): Promise<WireClient[]> =>
  Promise.all(Array.from({ length: count }, () => rig.client(database)));

const insert = (id: number): string => `INSERT INTO lost_rows VALUES (${id}, 'x')`;

/** The first client's statement waits for a lock; the others' are behind it on the same server. */
async function behindALock(database: string, ...statements: string[]): Promise<{ all: WireClient[]; lock: { letGo(): Promise<void> } }> {
  await rig.learn(database, lockQuery(key));
  const all = await clients(statements.length + 1, database);
  const lock = await rig.lock(key);
  all[0]?.send(query(lockQuery(key)));
  await untilRunning(rig, lockQuery(key));
  statements.forEach((sql, i) => {
    all[i + 1]?.send(query(sql));
  });
  await rig.untilInFlight(database, all.length);
  return { all, lock };
}

async function killServers(): Promise<void> {
  const direct = await rig.direct();
  await direct.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = '${lockQuery(key)}' AND state = 'active'`);
}

describe("a server that breaks", () => {
  test("who runs gets its words, reads behind it are sent again, writes hear that nobody knows", async () => {
    await rig.learn("app", "SELECT 2 AS n", insert(1).replace("(1,", "(0 / 1,"), "DELETE FROM lost_rows WHERE id = 0");
    const { all, lock } = await behindALock("app", "SELECT 5 AS n", "DELETE FROM lost_rows WHERE id = 4");
    const before = await rig.counts("app");
    await killServers();
    expect(errorText((await all[0]?.until("Z")) ?? [])).toBe("57P01 terminating connection due to administrator command");
    expect(shortly((await all[1]?.until("Z")) ?? [])).toBe("T(n:23) D(5) C(SELECT 1) Z(I)");
    expect(errorText((await all[2]?.until("Z")) ?? [])).toBe(
      "08007 the connection was lost before the statement was answered: whether it took effect is not known",
    );
    expect((await rig.counts("app"))["again"]).toBe((before["again"] ?? 0) + 1);
    await lock.letGo();
    expect(await valueIn(all[2] as WireClient, "SELECT 6")).toBe("6");
  });

  test("with multiplex_retry_reads = false nothing is sent again", async () => {
    await rig.learn("keeps", "SELECT 2 AS n");
    const { all, lock } = await behindALock("keeps", "SELECT 5 AS n");
    await killServers();
    await all[0]?.until("Z");
    expect(errorText((await all[1]?.until("Z")) ?? [])).toBe(
      "08006 the connection was lost before the statement was answered; it can be run again",
    );
    await lock.letGo();
  });
});

describe("a prepared statement that the server has lost, or that fits no more", () => {
  test("runs again by itself, and nobody else's answer is touched", async () => {
    await rig.learn("app", "SELECT 2 AS n");
    const direct = await rig.direct();
    await direct.query("DROP TABLE IF EXISTS lost_shape; CREATE TABLE lost_shape (a int); INSERT INTO lost_shape VALUES (7)");
    const [named] = await clients(1, "app");
    named?.send(parse({ name: "all", text: "SELECT * FROM lost_shape" }), bind({ statement: "all" }), execute(), sync());
    await named?.until("Z");
    await rig.learn("app", "SELECT * FROM lost_shape");
    named?.send(bind({ statement: "all" }), execute(), sync());
    await named?.until("Z");
    await direct.query("ALTER TABLE lost_shape ADD b int DEFAULT 8");
    const { all, lock } = await behindALock("app");
    const [other] = await clients(1, "app");
    const before = await rig.counts("app");
    named?.send(bind({ statement: "all" }), execute(), sync());
    other?.send(query("SELECT 5 AS n"));
    await rig.untilInFlight("app", 3);
    await lock.letGo();
    await all[0]?.until("Z");
    expect(shortly((await named?.until("Z")) ?? [])).toBe("2 D(7, 8) C(SELECT 1) Z(I)");
    expect(shortly((await other?.until("Z")) ?? [])).toBe("T(n:23) D(5) C(SELECT 1) Z(I)");
    expect((await rig.counts("app"))["again"]).toBe((before["again"] ?? 0) + 1);
    await direct.query("DROP TABLE lost_shape");
  });
});

describe("a statement that was not what it seemed", () => {
  const answer = (connection: FakeConnection, value: string, status = "I", ...before: Buffer[]): void =>
    connection.write(...before, fake.rowDescription("n"), fake.row(Buffer.from(value)), fake.complete("SELECT 1"), fake.ready(status));

  test("leaves a transaction open: reads behind it run elsewhere, writes were rolled back, the server is gone", async () => {
    onQuery = (connection, _, count) => answer(connection, String(count));
    await rig.learn("played", "SELECT 2 AS n", "DELETE FROM t WHERE id = 1");
    const all = await clients(3, "played");
    const before = await rig.counts("played");
    const connections = played.connections.length;
    const held: (() => void)[] = [];
    onQuery = (connection, sql) => {
      if (connection !== played.connections[connections - 1]) answer(connection, "elsewhere");
      else held.push(() => answer(connection, sql, held.length === 3 ? "T" : "I"));
    };
    all[0]?.send(query("SELECT 3 AS n"));
    await until("the first", () => held.length === 1);
    all[1]?.send(query("SELECT 4 AS n"));
    all[2]?.send(query("DELETE FROM t WHERE id = 5"));
    await until("all", () => held.length === 3);
    for (const each of held) each();
    expect(shortly((await all[0]?.until("Z")) ?? [])).toContain("Z(T)");
    // Its transaction is gone with the server: what belongs to it does not run by itself.
    expect(errorText((await all[0]?.query("SELECT 6 AS n")) ?? [])).toContain("25P02");
    expect(shortly((await all[0]?.query("ROLLBACK")) ?? [])).toBe("C(ROLLBACK) Z(I)");
    expect(shortly((await all[1]?.until("Z")) ?? [])).toContain("D(elsewhere)");
    expect(errorText((await all[2]?.until("Z")) ?? [])).toBe(
      "40001 the statement was rolled back with the connection that it shared; it can be run again",
    );
    expect((await rig.counts("played"))["servers_taken_out"]).toBe((before["servers_taken_out"] ?? 0) + 1);
  });

  test("changes a setting: nobody behind it gets an answer from that server, and nobody is told the setting", async () => {
    onQuery = (connection, _, count) => answer(connection, String(count));
    await rig.learn("played", "SELECT 2 AS n");
    const all = await clients(2, "played");
    const before = await rig.counts("played");
    const connections = played.connections.length;
    const held: (() => void)[] = [];
    onQuery = (connection, sql) => {
      if (connection !== played.connections[connections - 1]) answer(connection, "elsewhere");
      else held.push(() => answer(connection, sql, "I", ...(sql.includes("3") ? [fake.parameterStatus("TimeZone", "Mars")] : [])));
    };
    all[0]?.send(query("SELECT 3 AS n"));
    await until("the first", () => held.length === 1);
    all[1]?.send(query("SELECT 4 AS n"));
    await until("all", () => held.length === 2);
    for (const each of held) each();
    expect(shortly((await all[0]?.until("Z")) ?? [])).toBe("T(n:25) D(SELECT 3 AS n) C(SELECT 1) Z(I)");
    expect(shortly((await all[1]?.until("Z")) ?? [])).toContain("D(elsewhere)");
    expect((await rig.counts("played"))["servers_taken_out"]).toBe((before["servers_taken_out"] ?? 0) + 1);
  });
});

describe("a statement that runs with others behind it", () => {
  test("is cancelled when they read: they are sent again", async () => {
    await rig.learn("app", "SELECT 2 AS n");
    const { all, lock } = await behindALock("app", "SELECT 5 AS n");
    await cancel(rig, all[0] as WireClient);
    expect(errorText((await all[0]?.until("Z")) ?? [])).toBe("57014 canceling statement due to user request");
    expect(shortly((await all[1]?.until("Z")) ?? [])).toBe("T(n:23) D(5) C(SELECT 1) Z(I)");
    await lock.letGo();
  });

  test("is not cancelled while one that writes is behind it, and is when that is done", async () => {
    await rig.learn("app", "DELETE FROM lost_rows WHERE id = 0");
    const { all, lock } = await behindALock("app", "DELETE FROM lost_rows WHERE id = 4");
    await cancel(rig, all[0] as WireClient);
    expect(all[0]?.pending()).toEqual([]);
    await lock.letGo();
    expect(shortly((await all[0]?.until("Z")) ?? [])).toContain("C(SELECT 1) Z(I)");
    expect(shortly((await all[1]?.until("Z")) ?? [])).toBe("C(DELETE 0) Z(I)");
  });

  test("is not cancelled while a read is behind it that may not be sent twice", async () => {
    await rig.learn("keeps", "SELECT 2 AS n");
    const { all, lock } = await behindALock("keeps", "SELECT 5 AS n");
    await cancel(rig, all[0] as WireClient);
    // It would be moved away before the request is sent, which may come too late to be seen.
    expect(await rig.counts("keeps")).toMatchObject({ moved: 0, in_flight: 2 });
    await lock.letGo();
    expect(shortly((await all[0]?.until("Z")) ?? [])).toContain("C(SELECT 1) Z(I)");
    expect(shortly((await all[1]?.until("Z")) ?? [])).toBe("T(n:23) D(5) C(SELECT 1) Z(I)");
  });

  test("one behind it that reads is cancelled at once", async () => {
    await rig.learn("app", "SELECT 2 AS n");
    const { all, lock } = await behindALock("app", "SELECT 5 AS n", "SELECT 6 AS n");
    await cancel(rig, all[1] as WireClient);
    expect(errorText((await all[1]?.until("Z")) ?? [])).toBe("57014 canceling statement due to user request");
    await lock.letGo();
    expect(shortly((await all[2]?.until("Z")) ?? [])).toBe("T(n:23) D(6) C(SELECT 1) Z(I)");
  });

  test("takes too long: those that read go to another server, before it ends", async () => {
    await rig.learn("two", "SELECT 2 AS n", lockQuery(key));
    const [first, owner, second] = await clients(3, "two");
    const lock = await rig.lock(key);
    await owner?.query("BEGIN");
    await owner?.query("SELECT 1");
    first?.send(query(lockQuery(key)));
    await untilRunning(rig, lockQuery(key));
    second?.send(query("SELECT 5 AS n"));
    await rig.untilInFlight("two", 2);
    await owner?.query("COMMIT");
    expect(shortly((await second?.until("Z")) ?? [])).toBe("T(n:23) D(5) C(SELECT 1) Z(I)");
    await lock.letGo();
    await first?.until("Z");
  });
});

test("a kind of statement that has been slow runs with nobody behind it", async () => {
  await rig.learn("two", "SELECT 2 AS n");
  const client = await rig.client("two");
  for (let i = 0; i < 4; i++) await client.query("SELECT 1 FROM pg_sleep(0.06)");
  const before = await rig.counts("two");
  await client.query("SELECT 1 FROM pg_sleep(0.06)");
  expect((await rig.counts("two"))["refused_slow"]).toBe((before["refused_slow"] ?? 0) + 1);
});

test("a kind of statement with large answers runs with nobody behind it", async () => {
  const client = await rig.client("two");
  for (let i = 0; i < 4; i++) await client.query("SELECT repeat('x', 100000)");
  const before = await rig.counts("two");
  await client.query("SELECT repeat('x', 100000)");
  expect((await rig.counts("two"))["refused_large"]).toBe((before["refused_large"] ?? 0) + 1);
});

test("a client that does not read a large answer is disconnected after a while, and those behind it are served", async () => {
  await rig.learn("app", "SELECT repeat('x', 10)", "SELECT 2 AS n");
  const { all, lock } = await behindALock("app", "SELECT repeat('x', 100000000)", "SELECT 5 AS n");
  all[1]?.pause();
  await lock.letGo();
  expect(shortly((await all[2]?.until("Z")) ?? [])).toBe("T(n:23) D(5) C(SELECT 1) Z(I)");
  all[1]?.resume();
  await all[1]?.closed;
});

test("PAUSE waits for those in flight, and nobody else is sent before RESUME", async () => {
  await rig.learn("app", "SELECT 2 AS n");
  const { all, lock } = await behindALock("app", "SELECT 5 AS n");
  const [late] = await clients(1, "app");
  const admin = await openConsole(rig.pooler);
  const paused = admin.run("PAUSE app");
  const other = await openConsole(rig.pooler);
  await until("the pause", async () => (await other.run("SHOW DATABASES")).some((row) => row["name"] === "app" && row["paused"] === "1"));
  late?.send(query("SELECT 6 AS n"));
  await lock.letGo();
  await paused;
  expect(shortly((await all[1]?.until("Z")) ?? [])).toBe("T(n:23) D(5) C(SELECT 1) Z(I)");
  expect(late?.pending()).toEqual([]);
  await other.run("RESUME app");
  expect(shortly((await late?.until("Z")) ?? [])).toBe("T(n:23) D(6) C(SELECT 1) Z(I)");
  admin.end();
  other.end();
});
