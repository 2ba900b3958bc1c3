// Reads the messages of a client that the pooler must understand, in place. Every read is checked against the message's
// end; what does not fit is a protocol violation of that client. Hot: results go into objects that are used again.
import { PoolerError } from "../base/errors.js";
import type { ParameterView } from "../plugins/types.js";
import { readInt32, readUint16 } from "./message-writer.js";

const cutOff = (message: string): PoolerError => new PoolerError("PROTOCOL_VIOLATION", `invalid ${message} message: it is cut off`);

/** End of the NUL-terminated string that starts at `at`: the position of its NUL. */
export function cstringEnd(buffer: Buffer, at: number, end: number, message: string): number {
  for (let i = at; i < end; i++) if (buffer[i] === 0) return i;
  throw cutOff(message);
}

/** Position of a Parse body's parts; the name is [nameStart, nameEnd), the text [sqlStart, sqlEnd). */
export class ParseMessage {
  nameStart = 0;
  nameEnd = 0;
  sqlStart = 0;
  sqlEnd = 0;
  typesStart = 0;
  typeCount = 0;

  read(buffer: Buffer, start: number, end: number): void {
    this.nameStart = start;
    this.nameEnd = cstringEnd(buffer, start, end, "Parse");
    this.sqlStart = this.nameEnd + 1;
    this.sqlEnd = cstringEnd(buffer, this.sqlStart, end, "Parse");
    if (this.sqlEnd + 3 > end) throw cutOff("Parse");
    this.typeCount = readUint16(buffer, this.sqlEnd + 1);
    this.typesStart = this.sqlEnd + 3;
    if (this.typesStart + 4 * this.typeCount !== end) throw cutOff("Parse");
  }

  typeOids(buffer: Buffer): number[] {
    const oids: number[] = [];
    for (let i = 0; i < this.typeCount; i++) oids.push(readInt32(buffer, this.typesStart + 4 * i) >>> 0);
    return oids;
  }
}

/** A Bind body: names, and on demand the parameters as a view for the plugins. */
export class BindMessage implements ParameterView {
  portalStart = 0;
  portalEnd = 0;
  statementStart = 0;
  statementEnd = 0;
  /** First byte after the statement's name: what stays as it is when the name is replaced. */
  restStart = 0;

  count = 0;
  buffer: Buffer = Buffer.alloc(0);
  offsets = new Int32Array(16);
  lengths = new Int32Array(16);
  formats = new Int32Array(16);
  typeOids: readonly number[] = [];
  /** Start and count of the result format codes, filled by readParameters(). */
  resultFormatsStart = 0;
  resultFormatCount = 0;

  readNames(buffer: Buffer, start: number, end: number): void {
    this.portalStart = start;
    this.portalEnd = cstringEnd(buffer, start, end, "Bind");
    this.statementStart = this.portalEnd + 1;
    this.statementEnd = cstringEnd(buffer, this.statementStart, end, "Bind");
    this.restStart = this.statementEnd + 1;
  }

  /** After readNames(): formats, values and result formats. */
  readParameters(buffer: Buffer, end: number, typeOids: readonly number[]): void {
    let at = this.restStart;
    if (at + 2 > end) throw cutOff("Bind");
    const formatCount = readUint16(buffer, at);
    const formatsAt = at + 2;
    at = formatsAt + 2 * formatCount;
    if (at + 2 > end) throw cutOff("Bind");
    const count = readUint16(buffer, at);
    at += 2;
    if (formatCount > 1 && formatCount !== count) {
      throw new PoolerError("PROTOCOL_VIOLATION", `bind message has ${formatCount} parameter formats but ${count} parameters`);
    }
    if (count > this.offsets.length) {
      const size = Math.max(count, this.offsets.length * 2);
      this.offsets = new Int32Array(size);
      this.lengths = new Int32Array(size);
      this.formats = new Int32Array(size);
    }
    for (let i = 0; i < count; i++) {
      if (at + 4 > end) throw cutOff("Bind");
      const length = readInt32(buffer, at);
      at += 4;
      if (length < -1 || length > end - at) throw cutOff("Bind");
      this.offsets[i] = at;
      this.lengths[i] = length;
      this.formats[i] = formatCount === 0 ? 0 : readUint16(buffer, formatsAt + (formatCount === 1 ? 0 : 2 * i));
      if (length > 0) at += length;
    }
    if (at + 2 > end) throw cutOff("Bind");
    this.resultFormatCount = readUint16(buffer, at);
    this.resultFormatsStart = at + 2;
    if (this.resultFormatsStart + 2 * this.resultFormatCount !== end) throw cutOff("Bind");
    this.count = count;
    this.buffer = buffer;
    this.typeOids = typeOids;
  }

  /** Formats that the client asked for: none, one for all, or one for each column. */
  resultFormats(buffer: Buffer): number[] {
    const formats: number[] = [];
    for (let i = 0; i < this.resultFormatCount; i++) formats.push(readUint16(buffer, this.resultFormatsStart + 2 * i));
    return formats;
  }
}
