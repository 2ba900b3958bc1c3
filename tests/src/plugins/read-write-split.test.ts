// read-write-split in the running pooler: nothing that may write reaches a replica, in whatever way it is sent. Replicas refuse to write
// (25006), so that an error would show it.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { cargoLibrary } from "./plugin-libraries.js";
import { again, batch, onAllShards, placeIn, placeOf, port, prepare, type Rig, run, shortly, startRig, sync } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  await onAllShards(
    `DROP TABLE IF EXISTS plugins_split; DROP SEQUENCE IF EXISTS plugins_numbers; DROP FUNCTION IF EXISTS plugins_writer();
     CREATE TABLE plugins_split (id int); CREATE SEQUENCE plugins_numbers;
     CREATE FUNCTION plugins_writer() RETURNS int LANGUAGE sql AS 'INSERT INTO plugins_split VALUES (1) RETURNING id'`,
  );
  rig = await startRig({ plugins: [{ as: "split", library: cargoLibrary("read_write_split") }] });
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await rig.stop();
  await onAllShards("DROP TABLE plugins_split; DROP SEQUENCE plugins_numbers; DROP FUNCTION plugins_writer()");
});

const writes = [
  "INSERT INTO plugins_split VALUES (1)",
  "UPDATE plugins_split SET id = 2",
  "DELETE FROM plugins_split",
  "SELECT * FROM plugins_split FOR UPDATE",
  "WITH gone AS (DELETE FROM plugins_split RETURNING id) SELECT count(*) FROM gone",
  "SELECT nextval('plugins_numbers')",
  "SELECT setval('plugins_numbers', 10)",
  "SELECT plugins_writer()",
  "EXPLAIN ANALYZE INSERT INTO plugins_split VALUES (1)",
  "SELECT pg_advisory_xact_lock(1)",
  "TRUNCATE plugins_split",
  "CREATE TABLE plugins_split_new AS SELECT 1 AS a",
  "DROP TABLE IF EXISTS plugins_split_new",
  "LOCK TABLE plugins_split",
  "DO $$ BEGIN INSERT INTO plugins_split VALUES (1); END $$",
];

test.each(writes)("%s", async (sql) => {
  const inTransaction = sql.startsWith("LOCK");
  const client = await rig.client();
  const prepared = await rig.client();
  expect(errorIn(await prepare(prepared, "w", sql))).toBeUndefined();
  const asks: readonly ((sql: string) => ReturnType<WireClient["query"]>)[] = [
    (text) => client.query(text),
    (text) => batch(client, run(text)),
    () => batch(prepared, again({ name: "w" })),
    (text) => client.query(`SELECT 1; ${text}`),
    (text) => batch(client, run("SELECT 1"), run(text)),
  ];
  for (const ask of asks) {
    if (sql.startsWith("CREATE")) await client.query("DROP TABLE IF EXISTS plugins_split_new");
    if (inTransaction) for (const each of [client, prepared]) await each.query("BEGIN");
    expect(errorIn(await ask(sql)), sql).toBeUndefined();
    if (inTransaction) for (const each of [client, prepared]) await each.query("ROLLBACK");
  }
});

test("COPY FROM goes to the primary, COPY TO to the replica", async () => {
  const client = await rig.client();
  client.send(messages.query("COPY plugins_split FROM STDIN"));
  await client.until("G");
  client.send(messages.copyData(Buffer.from("5\n")), messages.copyDone());
  expect(shortly(await client.until("Z"))).toBe("C(COPY 1) Z(I)");
  const out = await client.query(`COPY (SELECT ${port}) TO STDOUT`);
  const data = out.find(({ type }) => type === "d");
  expect(placeOf(data?.body.toString().trim())).toBe("0 replica");
});

test("reads go to the replica, whatever way they are sent", async () => {
  const client = await rig.client();
  const sql = `SELECT ${port}`;
  await prepare(client, "r", sql);
  for (const answer of [
    await client.query(sql),
    await batch(client, run(sql)),
    await batch(client, again({ name: "r" })),
    await client.query(`${sql}; SELECT 2`),
    await batch(client, run(sql), run("SELECT 2")),
    await client.query(`WITH a AS (${sql} AS p) SELECT p FROM a`),
    await client.query(`VALUES (${port})`),
  ]) {
    expect(placeIn(answer)).toBe("0 replica");
  }
});

test("a pipeline of reads and writes: each goes where it belongs, the answers come in order", async () => {
  const client = await rig.client();
  const read = `SELECT ${port}`;
  const write = `INSERT INTO plugins_split VALUES (9) RETURNING ${port}`;
  client.send(run(read), sync, run(write), sync, run(read), sync, messages.query(write), messages.query(read));
  const places: string[] = [];
  for (let i = 0; i < 5; i++) places.push(placeIn(await client.until("Z")));
  expect(places).toEqual(["0 replica", "0 primary", "0 replica", "0 primary", "0 replica"]);
});

test("a transaction goes to the primary, a READ ONLY one to a replica", async () => {
  const client = await rig.client();
  await client.query("BEGIN");
  expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 primary");
  expect(errorIn(await client.query("INSERT INTO plugins_split VALUES (3)"))).toBeUndefined();
  await client.query("COMMIT");
  await client.query("BEGIN READ ONLY");
  expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 replica");
  expect(errorIn(await client.query("INSERT INTO plugins_split VALUES (3)"))).toMatchObject({ C: "25006" });
  await client.query("ROLLBACK");
  expect(rowsOf(await client.query("SHOW transaction_read_only"))).toEqual([["off"]]);
});
