// What a statement returns, as far as a client that has had its description may rely on it: names and types of the columns.
import { readInt32, readUint16 } from "../protocol/message-writer.js";

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
