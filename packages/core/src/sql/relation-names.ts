// Which relations a statement names, from the tokens of a normalized text: what stands where FROM, JOIN, INTO, UPDATE, USING and TABLE
// want one. Says null where it cannot be told, and rather names what is none than misses one. Knows no catalog: a name may be a table, a
// view, or nothing.
import { type CertainToken, isSymbol, isWord } from "./certain-tokens.js";

/** Functions whose arguments are separated by FROM. */
const fromInside = new Set(["extract", "substring", "overlay", "trim", "position"]);
/** Words that end a list of FROM; none of them can be an alias. */
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
  "select",
]);

interface Level {
  readonly opener: string;
  /** Inside a FROM list: behind a comma another relation stands. */
  inFrom: boolean;
}

/** Names that the WITH at the beginning gives to queries, and from which token on they mean those. */
type Queries = Map<string, number>;

/** "schema.name" or "name", as PostgreSQL folds them. */
export function relationsOf(tokens: readonly CertainToken[]): readonly string[] | null {
  const queries: Queries = new Map();
  const relations = new Set<string>();
  const levels: Level[] = [{ opener: "", inFrom: false }];
  /** The relation at `i`, if one stands there; rows of a `target` are changed: it is no query. False: it cannot be told. */
  const take = (i: number, target = false): boolean => takeRelation(tokens, i, relations, queries, target);
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as CertainToken;
    const level = levels.at(-1) as Level;
    if (token.kind === "symbol") {
      if (token.text === "(") {
        const opener = tokens[i - 1]?.kind === "word" ? (tokens[i - 1] as CertainToken).text : "";
        // A join in parentheses: FROM (a JOIN b …).
        const nested =
          opener === "only" ||
          (level.inFrom && (opener === "from" || opener === "join" || isSymbol(tokens[i - 1], ",") || isSymbol(tokens[i - 1], "(")));
        levels.push({ opener, inFrom: nested });
        if (nested && !take(i + 1, opener === "only")) return null;
      } else if (token.text === ")") {
        if (levels.length === 1) return null;
        levels.pop();
      } else if (token.text === "," && level.inFrom && !take(i + 1)) {
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
        if (!take(i + 1, isWord(tokens[i - 1], "delete"))) return null;
        break;
      case "join":
        if (!take(i + 1)) return null;
        break;
      case "using":
        // JOIN … USING (columns), ORDER BY … USING operator
        if (isSymbol(tokens[i + 1], "(") || tokens[i + 1]?.kind === "operator") break;
        level.inFrom = true;
        if (!take(i + 1)) return null;
        break;
      case "into":
        if (!take(i + 1, true)) return null;
        break;
      case "table":
        if (!take(i + 1)) return null;
        break;
      case "update":
        // ON CONFLICT DO UPDATE SET, WHEN MATCHED THEN UPDATE SET
        if (isWord(tokens[i + 1], "set") && (isWord(tokens[i - 1], "do") || isWord(tokens[i - 1], "then"))) level.inFrom = false;
        else if (!take(i + 1, true)) return null;
        break;
      case "values":
        // FROM (VALUES (1), (2)); elsewhere it may be an alias.
        if (isSymbol(tokens[i - 1], "(") && isSymbol(tokens[i + 1], "(")) level.inFrom = false;
        break;
      default:
        if (endsFrom.has(token.text)) level.inFrom = false;
    }
  }
  return [...relations];
}

function isDistinctFrom(tokens: readonly CertainToken[], i: number): boolean {
  return isWord(tokens[i - 1], "distinct") && (isWord(tokens[i - 2], "is") || isWord(tokens[i - 2], "not"));
}

function takeRelation(
  tokens: readonly CertainToken[],
  i: number,
  relations: Set<string>,
  queries: ReadonlyMap<string, number>,
  target: boolean,
): boolean {
  let at = i;
  while (isWord(tokens[at], "only") || isWord(tokens[at], "lateral")) at++;
  const first = tokens[at];
  if (first === undefined) return false;
  // A query, or relations in parentheses, which the caller meets by itself.
  if (isSymbol(first, "(")) return true;
  if (isWord(first, "select") || isWord(first, "with") || isWord(first, "table")) return true;
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
  // What is called is a function, or VALUES; INSERT INTO name (columns) is a relation.
  if (isSymbol(tokens[at + 1], "(") && !target) return true;
  if (names.length > 2 || names.some((name) => name.includes("."))) return false;
  const isQuery = names.length === 1 && !target && at >= (queries.get(first.text) ?? Number.POSITIVE_INFINITY);
  if (!isQuery) relations.add(names.join("."));
  return true;
}

/** In WITH RECURSIVE a name means the query everywhere, else behind it. False: it cannot be told. */
function takeQueries(tokens: readonly CertainToken[], queries: Queries): boolean {
  const recursive = isWord(tokens[1], "recursive");
  let at = recursive ? 2 : 1;
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
    at = behindParenthesis(tokens, at);
    queries.set(name.text, recursive ? 0 : at);
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
