// Answers that a plugin gives instead of a server: formats, portals, row limits, and what stands beside them in a batch.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { columnsOf, errorIn, parameterTypesOf, rowBytes, rowsOf, typesOf } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import { capability, script, verdicts } from "./plugin-libraries.js";
import { again, batch, flush, int4, prepare, type Rig, run, shortly, startRig } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    plugins: [
      { as: "script", library: script(capability.everyStatement), config: { name: "s" } },
      { as: "verdicts", library: verdicts() },
    ],
  });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

const text = "SELECT /* verdict: intercept */ 1";
const binaryText = "SELECT /* verdict: intercept binary */ 1";

test.each([
  ["text values, asked for as text", text, false],
  ["text values, asked for as binary", text, true],
  ["binary values, asked for as text", binaryText, false],
  ["binary values, asked for as binary", binaryText, true],
])("%s", async (_, sql, binary) => {
  const client = await rig.client();
  const answer = await batch(client, run(sql, { binary, describe: "portal" }));
  const format = binary ? 1 : 0;
  expect(columnsOf(answer.find(({ type }) => type === "T") as (typeof answer)[0])).toEqual([
    { name: "id", typeOid: 23, format },
    { name: "name", typeOid: 25, format },
  ]);
  const [one, two] = answer.filter(({ type }) => type === "D").map(rowBytes);
  expect(one).toEqual([binary ? int4(1) : Buffer.from("1"), Buffer.from("one")]);
  expect(two).toEqual([binary ? int4(2) : Buffer.from("2"), null]);
});

test("are described when they are prepared, with the parameters' types", async () => {
  const client = await rig.client();
  const sql = "SELECT /* verdict: intercept */ $1, $2";
  const answer = await batch(client, messages.parse({ name: "i", text: sql, types: [23, 0] }), messages.describe({ type: "S", name: "i" }));
  expect(typesOf(answer)).toBe("1tTZ");
  expect(parameterTypesOf(answer[1] as (typeof answer)[0])).toEqual([23, 25]);
  expect(shortly(await batch(client, again({ name: "i", values: ["1", "2"] })))).toBe("2 D(1, one) D(2, null) C(SELECT 2) Z(I)");
});

test("have as many parameters as their text, although the client names no types", async () => {
  const client = await rig.client();
  const sql = "SELECT /* verdict: intercept */ $2, '$3', $1";
  const answer = await batch(client, messages.parse({ name: "n", text: sql }), messages.describe({ type: "S", name: "n" }));
  expect(parameterTypesOf(answer[1] as (typeof answer)[0])).toEqual([25, 25]);
});

test("without columns answer NoData and their own tag", async () => {
  const client = await rig.client();
  const sql = "SELECT /* verdict: intercept command CREATE TABLE */ 1";
  expect(shortly(await batch(client, run(sql, { describe: "portal" })))).toBe("1 2 n C(CREATE TABLE) Z(I)");
  expect(shortly(await batch(client, run(sql, { name: "c", describe: "statement" })))).toBe("1 t n 2 C(CREATE TABLE) Z(I)");
});

test("without rows answer their columns", async () => {
  const client = await rig.client();
  expect(shortly(await batch(client, run("SELECT /* verdict: intercept empty */ 1", { describe: "portal" })))).toBe(
    "1 2 T C(SELECT 0) Z(I)",
  );
});

test("give out rows as Execute asks for them", async () => {
  const client = await rig.client();
  const sql = "SELECT /* verdict: intercept rows 5 */ 1";
  const more = messages.execute({ portal: "p", rows: 2 });
  const answer = await batch(client, run(sql, { portal: "p", rows: 2 }), more, more);
  expect(typesOf(answer)).toBe("12DDsDDsDCZ");
  expect(rowsOf(answer).map(([id]) => id)).toEqual(["1", "2", "3", "4", "5"]);
});

test("keep their portals over Sync in a transaction only", async () => {
  const client = await rig.client();
  const sql = "SELECT /* verdict: intercept rows 3 */ 1";
  const rest = messages.execute({ portal: "p", rows: 0 });
  await client.query("BEGIN");
  expect(typesOf(await batch(client, run(sql, { portal: "p", rows: 2 })))).toBe("12DDsZ");
  expect(typesOf(await batch(client, rest))).toBe("DCZ");
  await client.query("COMMIT");
  expect(typesOf(await batch(client, run(sql, { portal: "p", rows: 2 })))).toBe("12DDsZ");
  expect(errorIn(await batch(client, rest))).toMatchObject({ C: "34000" });
});

test("close their portals", async () => {
  const client = await rig.client();
  await client.query("BEGIN");
  await batch(client, run("SELECT /* verdict: intercept rows 3 */ 1", { portal: "p", rows: 2 }));
  expect(shortly(await batch(client, messages.close({ type: "P", name: "p" })))).toBe("3 Z(T)");
  expect(errorIn(await batch(client, messages.execute({ portal: "p" })))).toMatchObject({ C: "34000" });
});

test("stand between statements of a server in one batch", async () => {
  const client = await rig.client();
  const unknown = "SELECT /* verdict: intercept */ * FROM there_is_no_such_table";
  const answer = await batch(client, run("SELECT 'a'"), run(unknown), run("SELECT 'b'"), run(unknown, { describe: "portal" }));
  expect(shortly(answer)).toBe(
    "1 2 D(a) C(SELECT 1) 1 2 D(1, one) D(2, null) C(SELECT 2) 1 2 D(b) C(SELECT 1) 1 2 T D(1, one) D(2, null) C(SELECT 2) Z(I)",
  );
});

test("are passed over behind an error of a server", async () => {
  const client = await rig.client();
  const answer = await batch(client, run("SELECT 1 / count(*) FROM pg_class WHERE false"), run(text));
  expect(shortly(answer)).toBe("1 2 E(22012 division by zero) Z(I)");
});

test("tell the state of the transaction", async () => {
  const client = await rig.client();
  expect(shortly(await batch(client, run(text)))).toMatch(/Z\(I\)$/);
  await client.query("BEGIN");
  expect(shortly(await batch(client, run(text)))).toMatch(/C\(SELECT 2\) Z\(T\)$/);
  await client.query("SELECT 1");
  expect(shortly(await batch(client, run(text)))).toMatch(/C\(SELECT 2\) Z\(T\)$/);
  expect(shortly(await client.query(text))).toMatch(/C\(SELECT 2\) Z\(T\)$/);
  await client.query("SELECT 1/0");
  expect(shortly(await batch(client, run(text)))).toMatch(/Z\(E\)$/);
  expect(shortly(await client.query(text))).toMatch(/Z\(E\)$/);
});

test("of thousands of rows come whole", async () => {
  const client = await rig.client();
  const answer = await client.query("SELECT /* verdict: intercept rows 5000 */ 1");
  expect(rowsOf(answer).length).toBe(5000);
  expect(answer.at(-2)?.toString()).toBe("C(SELECT 5000)");
});

test("with other columns than were described are refused", async () => {
  const client = await rig.client();
  const sql = "SELECT /*s prepare: intercept a 1*/ /*s bind: intercept b 1*/ 1";
  await prepare(client, "other", sql);
  expect(typesOf(await batch(client, messages.describe({ type: "S", name: "other" })))).toBe("tTZ");
  expect(errorIn(await batch(client, again({ name: "other" })))).toMatchObject({
    C: "XX000",
    M: expect.stringContaining('plugin "./script" failed') as string,
  });
});

test("with other columns than a server described are refused", async () => {
  const client = await rig.client();
  await prepare(client, "other", "SELECT /*s bind: intercept b 1*/ 1 AS a");
  expect(typesOf(await batch(client, messages.describe({ type: "S", name: "other" })))).toBe("tTZ");
  expect(errorIn(await batch(client, again({ name: "other" })))).toMatchObject({ C: "XX000" });
});

test("with the columns that a server described are answers", async () => {
  const client = await rig.client();
  await prepare(client, "same", "SELECT /*s bind: intercept a mine*/ 'theirs' AS a");
  expect(typesOf(await batch(client, messages.describe({ type: "S", name: "same" })))).toBe("tTZ");
  expect(rowsOf(await batch(client, again({ name: "same" })))).toEqual([["mine"]]);
});

test("that were described but are not given at the Bind are refused", async () => {
  const client = await rig.client();
  await prepare(client, "gone", "SELECT /*s prepare: intercept a 1*/ 1 AS b");
  await batch(client, messages.describe({ type: "S", name: "gone" }));
  expect(errorIn(await batch(client, again({ name: "gone" })))).toMatchObject({ C: "XX000" });
});

test("an intercepted portal is executed behind a Flush, although nobody described it", async () => {
  const client = await rig.client();
  client.send(messages.parse({ text }), messages.bind({ portal: "p" }), flush);
  await client.until("2");
  expect(shortly(await batch(client, messages.execute({ portal: "p" })))).toBe("D(1, one) D(2, null) C(SELECT 2) Z(I)");
});

test("closing a statement is answered once", async () => {
  const client = await rig.client();
  await prepare(client, "s", text);
  expect(shortly(await batch(client, messages.close({ type: "S", name: "s" })))).toBe("3 Z(I)");
  expect(errorIn(await batch(client, again({ name: "s" })))).toMatchObject({ C: "26000" });
});

test("of a statement that would stay in the session need no server, and are none of its business", async () => {
  const client = await rig.client();
  const sql = "LISTEN /* verdict: intercept command LISTEN */ news";
  expect(shortly(await client.query(sql))).toBe("C(LISTEN) Z(I)");
  expect(shortly(await batch(client, run(sql)))).toBe("1 2 C(LISTEN) Z(I)");
});
