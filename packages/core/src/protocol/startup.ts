// The first packet of a client: a startup message, or one of the requests that look like one. Pure bytes.
import { PoolerError } from "../base/errors.js";
import { MAX_STARTUP_BYTES, PROTOCOL_3_0, Request } from "./codes.js";
import { readInt32 } from "./message-writer.js";

export type StartupPacket =
  | {
      readonly kind: "startup";
      readonly minor: number;
      readonly parameters: ReadonlyMap<string, string>;
      readonly unknownOptions: readonly string[];
    }
  | { readonly kind: "ssl" }
  | { readonly kind: "gssenc" }
  | { readonly kind: "cancel"; readonly processId: number; readonly secretKey: number };

/** Length of the packet whose first bytes are at [start, end): 0 when fewer than four are there. Throws when it cannot be one. */
export function startupLength(buffer: Buffer, start: number, end: number): number {
  if (end - start < 4) return 0;
  const length = readInt32(buffer, start);
  if (length > MAX_STARTUP_BYTES) {
    throw new PoolerError(
      "STARTUP_TOO_LONG",
      `invalid length of startup packet: ${length} bytes, at most ${MAX_STARTUP_BYTES} are allowed`,
    );
  }
  if (length < 8) throw new PoolerError("PROTOCOL_VIOLATION", `invalid length of startup packet: ${length} bytes`);
  return length;
}

/** Read a whole packet [start, end). */
export function readStartup(buffer: Buffer, start: number, end: number): StartupPacket {
  const code = readInt32(buffer, start + 4);
  switch (code) {
    case Request.SSL:
      return { kind: "ssl" };
    case Request.GSSENC:
      return { kind: "gssenc" };
    case Request.CANCEL:
      // Protocol 3.2 allows longer keys; ours have four bytes.
      if (end - start !== 16) throw new PoolerError("PROTOCOL_VIOLATION", `invalid length of cancel request: ${end - start} bytes`);
      return { kind: "cancel", processId: readInt32(buffer, start + 8), secretKey: readInt32(buffer, start + 12) };
  }
  const major = code >>> 16;
  if (major !== PROTOCOL_3_0 >>> 16) {
    throw new PoolerError("NOT_SUPPORTED", `unsupported frontend protocol ${major}.${code & 0xffff}: this pooler speaks 3.0`);
  }
  const parameters = new Map<string, string>();
  const unknownOptions: string[] = [];
  let at = start + 8;
  for (;;) {
    if (at >= end) throw new PoolerError("PROTOCOL_VIOLATION", "invalid startup packet layout: expected terminator as last byte");
    if (buffer[at] === 0) break;
    const nameEnd = buffer.indexOf(0, at);
    const valueEnd = nameEnd < 0 ? -1 : buffer.indexOf(0, nameEnd + 1);
    if (nameEnd < 0 || valueEnd < 0 || valueEnd >= end)
      throw new PoolerError("PROTOCOL_VIOLATION", "invalid startup packet layout: a parameter is cut off");
    const name = buffer.toString("utf8", at, nameEnd);
    if (name.startsWith("_pq_.")) unknownOptions.push(name);
    else parameters.set(name, buffer.toString("utf8", nameEnd + 1, valueEnd));
    at = valueEnd + 1;
  }
  if (at !== end - 1) throw new PoolerError("PROTOCOL_VIOLATION", "invalid startup packet layout: expected terminator as last byte");
  return { kind: "startup", minor: code & 0xffff, parameters, unknownOptions };
}

/**
 * The settings in a startup packet's `options` ("-c name=value --name=value", backslash quotes a blank).
 * Source: PostgreSQL, process_postgres_switches and pg_split_opts. Throws for switches other than these.
 */
export function readOptions(options: string): Map<string, string> {
  const words: string[] = [];
  const pattern = /(?:\\[\s\S]|[^\s\\])+/g;
  for (const match of options.matchAll(pattern)) words.push(match[0].replace(/\\([\s\S])/g, "$1"));
  const settings = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    let word = words[i] as string;
    if (word === "-c") word = words[++i] ?? "";
    else if (word.startsWith("-c")) word = word.slice(2);
    else if (word.startsWith("--")) word = word.slice(2);
    else
      throw new PoolerError("NOT_SUPPORTED", `unsupported startup option "${word}"`, {
        hint: "Only -c name=value and --name=value can be passed through the pooler.",
      });
    const equals = word.indexOf("=");
    if (equals <= 0) throw new PoolerError("PROTOCOL_VIOLATION", `invalid startup option "${word}": expected name=value`);
    settings.set(word.slice(0, equals).replaceAll("-", "_"), word.slice(equals + 1));
  }
  return settings;
}
