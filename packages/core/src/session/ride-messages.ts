// Writes a batch that shares a server with others': under global names, prepared in the same write where the server does not know them,
// and owed exactly one ReadyForQuery. What may be in such a batch is ride.ts's.
import type { ReadError } from "../protocol/backend.js";
import { Frontend } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { type GlobalStatement, writeClose } from "../server/global-statement.js";
import { Expect, Hide } from "../server/reply-queue.js";
import type { Server } from "../server/server.js";
import { stringLength } from "../sql/parameterize.js";
import type { Batch, Op } from "./batch.js";
import { HiddenParse, writeBind, writeDescribe } from "./dispatch.js";
import { type SharedText, valueFields } from "./shared-texts.js";

/** True: the client is owed a ParseComplete in front of what comes. */
export function boardBatch(batch: Batch, server: Server, out: MessageWriter): boolean {
  server.unnamed = null;
  batch.preparedAs = batch.text?.refused === false ? batch.text.statement : null;
  batch.preparedHere = false;
  const global = batch.preparedAs ?? (batch.simple ? null : globalOf(batch));
  if (global === null) {
    server.replies.push(batch.simple ? Expect.QUERY : Expect.UNTIL_READY);
    out.bytes(batch.buffer, batch.start, batch.end);
    return false;
  }
  if (batch.simple) {
    boardQuery(batch, global, server, out);
    return false;
  }
  const known = server.prepared.use(global);
  const parses = batch.preparedAs !== null;
  batch.preparedHere = !known;
  if (known) server.replies.push(Expect.UNTIL_READY);
  else prepare(server, global, parses ? Hide.NOTHING : Hide.ALL, out);
  for (let i = parses ? 1 : 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.type === Frontend.BIND) writeBind(batch, op, global, out);
    else if (op.type === Frontend.DESCRIBE && op.statement !== null) writeDescribe(global, out);
    else out.bytes(batch.buffer, op.start, op.end);
    if (!known) server.replies.push(expectOf(op));
  }
  return known && parses;
}

/** A simple query as a prepared statement with its values: rows in text, and nothing in the answer that a simple query's has not. */
function boardQuery(batch: Batch, global: GlobalStatement, server: Server, out: MessageWriter): void {
  const { replies } = server;
  batch.preparedHere = !server.prepared.use(global);
  if (batch.preparedHere) prepare(server, global, Hide.ALL, out);
  const { buffer, start } = batch;
  const values = batch.values as Int32Array;
  const count = global.typeOids.length;
  out.begin(Frontend.BIND).byte(0).bytes(global.nameBytes).byte(0).int16(0).int16(count);
  for (let i = 0, at = 0; i < count; i++, at += valueFields) {
    const from = start + (values[at] as number);
    const to = start + (values[at + 1] as number);
    if (values[at + 2] === 0) writeString(buffer, from, to, out);
    else out.int32(to - from).bytes(buffer, from, to);
  }
  out.int16(0).end().bytes(describeExecuteSync);
  replies.push(Expect.BIND, Hide.ALL);
  replies.push(Expect.DESCRIBE_PORTAL);
  replies.push(Expect.EXECUTE);
  replies.push(Expect.SYNC);
}

function writeString(buffer: Buffer, start: number, end: number, out: MessageWriter): void {
  const length = stringLength(buffer, start, end);
  out.int32(length);
  if (length === end - start) {
    out.bytes(buffer, start, end);
    return;
  }
  for (let i = start; i < end; i++) {
    out.byte(buffer[i] as number);
    if (buffer[i] === 0x27 /* ' */) i++;
  }
}

/** Of the unnamed portal, to its end. */
const describeExecuteSync = new MessageWriter(64)
  .begin(Frontend.DESCRIBE)
  .byte(0x50 /* P: a portal */)
  .byte(0)
  .end()
  .begin(Frontend.EXECUTE)
  .byte(0)
  .int32(0)
  .end()
  .begin(Frontend.SYNC)
  .end()
  .toBuffer();

/** Nothing waits for it by itself: an error in it is the batch's. */
function prepare(server: Server, global: GlobalStatement, hide: number, out: MessageWriter): void {
  server.evictStatements(out);
  if (server.prepared.add(global)) {
    writeClose(out, global);
    server.replies.push(Expect.CLOSE, Hide.ALL);
  }
  out.bytes(global.parseMessage);
  server.replies.push(Expect.PARSE, hide, new HiddenParse(server, global));
}

function expectOf(op: Op): number {
  switch (op.type) {
    case Frontend.BIND:
      return Expect.BIND;
    case Frontend.DESCRIBE:
      return op.statement === null ? Expect.DESCRIBE_PORTAL : Expect.DESCRIBE_STATEMENT;
    case Frontend.EXECUTE:
      return Expect.EXECUTE;
    default:
      return Expect.SYNC;
  }
}

/** The named statement that the batch runs; null: it brings its own. */
function globalOf(batch: Batch): GlobalStatement | null {
  const first = batch.ops[0] as Op;
  return first.type === Frontend.BIND ? first.global : null;
}

/**
 * Classes of errors that no way of running a statement brings about: cancelled or shut down (57), out of something (53), in conflict
 * with other transactions (40) or locks (55), the system (58), the transaction's state (25).
 */
const foreignTroubles: ReadonlySet<string> = new Set(["25", "40", "53", "55", "57", "58"]);

/** A value that is none of its parameter's type: what is prepared is as good as before. */
const valueTroubles: ReadonlySet<string> = new Set(["22P02", "22P03", "22003", "22007", "22008", "08P01"]);

/**
 * May the error be due to how the batch's statement was prepared, or to when? Then it is prepared anew next time, and the batch is to
 * run once more, as it came.
 */
export function markStale(batch: Batch, server: Server, { severity, sqlstate, message }: ReadError): boolean {
  const { preparedAs, preparedHere } = batch;
  if (preparedAs !== null) {
    if (server.visible || severity !== "ERROR" || foreignTroubles.has(sqlstate.slice(0, 2))) return false;
    // It is no statement, or none with parameters in the place of values.
    if (preparedHere && !server.prepared.knows(preparedAs)) (batch.text as SharedText).refused = true;
    if (!valueTroubles.has(sqlstate)) server.prepared.markStale(preparedAs);
    return true;
  }
  const global = batch.simple ? null : globalOf(batch);
  if (global === null) return false;
  if (sqlstate !== "26000" && !(sqlstate === "0A000" && message.includes("cached plan must not change result type"))) return false;
  server.prepared.markStale(global);
  return true;
}
