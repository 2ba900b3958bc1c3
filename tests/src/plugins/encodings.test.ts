// Client encodings and string rules: what plugins that read facts are shown, and that those which inspect fail closed.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { errorIn, rowBytes, rowsOf } from "../harness/backend-message.js";
import type { WireClient } from "../harness/wire-client.js";
import { messages } from "../harness/wire-client.js";
import { cargoLibrary, recorder } from "./plugin-libraries.js";
import { batch, onAllShards, type Rig, shortly, startRig, sync } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  await onAllShards('DROP TABLE IF EXISTS "geheimnisträger"; CREATE TABLE "geheimnisträger" (id int)');
  rig = await startRig({
    plugins: [
      {
        as: "validator",
        library: cargoLibrary("validator"),
        config: { rules: [{ type: "deny_tables", tables: ['"geheimnisträger"'] }] },
      },
      { as: "recorder", library: recorder() },
    ],
  });
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await rig.stop();
  await onAllShards('DROP TABLE "geheimnisträger"');
});

const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");

/** A simple query of these bytes. */
function query(client: WireClient, sql: Buffer): ReturnType<WireClient["query"]> {
  const head = Buffer.from([0x51, 0, 0, 0, 0]);
  head.writeInt32BE(4 + sql.length + 1, 1);
  client.send(head, sql, Buffer.from([0]));
  return client.until("Z");
}

/** The same as Parse, Bind and Execute of the unnamed statement. */
function extended(client: WireClient, sql: Buffer): ReturnType<WireClient["query"]> {
  const head = Buffer.from([0x50, 0, 0, 0, 0]);
  head.writeInt32BE(4 + 1 + sql.length + 1 + 2, 1);
  client.send(head, Buffer.from([0]), sql, Buffer.from([0, 0, 0]), messages.bind(), messages.execute(), sync);
  return client.until("Z");
}

test("a LATIN1 client is understood: its tables are recognized, its text comes back as it is", async () => {
  const client = await rig.client();
  expect(errorIn(await client.query("SET client_encoding = 'LATIN1'"))).toBeUndefined();
  for (const ask of [query, extended]) {
    expect(errorIn(await ask(client, latin1('SELECT * FROM "geheimnisträger"')))).toMatchObject({ C: "42501" });
    const answer = await ask(client, latin1("SELECT 'größe'"));
    expect(answer.filter(({ type }) => type === "D").map((row) => rowBytes(row)[0])).toEqual([latin1("größe")]);
  }
});

test("a refusal reaches a LATIN1 client in its encoding", async () => {
  const client = await rig.client();
  await client.query("SET client_encoding = 'LATIN1'");
  const answer = await query(client, latin1('SELECT * FROM "geheimnisträger"'));
  expect(answer[0]?.body.includes(latin1("geheimnisträger"))).toBe(true);
});

test("the same bytes in another encoding are another text", async () => {
  const [utf8, other] = [await rig.client(), await rig.client()];
  await other.query("SET client_encoding = 'LATIN1'");
  const bytes = Buffer.from('SELECT * FROM "geheimnisträger"');
  expect(errorIn(await query(utf8, bytes))).toMatchObject({ C: "42501" });
  expect(errorIn(await query(other, bytes))).toMatchObject({ C: "42P01" });
});

test.each(["SJIS", "BIG5", "GBK", "GB18030"])(
  "with %s, in which a backslash may be half a character, inspecting plugins fail closed",
  async (encoding) => {
    const client = await rig.client();
    expect(errorIn(await client.query(`SET client_encoding = '${encoding}'`))).toBeUndefined();
    for (const ask of [query, extended]) {
      expect(errorIn(await ask(client, Buffer.from("SELECT 1")))).toMatchObject({
        C: "0A000",
        M: expect.stringContaining("cannot be parsed") as string,
      });
    }
    await rig.disconnectAll();
    const next = await rig.client();
    expect(rowsOf(await next.query("SELECT 1"))).toEqual([["1"]]);
  },
);

test("with standard_conforming_strings = off inspecting plugins fail closed", async () => {
  const client = await rig.client();
  await client.query("SET standard_conforming_strings = off");
  for (const ask of [query, extended]) {
    expect(errorIn(await ask(client, Buffer.from("SELECT 'a'")))).toMatchObject({
      C: "0A000",
      M: expect.stringContaining("cannot be parsed") as string,
    });
  }
  const next = await rig.client();
  expect(rowsOf(await next.query("SELECT 1"))).toEqual([["1"]]);
});

test.each(["standard_conforming_strings = off", "client_encoding = 'SJIS'"])(
  "a transaction that set %s may still be rolled back",
  async (setting) => {
    const client = await rig.client();
    await client.query("BEGIN");
    await client.query("SELECT 1");
    expect(errorIn(await client.query(`SET LOCAL ${setting}`))).toBeUndefined();
    expect(errorIn(await client.query("SELECT 2"))).toMatchObject({ C: "0A000" });
    expect(shortly(await client.query("ROLLBACK"))).toBe("C(ROLLBACK) Z(I)");
    expect(shortly(await batch(client))).toBe("Z(I)");
    expect(rowsOf(await client.query("SELECT 3"))).toEqual([["3"]]);
  },
);
