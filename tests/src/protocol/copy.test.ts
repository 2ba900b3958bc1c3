import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { errorIn } from "../harness/backend-message.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { converse, oneTarget, type Rig, type Step, startRig, twoShards, valueIn } from "./rig.js";

const { parse, bind, execute, describe: describeMessage, sync, flush, query, copyData, copyDone, copyFail } = messages;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ databases: { one: oneTarget(), two: twoShards(), session: oneTarget({ pool_mode: "session" }) } });
  const direct = await rig.direct();
  await direct.query("CREATE TABLE IF NOT EXISTS copied (n int, t text)");
});
beforeEach(async () => {
  const direct = await rig.direct();
  await direct.query("TRUNCATE copied");
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  const direct = await rig.direct();
  await direct.query("DROP TABLE copied");
  await rig.disconnectAll();
  await rig.stop();
});

const data = (text: string): Uint8Array => copyData(Buffer.from(text));
const extended = (text: string): Uint8Array[] => [parse({ text }), bind(), describeMessage({ type: "P" }), execute()];
const copyIn = "COPY copied FROM STDIN";
const count = query("SELECT count(*), sum(n) FROM copied");

const conversations: Readonly<Record<string, readonly Step[]>> = {
  "COPY out": [
    ["Z", query("COPY (SELECT generate_series(1, 3)) TO STDOUT")],
    ["Z", query("COPY (SELECT 1) TO STDOUT; SELECT 2; COPY (SELECT 3) TO STDOUT")],
    ["Z", query("COPY (SELECT 1 / (2 - n) FROM generate_series(1, 3) n) TO STDOUT")],
    ["Z", ...extended("COPY (SELECT 1) TO STDOUT"), sync()],
  ],
  "COPY in": [
    ["G", query(copyIn)],
    ["Z", data("1\tone\n2\ttwo\n"), data("3\tthree\n"), copyDone()],
    ["Z", count],
  ],
  "COPY in, everything sent ahead": [
    ["Z", query(copyIn), data("1\tone\n"), copyDone()],
    ["ZZ", query(copyIn), data("2\ttwo\n"), copyDone(), count],
  ],
  "COPY in, a row in several messages and one message for several rows": [
    ["G", query(copyIn)],
    ["Z", data("1"), data("\t"), data("one\n2\ttwo\n3\t"), data("three"), data("\n"), copyDone()],
    ["Z", count],
  ],
  "COPY in with no rows": [
    ["G", query(copyIn)],
    ["Z", copyDone()],
    ["Z", query("SELECT 1")],
  ],
  "COPY in that the client gives up": [
    ["G", query(copyIn)],
    ["Z", data("1\tone\n"), copyFail("no more")],
    ["Z", count],
  ],
  "COPY in of a table that is not there, data sent ahead": [
    ["ZZ", query("COPY no_such_table FROM STDIN"), data("1\tone\n"), copyDone(), count],
  ],
  "COPY in of a row that does not fit, more rows behind it": [
    ["G", query(copyIn)],
    ["E", data("x\tone\n"), copyDone()],
    ["Z"],
    ["Z", data("2\ttwo\n"), data("3\tthree\n"), copyDone(), count],
    ["G", query(copyIn)],
    ["ZZ", data("x\tone\n"), data("2\ttwo\n"), copyDone(), copyFail("late"), count],
  ],
  "two COPYs in one string": [
    ["G", query(`${copyIn}; COPY copied FROM STDIN; SELECT 'behind'`)],
    ["G", data("1\tone\n"), copyDone()],
    ["Z", data("2\ttwo\n"), copyDone()],
    ["ZZ", query(`${copyIn}; COPY copied FROM STDIN`), data("3\tthree\n"), copyDone(), data("4\tfour\n"), copyDone(), count],
  ],
  "COPY in within a transaction": [
    ["Z", query("BEGIN")],
    ["G", query(copyIn)],
    ["Z", data("1\tone\n"), copyDone()],
    ["G", query(copyIn)],
    ["Z", copyFail("no")],
    ["Z", query("SELECT 1")],
    ["Z", query("COMMIT")],
    ["Z", count],
  ],
  "COPY as the first thing of a transaction": [
    ["Z", query("BEGIN")],
    ["G", query(copyIn)],
    ["Z", data("1\tone\n"), copyDone()],
    ["Z", query("COMMIT")],
    ["Z", count],
  ],
  "extended, Sync behind the data": [
    ["G", ...extended(copyIn), flush()],
    ["Z", data("1\tone\n"), copyDone(), sync()],
    ["Z", count],
    ["G", ...extended(copyIn), flush()],
    ["Z", copyFail("no"), sync()],
    ["Z", count],
  ],
  "extended, Sync ahead of the data": [
    ["G", ...extended(copyIn), sync()],
    ["Z", data("1\tone\n"), copyDone(), sync()],
    ["Z", count],
    ["Z", ...extended(copyIn), sync(), data("2\ttwo\n"), copyDone(), sync()],
    ["Z", count],
    ["G", ...extended(copyIn), sync()],
    ["Z", data("3\tthree\n"), copyFail("no"), sync()],
    ["Z", count],
  ],
  "extended, a row that does not fit, Sync ahead": [
    ["G", ...extended(copyIn), sync()],
    ["Z", data("x\tone\n"), data("2\ttwo\n"), copyDone(), sync()],
    ["Z", count],
    ["G", ...extended(copyIn), sync()],
    ["E", data("x\tone\n"), copyDone()],
    ["Z", sync()],
    ["Z", count],
  ],
  "extended, a row that does not fit, Sync behind": [
    ["G", ...extended(copyIn), flush()],
    ["E", data("x\tone\n"), copyDone()],
    ["Z", data("2\ttwo\n"), copyDone(), sync()],
    ["Z", count],
    ["G", ...extended(copyIn), flush()],
    ["Z", data("x\tone\n"), copyDone(), sync()],
    ["Z", count],
  ],
  "extended, the client ends a failed COPY with Sync alone": [
    ["G", parse({ text: "COPY copied (n) FROM STDIN (FORMAT binary)" }), bind(), execute(), flush()],
    ["E", data("this is no binary COPY file at all")],
    ["Z", sync()],
    ["Z", count],
  ],
  "extended, Sync and Flush in the middle of the data": [
    ["G", ...extended(copyIn), flush()],
    ["Z", data("1\tone\n"), flush(), sync(), data("2\ttwo\n"), sync(), flush(), copyDone(), sync()],
    ["Z", count],
  ],
  "extended, a COPY that does not begin": [
    ["Z", ...extended("COPY no_such_table FROM STDIN"), sync()],
    ["Z", data("1\tone\n"), copyDone(), sync()],
    ["E", ...extended("COPY no_such_table FROM STDIN"), flush()],
    ["Z", data("1\tone\n"), copyDone(), sync()],
    ["Z", count],
  ],
  "extended, data right behind Flush": [
    ["Z", ...extended(copyIn), flush(), data("1\tone\n"), copyDone(), sync()],
    ["Z", count],
  ],
  "extended, other statements behind the COPY": [
    ["G", ...extended(copyIn), flush()],
    ["C", data("1\tone\n"), copyDone(), flush()],
    ["Z", ...extended("SELECT count(*) FROM copied"), sync()],
  ],
  "COPY data that nobody asked for": [
    ["Z", data("1\tone\n"), copyDone(), query("SELECT 1")],
    ["Z", copyFail("no"), data("2"), query("SELECT 1")],
    ["Z", query("BEGIN")],
    ["Z", data("1\tone\n"), copyDone(), query("SELECT 1")],
    ["Z", query("COMMIT")],
  ],
};

describe.each(["one", "two", "session"])("database %s", (database) => {
  test.each(Object.keys(conversations))("%s: answered as PostgreSQL does", async (name) => {
    const steps = conversations[name] as readonly Step[];
    const direct = await rig.direct();
    const expected = await converse(direct, steps);
    await direct.query("TRUNCATE copied");
    const client = await rig.client(database);
    expect(await converse(client, steps)).toEqual(expected);
  });

  test("rows without end both ways: every byte arrives", async () => {
    const client = await rig.client(database);
    client.send(query(copyIn));
    await client.until("G");
    const row = Buffer.from(`7\t${"x".repeat(1013)}\n`);
    const chunk = Buffer.concat(Array.from({ length: 1000 }, () => copyData(row)));
    for (let i = 0; i < 20; i++) client.send(chunk);
    client.send(copyDone());
    const [complete] = await client.until("Z");
    expect(String(complete)).toBe("C(COPY 20000)");
    client.send(query("COPY copied TO STDOUT"));
    const answer = await client.until("Z");
    const rows = answer.filter(({ type }) => type === "d");
    expect(rows).toHaveLength(20_000);
    expect(rows.every(({ body }) => body.equals(row))).toBe(true);
  });

  test("a protocol violation in the middle of COPY closes the client, and its rows are gone", async () => {
    const client = await rig.client(database);
    client.send(query(copyIn));
    await client.until("G");
    client.send(data("1\tone\n"), parse({ text: "SELECT 1" }), sync());
    expect(errorIn(await client.until("E"))).toMatchObject({ S: "FATAL", C: "08P01" });
    await client.closed;
    const next = await rig.client(database);
    expect(await valueIn(next, "SELECT count(*) FROM copied")).toBe("0");
  });

  test("a message that cannot be, sent together with the COPY, closes that client only", async () => {
    const client = await rig.client(database);
    client.send(query(copyIn), Buffer.from("?garbage"));
    expect(errorIn(await client.until("E"))).toMatchObject({ S: "FATAL", C: "08P01" });
    await client.closed;
    const next = await rig.client(database);
    expect(await valueIn(next, "SELECT 1")).toBe("1");
  });

  test("a client that leaves in the middle of its COPY leaves nothing", async () => {
    const client = await rig.client(database);
    client.send(query(copyIn));
    await client.until("G");
    client.send(data("1\tone\n"));
    client.reset();
    const next = await rig.client(database);
    expect(await valueIn(next, "SELECT count(*) FROM copied")).toBe("0");
  });

  test("a server is not lent on with half a CopyData in it", async () => {
    const [client, next] = await Promise.all([rig.client(database), database === "session" ? rig.direct() : rig.client(database)]);
    client.send(query(copyIn));
    await client.until("G");
    const long = data(`2\t${"x".repeat(100_000)}\n`);
    client.send(data("x\tdoes not fit\n"), copyData(Buffer.alloc(200_000)), long.subarray(0, 1000));
    expect(errorIn(await client.until("Z"))).toMatchObject({ C: "22P02" });
    expect(await valueIn(next, "SELECT 'well'")).toBe("well");
    client.send(long.subarray(1000), copyDone());
    expect(await valueIn(client, "SELECT 'well, too'")).toBe("well, too");
    expect(await valueIn(next, "SELECT count(*) FROM copied")).toBe("0");
  });

  test("a client that leaves a failed transaction with half a CopyData sent leaves a server that can be used", async () => {
    const client: WireClient = await rig.client(database);
    await client.query("BEGIN");
    client.send(query(copyIn));
    await client.until("G");
    client.send(data("x\tdoes not fit\n"), copyData(Buffer.alloc(200_000)), data("2\ttwo\n").subarray(0, 7));
    expect(errorIn(await client.until("Z"))).toMatchObject({ C: "22P02" });
    client.reset();
    const next = await rig.client(database);
    expect(await valueIn(next, "SELECT count(*) FROM copied")).toBe("0");
  });
});
