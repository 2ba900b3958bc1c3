// Cuts what a client sends into units: one simple query, the extended messages up to Sync or Flush, or pieces of COPY data
// that pass through as they come. What must wait is copied into an inbox; lengths are checked before anything is kept, and a large
// message is read on only when there is memory for all of it.
import { PoolerError } from "../base/errors.js";
import type { LimitsConfig } from "../config/types.js";
import { Frontend, HEADER_BYTES } from "../protocol/codes.js";
import { readInt32 } from "../protocol/message-writer.js";
import type { MemoryTaker, MessageMemory } from "./message-memory.js";

export interface IntakeTarget {
  /** May more be taken now? */
  readonly ready: boolean;
  /** COPY data is expected. */
  readonly copyIn: boolean;
  /** CopyData is passed on; else it is dropped. */
  readonly passesCopyData: boolean;
  /** Whole messages [start, end): a unit, or the first part of a long batch. The view is valid during the call only. */
  onUnit(buffer: Buffer, start: number, end: number): void;
  /** CopyData, in pieces as they come. */
  onCopyBytes(buffer: Buffer, start: number, end: number): void;
  /** CopyDone, CopyFail, Sync or Flush during COPY, whole. */
  onCopyControl(type: number, buffer: Buffer, start: number, end: number): void;
  /** A server waits for it: its messages are read whatever others hold. */
  readonly holdsServer: boolean;
  /** The inbox holds too much, or no longer. */
  onInboxFull(full: boolean): void;
  /** There was no memory for a message of that size, for as long as anybody may wait. */
  onNoRoom(bytes: number): void;
}

/** A client may send this much ahead; then it is not read until its turn comes. Larger messages need room in the memory of all. */
export const inboxBytes = 64 * 1024;
/** A batch that goes on for longer is sent in parts. */
const partBytes = 256 * 1024;

export class Intake implements MemoryTaker {
  #target: IntakeTarget;
  #limits: LimitsConfig;
  readonly #memory: MessageMemory;
  #inbox: Buffer | null = null;
  #inboxStart = 0;
  #inboxEnd = 0;
  /** Bytes of a CopyData still to come, and whether they are passed on or dropped. */
  #rest = 0;
  #passing = false;
  #busy = false;
  /** Bytes behind the unit that is being handed over. */
  #ahead = 0;
  #full = false;
  /** The unit that is handed over is all that is left in the inbox. */
  #last = false;
  /** Bytes of the unit at the beginning of the inbox, as far as its messages have told; 0 when none is incomplete. */
  #needed = 0;
  /** Bytes that others cannot have. */
  #reserved = 0;
  /** Waits for room. */
  #held = false;

  constructor(target: IntakeTarget, limits: LimitsConfig, memory: MessageMemory) {
    this.#target = target;
    this.#limits = limits;
    this.#memory = memory;
  }

  /** Another client's from now on. */
  begin(target: IntakeTarget, limits: LimitsConfig): void {
    this.#target = target;
    this.#limits = limits;
    this.clear();
    this.#rest = 0;
    this.#passing = false;
    this.#ahead = 0;
    this.#full = false;
  }

  /** Nobody's, until begin(). */
  end(): void {
    this.#target = nobody;
  }

  /** Everything that came has been dealt with: there is nothing to remember. */
  get atRest(): boolean {
    return this.#inbox === null && this.#rest === 0 && !this.#busy;
  }

  /** A part of a CopyData was passed on, the rest has not come. */
  get insideCopyData(): boolean {
    return this.#rest > 0 && this.#passing;
  }

  /** The client has sent something behind the unit that was handed over last: without having seen its answer. */
  get hasMore(): boolean {
    return this.#busy ? this.#ahead > 0 : this.#inboxEnd > this.#inboxStart;
  }

  /** The buffer of the unit that is handed over is nobody else's when that is done with. */
  get surrenders(): boolean {
    return this.#last && this.#ahead === 0;
  }

  /** Bytes have come. Throws PoolerError for what cannot be a message. */
  take(chunk: Buffer, start: number, end: number): void {
    if (this.#inbox === null) {
      this.#busy = true;
      try {
        const at = this.#consume(chunk, start, end);
        if (at < end) this.#keep(chunk, at, end);
      } finally {
        this.#busy = false;
      }
    } else {
      this.#keep(chunk, start, end);
      this.pump();
    }
    this.#tellFull();
  }

  /** The target may be ready again. */
  pump(): void {
    if (this.#busy || this.#inbox === null) return;
    this.#busy = true;
    this.#last = true;
    try {
      this.#inboxStart = this.#consume(this.#inbox, this.#inboxStart, this.#inboxEnd);
      if (this.#inboxStart === this.#inboxEnd) this.clear();
      else if (this.#reserved > 0 && this.#needed === 0 && this.#target.ready) this.#shrink();
    } finally {
      this.#busy = false;
      this.#last = false;
    }
    this.#tellFull();
  }

  clear(): void {
    this.#inbox = null;
    this.#inboxStart = 0;
    this.#inboxEnd = 0;
    this.#needed = 0;
    this.#giveBack();
  }

  // --- MemoryTaker

  onRoom(bytes: number): void {
    this.#held = false;
    this.#reserved += bytes;
    this.#tellFull();
  }

  onNoRoom(): void {
    this.#held = false;
    this.#target.onNoRoom(this.#needed);
  }

  /** What needed the room is done with. */
  #shrink(): void {
    this.#inbox = Buffer.from((this.#inbox as Buffer).subarray(this.#inboxStart, this.#inboxEnd));
    this.#inboxEnd -= this.#inboxStart;
    this.#inboxStart = 0;
    this.#giveBack();
  }

  #giveBack(): void {
    if (this.#held) this.#memory.forget(this);
    this.#held = false;
    if (this.#reserved > 0) this.#memory.release(this.#reserved);
    this.#reserved = 0;
  }

  /** May the unit that is not whole be read to its end? */
  #hasRoom(): boolean {
    if (this.#needed <= inboxBytes || this.#needed <= this.#reserved || this.#target.holdsServer) return true;
    if (!this.#held && this.#memory.reserve(this, this.#needed - this.#reserved)) {
      this.#reserved = this.#needed;
      return true;
    }
    this.#held = true;
    return false;
  }

  #tellFull(): void {
    const full = (!this.#target.ready && this.#inboxEnd - this.#inboxStart > inboxBytes) || !this.#hasRoom();
    if (full === this.#full) return;
    this.#full = full;
    this.#target.onInboxFull(full);
  }

  #keep(chunk: Buffer, start: number, end: number): void {
    const count = end - start;
    const used = this.#inboxEnd - this.#inboxStart;
    if (this.#inbox === null || this.#inboxEnd + count > this.#inbox.length) {
      const doubled = this.#inbox === null ? 0 : used * 2;
      const larger = Buffer.allocUnsafe(Math.max(used + count, this.#reserved > 0 ? this.#reserved : doubled));
      this.#inbox?.copy(larger, 0, this.#inboxStart, this.#inboxEnd);
      this.#inbox = larger;
      this.#inboxStart = 0;
      this.#inboxEnd = used;
    }
    chunk.copy(this.#inbox, this.#inboxEnd, start, end);
    this.#inboxEnd += count;
  }

  /** Position after what was taken. */
  #consume(buffer: Buffer, start: number, end: number): number {
    const target = this.#target;
    let at = start;
    this.#needed = 0;
    while (at < end) {
      if (this.#rest > 0) {
        const count = Math.min(this.#rest, end - at);
        if (this.#passing) target.onCopyBytes(buffer, at, at + count);
        this.#rest -= count;
        at += count;
        continue;
      }
      if (!target.ready || end - at < HEADER_BYTES) return at;
      const type = buffer[at] as number;
      const stop = at + 1 + this.#checkedLength(type, readInt32(buffer, at + 1));
      if (type === Frontend.COPY_DATA) {
        // Passed on as it comes, and with all that stands behind it; after a COPY that failed it is dropped.
        const behind = this.#copyDataEnd(buffer, stop, end);
        const upTo = Math.min(behind, end);
        this.#passing = target.passesCopyData;
        if (this.#passing) target.onCopyBytes(buffer, at, upTo);
        this.#rest = behind - upTo;
        at = upTo;
        continue;
      }
      if (target.copyIn) {
        if (stop > end) return at;
        this.#copyControl(type, buffer, at, stop);
        at = stop;
        continue;
      }
      if (!isExtended(type)) {
        if (stop > end) {
          this.#needed = stop - at;
          return at;
        }
        this.#ahead = end - stop;
        target.onUnit(buffer, at, stop);
        at = stop;
        continue;
      }
      const unitEnd = this.#extendedEnd(buffer, at, end);
      if (unitEnd === at) return at;
      this.#ahead = end - unitEnd;
      target.onUnit(buffer, at, unitEnd);
      at = unitEnd;
    }
    return at;
  }

  /** End of the CopyData that follow each other from `start` on; the last one may go on behind `end`. */
  #copyDataEnd(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (end - at >= HEADER_BYTES && buffer[at] === Frontend.COPY_DATA)
      at += 1 + this.#checkedLength(Frontend.COPY_DATA, readInt32(buffer, at + 1));
    return at;
  }

  #copyControl(type: number, buffer: Buffer, start: number, end: number): void {
    switch (type) {
      case Frontend.COPY_DONE:
      case Frontend.COPY_FAIL:
      case Frontend.SYNC:
      case Frontend.FLUSH:
        this.#target.onCopyControl(type, buffer, start, end);
        return;
      case Frontend.TERMINATE:
        this.#target.onUnit(buffer, start, end);
        return;
      default:
        throw new PoolerError("PROTOCOL_VIOLATION", `unexpected message type 0x${type.toString(16)} during COPY from stdin`);
    }
  }

  /** End of the batch that starts at `start`: behind its Sync or Flush; `start` when that has not come yet. */
  #extendedEnd(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (end - at >= HEADER_BYTES) {
      const type = buffer[at] as number;
      if (!isExtended(type)) return at; // no Sync before it: run what is there, as the server would
      const stop = at + 1 + this.#checkedLength(type, readInt32(buffer, at + 1));
      if (stop > end) {
        this.#needed = stop - start;
        break;
      }
      at = stop;
      if (type === Frontend.SYNC || type === Frontend.FLUSH) return at;
    }
    return at - start > partBytes ? at : start;
  }

  #checkedLength(type: number, length: number): number {
    if (!isFrontend(type))
      throw new PoolerError("PROTOCOL_VIOLATION", `invalid frontend message type 0x${type.toString(16).padStart(2, "0")}`);
    if (length < 4)
      throw new PoolerError("PROTOCOL_VIOLATION", `invalid message length ${length} of message type "${String.fromCharCode(type)}"`);
    if (length > this.#limits.maxMessageBytes && type !== Frontend.COPY_DATA) {
      throw new PoolerError(
        "MESSAGE_TOO_LARGE",
        `a message of ${length} bytes is too large: at most ${this.#limits.maxMessageBytes} bytes are taken`,
        {
          hint: "Raise limits.max_message_bytes.",
        },
      );
    }
    return length;
  }
}

/** So many are kept though nobody uses them. */
const mostFree = 256;
const nobody: IntakeTarget = {
  ready: false,
  copyIn: false,
  passesCopyData: false,
  holdsServer: false,
  onUnit() {},
  onCopyBytes() {},
  onCopyControl() {},
  onInboxFull() {},
  onNoRoom() {},
};

/** For whoever has just been sent something: most clients wait for the next message with nothing to remember of the last. */
export class IntakeStock {
  readonly #free: Intake[] = [];
  readonly #memory: MessageMemory;

  constructor(memory: MessageMemory) {
    this.#memory = memory;
  }

  take(target: IntakeTarget, limits: LimitsConfig): Intake {
    const free = this.#free.pop();
    if (free === undefined) return new Intake(target, limits, this.#memory);
    free.begin(target, limits);
    return free;
  }

  giveBack(intake: Intake): void {
    if (this.#free.length >= mostFree) return;
    intake.end();
    this.#free.push(intake);
  }
}

function isExtended(type: number): boolean {
  switch (type) {
    case Frontend.PARSE:
    case Frontend.BIND:
    case Frontend.DESCRIBE:
    case Frontend.EXECUTE:
    case Frontend.CLOSE:
    case Frontend.SYNC:
    case Frontend.FLUSH:
      return true;
    default:
      return false;
  }
}

function isFrontend(type: number): boolean {
  switch (type) {
    case Frontend.QUERY:
    case Frontend.FUNCTION_CALL:
    case Frontend.TERMINATE:
    case Frontend.PASSWORD:
    case Frontend.COPY_DATA:
    case Frontend.COPY_DONE:
    case Frontend.COPY_FAIL:
      return true;
    default:
      return isExtended(type);
  }
}
