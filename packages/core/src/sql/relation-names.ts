// Which relations a statement names, from the tokens of a normalized text: what stands where FROM, JOIN, INTO, UPDATE, USING and TABLE
// want one. Says null where it cannot be told. Knows no catalog: a name may be a table, a view, or nothing.
import { type CertainToken, isSymbol, isWord } from "./certain-tokens.js";

/** Functions whose arguments are separated by FROM. */
const fromInside = new Set(["extract", "substring", "overlay", "trim", "position"]);
/** Words that end a list of FROM. */
const endsFrom = new Set([
  "where",
  "group",
  "order",
  "having",
  "limit",
  "offset",
  "fetch",
  "union",
  "intersect",
  "except",
  "window",
  "returning",
  "set",
  "select",
  "values",
  "when",
]);

interface Level {
  readonly opener: string;
  /** Inside a FROM list: behind a comma another relation stands. */
  inFrom: boolean;
}

/** "schema.name" or "name", as PostgreSQL folds them. */
export function relationsOf(tokens: readonly CertainToken[]): readonly string[] | null {
  const queries = new Set<string>();
  const relations = new Set<string>();
  const levels: Level[] = [{ opener: "", inFrom: false }];
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as CertainToken;
    const level = levels.at(-1) as Level;
    if (token.kind === "symbol") {
      if (token.text === "(") {
        const opener = tokens[i - 1]?.kind === "word" ? (tokens[i - 1] as CertainToken).text : "";
        // A join in parentheses: FROM (a JOIN b …).
        const nested =
          level.inFrom && (opener === "from" || opener === "join" || isSymbol(tokens[i - 1], ",") || isSymbol(tokens[i - 1], "("));
        levels.push({ opener, inFrom: nested });
        if (nested && !takeRelation(tokens, i + 1, relations)) return null;
      } else if (token.text === ")") {
        if (levels.length === 1) return null;
        levels.pop();
      } else if (token.text === "," && level.inFrom && !takeRelation(tokens, i + 1, relations)) {
        return null;
      }
      continue;
    }
    if (token.kind !== "word" || isSymbol(tokens[i - 1], ".")) continue;
    switch (token.text) {
      case "with":
        // Queries of inner levels have names that do not hold everywhere.
        if (isWord(tokens[i + 1], "ordinality") || isWord(tokens[i + 1], "time") || isWord(tokens[i + 1], "ties")) break;
        if (i > 0) return null;
        if (!takeQueries(tokens, queries)) return null;
        break;
      case "from":
        if (fromInside.has(level.opener) || isDistinctFrom(tokens, i)) break;
        level.inFrom = true;
        if (!takeRelation(tokens, i + 1, relations)) return null;
        break;
      case "join":
        if (!takeRelation(tokens, i + 1, relations)) return null;
        break;
      case "using":
        // JOIN … USING (columns), ORDER BY … USING operator
        if (isSymbol(tokens[i + 1], "(") || tokens[i + 1]?.kind === "operator") break;
        level.inFrom = true;
        if (!takeRelation(tokens, i + 1, relations)) return null;
        break;
      case "into":
      case "table":
        if (!takeRelation(tokens, i + 1, relations)) return null;
        break;
      case "update":
        // ON CONFLICT DO UPDATE, WHEN MATCHED THEN UPDATE
        if (!isWord(tokens[i + 1], "set") && !takeRelation(tokens, i + 1, relations)) return null;
        break;
      default:
        if (endsFrom.has(token.text)) level.inFrom = false;
    }
  }
  return [...relations].filter((name) => !queries.has(name));
}

function isDistinctFrom(tokens: readonly CertainToken[], i: number): boolean {
  return isWord(tokens[i - 1], "distinct") && (isWord(tokens[i - 2], "is") || isWord(tokens[i - 2], "not"));
}

/** The relation at `i`, if one stands there. False: it cannot be told. */
function takeRelation(tokens: readonly CertainToken[], i: number, relations: Set<string>): boolean {
  let at = i;
  while (isWord(tokens[at], "only") || isWord(tokens[at], "lateral")) at++;
  const first = tokens[at];
  if (first === undefined) return false;
  // A query, or relations in parentheses, which the caller meets by itself.
  if (isSymbol(first, "(")) return true;
  if (isWord(first, "select") || isWord(first, "values") || isWord(first, "with")) return true;
  if (isWord(first, "table")) return true;
  // ROWS FROM (function(), …)
  if (isWord(first, "rows") && isWord(tokens[at + 1], "from")) return false;
  if (first.kind !== "word" && first.kind !== "name") return false;
  const names = [first.text];
  while (isSymbol(tokens[at + 1], ".")) {
    const next = tokens[at + 2];
    if (next === undefined || (next.kind !== "word" && next.kind !== "name")) return false;
    names.push(next.text);
    at += 2;
  }
  // What is called is a function; INSERT INTO name (columns) is a relation.
  if (isSymbol(tokens[at + 1], "(") && !isWord(tokens[i - 1], "into")) return true;
  if (names.length > 2 || names.some((name) => name.includes("."))) return false;
  relations.add(names.join("."));
  return true;
}

/** Names that the WITH at the beginning gives to queries. */
function takeQueries(tokens: readonly CertainToken[], queries: Set<string>): boolean {
  let at = isWord(tokens[1], "recursive") ? 2 : 1;
  for (;;) {
    const name = tokens[at];
    if (name === undefined || (name.kind !== "word" && name.kind !== "name")) return false;
    at++;
    if (isSymbol(tokens[at], "(")) at = behindParenthesis(tokens, at);
    if (!isWord(tokens[at], "as")) return false;
    at++;
    if (isWord(tokens[at], "not")) at++;
    if (isWord(tokens[at], "materialized")) at++;
    if (!isSymbol(tokens[at], "(")) return false;
    queries.add(name.text);
    at = behindParenthesis(tokens, at);
    if (!isSymbol(tokens[at], ",")) return !isWord(tokens[at], "search") && !isWord(tokens[at], "cycle");
    at++;
  }
}

function behindParenthesis(tokens: readonly CertainToken[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    if (isSymbol(tokens[at], "(")) depth++;
    else if (isSymbol(tokens[at], ")") && --depth === 0) return at + 1;
  }
  return tokens.length;
}
