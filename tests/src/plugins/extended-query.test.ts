// What plugins are shown of the extended protocol, and what becomes of batches, portals and Flush when they answer.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type BackendMessage, errorIn, rowsOf, typesOf } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import { recorder, verdicts } from "./plugin-libraries.js";
import { again, batch, flush, int4, int8, onAllShards, placeIn, port, prepare, type Rig, run, shortly, startRig, sync } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  await onAllShards("DROP TABLE IF EXISTS plugins_extended; CREATE TABLE plugins_extended (id int)");
  rig = await startRig({
    plugins: [
      { as: "verdicts", library: verdicts() },
      { as: "recorder", library: recorder() },
    ],
  });
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await rig.stop();
  await onAllShards("DROP TABLE plugins_extended");
});

interface Call {
  readonly sql: string;
  readonly protocol: string;
  readonly flags: string;
  readonly parameters: string;
}

/** What the recorder was asked about statements that hold this word. */
async function calls(word: string): Promise<Call[]> {
  const client = await rig.client();
  const rows = rowsOf(await client.query("SELECT 'recorder'"));
  return rows
    .filter((row) => row[1] === "route" && row[4]?.includes(word))
    .map((row) => ({ sql: row[4] ?? "", protocol: row[5] ?? "", flags: row[6] ?? "", parameters: row[9] ?? "" }));
}

describe("what plugins see", () => {
  test("the text and the values of an execution, also when it was prepared long ago", async () => {
    const client = await rig.client();
    await prepare(client, "seen", "SELECT 'seen', $1::int4, $2::text, $3::int8", [23]);
    await batch(client, again({ name: "seen", values: [int4(7), "text", null] }));
    await batch(client, again({ name: "seen", values: ["8", Buffer.from("bytes"), int8(9)] }));
    const sql = "SELECT 'seen', $1::int4, $2::text, $3::int8";
    expect(await calls("'seen'")).toEqual([
      { sql, protocol: "extended", flags: "first_statement,prepare_only", parameters: "" },
      { sql, protocol: "extended", flags: "first_statement", parameters: "binary/23:00000007,text:text,null" },
      { sql, protocol: "extended", flags: "first_statement", parameters: "text/23:8,binary:6279746573,binary:0000000000000009" },
    ]);
  });

  test("one format for all parameters, and none", async () => {
    const client = await rig.client();
    const bind = (...formats: number[]): Buffer => {
      const value = Buffer.concat([int4(4), int4(5)]);
      const counts = Buffer.alloc(2 + 2 * formats.length + 2);
      counts.writeInt16BE(formats.length, 0);
      for (const [i, format] of formats.entries()) counts.writeInt16BE(format, 2 + 2 * i);
      counts.writeInt16BE(2, counts.length - 2);
      const body = Buffer.concat([Buffer.from("\0\0"), counts, value, value, Buffer.from([0, 0])]);
      const head = Buffer.from([0x42, 0, 0, 0, 0]);
      head.writeInt32BE(body.length + 4, 1);
      return Buffer.concat([head, body]);
    };
    const text = messages.parse({ text: "SELECT 'formats', $1::int4, $2::int4" });
    expect(rowsOf(await batch(client, text, bind(1), messages.execute()))).toEqual([["formats", "5", "5"]]);
    expect(errorIn(await batch(client, text, bind(), messages.execute()))).toMatchObject({ C: "22021" });
    expect((await calls("'formats'")).map(({ parameters }) => parameters)).toEqual([
      "binary:00000005,binary:00000005",
      "text:\0\0\0\x05,text:\0\0\0\x05",
    ]);
  });

  test("each execution of a batch once, and whether there are several", async () => {
    const client = await rig.client();
    await batch(client, run("SELECT 'batch', 1"), run("SELECT 'batch', 2"), run("SELECT 'batch', $1", { values: ["3"] }));
    expect(await calls("'batch'")).toEqual([
      { sql: "SELECT 'batch', 1", protocol: "extended", flags: "first_statement,several_statements", parameters: "" },
      { sql: "SELECT 'batch', 2", protocol: "extended", flags: "first_statement,several_statements", parameters: "" },
      { sql: "SELECT 'batch', $1", protocol: "extended", flags: "first_statement,several_statements", parameters: "text:3" },
    ]);
  });

  test("a Describe of a statement before the Bind in the same batch: once to prepare, once to run", async () => {
    const client = await rig.client();
    await batch(client, run("SELECT 'described', $1::int4", { values: ["3"], describe: "statement" }));
    expect((await calls("'described'")).map(({ flags, parameters }) => [flags, parameters])).toEqual([
      ["first_statement,prepare_only", ""],
      ["first_statement", "text:3"],
    ]);
  });

  test("a Describe of a portal asks nobody again", async () => {
    const client = await rig.client();
    await batch(client, run("SELECT 'portal', $1::int4", { values: ["3"], describe: "portal" }));
    expect((await calls("'portal'")).map(({ flags }) => flags)).toEqual(["first_statement"]);
  });
});

describe("pipelined batches", () => {
  test("go each where their plugins say, and are answered in order", async () => {
    const client = await rig.client();
    const on = (shard: number): Buffer => run(`SELECT /* verdict: forward write ${shard} */ ${port}`);
    client.send(on(0), sync, on(1), sync, run("SELECT /* verdict: intercept */ 1"), sync, on(0), sync, on(1), sync);
    const answers: BackendMessage[][] = [];
    for (let i = 0; i < 5; i++) answers.push(await client.until("Z"));
    expect([0, 1, 3, 4].map((i) => placeIn(answers[i] ?? []))).toEqual(["0 primary", "1 primary", "0 primary", "1 primary"]);
    expect(shortly(answers[2] ?? [])).toBe("1 2 D(1, one) D(2, null) C(SELECT 2) Z(I)");
  });

  test("one that is refused keeps none of the others from running", async () => {
    const client = await rig.client();
    client.send(run("SELECT 1"), sync, run("SELECT /* verdict: error 22023 no */ 2"), sync, run("SELECT 3"), sync);
    expect(shortly(await client.until("Z"))).toBe("1 2 D(1) C(SELECT 1) Z(I)");
    expect(shortly(await client.until("Z"))).toBe("E(22023 no) Z(I)");
    expect(shortly(await client.until("Z"))).toBe("1 2 D(3) C(SELECT 1) Z(I)");
  });

  test("a batch with a statement that is refused is refused as a whole: nothing of it ran", async () => {
    const client = await rig.client();
    const answer = await batch(
      client,
      run("INSERT INTO plugins_extended VALUES (1)"),
      run("SELECT /* verdict: error 22023 no */ 2"),
      run("INSERT INTO plugins_extended VALUES (2)"),
    );
    expect(shortly(answer)).toBe("E(22023 no) Z(I)");
    expect(rowsOf(await client.query("SELECT count(*) FROM plugins_extended"))).toEqual([["0"]]);
  });

  test("statements that belong on different shards are refused with both in the detail", async () => {
    const client = await rig.client();
    const answer = await batch(
      client,
      run("INSERT /* verdict: forward write 0 */ INTO plugins_extended VALUES (1)"),
      run("INSERT /* verdict: forward write 1 */ INTO plugins_extended VALUES (2)"),
    );
    expect(errorIn(answer)).toMatchObject({ C: "0A000", D: expect.stringMatching(/shard 0.*shard 1/) as string });
    for (const shard of [0, 1]) {
      const count = await client.query(`SELECT /* verdict: forward write ${shard} */ count(*) FROM plugins_extended`);
      expect(rowsOf(count)).toEqual([["0"]]);
    }
  });

  test("a read beside a write goes where the write goes", async () => {
    const client = await rig.client();
    const answer = await batch(
      client,
      run(`SELECT /* verdict: forward read 1 */ ${port}`),
      run(`SELECT /* verdict: forward write 1 */ ${port}`),
    );
    expect(rowsOf(answer).length).toBe(2);
    expect(placeIn(answer)).toBe("1 primary");
  });
});

describe("Flush", () => {
  test("routes what is known, and the rest of the batch follows", async () => {
    const client = await rig.client();
    client.send(run(`SELECT /* verdict: forward write 1 */ ${port}`), flush);
    const first = await client.until("C");
    expect(placeIn(first)).toBe("1 primary");
    expect(placeIn(await batch(client, run(`SELECT ${port}`)))).toBe("1 primary");
    expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 primary");
  });

  test("after it a forward elsewhere is refused, and what ran before is undone", async () => {
    const client = await rig.client();
    client.send(run("INSERT /* verdict: forward write 1 */ INTO plugins_extended VALUES (3)"), flush);
    expect(shortly(await client.until("C"))).toBe("1 2 C(INSERT 0 1)");
    const rest = await batch(client, run("INSERT /* verdict: forward write 0 */ INTO plugins_extended VALUES (4)"));
    expect(shortly(rest)).toMatch(/^E\(25001 .*\) Z\(I\)$/);
    for (const shard of [0, 1]) {
      const count = await client.query(`SELECT /* verdict: forward write ${shard} */ count(*) FROM plugins_extended`);
      expect(rowsOf(count)).toEqual([["0"]]);
    }
  });

  test("a refusal behind it undoes what ran before it", async () => {
    const client = await rig.client();
    client.send(run("INSERT INTO plugins_extended VALUES (5)"), flush);
    await client.until("C");
    expect(shortly(await batch(client, run("SELECT /* verdict: error 22023 no */ 1")))).toBe("E(22023 no) Z(I)");
    expect(rowsOf(await client.query("SELECT count(*) FROM plugins_extended"))).toEqual([["0"]]);
  });

  test("a refusal in front of it passes over everything up to Sync", async () => {
    const client = await rig.client();
    client.send(run("SELECT /* verdict: error 22023 no */ 1"), flush, run("SELECT 2"), flush, run("SELECT 3"), sync);
    expect(shortly(await client.until("Z"))).toBe("E(22023 no) Z(I)");
    expect(rowsOf(await client.query("SELECT 4"))).toEqual([["4"]]);
  });

  test("an answer of a plugin comes at once", async () => {
    const client = await rig.client();
    client.send(run("SELECT /* verdict: intercept */ 1"), flush);
    expect(shortly(await client.until("C"))).toBe("1 2 D(1, one) D(2, null) C(SELECT 2)");
    expect(shortly(await batch(client))).toBe("Z(I)");
  });

  test("a portal that a plugin answers is executed behind the Flush", async () => {
    const client = await rig.client();
    const text = "SELECT /* verdict: intercept */ 1";
    client.send(messages.parse({ text }), messages.bind({ portal: "p" }), messages.describe({ type: "P", name: "p" }), flush);
    expect(typesOf(await client.until("T"))).toBe("12T");
    expect(shortly(await batch(client, messages.execute({ portal: "p" })))).toBe("D(1, one) D(2, null) C(SELECT 2) Z(I)");
  });
});
