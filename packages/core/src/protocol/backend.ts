// Messages of a server, as the pooler writes them itself and as it reads those that it must understand.
import type { PoolerError } from "../base/errors.js";
import { Backend } from "./codes.js";
import { type MessageWriter, readUint16 } from "./message-writer.js";

export type Severity = "ERROR" | "FATAL" | "WARNING" | "NOTICE";

export interface ErrorFields {
  readonly severity: Severity;
  readonly sqlstate: string;
  readonly message: string;
  readonly detail?: string | null | undefined;
  readonly hint?: string | null | undefined;
}

const field = (letter: string): number => letter.charCodeAt(0);
const SEVERITY = field("S");
const SEVERITY_UNTRANSLATED = field("V");
const SQLSTATE = field("C");
const MESSAGE = field("M");
const DETAIL = field("D");
const HINT = field("H");

export function writeError(to: MessageWriter, fields: ErrorFields): void {
  to.begin(fields.severity === "ERROR" || fields.severity === "FATAL" ? Backend.ERROR_RESPONSE : Backend.NOTICE_RESPONSE);
  to.byte(SEVERITY).cstring(fields.severity).byte(SEVERITY_UNTRANSLATED).cstring(fields.severity);
  to.byte(SQLSTATE).cstring(fields.sqlstate).byte(MESSAGE).cstring(clean(fields.message));
  if (fields.detail) to.byte(DETAIL).cstring(clean(fields.detail));
  if (fields.hint) to.byte(HINT).cstring(clean(fields.hint));
  to.byte(0).end();
}

/** NUL would end the field early. */
const clean = (text: string): string => (text.includes("\0") ? text.replaceAll("\0", "\\0") : text);

export function writePoolerError(to: MessageWriter, error: PoolerError, severity: "ERROR" | "FATAL" = "ERROR"): void {
  writeError(to, { severity, sqlstate: error.sqlstate, message: error.message, detail: error.detail, hint: error.hint });
}

export function writeReadyForQuery(to: MessageWriter, status: number): void {
  to.begin(Backend.READY_FOR_QUERY).byte(status).end();
}

export function writeCommandComplete(to: MessageWriter, tag: string): void {
  to.begin(Backend.COMMAND_COMPLETE).cstring(tag).end();
}

export function writeParameterStatus(to: MessageWriter, name: string, value: string): void {
  to.begin(Backend.PARAMETER_STATUS).cstring(name).cstring(value).end();
}

/** ParseComplete, BindComplete, CloseComplete, NoData, EmptyQueryResponse, PortalSuspended: no body. */
export function writeEmpty(to: MessageWriter, type: number): void {
  to.begin(type).end();
}

export function writeParameterDescription(to: MessageWriter, typeOids: readonly number[]): void {
  to.begin(Backend.PARAMETER_DESCRIPTION).int16(typeOids.length);
  for (const oid of typeOids) to.int32(oid);
  to.end();
}

export interface ReadError {
  severity: string;
  sqlstate: string;
  message: string;
}

/** Fields of an ErrorResponse or NoticeResponse body [start, end). Missing ones are empty. */
export function readError(buffer: Buffer, start: number, end: number): ReadError {
  const error: ReadError = { severity: "", sqlstate: "", message: "" };
  let at = start;
  while (at < end && buffer[at] !== 0) {
    const letter = buffer[at] as number;
    const stop = buffer.indexOf(0, at + 1);
    if (stop < 0 || stop >= end) break;
    if (letter === SQLSTATE) error.sqlstate = buffer.toString("latin1", at + 1, stop);
    else if (letter === MESSAGE) error.message = buffer.toString("utf8", at + 1, stop);
    else if (letter === SEVERITY_UNTRANSLATED || (letter === SEVERITY && error.severity === ""))
      error.severity = buffer.toString("latin1", at + 1, stop);
    at = stop + 1;
  }
  return error;
}

/** Name and value of a ParameterStatus body [start, end), or null when it is not one. */
export function readParameterStatus(buffer: Buffer, start: number, end: number): { name: string; value: string } | null {
  const middle = buffer.indexOf(0, start);
  if (middle < 0 || middle >= end) return null;
  const stop = buffer.indexOf(0, middle + 1);
  if (stop < 0 || stop >= end) return null;
  return { name: buffer.toString("utf8", start, middle), value: buffer.toString("utf8", middle + 1, stop) };
}

/** Number of columns of a RowDescription, or of fields of a DataRow. */
export function readCount(buffer: Buffer, start: number, end: number): number {
  return end - start < 2 ? 0 : readUint16(buffer, start);
}
