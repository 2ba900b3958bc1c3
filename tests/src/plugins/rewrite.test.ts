// Statements that a plugin replaces: parameters, descriptions, what is prepared, and what a rewrite may not bring about.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { columnsOf, errorIn, parameterTypesOf, rowsOf, typesOf } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import { capability, recorder, script, verdicts } from "./plugin-libraries.js";
import { again, batch, int4, onAllShards, prepare, type Rig, run, shortly, startRig } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  await onAllShards("DROP TABLE IF EXISTS plugins_rewrite; CREATE TABLE plugins_rewrite (id int)");
  rig = await startRig({
    plugins: [
      { as: "script", library: script(capability.everyStatement), config: { name: "s" } },
      { as: "verdicts", library: verdicts() },
      { as: "recorder", library: recorder() },
    ],
  });
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await rig.stop();
  await onAllShards("DROP TABLE plugins_rewrite");
});

test("without parameters of their own run with the client's", async () => {
  const client = await rig.client();
  const sql = "SELECT /* verdict: rewrite SELECT $1::int4 + 1 */ $1::int4";
  expect(rowsOf(await batch(client, run(sql, { values: ["41"] })))).toEqual([["42"]]);
  await prepare(client, "r", sql);
  expect(rowsOf(await batch(client, again({ name: "r", values: [int4(1)] })))).toEqual([["2"]]);
});

test.each([
  ["text", "SELECT $1::int8 ;; 42", "42"],
  ["NULL", "SELECT coalesce($1::text, 'null') ;; null", "null"],
  ["binary", "SELECT $1 ;; binary:20:000000000000002b", "43"],
  ["several", "SELECT $1::text || $2::text ;; a ;; b", "ab"],
  ["none", "SELECT 'none' ;;", "none"],
])("with parameters of their own: %s", async (_, rewrite, value) => {
  const client = await rig.client();
  const sql = `SELECT /* verdict: rewrite ${rewrite} */ $1::int4, $2::text`;
  const values = ["1", null];
  expect(rowsOf(await batch(client, run(sql, { values })))).toEqual([[value]]);
  expect(rowsOf(await batch(client, run(sql, { name: "own", values })))).toEqual([[value]]);
  expect(rowsOf(await batch(client, again({ name: "own", values })))).toEqual([[value]]);
});

test("show the client the parameters of what it prepared, and the columns of what runs", async () => {
  const client = await rig.client();
  const sql = "SELECT /* verdict: rewrite SELECT $1::int8 AS big ;; 42 */ $1::int4 AS small, $2::text AS more";
  const answer = await batch(client, messages.parse({ name: "d", text: sql }), messages.describe({ type: "S", name: "d" }));
  expect(typesOf(answer)).toBe("1tTZ");
  expect(parameterTypesOf(answer[1] as (typeof answer)[0])).toEqual([23, 25]);
  expect(columnsOf(answer[2] as (typeof answer)[0])).toEqual([{ name: "big", typeOid: 20, format: 0 }]);
  expect(rowsOf(await batch(client, again({ name: "d", values: ["1", "x"] })))).toEqual([["42"]]);
});

test("are described although no server would take the client's text", async () => {
  const client = await rig.client();
  const sql = "SELECT /* verdict: rewrite SELECT $1::int8 AS big */ * FROM there_is_no_such_table WHERE id = $1";
  const answer = await batch(client, messages.parse({ name: "v", text: sql }), messages.describe({ type: "S", name: "v" }));
  expect(typesOf(answer)).toBe("1tTZ");
  expect(parameterTypesOf(answer[1] as (typeof answer)[0])).toEqual([20]);
  expect(rowsOf(await batch(client, again({ name: "v", values: ["5"] })))).toEqual([["5"]]);
});

test("with parameters of their own are described although no server would take the client's text", async () => {
  const client = await rig.client();
  const sql = "SELECT /* verdict: rewrite SELECT $1::int8 AS big ;; 42 */ * FROM there_is_no_such_table";
  const answer = await batch(client, messages.parse({ name: "v", text: sql }), messages.describe({ type: "S", name: "v" }));
  expect(typesOf(answer)).toBe("1tTZ");
  expect(parameterTypesOf(answer[1] as (typeof answer)[0])).toEqual([]);
  expect(rowsOf(await batch(client, again({ name: "v" })))).toEqual([["42"]]);
});

test.each([
  ["made at the Bind only", "SELECT /*s bind: rewrite SELECT 1 AS b*/ 1 AS a"],
  ["made when it is prepared only", "SELECT /*s prepare: rewrite SELECT 1 AS b*/ 1 AS a"],
  ["of another type", "SELECT /*s bind: rewrite SELECT 1::int8 AS a*/ 1 AS a"],
  ["without columns", "SELECT /*s bind: rewrite DELETE FROM plugins_rewrite*/ 1 AS a"],
])("that return other columns than were described are refused: %s", async (_, sql) => {
  const client = await rig.client();
  await prepare(client, "other", sql);
  expect(typesOf(await batch(client, messages.describe({ type: "S", name: "other" })))).toBe("tTZ");
  const refusal = { C: "XX000", M: expect.stringMatching(/^plugin "\.\/script" failed/) as string };
  expect(errorIn(await batch(client, again({ name: "other" })))).toMatchObject(refusal);
  expect(errorIn(await batch(client, again({ name: "other" })))).toMatchObject(refusal);
  await client.query("BEGIN");
  await client.query("SELECT 1");
  expect(errorIn(await batch(client, again({ name: "other" })))).toMatchObject(refusal);
  expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
});

test("that return other columns than are described in the same batch are refused", async () => {
  const client = await rig.client();
  const sql = "SELECT /*s prepare: rewrite SELECT 1 AS a*/ /*s bind: rewrite SELECT 1 AS b*/ 0 AS a";
  const answer = await batch(client, run(sql, { describe: "statement" }));
  expect(errorIn(answer)).toMatchObject({ C: "XX000" });
  expect(rowsOf(answer)).toEqual([]);
});

test("with the same columns run", async () => {
  const client = await rig.client();
  await prepare(client, "same", "SELECT /*s prepare: rewrite SELECT 1 AS a*/ /*s bind: rewrite SELECT 2 AS a*/ 0 AS a");
  await batch(client, messages.describe({ type: "S", name: "same" }));
  expect(rowsOf(await batch(client, again({ name: "same" })))).toEqual([["2"]]);
});

test("are prepared once on a server, however many statements become the same text", async () => {
  const client = await rig.client();
  const names = async (): Promise<unknown> =>
    rowsOf(await client.query("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%one and the same%' AND name <> ''"));
  for (let i = 0; i < 5; i++) {
    await batch(client, run(`SELECT /* verdict: rewrite SELECT 'one and the same' */ ${i}`, { name: `n${i}` }));
    await batch(client, again({ name: `n${i}` }));
  }
  expect(await names()).toEqual([["1"]]);
});

test("are seen by the plugins behind, with a flag", async () => {
  const client = await rig.client();
  await batch(client, run("SELECT /* verdict: rewrite SELECT 'made new', $1::int4 ;; 7 */ 'old'"));
  const calls = rowsOf(await client.query("SELECT 'recorder'")).filter((row) => row[1] === "route");
  const seen = calls.map((row) => ({ sql: row[4], flags: row[6], parameters: row[9] }));
  expect(seen.filter(({ sql }) => sql?.includes("'made new'"))).toEqual([
    { sql: "SELECT 'made new', $1::int4", flags: "first_statement,rewritten", parameters: "text:7" },
  ]);
});

test("leave no setting behind on the server that nobody keeps account of", async () => {
  const client = await rig.client();
  await batch(client, run("SELECT /* verdict: rewrite SET work_mem = '77MB' */ 1"));
  const other = await rig.client();
  expect(rowsOf(await other.query("SHOW work_mem"))).toEqual([["4MB"]]);
});

test("into something that a session would keep are refused as the client's own would be", async () => {
  const client = await rig.client();
  expect(errorIn(await client.query("SELECT /* verdict: rewrite LISTEN news */ 1"))).toMatchObject({ C: "0A000" });
  expect(errorIn(await batch(client, run("SELECT /* verdict: rewrite LISTEN news */ 1")))).toMatchObject({ C: "0A000" });
});

test("that a server refuses are named as the client named the statement", async () => {
  const client = await rig.client();
  await prepare(client, "mine", "SELECT /* verdict: rewrite SELECT 1 */ 0");
  expect(errorIn(await batch(client, again({ name: "mine", values: ["1"] })))).toMatchObject({
    C: "08P01",
    M: 'bind message supplies 1 parameters, but prepared statement "mine" requires 0',
  });
});

test("into what the pooler answers itself are answered so", async () => {
  const client = await rig.client();
  await prepare(client, "gone", "SELECT 1");
  const sql = "SELECT /* verdict: rewrite DEALLOCATE gone */ 1";
  expect(shortly(await batch(client, run(sql)))).toBe("1 2 C(DEALLOCATE) Z(I)");
  expect(errorIn(await batch(client, again({ name: "gone" })))).toMatchObject({ C: "26000" });
  await prepare(client, "gone", "SELECT 1");
  expect(shortly(await client.query(sql))).toBe("C(DEALLOCATE) Z(I)");
  expect(errorIn(await batch(client, again({ name: "gone" })))).toMatchObject({ C: "26000" });
});

test("do not stand in for several statements, which cannot be prepared", async () => {
  const client = await rig.client();
  const sql = "SELECT /* verdict: rewrite SELECT 'new' */ 1; SELECT 2";
  expect(errorIn(await batch(client, run(sql)))).toMatchObject({ C: "42601" });
  expect(errorIn(await prepare(client, "two", sql))).toMatchObject({ C: "42601" });
});

test("that a server refuses are refused when they are prepared, not when they are bound", async () => {
  const client = await rig.client();
  const sql = "SELECT /* verdict: rewrite SELECT nothing */ 1";
  expect(shortly(await batch(client, run(sql)))).toMatch(/^E\(42703 .*\) Z\(I\)$/);
  expect(shortly(await batch(client, run(sql, { name: "n" })))).toMatch(/^E\(42703 .*\) Z\(I\)$/);
  expect(errorIn(await batch(client, again({ name: "n" })))).toMatchObject({ C: "26000" });
});
