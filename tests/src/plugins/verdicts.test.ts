// The five verdicts in both protocols and in every state of a transaction, as one plugin gives them.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { commandTags, errorIn, rowsOf, typesOf } from "../harness/backend-message.js";
import type { WireClient } from "../harness/wire-client.js";
import { verdicts } from "./plugin-libraries.js";
import { again, batch, int8, placeIn, port, prepare, type Rig, run, shortly, startRig } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ plugins: [{ as: "verdicts", library: verdicts() }] });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

/** The comment stands behind the first word: what stands around a statement is not part of it. */
const verdict = (what: string, sql = `SELECT ${port}`): string => sql.replace(" ", ` /* verdict: ${what} */ `);
const refusal = "error 22023 no such thing ;; the detail ;; the hint";
const refused = { S: "ERROR", V: "ERROR", C: "22023", M: "no such thing", D: "the detail", H: "the hint" };

let lastName = 0;
const newName = (): string => `statement ${++lastName}`;

/** Prepare in a batch of its own, then bind and run; what is refused when it is prepared is the answer. */
const preparedBefore = async (client: WireClient, name: string, sql: string): ReturnType<WireClient["query"]> => {
  const prepared = await prepare(client, name, sql);
  if (errorIn(prepared) !== undefined) return prepared;
  if (name !== "") await client.query("");
  return batch(client, again({ name }));
};

/** A statement in each way that a client can have it run. */
const ways: readonly (readonly [string, (client: WireClient, sql: string) => ReturnType<WireClient["query"]>])[] = [
  ["a simple query", (client, sql) => client.query(sql)],
  ["an unnamed statement", (client, sql) => batch(client, run(sql))],
  ["a named statement, prepared and run at once", (client, sql) => batch(client, run(sql, { name: newName() }))],
  ["a Bind of a named statement that was prepared before", (client, sql) => preparedBefore(client, newName(), sql)],
  ["a Bind of the unnamed statement that was parsed before", (client, sql) => preparedBefore(client, "", sql)],
  ["a statement that is described", (client, sql) => batch(client, run(sql, { name: newName(), describe: "statement" }))],
  ["a portal that is described", (client, sql) => batch(client, run(sql, { describe: "portal" }))],
];

describe.each(ways)("in %s", (_, ask) => {
  test("a forward decides where it runs", async () => {
    const client = await rig.client();
    expect(placeIn(await ask(client, verdict("skip")))).toBe("0 primary");
  });

  test.each([
    ["write 0", "0 primary"],
    ["read 0", "0 replica"],
    ["write 1", "1 primary"],
    ["read 1", "1 replica"],
    ["open 1", "1 primary"],
    ["read open", "0 replica"],
  ])("forward %s goes to the %s", async (route, place) => {
    const client = await rig.client();
    const answer = await ask(client, verdict(`forward ${route}`));
    expect(placeIn(answer)).toBe(place);
    expect(shortly(answer)).toMatch(/Z\(I\)$/);
  });

  test("an error is the plugin's, word for word, and the client goes on", async () => {
    const client = await rig.client();
    const answer = await ask(client, verdict(refusal));
    expect(errorIn(answer)).toEqual(refused);
    expect(shortly(answer)).toMatch(/^E\(\S+ no such thing\) Z\(I\)$/);
    expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 primary");
  });

  test("a rewrite is what runs", async () => {
    const client = await rig.client();
    const answer = await ask(client, verdict("rewrite SELECT 'rewritten'"));
    expect(rowsOf(answer)).toEqual([["rewritten"]]);
  });

  test("a rewrite stands in for a text that no server would take", async () => {
    const client = await rig.client();
    const answer = await ask(client, verdict("rewrite SELECT 'rewritten'", "SELECT * FROM there_is_no_such_table"));
    expect(shortly(answer)).toMatch(/D\(rewritten\) C\(SELECT 1\) Z\(I\)$/);
  });

  test("an intercept is answered by the plugin", async () => {
    const client = await rig.client();
    const answer = await ask(client, verdict("intercept", "SELECT * FROM there_is_no_such_table"));
    expect(shortly(answer)).toMatch(/D\(1, one\) D\(2, null\) C\(SELECT 2\) Z\(I\)$/);
  });

  test("an intercept without columns has a command tag of its own", async () => {
    const client = await rig.client();
    const answer = await ask(client, verdict("intercept command CREATE TABLE"));
    expect(commandTags(answer)).toEqual(["CREATE TABLE"]);
    expect(rowsOf(answer)).toEqual([]);
    expect(typesOf(answer)).not.toContain("T");
  });

  test("a failure names the plugin", async () => {
    const client = await rig.client();
    const answer = await ask(client, verdict("fail something broke"));
    expect(errorIn(answer)).toMatchObject({ C: "XX000", M: 'plugin "./verdicts" failed: something broke' });
    expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 primary");
  });

  test("all verdicts work in a transaction that is held", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    expect(shortly(await ask(client, verdict("intercept")))).toMatch(/D\(1, one\) D\(2, null\) C\(SELECT 2\) Z\(T\)$/);
    expect(placeIn(await ask(client, verdict("forward open 1")))).toBe("1 primary");
    expect(shortly(await client.query("COMMIT"))).toBe("C(COMMIT) Z(I)");
  });

  test("a rewrite works in a transaction that is held", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    expect(shortly(await ask(client, verdict("rewrite SELECT 'rewritten'")))).toMatch(/D\(rewritten\) C\(SELECT 1\) Z\(T\)$/);
  });

  test("an error fails a transaction that is held", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    expect(errorIn(await ask(client, verdict(refusal)))).toEqual(refused);
    expect(shortly(await ask(client, verdict("skip")))).toMatch(/E\(25P02 [^)]*\) Z\(E\)$/);
    expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
  });

  test("all verdicts work in a transaction that a server has", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    expect(placeIn(await client.query(verdict("forward write 1")))).toBe("1 primary");
    expect(placeIn(await ask(client, verdict("skip")))).toBe("1 primary");
    expect(placeIn(await ask(client, verdict("forward write 1")))).toBe("1 primary");
    expect(shortly(await ask(client, verdict("intercept")))).toMatch(/D\(1, one\) D\(2, null\) C\(SELECT 2\) Z\(T\)$/);
    expect(shortly(await client.query("COMMIT"))).toBe("C(COMMIT) Z(I)");
  });

  test("a rewrite works in a transaction that a server has", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    await client.query(verdict("forward write 1"));
    expect(shortly(await ask(client, verdict(`rewrite SELECT 'rewritten'`)))).toMatch(/D\(rewritten\) C\(SELECT 1\) Z\(T\)$/);
  });

  test("an error fails a transaction that a server has", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    await client.query(verdict("forward write 1"));
    const answer = await ask(client, verdict(refusal));
    expect(errorIn(answer)).toEqual(refused);
    expect(shortly(answer)).toMatch(/Z\(E\)$/);
    expect(shortly(await ask(client, "SELECT 1"))).toMatch(/E\(25P02 [^)]*\) Z\(E\)$/);
    expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
  });

  test("a forward elsewhere than the transaction is refused", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    await client.query(verdict("forward write 1"));
    const answer = await ask(client, verdict("forward write 0"));
    expect(errorIn(answer)).toMatchObject({
      C: "25001",
      M: 'plugin "./verdicts" sends this statement elsewhere than the transaction it belongs to',
      D: "The transaction is on the primary of shard 1; the plugin wants the primary of shard 0.",
    });
    expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
  });
});

test("parameters reach the plugin's server as the client sent them, text, binary and NULL", async () => {
  const client = await rig.client();
  const sql = verdict("forward write 1", "SELECT $1::int8, $2::text, $3::int8");
  expect(rowsOf(await batch(client, run(sql, { values: ["42", "text", null] })))).toEqual([["42", "text", null]]);
  expect(rowsOf(await batch(client, run(sql, { values: [int8(-7), Buffer.from("bytes"), null] })))).toEqual([["-7", "bytes", null]]);
});
