// Reads SET, RESET, DISCARD and DEALLOCATE, one statement's text at a time, as gram.y does; null for what it does not know
// in full, so that the caller lets the server speak. Not for the hot path.
import { foldName, TokenReader, tokenize, truncateName } from "./tokens.js";

export interface SetStatement {
  readonly scope: "session" | "local";
  /**
   * The parameter in lower case: "timezone" for TIME ZONE, "client_encoding" for NAMES, "search_path" for SCHEMA, "role",
   * "session_authorization", "xmloption" for XML OPTION.
   */
  readonly name: string;
  /** TO DEFAULT, TIME ZONE LOCAL, NAMES without a name. */
  readonly isDefault: boolean;
  /** The value as written, from the first token to the last; "DEFAULT" when there is none. */
  readonly valueText: string;
  /** The values without quotes and escapes; words in lower case. Empty with isDefault. */
  readonly values: readonly string[];
}

function readerOf(text: string, standardStrings: boolean): TokenReader | null {
  const tokens = tokenize(text, standardStrings);
  return tokens === null ? null : new TokenReader(tokens);
}

/** Names of parameters, unlike others, are the same in upper and lower case even when quoted. */
function parameterName(reader: TokenReader): string | null {
  let name = reader.name();
  if (name === null) return null;
  while (reader.symbol(".")) {
    const part = reader.name();
    if (part === null) return null;
    name += `.${part}`;
  }
  return foldName(name);
}

/** `SET [SESSION | LOCAL] parameter ...`. SET TRANSACTION, CHARACTERISTICS, CONSTRAINTS and FROM CURRENT give null. */
export function parseSet(text: string, standardStrings = true): SetStatement | null {
  const reader = readerOf(text, standardStrings);
  if (!reader?.words("set")) return null;
  const scope = readScope(reader);
  const set = (name: string, value: Value | null): SetStatement | null =>
    value === null || !reader.done
      ? null
      : { scope, name, isDefault: value.isDefault, valueText: text.slice(value.start, value.end) || "DEFAULT", values: value.values };

  const second = reader.peek(1);
  const isVariable = second !== null && (second.value === "=" || second.value === "." || (second.kind === "word" && second.value === "to"));
  if (!isVariable) {
    if (reader.words("time", "zone")) return set("timezone", readTimeZone(reader));
    if (reader.words("names")) return set("client_encoding", reader.done ? DEFAULT_VALUE : readValue(reader, "string"));
    if (reader.words("schema")) return set("search_path", readValue(reader, "string"));
    if (reader.words("role")) return set("role", readValue(reader, "word or string"));
    if (reader.words("session", "authorization")) return set("session_authorization", readValue(reader, "word or string"));
    if (reader.words("xml", "option")) return set("xmloption", readValue(reader, "word or string"));
    return null;
  }
  const name = parameterName(reader);
  if (name === null || (!reader.symbol("=") && !reader.words("to"))) return null;
  return set(name, readList(reader));
}

function readScope(reader: TokenReader): "session" | "local" {
  const second = reader.peek(1);
  const third = reader.peek(2);
  // SET local.x = 1 and SET session TO 1 name parameters; SET SESSION AUTHORIZATION has no scope.
  if (second === null || second.value === "." || second.value === "=" || (second.value === "to" && second.kind === "word"))
    return "session";
  if (reader.words("local")) return "local";
  if (second.value === "authorization" && third?.value !== "=" && third?.value !== "to" && third?.value !== ".") return "session";
  reader.words("session");
  return "session";
}

interface Value {
  readonly isDefault: boolean;
  readonly start: number;
  readonly end: number;
  readonly values: readonly string[];
}

const DEFAULT_VALUE: Value = { isDefault: true, start: 0, end: 0, values: [] };

function readDefault(reader: TokenReader, word: string): Value | null {
  const token = reader.next;
  return token !== null && reader.words(word) ? { isDefault: true, start: token.start, end: token.end, values: [] } : null;
}

/** One value: a string, or a word or quoted name where the grammar takes those. */
function readValue(reader: TokenReader, kind: "string" | "word or string"): Value | null {
  const isDefault = readDefault(reader, "default");
  if (isDefault !== null) return isDefault;
  const token = reader.take();
  if (token === null) return null;
  if (token.kind !== "string" && (kind === "string" || (token.kind !== "word" && token.kind !== "name"))) return null;
  return {
    isDefault: false,
    start: token.start,
    end: token.end,
    values: [token.kind === "string" ? token.value : truncateName(token.value)],
  };
}

function readTimeZone(reader: TokenReader): Value | null {
  const isDefault = readDefault(reader, "default") ?? readDefault(reader, "local");
  if (isDefault !== null) return isDefault;
  const first = reader.next;
  if (first?.kind === "word" && first.value === "interval") {
    // INTERVAL '…' HOUR TO MINUTE, INTERVAL(n) '…': known by its text only.
    let last = first;
    for (let token = reader.take(); token !== null; token = reader.take()) last = token;
    return last === first ? null : { isDefault: false, start: first.start, end: last.end, values: [] };
  }
  return readScalar(reader);
}

/** A number with its sign, a word, a quoted name or a string. */
function readScalar(reader: TokenReader): Value | null {
  const first = reader.take();
  if (first === null) return null;
  if (first.kind !== "symbol") return { isDefault: false, start: first.start, end: first.end, values: [first.value] };
  if (first.value !== "-" && first.value !== "+") return null;
  const number = reader.take();
  if (number?.kind !== "number") return null;
  const value = first.value === "-" ? `-${number.value}` : number.value;
  return { isDefault: false, start: first.start, end: number.end, values: [value] };
}

function readList(reader: TokenReader): Value | null {
  const isDefault = readDefault(reader, "default");
  if (isDefault !== null) return isDefault;
  const first = readScalar(reader);
  if (first === null) return null;
  const values = [...first.values];
  let end = first.end;
  while (reader.symbol(",")) {
    const value = readScalar(reader);
    if (value === null) return null;
    values.push(...value.values);
    end = value.end;
  }
  return { isDefault: false, start: first.start, end, values };
}

/** A name, or null for all of them. */
export interface NameOrAll {
  readonly name: string | null;
}

/** RESET parameter | ALL | TIME ZONE | SESSION AUTHORIZATION | TRANSACTION ISOLATION LEVEL */
export function parseReset(text: string): NameOrAll | null {
  const reader = readerOf(text, true);
  if (!reader?.words("reset")) return null;
  let name: string | null;
  if (reader.words("all")) return reader.done ? { name: null } : null;
  if (reader.words("time", "zone")) name = "timezone";
  else if (reader.words("session", "authorization")) name = "session_authorization";
  else if (reader.words("transaction", "isolation", "level")) name = "transaction_isolation";
  else name = parameterName(reader);
  return name !== null && reader.done ? { name } : null;
}

/** DEALLOCATE [PREPARE] name | ALL; the name as the server keeps it. */
export function parseDeallocate(text: string): NameOrAll | null {
  const reader = readerOf(text, true);
  if (!reader?.words("deallocate")) return null;
  if (reader.peek(1) !== null && !reader.words("prepare")) return null;
  if (reader.words("all")) return reader.done ? { name: null } : null;
  const name = reader.name();
  return name !== null && reader.done ? { name } : null;
}

export type DiscardTarget = "all" | "plans" | "sequences" | "temp";

export function parseDiscard(text: string): DiscardTarget | null {
  const reader = readerOf(text, true);
  if (!reader?.words("discard")) return null;
  let target: DiscardTarget;
  if (reader.words("all")) target = "all";
  else if (reader.words("plans")) target = "plans";
  else if (reader.words("sequences")) target = "sequences";
  else if (reader.words("temp") || reader.words("temporary")) target = "temp";
  else return null;
  return reader.done ? target : null;
}
