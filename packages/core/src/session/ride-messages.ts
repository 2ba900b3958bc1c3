// Writes a batch that shares a server with others': under global names, prepared in the same write where the server does not know them,
// and owed exactly one ReadyForQuery. What may be in such a batch is ride.ts's.
import type { ReadError } from "../protocol/backend.js";
import { Frontend } from "../protocol/codes.js";
import type { MessageWriter } from "../protocol/message-writer.js";
import { type GlobalStatement, writeClose } from "../server/global-statement.js";
import { Expect, Hide } from "../server/reply-queue.js";
import type { Server } from "../server/server.js";
import type { Batch, Op } from "./batch.js";
import { HiddenParse, writeBind, writeDescribe } from "./dispatch.js";

export function boardBatch(batch: Batch, server: Server, out: MessageWriter): void {
  server.unnamed = null;
  if (batch.simple) {
    server.replies.push(Expect.QUERY);
    out.bytes(batch.buffer, batch.start, batch.end);
    return;
  }
  const global = globalOf(batch);
  if (global === null) {
    server.replies.push(Expect.UNTIL_READY);
    out.bytes(batch.buffer, batch.start, batch.end);
    return;
  }
  const known = server.prepared.use(global);
  if (known) server.replies.push(Expect.UNTIL_READY);
  else prepare(server, global, out);
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.type === Frontend.BIND) writeBind(batch, op, global, out);
    else if (op.type === Frontend.DESCRIBE && op.statement !== null) writeDescribe(global, out);
    else out.bytes(batch.buffer, op.start, op.end);
    if (!known) server.replies.push(expectOf(op));
  }
}

/** Nothing waits for it by itself: an error in it is the batch's. */
function prepare(server: Server, global: GlobalStatement, out: MessageWriter): void {
  server.evictStatements(out);
  if (server.prepared.add(global)) {
    writeClose(out, global);
    server.replies.push(Expect.CLOSE, Hide.ALL);
  }
  out.bytes(global.parseMessage);
  server.replies.push(Expect.PARSE, Hide.ALL, new HiddenParse(server, global));
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

/** The server has lost the batch's statement, or holds a plan that no longer fits: it is prepared anew next time. */
export function markStale(batch: Batch, server: Server, { sqlstate, message }: ReadError): boolean {
  const global = batch.simple ? null : globalOf(batch);
  if (global === null) return false;
  if (sqlstate !== "26000" && !(sqlstate === "0A000" && message.includes("cached plan must not change result type"))) return false;
  server.prepared.markStale(global);
  return true;
}
