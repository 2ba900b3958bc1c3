// The last unit that was sent with statements prepared earlier, kept so that it can be sent once more when the server turns
// out to have lost them or to hold a plan that no longer fits ("cached plan must not change result type"). Only when no
// transaction was open and the client has seen nothing of it.

import { copyBytes } from "../base/copy-bytes.js";
import type { ReadError } from "../protocol/backend.js";
import type { MessageWriter } from "../protocol/message-writer.js";
import { type GlobalStatement, type PreparedStatements, writeClose } from "./global-statement.js";
import { Expect, type ExpectedReplies, Hide, type ReplyQueue } from "./reply-queue.js";

/** The part of a server that is needed to send a unit again. */
export interface RetryTarget {
  readonly visible: boolean;
  readonly requestAtMs: number;
  readonly prepared: PreparedStatements;
  readonly replies: ReplyQueue;
  readonly writer: MessageWriter;
  beginUnit(nowMs: number): void;
  send(buffer: Buffer, start: number, end: number): boolean;
}

/** Larger units are not kept: their error reaches the client. */
const largestBytes = 64 * 1024;

export class RetryUnit {
  wanted = false;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  /** Null: one UNTIL_READY entry stands for all of the unit's replies. */
  #replies: ExpectedReplies | null = null;
  /** Replies of the failed try that came before its error. */
  #answered = 0;
  /** What the unit uses, and whether its own bytes prepare it. */
  readonly #statements = new Map<GlobalStatement, boolean>();
  /** They are those of an earlier unit: most units use one statement, and the same as the one before. */
  #forgotten = true;
  #onlyStatement: GlobalStatement | null = null;

  /** The unit that is about to be sent, and what is expected in return. */
  remember(buffer: Buffer, start: number, end: number, replies: ExpectedReplies | null): void {
    this.#length = end - start;
    this.#replies = replies;
    if (this.#length > largestBytes) {
      this.#length = 0;
      return;
    }
    if (this.#bytes.length < this.#length) this.#bytes = Buffer.allocUnsafe(Math.max(512, this.#length * 2));
    copyBytes(buffer, start, end, this.#bytes, 0);
  }

  /** The unit uses it; call before remember(). `parsed`: its own bytes prepare it. */
  uses(statement: GlobalStatement, parsed: boolean): void {
    if (this.#forgotten) {
      this.#forgotten = false;
      if (!parsed && this.#onlyStatement === statement) return;
      this.#statements.clear();
      this.#onlyStatement = parsed ? null : statement;
    } else if (this.#onlyStatement !== statement) {
      this.#onlyStatement = null;
    }
    if (!this.#statements.has(statement)) this.#statements.set(statement, parsed);
  }

  get usesStatements(): boolean {
    return !this.#forgotten;
  }

  forget(): void {
    this.#length = 0;
    this.#replies = null;
    this.wanted = false;
    this.#forgotten = true;
  }

  /** An ErrorResponse came: is the unit to be sent again? Otherwise what is stale is at least prepared anew next time. */
  considers(server: RetryTarget, error: ReadError): boolean {
    const stale =
      error.sqlstate === "26000" || (error.sqlstate === "0A000" && error.message.includes("cached plan must not change result type"));
    if (!stale || this.#forgotten) return false;
    if (this.#length === 0 || server.visible) {
      for (const statement of this.#statements.keys()) server.prepared.markStale(statement);
      return false;
    }
    this.wanted = true;
    this.#answered = (this.#replies?.kinds.length ?? 0) - server.replies.size;
    return true;
  }

  /** The server is ready after the failed try. */
  send(server: RetryTarget): void {
    this.wanted = false;
    const { writer } = server;
    writer.reset();
    for (const [statement, parsed] of this.#statements) {
      writeClose(writer, statement);
      server.replies.push(Expect.CLOSE, Hide.ALL);
      if (parsed) continue;
      writer.bytes(statement.parseMessage);
      server.replies.push(Expect.PARSE, Hide.ALL);
    }
    writer.bytes(this.#bytes, 0, this.#length);
    if (this.#replies === null) server.replies.push(Expect.UNTIL_READY);
    else server.replies.addAll(this.#replies, this.#answered);
    this.#length = 0;
    server.beginUnit(server.requestAtMs);
    server.send(writer.buffer, 0, writer.length);
  }
}
