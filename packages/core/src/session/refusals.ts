// Batches that are refused: the client gets the error, and a transaction that is open fails at its server, too, so that COMMIT
// cannot commit half of it. Also the way back to order: after an error extended messages are passed over until Sync.
import type { PoolerError } from "../base/errors.js";
import { writePoolerError, writeReadyForQuery } from "../protocol/backend.js";
import { Frontend, TransactionStatus } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { Expect, Hide, type ReplyWatcher } from "../server/reply-queue.js";
import type { Server } from "../server/server.js";
import type { Batch } from "./batch.js";
import type { BatchRunner } from "./batch-runner.js";
import { encodeError } from "./client-encoding.js";
import { reportRefused } from "./ending.js";
import { HeldTransaction } from "./held-transaction.js";
import { takeBack } from "./plan-extended.js";
import type { Session } from "./session.js";
import { leavesOpen } from "./session-effects.js";

/** No grammar takes it, so that the server's transaction fails; what stands in the server's log names the cause. */
const poison = "pooler refused the statement of this client";
/** The same for a simple query: it fails when it is run, and leaves the unnamed portal behind as the client's would have. */
const poisonThatRuns = `DEALLOCATE "${poison}"`;
const sync = Buffer.from([Frontend.SYNC, 0, 0, 0, 4]);

export class Refusals {
  /** Extended messages are passed over until Sync. */
  skipping = false;
  readonly #runner: BatchRunner;

  constructor(runner: BatchRunner) {
    this.#runner = runner;
  }

  get session(): Session {
    return this.#runner.session;
  }

  refuse(batch: Batch, error: PoolerError): void {
    if (batch.observed !== null || batch.lastBound !== null) reportRefused(this.session, batch, error.sqlstate, error.message);
    this.refuseWith(batch, messageOf(error, this.session.encoding));
  }

  /** The client gets `message` for its batch; a transaction that is open fails, at the server, too. */
  refuseWith(batch: Batch, message: Buffer): void {
    const { server } = this.session;
    this.session.database.counters.errors++;
    takeBack(this.session, batch);
    const isOrphaned = server === null && this.session.sentAhead && leavesOpen(batch.effects, false);
    this.session.localPortals = null;
    const { answering, simple } = batch;
    const synced = batch.endsWithSync;
    this.#runner.giveBack(batch);
    if (!synced) this.skipping = true;
    if (server !== null && this.session.batchOpen) {
      this.#poisonBatch(server, message);
      if (synced) this.endSkipping();
      return;
    }
    const { reply } = this.session.context;
    if (!answering) reply.reset();
    reply.bytes(message);
    if (server !== null && server.status === TransactionStatus.IN_TRANSACTION) {
      if (synced) writeReadyForQuery(reply, TransactionStatus.FAILED);
      this.#poison(server, reply.toBuffer(), simple ? poisonThatRuns : poison);
      return;
    }
    // What the client has sent behind its BEGIN must not run without the transaction.
    if (isOrphaned) this.session.held ??= HeldTransaction.lost(null);
    this.session.held?.fail();
    if (synced) writeReadyForQuery(reply, this.session.status);
    this.session.sendReply();
  }

  /** Make the server's transaction fail with a statement that nobody can run; the client gets `reply` after that. */
  #poison(server: Server, reply: Buffer, query: string): void {
    const out = this.session.context.request.reset();
    out.begin(Frontend.QUERY).cstring(query).end();
    server.beginUnit(this.session.context.clock.nowMs());
    server.unnamed = null;
    server.replies.push(Expect.QUERY, Hide.ALL_BUT_SETTINGS); // what SET LOCAL changed is as it was
    server.replies.push(Expect.LOCAL, Hide.NOTHING, reply);
    this.#runner.beginPoison(server);
    server.send(out.buffer, 0, out.length);
  }

  /** The same in the middle of a batch: the server's error reaches the client as ours. */
  #poisonBatch(server: Server, message: Buffer): void {
    if (server.replies.skipping) return;
    const out = this.session.context.request.reset();
    writePoison(server, message, out);
    server.send(out.buffer, 0, out.length);
  }

  /** Sync came after an error. */
  endSkipping(): void {
    this.skipping = false;
    const { server } = this.session;
    if (server !== null && this.session.batchOpen) {
      server.replies.push(Expect.SYNC, Hide.NOTHING, null, this.session.held === null ? 0 : this.session.status);
      server.send(sync, 0, sync.length);
      this.session.batchOpen = false;
      this.#runner.syncSent = true;
      return;
    }
    writeReadyForQuery(this.session.context.reply.reset(), this.session.status);
    this.session.sendReply();
  }
}

/** A message that the server cannot take: its error reaches the client as `message`, unless one before it failed. */
export function writePoison(server: Server, message: Buffer, out: MessageWriter): void {
  out.begin(Frontend.PARSE).byte(0).cstring(poison).int16(0).end();
  server.replies.push(Expect.PARSE, Hide.NOTHING, new SubstitutedError(server, message));
}

class SubstitutedError implements ReplyWatcher {
  readonly #server: Server;
  readonly #message: Buffer;

  constructor(server: Server, message: Buffer) {
    this.#server = server;
    this.#message = message;
  }

  done(): void {}

  skipped(failed: boolean): void {
    if (failed) this.#server.substituteError(this.#message);
  }
}

export function messageOf(error: PoolerError, encoding: string): Buffer {
  const writer = new MessageWriter(512);
  writePoolerError(writer, error);
  return encodeError(writer.toBuffer(), encoding);
}
