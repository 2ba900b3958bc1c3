// What a plugin answered, read out of the output frame into objects that the caller may keep. Cold: an answer that carries
// more than a route is rare enough to allocate. Malformed answers are thrown as PLUGIN_FAILED.
import { constants, structs } from "@pooler/plugin-abi";
import { largestOutputBytes, malformed, type OutputFrame } from "./frames-output.js";
import type { ChainDecision, InterceptColumn, ParameterView } from "./types.js";

const { pooler_parameter: parameterStruct, pooler_column: columnStruct, pooler_value: valueStruct } = structs;

/** Bind counts parameters in sixteen bits. */
const mostParameters = 0xffff;
/** PostgreSQL's own limit of a target list. */
const mostColumns = 1664;
const mostValues = 1 << 24;

const refusedSqlstate = "42501";
const sqlstatePattern = /^[0-9A-Z]{5}$/;

export type Refusal = NonNullable<ChainDecision["error"]>;
export type Interception = NonNullable<ChainDecision["intercept"]>;

export interface Rewrite {
  readonly sql: Buffer;
  /** Null: those of the client stay. */
  readonly parameters: RewrittenParameters | null;
}

export interface RewrittenParameters {
  readonly kept: NonNullable<ChainDecision["rewrittenParameters"]>;
  /** The same for the plugins that are asked next. */
  readonly view: ParameterView;
}

/** `what` was refused, for a plugin that does not say why. */
export function readRefusal(out: OutputFrame, plugin: string, what = "the statement"): Refusal {
  out.checkHeader();
  const sqlstate = out.slice("sqlstate")?.toString("latin1") ?? refusedSqlstate;
  if (!sqlstatePattern.test(sqlstate)) {
    throw malformed(`sqlstate is ${JSON.stringify(sqlstate.slice(0, 20))}, not five of 0-9 and A-Z`);
  }
  return {
    sqlstate,
    message: out.text("message") ?? `plugin "${plugin}" refused ${what}`,
    detail: out.text("detail"),
    hint: out.text("hint"),
    failed: false,
  };
}

export function readRewrite(out: OutputFrame): Rewrite {
  out.checkHeader();
  const sql = out.slice("sql");
  if (sql === null) throw malformed("a rewrite without sql");
  if (sql.includes(0)) throw malformed("sql has a NUL byte");
  const parameters = (out.flags & constants.POOLER_OUT_PARAMETERS) !== 0 ? readParameters(out) : null;
  return { sql: Buffer.from(sql), parameters };
}

function readParameters(out: OutputFrame): RewrittenParameters {
  const elements = out.elements("parameters", parameterStruct.size, mostParameters);
  const { fields } = parameterStruct;
  const values: (Buffer | null)[] = [];
  const formats: number[] = [];
  const typeOids: number[] = [];
  for (let i = 0; i < elements.count; i++) {
    const word = elements.firstWord + i * elements.strideWords;
    values.push(readValue(out, word, (out.word(word + fields.flags / 4) & constants.POOLER_PARAMETER_NULL) !== 0, `parameter $${i + 1}`));
    formats.push(readFormat(out.word(word + fields.format / 4), `parameter $${i + 1}`));
    typeOids.push(out.word(word + fields.type_oid / 4));
  }
  const kept = { values, formats, typeOids };
  return { kept, view: viewOf(kept) };
}

export function readInterception(out: OutputFrame): Interception {
  out.checkHeader();
  const columns = readColumns(out);
  const elements = out.elements("values", valueStruct.size, mostValues);
  if (columns.length === 0 ? elements.count !== 0 : elements.count % columns.length !== 0) {
    throw malformed(`${elements.count} values do not make rows of ${columns.length} columns`);
  }
  const values: (Buffer | null)[] = [];
  let copiedBytes = 0;
  for (let i = 0; i < elements.count; i++) {
    const word = elements.firstWord + i * elements.strideWords;
    const isNull = (out.word(word + valueStruct.fields.flags / 4) & constants.POOLER_VALUE_NULL) !== 0;
    const value = readValue(out, word, isNull, `value ${i}`);
    values.push(value);
    // Values may share bytes of the frame, but not to make more of them than a frame may have.
    copiedBytes += value?.length ?? 0;
    if (copiedBytes > largestOutputBytes) throw malformed(`the values have more than ${largestOutputBytes} bytes together`);
  }
  const rowCount = columns.length === 0 ? 0 : elements.count / columns.length;
  const tag = out.slice("command_tag");
  if (tag?.includes(0)) throw malformed("command_tag has a NUL byte");
  return { columns, values, rowCount, commandTag: tag?.toString("utf8") ?? `SELECT ${rowCount}` };
}

function readColumns(out: OutputFrame): readonly InterceptColumn[] {
  const elements = out.elements("columns", columnStruct.size, mostColumns);
  const { fields } = columnStruct;
  const columns: InterceptColumn[] = [];
  for (let i = 0; i < elements.count; i++) {
    const word = elements.firstWord + i * elements.strideWords;
    const name = out.sliceAt(word + fields.name / 4, `the name of column ${i}`);
    if (name === null) throw malformed(`column ${i} has no name`);
    if (name.includes(0)) throw malformed(`the name of column ${i} has a NUL byte`);
    const typeSize = out.word(word + fields.type_size / 4) | 0;
    // RowDescription carries it in sixteen bits.
    if (typeSize < -0x8000 || typeSize > 0x7fff) throw malformed(`type_size of column ${i} is ${typeSize}`);
    columns.push({
      name: name.toString("utf8"),
      typeOid: out.word(word + fields.type_oid / 4),
      typeModifier: out.word(word + fields.type_modifier / 4) | 0,
      typeSize,
      format: readFormat(out.word(word + fields.format / 4), `column ${i}`),
    });
  }
  return columns;
}

/** A copy: the frame belongs to the next plugin. */
function readValue(out: OutputFrame, word: number, isNull: boolean, what: string): Buffer | null {
  if (isNull) return null;
  const bytes = out.sliceAt(word, what);
  if (bytes === null) throw malformed(`${what} is neither a value nor NULL`);
  return Buffer.from(bytes);
}

function readFormat(format: number, what: string): number {
  if (format > 1) throw malformed(`the format of ${what} is ${format}, neither 0 (text) nor 1 (binary)`);
  return format;
}

function viewOf(parameters: NonNullable<ChainDecision["rewrittenParameters"]>): ParameterView {
  const { values, formats, typeOids } = parameters;
  const offsets = new Int32Array(values.length);
  const lengths = new Int32Array(values.length);
  let end = 0;
  values.forEach((value, index) => {
    offsets[index] = end;
    lengths[index] = value === null ? -1 : value.length;
    end += value?.length ?? 0;
  });
  const buffer = Buffer.concat(values.filter((value) => value !== null));
  return { count: values.length, buffer, offsets, lengths, formats: Int32Array.from(formats), typeOids };
}
