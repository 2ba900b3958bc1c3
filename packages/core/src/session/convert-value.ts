// Turns a plugin's value into the format that the client's Bind asked for, where both are known here: integers, booleans,
// and types whose two formats are the same bytes. Anything else is an error: a guess would be read as data.
import { PoolerError } from "../base/errors.js";
import type { InterceptColumn } from "../plugins/types.js";

const TEXT = 0;
const BOOL = 16;
const INT8 = 20;
const INT2 = 21;
const INT4 = 23;

/** "char", name, text, json, xml, unknown, bpchar, varchar: the binary format is the text. */
const sameInBoth = new Set([18, 19, 25, 114, 142, 705, 1042, 1043]);

const integers = new Map<number, { readonly bytes: number; readonly min: bigint; readonly max: bigint }>(
  [
    [INT2, 2],
    [INT4, 4],
    [INT8, 8],
  ].map(([oid, bytes]) => [
    oid as number,
    { bytes: bytes as number, min: -(2n ** BigInt((bytes as number) * 8 - 1)), max: 2n ** BigInt((bytes as number) * 8 - 1) - 1n },
  ]),
);

export function convertValue(value: Buffer, column: InterceptColumn, format: number, plugin: string): Buffer {
  if (column.format === format || sameInBoth.has(column.typeOid)) return value;
  const converted = format === TEXT ? toText(value, column.typeOid) : toBinary(value, column.typeOid);
  if (converted !== null) return converted;
  throw new PoolerError(
    "PLUGIN_FAILED",
    `plugin "${plugin}" failed: column "${column.name}" has a ${column.format === TEXT ? "text" : "binary"} value, but the client asked for ${format === TEXT ? "text" : "binary"}`,
    { hint: `Values of type ${column.typeOid} are not converted: the plugin has to give them in the format that the client wants.` },
  );
}

function toText(value: Buffer, typeOid: number): Buffer | null {
  if (typeOid === BOOL) return value.length === 1 ? Buffer.from(value[0] === 0 ? "f" : "t") : null;
  const integer = integers.get(typeOid);
  if (integer === undefined || value.length !== integer.bytes) return null;
  return Buffer.from(integer.bytes === 8 ? value.readBigInt64BE().toString() : value.readIntBE(0, integer.bytes).toString());
}

function toBinary(value: Buffer, typeOid: number): Buffer | null {
  const text = value.toString("latin1").trim();
  if (typeOid === BOOL) {
    if (/^(t|true|on|yes|1)$/i.test(text)) return Buffer.from([1]);
    return /^(f|false|off|no|0)$/i.test(text) ? Buffer.from([0]) : null;
  }
  const integer = integers.get(typeOid);
  if (integer === undefined || !/^[+-]?\d{1,20}$/.test(text)) return null;
  const number = BigInt(text);
  if (number < integer.min || number > integer.max) return null;
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(number);
  return bytes.subarray(8 - integer.bytes);
}
