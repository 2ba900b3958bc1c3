// What a statement returns, as far as a client that has had its description may rely on it: names and types of the columns.
import { PoolerError } from "../base/errors.js";
import type { InterceptColumn } from "../plugins/types.js";
import { readInt32, readUint16 } from "../protocol/message-writer.js";
import type { GlobalStatement } from "../server/global-statement.js";
import { encodeText } from "./client-encoding.js";

/** What a client was told of a statement's columns, and what it is about to get: by columnsOf(), or whoever has to be asked. */
export interface ColumnsPromise {
  readonly told: string | GlobalStatement;
  readonly given: string | GlobalStatement;
  /** Who changed the statement. */
  readonly plugin: string;
}

/** False: a server has to be asked first. Throws when the columns differ. */
export function checkColumns({ told, given, plugin }: ColumnsPromise): boolean {
  const toldColumns = typeof told === "string" ? told : told.columns;
  const givenColumns = typeof given === "string" ? given : given.columns;
  if (toldColumns === null || givenColumns === null) return false;
  if (toldColumns === givenColumns) return true;
  throw new PoolerError(
    "PLUGIN_FAILED",
    `plugin "${plugin}" failed: what it makes of the statement returns other columns than were described to the client`,
    {
      hint: "A plugin that rewrites or answers a statement has to do so when it is prepared, too, and keep names and types of the columns.",
    },
  );
}

/** Like columnsOf(), for columns that a plugin answers with. */
export function columnsKey(columns: readonly InterceptColumn[], encoding: string): string {
  return columns
    .map(({ name, typeOid, typeModifier }) => `${encodeText(name, encoding).latin1Slice()}\0${typeOid | 0}\0${typeModifier | 0}`)
    .join("\0\0");
}

/**
 * A value that is equal for equal columns, of a RowDescription's body [start, end); "" for NoData. Names, type OIDs and type
 * modifiers count; which table a column comes from does not.
 */
export function columnsOf(buffer: Buffer, start: number, end: number): string {
  if (end - start < 2) return "";
  const columns: string[] = [];
  let at = start + 2;
  for (let left = readUint16(buffer, start); left > 0 && at < end; left--) {
    const nameEnd = buffer.indexOf(0, at);
    if (nameEnd < 0 || nameEnd + 19 > end) return "?"; // equal to nothing that a server would say
    columns.push(`${buffer.latin1Slice(at, nameEnd)}\0${readInt32(buffer, nameEnd + 7)}\0${readInt32(buffer, nameEnd + 13)}`);
    at = nameEnd + 19;
  }
  return columns.join("\0\0");
}
