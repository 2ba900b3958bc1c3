// Clients that go away in the middle of something, and cancel requests: what they began must not reach anybody else.
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { backendKeyIn, errorIn, rowsOf } from "../harness/backend-message.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { greetingOf, oneTarget, type Rig, settingsOf, shortly, startRig, twoShards, untilRunning, valueIn } from "./rig.js";

const { parse, bind, execute, flush, sync, query } = messages;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    databases: {
      one: oneTarget(),
      two: twoShards(),
      two_servers: oneTarget({ pool_size: 2 }),
      session: oneTarget({ pool_mode: "session" }),
    },
    timeouts: { query_wait: "1s" },
  });
  const direct = await rig.direct();
  await direct.query("CREATE TABLE IF NOT EXISTS left_rows (n int)");
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await (await rig.direct()).query("DROP TABLE left_rows");
  await rig.disconnectAll();
  await rig.stop();
});

/** Sends a cancel request for the client, on a connection of its own, and waits until that is closed. */
function cancel(client: WireClient, secretKey?: number): Promise<void> {
  const key = backendKeyIn(greetingOf(client));
  const request = Buffer.alloc(16);
  request.writeInt32BE(16, 0);
  request.writeInt32BE(80_877_102, 4);
  request.writeInt32BE(key?.processId ?? 0, 8);
  request.writeInt32BE(secretKey ?? key?.secretKey ?? 0, 12);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port: rig.pooler.port }, () => socket.write(request));
    socket.on("error", reject);
    socket.on("close", () => resolve());
    socket.resume();
  });
}

const run = (text: string): Uint8Array[] => [parse({ text }), bind(), execute()];

describe.each(["one", "two", "session"])("database %s", (database) => {
  test.each([
    ["in an explicit transaction", ["BEGIN", "INSERT INTO left_rows VALUES (1)"]],
    ["in a transaction that failed", ["BEGIN", "INSERT INTO left_rows VALUES (1)", "SELECT 1/0"]],
    ["in a transaction it only began", ["BEGIN"]],
    ["in a transaction behind a chain", ["BEGIN", "SELECT 1", "ROLLBACK AND CHAIN", "INSERT INTO left_rows VALUES (1)"]],
  ])("a client that leaves %s: rolled back, and the next client begins anew", async (_, statements) => {
    for (const leave of ["end", "reset", "terminate"] as const) {
      const client = await rig.client(database);
      for (const sql of statements) await client.query(sql);
      if (leave === "terminate") client.send(messages.end());
      else client[leave]();
      await client.closed;
      const next = await rig.client(database);
      expect(shortly(await next.query("SELECT count(*)::int FROM left_rows"))).toBe("T(count:23) D(0) C(SELECT 1) Z(I)");
      next.end();
      await next.closed;
    }
  });

  test("a client that leaves between Flush and Sync: what it ran did not happen", async () => {
    const client = await rig.client(database);
    client.send(...run("INSERT INTO left_rows VALUES (1)"), flush());
    await client.until("C");
    client.reset();
    const next = await rig.client(database);
    expect(shortly(await next.query("SELECT count(*)::int FROM left_rows"))).toBe("T(count:23) D(0) C(SELECT 1) Z(I)");
    next.send(sync());
    expect(shortly(await next.until("Z"))).toBe("Z(I)");
    expect(await valueIn(next, "SELECT count(*) FROM left_rows")).toBe("0");
  });

  test.each([
    ["right behind Flush", [...run("INSERT INTO left_rows VALUES (1)"), flush()]],
    ["in the middle of a message", [query("INSERT INTO left_rows VALUES (1)").subarray(0, 20)]],
    ["in the middle of a batch", run("INSERT INTO left_rows VALUES (1)")],
    ["behind an error in an open batch", [...run("SELECT 1/0"), flush()]],
  ])("a client that leaves %s harms nobody", async (_, bytes) => {
    const client = await rig.client(database);
    client.send(...bytes);
    client.reset();
    const next = await rig.client(database);
    expect(await valueIn(next, "SELECT count(*) FROM left_rows")).toBe("0");
    expect(await settingsOf(next)).toEqual([]);
  });

  test("a client that leaves while its query runs: the query is stopped, the next client is not", async () => {
    const client = await rig.client(database);
    client.send(query("SELECT pg_sleep(600) /* left running */"));
    await untilRunning(rig, "SELECT pg_sleep(600) /* left running");
    client.reset();
    await untilRunning(rig, "SELECT pg_sleep(600) /* left running", false);
    const next = await rig.client(database);
    for (let i = 0; i < 20; i++) expect(await valueIn(next, "SELECT pg_sleep(0.001) || 'well'")).toBe("well");
  });

  test("a client that leaves in the middle of a long answer", async () => {
    const client = await rig.client(database);
    client.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"));
    await client.until("D");
    client.reset();
    const next = await rig.client(database);
    expect(await valueIn(next, "SELECT 'well'")).toBe("well");
  });

  test("a cancel request stops the query that runs, and the client goes on", async () => {
    const client = await rig.client(database);
    for (const batch of [[query("SELECT pg_sleep(600) /* to cancel */")], [...run("SELECT pg_sleep(600) /* to cancel */"), sync()]]) {
      client.send(...batch);
      await untilRunning(rig, "SELECT pg_sleep(600) /* to cancel");
      await cancel(client);
      expect(shortly(await client.until("Z"))).toMatch(/E\(57014 canceling statement due to user request\) Z\(I\)$/);
      expect(await valueIn(client, "SELECT 'on'")).toBe("on");
    }
  });

  test("a cancel request in a transaction makes it fail", async () => {
    const client = await rig.client(database);
    await client.query("BEGIN");
    client.send(query("SELECT pg_sleep(600) /* to cancel */"));
    await untilRunning(rig, "SELECT pg_sleep(600) /* to cancel");
    await cancel(client);
    expect(shortly(await client.until("Z"))).toMatch(/E\(57014 .*\) Z\(E\)$/);
    expect(shortly(await client.query("ROLLBACK"))).toBe("C(ROLLBACK) Z(I)");
  });

  test("a cancel request with another key, for nobody, or for a client that does nothing, does nothing", async () => {
    const client = await rig.client(database);
    await cancel(client);
    client.send(query("SELECT 'done' || pg_sleep(0.05)"));
    await untilRunning(rig, "SELECT 'done' || pg_sleep");
    const key = backendKeyIn(greetingOf(client))?.secretKey ?? 0;
    await cancel(client, key ^ 1);
    expect(rowsOf(await client.until("Z"))).toEqual([["done"]]);
  });

  test("a cancel request that comes too late hits nobody", async () => {
    const [client, direct] = await Promise.all([rig.client(database), database === "session" ? rig.direct() : rig.client(database)]);
    for (let i = 0; i < 30; i++) {
      client.send(query("SELECT 1"));
      const cancelled = cancel(client);
      const answer = await client.until("Z");
      if (errorIn(answer) !== undefined) expect(errorIn(answer)).toMatchObject({ C: "57014" });
      expect(await valueIn(direct, "SELECT pg_sleep(0.002) || 'well'")).toBe("well");
      await cancelled;
    }
  });
});

test("a cancel request for a client whose settings are being made keeps its statement from running", async () => {
  const [client, a, b, direct] = await Promise.all([
    rig.client("two_servers"),
    rig.client("two_servers"),
    rig.client("two_servers"),
    rig.direct(),
  ]);
  await direct.query("DROP ROLE IF EXISTS left_role; CREATE ROLE left_role; GRANT left_role TO postgres");
  await client.query("SET ROLE left_role");
  const pid = await valueIn(client, "SELECT pg_backend_pid()");
  for (const holder of [a, b]) await holder.query("BEGIN");
  const [pidOfA] = [await valueIn(a, "SELECT pg_backend_pid()"), await valueIn(b, "SELECT pg_backend_pid()")];
  await (pidOfA === pid ? b : a).query("COMMIT");
  // The other server has to look the role up, and cannot.
  await direct.query("BEGIN; LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE");
  client.send(query("SELECT 'not to be run'"));
  await cancel(client);
  await direct.query("COMMIT");
  expect(shortly(await client.until("Z"))).toBe("E(57014 canceling statement due to user request) Z(I)");
  expect(await valueIn(client, "SELECT current_user")).toBe("left_role");
  await client.query("RESET ROLE");
  await direct.query("DROP ROLE left_role");
});

test("a cancel request for a client that waits for a server takes it out of the queue", async () => {
  const [holder, waiting, behind] = await Promise.all([rig.client("one"), rig.client("one"), rig.client("one")]);
  await holder.query("BEGIN; SELECT 1");
  waiting.send(query("INSERT INTO left_rows VALUES (1)"));
  await cancel(waiting);
  expect(shortly(await waiting.until("Z"))).toBe("E(57014 canceling statement due to user request) Z(I)");
  behind.send(query("SELECT 'my turn'"));
  await holder.query("COMMIT");
  expect(rowsOf(await behind.until("Z"))).toEqual([["my turn"]]);
  expect(await valueIn(waiting, "SELECT count(*) FROM left_rows")).toBe("0");
});

test("a client that leaves while it waits for a server leaves its place to the next", async () => {
  const [holder, waiting, behind] = await Promise.all([rig.client("one"), rig.client("one"), rig.client("one")]);
  await holder.query("BEGIN; SELECT 1");
  waiting.send(query("INSERT INTO left_rows VALUES (1)"));
  behind.send(query("SELECT 'my turn'"));
  waiting.reset();
  await waiting.closed;
  await holder.query("COMMIT");
  expect(rowsOf(await behind.until("Z"))).toEqual([["my turn"]]);
  expect(await valueIn(behind, "SELECT count(*) FROM left_rows")).toBe("0");
});

test("who waits for too long is told how long, where, and what to do; the transaction it held has failed", async () => {
  const [holder, simple, extended, held] = await Promise.all([rig.client("one"), rig.client("one"), rig.client("one"), rig.client("two")]);
  const holderOfTwo = await rig.client("two");
  await holder.query("BEGIN; SELECT 1");
  await holderOfTwo.query("BEGIN; SELECT 1");
  await held.query("BEGIN");
  simple.send(query("SELECT 1"));
  extended.send(...run("SELECT 1"), sync());
  held.send(query("SELECT 1"));
  const error = errorIn(await simple.until("Z"));
  expect(error).toMatchObject({ S: "ERROR", C: "53300", M: "no server connection came free within 1000 ms" });
  expect(error?.["D"]).toContain("1 of 1 connections are in use");
  expect(error?.["H"]).toContain("pool_size");
  expect(shortly(await extended.until("Z"))).toMatch(/^E\(53300 .*\) Z\(I\)$/);
  expect(shortly(await held.until("Z"))).toMatch(/^E\(53300 .*\) Z\(E\)$/);
  expect(shortly(await held.query("SELECT 1"))).toMatch(/^E\(25P02 .*\) Z\(E\)$/);
  expect(shortly(await held.query("ROLLBACK"))).toBe("C(ROLLBACK) Z(I)");
  await holder.query("COMMIT");
  expect(await valueIn(simple, "SELECT 'again'")).toBe("again");
});

test("a pool of one serves fifty clients in the order in which they came", async () => {
  const clients = await Promise.all(Array.from({ length: 50 }, () => rig.client("one")));
  const holder = await rig.client("one");
  await holder.query("CREATE SEQUENCE left_order");
  await holder.query("BEGIN; SELECT 1");
  for (const client of clients) {
    client.send(query("SELECT nextval('left_order')"));
    // Its bytes are at the pooler before the next client's: the pooler answers each login in order.
    await rig.client("one");
  }
  await holder.query("COMMIT");
  const turns = await Promise.all(clients.map(async (client) => rowsOf(await client.until("Z"))[0]?.[0]));
  expect(turns).toEqual(clients.map((_, i) => String(i + 1)));
  await holder.query("DROP SEQUENCE left_order");
});
