// Plugins in session mode: the server stays, the names of statements are the client's own.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import { capability, script, verdicts } from "./plugin-libraries.js";
import { again, batch, flush, placeIn, port, prepare, type Rig, run, shortly, startRig } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    plugins: [
      { as: "verdicts", library: verdicts() },
      { as: "script", library: script(capability.inspect), config: { name: "s" } },
    ],
    app: { pool_mode: "session", pool_size: 3 },
  });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

const where = (route: string): string => `SELECT /* verdict: forward ${route} */ ${port}`;

test("the first statement decides for the session", async () => {
  const client = await rig.client();
  expect(placeIn(await client.query(where("write 1")))).toBe("1 primary");
  expect(placeIn(await client.query(`SELECT ${port}`))).toBe("1 primary");
  expect(errorIn(await client.query(where("write 0")))).toMatchObject({ C: "25001" });
  expect(placeIn(await batch(client, run(where("write 1"))))).toBe("1 primary");
});

test("statements are refused, rewritten and answered", async () => {
  const client = await rig.client();
  for (const ask of [(sql: string) => client.query(sql), (sql: string) => batch(client, run(sql))]) {
    expect(errorIn(await ask("SELECT /* verdict: error 22023 no */ 1"))).toMatchObject({ C: "22023" });
    expect(rowsOf(await ask("SELECT /* verdict: rewrite SELECT 'new' */ * FROM nowhere"))).toEqual([["new"]]);
    expect(rowsOf(await ask("SELECT /* verdict: intercept */ * FROM nowhere"))).toEqual([
      ["1", "one"],
      ["2", null],
    ]);
  }
});

test("a refusal fails the transaction", async () => {
  const client = await rig.client();
  await client.query("BEGIN");
  expect(shortly(await client.query("SELECT /* verdict: error 22023 no */ 1"))).toBe("E(22023 no) Z(E)");
  expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
});

test("a statement that plugins stood in for is prepared when it is needed after all", async () => {
  const client = await rig.client();
  const sql = "SELECT /*s bind: skip*/ /*s prepare: intercept a 1*/ 'by the server' AS a";
  await prepare(client, "p", sql);
  expect(rowsOf(await batch(client, again({ name: "p" })))).toEqual([["by the server"]]);
  expect(rowsOf(await batch(client, again({ name: "p" })))).toEqual([["by the server"]]);
  await prepare(client, "", sql);
  expect(rowsOf(await batch(client, again()))).toEqual([["by the server"]]);
  const rewritten = "SELECT /* verdict: rewrite SELECT 'new' */ * FROM nowhere";
  expect(rowsOf(await batch(client, run(rewritten, { name: "r" })))).toEqual([["new"]]);
  expect(rowsOf(await batch(client, again({ name: "r" })))).toEqual([["new"]]);
});

test("a closed statement's name may be used again", async () => {
  const client = await rig.client();
  for (let i = 0; i < 3; i++) {
    expect(rowsOf(await batch(client, run(`SELECT ${i}`, { name: "again" })))).toEqual([[String(i)]]);
    expect(shortly(await batch(client, messages.close({ type: "S", name: "again" })))).toBe("3 Z(I)");
  }
  const intercept = "SELECT /* verdict: intercept */ 1";
  for (let i = 0; i < 3; i++) {
    expect(shortly(await batch(client, run(intercept, { name: "again" })))).toBe("1 2 D(1, one) D(2, null) C(SELECT 2) Z(I)");
    expect(shortly(await batch(client, messages.close({ type: "S", name: "again" })))).toBe("3 Z(I)");
  }
  expect(rowsOf(await batch(client, run("SELECT 'server'", { name: "again" })))).toEqual([["server"]]);
});

test("a statement that is described before a Flush is prepared where the session is", async () => {
  const client = await rig.client();
  client.send(messages.parse({ text: `SELECT ${port}` }), messages.describe({ type: "S", name: "" }), flush);
  expect(shortly(await client.until("T"))).toBe("1 t T");
  expect(placeIn(await batch(client, again()))).toBe("0 primary");
});
