// The rows of one execution on their way through the plugins that asked for them: each is kept, changed or dropped. A failure is
// thrown: whoever reads the rows must let none of them out then. Only for executions that some plugin asked for.
import { constants, structs } from "@pooler/plugin-abi";
import { PoolerError } from "../base/errors.js";
import { Backend, HEADER_BYTES } from "../protocol/codes.js";
import { type MessageWriter, readInt32, readUint16 } from "../protocol/message-writer.js";
import { sessionBlock } from "./frames.js";
import { HookFrame } from "./frames-hook.js";
import { malformed, OutputFrame } from "./frames-output.js";
import { type HookCaller, hookFailed, hookIndex } from "./hook-caller.js";
import type { ChainSession } from "./types.js";

const resultRow = hookIndex("result_row");
const rowStruct = structs.pooler_row_input;
const columnStruct = structs.pooler_column;
const valueStruct = structs.pooler_value;
const { POOLER_ROW_CHANGE, POOLER_ROW_DROP, POOLER_VALUE_KEEP, POOLER_VALUE_NULL } = constants;

/** A plugin that asked for the rows of an execution. */
export interface RowReader {
  readonly caller: HookCaller;
  readonly cookieLow: number;
  readonly cookieHigh: number;
  /** The statement that it was asked about. */
  readonly statementId: number;
}

/** What plugins answered about a statement: who wants to see its rows. */
export interface RowsWish {
  readonly queryId: number;
  readonly session: ChainSession;
  /** Chain order. */
  readonly readers: readonly RowReader[];
}

// One at a time: a row is done with before the next one is read.
const input = { frame: null as HookFrame | null };
const output = { frame: null as OutputFrame | null };

export class RowHook {
  readonly #wish: RowsWish;
  #columns: readonly Column[] | null = null;
  #row = 0;

  constructor(wish: RowsWish) {
    this.#wish = wish;
  }

  /** For errors. */
  get plugin(): string {
    return this.#wish.readers[0]?.caller.name ?? "";
  }

  /** The body of a RowDescription [start, end), with the formats that the values will have; empty for NoData. */
  describe(buffer: Buffer, start: number, end: number): void {
    this.#columns = start === end ? [] : readColumns(buffer, start, end);
    this.#row = 0;
  }

  /** A whole DataRow [start, end). What the client gets of it is written; false: nothing. Throws PLUGIN_FAILED. */
  read(buffer: Buffer, start: number, end: number, to: MessageWriter): boolean {
    const columns = this.#columns;
    if (columns === null) throw this.#failure(this.plugin, "the columns of its rows are not known");
    const values = readValues(buffer, start + HEADER_BYTES, end);
    if (values.length !== columns.length)
      throw this.#failure(this.plugin, `a row has ${values.length} values, there are ${columns.length} columns`);
    const row = this.#row++;
    let changed = false;
    for (const reader of this.#wish.readers) {
      const { caller } = reader;
      output.frame ??= new OutputFrame();
      const out = output.frame;
      const status = caller.call(resultRow, this.#frame(reader, columns, values, row), out, POOLER_ROW_DROP);
      if (status === hookFailed) {
        caller.noteFailure(resultRow);
        throw this.#failure(caller.name, caller.failure);
      }
      if (status === POOLER_ROW_DROP) return false;
      if (status !== POOLER_ROW_CHANGE) continue;
      changed = true;
      try {
        takeValues(out, values);
      } catch (error) {
        if (!(error instanceof PoolerError)) throw error;
        caller.failure = error.message;
        caller.noteFailure(resultRow);
        throw this.#failure(caller.name, error.message);
      }
      out.trim();
    }
    if (!changed) {
      to.bytes(buffer, start, end);
      return true;
    }
    to.begin(Backend.DATA_ROW).int16(values.length);
    for (const value of values) {
      if (value === null) to.int32(-1);
      else to.int32(value.length).bytes(value);
    }
    to.end();
    return true;
  }

  #failure(plugin: string, why: string): PoolerError {
    return new PoolerError("PLUGIN_FAILED", `plugin "${plugin}" failed: ${why}`);
  }

  #frame(reader: RowReader, columns: readonly Column[], values: readonly (Buffer | null)[], row: number): HookFrame {
    const { fields } = rowStruct;
    const { queryId, session } = this.#wish;
    input.frame ??= new HookFrame();
    const frame = input.frame
      .begin(rowStruct.size)
      .u64(fields.query_id, queryId)
      .u64(fields.statement_id, reader.statementId)
      .u32(fields.cookie, reader.cookieLow)
      .u32(fields.cookie + 4, reader.cookieHigh)
      .u64(fields.row, row)
      .block(fields.session, sessionBlock(session));
    let element = frame.array(fields.columns, columns.length, columnStruct.size);
    for (const { name, typeOid, typeModifier, typeSize, format } of columns) {
      frame
        .bytes(element + columnStruct.fields.name, name, 0, name.length)
        .u32(element + columnStruct.fields.type_oid, typeOid)
        .u32(element + columnStruct.fields.type_modifier, typeModifier)
        .u32(element + columnStruct.fields.type_size, typeSize)
        .u32(element + columnStruct.fields.format, format);
      element += columnStruct.size;
    }
    element = frame.array(fields.values, values.length, valueStruct.size);
    for (const value of values) {
      if (value === null) frame.u32(element + valueStruct.fields.flags, POOLER_VALUE_NULL);
      else frame.bytes(element + valueStruct.fields.value, value, 0, value.length);
      element += valueStruct.size;
    }
    return frame;
  }
}

interface Column {
  readonly name: Buffer;
  readonly typeOid: number;
  readonly typeModifier: number;
  readonly typeSize: number;
  readonly format: number;
}

/** Source: the protocol's "Message Formats", RowDescription. */
function readColumns(buffer: Buffer, start: number, end: number): readonly Column[] {
  const count = readUint16(buffer, start);
  const columns: Column[] = [];
  let at = start + 2;
  for (let i = 0; i < count; i++) {
    const stop = buffer.indexOf(0, at);
    if (stop < 0 || stop + 19 > end) throw new PoolerError("PROTOCOL_VIOLATION", "the server sent a malformed RowDescription");
    columns.push({
      name: Buffer.from(buffer.subarray(at, stop)),
      typeOid: readInt32(buffer, stop + 7) >>> 0,
      typeSize: (readUint16(buffer, stop + 11) << 16) >> 16,
      typeModifier: readInt32(buffer, stop + 13),
      format: readUint16(buffer, stop + 17),
    });
    at = stop + 19;
  }
  return columns;
}

function readValues(buffer: Buffer, start: number, end: number): (Buffer | null)[] {
  const broken = (): PoolerError => new PoolerError("PROTOCOL_VIOLATION", "the server sent a malformed DataRow");
  if (start + 2 > end) throw broken();
  const count = readUint16(buffer, start);
  const values: (Buffer | null)[] = [];
  let at = start + 2;
  for (let i = 0; i < count; i++) {
    if (at + 4 > end) throw broken();
    const length = readInt32(buffer, at);
    at += 4;
    if (length < 0) {
      values.push(null);
      continue;
    }
    if (at + length > end) throw broken();
    values.push(buffer.subarray(at, at + length));
    at += length;
  }
  return values;
}

/** The plugin's values in place of the row's. */
function takeValues(out: OutputFrame, values: (Buffer | null)[]): void {
  out.checkHeader();
  const elements = out.elements("values", valueStruct.size, 0xffff);
  if (elements.count !== values.length) throw malformed(`the row has ${values.length} values, it answered ${elements.count}`);
  for (let i = 0; i < elements.count; i++) {
    const word = elements.firstWord + i * elements.strideWords;
    const flags = out.word(word + valueStruct.fields.flags / 4);
    if ((flags & POOLER_VALUE_KEEP) !== 0) continue;
    if ((flags & POOLER_VALUE_NULL) !== 0) {
      values[i] = null;
      continue;
    }
    const value = out.sliceAt(word, `value ${i}`);
    if (value === null) throw malformed(`value ${i} is neither a value nor NULL`);
    values[i] = Buffer.from(value);
  }
}
