// Writes what a plugin in JavaScript answered into an output frame, as native plugins do: it is then read and judged as theirs are. What
// is no answer at all is a WrongAnswer in words.
import { constants, structs } from "@pooler/plugin-abi";

/** The plugin's mistake, for "its answer is malformed: …". */
export class WrongAnswer extends Error {}

const { pooler_output: output, pooler_parameter: parameter, pooler_column: column, pooler_value: value } = structs;
const { fields } = output;

const roleNumbers: ReadonlyMap<unknown, number> = new Map([
  ["read", constants.POOLER_ROLE_READ],
  ["write", constants.POOLER_ROLE_WRITE],
]);

export type Fields = Readonly<Record<string, unknown>>;

/** An output frame in memory of its own, copied into the host's when it is whole. */
export class OutputWriter {
  #bytes = Buffer.alloc(4096);
  #end: number = output.size;

  begin(): this {
    this.#bytes.fill(0, 0, output.size);
    this.#end = output.size;
    return this;
  }

  /** How large the host's frame must be. */
  get length(): number {
    return (this.#end + 7) & ~7;
  }

  copyTo(frame: Buffer): void {
    this.#u32(fields.size, output.size);
    this.#u32(fields.used, this.length);
    this.#bytes.copy(frame, 0, 0, this.length);
  }

  failure(message: string): this {
    this.#text(fields.message, message);
    return this;
  }

  refuse(answer: Fields): void {
    const { sqlstate, message, detail, hint } = answer;
    if (typeof message !== "string") throw new WrongAnswer(`message is ${shown(message)}, not a text`);
    this.#text(fields.message, message);
    this.#optional(fields.sqlstate, sqlstate, "sqlstate");
    this.#optional(fields.detail, detail, "detail");
    this.#optional(fields.hint, hint, "hint");
  }

  /** `shard` and `role` of an answer; both may be left out. */
  route({ role, shard }: Fields): void {
    const known = role === undefined || role === null ? constants.POOLER_ROLE_OPEN : roleNumbers.get(role);
    if (known === undefined) throw new WrongAnswer(`role is ${shown(role)}, neither "read" nor "write"`);
    this.#u32(fields.role, known);
    this.#u32(fields.shard, shardNumber(shard));
  }

  flags(flags: number): void {
    this.#u32(fields.flags, this.#bytes.readUInt32LE(fields.flags) | flags);
  }

  askForRows(cookie: unknown): void {
    if (cookie !== undefined && !(Number.isSafeInteger(cookie) && (cookie as number) >= 0)) {
      throw new WrongAnswer(`cookie is ${shown(cookie)}, not a whole number from 0`);
    }
    this.flags(constants.POOLER_OUT_ROWS);
    this.#bytes.writeBigUInt64LE(BigInt((cookie as number | undefined) ?? 0), fields.cookie);
  }

  /** `encoding`: of the client. A text with more than ASCII in it goes as UTF-8, which must be the client's. */
  rewrite({ sql, parameters }: Fields, encoding: string): void {
    if (typeof sql !== "string" && !Buffer.isBuffer(sql)) throw new WrongAnswer(`sql is ${shown(sql)}, neither a text nor a Buffer`);
    if (typeof sql === "string" && !/^utf-?8$|^unicode$/i.test(encoding) && Buffer.byteLength(sql) !== sql.length) {
      throw new WrongAnswer(
        `sql has other characters than ASCII, and the client's encoding is ${encoding}: give a Buffer in that encoding`,
      );
    }
    this.#slice(fields.sql, Buffer.from(sql));
    if (parameters === undefined) return;
    if (!Array.isArray(parameters)) throw new WrongAnswer(`parameters is ${shown(parameters)}, not a list`);
    this.flags(constants.POOLER_OUT_PARAMETERS);
    const elements = this.#array(fields.parameters, parameter.size, parameters.length);
    parameters.forEach((given: unknown, index) => {
      const what = `parameter $${index + 1}`;
      const at = elements + index * parameter.size;
      const own = isFields(given) ? given : { value: given };
      const bytes = valueBytes(own["value"], what);
      if (bytes !== null) this.#slice(at + parameter.fields.value, bytes);
      this.#u32(at + parameter.fields.format, Buffer.isBuffer(own["value"]) ? 1 : 0);
      this.#u32(at + parameter.fields.type_oid, whole(own["typeOid"] ?? 0, `typeOid of ${what}`));
      this.#u32(at + parameter.fields.flags, bytes === null ? constants.POOLER_PARAMETER_NULL : 0);
    });
  }

  intercept({ columns = [], rows = [], commandTag }: Fields): void {
    if (!Array.isArray(columns)) throw new WrongAnswer(`columns is ${shown(columns)}, not a list`);
    if (!Array.isArray(rows)) throw new WrongAnswer(`rows is ${shown(rows)}, not a list`);
    const elements = this.#array(fields.columns, column.size, columns.length);
    const formats = columns.map((given: unknown, index) => this.#column(elements + index * column.size, given, index));
    const values = this.#array(fields.values, value.size, rows.length * columns.length);
    rows.forEach((given: unknown, index) => {
      if (!Array.isArray(given) || given.length !== columns.length) {
        throw new WrongAnswer(`row ${index} is ${shown(given)}, not a list of ${columns.length} values`);
      }
      given.forEach((each: unknown, place) => {
        const what = `value ${place} of row ${index}`;
        if (formats[place] === 1 && each !== null && !Buffer.isBuffer(each))
          throw new WrongAnswer(`${what} is ${shown(each)}, its column is binary`);
        this.#value(values + (index * columns.length + place) * value.size, each, what);
      });
    });
    this.#optional(fields.command_tag, commandTag, "commandTag");
  }

  /** In place of a row's: one for each column, undefined for those that stay. */
  row(given: readonly unknown[], count: number): void {
    if (given.length !== count) throw new WrongAnswer(`it has ${given.length} values for a row of ${count} columns`);
    const elements = this.#array(fields.values, value.size, count);
    given.forEach((each, index) => {
      const at = elements + index * value.size;
      if (each === undefined) this.#u32(at + value.fields.flags, constants.POOLER_VALUE_KEEP);
      else this.#value(at, each, `value ${index}`);
    });
  }

  texts(answer: Fields, names: Readonly<Record<string, number>>): void {
    for (const [name, field] of Object.entries(names)) this.#optional(field, answer[name], name);
  }

  #column(at: number, given: unknown, index: number): number {
    const own = typeof given === "string" ? { name: given } : given;
    if (!isFields(own) || typeof own["name"] !== "string") throw new WrongAnswer(`column ${index} is ${shown(given)}: it has no name`);
    const { name, typeOid = 25, typeModifier = -1, typeSize = -1, format = "text" } = own;
    if (format !== "text" && format !== "binary")
      throw new WrongAnswer(`the format of column ${index} is ${shown(format)}, neither "text" nor "binary"`);
    this.#text(at + column.fields.name, name as string);
    this.#u32(at + column.fields.type_oid, whole(typeOid, `typeOid of column ${index}`));
    this.#i32(at + column.fields.type_modifier, typeModifier, `typeModifier of column ${index}`);
    this.#i32(at + column.fields.type_size, typeSize, `typeSize of column ${index}`);
    this.#u32(at + column.fields.format, format === "binary" ? 1 : 0);
    return format === "binary" ? 1 : 0;
  }

  #value(at: number, given: unknown, what: string): void {
    const bytes = valueBytes(given, what);
    if (bytes === null) this.#u32(at + value.fields.flags, constants.POOLER_VALUE_NULL);
    else this.#slice(at + value.fields.value, bytes);
  }

  #optional(field: number, given: unknown, what: string): void {
    if (given === undefined || given === null) return;
    if (typeof given !== "string") throw new WrongAnswer(`${what} is ${shown(given)}, not a text`);
    this.#text(field, given);
  }

  #text(field: number, text: string): void {
    this.#slice(field, Buffer.from(text));
  }

  #slice(field: number, bytes: Buffer): void {
    const at = this.#reserve(bytes.length);
    bytes.copy(this.#bytes, at);
    this.#u32(field, at);
    this.#u32(field + 4, bytes.length);
  }

  #array(field: number, stride: number, count: number): number {
    if (count === 0) return 0;
    const at = this.#reserve(stride * count);
    this.#bytes.fill(0, at, at + stride * count);
    this.#u32(field, at);
    this.#u32(field + 4, count);
    this.#u32(field + 8, stride);
    return at;
  }

  #reserve(length: number): number {
    const at = (this.#end + 7) & ~7;
    this.#end = at + length;
    if (this.length > this.#bytes.length) {
      const larger = Buffer.alloc(2 * this.length);
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    return at;
  }

  #u32(at: number, number: number): void {
    this.#bytes.writeUInt32LE(number >>> 0, at);
  }

  #i32(at: number, number: unknown, what: string): void {
    if (!Number.isInteger(number) || Math.abs(number as number) > 0x7fff_ffff)
      throw new WrongAnswer(`${what} is ${shown(number)}, not a whole number`);
    this.#bytes.writeInt32LE(number as number, at);
  }
}

export function isFields(given: unknown): given is Fields {
  return typeof given === "object" && given !== null && !Array.isArray(given) && !Buffer.isBuffer(given);
}

/** For messages. */
export function shown(given: unknown): string {
  if (given === undefined) return "undefined";
  if (typeof given === "bigint" || typeof given === "function" || typeof given === "symbol") return typeof given;
  try {
    const text = JSON.stringify(given);
    return text.length > 80 ? `${text.slice(0, 77)}...` : text;
  } catch {
    return typeof given;
  }
}

function valueBytes(given: unknown, what: string): Buffer | null {
  if (given === null) return null;
  if (Buffer.isBuffer(given)) return given;
  if (["string", "number", "bigint", "boolean"].includes(typeof given))
    return Buffer.from(typeof given === "boolean" ? (given ? "t" : "f") : String(given));
  throw new WrongAnswer(`${what} is ${shown(given)}: values are texts, numbers, booleans, Buffers or null`);
}

function whole(given: unknown, what: string): number {
  if (Number.isInteger(given) && (given as number) >= 0 && (given as number) <= 0xffff_ffff) return given as number;
  throw new WrongAnswer(`${what} is ${shown(given)}, not a whole number`);
}

function shardNumber(shard: unknown): number {
  if (shard === undefined || shard === null) return constants.POOLER_SHARD_OPEN;
  if (shard === "all") return constants.POOLER_SHARD_ALL;
  // What the cluster does not have is for the host to say; what is no shard's number at all must not become one.
  if (Number.isInteger(shard) && (shard as number) >= 0 && (shard as number) < constants.POOLER_SHARD_ALL) return shard as number;
  throw new WrongAnswer(`shard is ${shown(shard)}, neither a number from 0 nor "all"`);
}
