// Statements that clients prepared, on servers that they do not keep: every client sees its own, whichever server it gets.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { converse, oneTarget, type Rig, startRig, twoShards, valueIn } from "./rig.js";

const { parse, bind, describe: describeMessage, execute, close, sync, flush, query } = messages;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    databases: { one: oneTarget(), two: twoShards(), wide: oneTarget({ pool_size: 3 }) },
    limits: { max_server_statements: 2, max_client_statements: 4 },
  });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

const statement = (name: string): Uint8Array => describeMessage({ type: "S", name });

async function prepare(client: WireClient, name: string, text: string): Promise<void> {
  client.send(parse({ name, text }), sync());
  expect(errorIn(await client.until("Z"))).toBeUndefined();
}

/** The first row of the statement. */
async function run(client: WireClient, name: string, values: readonly (string | null)[] = []): Promise<(string | null)[] | undefined> {
  client.send(bind({ statement: name, values: [...values] }), execute(), sync());
  const answer = await client.until("Z");
  expect(errorIn(answer)).toBeUndefined();
  return rowsOf(answer)[0];
}

/** Takes every server of the pool, so that the next client that comes gets another than it had. */
async function occupy(database: string, count: number): Promise<WireClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => rig.client(database)));
  for (const client of clients) await client.query("BEGIN; SELECT 1");
  return clients;
}

describe.each(["one", "two", "wide"])("database %s", (database) => {
  test("the same name with another text is every client's own", async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => rig.client(database)));
    await Promise.all(clients.map((client, i) => prepare(client, "s", `SELECT ${i}, $1::text`)));
    for (let round = 0; round < 5; round++) {
      const rows = await Promise.all(clients.map((client, i) => run(client, "s", [`${round}-${i}`])));
      expect(rows).toEqual(clients.map((_, i) => [String(i), `${round}-${i}`]));
    }
  });

  test("one text under many names is prepared at the server once", async () => {
    const clients = await Promise.all(Array.from({ length: 4 }, () => rig.client(database)));
    const text = "SELECT count(*)::int FROM pg_prepared_statements WHERE statement LIKE '%' || $1 || '%'";
    await Promise.all(clients.map((client, i) => prepare(client, `name ${i} é`, text)));
    const first = clients[0] as WireClient;
    await first.query("BEGIN");
    expect(await run(first, "name 0 é", ["pg_prepared_statements WHERE statement LIKE"])).toEqual(["1"]);
    await first.query("COMMIT");
  });

  test("the unnamed statement of one client is not another's", async () => {
    const [a, b] = await Promise.all([rig.client(database), rig.client(database)]);
    a.send(parse({ text: "SELECT 'a', $1::text" }), sync());
    await a.until("Z");
    b.send(parse({ text: "SELECT 'b', $1::text" }), sync());
    await b.until("Z");
    for (const value of ["1", "2", "3"]) {
      expect(await run(a, "", [value])).toEqual(["a", value]);
      expect(await run(b, "", [value])).toEqual(["b", value]);
    }
  });

  test("parameter types belong to the statement: one text with two of them is two", async () => {
    const [a, b] = await Promise.all([rig.client(database), rig.client(database)]);
    a.send(parse({ name: "s", text: "SELECT pg_typeof($1)::text", types: [23] }), sync());
    b.send(parse({ name: "s", text: "SELECT pg_typeof($1)::text", types: [25] }), sync());
    await Promise.all([a.until("Z"), b.until("Z")]);
    expect([await run(a, "s", ["1"]), await run(b, "s", ["1"])]).toEqual([["integer"], ["text"]]);
  });

  test("a client holds no more statements than it may", async () => {
    const client = await rig.client(database);
    for (const name of ["1", "2", "3", "4"]) await prepare(client, name, `SELECT ${name}`);
    client.send(parse({ name: "5", text: "SELECT 5" }), sync());
    expect(errorIn(await client.until("Z"))).toMatchObject({ C: "53400", H: expect.stringContaining("limits.max_client_statements") });
    client.send(close({ type: "S", name: "1" }), parse({ name: "5", text: "SELECT 5" }), sync());
    expect(errorIn(await client.until("Z"))).toBeUndefined();
    expect(await run(client, "5")).toEqual(["5"]);
  });

  test("a server keeps no more statements than it may, and every client its own", async () => {
    const clients = await Promise.all([rig.client(database), rig.client(database)]);
    for (const [c, client] of clients.entries())
      for (const name of ["1", "2", "3"]) await prepare(client, name, `SELECT 'client ${c} statement ${name}'`);
    for (let round = 0; round < 3; round++) {
      for (const [c, client] of clients.entries())
        for (const name of ["1", "2", "3"]) expect(await run(client, name)).toEqual([`client ${c} statement ${name}`]);
    }
    const count = Number(await valueIn(clients[0] as WireClient, "SELECT count(*) FROM pg_prepared_statements"));
    expect(count).toBeGreaterThanOrEqual(1);
    // Evicted with the batch that comes next.
    expect(count).toBeLessThanOrEqual(3);
  });

  test("more statements in one batch than a server keeps", async () => {
    const client = await rig.client(database);
    const names = ["1", "2", "3", "4"];
    client.send(...names.map((name) => parse({ name, text: `SELECT ${name}` })), sync());
    await client.until("Z");
    for (let round = 0; round < 3; round++) {
      client.send(...names.flatMap((name) => [bind({ statement: name }), execute()]), sync());
      expect(rowsOf(await client.until("Z"))).toEqual([["1"], ["2"], ["3"], ["4"]]);
    }
  });
});

describe("what a server holds no longer fits", () => {
  test("after ALTER TABLE a statement is prepared again, unseen by the client", async () => {
    const [a, b] = await Promise.all([rig.client("one"), rig.client("one")]);
    await a.query("DROP TABLE IF EXISTS prepared_altered; CREATE TABLE prepared_altered (n int); INSERT INTO prepared_altered VALUES (1)");
    await prepare(a, "s", "SELECT * FROM prepared_altered");
    expect(await run(a, "s")).toEqual(["1"]);
    await b.query("ALTER TABLE prepared_altered ADD COLUMN m text DEFAULT 'new'");
    expect(await run(a, "s")).toEqual(["1", "new"]);
    expect(await run(a, "s")).toEqual(["1", "new"]);
    await b.query("DROP TABLE prepared_altered");
  });

  test("a client that prepares the text only after ALTER TABLE hears nothing of the old plan", async () => {
    const [a, b] = await Promise.all([rig.client("one"), rig.client("one")]);
    await a.query("DROP TABLE IF EXISTS prepared_late; CREATE TABLE prepared_late (n int); INSERT INTO prepared_late VALUES (1)");
    await prepare(a, "s", "SELECT * FROM prepared_late");
    expect(await run(a, "s")).toEqual(["1"]);
    await a.query("ALTER TABLE prepared_late ADD COLUMN m text DEFAULT 'new'");
    b.send(parse({ name: "t", text: "SELECT * FROM prepared_late" }), statement("t"), bind({ statement: "t" }), execute(), sync());
    const answer = await b.until("Z");
    expect(errorIn(answer)).toBeUndefined();
    expect(rowsOf(answer)).toEqual([["1", "new"]]);
    await a.query("DROP TABLE prepared_late");
  });

  test("a batch that prepares one statement and runs another that became stale is run again", async () => {
    const client = await rig.client("one");
    await client.query("DROP TABLE IF EXISTS prepared_mixed; CREATE TABLE prepared_mixed (n int); INSERT INTO prepared_mixed VALUES (1)");
    await prepare(client, "s", "SELECT * FROM prepared_mixed");
    expect(await run(client, "s")).toEqual(["1"]);
    await client.query("ALTER TABLE prepared_mixed ADD COLUMN m text DEFAULT 'new'");
    await prepare(client, "fresh", "SELECT 'fresh', random()");
    client.send(bind({ statement: "s" }), execute(), bind({ statement: "fresh" }), execute(), sync());
    const answer = await client.until("Z");
    expect(errorIn(answer)).toBeUndefined();
    expect(rowsOf(answer)[0]).toEqual(["1", "new"]);
    await client.query("DROP TABLE prepared_mixed");
  });

  test("inside a transaction the error reaches the client, and the next transaction is well", async () => {
    const [a, b] = await Promise.all([rig.client("wide"), rig.client("wide")]);
    await a.query("DROP TABLE IF EXISTS prepared_inside; CREATE TABLE prepared_inside (n int); INSERT INTO prepared_inside VALUES (1)");
    await prepare(a, "s", "SELECT * FROM prepared_inside");
    expect(await run(a, "s")).toEqual(["1"]);
    await a.query("BEGIN; SELECT 1");
    await b.query("ALTER TABLE prepared_inside ADD COLUMN m text DEFAULT 'new'");
    a.send(bind({ statement: "s" }), execute(), sync());
    expect(errorIn(await a.until("Z"))).toMatchObject({ C: "0A000", M: "cached plan must not change result type" });
    expect(await converse(a, [["Z", query("ROLLBACK")]])).toEqual(["C(ROLLBACK) Z(I)"]);
    expect(await run(a, "s")).toEqual(["1", "new"]);
    await a.query("DROP TABLE prepared_inside");
  });

  test.each(["DEALLOCATE ALL", "DISCARD ALL"])("a server that lost its statements behind the pooler's back: %s", async (what) => {
    const client = await rig.client("one");
    await prepare(client, "s", "SELECT 'still here'");
    expect(await run(client, "s")).toEqual(["still here"]);
    // Seen by the pooler as a block of code only; DISCARD cannot run in one.
    if (what === "DEALLOCATE ALL") await client.query("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
    else await client.query(what);
    if (what === "DISCARD ALL") await prepare(client, "s", "SELECT 'still here'");
    expect(await run(client, "s")).toEqual(["still here"]);
  });

  test("a server whose statements a function took away within a transaction", async () => {
    const client = await rig.client("one");
    await client.query(
      "CREATE OR REPLACE FUNCTION prepared_forget() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$",
    );
    await prepare(client, "s", "SELECT 'still here'");
    expect(await run(client, "s")).toEqual(["still here"]);
    expect(await valueIn(client, "SELECT prepared_forget()")).toBe("1");
    expect(await run(client, "s")).toEqual(["still here"]);
    expect(await run(client, "s")).toEqual(["still here"]);
    await client.query("DROP FUNCTION prepared_forget");
  });

  test("a server that was terminated: the next one gets the statements", async () => {
    const [client, direct] = await Promise.all([rig.client("one"), rig.direct()]);
    await prepare(client, "s", "SELECT pg_backend_pid()");
    const [pid] = (await run(client, "s")) as [string];
    expect(await valueIn(direct, `SELECT pg_terminate_backend(${pid}, 5000)`)).toBe("t");
    const [next] = (await run(client, "s")) as [string];
    expect(next).not.toBe(pid);
  });
});

describe("settings that change how a text is read", () => {
  test("a string constant is read with the client's own TimeZone and DateStyle", async () => {
    const [a, b, c] = await Promise.all([
      rig.client("one", { TimeZone: "UTC" }),
      rig.client("one", { TimeZone: "America/New_York" }),
      rig.client("one", { TimeZone: "UTC", DateStyle: "SQL, DMY" }),
    ]);
    const text = "SELECT extract(epoch FROM timestamptz '01/02/2020 00:00')::bigint::text";
    for (const client of [a, b, c]) await prepare(client, "s", text);
    const rows = [await run(a, "s"), await run(b, "s"), await run(c, "s")];
    expect(rows).toEqual([["1577923200"], ["1577941200"], ["1580515200"]]);
  });

  test.each(["one", "two"])("a statement that was prepared under SET LOCAL is not another client's (%s)", async (database) => {
    const [a, b] = await Promise.all([rig.client(database), rig.client(database)]);
    const text = "SELECT extract(epoch FROM timestamptz '2020-01-02 00:00')::bigint::text";
    for (const set of ["SET LOCAL TimeZone = 'America/New_York'", "SELECT set_config('TimeZone', 'America/New_York', true)"]) {
      await a.query("BEGIN");
      await a.query(set);
      a.send(parse({ name: "s", text }), bind({ statement: "s" }), execute(), sync());
      expect(rowsOf(await a.until("Z"))).toEqual([["1577941200"]]);
      await a.query("COMMIT");
      await prepare(b, "s", text);
      expect(await run(b, "s")).toEqual([await valueIn(b, text)]);
      for (const client of [a, b]) await client.query("DEALLOCATE s");
    }
  });

  test("the same bytes in another encoding are another text", async () => {
    const [utf8, latin1] = await Promise.all([rig.client("one"), rig.client("one")]);
    await latin1.query("SET client_encoding = 'LATIN1'");
    await prepare(utf8, "s", "SELECT length('é')");
    expect(await run(utf8, "s")).toEqual(["1"]);
    await prepare(latin1, "s", "SELECT length('é')");
    expect(await run(latin1, "s")).toEqual(["2"]);
    expect(await run(utf8, "s")).toEqual(["1"]);
  });

  test("standard_conforming_strings and search_path", async () => {
    const [a, b] = await Promise.all([rig.client("one"), rig.client("one")]);
    await b.query("SET standard_conforming_strings = off; SET escape_string_warning = off");
    for (const client of [a, b]) await prepare(client, "s", "SELECT '\\x41'");
    expect([await run(a, "s"), await run(b, "s")]).toEqual([["\\x41"], ["A"]]);

    await a.query("CREATE SCHEMA IF NOT EXISTS prepared_path; CREATE TABLE IF NOT EXISTS prepared_path.here AS SELECT 'schema'");
    await a.query("DROP TABLE IF EXISTS public.here; CREATE TABLE public.here AS SELECT 'public'");
    await b.query("SET search_path = prepared_path");
    for (const client of [a, b]) await prepare(client, "t", "SELECT * FROM here");
    expect([await run(a, "t"), await run(b, "t"), await run(a, "t")]).toEqual([["public"], ["schema"], ["public"]]);
    await a.query("DROP SCHEMA prepared_path CASCADE; DROP TABLE public.here");
  });

  test("types of parameters are those of the tables that search_path finds", async () => {
    const [a, b] = await Promise.all([rig.client("one"), rig.client("one")]);
    await a.query(`CREATE SCHEMA prepared_types; CREATE TABLE public.typed AS SELECT date '2024-01-02' AS v;
      CREATE TABLE prepared_types.typed AS SELECT timestamp '2024-01-01 05:00' AS v`);
    await b.query("SET search_path = prepared_types");
    for (const client of [a, b]) await prepare(client, "t", "SELECT count(*) FROM typed WHERE v > $1");
    // To a date the time is nothing.
    expect([await run(a, "t", ["2024-01-01 10:00"]), await run(b, "t", ["2024-01-01 10:00"])]).toEqual([["1"], ["0"]]);
    await a.query("DROP SCHEMA prepared_types CASCADE; DROP TABLE public.typed");
  });

  test("a schema is used by those who may, whoever prepared the text before", async () => {
    const [a, b] = await Promise.all([rig.client("one"), rig.client("one")]);
    await a.query(`CREATE SCHEMA prepared_closed; CREATE TABLE prepared_closed.rows AS SELECT 1 AS n;
      CREATE ROLE prepared_outsider; GRANT SELECT ON prepared_closed.rows TO prepared_outsider`);
    const text = "SELECT n FROM prepared_closed.rows";
    await prepare(a, "s", text);
    expect(await run(a, "s")).toEqual(["1"]);
    await b.query("SET ROLE prepared_outsider");
    b.send(parse({ name: "s", text }), bind({ statement: "s" }), execute(), sync());
    expect(errorIn(await b.until("Z"))?.["C"]).toBe("42501");
    await a.query("DROP SCHEMA prepared_closed CASCADE; DROP ROLE prepared_outsider");
  });
});

test("what was prepared with Flush lives in later batches", async () => {
  const client = await rig.client("wide");
  expect(
    await converse(client, [
      ["T", parse({ name: "s", text: "SELECT $1::text AS flushed" }), statement("s"), flush()],
      ["Z", bind({ statement: "s", values: ["1"] }), execute(), sync()],
    ]),
  ).toEqual(["1 t(25) T(flushed:25)", "2 D(1) C(SELECT 1) Z(I)"]);
  const others = await occupy("wide", 2);
  expect(await run(client, "s", ["2"])).toEqual(["2"]);
  for (const other of others) await other.query("COMMIT");
});
