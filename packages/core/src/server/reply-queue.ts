// What a server still owes: one entry for each reply that is expected, in order. Lets the relay drop the replies to what the
// pooler sent on its own, slip in those to what it did not send, and know which prepared statements exist. Hot.
import { invariant } from "../base/errors.js";
import { Backend } from "../protocol/codes.js";

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
  /** The server answered with an error, or skipped the message after an earlier one. */
  skipped(): void;
  /** For a Describe: the body of RowDescription [start, end), empty for NoData. The view is valid during the call only. */
  described?(buffer: Buffer, start: number, end: number): void;
}

export class ReplyQueue {
  #kinds: number[] = [];
  #hides: number[] = [];
  #payloads: (Buffer | ReplyWatcher | null)[] = [];
  /** ReadyForQuery's status for the client, 0: as the server says. */
  #statuses: number[] = [];
  #head = 0;
  /** An error came while no Sync was under way: the server skips all that comes before the next one. */
  #skipping = false;

  get empty(): boolean {
    return this.#head === this.#kinds.length;
  }

  /** Is the server skipping to the next Sync that will be sent? */
  get skipping(): boolean {
    return this.#skipping;
  }

  get headKind(): number {
    return this.#kinds[this.#head] ?? -1;
  }

  get headHide(): number {
    return this.#hides[this.#head] ?? Hide.NOTHING;
  }

  get headStatus(): number {
    return this.#statuses[this.#head] ?? 0;
  }

  /** Whoever wants to see the columns that the head's reply describes. */
  get headDescribed(): ReplyWatcher | null {
    const payload = this.#payloads[this.#head];
    return payload !== null && payload !== undefined && "described" in payload ? payload : null;
  }

  /** Bytes of a LOCAL entry at the head, else null. */
  get headLocal(): Buffer | null {
    return this.headKind === Expect.LOCAL ? (this.#payloads[this.#head] as Buffer) : null;
  }

  push(kind: number, hide: number = Hide.NOTHING, payload: Buffer | ReplyWatcher | null = null, status = 0): void {
    if (this.#skipping) {
      if (!endsBatch(kind)) {
        if (payload !== null && !Buffer.isBuffer(payload)) payload.skipped();
        return;
      }
      this.#skipping = false;
    }
    this.#kinds.push(kind);
    this.#hides.push(hide);
    this.#payloads.push(payload);
    this.#statuses.push(status);
  }

  pop(): void {
    invariant(this.#head < this.#kinds.length, "a reply was expected");
    this.#head++;
    if (this.#head === this.#kinds.length) this.clear();
  }

  /** The head's reply came whole. */
  complete(): void {
    const payload = this.#payloads[this.#head];
    this.pop();
    if (payload !== null && payload !== undefined && !Buffer.isBuffer(payload)) payload.done();
  }

  /** The client does not see the rest of the head's reply. */
  hideHead(): void {
    this.#hides[this.#head] = Hide.ALL;
  }

  /** After an ErrorResponse the server skips to the next Sync: forget what it will not answer. */
  skipToReady(): void {
    for (;;) {
      if (this.empty) {
        this.#skipping = true;
        return;
      }
      if (endsBatch(this.headKind)) return;
      const payload = this.#payloads[this.#head];
      this.pop();
      if (payload !== null && payload !== undefined && !Buffer.isBuffer(payload)) payload.skipped();
    }
  }

  /** The connection is gone: nothing will be answered. */
  abandon(): void {
    while (!this.empty) {
      const payload = this.#payloads[this.#head];
      this.pop();
      if (payload !== null && payload !== undefined && !Buffer.isBuffer(payload)) payload.skipped();
    }
  }

  clear(): void {
    this.#kinds.length = 0;
    this.#hides.length = 0;
    this.#payloads.length = 0;
    this.#statuses.length = 0;
    this.#head = 0;
  }

  /** Nothing is owed and nothing is skipped: for a connection that begins anew. */
  reset(): void {
    this.clear();
    this.#skipping = false;
  }
}

function endsBatch(kind: number): boolean {
  return kind === Expect.SYNC || kind === Expect.QUERY || kind === Expect.UNTIL_READY;
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
