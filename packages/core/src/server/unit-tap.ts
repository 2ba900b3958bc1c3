// Listens to what a server answers to one unit, for plugins that observe: how each of its statements ended. Changes nothing and keeps nothing but
// that. There only while some plugin has query_end.
import type { Clock } from "../base/clock.js";
import { readError } from "../protocol/backend.js";
import { Backend, HEADER_BYTES } from "../protocol/codes.js";
import { readInt32 } from "../protocol/message-writer.js";

/** So much of a message is looked at: an error's message may be long. */
const keptBytes = 4096;

/** How a statement ended. */
export interface UnitEnd {
  /** Null: it failed or was suspended. */
  readonly tag: string | null;
  readonly rows: number;
  readonly suspended: boolean;
  readonly sqlstate: string | null;
  readonly message: string | null;
  readonly atMs: number;
}

export class UnitTap {
  /** It began between two messages. */
  aligned = false;
  readonly #clock: Clock;
  #ends: UnitEnd[] = [];
  /** ReadyForQuery to come of what the client does not see. */
  #hidden = 0;
  #rows = 0;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  #type = 0;
  /** Bytes of the current body that are still to come. */
  #rest = 0;
  readonly #body = Buffer.alloc(keptBytes);
  #bodyBytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A unit is sent, behind so many queries that the client does not see. */
  begin(hidden: number): void {
    this.#ends = [];
    this.#hidden = hidden;
    this.#rows = 0;
  }

  /** How the statements of the unit ended, in their order. */
  take(): readonly UnitEnd[] {
    const ends = this.#ends;
    this.#ends = [];
    return ends;
  }

  read(chunk: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.#rest === 0) {
        const taken = Math.min(HEADER_BYTES - this.#headerBytes, end - at);
        chunk.copy(this.#header, this.#headerBytes, at, at + taken);
        this.#headerBytes += taken;
        at += taken;
        if (this.#headerBytes < HEADER_BYTES) return;
        this.#headerBytes = 0;
        this.#type = this.#header[0] as number;
        this.#bodyBytes = 0;
        // A length that cannot be is the relay's to refuse.
        this.#rest = Math.max(0, readInt32(this.#header, 1) - 4);
        if (this.#rest === 0) this.#ended();
        continue;
      }
      const taken = Math.min(this.#rest, end - at);
      if ((this.#type === Backend.COMMAND_COMPLETE || this.#type === Backend.ERROR_RESPONSE) && this.#bodyBytes < keptBytes)
        this.#bodyBytes += chunk.copy(this.#body, this.#bodyBytes, at, at + taken);
      this.#rest -= taken;
      at += taken;
      if (this.#rest === 0) this.#ended();
    }
  }

  #ended(): void {
    const type = this.#type;
    if (type === Backend.READY_FOR_QUERY) {
      if (this.#hidden > 0) this.#hidden--;
      return;
    }
    if (this.#hidden > 0) return;
    switch (type) {
      case Backend.DATA_ROW:
        this.#rows++;
        return;
      case Backend.COMMAND_COMPLETE: {
        const tag = this.#body.latin1Slice(0, Math.max(0, this.#bodyBytes - 1));
        this.#add(tag, Number(/ (\d+)$/.exec(tag)?.[1] ?? 0), false, null, null);
        return;
      }
      case Backend.EMPTY_QUERY_RESPONSE:
        this.#add("", 0, false, null, null);
        return;
      case Backend.PORTAL_SUSPENDED:
        this.#add(null, this.#rows, true, null, null);
        return;
      case Backend.ERROR_RESPONSE: {
        const { sqlstate, message } = readError(this.#body, 0, this.#bodyBytes);
        this.#add(null, this.#rows, false, sqlstate, message);
      }
    }
  }

  #add(tag: string | null, rows: number, suspended: boolean, sqlstate: string | null, message: string | null): void {
    this.#rows = 0;
    this.#ends.push({ tag, rows, suspended, sqlstate, message, atMs: this.#clock.nowMs() });
  }
}
