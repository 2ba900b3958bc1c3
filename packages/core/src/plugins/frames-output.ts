// The frame that plugins write their answer to, and the reader that believes nothing in it: every offset, count and stride is
// checked against what the plugin says it used. What does not hold is a malformed verdict, thrown as PLUGIN_FAILED.
import { structs } from "@pooler/plugin-abi";
import { PoolerError } from "../base/errors.js";
import { addressOf } from "../base/native.js";

const outputStruct = structs.pooler_output;
const outputWords = outputStruct.size / 4;

const wordOf = {
  size: outputStruct.fields.size / 4,
  used: outputStruct.fields.used / 4,
  needed: outputStruct.fields.needed / 4,
  flags: outputStruct.fields.flags / 4,
  role: outputStruct.fields.role / 4,
  shard: outputStruct.fields.shard / 4,
  cookie: outputStruct.fields.cookie / 4,
} as const;

type OutputSlice =
  | "sqlstate"
  | "message"
  | "detail"
  | "hint"
  | "sql"
  | "command_tag"
  | "user"
  | "database"
  | "server_user"
  | "server_password"
  | "once_sql";
type OutputArray = "parameters" | "columns" | "values";

const initialBytes = 64 << 10;
/** No answer may want more. */
export const largestOutputBytes = 64 << 20;

/** Elements of an array in the frame, checked: element i begins at word `first + i * stride` of the words it came with. */
export interface OutputElements {
  readonly count: number;
  readonly firstWord: number;
  readonly strideWords: number;
}

export class OutputFrame {
  address: bigint;
  capacity: number;
  #bytes: Buffer;
  #words: Uint32Array;

  /** `memory`: a multiple of eight bytes, aligned to eight. */
  constructor(memory: ArrayBuffer = new ArrayBuffer(initialBytes)) {
    this.capacity = memory.byteLength;
    this.#bytes = Buffer.from(memory);
    this.#words = new Uint32Array(memory);
    this.address = addressOf(memory);
  }

  /** Before each call: the header is zero but for its size. */
  clear(): void {
    const words = this.#words;
    for (let i = 1; i < outputWords; i++) words[i] = 0;
    words[wordOf.size] = outputStruct.size;
  }

  /** Make room for an answer that did not fit. */
  grow(bytes: number): void {
    this.#resize(bytes);
  }

  /** Give back what an unusually large answer took. */
  trim(): void {
    if (this.capacity > initialBytes) this.#resize(initialBytes);
  }

  get needed(): number {
    return this.#words[wordOf.needed] as number;
  }

  /** Of the plugin's own, in two halves. */
  get cookieLow(): number {
    return this.#words[wordOf.cookie] as number;
  }

  get cookieHigh(): number {
    return this.#words[wordOf.cookie + 1] as number;
  }

  get role(): number {
    return this.#words[wordOf.role] as number;
  }

  get shard(): number {
    return this.#words[wordOf.shard] as number;
  }

  get flags(): number {
    return this.#words[wordOf.flags] as number;
  }

  /** For pooler_fetch_output: which of the plugin's answers is meant. */
  setCookie(low: number, high: number): void {
    this.#words[wordOf.cookie] = low;
    this.#words[wordOf.cookie + 1] = high;
  }

  /** What the plugin wrote, to be read by load() of any frame; null: it says that it used more than there is. */
  copy(): Uint8Array | null {
    const used = this.#words[wordOf.used] as number;
    if (used > this.capacity) return null;
    return Uint8Array.from(this.#bytes.subarray(0, Math.max(used, outputStruct.size)));
  }

  /** As if a plugin had just written it. */
  load(answer: Uint8Array): void {
    if (answer.length > this.capacity) this.#resize(answer.length);
    this.#bytes.set(answer);
  }

  /** What holds for every verdict that is read at all. */
  checkHeader(): void {
    const size = this.#words[wordOf.size] as number;
    if (size !== outputStruct.size) throw malformed(`size is ${size}, the host had set ${outputStruct.size}`);
    const used = this.#words[wordOf.used] as number;
    if (used > this.capacity) throw malformed(`used is ${used} of a frame of ${this.capacity} bytes`);
  }

  /** A view, valid until the next call of a plugin; null when absent. */
  slice(field: OutputSlice): Buffer | null {
    return this.sliceAt(outputStruct.fields[field] / 4, field);
  }

  /** The slice in word `word` and the one after. `what` names it when it is wrong. */
  sliceAt(word: number, what: string): Buffer | null {
    const offset = this.#words[word] as number;
    const length = this.#words[word + 1] as number;
    if (offset === 0) return null;
    this.#checkWithin(offset, length, what);
    return this.#bytes.subarray(offset, offset + length);
  }

  /** UTF-8. A NUL would end the text in the protocol: it is replaced. */
  text(field: OutputSlice): string | null {
    return this.slice(field)?.toString("utf8").replaceAll("\0", "\ufffd") ?? null;
  }

  /** Like text(), for a plugin that has failed: what cannot be read is absent. */
  textOfFailure(field: OutputSlice): string | null {
    try {
      this.checkHeader();
      return this.text(field);
    } catch {
      return null;
    }
  }

  elements(field: OutputArray, elementBytes: number, most: number): OutputElements {
    const word = outputStruct.fields[field] / 4;
    const offset = this.#words[word] as number;
    const count = this.#words[word + 1] as number;
    const stride = this.#words[word + 2] as number;
    if (offset === 0) {
      if (count !== 0) throw malformed(`${field} has ${count} elements and no offset`);
      return { count: 0, firstWord: 0, strideWords: 0 };
    }
    if (count === 0) return { count: 0, firstWord: 0, strideWords: 0 };
    if (count > most) throw malformed(`${field} has ${count} elements, ${most} are allowed`);
    if (stride < elementBytes) throw malformed(`${field} has a stride of ${stride}, an element has ${elementBytes} bytes`);
    if (stride % 4 !== 0 || offset % 4 !== 0) throw malformed(`${field} is not aligned (offset ${offset}, stride ${stride})`);
    // Numbers below 2^32 each: the product is exact enough to be compared.
    this.#checkWithin(offset, (count - 1) * stride + elementBytes, field);
    return { count, firstWord: offset / 4, strideWords: stride / 4 };
  }

  /** An unsigned number of an element. */
  word(index: number): number {
    return this.#words[index] as number;
  }

  #checkWithin(offset: number, length: number, what: string): void {
    const used = this.#words[wordOf.used] as number;
    if (offset < outputStruct.size) throw malformed(`${what} begins at byte ${offset}, inside the header of ${outputStruct.size} bytes`);
    if (offset + length > used) throw malformed(`${what} ends at byte ${offset + length}, beyond the ${used} bytes used`);
  }

  #resize(bytes: number): void {
    const memory = new ArrayBuffer(Math.ceil(bytes / 8) * 8);
    this.#bytes = Buffer.from(memory);
    this.#words = new Uint32Array(memory);
    this.address = addressOf(memory);
    this.capacity = memory.byteLength;
  }
}

/** A plugin's answer that breaks the contract: `what` says where. */
export function malformed(what: string): PoolerError {
  return new PoolerError("PLUGIN_FAILED", `its answer is malformed: ${what}`);
}
