// In front of the relay while rows are shown to plugins: takes the server's stream apart message by message, and hands on what the
// plugins leave of it, so that the relay sees a stream as any other. After a failure nothing more of the unit gets past.
//
//   server ─▶ front ─▶ relay ─▶ client        D: kept, changed, dropped     C: its count follows     s: rows that were dropped are made up for
//
// Knows nothing of sessions; what plugins say of a row is behind RowHook.
import { PoolerError } from "../base/errors.js";
import type { RowHook } from "../plugins/row-hook.js";
import { writePoolerError } from "../protocol/backend.js";
import { Backend, Frontend, HEADER_BYTES, TransactionStatus } from "../protocol/codes.js";
import { MessageWriter, readInt32 } from "../protocol/message-writer.js";
import type { Relay } from "./relay.js";
import { Expect, type ReplyQueue, type ReplyWatcher } from "./reply-queue.js";

/** A row has to be seen whole. */
const largestMessageBytes = 64 << 20;
/** No grammar takes it: the transaction fails. */
const poison = (() => new MessageWriter(64).begin(Frontend.QUERY).cstring("a plugin failed at a row").end().toBuffer())();
const copyFail = new MessageWriter(64).begin(Frontend.COPY_FAIL).cstring("a plugin failed at a row before").end().toBuffer();
const nothing = Buffer.alloc(0);

/** Goes with an Execute in the queue of expected replies. */
export class RowExecution implements ReplyWatcher {
  readonly hook: RowHook;
  /** Byte for byte. */
  readonly portal: string;

  constructor(hook: RowHook, portal: string) {
    this.hook = hook;
    this.portal = portal;
  }

  done(): void {}

  skipped(): void {}
}

export interface RowFrontTarget {
  /** To the server. */
  send(buffer: Buffer, start: number, end: number): boolean;
  /** On to the relay. */
  pass(buffer: Buffer, start: number, end: number): void;
  /** What was expected behind a failure does not come: the connection must not be lent again. */
  retired: boolean;
}

export class RowFront {
  readonly #relay: Relay;
  readonly #queue: ReplyQueue;
  readonly #target: RowFrontTarget;
  /** For each statement of the simple query that runs: who sees its rows. */
  #simple: readonly (RowHook | null)[] | null = null;
  /** Which statement of the simple query is answered now. */
  #statement = 0;
  /** A message whose end has not come: as much space as it takes, as soon as that is known. */
  #kept: Buffer = nothing;
  #keptBytes = 0;
  readonly #rows = new MessageWriter(16 << 10);
  /** Rows that the execution at hand has lost. */
  #dropped = 0;
  /** PortalSuspended, and whose, while it is seen whether the rows that were dropped can be made up for. */
  #suspended: RowExecution | null = null;
  #failed = false;
  #poisoned = false;
  #reading = false;

  constructor(relay: Relay, queue: ReplyQueue, target: RowFrontTarget) {
    this.#relay = relay;
    this.#queue = queue;
    this.#target = target;
  }

  /** It may be taken away. */
  get idle(): boolean {
    return !this.#reading && this.#keptBytes === 0 && !this.#failed;
  }

  /** A unit begins. `simple`: hooks for the statements of a simple query; null for extended messages. */
  begin(simple: readonly (RowHook | null)[] | null): void {
    this.#simple = simple;
    this.#statement = 0;
    this.#dropped = 0;
  }

  read(chunk: Buffer, from: number, end: number): void {
    let at = from;
    // It may have come in the middle of what a server says at any time.
    if (this.#keptBytes === 0) while (at < end && !this.#relay.atBoundary) this.#target.pass(chunk, at, ++at);
    this.#reading = true;
    try {
      while (at < end) {
        if (this.#keptBytes > 0) {
          at = this.#keep(chunk, at, end);
          continue;
        }
        const stop = end - at < HEADER_BYTES ? Number.POSITIVE_INFINITY : at + 1 + checkLength(readInt32(chunk, at + 1));
        if (stop > end) {
          at = this.#keep(chunk, at, end);
          continue;
        }
        this.#take(chunk, at, stop);
        at = stop;
      }
      this.#flush();
    } finally {
      this.#reading = false;
      this.#rows.reset();
    }
  }

  /** More of a message that comes in pieces; takes it when it is whole. Returns the position behind what was used. */
  #keep(chunk: Buffer, start: number, end: number): number {
    const wanted = this.#keptBytes < HEADER_BYTES ? HEADER_BYTES : 1 + readInt32(this.#kept, 1);
    if (this.#kept.length < wanted) {
      const larger = Buffer.allocUnsafe(wanted);
      this.#kept.copy(larger, 0, 0, this.#keptBytes);
      this.#kept = larger;
    }
    const taken = Math.min(wanted - this.#keptBytes, end - start);
    this.#keptBytes += chunk.copy(this.#kept, this.#keptBytes, start, start + taken);
    if (this.#keptBytes >= HEADER_BYTES && this.#keptBytes === 1 + checkLength(readInt32(this.#kept, 1))) {
      const whole = this.#kept;
      this.#kept = nothing;
      this.#keptBytes = 0;
      this.#take(whole, 0, whole.length);
    }
    return start + taken;
  }

  #take(buffer: Buffer, start: number, end: number): void {
    const type = buffer[start] as number;
    if (this.#failed) {
      this.#swallow(type, buffer, start, end);
      return;
    }
    if (this.#suspended !== null) {
      this.#resume(this.#suspended, type, buffer, start, end);
      return;
    }
    const hook = this.#hook();
    switch (type) {
      case Backend.DATA_ROW:
        if (hook === null) break;
        this.#takeRow(hook, buffer, start, end);
        return;
      case Backend.ROW_DESCRIPTION:
        if (this.#simple !== null) hook?.describe(buffer, start + HEADER_BYTES, end);
        break;
      case Backend.COPY_OUT_RESPONSE:
      case Backend.COPY_BOTH_RESPONSE:
        if (hook === null) break;
        this.#fail(copyRefusal(hook.plugin));
        return;
      case Backend.COMMAND_COMPLETE:
        if (this.#simple !== null && this.#queue.headKind === Expect.QUERY && this.#isVisible()) this.#statement++;
        if (this.#dropped === 0) break;
        this.#feedTag(buffer, start, end);
        return;
      case Backend.PORTAL_SUSPENDED: {
        const execution = this.#queue.headPayload;
        if (this.#dropped === 0 || !(execution instanceof RowExecution) || !this.#onlySyncFollows()) break;
        this.#suspended = execution;
        return;
      }
    }
    this.#feed(buffer, start, end);
  }

  /** Who sees the rows that come now. */
  #hook(): RowHook | null {
    if (this.#simple !== null) {
      if (this.#queue.headKind !== Expect.QUERY || !this.#isVisible()) return null;
      // More answers than statements: whoever sees one sees the rest.
      return this.#simple[Math.min(this.#statement, this.#simple.length - 1)] ?? null;
    }
    const payload = this.#queue.headPayload;
    return payload instanceof RowExecution ? payload.hook : null;
  }

  #isVisible(): boolean {
    return (this.#queue.headHide & 1) === 0;
  }

  #takeRow(hook: RowHook, buffer: Buffer, start: number, end: number): void {
    try {
      if (!hook.read(buffer, start, end, this.#rows)) this.#dropped++;
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      this.#fail(error);
      return;
    }
    if (this.#rows.length >= 64 << 10) this.#flush();
  }

  /** "SELECT 5" of which two were dropped: "SELECT 3". What a statement changed it has changed, whoever sees it. */
  #feedTag(buffer: Buffer, start: number, end: number): void {
    const tag = buffer.latin1Slice(start + HEADER_BYTES, end - 1);
    const counted = /^(SELECT|FETCH) (\d+)$/.exec(tag);
    const dropped = this.#dropped;
    this.#dropped = 0;
    if (counted === null) {
      this.#feed(buffer, start, end);
      return;
    }
    const count = Math.max(0, Number(counted[2]) - dropped);
    const message = new MessageWriter(64).begin(Backend.COMMAND_COMPLETE).cstring(`${counted[1]} ${count}`).end().toBuffer();
    this.#feed(message, 0, message.length);
  }

  #onlySyncFollows(): boolean {
    return this.#queue.size === 2 && this.#queue.copy(1).kinds[0] === Expect.SYNC;
  }

  /** The portal was suspended with fewer rows than the client wanted. In a transaction there may be more of them. */
  #resume(execution: RowExecution, type: number, buffer: Buffer, start: number, end: number): void {
    if (type !== Backend.READY_FOR_QUERY) {
      this.#feed(buffer, start, end);
      return;
    }
    this.#suspended = null;
    const dropped = this.#dropped;
    this.#dropped = 0;
    if (buffer[start + HEADER_BYTES] === TransactionStatus.IN_TRANSACTION) {
      const out = new MessageWriter(64);
      out.begin(Frontend.EXECUTE).bytes(Buffer.from(execution.portal, "latin1")).byte(0).int32(dropped).end();
      out.begin(Frontend.SYNC).end();
      this.#target.send(out.buffer, 0, out.length);
      return;
    }
    const message = Buffer.from([Backend.PORTAL_SUSPENDED, 0, 0, 0, 4]);
    this.#feed(message, 0, message.length);
    this.#feed(buffer, start, end);
  }

  /** The client gets this, and nothing more of the unit. */
  #fail(error: PoolerError): void {
    const writer = new MessageWriter(512);
    writePoolerError(writer, error);
    const message = writer.toBuffer();
    this.#failed = true;
    // Prepared statements and the like behind it are taken for skipped, which the server knows nothing of.
    this.#target.retired = true;
    this.#feed(message, 0, message.length);
  }

  #swallow(type: number, buffer: Buffer, start: number, end: number): void {
    if (type === Backend.PARAMETER_STATUS) {
      this.#feed(buffer, start, end);
      return;
    }
    if (type === Backend.COPY_IN_RESPONSE) this.#target.send(copyFail, 0, copyFail.length);
    if (type !== Backend.READY_FOR_QUERY) return;
    if (buffer[start + HEADER_BYTES] === TransactionStatus.IN_TRANSACTION && !this.#poisoned) {
      // Or COMMIT would commit half of it.
      this.#poisoned = true;
      this.#target.send(poison, 0, poison.length);
      return;
    }
    this.#failed = false;
    this.#poisoned = false;
    this.#feed(buffer, start, end);
  }

  #feed(buffer: Buffer, start: number, end: number): void {
    this.#flush();
    this.#target.pass(buffer, start, end);
  }

  #flush(): void {
    const rows = this.#rows;
    if (rows.length === 0) return;
    this.#target.pass(rows.buffer, 0, rows.length);
    rows.reset();
  }
}

function checkLength(length: number): number {
  if (length < 4 || length > largestMessageBytes)
    throw new PoolerError("PROTOCOL_VIOLATION", `the server sent a message of ${length} bytes where a plugin must see it whole`);
  return length;
}

export function copyRefusal(plugin: string): PoolerError {
  return new PoolerError("NOT_SUPPORTED", `COPY TO is not allowed here: plugin "${plugin}" must see the rows`, {
    hint: "Use SELECT, whose rows it can see.",
  });
}
