// Frames as bytes for plugins that are JavaScript: the chain hands out addresses, as native code wants them. Reads only within
// the length that came with the address, and only while the call lasts that it came with.
import { native } from "../base/native.js";

export interface FrameBytes {
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  /** Counts up when a call has ended: the memory may be gone then, or be about another statement. */
  epoch: number;
}

/** A chain has a handful of frames; those that grew were left behind. */
const mostKept = 12;

export class FrameMemory {
  readonly #known = new Map<bigint, FrameBytes>();

  /** `length` bytes at `address`, which hold until the call under way returns. A view costs a hundred times what a look-up does. */
  at(address: bigint, length: number): FrameBytes {
    const known = this.#known.get(address);
    if (known !== undefined && known.bytes.length >= length) return known;
    if (this.#known.size >= mostKept) this.#known.clear();
    const memory = native().view(address, length);
    const made: FrameBytes = { bytes: Buffer.from(memory), words: new Uint32Array(memory, 0, length >>> 2), epoch: 0 };
    this.#known.set(address, made);
    return made;
  }
}
