// Builds messages in one growing buffer. One writer is reused for everything a worker sends that it does not pass on
// as it came; its bytes are valid until the next reset().
import { copyBytes } from "../base/copy-bytes.js";

const encoder = new TextEncoder();
/** A writer that has grown beyond this does not stay so. */
const keptBytes = 1 << 20;

export class MessageWriter {
  buffer: Buffer;
  length = 0;
  #messageStart = -1;
  readonly #initialBytes: number;

  constructor(initialBytes = 16_384) {
    this.#initialBytes = initialBytes;
    this.buffer = Buffer.allocUnsafeSlow(initialBytes);
  }

  reset(): this {
    if (this.buffer.length > keptBytes) this.buffer = Buffer.allocUnsafeSlow(this.#initialBytes);
    this.length = 0;
    this.#messageStart = -1;
    return this;
  }

  /** Start a message; `type` 0 for one without a type byte (startup, cancel). */
  begin(type: number): this {
    this.#room(5);
    if (type !== 0) this.buffer[this.length++] = type;
    this.#messageStart = this.length;
    this.length += 4;
    return this;
  }

  /** Write the length of the message that begin() started. */
  end(): this {
    this.#putInt32(this.#messageStart, this.length - this.#messageStart);
    return this;
  }

  byte(value: number): this {
    this.#room(1);
    this.buffer[this.length++] = value;
    return this;
  }

  int16(value: number): this {
    this.#room(2);
    this.buffer[this.length++] = value >>> 8;
    this.buffer[this.length++] = value;
    return this;
  }

  int32(value: number): this {
    this.#room(4);
    this.#putInt32(this.length, value);
    this.length += 4;
    return this;
  }

  /** UTF-8 with a terminating NUL. */
  cstring(text: string): this {
    this.text(text);
    return this.byte(0);
  }

  /** UTF-8 without a terminator. */
  text(text: string): this {
    this.#room(text.length * 3);
    this.length += encoder.encodeInto(text, this.buffer.subarray(this.length)).written;
    return this;
  }

  bytes(source: Uint8Array, start = 0, end = source.length): this {
    const count = end - start;
    this.#room(count);
    copyBytes(source, start, end, this.buffer, this.length);
    this.length += count;
    return this;
  }

  /** A copy of what was written. */
  toBuffer(): Buffer {
    return Buffer.from(this.buffer.subarray(0, this.length));
  }

  #putInt32(at: number, value: number): void {
    const { buffer } = this;
    buffer[at] = value >>> 24;
    buffer[at + 1] = value >>> 16;
    buffer[at + 2] = value >>> 8;
    buffer[at + 3] = value;
  }

  #room(bytes: number): void {
    const wanted = this.length + bytes;
    if (wanted <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, this.buffer.length * 2));
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
  }
}

/** Big-endian signed 32-bit integer at `at`; the caller has checked the bounds. */
export function readInt32(buffer: Uint8Array, at: number): number {
  return (
    ((buffer[at] as number) << 24) | ((buffer[at + 1] as number) << 16) | ((buffer[at + 2] as number) << 8) | (buffer[at + 3] as number)
  );
}

/** Big-endian unsigned 16-bit integer at `at`. */
export function readUint16(buffer: Uint8Array, at: number): number {
  return ((buffer[at] as number) << 8) | (buffer[at + 1] as number);
}
