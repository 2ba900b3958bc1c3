// What one side sends faster than the other takes it: the pooler stops reading, and its memory does not grow.
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createFrameSplitter, rowsOf } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import { oneTarget, type Rig, startRig, twoShards, valueIn } from "./rig.js";

const { parse, bind, execute, sync, query, copyData, copyDone } = messages;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ databases: { one: oneTarget(), two: twoShards(), session: oneTarget({ pool_mode: "session" }) } });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

const mostBytes = 96 << 20;

/** Logs in and writes `begin`, then `chunk` again and again, without reading. `taken`: bytes that were taken until nothing more was. */
async function fill(database: string, begin: Uint8Array, chunk: Buffer): Promise<{ readonly taken: number; readonly socket: Socket }> {
  const socket = connect({ host: "127.0.0.1", port: rig.pooler.port });
  socket.on("error", () => {});
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  socket.write(messages.startup({ user: "app", database }));
  const splitter = createFrameSplitter();
  await new Promise<void>((resolve) => {
    socket.on("data", (bytes) => {
      if (splitter.push(bytes).some(({ type }) => type === "Z")) resolve();
    });
  });
  socket.removeAllListeners("data");
  socket.pause();
  socket.write(begin);
  for (let taken = 0; taken < mostBytes; taken += chunk.length) {
    const goesOn = await new Promise<boolean>((resolve) => {
      // The only way to see that nothing happens is to wait for it; loopback takes a megabyte in a fraction of this.
      const stuck = setTimeout(() => resolve(false), 1000);
      socket.write(chunk, (error) => {
        clearTimeout(stuck);
        expect(error ?? null).toBeNull();
        resolve(true);
      });
    });
    if (!goesOn) return { taken, socket };
  }
  return { taken: mostBytes, socket };
}

const megabytes = (bytes: Uint8Array): Buffer => Buffer.concat(Array.from({ length: Math.ceil((1 << 20) / bytes.length) }, () => bytes));

describe("a client that writes and does not read", () => {
  test.each([
    ["empty queries", query("")],
    ["transactions that are held", Buffer.concat([query("BEGIN"), query("COMMIT")])],
    ["batches that need no server", sync()],
    ["queries with long answers", query("SELECT repeat('x', 100000)")],
  ])("%s: it is not read any more, and goes on when it reads", async (_, bytes) => {
    const { taken, socket } = await fill("two", Buffer.alloc(0), megabytes(bytes));
    expect(taken).toBeLessThan(mostBytes / 3);
    socket.resume();
    await new Promise<void>((resolve) => socket.once("data", () => resolve()));
    socket.destroy();
    expect(await valueIn(await rig.client("two"), "SELECT 'well'")).toBe("well");
  });

  test("queries behind a large one that has to wait: it is not read any more", async () => {
    const direct = await rig.direct();
    await direct.query("BEGIN; SELECT pg_advisory_xact_lock(4714)");
    const large = query(`SELECT pg_advisory_xact_lock(4714) /* ${"x".repeat(30 << 20)} */`);
    const { taken, socket } = await fill("one", large, megabytes(query("SELECT 1")));
    await direct.query("COMMIT");
    socket.destroy();
    expect(taken).toBeLessThan(mostBytes / 3);
    expect(await valueIn(await rig.client("one"), "SELECT 'well'")).toBe("well");
  });

  test("COPY data for a server that waits for a lock: it is not read any more, and all of it arrives in the end", async () => {
    const direct = await rig.direct();
    await direct.query("DROP TABLE IF EXISTS flow_rows; CREATE TABLE flow_rows (t text)");
    await direct.query(
      `CREATE OR REPLACE FUNCTION flow_wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(4715); RETURN NEW; END $$`,
    );
    await direct.query("CREATE TRIGGER flow_wait BEFORE INSERT ON flow_rows FOR EACH ROW EXECUTE FUNCTION flow_wait()");
    await direct.query("BEGIN; SELECT pg_advisory_xact_lock(4715)");
    const row = copyData(Buffer.from(`${"x".repeat(9_999)}\n`));
    const { taken, socket } = await fill("one", query("COPY flow_rows FROM STDIN"), megabytes(row));
    expect(taken).toBeLessThan(mostBytes / 3);
    await direct.query("COMMIT");
    const splitter = createFrameSplitter();
    const complete = new Promise<string>((resolve) => {
      socket.on("data", (bytes) => {
        const found = splitter.push(bytes).find(({ type }) => type === "C");
        if (found !== undefined) resolve(String(found));
      });
    });
    socket.resume();
    socket.write(copyDone());
    expect(Number(/COPY (\d+)/.exec(await complete)?.[1]) * row.length).toBeGreaterThan(taken);
    socket.destroy();
    await direct.query("DROP TABLE flow_rows; DROP FUNCTION flow_wait");
  });

  test("a COPY that fails while the client is not read: it is read again", async () => {
    const client = await rig.client("one");
    const direct = await rig.direct();
    await direct.query("DROP TABLE IF EXISTS flow_rows; CREATE TABLE flow_rows (n int)");
    const rows = megabytes(copyData(Buffer.from(`${"x".repeat(9_999)}\n`)));
    client.send(
      query("COPY flow_rows FROM STDIN"),
      copyData(Buffer.from("no number\n")),
      ...Array.from({ length: 32 }, () => rows),
      copyDone(),
    );
    await client.until("Z");
    expect(await valueIn(client, "SELECT count(*) FROM flow_rows")).toBe("0");
    await direct.query("DROP TABLE flow_rows");
  });
});

describe.each(["one", "two", "session"])("database %s", (database) => {
  test("a value of 50 MB goes both ways, with the simple and the extended protocol", async () => {
    const client = await rig.client(database);
    const size = 50_000_000;
    const value = "0123456789abcdef".repeat(size / 16);
    client.send(query(`SELECT '${value}'`));
    const simple = await client.until("Z");
    expect(rowsOf(simple)[0]?.[0] === value).toBe(true);
    client.send(
      parse({ name: "large", text: "SELECT $1::text, length($1)" }),
      bind({ statement: "large", values: [value] }),
      execute(),
      sync(),
    );
    const extended = await client.until("Z");
    expect(rowsOf(extended)[0]?.[1]).toBe(String(size));
    expect(rowsOf(extended)[0]?.[0] === value).toBe(true);
  });

  test("a client that reads slowly gets every row", async () => {
    const client = await rig.client(database);
    client.send(query("SELECT n, repeat('x', 1000) FROM generate_series(1, 50000) n"));
    const numbers: string[] = [];
    for (let i = 0; i < 5; i++) {
      client.pause();
      // Another client's round trips are the time in which nothing is read.
      await (await rig.direct()).query("SELECT 1");
      client.resume();
      await client.next();
    }
    for (const [n] of rowsOf(await client.until("Z"))) numbers.push(n ?? "");
    expect(numbers.at(-1)).toBe("50000");
    expect(numbers.length).toBeGreaterThanOrEqual(49_995);
  });
});
