// A client's stream in pieces of every size: the units that come out, and what passes through, must not depend on where it is cut.
import { describe, expect, test } from "vitest";
import type { LimitsConfig } from "../config/types.js";
import { Frontend } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { Intake, type IntakeTarget } from "./intake.js";
import { MessageMemory } from "./message-memory.js";

const limits: LimitsConfig = {
  maxClients: 10,
  maxMessageBytes: 1 << 20,
  maxBufferedBytes: 1 << 20,
  maxClientStatements: 10,
  maxServerStatements: 10,
  maxCachedStatements: 10,
};

const createMemory = (): MessageMemory => new MessageMemory({ limit: () => limits.maxBufferedBytes, nowMs: () => 0 });

function message(type: number, body: string | Uint8Array = ""): Buffer {
  const bytes = Buffer.from(body);
  return new MessageWriter(bytes.length + 8).begin(type).bytes(bytes).end().toBuffer();
}

const query = (sql: string): Buffer => message(Frontend.QUERY, `${sql}\0`);
const parse = (sql: string): Buffer => message(Frontend.PARSE, `\0${sql}\0\0\0`);
const bind = message(Frontend.BIND, "\0\0\0\0\0\0\0\0");
const execute = message(Frontend.EXECUTE, "\0\0\0\0\0");
const sync = message(Frontend.SYNC);
const flush = message(Frontend.FLUSH);
const data = (text: string): Buffer => message(Frontend.COPY_DATA, text);
const done = message(Frontend.COPY_DONE);
const terminate = message(Frontend.TERMINATE);

/**
 * Takes units as a session does: a query "COPY" begins a COPY, "SLOW" keeps it busy until ready() is called; after Flush more of the
 * batch may come.
 */
class Target implements IntakeTarget {
  copyIn = false;
  busy = false;
  full = false;
  passesCopyData = false;
  holdsServer = false;
  /** What it was refused the memory for. */
  noRoom: number | null = null;
  readonly log: string[] = [];
  /** In how many pieces CopyData was passed on. */
  pieces = 0;
  #copied: Buffer[] = [];

  get ready(): boolean {
    return !this.busy;
  }

  onUnit(buffer: Buffer, start: number, end: number): void {
    this.#note(`unit ${buffer.toString("latin1", start, end)}`);
    const text = buffer.toString("latin1", start + 5, end - 1);
    if (text === "COPY") this.copyIn = this.passesCopyData = true;
    if (text.startsWith("SLOW")) this.busy = true;
  }

  onNoRoom(bytes: number): void {
    this.noRoom = bytes;
  }

  onCopyBytes(buffer: Buffer, start: number, end: number): void {
    this.pieces++;
    this.#copied.push(Buffer.from(buffer.subarray(start, end)));
  }

  onCopyControl(type: number, buffer: Buffer, start: number, end: number): void {
    this.#note(`control ${buffer.toString("latin1", start, end)}`);
    if (type === Frontend.COPY_DONE) this.copyIn = this.passesCopyData = false;
  }

  onInboxFull(full: boolean): void {
    this.full = full;
  }

  #note(text: string): void {
    if (this.#copied.length > 0) this.log.push(`copied ${Buffer.concat(this.#copied).toString("latin1")}`);
    this.#copied = [];
    this.log.push(text);
  }

  finish(): string[] {
    this.#note("end");
    return this.log;
  }
}

/** What comes out of the stream when it is cut at `cuts`; a target that is busy becomes ready after the chunk, or at the very end. */
function run(stream: Buffer, cuts: readonly number[], late = false): { log: string[]; inside: boolean } {
  const target = new Target();
  const intake = new Intake(target, limits, createMemory());
  let at = 0;
  const serve = (): void => {
    while (target.busy) {
      target.busy = false;
      intake.pump();
    }
  };
  for (const end of [...cuts, stream.length]) {
    const chunk = Buffer.alloc(end - at + 5, 0x55);
    stream.copy(chunk, 2, at, end);
    intake.take(chunk, 2, 2 + end - at);
    chunk.fill(0xaa);
    if (!late) serve();
    at = end;
  }
  serve();
  return { log: target.finish(), inside: intake.insideCopyData };
}

const streams: Readonly<Record<string, readonly Buffer[]>> = {
  queries: [query("SELECT 1"), query(""), query("SELECT 'three'"), terminate],
  batches: [parse("SELECT 1"), bind, execute, sync, parse("x"), flush, bind, execute, sync, sync, flush, flush],
  "queries that keep the server busy": [query("SLOW 1"), query("SLOW 2"), parse("a"), bind, sync, query("SLOW 3"), sync, query("last")],
  "a query behind a batch without Sync": [parse("a"), bind, query("b"), sync],
  "a COPY": [query("COPY"), data("1\n"), data(""), data("x".repeat(100)), flush, sync, data("2\n"), done, query("behind")],
  "COPY data that nobody asked for": [data("lost"), done, query("a"), data("lost"), message(Frontend.COPY_FAIL, "no\0"), query("b")],
  "two COPYs, and a client that goes in the second": [query("COPY"), data("1"), done, query("COPY"), data("2"), terminate],
};

describe.each(Object.keys(streams))("%s", (name) => {
  const stream = Buffer.concat(streams[name] as readonly Buffer[]);
  const whole = run(stream, []);
  const sameWith = (cuts: readonly number[], late: boolean): void => {
    const cut = run(stream, cuts, late);
    if (cut.log.join() !== whole.log.join() || cut.inside !== whole.inside) expect({ cuts, ...cut }).toEqual({ cuts, ...whole });
  };

  test("every byte comes out once and in its place", () => {
    const passed = whole.log
      .filter((entry) => entry !== "end")
      .map((entry) => entry.slice(entry.indexOf(" ") + 1))
      .join("");
    const kept = stream.toString("latin1").split(data("lost").toString("latin1")).join("");
    expect(passed).toBe(kept);
    expect(whole.log.at(-1)).toBe("end");
  });

  test.each([false, true])("cut at every position, and at every two that are up to nine bytes apart (late: %s)", (late) => {
    for (let first = 0; first <= stream.length; first++)
      for (let second = first; second <= Math.min(stream.length, first + 9); second++) sameWith([first, second], late);
  });

  test("byte by byte", () => {
    sameWith(
      Array.from({ length: stream.length }, (_, i) => i),
      false,
    );
  });
});

test("units end behind Sync, Flush or a query, wherever chunks end", () => {
  const stream = Buffer.concat([parse("a"), bind, execute, flush, execute, sync, query("q")]);
  expect(run(stream, []).log).toEqual(
    [Buffer.concat([parse("a"), bind, execute, flush]), Buffer.concat([execute, sync]), query("q")]
      .map((unit) => `unit ${unit.toString("latin1")}`)
      .concat("end"),
  );
});

test("random streams, cut at random", () => {
  let state = 4_711;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
  const pieces: readonly (() => Buffer)[] = [
    () => query(`SELECT ${"x".repeat(random(50))}`),
    () => query(`SLOW ${random(100)}`),
    () => Buffer.concat([parse("a".repeat(random(30))), bind, execute, sync]),
    () => Buffer.concat([parse("b"), flush, bind, execute, sync]),
    () => Buffer.concat([query("COPY"), ...Array.from({ length: random(4) }, () => data("d".repeat(random(80)))), done]),
    () => sync,
  ];
  for (let round = 0; round < 500; round++) {
    const stream = Buffer.concat(Array.from({ length: random(12) + 1 }, () => (pieces[random(pieces.length)] as () => Buffer)()));
    const cuts = Array.from({ length: random(15) }, () => random(stream.length + 1)).sort((a, b) => a - b);
    expect(run(stream, cuts, random(2) === 0)).toEqual(run(stream, []));
  }
});

describe("limits", () => {
  const header = (type: string, length: number): Buffer => {
    const bytes = Buffer.alloc(5);
    bytes.write(type, "latin1");
    bytes.writeInt32BE(length, 1);
    return bytes;
  };

  test.each([
    ["an unknown type", header("?", 4), "invalid frontend message type 0x3f"],
    ["a server's type", header("Z", 5), "invalid frontend message type 0x5a"],
    ["a length below four", header("Q", 3), "invalid message length 3"],
    ["a negative length", header("P", -1), "invalid message length -1"],
    ["a length below four in a batch", Buffer.concat([parse("a"), header("B", 0)]), "invalid message length 0"],
    ["a message above the limit", header("Q", limits.maxMessageBytes + 1), "too large"],
    ["the largest length", header("B", 0x7fffffff), "too large"],
    ["an impossible CopyData", header("d", 2), "invalid message length 2"],
  ])("%s is refused with its header, wherever that is cut", (_, bytes, text) => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(() => run(bytes, [cut])).toThrow(text);
      expect(() => run(Buffer.concat([query("SLOW"), bytes]), [query("SLOW").length + cut])).toThrow(text);
    }
  });

  test("in the middle of COPY only COPY's own messages are taken", () => {
    for (const bytes of [query("SELECT 1"), parse("a"), message(Frontend.FUNCTION_CALL, "x")])
      expect(() => run(Buffer.concat([query("COPY"), data("1"), bytes]), [])).toThrow("during COPY");
  });

  test("the CopyData of a chunk are passed on in one piece, and what ends them by itself", () => {
    const target = new Target();
    target.copyIn = target.passesCopyData = true;
    const intake = new Intake(target, limits, createMemory());
    const row = Buffer.concat([header("d", 8), Buffer.from("row\n")]);
    const done = header("c", 4);
    const chunk = Buffer.concat([row, row, row, done, row.subarray(0, 3)]);
    intake.take(chunk, 0, chunk.length);
    expect([target.pieces, target.log.length]).toEqual([1, 2]);
  });

  test("a message of exactly the limit is taken, and a CopyData of any size", () => {
    const sql = "x".repeat(limits.maxMessageBytes - 5);
    expect(run(query(sql), [100, 5000]).log[0]).toHaveLength("unit ".length + limits.maxMessageBytes + 1);
    const target = new Target();
    const intake = new Intake(target, limits, createMemory());
    for (const bytes of [query("COPY"), header("d", 0x7fffffff), Buffer.alloc(1000)]) intake.take(bytes, 0, bytes.length);
    expect(intake.insideCopyData).toBe(true);
  });

  test("a client that sends ahead is held back above 64 kB, and goes on below", () => {
    const target = new Target();
    const intake = new Intake(target, limits, createMemory());
    const slow = query(`SLOW ${"x".repeat(20_000)}`);
    const taken: boolean[] = [];
    for (let i = 0; i < 6; i++) {
      intake.take(slow, 0, slow.length);
      taken.push(target.full);
    }
    expect(taken).toEqual([false, false, false, false, true, true]);
    const served: boolean[] = [];
    while (target.busy) {
      target.busy = false;
      intake.pump();
      served.push(target.full);
    }
    expect(served).toEqual([true, false, false, false, false, false]);
  });

  test("a message that is not whole does not hold back its own rest", () => {
    const target = new Target();
    const intake = new Intake(target, limits, createMemory());
    const large = query("x".repeat(500_000));
    intake.take(large, 0, 400_000);
    expect(target.full).toBe(false);
    intake.take(large, 400_000, large.length);
    expect(target.log).toHaveLength(1);
  });

  test("a batch without end is handed over in parts of whole messages", () => {
    const target = new Target();
    const intake = new Intake(target, limits, createMemory());
    const piece = parse("x".repeat(10_000));
    for (let i = 0; i < 60; i++) for (let at = 0; at < piece.length; at += 4096) intake.take(piece, at, Math.min(piece.length, at + 4096));
    intake.take(sync, 0, sync.length);
    expect(target.log.length).toBeGreaterThan(2);
    const units = target.log.map((entry) => Buffer.from(entry.slice("unit ".length), "latin1"));
    expect(Buffer.concat(units).equals(Buffer.concat([...Array.from({ length: 60 }, () => piece), sync]))).toBe(true);
    for (const unit of units.slice(0, -1)) expect(unit.length % piece.length).toBe(0);
  });
});

test("what was sent behind the unit that is handed over is known", () => {
  const target = new Target();
  const intake = new Intake(target, limits, createMemory());
  const seen: boolean[] = [];
  target.onUnit = () => void seen.push(intake.hasMore);
  const both = Buffer.concat([query("a"), query("b")]);
  intake.take(both, 0, both.length);
  expect(seen).toEqual([true, false]);
});

test("nothing is left after clear()", () => {
  const target = new Target();
  const intake = new Intake(target, limits, createMemory());
  const both = Buffer.concat([query("SLOW"), query("never")]);
  intake.take(both, 0, both.length);
  intake.clear();
  target.busy = false;
  intake.pump();
  expect(target.log).toHaveLength(1);
});

describe("memory for large messages, of which there is 1 MB", () => {
  const chunk = 65_536;
  const large = query("x".repeat(600_000));
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  function client(memory: MessageMemory): { target: Target; intake: Intake; send: (from: number, to: number) => void } {
    const target = new Target();
    const intake = new Intake(target, limits, memory);
    return { target, intake, send: (from, to) => intake.take(large, from, to) };
  }

  test("who finds none is not read, and goes on when the one before has been served", async () => {
    const memory = createMemory();
    const [first, second] = [client(memory), client(memory)];
    first.send(0, chunk);
    second.send(0, chunk);
    expect([first.target.full, second.target.full, memory.usedBytes]).toEqual([false, true, large.length]);
    first.send(chunk, large.length);
    await turn();
    expect([first.target.log.length, second.target.full, memory.usedBytes]).toEqual([1, false, large.length]);
    second.send(chunk, large.length);
    expect([second.target.log.length, memory.usedBytes]).toEqual([1, 0]);
  });

  test("who holds a server is read whatever others hold: they may wait for that server", () => {
    const memory = createMemory();
    const [first, second] = [client(memory), client(memory)];
    second.target.holdsServer = true;
    first.send(0, chunk);
    second.send(0, chunk);
    expect(second.target.full).toBe(false);
  });

  test("messages up to 64 kB are always read", () => {
    const memory = createMemory();
    memory.take(limits.maxBufferedBytes);
    const { target, intake } = client(memory);
    const small = query("x".repeat(60_000));
    intake.take(small, 0, 30_000);
    expect(target.full).toBe(false);
  });

  test("a message larger than all memory is read when nothing else is there", () => {
    const memory = new MessageMemory({ limit: () => 1000, nowMs: () => 0 });
    const { target, send } = client(memory);
    send(0, chunk);
    expect(target.full).toBe(false);
  });

  test("who leaves gives back what it held and its place", async () => {
    const memory = createMemory();
    const [first, second, third] = [client(memory), client(memory), client(memory)];
    for (const { send } of [first, second, third]) send(0, chunk);
    second.intake.clear();
    first.intake.clear();
    await turn();
    expect([third.target.full, memory.usedBytes, memory.waiting]).toEqual([false, large.length, 0]);
    third.intake.clear();
    expect(memory.usedBytes).toBe(0);
  });

  test("what comes behind a large message does not keep its memory", async () => {
    const memory = createMemory();
    const { target, intake } = client(memory);
    const both = Buffer.concat([large, query("next").subarray(0, 3)]);
    for (let at = 0; at < both.length; at += chunk) intake.take(both, at, Math.min(at + chunk, both.length));
    expect([target.log.length, memory.usedBytes]).toEqual([1, 0]);
    intake.take(query("next"), 3, 10);
    expect(target.log[1]).toBe(`unit ${query("next").toString("latin1")}`);
  });

  test("who waited for longer than anybody may is refused, in the order in which they came", () => {
    let nowMs = 0;
    const memory = new MessageMemory({ limit: () => limits.maxBufferedBytes, nowMs: () => nowMs });
    const [first, second, third] = [client(memory), client(memory), client(memory)];
    first.send(0, chunk);
    second.send(0, chunk);
    nowMs = 50;
    third.send(0, chunk);
    memory.tick(100, 0);
    memory.tick(99, 100);
    expect(second.target.noRoom).toBeNull();
    memory.tick(100, 100);
    expect([first, second, third].map(({ target }) => target.noRoom)).toEqual([null, large.length, null]);
  });

  test("a batch of extended messages counts as far as it is known", () => {
    const memory = createMemory();
    const { intake } = client(memory);
    const parsed = parse("x".repeat(100_000));
    const start = Buffer.concat([parsed, message(Frontend.BIND, Buffer.alloc(300_000)).subarray(0, 100)]);
    intake.take(start, 0, start.length);
    expect(memory.usedBytes).toBe(parsed.length + 300_005);
  });
});
