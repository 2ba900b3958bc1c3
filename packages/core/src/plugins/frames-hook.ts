// The frame that hooks beside route_query read: one reused buffer, written field by field. Allocates only when it grows, and for
// texts that are not plain. Knows the rules of frames, not what any struct means.
import { structs } from "@pooler/plugin-abi";
import { invariant } from "../base/errors.js";
import { addressOf } from "../base/native.js";
import type { Block } from "./frames-block.js";

const initialBytes = 4 << 10;
/** A frame that grew beyond this is dropped when the next one begins. */
const keptBytes = 1 << 20;
const pairStruct = structs.pooler_pair;

export class HookFrame {
  address: bigint;
  /** Bytes of the frame that are in use. */
  length = 0;
  #bytes: Buffer;
  #words: Uint32Array;

  constructor() {
    const memory = new ArrayBuffer(initialBytes);
    this.#bytes = Buffer.from(memory);
    this.#words = new Uint32Array(memory);
    this.address = addressOf(memory);
  }

  /** The frame as it is now. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  /** A new frame that begins with a struct of so many bytes, zero but for its size. */
  begin(structBytes: number): this {
    if (this.#bytes.length > keptBytes) this.#resize(initialBytes, 0);
    this.#words.fill(0, 0, structBytes / 4);
    this.#words[0] = structBytes;
    this.length = structBytes;
    return this;
  }

  /** Go on behind what was written until then: `length` of an earlier moment. */
  rewind(length: number): this {
    this.length = length;
    return this;
  }

  u32(at: number, value: number): this {
    this.#words[at >>> 2] = value;
    return this;
  }

  u64(at: number, value: number): this {
    this.#words[at >>> 2] = value;
    this.#words[(at >>> 2) + 1] = value / 0x1_0000_0000;
    return this;
  }

  /** A struct of the frame that the ref at `at` names. */
  block(at: number, block: Block): this {
    const start = this.#reserve(block.words.byteLength);
    const first = start >>> 2;
    this.#words.set(block.words, first);
    for (const offset of block.offsets) this.#words[first + offset] = (this.#words[first + offset] as number) + start;
    this.#words[at >>> 2] = start;
    return this;
  }

  /** Null: absent. */
  text(at: number, text: string | null): this {
    if (text === null) return this;
    const start = this.length;
    const length = Buffer.byteLength(text);
    this.#grow(length);
    this.#bytes.write(text, start);
    return this.#slice(at, start, length);
  }

  bytes(at: number, from: Uint8Array, start: number, end: number): this {
    const to = this.length;
    this.#grow(end - start);
    this.#bytes.set(start === 0 && end === from.length ? from : from.subarray(start, end), to);
    return this.#slice(at, to, end - start);
  }

  /** Space for zeroed elements; returns where the first one is. */
  array(at: number, count: number, stride: number): number {
    const word = at >>> 2;
    this.#words[word] = 0;
    this.#words[word + 1] = count;
    this.#words[word + 2] = stride;
    if (count === 0) return 0;
    const start = this.#reserve(count * stride);
    this.#words.fill(0, start >>> 2, (start + count * stride) >>> 2);
    this.#words[word] = start;
    return start;
  }

  pairs(at: number, map: ReadonlyMap<string, string>): this {
    let element = this.array(at, map.size, pairStruct.size);
    for (const [name, value] of map) {
      this.text(element + pairStruct.fields.name, name);
      this.text(element + pairStruct.fields.value, value);
      element += pairStruct.size;
    }
    return this;
  }

  #slice(at: number, start: number, length: number): this {
    this.#words[at >>> 2] = start;
    this.#words[(at >>> 2) + 1] = length;
    return this;
  }

  /** At the next multiple of eight. */
  #reserve(bytes: number): number {
    const start = (this.length + 7) & ~7;
    this.#grow(start - this.length + bytes);
    return start;
  }

  #grow(bytes: number): void {
    const before = this.length;
    this.length += bytes;
    if (this.length > this.#bytes.length) this.#resize(Math.max(this.length, this.#bytes.length * 2), before);
  }

  #resize(bytes: number, kept: number): void {
    const memory = new ArrayBuffer((bytes + 7) & ~7);
    const old = this.#bytes;
    this.#bytes = Buffer.from(memory);
    this.#words = new Uint32Array(memory);
    old.copy(this.#bytes, 0, 0, kept);
    this.address = addressOf(memory);
    invariant((this.address & 7n) === 0n, "a frame begins at a multiple of eight");
  }
}
