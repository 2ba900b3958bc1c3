// What a server still owes: one entry for each reply that is expected, in order. Lets the relay drop the replies to what the
// pooler sent on its own, slip in those to what it did not send, and know which prepared statements exist. Hot.
import { invariant } from "../base/errors.js";
import { Backend, TransactionStatus } from "../protocol/codes.js";

export const Expect = {
  /** Everything up to and with ReadyForQuery, passed on as it comes. */
  UNTIL_READY: 0,
  /** A simple query: everything up to ReadyForQuery. */
  QUERY: 1,
  PARSE: 2,
  BIND: 3,
  /** ParameterDescription, then RowDescription or NoData. */
  DESCRIBE_STATEMENT: 4,
  DESCRIBE_PORTAL: 5,
  EXECUTE: 6,
  CLOSE: 7,
  SYNC: 8,
  /** Not from the server: bytes that the client gets at this place. */
  LOCAL: 9,
} as const;

/** What the client does not see of an entry's reply. */
export const Hide = {
  NOTHING: 0,
  ALL: 1,
  PARAMETER_DESCRIPTION: 2,
  ROW_DESCRIPTION: 4,
  /** All but ParameterStatus. */ ALL_BUT_SETTINGS: 9,
} as const;

/** Someone who wants to hear what became of a message: prepared-statement bookkeeping. */
export interface ReplyWatcher {
  /** The reply came. */
  done(): void;
  /** The server answered with an error (`failed`), or skipped the message after an earlier one. */
  skipped(failed: boolean): void;
  /** For a Describe: the body of RowDescription [start, end), empty for NoData. The view is valid during the call only. */
  described?(buffer: Buffer, start: number, end: number): void;
}

/** A LOCAL entry that wants to hear when the client does not get it. */
export interface LocalReply extends ReplyWatcher {
  readonly bytes: Buffer;
}

type Payload = Buffer | ReplyWatcher | LocalReply | null;

/** Entries of a queue, side by side. */
export interface ExpectedReplies {
  readonly kinds: readonly number[];
  readonly hides: readonly number[];
  readonly payloads: readonly Payload[];
  readonly statuses: readonly number[];
}

/** Arrays that have grown larger are not kept. */
const mostKept = 1024;

function bringsReady(kind: number): boolean {
  return kind === Expect.UNTIL_READY || kind === Expect.QUERY || kind === Expect.SYNC || kind < 0;
}

export class ReplyQueue {
  // Of the entries from #head up to #tail; what stands behind them is left over: cutting an array costs more than all of the rest.
  #kinds: number[] = [];
  #hides: number[] = [];
  #payloads: Payload[] = [];
  /** ReadyForQuery's status for the client, 0: as the server says. */
  #statuses: number[] = [];
  #head = 0;
  #tail = 0;
  /** An error came while no Sync was under way: the server skips all that comes before the next one. */
  #skipping = false;

  get empty(): boolean {
    return this.#head === this.#tail;
  }

  get size(): number {
    return this.#tail - this.#head;
  }

  /** Nothing is owed behind the head, or only what needs no server. */
  get last(): boolean {
    for (let i = this.#head + 1; i < this.#tail; i++) if (this.#kinds[i] !== Expect.LOCAL) return false;
    return true;
  }

  /** Is the server skipping to the next Sync that will be sent? */
  get skipping(): boolean {
    return this.#skipping;
  }

  get headKind(): number {
    return this.#head < this.#tail ? (this.#kinds[this.#head] as number) : -1;
  }

  get headHide(): number {
    return this.#head < this.#tail ? (this.#hides[this.#head] as number) : Hide.NOTHING;
  }

  get headStatus(): number {
    return this.#head < this.#tail ? (this.#statuses[this.#head] as number) : 0;
  }

  /** All of the head's reply is the client's, whatever it is made of, up to ReadyForQuery. */
  get passesAsItComes(): boolean {
    const head = this.#head;
    return head < this.#tail && (this.#kinds[head] as number) <= Expect.QUERY && this.#hides[head] === Hide.NOTHING;
  }

  /** What goes with the head. */
  get headPayload(): Payload {
    return this.#payloads[this.#head] ?? null;
  }

  /** Whoever wants to see the columns that the head's reply describes. */
  get headDescribed(): ReplyWatcher | null {
    const payload = this.#headPayload();
    return payload !== null && "described" in payload ? payload : null;
  }

  /** Bytes of a LOCAL entry at the head, else null. */
  get headLocal(): Buffer | null {
    if (this.headKind !== Expect.LOCAL) return null;
    const payload = this.#headPayload() as Buffer | LocalReply;
    return Buffer.isBuffer(payload) ? payload : payload.bytes;
  }

  #headPayload(): Payload {
    return this.#head < this.#tail ? (this.#payloads[this.#head] as Payload) : null;
  }

  push(kind: number, hide: number = Hide.NOTHING, payload: Payload = null, status = 0): void {
    const skipped = this.#skipping;
    if (skipped) {
      if (kind !== Expect.SYNC) {
        if (payload !== null && !Buffer.isBuffer(payload)) payload.skipped(false);
        return;
      }
      this.#skipping = false;
    }
    const at = this.#tail++;
    this.#kinds[at] = kind;
    this.#hides[at] = hide;
    this.#payloads[at] = payload;
    this.#statuses[at] = skipped ? failedStatus(status) : status;
  }

  pop(): void {
    invariant(this.#head < this.#tail, "a reply was expected");
    this.#payloads[this.#head++] = null;
    if (this.#head === this.#tail) this.clear();
    else if (this.#head >= mostKept) this.#movePopped();
  }

  /** The head's reply came whole. */
  complete(): void {
    const payload = this.#headPayload();
    this.pop();
    if (payload !== null && !Buffer.isBuffer(payload)) payload.done();
  }

  /** The client sees nothing more of the unit at the head, up to its ReadyForQuery; nobody is told. */
  hideUnit(): void {
    while (!bringsReady(this.headKind)) this.#head++;
    if (this.#head === this.#tail) this.#tail++;
    this.#kinds[this.#head] = Expect.UNTIL_READY;
    this.#hides[this.#head] = Hide.ALL;
    this.#payloads[this.#head] = null;
    this.#statuses[this.#head] = 0;
  }

  /** What is owed behind the first `skip` entries, to be expected once more by addAll(). */
  copy(skip: number): ExpectedReplies {
    const from = this.#head + skip;
    return {
      kinds: this.#kinds.slice(from, this.#tail),
      hides: this.#hides.slice(from, this.#tail),
      payloads: this.#payloads.slice(from, this.#tail),
      statuses: this.#statuses.slice(from, this.#tail),
    };
  }

  /** Local replies among the first `answered` entries have reached the client already. */
  addAll({ kinds, hides, payloads, statuses }: ExpectedReplies, answered: number): void {
    for (let i = 0; i < kinds.length; i++) {
      if (i < answered && kinds[i] === Expect.LOCAL) continue;
      this.push(kinds[i] as number, hides[i], payloads[i], statuses[i]);
    }
  }

  /** After an ErrorResponse the server skips to the next Sync: forget what it will not answer. */
  skipToReady(): void {
    // A query's error is followed by its ReadyForQuery; a query behind the message that failed is passed over.
    if (this.headKind === Expect.QUERY || this.headKind === Expect.UNTIL_READY) return;
    for (let failed = true; !this.empty && this.headKind !== Expect.SYNC; failed = false) this.#skip(failed);
    if (this.empty) this.#skipping = true;
    else this.#statuses[this.#head] = failedStatus(this.headStatus);
  }

  /** The connection is gone: nothing will be answered. */
  abandon(): void {
    while (!this.empty) this.#skip(false);
  }

  clear(): void {
    for (let i = this.#head; i < this.#tail; i++) this.#payloads[i] = null;
    this.#head = 0;
    this.#tail = 0;
    if (this.#kinds.length <= mostKept) return;
    this.#kinds = [];
    this.#hides = [];
    this.#payloads = [];
    this.#statuses = [];
  }

  /** A server that always owes something must not remember all that it ever owed. */
  #movePopped(): void {
    const count = this.#tail - this.#head;
    for (let i = 0; i < count; i++) {
      const from = this.#head + i;
      this.#kinds[i] = this.#kinds[from] as number;
      this.#hides[i] = this.#hides[from] as number;
      this.#payloads[i] = this.#payloads[from] as Payload;
      this.#statuses[i] = this.#statuses[from] as number;
    }
    for (let i = Math.max(count, this.#head); i < this.#tail; i++) this.#payloads[i] = null;
    this.#head = 0;
    this.#tail = count;
  }

  /** Nothing is owed and nothing is skipped: for a connection that begins anew. */
  reset(): void {
    this.clear();
    this.#skipping = false;
  }

  #skip(failed: boolean): void {
    const payload = this.#headPayload();
    this.pop();
    if (payload !== null && !Buffer.isBuffer(payload)) payload.skipped(failed);
  }
}

/** What the pooler says instead of the server of a transaction that is open, once something in it has failed. */
function failedStatus(status: number): number {
  return status === TransactionStatus.IN_TRANSACTION ? TransactionStatus.FAILED : status;
}

/**
 * Does this message end the reply that `kind` expects? 1: yes, 0: it is a part of it, -1: it does not belong there.
 * ErrorResponse, ReadyForQuery and what may come at any time are not for this table.
 */
export function endsReply(kind: number, type: number): 1 | 0 | -1 {
  switch (kind) {
    case Expect.UNTIL_READY:
    case Expect.QUERY:
      return 0;
    case Expect.PARSE:
      return type === Backend.PARSE_COMPLETE ? 1 : -1;
    case Expect.BIND:
      return type === Backend.BIND_COMPLETE ? 1 : -1;
    case Expect.CLOSE:
      return type === Backend.CLOSE_COMPLETE ? 1 : -1;
    case Expect.DESCRIBE_STATEMENT:
      if (type === Backend.PARAMETER_DESCRIPTION) return 0;
      return type === Backend.ROW_DESCRIPTION || type === Backend.NO_DATA ? 1 : -1;
    case Expect.DESCRIBE_PORTAL:
      return type === Backend.ROW_DESCRIPTION || type === Backend.NO_DATA ? 1 : -1;
    case Expect.EXECUTE:
      switch (type) {
        case Backend.COMMAND_COMPLETE:
        case Backend.EMPTY_QUERY_RESPONSE:
        case Backend.PORTAL_SUSPENDED:
          return 1;
        case Backend.DATA_ROW:
        case Backend.COPY_IN_RESPONSE:
        case Backend.COPY_OUT_RESPONSE:
        case Backend.COPY_BOTH_RESPONSE:
        case Backend.COPY_DATA:
        case Backend.COPY_DONE:
          return 0;
        default:
          return -1;
      }
    default:
      return -1;
  }
}
