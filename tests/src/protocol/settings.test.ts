// What a client sets goes with it to whichever server it gets next, and to nobody else.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, parameterStatuses, typesOf } from "../harness/backend-message.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { oneTarget, type Rig, settingsOf, shortly, startRig, twoShards, valueIn } from "./rig.js";

const { parse, bind, execute, sync, query } = messages;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    databases: { one: oneTarget({ pool_size: 2 }), two: twoShards({ pool_size: 2 }), single: oneTarget() },
  });
  const direct = await rig.direct();
  await direct.query("CREATE ROLE settings_role; GRANT settings_role TO postgres");
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  const direct = await rig.direct();
  await direct.query("DROP ROLE settings_role");
  await rig.disconnectAll();
  await rig.stop();
});

const pid = (client: WireClient): Promise<string | null> => valueIn(client, "SELECT pg_backend_pid()");

/** The client is on another server than before, of two, because whoever is returned holds that one. */
async function moved(database: string, client: WireClient): Promise<WireClient> {
  const before = await pid(client);
  const others = [await rig.client(database), await rig.client(database)];
  for (const other of others) await other.query("BEGIN; SELECT 1");
  const pids = [await pid(others[0] as WireClient), await pid(others[1] as WireClient)];
  const holder = others[pids.indexOf(before)] as WireClient;
  await others[1 - pids.indexOf(before)]?.query("COMMIT");
  expect(await pid(client)).not.toBe(before);
  return holder;
}

describe.each(["one", "two"])("database %s", (database) => {
  test.each([
    ["SET work_mem = '3MB'", "work_mem", "3MB"],
    ["SET SESSION work_mem TO '3MB'", "work_mem", "3MB"],
    ["SET TIME ZONE 'Europe/Rome'", "TimeZone", "Europe/Rome"],
    ["SET TIME ZONE -7", "TimeZone", "<-07>+07"],
    ["SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE", "TimeZone", "<+02>-02"],
    ["SET NAMES 'LATIN1'", "client_encoding", "LATIN1"],
    ['SET search_path = pg_catalog, "Quoted, name", public', "search_path", 'pg_catalog, "Quoted, name", public'],
    ["SET SCHEMA 'pg_catalog'", "search_path", "pg_catalog"],
    ["SET datestyle = 'SQL, DMY'", "DateStyle", "SQL, DMY"],
    ["SET application_name = 'it''s \"me\" \\ ; --'", "application_name", 'it\'s "me" \\ ; --'],
    ["SET app.tenant = 'a''b'", "app.tenant", "a'b"],
    ["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "default_transaction_isolation", "serializable"],
    ["SET ROLE settings_role", "role", "settings_role"],
    ["SET SESSION AUTHORIZATION settings_role", "session_authorization", "settings_role"],
    ["SET standard_conforming_strings = off", "standard_conforming_strings", "off"],
    ["SET statement_timeout = 12345", "statement_timeout", "12345ms"],
  ])("%s goes with the client, and with it only", async (set, name, value) => {
    const client = await rig.client(database);
    expect(errorIn(await client.query(set))).toBeUndefined();
    expect(await valueIn(client, `SHOW ${name}`)).toBe(value);
    const other = await moved(database, client);
    expect(await valueIn(client, `SHOW ${name}`)).toBe(value);
    expect(await valueIn(other, `SHOW ${name}`)).not.toBe(value);
    expect(await settingsOf(other)).toEqual([]);
  });

  test("SET SESSION CHARACTERISTICS, one mode after the other, and RESET of one of them", async () => {
    const client = await rig.client(database);
    await client.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY");
    await client.query("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, DEFERRABLE");
    const shown = async (): Promise<(string | null)[]> => [
      await valueIn(client, "SHOW default_transaction_read_only"),
      await valueIn(client, "SHOW default_transaction_isolation"),
      await valueIn(client, "SHOW default_transaction_deferrable"),
    ];
    const other = await moved(database, client);
    expect(await shown()).toEqual(["on", "repeatable read", "on"]);
    await other.query("COMMIT");
    await client.query("RESET default_transaction_isolation");
    await moved(database, client);
    expect(await shown()).toEqual(["on", "read committed", "on"]);
  });

  test("what was set with the extended protocol, too", async () => {
    const client = await rig.client(database);
    client.send(parse({ name: "s", text: "SET work_mem = '3MB'" }), bind({ statement: "s" }), execute(), sync());
    await client.until("Z");
    await moved(database, client);
    expect(await valueIn(client, "SHOW work_mem")).toBe("3MB");
  });

  test.each([["RESET work_mem"], ["RESET ALL"], ["SET work_mem TO DEFAULT"], ["DISCARD ALL"], ["BEGIN; RESET work_mem; COMMIT"]])(
    "%s: it is gone on every server",
    async (reset) => {
      const client = await rig.client(database);
      await client.query("SET work_mem = '3MB'");
      await moved(database, client);
      for (const sql of reset.split("; ")) expect(errorIn(await client.query(sql))).toBeUndefined();
      expect(await valueIn(client, "SHOW work_mem")).toBe("4MB");
      await rig.client(database);
      expect(await valueIn(client, "SHOW work_mem")).toBe("4MB");
      expect(await settingsOf(client)).toEqual([]);
    },
  );

  test.each([
    ["rolled back", ["BEGIN", "SET work_mem = '3MB'", "ROLLBACK"], "4MB"],
    ["rolled back after a statement", ["BEGIN", "SELECT 1", "SET work_mem = '3MB'", "ROLLBACK"], "4MB"],
    ["in a transaction that fails", ["BEGIN", "SET work_mem = '3MB'", "SELECT 1/0", "COMMIT"], "4MB"],
    [
      "behind a savepoint that is rolled back",
      ["BEGIN", "SELECT 1", "SAVEPOINT a", "SET work_mem = '3MB'", "ROLLBACK TO a", "COMMIT"],
      "4MB",
    ],
    [
      "before a savepoint that is rolled back",
      ["BEGIN", "SET work_mem = '3MB'", "SAVEPOINT a", "SET work_mem = '5MB'", "SELECT 1/0", "ROLLBACK TO a", "COMMIT"],
      "3MB",
    ],
    [
      "behind an error that a savepoint took back",
      ["BEGIN", "SELECT 1", "SAVEPOINT a", "SELECT 1/0", "ROLLBACK TO a", "SET work_mem = '3MB'", "COMMIT"],
      "3MB",
    ],
    [
      "between two savepoints of one name, the inner one released",
      ["BEGIN", "SELECT 1", "SAVEPOINT a", "SET work_mem = '3MB'", "SAVEPOINT a", "RELEASE a", "ROLLBACK TO a", "COMMIT"],
      "4MB",
    ],
    ["committed and chained", ["BEGIN", "SET work_mem = '3MB'", "COMMIT AND CHAIN", "SET work_mem = '5MB'", "ROLLBACK"], "3MB"],
    ["locally", ["BEGIN", "SET LOCAL work_mem = '3MB'", "SELECT 1", "COMMIT"], "4MB"],
    ["locally, over one for the session", ["BEGIN", "SET work_mem = '3MB'", "SET LOCAL work_mem = '5MB'", "SELECT 1", "COMMIT"], "3MB"],
    ["by set_config for the transaction", ["BEGIN", "SELECT set_config('work_mem', '3MB', true)", "COMMIT"], "4MB"],
    ["in one string with its transaction", ["BEGIN; SET work_mem = '3MB'; COMMIT"], "3MB"],
    ["in one string with a statement that fails", ["SET work_mem = '3MB'; SELECT 1/0"], "4MB"],
    ["in vain", ["SET work_mem = 'nonsense'"], "4MB"],
  ])("a SET %s", async (_, statements, expected) => {
    const client = await rig.client(database);
    for (const sql of statements) await client.query(sql);
    expect(await valueIn(client, "SHOW work_mem")).toBe(expected);
    const other = await moved(database, client);
    expect(await valueIn(client, "SHOW work_mem")).toBe(expected);
    expect(await settingsOf(other)).toEqual([]);
  });

  test("every client has its own, in whatever order they come", async () => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => rig.client(database)));
    await Promise.all(clients.map((client, i) => client.query(`SET work_mem = '${i + 1}MB'; SET app.name = 'client ${i}'`)));
    for (let round = 0; round < 5; round++) {
      const values = await Promise.all(
        clients.map((client) => valueIn(client, "SELECT current_setting('work_mem') || ' ' || current_setting('app.name')")),
      );
      expect(values).toEqual(clients.map((_, i) => `${i + 1}MB client ${i}`));
    }
  });

  test("ParameterStatus: of the client's own settings, of no other's, none when only the server changes", async () => {
    const [a, b] = await Promise.all([rig.client(database), rig.client(database)]);
    expect(parameterStatuses(await a.query("SET TIME ZONE 'Europe/Rome'"))).toEqual({ TimeZone: "Europe/Rome" });
    expect(typesOf(await b.query("SELECT 1"))).toBe("TDCZ");
    await moved(database, a);
    expect(typesOf(await a.query("SELECT 1"))).toBe("TDCZ");
    expect(parameterStatuses(await b.query("SET application_name = 'b'"))).toEqual({ application_name: "b" });
    expect(parameterStatuses(await a.query("RESET ALL"))).toMatchObject({ TimeZone: expect.not.stringContaining("Rome") });
  });

  test("ParameterStatus of a SET in a held transaction comes with the first statement", async () => {
    const client = await rig.client(database);
    const statuses: object[] = [];
    for (const sql of ["BEGIN", "SET LOCAL TIME ZONE 'Europe/Rome'", "SELECT 1", "COMMIT"])
      statuses.push(parameterStatuses(await client.query(sql)));
    expect(Object.assign({}, ...statuses.slice(0, 3))).toEqual({ TimeZone: "Europe/Rome" });
    expect(statuses[3]).toMatchObject({ TimeZone: expect.not.stringContaining("Rome") });
  });

  test("a client that leaves in the middle takes its settings along", async () => {
    const client = await rig.client(database);
    for (const sql of [
      "SET work_mem = '3MB'",
      "BEGIN",
      "SET enable_sort = off",
      "SELECT 1",
      "COMMIT AND CHAIN",
      "SET enable_hashjoin = off",
      "SELECT 1",
    ])
      await client.query(sql);
    const server = await pid(client);
    client.reset();
    const holders = [await rig.client(database), await rig.client(database)];
    const seen: (string | null)[] = [];
    for (const holder of holders) {
      await holder.query("BEGIN");
      seen.push(await pid(holder));
      expect(await settingsOf(holder)).toEqual([]);
    }
    expect(seen).toContain(server);
  });

  test("a setting that a function makes behind the pooler's back is not seen by the next client", async () => {
    const client = await rig.client("single");
    await client.query(
      "CREATE OR REPLACE FUNCTION settings_sly() RETURNS text LANGUAGE sql AS $$ SELECT pg_catalog.set_config('TimeZone', 'Europe/Rome', false) $$",
    );
    expect(await valueIn(client, "SELECT settings_sly()")).toBe("Europe/Rome");
    client.end();
    const next = await rig.client("single");
    expect(await settingsOf(next)).toEqual([]);
    await next.query("DROP FUNCTION settings_sly");
  });

  test("a setting that cannot be made elsewhere: the client is told, the server is well", async () => {
    const [client, direct] = await Promise.all([rig.client("single"), rig.direct()]);
    await direct.query("CREATE ROLE settings_gone; GRANT settings_gone TO postgres");
    await client.query("SET ROLE settings_gone");
    expect(await valueIn(client, "SELECT current_user")).toBe("settings_gone");
    const other = await rig.client("single");
    expect(await valueIn(other, "SELECT current_user")).toBe("postgres");
    await direct.query("DROP ROLE settings_gone");
    expect(errorIn(await client.query("SELECT 1"))).toMatchObject({ C: "22023", M: 'role "settings_gone" does not exist' });
    expect(await valueIn(other, "SELECT current_user")).toBe("postgres");
    await client.query("RESET ROLE");
    expect(await valueIn(other, "SELECT 1")).toBe("1");
  });
});

test("a batch that sets and fails in parts leaves nothing to the next client", async () => {
  const client = await rig.client("single");
  client.send(
    ...["SET work_mem = '3MB'", "SET enable_sort = off", "SELECT 1/0"].flatMap((text) => [parse({ text }), bind(), execute()]),
    sync(),
    query("SET work_mem = '3MB'; COMMIT; SET enable_sort = off; SELECT 1/0"),
  );
  expect(shortly(await client.until("Z"))).toContain("division by zero");
  expect(shortly(await client.until("Z"))).toContain("division by zero");
  client.end();
  expect(await settingsOf(await rig.client("single"))).toEqual([]);
});
