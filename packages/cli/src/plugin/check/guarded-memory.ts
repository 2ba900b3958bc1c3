// Memory for frames whose end is the end of what is mapped: whoever reads or writes one byte too far faults. Behind the output
// there is a strip that is only looked at, so that a small overrun can be told without a crash.
import { native } from "@pooler/core/plugin-tools";

const pageBytes = 16 << 10;
const readAndWrite = 3;
const nothing = 0;
const isDarwin = process.platform === "darwin";
const privateAnonymous = isDarwin ? 0x1002 : 0x22;
const padding = 0xa5;
/** Looked at after each call, before and behind an output frame. */
const stripBytes = 256;

export interface Placed {
  readonly address: bigint;
  readonly bytes: Buffer;
}

export interface GuardedMemory {
  /** A frame whose last byte (up to alignment) is the last one mapped. */
  placeInput(frame: Buffer): Placed;
  /** `capacity` bytes, a multiple of eight. */
  placeOutput(capacity: number): Placed;
  /** Where a plugin wrote before or behind the output that was placed last, in words; null when it did not. */
  trespass(): string | null;
}

class Region {
  readonly size: number;
  readonly #start: bigint;

  constructor(size: number) {
    this.size = Math.ceil(size / pageBytes) * pageBytes;
    const process_ = native().load(null);
    const mmap = process_.func("mmap", "void *", ["void *", "size_t", "int", "int", "int", "int64_t"]);
    const mprotect = process_.func("mprotect", "int", ["void *", "size_t", "int"]);
    const address: unknown = mmap(null, this.size + 2 * pageBytes, readAndWrite, privateAnonymous, -1, 0);
    if (typeof address !== "bigint" || address === 0xffff_ffff_ffff_ffffn) throw new Error(`no memory (errno ${native().errno()})`);
    this.#start = address + BigInt(pageBytes);
    mprotect(address, pageBytes, nothing);
    mprotect(this.#start + BigInt(this.size), pageBytes, nothing);
  }

  /** `bytes` that end `before` bytes in front of the end. */
  at(bytes: number, before: number): Placed {
    const offset = this.size - before - bytes;
    if (offset < 0) throw new Error(`${bytes} bytes do not fit into a region of ${this.size}`);
    const address = this.#start + BigInt(offset);
    // A view of nothing has no address.
    return { address, bytes: bytes === 0 ? Buffer.alloc(0) : Buffer.from(native().view(address, bytes)) };
  }
}

class Guarded implements GuardedMemory {
  #input = new Region(1 << 20);
  #output = new Region(1 << 20);
  #capacity = 0;

  placeInput(frame: Buffer): Placed {
    const size = (frame.length + 7) & ~7;
    if (size > this.#input.size) this.#input = new Region(2 * size);
    const placed = this.#input.at(size, 0);
    placed.bytes.fill(padding, frame.length);
    frame.copy(placed.bytes);
    return { address: placed.address, bytes: placed.bytes.subarray(0, frame.length) };
  }

  placeOutput(capacity: number): Placed {
    if (capacity + 2 * stripBytes > this.#output.size) this.#output = new Region(capacity + 2 * stripBytes);
    this.#output.at(stripBytes, 0).bytes.fill(padding);
    this.#output.at(stripBytes, stripBytes + capacity).bytes.fill(padding);
    this.#capacity = capacity;
    return this.#output.at(capacity, stripBytes);
  }

  trespass(): string | null {
    const behind = this.#output.at(stripBytes, 0).bytes.findIndex((byte) => byte !== padding);
    if (behind !== -1) return `it wrote behind its output frame (byte ${this.#capacity + behind} of a frame of ${this.#capacity})`;
    const before = this.#output.at(stripBytes, stripBytes + this.#capacity).bytes.findLastIndex((byte) => byte !== padding);
    return before === -1 ? null : `it wrote ${stripBytes - before} bytes before its output frame`;
  }
}

export function createGuardedMemory(): GuardedMemory {
  return new Guarded();
}
