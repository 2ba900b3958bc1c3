// The types of a statement's parameters, as far as they can be told without a server. Not for the hot path.
import { tokenize } from "../sql/tokens.js";
import type { StatementInfo } from "./client-statements.js";

const TEXT_OID = 25;
const mostParameters = 0xffff;

/** The types that the client gave, and text where it gave none: for a statement that no server sees. */
export function parameterTypes(info: StatementInfo, standardStrings: boolean): readonly number[] {
  const { typeOids } = info.global;
  const count = Math.max(typeOids.length, countParameters(info, standardStrings));
  return Array.from({ length: count }, (_, i) => typeOids[i] || TEXT_OID);
}

/** The same for a statement that a server could be asked about: null when the client left a type to it. */
export function declaredTypes(info: StatementInfo, standardStrings: boolean): readonly number[] | null {
  const { typeOids } = info.global;
  return countParameters(info, standardStrings) <= typeOids.length && !typeOids.includes(0) ? typeOids : null;
}

/** The highest n of all $n in the text. */
function countParameters(info: StatementInfo, standardStrings: boolean): number {
  const tokens = tokenize(info.global.sql.latin1Slice(), standardStrings) ?? [];
  let count = 0;
  tokens.forEach((token, i) => {
    const before = tokens[i - 1];
    if (token.kind !== "number" || before?.value !== "$" || before.kind !== "symbol" || before.end !== token.start) return;
    const number = Number.parseInt(token.value, 10);
    if (number <= mostParameters) count = Math.max(count, number);
  });
  return count;
}
