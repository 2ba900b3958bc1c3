// Reads what a server says and passes it on in whole ranges: looks at headers, and inside only of ReadyForQuery,
// ErrorResponse and ParameterStatus. Knows nothing of sessions or pools. Hot: no allocation per message.
//
//   chunk  |  body of the message before  | T…… | D…… | D…… | C… | Z | N (cut off)
//          |<------------- one write to the client ------------->|     kept: header or whole, see below
//
// A header that is cut off is kept until it is whole. A body that is cut off is passed on (or dropped) as it comes,
// except of the three kinds that must be seen whole.
import { PoolerError } from "../base/errors.js";
import { Backend, HEADER_BYTES, MAX_MESSAGE_BYTES } from "../protocol/codes.js";
import { readInt32 } from "../protocol/message-writer.js";
import { Expect, endsReply, Hide, type ReplyQueue } from "./reply-queue.js";

export interface RelayTarget {
  /** Bytes for the client; the view is valid during the call only. */
  deliver(buffer: Buffer, start: number, end: number): void;
  /** A reply that is not the server's. */
  deliverLocal(reply: Buffer): void;
  /** A ReadyForQuery came; `status` as the server said it. */
  onReady(status: number): void;
  /** A whole ErrorResponse [start, end): will what it answers be sent once more? Then the client sees nothing of this try. */
  runsAgain(buffer: Buffer, start: number, end: number): boolean;
  /** A notice comes of a Parse or Bind. True: the client sees nothing of this try, as runsAgain() has it. */
  onNotice?(): boolean;
  /**
   * A whole ErrorResponse [start, end), header included. Answers what the client gets: the same bytes (true), or nothing
   * because the target deals with it (false).
   */
  onError(buffer: Buffer, start: number, end: number, hidden: boolean): boolean;
  /** A whole ParameterStatus [start, end), header included. */
  onParameterStatus(buffer: Buffer, start: number, end: number): void;
  /** The server waits for COPY data. */
  onCopyIn(): void;
  /** What the server reports of its session is not for the client. */
  readonly hidesParameters?: boolean;
  /** May the client see NotificationResponse? */
  readonly passesNotifications: boolean;
}

/** Larger ParameterStatus are refused, larger RowDescriptions are not looked into. */
const largestWholeBytes = 1 << 20;
/** RAISE puts as much into an ErrorResponse as a function wants to say. */
const largestErrorBytes = 64 << 20;

export class Relay {
  readonly #queue: ReplyQueue;
  readonly #target: RelayTarget;
  /** A header that came in pieces. */
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** Bytes of the current body still to come, and what becomes of them. */
  #rest = 0;
  #passing = false;
  /** A message that must be seen whole and came in pieces. */
  #whole: Buffer | null = null;
  #wholeBytes = 0;
  /** A ParameterDescription that waits for what comes behind it: an error may mean that the client sees nothing of both. */
  #description: Buffer | null = null;
  /** Up to here the handling of a message has delivered the chunk that is being read. */
  #doneTo = 0;

  constructor(queue: ReplyQueue, target: RelayTarget) {
    this.#queue = queue;
    this.#target = target;
  }

  /** No message is half read. */
  get atBoundary(): boolean {
    return this.#headerBytes === 0 && this.#rest === 0 && this.#whole === null;
  }

  /** The client has got the beginning of a message whose end has not come. */
  get insideMessage(): boolean {
    return this.#rest > 0 && this.#passing;
  }

  /** Throws PoolerError PROTOCOL_VIOLATION when the server breaks the protocol: the connection cannot be used any more. */
  read(chunk: Buffer, start: number, end: number): void {
    this.#doneTo = start;
    let at = start;
    if (this.#headerBytes > 0) at = this.#finishHeader(chunk, at, end);
    if (this.#whole !== null) at = this.#finishWhole(chunk, at, end);
    let from = at; // start of the range that is to be passed on
    try {
      if (this.#rest > 0) {
        const taken = Math.min(this.#rest, end - at);
        this.#rest -= taken;
        at += taken;
        if (!this.#passing) from = at;
        if (this.#rest === 0 && this.#queue.headKind === Expect.LOCAL) {
          this.#flush(chunk, from, at);
          from = at;
          this.deliverLocal();
        }
      }
      while (at < end) {
        if (this.#description === null && this.#queue.passesAsItComes) at = skipReplies(chunk, at, end);
        if (at === end) break;
        if (end - at < HEADER_BYTES) {
          this.#flush(chunk, from, at);
          chunk.copy(this.#header, 0, at, end);
          this.#headerBytes = end - at;
          return;
        }
        const type = chunk[at] as number;
        const length = checkLength(type, readInt32(chunk, at + 1));
        const stop = at + 1 + length;
        if (this.#mustBeWhole(type, length)) {
          if (stop > end) {
            this.#flush(chunk, from, at);
            this.#keep(chunk, at, end, 1 + length);
            return;
          }
          // Its handling may hand the server to another client: what came before must be out.
          if (type === Backend.READY_FOR_QUERY) this.#checkLast(chunk, stop, end);
          const keep = this.#handle(type, chunk, at, stop, from);
          from = keep ? at : stop;
          if (type === Backend.READY_FOR_QUERY) from = stop;
          at = stop;
          if (this.#queue.headKind === Expect.LOCAL) {
            this.#flush(chunk, from, at);
            from = at;
            this.deliverLocal();
          }
          continue;
        }
        const passing = this.#classify(type);
        if (!passing) {
          this.#flush(chunk, from, at);
          from = Math.min(stop, end);
        }
        if (stop > end) {
          this.#rest = stop - end;
          this.#passing = passing;
          at = end;
          break;
        }
        at = stop;
        if (this.#queue.headKind === Expect.LOCAL) {
          this.#flush(chunk, from, at);
          from = at;
          this.deliverLocal();
        }
      }
      this.#flush(chunk, from, end);
    } catch (error) {
      // The client keeps what was right, or it would have half a message and be told that it has all of it.
      this.#flush(chunk, Math.max(from, this.#doneTo), at);
      throw error;
    }
  }

  /** Deliver the local replies whose turn it is; call after pushing one when nothing is owed before it. */
  deliverLocal(): void {
    for (let local = this.#queue.headLocal; local !== null; local = this.#queue.headLocal) {
      this.#queue.pop();
      this.#target.deliverLocal(local);
    }
  }

  #flush(chunk: Buffer, from: number, to: number): void {
    if (from >= to) return;
    this.#doneTo = to;
    this.#target.deliver(chunk, from, to);
  }

  /** Completes a split header; what belongs to its body is left to the caller. Returns the position after what was used. */
  #finishHeader(chunk: Buffer, start: number, end: number): number {
    const taken = Math.min(HEADER_BYTES - this.#headerBytes, end - start);
    chunk.copy(this.#header, this.#headerBytes, start, start + taken);
    this.#headerBytes += taken;
    if (this.#headerBytes < HEADER_BYTES) return start + taken;
    this.#headerBytes = 0;
    const type = this.#header[0] as number;
    const length = checkLength(type, readInt32(this.#header, 1));
    if (this.#mustBeWhole(type, length)) {
      this.#keep(this.#header, 0, HEADER_BYTES, 1 + length);
      return start + taken;
    }
    const passing = this.#classify(type);
    if (passing) this.#target.deliver(this.#header, 0, HEADER_BYTES);
    this.#rest = length - 4;
    this.#passing = passing;
    if (this.#rest === 0) this.deliverLocal();
    return start + taken;
  }

  #keep(chunk: Buffer, start: number, end: number, totalBytes: number): void {
    this.#whole = Buffer.allocUnsafe(totalBytes);
    this.#wholeBytes = chunk.copy(this.#whole, 0, start, end);
  }

  #finishWhole(chunk: Buffer, start: number, end: number): number {
    const whole = this.#whole as Buffer;
    const taken = Math.min(whole.length - this.#wholeBytes, end - start);
    this.#wholeBytes += chunk.copy(whole, this.#wholeBytes, start, start + taken);
    if (this.#wholeBytes === whole.length) {
      this.#whole = null;
      const keep = this.#handle(whole[0] as number, whole, 0, whole.length, 0);
      if (keep) this.#target.deliver(whole, 0, whole.length);
      this.deliverLocal();
    }
    return start + taken;
  }

  /**
   * A message that was seen whole. What came before it, from `from` on, is delivered here; returns whether the message
   * itself stays in the range to pass on. ReadyForQuery is delivered here, too.
   */
  #handle(type: number, buffer: Buffer, start: number, stop: number, from: number): boolean {
    const queue = this.#queue;
    const hide = queue.headHide;
    if (type === Backend.PARAMETER_DESCRIPTION) {
      this.#flush(buffer, from, start);
      if (this.#classify(type)) this.#description = Buffer.from(buffer.subarray(start, stop));
      return false;
    }
    if (type === Backend.PARAMETER_STATUS) {
      this.#flush(buffer, from, start);
      this.#target.onParameterStatus(buffer, start, stop);
      return !queue.empty && hide !== Hide.ALL && this.#target.hidesParameters !== true;
    }
    if (type === Backend.ERROR_RESPONSE) {
      this.#flush(buffer, from, start);
      if (this.#target.runsAgain(buffer, start, stop)) {
        this.#description = null;
        queue.hideUnit();
        return false;
      }
      this.#deliverDescription();
      queue.skipToReady();
      const hidden = !queue.empty && (queue.headHide & Hide.ALL) !== 0;
      return this.#target.onError(buffer, start, stop, hidden);
    }
    if (type !== Backend.READY_FOR_QUERY) {
      queue.headDescribed?.described?.(buffer, start + HEADER_BYTES, stop);
      this.#flush(buffer, from, start);
      return this.#classify(type);
    }
    const status = buffer[start + HEADER_BYTES] as number;
    const kind = queue.headKind;
    if (kind !== Expect.UNTIL_READY && kind !== Expect.QUERY && kind !== Expect.SYNC) throw unexpected(type, kind);
    if ((hide & Hide.ALL) !== 0) {
      this.#flush(buffer, from, start);
    } else if (queue.headStatus !== 0 && queue.headStatus !== status) {
      this.#flush(buffer, from, start);
      const patched = Buffer.from(buffer.subarray(start, stop));
      patched[HEADER_BYTES] = queue.headStatus;
      this.#target.deliver(patched, 0, patched.length);
    } else {
      this.#flush(buffer, from, stop);
    }
    queue.complete();
    this.deliverLocal();
    this.#target.onReady(status);
    return false;
  }

  /**
   * When a ReadyForQuery is the last that is owed, whoever comes next must not get what stands behind it: only what a server may
   * say at any time is allowed there.
   */
  #checkLast(chunk: Buffer, behind: number, end: number): void {
    if (behind < end && this.#queue.last && !mayComeAnyTime(chunk[behind] as number)) throw unexpected(chunk[behind] as number, -1);
  }

  #deliverDescription(): void {
    const description = this.#description;
    if (description === null) return;
    this.#description = null;
    this.#target.deliver(description, 0, description.length);
  }

  /** A message whose body does not matter. Returns whether the client gets it. */
  #classify(type: number): boolean {
    const queue = this.#queue;
    if (this.#description !== null) this.#deliverDescription();
    switch (type) {
      case Backend.NOTICE_RESPONSE:
        if ((queue.headKind === Expect.PARSE || queue.headKind === Expect.BIND) && this.#target.onNotice?.() === true) {
          queue.hideUnit();
          return false;
        }
        return !queue.empty && (queue.headHide & Hide.ALL) === 0;
      case Backend.NOTIFICATION_RESPONSE:
        return this.#target.passesNotifications;
    }
    const kind = queue.headKind;
    const hide = queue.headHide;
    const ends = endsReply(kind, type);
    if (ends < 0 || !belongsToReplies(type)) throw unexpected(type, kind);
    if (type === Backend.COPY_IN_RESPONSE) this.#target.onCopyIn();
    if (ends === 1) queue.complete();
    if (hide === Hide.NOTHING) return true;
    if ((hide & Hide.ALL) !== 0) return false;
    if (type === Backend.PARAMETER_DESCRIPTION) return (hide & Hide.PARAMETER_DESCRIPTION) === 0;
    return (hide & Hide.ROW_DESCRIPTION) === 0;
  }

  #mustBeWhole(type: number, length: number): boolean {
    if (type === Backend.PARAMETER_DESCRIPTION) return length <= largestWholeBytes;
    if (type === Backend.ROW_DESCRIPTION || type === Backend.NO_DATA)
      return length <= largestWholeBytes && this.#queue.headDescribed !== null;
    return mustBeWhole(type, length);
  }
}

/** What is nothing but an answer to pass on, where everything up to ReadyForQuery is. */
const passingTypes = new Uint8Array(256);
for (const type of [
  Backend.DATA_ROW,
  Backend.ROW_DESCRIPTION,
  Backend.COMMAND_COMPLETE,
  Backend.PARSE_COMPLETE,
  Backend.BIND_COMPLETE,
  Backend.CLOSE_COMPLETE,
  Backend.NO_DATA,
  Backend.EMPTY_QUERY_RESPONSE,
  Backend.PORTAL_SUSPENDED,
  Backend.COPY_OUT_RESPONSE,
  Backend.COPY_DATA,
  Backend.COPY_DONE,
  Backend.NOTICE_RESPONSE,
])
  passingTypes[type] = 1;

/** Position of the first message that is cut off or has to be looked at. */
function skipReplies(chunk: Buffer, start: number, end: number): number {
  let at = start;
  while (end - at >= HEADER_BYTES && passingTypes[chunk[at] as number] === 1) {
    const length = readInt32(chunk, at + 1);
    if (length < 4 || length >= end - at) break;
    at += 1 + length;
  }
  return at;
}

function mustBeWhole(type: number, length: number): boolean {
  switch (type) {
    case Backend.READY_FOR_QUERY:
      if (length !== 5) throw new PoolerError("PROTOCOL_VIOLATION", `the server sent a ReadyForQuery of ${length} bytes`);
      return true;
    case Backend.PARAMETER_STATUS:
    case Backend.ERROR_RESPONSE:
      if (length > (type === Backend.ERROR_RESPONSE ? largestErrorBytes : largestWholeBytes))
        throw new PoolerError("PROTOCOL_VIOLATION", `the server sent a message "${String.fromCharCode(type)}" of ${length} bytes`);
      return true;
    default:
      return false;
  }
}

/** Source: the protocol's "Asynchronous Operations"; a FATAL error may also come while nobody asks. */
function mayComeAnyTime(type: number): boolean {
  switch (type) {
    case Backend.NOTICE_RESPONSE:
    case Backend.PARAMETER_STATUS:
    case Backend.NOTIFICATION_RESPONSE:
    case Backend.ERROR_RESPONSE:
      return true;
    default:
      return false;
  }
}

const replyTypes = new Uint8Array(256);
for (const type of Object.values(Backend)) replyTypes[type] = 1;
for (const type of [Backend.AUTHENTICATION, Backend.BACKEND_KEY_DATA, Backend.NEGOTIATE_PROTOCOL_VERSION]) replyTypes[type] = 0;

/** What belongs to a login, or to nothing, must not reach a client in the middle of its session. */
function belongsToReplies(type: number): boolean {
  return replyTypes[type] === 1;
}

function checkLength(type: number, length: number): number {
  if (length < 4 || length > MAX_MESSAGE_BYTES) {
    throw new PoolerError("PROTOCOL_VIOLATION", `the server sent a message of type 0x${type.toString(16)} with the length ${length}`);
  }
  return length;
}

function unexpected(type: number, kind: number): PoolerError {
  const name = Object.entries(Expect).find(([, value]) => value === kind)?.[0] ?? "nothing";
  return new PoolerError("PROTOCOL_VIOLATION", `the server sent an unexpected message "${String.fromCharCode(type)}" (expected: ${name})`);
}
