// The messages of a batch that shares a server, as they are written and answered there: prepared where the server lacks its statement, and
// prepared anew once the server has said that what it has is of no use.
import { expect, test } from "vitest";
import { createPoolRig, type HostWire } from "../../fixtures/pool-rig.js";
import { says } from "../../fixtures/riding-rig.js";
import type { ReadError } from "../protocol/backend.js";
import { Backend, Frontend } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { createGlobalStatement, type GlobalStatement } from "../server/global-statement.js";
import type { Server } from "../server/server.js";
import { Batch } from "./batch.js";
import { KindTable } from "./kind-table.js";
import { boardBatch, markStale } from "./ride-messages.js";
import { noSettings } from "./settings.js";
import { SharedTexts } from "./shared-texts.js";

const stale: ReadError = { severity: "ERROR", sqlstate: "26000", message: 'prepared statement "pooler_1" does not exist' };
const bare = (type: number): Buffer => Buffer.from([type, 0, 0, 0, 4]);
const parsed = bare(Backend.PARSE_COMPLETE);
const closed = bare(Backend.CLOSE_COMPLETE);
/** What the server says of Bind, Execute and Sync. */
const result = Buffer.concat([bare(Backend.BIND_COMPLETE), says.row("one"), says.complete, says.ready()]);

/** Bind, Execute and Sync of a statement that the client has prepared before. */
function batchOf(global: GlobalStatement): Batch {
  const out = new MessageWriter(128);
  const starts = [0];
  out.begin(Frontend.BIND).cstring("").cstring("client's").int16(0).int16(0).int16(0).end();
  starts.push(out.length);
  out.begin(Frontend.EXECUTE).cstring("").int32(0).end();
  starts.push(out.length);
  out.begin(Frontend.SYNC).end();
  starts.push(out.length);
  const batch = new Batch();
  batch.begin(out.toBuffer(), 0, out.length);
  [Frontend.BIND, Frontend.EXECUTE, Frontend.SYNC].forEach((type, i) => {
    const op = batch.addOp(type, starts[i] as number, starts[i + 1] as number);
    if (type !== Frontend.BIND) return;
    op.global = global;
    op.restStart = 5 + 1 + "client's\0".length;
  });
  return batch;
}

/** A server that is lent, and what reaches those who share it. */
function lentServer(): { readonly server: Server; readonly wire: HostWire; shown(): string } {
  const { acquire, host } = createPoolRig();
  const client = acquire();
  host.settle();
  let shown = "";
  client.lessee.deliver = (buffer, start, end) => {
    shown += letters(buffer.subarray(start, end));
    return true;
  };
  return {
    server: client.server as Server,
    wire: host.wires[0] as HostWire,
    shown: () => {
      const before = shown;
      shown = "";
      return before;
    },
  };
}

/** The types of the messages. */
function letters(bytes: Buffer): string {
  let found = "";
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1)) found += bytes.latin1Slice(at, at + 1);
  return found;
}

test("a statement that the server does not know is prepared in the same write, once", () => {
  const { server, wire, shown } = lentServer();
  const batch = batchOf(createGlobalStatement(Buffer.from("SELECT 1"), []));
  const out = new MessageWriter(256);
  // Two clients' in one turn: what the first one has prepared is there for the second.
  boardBatch(batch, server, out);
  boardBatch(batch, server, out);
  expect([letters(out.toBuffer()), wire.heard()]).toEqual(["PBESBES", []]);
  wire.say(Buffer.concat([parsed, result, result]));
  expect([shown(), server.replies.empty]).toEqual(["2DCZ2DCZ", true]);
});

test("a statement that was prepared in vain is prepared again, and the error is its own batch's", () => {
  const { server, wire, shown } = lentServer();
  const batch = batchOf(createGlobalStatement(Buffer.from("SELECT nothing"), []));
  const out = new MessageWriter(256);
  boardBatch(batch, server, out);
  wire.say(Buffer.concat([says.error("42703", "no such column"), says.ready()]));
  expect([shown(), server.replies.empty]).toEqual(["EZ", true]);
  out.reset();
  boardBatch(batch, server, out);
  expect(letters(out.toBuffer())).toBe("PBES");
});

test.each<[string, ReadError]>([
  ["has lost", stale],
  ["has a plan for that fits no more", { severity: "ERROR", sqlstate: "0A000", message: "cached plan must not change result type" }],
])("a statement that the server %s is prepared anew", (_, error) => {
  const { server, wire, shown } = lentServer();
  const batch = batchOf(createGlobalStatement(Buffer.from("SELECT 1"), []));
  const out = new MessageWriter(256);
  boardBatch(batch, server, out);
  wire.say(Buffer.concat([parsed, result]));
  shown();
  expect(markStale(batch, server, error)).toBe(true);
  out.reset();
  boardBatch(batch, server, out);
  expect(letters(out.toBuffer())).toBe("CPBES");
  wire.say(Buffer.concat([closed, parsed, result]));
  expect([shown(), server.replies.empty]).toEqual(["2DCZ", true]);
});

test("any other error says nothing of the statement", () => {
  const { server, wire } = lentServer();
  const batch = batchOf(createGlobalStatement(Buffer.from("SELECT 1"), []));
  const out = new MessageWriter(256);
  boardBatch(batch, server, out);
  wire.say(Buffer.concat([parsed, result]));
  for (const error of [
    { ...stale, sqlstate: "22012" },
    { ...stale, sqlstate: "0A000" },
  ])
    expect(markStale(batch, server, error)).toBe(false);
  out.reset();
  boardBatch(batch, server, out);
  expect(letters(out.toBuffer())).toBe("BES");
});

/** A simple query whose text is known, and so prepared. */
function queryOf(texts: SharedTexts, sql: string): Batch {
  const batch = new Batch();
  const buffer = Buffer.from(`    Q....${sql}\0`);
  batch.begin(buffer, 4, buffer.length);
  batch.simple = true;
  for (let i = 0; i < 2; i++) texts.findQuery(batch, 9, buffer.length - 1, noSettings.reading);
  return batch;
}

const newTexts = (): SharedTexts => new SharedTexts(new KindTable({ functions: new Set(), never: new Set() }), 10);
const described = Buffer.from([Backend.ROW_DESCRIPTION, 0, 0, 0, 6, 0, 0]);
const rows = Buffer.concat([bare(Backend.BIND_COMPLETE), described, says.row("one"), says.complete, says.ready()]);

test("a simple query whose text came before is prepared once, run with its values, and answered as a simple query", () => {
  const { server, wire, shown } = lentServer();
  const texts = newTexts();
  const out = new MessageWriter(256);
  boardBatch(queryOf(texts, "SELECT a FROM t WHERE b = 'it''s' AND c > 7"), server, out);
  boardBatch(queryOf(texts, "SELECT a FROM t WHERE b = '' AND c > 12"), server, out);
  const sent = out.toBuffer();
  expect(letters(sent)).toBe("PBDESBDES");
  expect(sent.latin1Slice()).toContain("SELECT a FROM t WHERE b = $1 AND c > $2\0\0\x02\0\0\0\0\0\0\0\x17");
  expect(sent.latin1Slice()).toContain("\0\0\0\x02\0\0\0\x04it's\0\0\0\x017\0\0");
  expect(sent.latin1Slice()).toContain("\0\0\0\x02\0\0\0\0\0\0\0\x0212\0\0");
  wire.say(Buffer.concat([parsed, rows, rows]));
  expect([shown(), server.replies.empty]).toEqual(["TDCZTDCZ", true]);
});

test.each<[string, string, string]>([
  ["while it was prepared: it is not to be prepared again", "", "Q"],
  ["with its values: it is prepared anew", "1", "CPBDES"],
  ["with a statement that was there before: it is prepared anew", "before", "CPBDES"],
])("a simple query that failed runs again as it came; %s", (_, succeeded, next) => {
  const { server, wire } = lentServer();
  const texts = newTexts();
  const out = new MessageWriter(256);
  const batch = queryOf(texts, "SELECT a FROM t WHERE b = 1");
  if (succeeded === "before") {
    boardBatch(queryOf(texts, "SELECT a FROM t WHERE b = 2"), server, out);
    server.beginUnit(1);
    wire.say(Buffer.concat([parsed, rows]));
  }
  server.beginUnit(1);
  boardBatch(batch, server, out);
  if (succeeded === "1") wire.say(parsed);
  expect(markStale(batch, server, { ...stale, sqlstate: "42803" })).toBe(true);
  out.reset();
  boardBatch(queryOf(texts, "SELECT a FROM t WHERE b = 3"), server, out);
  expect(letters(out.toBuffer())).toBe(next);
});

test("a simple query of which something was shown does not run again", () => {
  const { server, wire } = lentServer();
  const texts = newTexts();
  const out = new MessageWriter(256);
  const batch = queryOf(texts, "SELECT a FROM t WHERE b = 1");
  boardBatch(batch, server, out);
  server.beginUnit(1);
  wire.say(Buffer.concat([parsed, bare(Backend.BIND_COMPLETE), described, says.row("one")]));
  expect(markStale(batch, server, { ...stale, sqlstate: "22012" })).toBe(false);
});

test.each([
  ["ERROR", "57014"],
  ["ERROR", "53200"],
  ["ERROR", "40P01"],
  ["ERROR", "55P03"],
  ["FATAL", "XX000"],
])("an error that has nothing to do with being prepared is the client's: %s %s", (severity, sqlstate) => {
  const { server, wire } = lentServer();
  const out = new MessageWriter(256);
  const batch = queryOf(newTexts(), "SELECT a FROM t WHERE b = 1");
  server.beginUnit(1);
  boardBatch(batch, server, out);
  wire.say(parsed);
  expect(markStale(batch, server, { ...stale, severity, sqlstate })).toBe(false);
});
