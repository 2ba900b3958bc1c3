// Plugins that inspect: shown every statement wherever they stand, and again what others made of it.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { createCallLog } from "./call-log.js";
import { capability, script, verdicts } from "./plugin-libraries.js";
import { again, batch, direct, onAllShards, prepare, type Rig, run, shortly, startRig } from "./rig.js";

const log = createCallLog();
let rig: Rig;
beforeAll(async () => {
  await onAllShards("DROP TABLE IF EXISTS plugins_inspect; CREATE TABLE plugins_inspect (id int)");
  rig = await startRig({
    plugins: [
      { as: "first", library: script(capability.inspect), config: { name: "first", file: log.file } },
      { as: "verdicts", library: verdicts() },
      { as: "router", library: script(), config: { name: "router", file: log.file } },
      { as: "last", library: script(capability.inspect), config: { name: "last", file: log.file } },
    ],
    databases: {
      app: { shards: sharedShards(), pool_size: 2 },
      session: { shards: sharedShards(), pool_size: 2, pool_mode: "session" },
    },
  });
});
beforeEach(() => log.clear());
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await rig.stop();
  await onAllShards("DROP TABLE plugins_inspect");
  log.remove();
});

/** Logged in, and what plugins were asked about the settings of its startup packet forgotten. */
async function connect(parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> {
  const client = await rig.client(parameters);
  log.clear();
  return client;
}

const by = (...names: readonly string[]) => ({
  asked: (...statements: readonly string[]) => statements.flatMap((sql) => names.map((name) => `${name}: ${sql}`)),
});
const inspectors = by("first", "last");
const all = by("first", "router", "last");

describe("every statement is shown", () => {
  test("of a transaction in the simple protocol", async () => {
    const client = await connect();
    const statements = [
      "BEGIN",
      "SET LOCAL work_mem = '8MB'",
      "SAVEPOINT s",
      "SELECT 1",
      "SELECT 2",
      "ROLLBACK TO s",
      "SHOW work_mem",
      "COMMIT",
    ];
    for (const sql of statements) expect(errorIn(await client.query(sql))).toBeUndefined();
    expect(log.calls()).toEqual([
      ...inspectors.asked("BEGIN", "SET LOCAL work_mem = '8MB'", "SAVEPOINT s"),
      ...all.asked("SELECT 1"),
      ...inspectors.asked("SELECT 2", "ROLLBACK TO s", "SHOW work_mem", "COMMIT"),
    ]);
  });

  test("of a transaction in the extended protocol", async () => {
    const client = await connect();
    const statements = ["BEGIN", "SET LOCAL work_mem = '8MB'", "SAVEPOINT s", "SELECT 1", "SELECT 2", "ROLLBACK TO s", "COMMIT"];
    for (const sql of statements) expect(errorIn(await batch(client, run(sql)))).toBeUndefined();
    expect(log.calls()).toEqual([
      ...inspectors.asked("BEGIN", "SET LOCAL work_mem = '8MB'", "SAVEPOINT s"),
      ...all.asked("SELECT 1"),
      ...inspectors.asked("SELECT 2", "ROLLBACK TO s", "COMMIT"),
    ]);
  });

  test("of a string", async () => {
    const client = await connect();
    await client.query("SET work_mem = '8MB'; /* a comment */ SELECT 1; SELECT 'a;b' ;; RESET work_mem");
    expect(log.callsWithFlags()).toEqual([
      "first [several_statements]: SET work_mem = '8MB'",
      "last [several_statements]: SET work_mem = '8MB'",
      "first [first_statement,several_statements]: SELECT 1",
      "router [first_statement,several_statements]: SELECT 1",
      "last [first_statement,several_statements]: SELECT 1",
      "first [first_statement,several_statements]: SELECT 'a;b'",
      "router [first_statement,several_statements]: SELECT 'a;b'",
      "last [first_statement,several_statements]: SELECT 'a;b'",
      "first [several_statements]: RESET work_mem",
      "last [several_statements]: RESET work_mem",
    ]);
  });

  test("of a batch, and of one behind a Flush", async () => {
    const client = await connect();
    await batch(client, run("BEGIN"), run("SELECT 1"), run("COMMIT"));
    expect(log.calls()).toEqual([...inspectors.asked("BEGIN"), ...all.asked("SELECT 1"), ...inspectors.asked("COMMIT")]);
    log.clear();
    client.send(run("SELECT 3"), messages.flush());
    await client.until("C");
    await batch(client, run("SELECT 4"));
    expect(log.calls()).toEqual([...all.asked("SELECT 3"), ...inspectors.asked("SELECT 4")]);
  });

  test("that is prepared, at its Parse and at each Bind", async () => {
    const client = await connect();
    await prepare(client, "p", "SELECT 'prepared'");
    await batch(client, again({ name: "p" }));
    await batch(client, again({ name: "p" }), again({ name: "p" }));
    expect(log.calls().filter((call) => call.startsWith("last"))).toEqual([
      "last prepare: SELECT 'prepared'",
      "last: SELECT 'prepared'",
      "last: SELECT 'prepared'",
      "last: SELECT 'prepared'",
    ]);
  });

  test("of a text that another client has prepared before", async () => {
    const [one, two] = [await connect(), await connect()];
    await prepare(one, "p", "SELECT 'known text'");
    log.clear();
    await prepare(two, "q", "SELECT 'known text'");
    expect(log.calls()).toEqual(["first", "router", "last"].map((name) => `${name} prepare: SELECT 'known text'`));
  });

  test("in session mode", async () => {
    const client = await connect({ database: "session" });
    for (const sql of ["BEGIN", "SELECT 1", "COMMIT"]) await client.query(sql);
    for (const sql of ["BEGIN", "SELECT 1", "COMMIT"]) await batch(client, run(sql));
    const calls = inspectors.asked("BEGIN", "SELECT 1", "COMMIT");
    expect(log.calls().filter((call) => !call.startsWith("router"))).toEqual([...calls, ...calls]);
  });

  test("but what was prepared in SQL cannot be shown, and is refused", async () => {
    const client = await connect({ database: "session" });
    await client.query("PREPARE in_sql AS SELECT 1");
    expect(errorIn(await batch(client, again({ name: "in_sql" })))).toMatchObject({ C: "0A000" });
    expect(shortly(await client.query("SELECT 2"))).toBe("T D(2) C(SELECT 1) Z(I)");
  });

  test("but function calls of the old protocol cannot be shown, and are refused", async () => {
    const client = await connect();
    // now(), without arguments and with a text for an answer
    const body = Buffer.from([0, 0, 5, 19, 0, 0, 0, 0, 0, 0]);
    const head = Buffer.from([0x46, 0, 0, 0, body.length + 4]);
    client.send(Buffer.concat([head, body]));
    expect(shortly(await client.until("Z"))).toMatch(/^E\(0A000 .*\) Z\(I\)$/);
  });
});

describe("a denied statement", () => {
  const denied = "INSERT /*last: error 42501 not this one*/ INTO plugins_inspect VALUES (1)";
  const deniedAtBind = "INSERT /*last bind: error 42501 not this one*/ INTO plugins_inspect VALUES (1)";

  const rows = async (): Promise<unknown> => rowsOf(await (await rig.client()).query("SELECT * FROM plugins_inspect"));

  test("is not prepared either", async () => {
    const client = await connect();
    expect(shortly(await prepare(client, "denied", denied))).toBe("E(42501 not this one) Z(I)");
    expect(errorIn(await batch(client, again({ name: "denied" })))).toMatchObject({ C: "26000" });
    expect(shortly(await batch(client, run(denied, { name: "denied" })))).toBe("E(42501 not this one) Z(I)");
    expect(
      shortly(await batch(client, messages.parse({ name: "denied", text: denied }), messages.describe({ type: "S", name: "denied" }))),
    ).toBe("E(42501 not this one) Z(I)");
    expect(await rows()).toEqual([]);
  });

  test("is asked about again at each Bind, and never reaches a server", async () => {
    const client = await connect();
    await prepare(client, "denied", deniedAtBind);
    for (let i = 0; i < 3; i++) {
      log.clear();
      expect(shortly(await batch(client, again({ name: "denied" })))).toBe("E(42501 not this one) Z(I)");
      expect(log.calls()).toEqual(all.asked(deniedAtBind));
    }
    await client.query("BEGIN");
    await client.query("SELECT 1");
    expect(shortly(await batch(client, again({ name: "denied" })))).toBe("E(42501 not this one) Z(E)");
    await client.query("ROLLBACK");
    expect(await rows()).toEqual([]);
  });

  test("in the middle of a pipeline is denied for itself", async () => {
    const client = await connect();
    await prepare(client, "denied", deniedAtBind);
    const sync = messages.sync();
    client.send(run("SELECT 1"), sync, again({ name: "denied" }), sync, run("SELECT 2"), sync);
    expect(shortly(await client.until("Z"))).toBe("1 2 D(1) C(SELECT 1) Z(I)");
    expect(shortly(await client.until("Z"))).toBe("E(42501 not this one) Z(I)");
    expect(shortly(await client.until("Z"))).toBe("1 2 D(2) C(SELECT 1) Z(I)");
    expect(await rows()).toEqual([]);
  });

  test("is denied in a startup packet, too", async () => {
    const client = await connectWire({ port: rig.pooler.port });
    client.send(messages.startup({ user: "app", database: "app", search_path: "/*last: error 42501 not this one*/" }));
    expect(shortly(await client.until("E"))).toMatch(/E\(42501 not this one\)$/);
    await client.closed;
  });
});

describe("what others made of a statement", () => {
  test("is shown to inspecting plugins before and behind them", async () => {
    const client = await connect();
    expect(rowsOf(await client.query("SELECT /* verdict: rewrite SELECT 'new' */ 'old'"))).toEqual([["new"]]);
    const old = "SELECT /* verdict: rewrite SELECT 'new' */ 'old'";
    expect(log.callsWithFlags()).toEqual([
      `first [first_statement]: ${old}`,
      "first [first_statement,rewritten]: SELECT 'new'",
      "router [first_statement,rewritten]: SELECT 'new'",
      "last [first_statement,rewritten]: SELECT 'new'",
    ]);
  });

  test("can be refused by a plugin that stands before it", async () => {
    const client = await connect();
    const sql = "SELECT /*router: rewrite SELECT /*first: error 42501 not so*/ 1";
    expect(errorIn(await client.query(`${sql}`))).toMatchObject({ C: "42501", M: "not so" });
    expect(errorIn(await batch(client, run(sql)))).toMatchObject({ C: "42501", M: "not so" });
  });

  test("is refused although a plugin answers it itself", async () => {
    const client = await connect();
    const sql = "SELECT /* verdict: intercept */ /*last: error 42501 not so*/ 1";
    expect(shortly(await client.query(sql))).toBe("E(42501 not so) Z(I)");
    expect(shortly(await batch(client, run(sql)))).toBe("E(42501 not so) Z(I)");
  });

  test("is shown when a plugin answers it itself, to those who inspect only", async () => {
    const client = await connect();
    const sql = "SELECT /* verdict: intercept */ 1";
    await client.query(sql);
    await batch(client, run(sql));
    expect(log.calls()).toEqual([...inspectors.asked(sql), ...inspectors.asked(sql)]);
  });

  test("counts for a BEGIN, too", async () => {
    const client = await connect();
    const begin = "BEGIN /*first: rewrite BEGIN READ ONLY*/ WORK";
    const write = "INSERT INTO plugins_inspect VALUES (1)";
    expect(shortly(await client.query(begin))).toBe("C(BEGIN) Z(T)");
    expect(errorIn(await client.query(write))).toMatchObject({ C: "25006" });
    await client.query("ROLLBACK");
    expect(shortly(await batch(client, run(begin)))).toBe("1 2 C(BEGIN) Z(T)");
    expect(errorIn(await client.query(write))).toMatchObject({ C: "25006" });
    expect(shortly(await client.query("ROLLBACK"))).toBe("C(ROLLBACK) Z(I)");
  });

  test("counts for a COMMIT, too", async () => {
    const client = await connect();
    const commit = "COMMIT /*first: rewrite ROLLBACK*/ WORK";
    for (const end of [() => client.query(commit), () => batch(client, run(commit))]) {
      await client.query("BEGIN");
      await client.query("INSERT INTO plugins_inspect VALUES (7)");
      expect(shortly(await end())).toMatch(/C\(ROLLBACK\) Z\(I\)$/);
    }
    const other = await direct(0);
    expect(rowsOf(await other.query("SELECT * FROM plugins_inspect"))).toEqual([]);
    other.end();
  });

  test("counts for a SET, too: the setting follows the client and nobody else", async () => {
    const client = await connect();
    const set = "SET /*first: rewrite SET work_mem = '5MB'*/ work_mem = '6MB'";
    for (const made of [() => client.query(set), () => batch(client, run(set))]) {
      await client.query("RESET work_mem");
      expect(errorIn(await made())).toBeUndefined();
      expect(rowsOf(await client.query("SHOW work_mem"))).toEqual([["5MB"]]);
    }
    await client.query("SELECT 1");
    const other = await rig.client();
    expect(rowsOf(await other.query("SHOW work_mem"))).toEqual([["4MB"]]);
  });
});

test("closing a statement and an empty query are answered once, and asked about by nobody", async () => {
  const client = await connect();
  await prepare(client, "c", "SELECT 1");
  log.clear();
  expect(shortly(await batch(client, messages.close({ type: "S", name: "c" })))).toBe("3 Z(I)");
  expect(shortly(await client.query(""))).toBe("I Z(I)");
  expect(shortly(await client.query(" ; -- nothing"))).toBe("I Z(I)");
  expect(log.calls()).toEqual([]);
});

test("an empty statement is no statement", async () => {
  const client = await connect();
  expect(shortly(await batch(client, run("")))).toBe("1 2 I Z(I)");
  expect(shortly(await batch(client, run(" -- nothing")))).toBe("1 2 I Z(I)");
  await prepare(client, "e", "");
  expect(shortly(await batch(client, again({ name: "e" })))).toBe("2 I Z(I)");
  expect(log.calls()).toEqual([]);
});

test("several statements cannot be prepared", async () => {
  const client = await connect();
  const refusal = { C: "42601", M: "cannot insert multiple commands into a prepared statement" };
  expect(errorIn(await prepare(client, "two", "SELECT 1; SELECT 2"))).toMatchObject(refusal);
  expect(errorIn(await batch(client, run("SELECT 1; SELECT 2")))).toMatchObject(refusal);
  expect(errorIn(await batch(client, again({ name: "two" })))).toMatchObject({ C: "26000" });
  // What stands before is answered first, as by PostgreSQL.
  const answer = await batch(client, run("SELECT 7"), messages.parse({ text: "SELECT 1; SELECT 2" }), again());
  expect(errorIn(answer)).toMatchObject(refusal);
  const server = await direct(0);
  expect(shortly(answer)).toBe(shortly(await batch(server, run("SELECT 7"), messages.parse({ text: "SELECT 1; SELECT 2" }), again())));
  server.end();
});
