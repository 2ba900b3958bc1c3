// The frame that plugins read: one reused buffer in which cluster, session, statement and parameters follow one another.
// What did not change since the call before is left where it is: clients take turns, so a session has room for the next one, and the
// statement behind it stays. Hot: allocates only when it grows.
import { constants, structs } from "@pooler/plugin-abi";
import { invariant } from "../base/errors.js";
import { addressOf } from "../base/native.js";
import type { LiftedStatement, Statement } from "../sql/statement.js";
import { type Block, statementSqlWord } from "./frames-block.js";
import type { ChainRequest, ParameterView } from "./types.js";

const { pooler_input: inputStruct, pooler_parameter: parameterStruct } = structs;

const wordOf = {
  size: inputStruct.fields.size / 4,
  protocol: inputStruct.fields.protocol / 4,
  flags: inputStruct.fields.flags / 4,
  role: inputStruct.fields.role / 4,
  shard: inputStruct.fields.shard / 4,
  msSinceWrite: inputStruct.fields.ms_since_write / 4,
  queryId: inputStruct.fields.query_id / 4,
  statement: inputStruct.fields.statement / 4,
  session: inputStruct.fields.session / 4,
  cluster: inputStruct.fields.cluster / 4,
  parameters: inputStruct.fields.parameters / 4,
} as const;

const parameterWords = parameterStruct.size / 4;
const parameterWordOf = {
  value: parameterStruct.fields.value / 4,
  format: parameterStruct.fields.format / 4,
  typeOid: parameterStruct.fields.type_oid / 4,
  flags: parameterStruct.fields.flags / 4,
} as const;

const initialBytes = 16 << 10;
/** A frame that grew beyond this is dropped when its statement is done. */
const keptBytes = 1 << 20;
/** Sessions of much the same size take one another's place. */
const sessionStep = 256;
/** Below this a loop beats the call that copies. */
const shortCopy = 64;

/** What a statement brings to the frame. */
export interface StatementBlock extends Block {
  /** The statement's text follows the block in the frame. */
  readonly sqlFollows: boolean;
}

export class InputFrame {
  address: bigint;
  /** Bytes of the frame that are in use. */
  length = 0;
  #bytes: Uint8Array;
  #words: Uint32Array;
  #cluster: Block | null = null;
  #session: Block | null = null;
  #statement: StatementBlock | null = null;
  #sessionAt = 0;
  /** Behind the room for the session. */
  #statementAt = 0;
  /** Where the statement's text lies when it follows its block. */
  #sqlAt = 0;
  #parametersAt = 0;
  /** Where the values lie in the buffer of the parameters at hand. */
  #valuesStart = 0;
  #valuesEnd = 0;

  constructor() {
    const memory = new ArrayBuffer(initialBytes);
    this.#bytes = new Uint8Array(memory);
    this.#words = new Uint32Array(memory);
    this.address = aligned(memory);
  }

  /** Everything but what changes from plugin to plugin: see decided(). */
  build(
    request: ChainRequest,
    queryId: number,
    cluster: Block,
    session: Block,
    statement: Statement,
    block: StatementBlock,
    parameters: ParameterView | null,
    lifted: LiftedStatement | null,
  ): void {
    const sqlBytes = lifted === null ? statement.sql.length : lifted.end - lifted.start;
    const followingSql = block.sqlFollows ? sqlBytes + 8 : 0;
    const sessionBytes = Math.max(4 * session.words.length + sessionStep, this.#statementAt - this.#sessionAt);
    const fixed = inputStruct.size + 4 * cluster.words.length + sessionBytes + 4 * block.words.length + followingSql;
    const count = parameters === null ? 0 : parameters.count;
    const needed = fixed + (parameters === null ? 0 : count * parameterStruct.size + this.#measure(parameters));
    if (needed > this.#bytes.length) this.#resize(Math.max(needed, Math.min(this.#bytes.length * 2, keptBytes)));

    const words = this.#words;
    if (this.#cluster !== cluster) {
      this.#sessionAt = this.#statementAt = this.#place(cluster, inputStruct.size);
      this.#cluster = cluster;
      this.#session = null;
    }
    if (this.#session !== session) {
      const end = this.#place(session, this.#sessionAt);
      this.#session = session;
      if (end > this.#statementAt) {
        this.#statementAt = this.#sessionAt + Math.ceil((end - this.#sessionAt) / sessionStep) * sessionStep;
        this.#statement = null;
      }
    }
    if (this.#statement !== block) {
      this.#sqlAt = this.#place(block, this.#statementAt);
      this.#parametersAt = block.sqlFollows && lifted === null ? this.#placeSql(statement.sql, 0, sqlBytes) : this.#sqlAt;
      this.#statement = block;
    }
    // Another text of the same statement.
    if (lifted !== null) this.#parametersAt = this.#placeSql(lifted.buffer, lifted.start, lifted.end);
    words[wordOf.size] = inputStruct.size;
    words[wordOf.protocol] = request.extended ? constants.POOLER_PROTOCOL_EXTENDED : constants.POOLER_PROTOCOL_SIMPLE;
    words[wordOf.msSinceWrite] = request.msSinceWrite;
    words[wordOf.queryId] = queryId;
    words[wordOf.queryId + 1] = queryId / 0x1_0000_0000;
    words[wordOf.statement] = this.#statementAt;
    words[wordOf.session] = this.#sessionAt;
    words[wordOf.cluster] = inputStruct.size;
    words[wordOf.parameters] = count === 0 ? 0 : this.#parametersAt;
    words[wordOf.parameters + 1] = count;
    words[wordOf.parameters + 2] = parameterStruct.size;
    const flags = lifted === null ? 0 : constants.POOLER_PARAMETER_LITERAL;
    this.length = parameters === null || count === 0 ? this.#parametersAt : this.#placeParameters(parameters, flags);
  }

  /** The frame as it is now. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  /** What the plugin that is asked next must know of those before it. */
  decided(flags: number, role: number, shard: number): void {
    this.#words[wordOf.flags] = flags;
    this.#words[wordOf.role] = role;
    this.#words[wordOf.shard] = shard;
  }

  /** Give back what an unusually large statement took. */
  trim(): void {
    if (this.#bytes.length > keptBytes) this.#resize(initialBytes);
  }

  #place(block: Block, at: number): number {
    const first = at >>> 2;
    const words = this.#words;
    words.set(block.words, first);
    const offsets = block.offsets;
    for (let i = 0; i < offsets.length; i++) {
      const word = first + (offsets[i] as number);
      words[word] = (words[word] as number) + at;
    }
    return at + 4 * block.words.length;
  }

  /** The statement's text, behind its block. Returns where what follows it may lie. */
  #placeSql(buffer: Buffer, start: number, end: number): number {
    const at = this.#sqlAt;
    const length = end - start;
    const bytes = this.#bytes;
    if (length <= shortCopy) for (let i = 0; i < length; i++) bytes[at + i] = buffer[start + i] as number;
    else bytes.set(buffer.subarray(start, end), at);
    this.#words[(this.#statementAt >>> 2) + statementSqlWord] = at;
    this.#words[(this.#statementAt >>> 2) + statementSqlWord + 1] = length;
    return (at + length + 7) & ~7;
  }

  /** The array, and behind it the values with whatever lies between them in the message, in one copy. */
  #placeParameters(parameters: ParameterView, flags: number): number {
    const { count, offsets, lengths, formats, typeOids } = parameters;
    const valuesAt = this.#parametersAt + count * parameterStruct.size;
    const start = this.#valuesStart;
    const end = this.#valuesEnd;
    const words = this.#words;
    let word = this.#parametersAt >>> 2;
    for (let i = 0; i < count; i++, word += parameterWords) {
      const length = lengths[i] as number;
      const isNull = length < 0;
      words[word + parameterWordOf.value] = isNull ? 0 : valuesAt + (offsets[i] as number) - start;
      words[word + parameterWordOf.value + 1] = isNull ? 0 : length;
      words[word + parameterWordOf.format] = formats[i] as number;
      words[word + parameterWordOf.typeOid] = i < typeOids.length ? (typeOids[i] as number) : 0;
      words[word + parameterWordOf.flags] = isNull ? flags | constants.POOLER_PARAMETER_NULL : flags;
      words[word + parameterWordOf.flags + 1] = 0;
    }
    const span = end - start;
    const bytes = this.#bytes;
    const from = parameters.buffer;
    if (span <= shortCopy) for (let i = 0; i < span; i++) bytes[valuesAt + i] = from[start + i] as number;
    else bytes.set(from.subarray(start, end), valuesAt);
    return valuesAt + span;
  }

  /** How many bytes lie between the first value and the end of the last. */
  #measure(parameters: ParameterView): number {
    const { count, offsets, lengths } = parameters;
    let start = Number.MAX_SAFE_INTEGER;
    let end = 0;
    for (let i = 0; i < count; i++) {
      const length = lengths[i] as number;
      if (length < 0) continue;
      const offset = offsets[i] as number;
      if (offset < start) start = offset;
      if (offset + length > end) end = offset + length;
    }
    this.#valuesStart = end === 0 ? 0 : start;
    this.#valuesEnd = end;
    return this.#valuesEnd - this.#valuesStart;
  }

  #resize(bytes: number): void {
    const memory = new ArrayBuffer(Math.ceil(bytes / 8) * 8);
    this.#bytes = new Uint8Array(memory);
    this.#words = new Uint32Array(memory);
    this.address = aligned(memory);
    this.#cluster = null;
    this.#session = null;
    this.#statement = null;
    this.#sessionAt = this.#statementAt = 0;
  }
}

function aligned(memory: ArrayBuffer): bigint {
  const address = addressOf(memory);
  invariant((address & 7n) === 0n, "a frame begins at a multiple of eight");
  return address;
}
