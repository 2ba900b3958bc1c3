// Bytes of one connection that the system did not take yet, in order. Exists while there are any; a slow peer alone pays for it.
import { addressOfBuffer } from "./system.js";

const leastBytes = 16 * 1024;
/** A larger one is not worth keeping for the next who needs one. */
const keptBytes = 256 * 1024;

//   |  gone  |  queued            |  room  |
//   0        start                end      buffer.length
export class OutputQueue {
  #buffer: Buffer;
  #address: number;
  #start = 0;
  #end = 0;

  constructor(firstBytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(leastBytes, firstBytes));
    this.#address = addressOfBuffer(this.#buffer);
  }

  get length(): number {
    return this.#end - this.#start;
  }

  /** Address of the first byte; until the next push(). */
  get address(): number {
    return this.#address + this.#start;
  }

  push(source: Buffer, start: number, end: number): void {
    const count = end - start;
    if (this.#end + count > this.#buffer.length) this.#makeRoom(count);
    source.copy(this.#buffer, this.#end, start, end);
    this.#end += count;
  }

  /** Nothing is left of what was queued. Answers whether it is of a size that is worth keeping. */
  clear(): boolean {
    this.#start = 0;
    this.#end = 0;
    return this.#buffer.length <= keptBytes;
  }

  /** The first `count` bytes have gone out. */
  shift(count: number): void {
    this.#start += count;
  }

  #makeRoom(count: number): void {
    const { length } = this;
    // Moving within the buffer pays only when it frees at least as much as it moves.
    if (length + count <= this.#buffer.length && this.#start >= length) {
      this.#buffer.copy(this.#buffer, 0, this.#start, this.#end);
    } else {
      const larger = Buffer.allocUnsafeSlow(Math.max(length + count, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, this.#start, this.#end);
      this.#buffer = larger;
      this.#address = addressOfBuffer(larger);
    }
    this.#start = 0;
    this.#end = length;
  }
}
