// Reads a SELECT that calls set_config() for the session: a SET in other words, as drivers and dumps say it. Knows only calls
// that certainly run, once, with arguments that are known; null for anything else. Not for the hot path.
import { foldName, type Token, TokenReader, tokenize } from "./tokens.js";

/** A literal, NULL among them, or the number of a parameter, from 1. */
export type SetConfigArgument = { readonly value: string | null } | { readonly parameter: number };

export interface SetConfigCall {
  readonly name: SetConfigArgument;
  readonly value: SetConfigArgument;
}

/** Behind one of these a select list is not evaluated just once, or not for certain. */
const clauses = new Set([
  "distinct",
  "except",
  "fetch",
  "for",
  "from",
  "group",
  "having",
  "intersect",
  "into",
  "limit",
  "offset",
  "order",
  "union",
  "where",
  "window",
]);

const falseWords = new Set(["false", "f", "off", "no", "n", "0"]);
const trueWords = new Set(["true", "t", "on", "yes", "y", "1"]);

/** The calls for the session, in their order; calls for the transaction are left out. `text`: one statement. */
export function parseSetConfigs(text: string): readonly SetConfigCall[] | null {
  // What a backslash means depends on settings.
  if (text.includes("\\")) return null;
  const tokens = tokenize(text);
  if (tokens === null || tokens[0]?.kind !== "word" || tokens[0].value !== "select") return null;
  const calls: SetConfigCall[] = [];
  for (const item of itemsOf(tokens.slice(1))) {
    if (!item.some(isSetConfig)) {
      if (!isPlain(item)) return null;
      continue;
    }
    const call = readItem(new TokenReader(item));
    if (call === null) return null;
    if (call !== "local") calls.push(call);
  }
  return calls;
}

function isSetConfig({ kind, value }: Token): boolean {
  return (kind === "word" || kind === "name") && foldName(value) === "set_config";
}

function isSymbol(token: Token, symbol: string): boolean {
  return token.kind === "symbol" && token.value === symbol;
}

/** The items of a select list, apart at its commas. */
function itemsOf(tokens: readonly Token[]): Token[][] {
  const items: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (isSymbol(token, "(") || isSymbol(token, "[")) depth++;
    else if (isSymbol(token, ")") || isSymbol(token, "]")) depth--;
    if (depth === 0 && isSymbol(token, ",")) items.push([]);
    else items.at(-1)?.push(token);
  }
  return items;
}

/** Values and current_setting(), which drivers ask for in passing. Another function might return no row, so that nothing is called. */
function isPlain(item: readonly Token[]): boolean {
  return item.every((token, i) => {
    if (isSymbol(token, "(")) return item[i - 1]?.kind === "word" && item[i - 1]?.value === "current_setting";
    return !isSymbol(token, ";") && !(token.kind === "word" && clauses.has(token.value));
  });
}

/** `[pg_catalog.]set_config(name, value, for the transaction) [[AS] alias]` */
function readItem(reader: TokenReader): SetConfigCall | "local" | null {
  let name = reader.name();
  if (name === "pg_catalog" && reader.symbol(".")) name = reader.name();
  if (name !== "set_config" || !reader.symbol("(")) return null;
  const setting = readArgument(reader);
  if (setting === null || !reader.symbol(",")) return null;
  const value = readArgument(reader);
  if (value === null || !reader.symbol(",")) return null;
  const scope = reader.take();
  if (scope === null || (scope.kind !== "word" && scope.kind !== "string") || !reader.symbol(")")) return null;
  if (reader.words("as") && reader.next === null) return null;
  if (!reader.done && (isClause(reader.next) || reader.name() === null || !reader.done)) return null;
  if (trueWords.has(scope.value)) return scope.kind === "word" && scope.value !== "true" ? null : "local";
  if (!falseWords.has(scope.value) || (scope.kind === "word" && scope.value !== "false")) return null;
  return { name: setting, value };
}

function isClause(token: Token | null): boolean {
  return token?.kind === "word" && clauses.has(token.value);
}

function readArgument(reader: TokenReader): SetConfigArgument | null {
  const argument = readValue(reader);
  if (argument === null || !reader.symbol(":")) return argument;
  return reader.symbol(":") && (reader.words("text") || reader.words("varchar")) ? argument : null;
}

function readValue(reader: TokenReader): SetConfigArgument | null {
  if (reader.symbol("$")) {
    const number = reader.take();
    return number?.kind === "number" && /^[1-9]\d{0,4}$/.test(number.value) ? { parameter: Number(number.value) } : null;
  }
  const token = reader.take();
  if (token?.kind === "word" && token.value === "null") return { value: null };
  return token?.kind === "string" ? { value: token.value } : null;
}
