// Messages that cannot be: the client that sent them hears why, and nobody else hears anything.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf, transactionState, typesOf } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import { converse, oneTarget, type Rig, type Step, shortly, startRig, twoShards, valueIn } from "./rig.js";

const { parse, bind, execute, describe: describeMessage, close, sync, flush, query } = messages;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    databases: { one: oneTarget(), two: twoShards(), session: oneTarget({ pool_mode: "session", pool_size: 2 }) },
    limits: { max_message_bytes: 100_000 },
  });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

/** A message of any type with any length, whatever its body. */
function message(type: string | number, length: number, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(5);
  header[0] = typeof type === "number" ? type : type.charCodeAt(0);
  header.writeInt32BE(length, 1);
  return Buffer.concat([header, body]);
}

/** Well-formed as a message, with this body. */
const framed = (type: string, body: string | Uint8Array): Buffer => message(type, 4 + Buffer.from(body).length, Buffer.from(body));

const run = (text: string): Uint8Array[] => [parse({ text }), bind(), execute()];

describe.each(["one", "two", "session"])("database %s", (database) => {
  const fatal: readonly (readonly [string, Buffer, string, string])[] = [
    ["an unknown type", message("?", 4), "08P01", "invalid frontend message type 0x3f"],
    ["a type of zero", message(0, 4), "08P01", "invalid frontend message type 0x00"],
    ["a server's message", message("Z", 5, Buffer.from("I")), "08P01", "invalid frontend message type"],
    ["a length below four", message("Q", 3), "08P01", "invalid message length 3"],
    ["a length of zero", message("S", 0), "08P01", "invalid message length 0"],
    ["a negative length", message("P", -1), "08P01", "invalid message length -1"],
    ["the most negative length", message("d", -0x80000000), "08P01", "invalid message length"],
    ["a length above the limit", message("Q", 100_001), "54000", "at most 100000 bytes"],
    ["the largest length", message("B", 0x7fffffff), "54000", "at most 100000 bytes"],
    ["garbage", Buffer.from("\x16\x03\x01 something else entirely"), "08P01", "invalid frontend message type 0x16"],
    ["a password", message("p", 8, Buffer.from("abc\0")), "08P01", "password"],
    ["another startup packet", messages.startup({ user: "app" }), "08P01", "invalid frontend message type 0x00"],
  ];

  test.each(fatal)("%s: told, closed, nobody else is", async (_, bytes, sqlstate, text) => {
    const [client, other] = await Promise.all([rig.client(database), rig.client(database)]);
    client.send(bytes);
    expect(errorIn(await client.until("E"))).toMatchObject({ S: "FATAL", C: sqlstate, M: expect.stringContaining(text) });
    await client.closed;
    expect(await valueIn(other, "SELECT 'well'")).toBe("well");
  });

  test.each(fatal)(
    "%s behind a query in one write: the query is answered, then the client closed, and whoever has the server next is well",
    async (_, bytes) => {
      const [client, other] = await Promise.all([rig.client(database), rig.client(database)]);
      const [slow] = await Promise.all([
        (async () => {
          client.send(query("SELECT 'first' || pg_sleep(0.01)"), bytes);
          return client.until("E");
        })(),
        (async () => {
          for (let i = 0; i < 5; i++) expect(await valueIn(other, "SELECT 'well' || pg_sleep(0.005)")).toBe("well");
        })(),
      ]);
      expect(rowsOf(slow)).toEqual([["first"]]);
      expect(typesOf(slow)).toBe("TDCZE");
      await client.closed;
    },
  );

  test.each(fatal)("%s in an open transaction: it is rolled back", async (_, bytes) => {
    const client = await rig.client(database);
    await client.query("DROP TABLE IF EXISTS hostile_rows; CREATE TABLE hostile_rows (n int)");
    await client.query("BEGIN");
    await client.query("INSERT INTO hostile_rows VALUES (1)");
    client.send(...run("INSERT INTO hostile_rows VALUES (2)"), flush(), bytes);
    await client.until("E");
    await client.closed;
    const other = await rig.client(database);
    expect(shortly(await other.query("SELECT count(*)::int FROM hostile_rows"))).toBe("T(count:23) D(0) C(SELECT 1) Z(I)");
    await other.query("DROP TABLE hostile_rows");
  });

  test.each([
    ["a Query without an end", [framed("Q", "SELECT 1")]],
    ["a Query without a text", [framed("Q", "")]],
    ["a Parse without a name's end", [framed("P", "abc"), sync()]],
    ["a Parse without a text's end", [framed("P", "\0SELECT 1"), sync()]],
    ["a Parse without a count", [framed("P", "\0SELECT 1\0"), sync()]],
    ["a Parse with too few types", [framed("P", "\0SELECT 1\0\0\x02\0\0\0\x17"), sync()]],
    ["a Parse with bytes behind its end", [framed("P", "\0SELECT 1\0\0\0xyz"), sync()]],
    ["an empty Parse", [framed("P", ""), sync()]],
    ["an empty Bind", [parse({ text: "SELECT 1" }), framed("B", ""), sync()]],
    ["a Bind without a statement", [parse({ text: "SELECT 1" }), framed("B", "\0"), sync()]],
    ["an empty Describe", [framed("D", ""), sync()]],
    ["a Describe without a name's end", [framed("D", "S"), sync()]],
    ["a Describe with bytes behind its end", [framed("D", "S\0x"), sync()]],
    ["a Close without a name's end", [framed("C", "Sabc"), sync()]],
    ["an Execute without a limit", [framed("E", "\0"), sync()]],
    ["an empty Execute", [framed("E", ""), sync()]],
  ])("%s: an error, and the client goes on", async (_, bytes) => {
    const client = await rig.client(database);
    client.send(...bytes);
    const answer = await client.until("Z");
    expect(errorIn(answer)).toMatchObject({ S: "ERROR", C: "08P01" });
    expect(answer.map(transactionState).at(-1)).toBe("I");
    expect(await valueIn(client, "SELECT 'on'")).toBe("on");
  });

  const cutOff: Readonly<Record<string, readonly Step[]>> = {
    "a Bind that is cut off at any byte": Array.from({ length: 40 }, (_, i): Step => {
      const whole = Buffer.from(bind({ statement: "s", portal: "p", values: ["1", null, "three"] }));
      return ["Z", framed("B", whole.subarray(5, Math.min(whole.length - 1, 5 + i))), sync()];
    }),
    "a FunctionCall that is cut off at any byte": Array.from({ length: 20 }, (_, i): Step => ["Z", framed("F", Buffer.alloc(i))]),
    "an Execute with a negative limit": [
      ["Z", parse({ text: "SELECT 1" }), bind(), framed("E", Buffer.from([0, 0xff, 0xff, 0xff, 0xff])), sync()],
    ],
    "a Describe and a Close of something that is neither": [
      ["Z", framed("D", "X\0"), sync()],
      ["Z", framed("C", "X\0"), sync()],
    ],
    "a Query with a NUL in its middle": [["Z", framed("Q", "SELECT 1\0; SELECT 2\0")]],
    "a statement that is no UTF-8": [
      ["Z", framed("Q", Buffer.from("53454c4543542027ff2700", "hex"))],
      ["Z", framed("P", Buffer.from("0053454c4543542027ff27000000", "hex")), sync()],
    ],
  };

  test.each(Object.keys(cutOff))("%s: answered as PostgreSQL does", async (name) => {
    const [client, direct] = await Promise.all([rig.client(database), rig.direct()]);
    const steps: Step[] = [
      ["Z", parse({ name: "s", text: "SELECT $1::int, $2::int, $3::text" }), sync()],
      ...(cutOff[name] as readonly Step[]),
    ];
    const [own, expected] = [await converse(client, steps), await converse(direct, steps)];
    const states = (answers: string[]): string[] => answers.map((answer) => answer.replace(/E\((\w+) .*\)( Z)/, "E($1)$2"));
    expect(states(own)).toEqual(states(expected));
  });

  test("the old function call protocol works", async () => {
    const [client, direct] = await Promise.all([rig.client(database), rig.direct()]);
    const oid = Number(await valueIn(direct, "SELECT 'pg_catalog.int4pl(int,int)'::regprocedure::oid"));
    const body = Buffer.concat([
      Buffer.from([0, 0, 0, oid & 0xff]),
      Buffer.from([0, 1, 0, 1, 0, 2, 0, 0, 0, 4, 0, 0, 0, 40, 0, 0, 0, 4, 0, 0, 0, 2, 0, 1]),
    ]);
    body.writeInt32BE(oid, 0);
    for (let i = 0; i < 3; i++) {
      client.send(framed("F", body));
      const [result, ready] = await client.until("Z");
      expect([result?.type, result?.body.toString("hex"), String(ready)]).toEqual(["V", "000000040000002a", "Z(I)"]);
    }
  });

  test("a message right at the limit is taken, one byte more is not", async () => {
    const client = await rig.client(database);
    const sql = (length: number): string => `SELECT '${"x".repeat(length - 4 - 1 - "SELECT ''".length)}'`;
    expect((await valueIn(client, sql(100_000)))?.length).toBe(100_000 - 14);
    client.send(query(sql(100_001)));
    expect(errorIn(await client.until("E"))).toMatchObject({ S: "FATAL", C: "54000", H: "Raise limits.max_message_bytes." });
  });

  test("Terminate with more behind it: nothing more is run", async () => {
    const client = await rig.client(database);
    await client.query("DROP TABLE IF EXISTS hostile_rows; CREATE TABLE hostile_rows (n int)");
    client.send(query("INSERT INTO hostile_rows VALUES (1)"), messages.end(), query("INSERT INTO hostile_rows VALUES (2)"));
    await client.closed;
    const other = await rig.client(database);
    expect(await valueIn(other, "SELECT string_agg(n::text, ',') FROM hostile_rows")).toBe("1");
    await other.query("DROP TABLE hostile_rows");
  });

  test("a batch of thousands of messages, in pieces of any size", async () => {
    const client = await rig.client(database);
    const many = Buffer.concat([...Array.from({ length: 3000 }, (_, i) => Buffer.concat(run(`SELECT ${i}`))), sync()]);
    for (let at = 0; at < many.length; at += 7919) client.send(many.subarray(at, at + 7919));
    expect(rowsOf(await client.until("Z")).map(([value]) => value)).toEqual(Array.from({ length: 3000 }, (_, i) => String(i)));
  });

  test("close and describe of everything that is not there", async () => {
    const client = await rig.client(database);
    client.send(close({ type: "S", name: "no" }), close({ type: "P", name: "no" }), close({ type: "S" }), close({ type: "P" }), sync());
    expect(shortly(await client.until("Z"))).toBe("3 3 3 3 Z(I)");
    client.send(describeMessage({ type: "P", name: "no" }), sync());
    expect(shortly(await client.until("Z"))).toMatch(/^E\(34000 .*\) Z\(I\)$/);
  });
});
