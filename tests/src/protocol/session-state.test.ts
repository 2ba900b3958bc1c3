// State that outlives a transaction in a server's session: refused, or the server stays with the client; never anybody else's.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf, typesOf } from "../harness/backend-message.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { oneTarget, type Rig, settingsOf, shortly, startRig, twoShards, valueIn } from "./rig.js";

const { parse, bind, execute, describe: describeMessage, close, sync, query } = messages;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    databases: {
      error: oneTarget({ pool_size: 1 }),
      pin: oneTarget({ pool_size: 2, on_session_state: "pin" }),
      pin_two: twoShards({ pool_size: 2, on_session_state: "pin" }),
      session: oneTarget({ pool_size: 1, pool_mode: "session" }),
    },
  });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

const pid = (client: WireClient): Promise<string | null> => valueIn(client, "SELECT pg_backend_pid()");

/** What PostgreSQL says of a session's state. */
const traces = `
  SELECT (SELECT count(*) FROM pg_prepared_statements WHERE from_sql) || ' prepared in SQL, '
      || (SELECT count(*) FROM pg_cursors) || ' cursors, '
      || (SELECT count(*) FROM pg_listening_channels()) || ' channels, '
      || (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) || ' advisory locks, '
      || (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r' AND pg_table_is_visible(oid)) || ' temporary tables'`;
const noTraces = "0 prepared in SQL, 0 cursors, 0 channels, 0 advisory locks, 0 temporary tables";

const hazards: readonly (readonly [string, string])[] = [
  ["CREATE TEMP TABLE state_t (a int)", "temporary"],
  ["CREATE TEMPORARY TABLE state_t AS SELECT 1 AS a", "temporary"],
  ["SELECT 1 AS a INTO TEMP state_t", "temporary"],
  ["LISTEN state_channel", "LISTEN"],
  ["SELECT pg_advisory_lock(4711)", "advisory lock"],
  ["SELECT pg_try_advisory_lock_shared(4711)", "advisory lock"],
  ["PREPARE state_p AS SELECT 1", "PREPARE"],
  ["EXECUTE state_p", "EXECUTE"],
  ["BEGIN; DECLARE state_c CURSOR WITH HOLD FOR SELECT 1; COMMIT", "WITH HOLD"],
  ["SELECT set_config('work_mem', '3' || 'MB', false)", "set_config"],
  ["SELECT setseed(0.5)", "session"],
  ["SELECT lastval()", "lastval"],
];

describe("on_session_state = error", () => {
  test.each(hazards)("%s is refused with a hint, and nothing of it happened", async (sql, what) => {
    const client = await rig.client("error");
    const answer = await client.query(sql);
    expect(errorIn(answer)).toMatchObject({
      S: "ERROR",
      C: "0A000",
      M: expect.stringContaining(what),
      H: expect.stringContaining("on_session_state"),
    });
    expect(typesOf(answer)).toBe("EZ");
    expect(await valueIn(client, traces)).toBe(noTraces);
    expect(await settingsOf(client)).toEqual([]);
  });

  test("the same with the extended protocol; the statement may be prepared, not run", async () => {
    const client = await rig.client("error");
    client.send(parse({ name: "l", text: "LISTEN state_channel" }), describeMessage({ type: "S", name: "l" }), sync());
    expect(shortly(await client.until("Z"))).toBe("1 t() n Z(I)");
    client.send(bind({ statement: "l" }), execute(), sync());
    expect(errorIn(await client.until("Z"))).toMatchObject({ C: "0A000" });
    client.send(parse({ text: "SELECT 1" }), bind(), execute(), bind({ statement: "l" }), execute(), sync());
    expect(typesOf(await client.until("Z"))).toBe("EZ");
    expect(await valueIn(client, traces)).toBe(noTraces);
  });

  test("in a transaction the refusal makes it fail, here and at the server", async () => {
    const client = await rig.client("error");
    await client.query("DROP TABLE IF EXISTS state_rows; CREATE TABLE state_rows (n int)");
    await client.query("BEGIN");
    await client.query("INSERT INTO state_rows VALUES (1)");
    expect(shortly(await client.query("LISTEN state_channel"))).toMatch(/^E\(0A000 .*\) Z\(E\)$/);
    expect(shortly(await client.query("INSERT INTO state_rows VALUES (2)"))).toMatch(/^E\(25P02 .*\) Z\(E\)$/);
    expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
    expect(await valueIn(client, "SELECT count(*) FROM state_rows")).toBe("0");
    await client.query("DROP TABLE state_rows");
  });

  test("a savepoint before the refusal can be gone back to", async () => {
    const client = await rig.client("error");
    for (const sql of ["BEGIN", "SELECT 1", "SAVEPOINT a"]) await client.query(sql);
    expect(errorIn(await client.query("LISTEN state_channel"))).toMatchObject({ C: "0A000" });
    expect(shortly(await client.query("ROLLBACK TO a"))).toBe("C(ROLLBACK) Z(T)");
    expect(await valueIn(client, "SELECT 1")).toBe("1");
    expect(shortly(await client.query("COMMIT"))).toBe("C(COMMIT) Z(I)");
  });

  test("in the middle of a batch that was begun with Flush the error comes in its place", async () => {
    const client = await rig.client("error");
    client.send(parse({ text: "SELECT 1" }), bind(), execute(), messages.flush());
    await client.until("C");
    client.send(parse({ text: "LISTEN state_channel" }), bind(), execute(), messages.flush());
    expect(errorIn(await client.until("E"))).toMatchObject({ C: "0A000" });
    client.send(parse({ text: "SELECT 2" }), bind(), execute(), sync());
    expect(shortly(await client.until("Z"))).toBe("Z(I)");
    expect(await valueIn(client, "SELECT 3")).toBe("3");
  });

  test.each([
    ["CREATE TEMP TABLE state_t (a int) ON COMMIT DROP"],
    ["SELECT pg_advisory_xact_lock(4711)"],
    ["SELECT set_config('work_mem', '3MB', true)"],
    ["BEGIN; DECLARE state_c CURSOR FOR SELECT 1; FETCH state_c; COMMIT"],
    ["NOTIFY state_channel"],
    ["UNLISTEN *"],
    ["BEGIN; SELECT nextval('state_seq'); SELECT currval('state_seq'); COMMIT"],
  ])("%s ends with its transaction and is allowed", async (sql) => {
    const client = await rig.client("error");
    await client.query("CREATE SEQUENCE IF NOT EXISTS state_seq");
    expect(errorIn(await client.query(sql))).toBeUndefined();
    expect(await valueIn(client, traces)).toBe(noTraces);
    await client.query("DROP SEQUENCE IF EXISTS state_seq");
  });

  test("what a DO block or a procedure leaves is cleared before the next client comes", async () => {
    const client = await rig.client("error");
    await client.query(
      "DO $$ BEGIN EXECUTE 'CREATE TEMP TABLE state_t (a int)'; PERFORM pg_advisory_lock(4711); EXECUTE 'LISTEN x'; EXECUTE 'PREPARE p AS SELECT 1'; END $$",
    );
    expect(await valueIn(client, traces)).toBe(noTraces);
    expect(await valueIn(client, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711")).toBe("0");
  });
});

describe.each(["pin", "pin_two"])("on_session_state = pin, database %s", (database) => {
  test("the server stays with the client until it leaves, then it is clean", async () => {
    const client = await rig.client(database);
    await client.query("CREATE TEMP TABLE state_t AS SELECT 'mine' AS a");
    const own = await pid(client);
    const others = await Promise.all(Array.from({ length: 4 }, () => rig.client(database)));
    for (const other of others) {
      expect(await pid(other)).not.toBe(own);
      expect(await valueIn(client, "SELECT a FROM state_t")).toBe("mine");
      expect(await pid(client)).toBe(own);
    }
    client.end();
    await client.closed;
    const holders = [await rig.client(database), await rig.client(database)];
    const pids: (string | null)[] = [];
    for (const holder of holders) {
      await holder.query("BEGIN");
      pids.push(await pid(holder));
      expect(await valueIn(holder, traces)).toBe(noTraces);
      expect(await settingsOf(holder)).toEqual([]);
    }
    expect(pids).toContain(own);
  });

  test("everything of a session works: prepared in SQL, cursors WITH HOLD, advisory locks, set_config", async () => {
    const client = await rig.client(database);
    for (const sql of [
      "PREPARE state_p (int) AS SELECT $1 + 1",
      "BEGIN",
      "DECLARE state_c CURSOR WITH HOLD FOR SELECT generate_series(1, 3)",
      "COMMIT",
      "SELECT pg_advisory_lock(4712)",
      "SELECT set_config('work_mem', '3MB', false)",
    ])
      expect(errorIn(await client.query(sql))).toBeUndefined();
    expect(await valueIn(client, "EXECUTE state_p(41)")).toBe("42");
    expect(rowsOf(await client.query("FETCH ALL FROM state_c"))).toEqual([["1"], ["2"], ["3"]]);
    expect(await valueIn(client, "SELECT pg_advisory_unlock(4712)")).toBe("t");
    expect(await valueIn(client, "SHOW work_mem")).toBe("3MB");
  });

  test("statements of the protocol go on as before, DEALLOCATE and DISCARD ALL among them", async () => {
    const client = await rig.client(database);
    client.send(parse({ name: "before", text: "SELECT 'before'" }), sync());
    await client.until("Z");
    await client.query("CREATE TEMP TABLE state_t (a int)");
    client.send(
      parse({ name: "a", text: "SELECT 'a'" }),
      bind({ statement: "a" }),
      execute(),
      bind({ statement: "before" }),
      execute(),
      sync(),
    );
    expect(rowsOf(await client.until("Z"))).toEqual([["a"], ["before"]]);
    await client.query("PREPARE in_sql AS SELECT 'in SQL'");
    expect(shortly(await client.query("DEALLOCATE a"))).toBe("C(DEALLOCATE) Z(I)");
    expect(shortly(await client.query("DEALLOCATE in_sql"))).toBe("C(DEALLOCATE) Z(I)");
    expect(errorIn(await client.query("DEALLOCATE a"))).toMatchObject({ C: "26000" });
    client.send(
      close({ type: "S", name: "before" }),
      parse({ name: "a", text: "SELECT 'a again'" }),
      bind({ statement: "a" }),
      execute(),
      sync(),
    );
    expect(rowsOf(await client.until("Z"))).toEqual([["a again"]]);
    for (const sql of ["DISCARD ALL", "DEALLOCATE ALL"]) {
      expect(errorIn(await client.query(sql))).toBeUndefined();
      client.send(bind({ statement: "a" }), execute(), sync());
      expect(errorIn(await client.until("Z"))).toMatchObject({ C: "26000" });
      client.send(parse({ name: "a", text: "SELECT 'a again'" }), bind({ statement: "a" }), execute(), sync());
      expect(rowsOf(await client.until("Z"))).toEqual([["a again"]]);
    }
  });

  test("startup settings and SETs stay what they are, RESET and DISCARD ALL go back to the startup's", async () => {
    const client = await rig.client(database, { application_name: "pinned" });
    await client.query("SET work_mem = '3MB'");
    await client.query("CREATE TEMP TABLE state_t (a int)");
    expect([await valueIn(client, "SHOW work_mem"), await valueIn(client, "SHOW application_name")]).toEqual(["3MB", "pinned"]);
    for (const reset of ["RESET application_name", "RESET ALL", "DISCARD ALL"]) {
      await client.query("SET application_name = 'other'");
      await client.query(reset);
      expect(await valueIn(client, "SHOW application_name")).toBe("pinned");
    }
    expect(await valueIn(client, "SHOW work_mem")).toBe("4MB");
  });

  test("in a transaction, first thing in it", async () => {
    const client = await rig.client(database);
    for (const sql of ["BEGIN", "CREATE TEMP TABLE state_t (a int)", "INSERT INTO state_t VALUES (1)", "COMMIT"])
      expect(errorIn(await client.query(sql))).toBeUndefined();
    expect(await valueIn(client, "SELECT a FROM state_t")).toBe("1");
  });

  test("notifications reach who listens, at any time, and nobody else", async () => {
    const [listener, bystander, direct] = await Promise.all([rig.client(database), rig.client(database), rig.direct()]);
    await listener.query("LISTEN state_channel");
    await direct.query("NOTIFY state_channel, 'hello'");
    expect((await listener.next()).body.subarray(4).toString("latin1")).toBe("state_channel\0hello\0");
    expect(typesOf(await bystander.query("NOTIFY state_channel, 'from the bystander'"))).toBe("CZ");
    expect((await listener.next()).type).toBe("A");
    expect(typesOf(await listener.query("NOTIFY state_channel, 'own'"))).toMatch(/^(CAZ|CZ|ACZ)$/);
    listener.end();
    await listener.closed;
    const next = await rig.client(database);
    await direct.query("NOTIFY state_channel, 'for nobody'");
    expect(typesOf(await next.query("SELECT 1"))).toBe("TDCZ");
    expect(await valueIn(next, traces)).toBe(noTraces);
  });

  test("a server that is lost takes its client along, with the reason", async () => {
    const [client, direct] = await Promise.all([rig.client(database), rig.direct()]);
    await client.query("CREATE TEMP TABLE state_t (a int)");
    await direct.query(`SELECT pg_terminate_backend(${await pid(client)}, 5000)`);
    expect(errorIn(await client.until("E"))).toMatchObject({ S: "FATAL", C: "57P01" });
    await client.closed;
  });
});

describe("session mode", () => {
  test("a client has one server, with all that it leaves there; the next one finds it clean", async () => {
    const client = await rig.client("session");
    const own = await pid(client);
    for (const sql of [
      "SET work_mem = '3MB'",
      "CREATE TEMP TABLE state_t AS SELECT 'mine' AS a",
      "PREPARE state_p AS SELECT 1",
      "LISTEN state_channel",
      "SELECT pg_advisory_lock(4713)",
      "BEGIN",
      "SELECT 1/0",
    ])
      await client.query(sql);
    await client.query("ROLLBACK");
    client.send(parse({ name: "a", text: "SELECT a FROM state_t" }), bind({ statement: "a" }), execute(), sync());
    expect(rowsOf(await client.until("Z"))).toEqual([["mine"]]);
    expect(await pid(client)).toBe(own);
    client.end();
    await client.closed;
    const next = await rig.client("session");
    expect(await pid(next)).toBe(own);
    expect(await valueIn(next, traces)).toBe(noTraces);
    expect(await settingsOf(next)).toEqual([]);
    next.send(bind({ statement: "a" }), execute(), sync());
    expect(errorIn(await next.until("Z"))).toMatchObject({ C: "26000" });
  });

  test("a client that leaves in its transaction leaves nothing of it", async () => {
    const client = await rig.client("session");
    await client.query("DROP TABLE IF EXISTS state_rows; CREATE TABLE state_rows (n int)");
    client.send(query("BEGIN"), query("INSERT INTO state_rows VALUES (1)"), query("SET work_mem = '3MB'"));
    for (let i = 0; i < 3; i++) await client.until("Z");
    client.reset();
    const next = await rig.client("session");
    expect(shortly(await next.query("SELECT count(*) FROM state_rows"))).toMatch(/D\(0\) C\(SELECT 1\) Z\(I\)$/);
    expect(await settingsOf(next)).toEqual([]);
    await next.query("DROP TABLE state_rows");
  });

  test("a startup setting is the session's, and RESET and DISCARD ALL go back to it", async () => {
    const client = await rig.client("session", { application_name: "in session" });
    expect(await valueIn(client, "SHOW application_name")).toBe("in session");
    for (const reset of ["RESET application_name", "RESET ALL", "DISCARD ALL"]) {
      await client.query("SET application_name = 'other'");
      await client.query(reset);
      expect(await valueIn(client, "SHOW application_name")).toBe("in session");
    }
  });
});
