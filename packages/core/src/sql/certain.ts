// Is a statement certain to begin and end in itself: no transaction, nothing left in the session, nothing that waits for others?
// Looks at the tokens of a normalized text, by words and not by grammar, and what it does not know it refuses. Not hot: asked once
// for each distinct text. Knows nothing of sessions, catalogs and configuration files.
import { type CertainToken, isSymbol, isWord, tokensOf } from "./certain-tokens.js";
import { knownFunctions } from "./known-functions.js";
import { relationsOf } from "./relation-names.js";

export const Doubt = {
  NONE: 0,
  /** Not SELECT, VALUES, TABLE, WITH, INSERT, UPDATE, DELETE or MERGE, or not one statement, or too long to be looked at. */
  KIND: 1,
  /** SELECT … INTO. */
  INTO: 2,
  /** FOR UPDATE and its like, WHERE CURRENT OF. */
  LOCKS: 3,
  /** A function, type or operator that is not known to be harmless. */
  FUNCTION: 4,
  /** A name that the configuration excludes. */
  EXCLUDED: 5,
} as const;

export interface Certainty {
  /** Doubt.* */
  readonly doubt: number;
  /** Changes rows, or may. */
  readonly writes: boolean;
  /** Names of relations, "schema.name" or "name"; null where they cannot be told. */
  readonly relations: readonly string[] | null;
}

export interface CertaintyRules {
  /** Functions, types and operators that are harmless beside those that PostgreSQL brings: "name" or "schema.name". */
  readonly functions: ReadonlySet<string>;
  /** Functions and relations that make a statement uncertain. */
  readonly never: ReadonlySet<string>;
}

const set = (words: string): ReadonlySet<string> => new Set(words.trim().split(/\s+/));

const firstWords = set("select values table with insert update delete merge");
const writingWords = set("insert update delete merge");

/** Words that an opening parenthesis may follow without anything being called: no function can have such a name without quotes. */
const notCalls = set(`
all and any array between case coalesce default distinct else end except exists extract from greatest group grouping having in
intersect lateral least limit normalize not nullif offset on only or order overlay position returning row select some substring
symmetric then to trim union using values when where with as
`);

/** Further ones, where they stand behind what they need; elsewhere a function may be called so. */
const notCallsBehind: ReadonlyMap<string, (before: CertainToken | undefined) => boolean> = new Map([
  ["by", (before) => isWord(before, "group") || isWord(before, "order") || isWord(before, "partition")],
  ["rollup", (before) => isWord(before, "by")],
  ["cube", (before) => isWord(before, "by")],
  ["sets", (before) => isWord(before, "grouping")],
  ["conflict", (before) => isWord(before, "on")],
  ["materialized", (before) => isWord(before, "as") || isWord(before, "not")],
  ["filter", (before) => isSymbol(before, ")")],
  ["over", (before) => isSymbol(before, ")")],
  ["ilike", (before) => isOperand(before) || isWord(before, "not")],
  ["join", (before) => isOperand(before) || joinWords.has(before?.text ?? "")],
]);
const joinWords = set("inner left right full outer cross natural");

/** Types that PostgreSQL brings, in their SQL and catalog names. */
const knownTypes = set(`
bigint bit bool boolean box bpchar bytea char character cid cidr circle date datemultirange daterange dec decimal double float
float4 float8 inet int int2 int2vector int4 int4multirange int4range int8 int8multirange int8range integer interval json jsonb
jsonpath line lseg macaddr macaddr8 money name national nchar numeric nummultirange numrange oid oidvector path pg_lsn
pg_snapshot point polygon real regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure
regrole regtype smallint text tid time timestamp timestamptz timetz tsmultirange tsquery tsrange tstzmultirange tstzrange tsvector
txid_snapshot uuid varbit varchar xid xid8 xml
`);

/** Words behind types: character varying, double precision, timestamp with time zone. */
const typeWords = set("varying precision zone");

/** Words, beside those before a parenthesis, that may stand before a literal. */
const beforeValues = set("asc by desc escape for ilike is isnull like notnull similar");

/** What a window's frame may begin with. */
const frameWords = set("rows range groups");

/** Operators that PostgreSQL brings. */
const knownOperators = set(`
+ - * / % ^ |/ ||/ @ & | # ~ << >> < > <= >= = <> != || && ~~ ~~* !~~ !~~* ~* !~ !~* -> ->> #> #>> #- @> <@ ? ?| ?& @? @@ @@@
<-> ## <^ >^ ?# ?- ?-| ?|| ~= &< &> &<| |&> <<| |>> <<= >>= -|- ^@ !! @-@ ~<~ ~<=~ ~>=~ ~>~ *= *<> *< *> *<= *>= =>
`);

/** They are harmless, and whoever waits behind them is not. */
const slowFunctions = set("pg_sleep pg_sleep_for pg_sleep_until");

/** What they return is said behind them, as columns with types. */
const recordFunctions = set("json_to_record json_to_recordset jsonb_to_record jsonb_to_recordset");

/** Samples of TABLESAMPLE, and what the grammar itself calls. */
const grammarFunctions = set(
  "bernoulli system json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_value",
);

const uncertain = (doubt: number, writes: boolean): Certainty => ({ doubt, writes, relations: null });

/** `text`: of normalize(), byte for byte. */
export function certaintyOf(text: string, rules: CertaintyRules): Certainty {
  const tokens = tokensOf(text);
  if (tokens === null) return uncertain(Doubt.KIND, true);
  let first = 0;
  while (isSymbol(tokens[first], "(")) first++;
  const begins = tokens[first];
  if (begins?.kind !== "word" || !firstWords.has(begins.text)) return uncertain(Doubt.KIND, true);
  const writes = tokens.some(({ kind, text: word }) => kind === "word" && writingWords.has(word));
  const doubt = new Doubter(tokens, rules).find();
  return doubt === Doubt.NONE ? { doubt, writes, relations: relationsOf(tokens) } : uncertain(doubt, writes);
}

class Doubter {
  readonly #tokens: readonly CertainToken[];
  readonly #rules: CertaintyRules;
  /** What stood before each parenthesis that is open. */
  readonly #openers: string[] = [];

  constructor(tokens: readonly CertainToken[], rules: CertaintyRules) {
    this.#tokens = tokens;
    this.#rules = rules;
  }

  find(): number {
    for (let i = 0; i < this.#tokens.length; i++) {
      const doubt = this.#at(i, this.#tokens[i] as CertainToken);
      if (doubt !== Doubt.NONE) return doubt;
    }
    return Doubt.NONE;
  }

  #at(i: number, token: CertainToken): number {
    const next = this.#tokens[i + 1];
    switch (token.kind) {
      case "word":
      case "name": {
        if (this.#isExcluded(i)) return Doubt.EXCLUDED;
        if (token.kind === "word") {
          const doubt = this.#word(i, token.text);
          if (doubt !== Doubt.NONE) return doubt;
        }
        if (isSymbol(next, "(")) return this.#isHarmlessCall(i, token) ? Doubt.NONE : Doubt.FUNCTION;
        return next?.kind === "value" && !this.#mayPrefix(i, token) ? Doubt.FUNCTION : Doubt.NONE;
      }
      case "operator":
        return this.#isHarmlessOperator(token.text) ? Doubt.NONE : Doubt.FUNCTION;
      case "symbol":
        if (token.text === "(") this.#openers.push(this.#tokens[i - 1]?.kind === "word" ? (this.#tokens[i - 1] as CertainToken).text : "");
        else if (token.text === ")") this.#openers.pop();
        else if (token.text === ":") return this.#colon(i);
        // (row).name may call a function of that name.
        else if (token.text === "." && isSymbol(this.#tokens[i - 1], ")") && next?.text !== "*") return Doubt.FUNCTION;
        return Doubt.NONE;
      default:
        return Doubt.NONE;
    }
  }

  #word(i: number, word: string): number {
    const before = this.#tokens[i - 1];
    const next = this.#tokens[i + 1];
    switch (word) {
      case "into":
        return isWord(before, "insert") || isWord(before, "merge") ? Doubt.NONE : Doubt.INTO;
      case "for":
        return isWord(next, "update") || isWord(next, "no") || isWord(next, "share") || isWord(next, "key") ? Doubt.LOCKS : Doubt.NONE;
      case "current":
        return isWord(next, "of") ? Doubt.LOCKS : Doubt.NONE;
      case "as":
        return this.#openers.at(-1) === "cast" && !this.#isKnownType(i + 1) ? Doubt.FUNCTION : Doubt.NONE;
      case "returning":
        return this.#openers.at(-1)?.startsWith("json_") && !this.#isKnownType(i + 1) ? Doubt.FUNCTION : Doubt.NONE;
      default:
        return word.startsWith("pg_temp") ? Doubt.EXCLUDED : Doubt.NONE;
    }
  }

  /** `::type`, or a part of an array's slice. */
  #colon(i: number): number {
    if (isSymbol(this.#tokens[i - 1], ":")) return Doubt.NONE;
    if (!isSymbol(this.#tokens[i + 1], ":"))
      return this.#tokens.slice(0, i).some((token) => isSymbol(token, "[")) ? Doubt.NONE : Doubt.KIND;
    return this.#isKnownType(i + 2) ? Doubt.NONE : Doubt.FUNCTION;
  }

  #isKnownType(i: number): boolean {
    let at = i;
    const token = this.#tokens[at];
    if (token === undefined || (token.kind !== "word" && token.kind !== "name")) return false;
    if (!isSymbol(this.#tokens[at + 1], ".")) return (token.kind === "word" && knownTypes.has(token.text)) || this.#isAllowed(token.text);
    at += 2;
    const last = this.#tokens[at];
    if (last === undefined || isSymbol(this.#tokens[at + 1], ".")) return false;
    return (token.text === "pg_catalog" && knownTypes.has(last.text)) || this.#isAllowed(`${token.text}.${last.text}`);
  }

  #isAllowed(name: string): boolean {
    return this.#rules.functions.has(name);
  }

  #isExcluded(i: number): boolean {
    const { never } = this.#rules;
    if (never.size === 0) return false;
    const { text } = this.#tokens[i] as CertainToken;
    if (never.has(text)) return true;
    if (!isSymbol(this.#tokens[i - 1], ".")) return false;
    return never.has(`${this.#tokens[i - 2]?.text}.${text}`);
  }

  /** The name at `i` stands before a parenthesis. */
  #isHarmlessCall(i: number, token: CertainToken): boolean {
    const name = token.text;
    if (recordFunctions.has(name) && !this.#hasKnownColumns(i + 1)) return false;
    const before = this.#tokens[i - 1];
    if (isSymbol(before, ".")) {
      const schema = this.#tokens[i - 2]?.text ?? "";
      if (isSymbol(this.#tokens[i - 3], ".")) return false;
      if (this.#isColumnList(i)) return true;
      return (schema === "pg_catalog" && isKnownFunction(name)) || this.#isAllowed(`${schema}.${name}`);
    }
    if (token.kind === "word" && (notCalls.has(name) || name === "cast" || notCallsBehind.get(name)?.(before) === true)) return true;
    if (this.#isAllowed(name)) return true;
    if (isKnownFunction(name) || (token.kind === "word" && (knownTypes.has(name) || typeWords.has(name) || grammarFunctions.has(name))))
      return true;
    // … AS alias (columns)
    if (isWord(before, "as")) return true;
    return this.#isColumnList(i) || this.#isWithQuery(i);
  }

  /** INSERT INTO name (columns) */
  #isColumnList(i: number): boolean {
    let at = i - 1;
    while (isSymbol(this.#tokens[at], ".")) at -= 2;
    return isWord(this.#tokens[at], "into");
  }

  /** function(…) AS alias (column type, …), the parenthesis of the call being at `open`. */
  #hasKnownColumns(open: number): boolean {
    let at = this.#behindParenthesis(open);
    if (isWord(this.#tokens[at], "as")) at++;
    if (!isSymbol(this.#tokens[at], "(")) at++; // the alias
    if (!isSymbol(this.#tokens[at], "(")) return false;
    const behind = this.#behindParenthesis(at);
    for (at++; at < behind; at++) {
      if (!this.#isKnownType(at + 1)) return false;
      for (let depth = 0; at < behind - 1 && (depth > 0 || !isSymbol(this.#tokens[at], ",")); at++) {
        if (isSymbol(this.#tokens[at], "(")) depth++;
        else if (isSymbol(this.#tokens[at], ")")) depth--;
      }
    }
    return true;
  }

  /** Behind the parenthesis that closes the one at `open`. */
  #behindParenthesis(open: number): number {
    let depth = 0;
    for (let at = open; at < this.#tokens.length; at++) {
      if (isSymbol(this.#tokens[at], "(")) depth++;
      else if (isSymbol(this.#tokens[at], ")") && --depth === 0) return at + 1;
    }
    return this.#tokens.length;
  }

  /** WITH name (columns) AS (SELECT …): a list of columns with types begins with no such word. */
  #isWithQuery(i: number): boolean {
    const behind = this.#behindParenthesis(i + 1);
    let open = behind + 1;
    if (isWord(this.#tokens[open], "not")) open++;
    if (isWord(this.#tokens[open], "materialized")) open++;
    const inner = this.#tokens[open + 1];
    return (
      isWord(this.#tokens[behind], "as") &&
      isSymbol(this.#tokens[open], "(") &&
      (isWord(inner, "select") || isWord(inner, "with") || isWord(inner, "table"))
    );
  }

  /** A name right before a literal: date '2001-01-01' makes a value of that type, LIMIT 5 does not. */
  #mayPrefix(i: number, token: CertainToken): boolean {
    if (token.kind === "word") {
      const { text } = token;
      if (beforeValues.has(text) || notCalls.has(text) || typeWords.has(text)) return true;
      if ((text === "first" || text === "next") && isWord(this.#tokens[i - 1], "fetch")) return true;
      if (frameWords.has(text) && isWord(this.#tokens[i + 2], "preceding")) return true; // ROWS 5 PRECEDING
    }
    const qualified = isSymbol(this.#tokens[i - 1], ".");
    return this.#isKnownType(qualified ? i - 2 : i);
  }

  #isHarmlessOperator(text: string): boolean {
    for (let rest = text; rest !== ""; ) {
      let operator = rest;
      // Only operators with one of these characters end in a sign: "=-" is "=" and "-".
      while (operator.length > 1 && /[-+]$/.test(operator) && !/[~!@#%^&|`?]/.test(operator)) operator = operator.slice(0, -1);
      if (!knownOperators.has(operator) && !this.#isAllowed(operator)) return false;
      rest = rest.slice(operator.length);
    }
    return true;
  }
}

function isKnownFunction(name: string): boolean {
  return knownFunctions.has(name) && !slowFunctions.has(name);
}

/** May an operator stand behind it? */
function isOperand(token: CertainToken | undefined): boolean {
  if (token === undefined || token.kind === "operator") return false;
  if (token.kind === "symbol") return token.text === ")" || token.text === "]";
  return token.kind !== "word" || !notCalls.has(token.text);
}
