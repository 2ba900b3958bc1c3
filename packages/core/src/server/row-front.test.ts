// What plugins leave of a server's rows must not depend on where the stream is cut, and nothing gets past a plugin that fails.
import { constants } from "@pooler/plugin-abi";
import { describe, expect, test } from "vitest";
import { createFakeClock } from "../base/clock.js";
import { createLogger } from "../base/logger.js";
import type { LoadedPlugin } from "../plugins/chain-plugin.js";
import { openCrashPage } from "../plugins/crash-page.js";
import { HookCaller } from "../plugins/hook-caller.js";
import { RowHook } from "../plugins/row-hook.js";
import { Backend } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { Relay } from "./relay.js";
import { Expect, Hide, ReplyQueue } from "./reply-queue.js";
import { RowExecution, RowFront } from "./row-front.js";
import { UnitTap } from "./unit-tap.js";

const { POOLER_ROW_KEEP, POOLER_ROW_DROP, POOLER_FAILED } = constants;

function message(type: number, body: string | Uint8Array = ""): Buffer {
  const bytes = Buffer.from(body);
  return new MessageWriter(bytes.length + 8).begin(type).bytes(bytes).end().toBuffer();
}

const description = new MessageWriter(64)
  .begin(Backend.ROW_DESCRIPTION)
  .int16(1)
  .cstring("id")
  .int32(0)
  .int16(0)
  .int32(25)
  .int16(-1)
  .int32(-1)
  .int16(0)
  .end()
  .toBuffer();
const row = (text: string): Buffer =>
  new MessageWriter(64).begin(Backend.DATA_ROW).int16(1).int32(text.length).bytes(Buffer.from(text)).end().toBuffer();
const complete = (tag: string): Buffer => message(Backend.COMMAND_COMPLETE, `${tag}\0`);
const ready = (status: string): Buffer => message(Backend.READY_FOR_QUERY, status);
const bound = message(Backend.BIND_COMPLETE);
const suspended = message(Backend.PORTAL_SUSPENDED);
const notice = message(Backend.NOTICE_RESPONSE, "SNOTICE\0Mhello\0\0");

/** A hook whose plugin answers with these statuses in turn, by default that it keeps the row. */
function hookThat(statuses: readonly number[]): RowHook {
  let next = 0;
  const nothing = null;
  const plugin: LoadedPlugin = {
    description: {
      name: "p",
      library: "",
      pluginName: "p",
      version: "",
      abi: "1.0",
      minHostMinor: 0,
      sdk: "",
      hooks: ["result_row"],
      capabilities: [],
      capabilityBits: 0,
      grammar: { min: 0, max: 0 },
    } as LoadedPlugin["description"],
    onError: "skip",
    exports: {
      routeQuery: nothing,
      fetchOutput: nothing,
      learnStatement: nothing,
      forgetStatement: nothing,
      hooks: {
        client_connect: nothing,
        client_disconnect: nothing,
        server_connect: nothing,
        query_end: nothing,
        reload: nothing,
        result_row: () => statuses[next++] ?? POOLER_ROW_KEEP,
      },
    } as LoadedPlugin["exports"],
    state: 0n,
    destroy() {},
  } as LoadedPlugin;
  const log = createLogger({ level: "error", format: "json", write: () => {} });
  const caller = new HookCaller(plugin, 0, openCrashPage(null), createFakeClock(), log);
  const session = {
    id: 1,
    user: "u",
    database: "d",
    applicationName: "",
    clientAddress: "",
    clientEncoding: "UTF8",
    tls: false,
    generation: 0,
    encoded: null,
  };
  return new RowHook({ queryId: 1, session, readers: [{ caller, cookieLow: 0, cookieHigh: 0, statementId: 1 }] });
}

interface Run {
  /** What the client gets. */
  readonly shown: Buffer;
  /** What the server is sent. */
  readonly sent: string[];
  readonly retired: boolean;
}

/** `expected`: fills the queue. Each of `chunks` is one read. */
function runThrough(chunks: readonly Buffer[], expected: (queue: ReplyQueue, front: RowFront) => void): Run {
  const shown: Buffer[] = [];
  const sent: string[] = [];
  const queue = new ReplyQueue();
  const relay = new Relay(queue, {
    passesNotifications: false,
    deliver: (buffer, start, end) => void shown.push(Buffer.from(buffer.subarray(start, end))),
    deliverLocal: (reply) => void shown.push(reply),
    onReady: () => {},
    runsAgain: () => false,
    onError: () => true,
    onParameterStatus: () => {},
    onCopyIn: () => {},
  });
  const target = {
    retired: false,
    send: (buffer: Buffer, start: number, end: number) => sent.push(buffer.latin1Slice(start, end)) > 0,
    pass: (buffer: Buffer, start: number, end: number) => relay.read(buffer, start, end),
  };
  const front = new RowFront(relay, queue, target);
  front.begin(null);
  expected(queue, front);
  for (const chunk of chunks) front.read(chunk, 0, chunk.length);
  return { shown: Buffer.concat(shown), sent, retired: target.retired };
}

/** In one piece, cut at every byte, and byte by byte. */
function everySplit(stream: Buffer): Buffer[][] {
  const cuts = Array.from({ length: stream.length - 1 }, (_, i) => [stream.subarray(0, i + 1), stream.subarray(i + 1)]);
  return [[stream], ...cuts, Array.from(stream, (_, i) => stream.subarray(i, i + 1))];
}

function simple(statuses: readonly number[]): (queue: ReplyQueue, front: RowFront) => void {
  return (queue, front) => {
    queue.push(Expect.QUERY, Hide.ALL); // a held BEGIN
    queue.push(Expect.QUERY);
    front.begin([null, hookThat(statuses)]);
  };
}

const held = [complete("BEGIN"), ready("T")];

describe("a simple query", () => {
  const rows = ["a", "b", "c"].map(row);

  test("loses the rows that a plugin drops, of its own statement alone", () => {
    const stream = Buffer.concat([
      ...held,
      description,
      row("x"),
      complete("SELECT 1"),
      notice,
      description,
      ...rows,
      complete("SELECT 3"),
      ready("T"),
    ]);
    const left = Buffer.concat([
      description,
      row("x"),
      complete("SELECT 1"),
      notice,
      description,
      row("a"),
      row("c"),
      complete("SELECT 2"),
      ready("T"),
    ]);
    for (const chunks of everySplit(stream))
      expect(runThrough(chunks, simple([POOLER_ROW_KEEP, POOLER_ROW_DROP]))).toEqual({ shown: left, sent: [], retired: false });
  });

  test("shows nothing behind a failure, and its transaction fails at the server", () => {
    const failing = [
      ...held,
      description,
      complete("SELECT 0"),
      description,
      ...rows,
      complete("SELECT 3"),
      description,
      row("secret"),
      complete("SELECT 1"),
      ready("T"),
    ];
    const poisoned = [message(Backend.ERROR_RESPONSE, "SERROR\0C42601\0Msyntax\0\0"), ready("E")];
    for (const chunks of everySplit(Buffer.concat([...failing, ...poisoned]))) {
      const { shown, sent, retired } = runThrough(chunks, simple([POOLER_ROW_KEEP, POOLER_FAILED]));
      expect(shown.latin1Slice()).toContain('Mplugin "p" failed: it gave no reason');
      expect(shown.includes("secret")).toBe(false);
      expect(shown.includes(row("b"))).toBe(false);
      expect(shown.subarray(-6)).toEqual(ready("E"));
      expect(sent).toEqual([expect.stringContaining("a plugin failed at a row")]);
      expect(retired).toBe(true);
    }
  });

  test("does not wait for data that nobody will send after a failure", () => {
    const stream = Buffer.concat([
      ...held,
      description,
      complete("SELECT 0"),
      description,
      row("a"),
      complete("SELECT 1"),
      message(Backend.COPY_IN_RESPONSE, "\0\0\0"),
    ]);
    expect(runThrough([stream], simple([POOLER_FAILED])).sent).toEqual([expect.stringMatching(/^f/)]);
  });

  test("refuses COPY TO that begins all the same", () => {
    const stream = Buffer.concat([
      ...held,
      complete("SET"),
      message(Backend.COPY_OUT_RESPONSE, "\0\0\0"),
      message(Backend.COPY_DATA, "secret"),
      ready("I"),
    ]);
    for (const chunks of everySplit(stream)) {
      const { shown } = runThrough(chunks, simple([]));
      expect(shown.latin1Slice()).toContain("C0A000");
      expect(shown.includes("secret")).toBe(false);
    }
  });
});

describe("an execution", () => {
  const expected = (statuses: readonly number[]) => (queue: ReplyQueue) => {
    const hook = hookThat(statuses);
    hook.describe(description, 5, description.length);
    queue.push(Expect.BIND);
    queue.push(Expect.EXECUTE, Hide.NOTHING, new RowExecution(hook, "p"));
    queue.push(Expect.SYNC);
  };

  test("that was suspended goes on until the client has its rows", () => {
    const first = [bound, row("a"), row("b"), suspended, ready("T")];
    const more = [row("c"), suspended, ready("T")];
    const { shown, sent } = runThrough([Buffer.concat(first), Buffer.concat(more)], expected([POOLER_ROW_DROP]));
    expect(shown).toEqual(Buffer.concat([bound, row("b"), row("c"), suspended, ready("T")]));
    expect(sent).toEqual(["E\0\0\0\x0ap\0\0\0\0\x01S\0\0\0\x04"]);
  });

  test("that was suspended outside a transaction has nothing to go on with", () => {
    for (const chunks of everySplit(Buffer.concat([bound, row("a"), row("b"), suspended, ready("I")]))) {
      const { shown, sent } = runThrough(chunks, expected([POOLER_ROW_DROP]));
      expect(shown).toEqual(Buffer.concat([bound, row("b"), suspended, ready("I")]));
      expect(sent).toEqual([]);
    }
  });

  test("whose columns nobody has told lets no row past", () => {
    const { shown } = runThrough([Buffer.concat([bound, row("secret"), complete("SELECT 1"), ready("I")])], (queue) => {
      queue.push(Expect.BIND);
      queue.push(Expect.EXECUTE, Hide.NOTHING, new RowExecution(hookThat([]), ""));
      queue.push(Expect.SYNC);
    });
    expect(shown.latin1Slice()).toContain("the columns of its rows are not known");
    expect(shown.includes("secret")).toBe(false);
  });
});

test("a tap hears the same ends wherever the stream is cut", () => {
  const failure = message(Backend.ERROR_RESPONSE, "SERROR\0VERROR\0C22012\0Mdivision by zero\0\0");
  const stream = Buffer.concat([
    ...held,
    description,
    row("a"),
    complete("SELECT 1"),
    notice,
    row("b"),
    row("c"),
    suspended,
    complete("INSERT 0 7"),
    failure,
    ready("I"),
  ]);
  for (const chunks of everySplit(stream)) {
    const tap = new UnitTap(createFakeClock());
    tap.begin(1);
    for (const chunk of chunks) tap.read(chunk, 0, chunk.length);
    expect(tap.take().map(({ tag, rows, suspended: more, sqlstate, message: text }) => [tag, rows, more, sqlstate, text])).toEqual([
      ["SELECT 1", 1, false, null, null],
      [null, 2, true, null, null],
      ["INSERT 0 7", 7, false, null, null],
      [null, 0, false, "22012", "division by zero"],
    ]);
  }
});
