// What a statement is by its first words, found without looking at the rest of it: the numbers, and the classification.
// Hot: no allocation. Knows nothing of hazards inside the statement.
import { BYTE_CLASS, ByteClass, isWord, skipBlank, skipWord, UNTERMINATED, word } from "./lexical.js";

export const Command = {
  EMPTY: 0,
  /** A word that begins no statement known here, or no word at all. */
  OTHER: 1,
  SELECT: 2,
  INSERT: 3,
  UPDATE: 4,
  DELETE: 5,
  MERGE: 6,
  VALUES: 7,
  WITH: 8,
  TABLE: 9,
  /** BEGIN, START TRANSACTION */
  BEGIN: 10,
  /** COMMIT, END */
  COMMIT: 11,
  /** ROLLBACK, ABORT */
  ROLLBACK: 12,
  SAVEPOINT: 13,
  RELEASE: 14,
  ROLLBACK_TO: 15,
  PREPARE_TRANSACTION: 16,
  /** COMMIT PREPARED and ROLLBACK PREPARED: no transaction block is begun or ended */
  COMMIT_PREPARED: 17,
  /** SET and SET SESSION of a parameter, SET ROLE, SET SESSION AUTHORIZATION, SET TIME ZONE ... */
  SET: 18,
  SET_LOCAL: 19,
  SET_TRANSACTION: 20,
  /** SET SESSION CHARACTERISTICS AS TRANSACTION */
  SET_CHARACTERISTICS: 21,
  SET_CONSTRAINTS: 22,
  RESET: 23,
  SHOW: 24,
  DISCARD: 25,
  LISTEN: 26,
  UNLISTEN: 27,
  NOTIFY: 28,
  /** SQL-level PREPARE */
  PREPARE: 29,
  EXECUTE: 30,
  DEALLOCATE: 31,
  DECLARE: 32,
  /** FETCH, MOVE */
  FETCH: 33,
  CLOSE: 34,
  COPY: 35,
  LOCK: 36,
  CALL: 37,
  DO: 38,
  EXPLAIN: 39,
  LOAD: 40,
  CREATE: 41,
  ALTER: 42,
  DROP: 43,
  TRUNCATE: 44,
  /** GRANT, REVOKE */
  GRANT: 45,
  COMMENT: 46,
  VACUUM: 47,
  ANALYZE: 48,
  CLUSTER: 49,
  REINDEX: 50,
  CHECKPOINT: 51,
  REFRESH: 52,
  IMPORT: 53,
  SECURITY: 54,
  REASSIGN: 55,
} as const;

/** May the statement make, change or drop tables? What functions do is not known. */
export function isSchemaCommand(command: number): boolean {
  switch (command) {
    case Command.OTHER:
    case Command.CREATE:
    case Command.ALTER:
    case Command.DROP:
    case Command.CALL:
    case Command.DO:
    case Command.EXECUTE:
    case Command.IMPORT:
    case Command.COMMIT_PREPARED:
    case Command.SECURITY:
      return true;
    default:
      return false;
  }
}

interface Keyword {
  readonly bytes: Uint8Array;
  readonly command: number;
}

/** First words by (first letter & 31). */
const FIRST_WORDS: readonly (readonly Keyword[])[] = (() => {
  const table: Keyword[][] = Array.from({ length: 32 }, () => []);
  // The frequent ones of a letter come first.
  const words: readonly (readonly [string, number])[] = [
    ["select", Command.SELECT],
    ["set", Command.SET],
    ["insert", Command.INSERT],
    ["update", Command.UPDATE],
    ["delete", Command.DELETE],
    ["begin", Command.BEGIN],
    ["commit", Command.COMMIT],
    ["rollback", Command.ROLLBACK],
    ["with", Command.WITH],
    ["merge", Command.MERGE],
    ["values", Command.VALUES],
    ["table", Command.TABLE],
    ["start", Command.BEGIN],
    ["end", Command.COMMIT],
    ["abort", Command.ROLLBACK],
    ["savepoint", Command.SAVEPOINT],
    ["release", Command.RELEASE],
    ["reset", Command.RESET],
    ["show", Command.SHOW],
    ["discard", Command.DISCARD],
    ["listen", Command.LISTEN],
    ["unlisten", Command.UNLISTEN],
    ["notify", Command.NOTIFY],
    ["prepare", Command.PREPARE],
    ["execute", Command.EXECUTE],
    ["deallocate", Command.DEALLOCATE],
    ["declare", Command.DECLARE],
    ["fetch", Command.FETCH],
    ["move", Command.FETCH],
    ["close", Command.CLOSE],
    ["copy", Command.COPY],
    ["lock", Command.LOCK],
    ["call", Command.CALL],
    ["do", Command.DO],
    ["explain", Command.EXPLAIN],
    ["load", Command.LOAD],
    ["create", Command.CREATE],
    ["alter", Command.ALTER],
    ["drop", Command.DROP],
    ["truncate", Command.TRUNCATE],
    ["grant", Command.GRANT],
    ["revoke", Command.GRANT],
    ["comment", Command.COMMENT],
    ["vacuum", Command.VACUUM],
    ["analyze", Command.ANALYZE],
    ["analyse", Command.ANALYZE],
    ["cluster", Command.CLUSTER],
    ["reindex", Command.REINDEX],
    ["checkpoint", Command.CHECKPOINT],
    ["refresh", Command.REFRESH],
    ["import", Command.IMPORT],
    ["security", Command.SECURITY],
    ["reassign", Command.REASSIGN],
  ];
  for (const [text, command] of words) (table[text.charCodeAt(0) & 31] as Keyword[]).push({ bytes: word(text), command });
  return table;
})();

const TRANSACTION = word("transaction");
const WORK = word("work");
const TO = word("to");
const PREPARED = word("prepared");
const LOCAL = word("local");
const SESSION = word("session");
const CHARACTERISTICS = word("characteristics");
const CONSTRAINTS = word("constraints");
const AND = word("and");
const CHAIN = word("chain");

const OPEN = 0x28;
const QUOTE = 0x27;
const AMPERSAND = 0x26;
const DOT = 0x2e;
const EQUALS = 0x3d;

/** Offset of the next token's first byte, or `end`. */
export function nextToken(buffer: Buffer, i: number, end: number): number {
  const at = skipBlank(buffer, i, end);
  return at === UNTERMINATED ? end : at;
}

/** End of the word at `i`; `i` itself when no word is there. */
export function wordEnd(buffer: Buffer, i: number, end: number): number {
  return i < end && BYTE_CLASS[buffer[i] as number] === ByteClass.WORD ? skipWord(buffer, i, end) : i;
}

/** The command of the statement at `i`, where its first token is. */
export function classify(buffer: Buffer, i: number, end: number): number {
  let at = i;
  let parentheses = false;
  while (at < end && buffer[at] === OPEN) {
    parentheses = true;
    at = nextToken(buffer, at + 1, end);
  }
  const to = wordEnd(buffer, at, end);
  if (to === at) return parentheses ? Command.SELECT : Command.OTHER;
  const candidates = FIRST_WORDS[(buffer[at] as number) & 31] as readonly Keyword[];
  for (let k = 0; k < candidates.length; k++) {
    const keyword = candidates[k] as Keyword;
    if (isWord(buffer, at, to, keyword.bytes))
      return parentheses ? inParentheses(keyword.command) : byNextWord(keyword.command, buffer, to, end);
  }
  return parentheses ? Command.SELECT : Command.OTHER;
}

function inParentheses(command: number): number {
  return command === Command.VALUES || command === Command.WITH || command === Command.TABLE ? command : Command.SELECT;
}

/** Commands that need more than their first word; `i` is behind it. */
function byNextWord(command: number, buffer: Buffer, i: number, end: number): number {
  switch (command) {
    case Command.SET:
      return ofSet(buffer, i, end);
    case Command.COMMIT: {
      const from = nextToken(buffer, i, end);
      return isWord(buffer, from, wordEnd(buffer, from, end), PREPARED) ? Command.COMMIT_PREPARED : Command.COMMIT;
    }
    case Command.ROLLBACK: {
      const from = nextToken(buffer, i, end);
      if (isWord(buffer, from, wordEnd(buffer, from, end), PREPARED)) return Command.COMMIT_PREPARED;
      const behind = skipWork(buffer, from, end);
      return isWord(buffer, behind, wordEnd(buffer, behind, end), TO) ? Command.ROLLBACK_TO : Command.ROLLBACK;
    }
    case Command.PREPARE: {
      // PREPARE TRANSACTION 'gid', but PREPARE transaction AS ... names a statement.
      const from = nextToken(buffer, i, end);
      const to = wordEnd(buffer, from, end);
      if (!isWord(buffer, from, to, TRANSACTION)) return command;
      const third = nextToken(buffer, to, end);
      return third < end && !isNameEnd(buffer, third, end) ? Command.PREPARE_TRANSACTION : command;
    }
    default:
      return command;
  }
}

/** Behind PREPARE transaction: whether `AS` or `(` says that it was a statement's name. */
function isNameEnd(buffer: Buffer, i: number, end: number): boolean {
  if (buffer[i] === OPEN) return true;
  const to = wordEnd(buffer, i, end);
  // E'gid' and U&'gid' are strings.
  return to > i && !(to < end && (buffer[to] === QUOTE || buffer[to] === AMPERSAND));
}

function ofSet(buffer: Buffer, i: number, end: number): number {
  let from = nextToken(buffer, i, end);
  let to = wordEnd(buffer, from, end);
  let command: number = Command.SET;
  if ((isWord(buffer, from, to, LOCAL) || isWord(buffer, from, to, SESSION)) && !isVariable(buffer, to, end)) {
    if (isWord(buffer, from, to, LOCAL)) command = Command.SET_LOCAL;
    const next = nextToken(buffer, to, end);
    const nextTo = wordEnd(buffer, next, end);
    // SET SESSION CHARACTERISTICS, not the scope SESSION
    if (command === Command.SET && isWord(buffer, next, nextTo, CHARACTERISTICS) && !isVariable(buffer, nextTo, end)) {
      return Command.SET_CHARACTERISTICS;
    }
    from = next;
    to = nextTo;
    if (isWord(buffer, from, to, SESSION) && !isVariable(buffer, to, end)) {
      const third = nextToken(buffer, to, end);
      if (isWord(buffer, third, wordEnd(buffer, third, end), CHARACTERISTICS)) return Command.SET_CHARACTERISTICS;
    }
  }
  if (isWord(buffer, from, to, TRANSACTION) && !isVariable(buffer, to, end)) return Command.SET_TRANSACTION;
  if (command === Command.SET && isWord(buffer, from, to, CONSTRAINTS) && !isVariable(buffer, to, end)) return Command.SET_CONSTRAINTS;
  return command;
}

/** Whether what follows a word makes it the (first part of the) name of a parameter: `.`, `=` or TO. */
function isVariable(buffer: Buffer, i: number, end: number): boolean {
  const at = nextToken(buffer, i, end);
  if (at >= end) return false;
  const byte = buffer[at] as number;
  return byte === DOT || byte === EQUALS || isWord(buffer, at, wordEnd(buffer, at, end), TO);
}

/** Over an optional WORK or TRANSACTION at `i`, to the token behind it. */
function skipWork(buffer: Buffer, i: number, end: number): number {
  const to = wordEnd(buffer, i, end);
  return isWord(buffer, i, to, WORK) || isWord(buffer, i, to, TRANSACTION) ? nextToken(buffer, to, end) : i;
}

/** Whether a COMMIT or ROLLBACK at `i` says AND CHAIN: a new transaction is then open behind it. */
export function isChained(buffer: Buffer, i: number, end: number): boolean {
  const at = skipWork(buffer, nextToken(buffer, wordEnd(buffer, i, end), end), end);
  const to = wordEnd(buffer, at, end);
  if (!isWord(buffer, at, to, AND)) return false;
  const chain = nextToken(buffer, to, end);
  return isWord(buffer, chain, wordEnd(buffer, chain, end), CHAIN);
}
