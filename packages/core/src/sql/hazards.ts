// Finds what a statement would leave in the server's session (or needs from it), which transaction pooling cannot carry.
// Looks at single words of one statement as the lexer meets them; errs on the side of telling. Hot: no allocation.
import { Command, nextToken, wordEnd } from "./commands.js";
import {
  BYTE_CLASS,
  ByteClass,
  isWord,
  skipBlockComment,
  skipDollar,
  skipLineComment,
  skipPlainString,
  skipQuotedName,
  UNTERMINATED,
  word,
} from "./lexical.js";

/**
 * Bits. What the bytes cannot show is not here: user-defined functions, bodies of DO (see OPAQUE), dynamic SQL,
 * tables that land in pg_temp because search_path names it first.
 */
export const Hazard = {
  /**
   * Makes an object that lives as long as the session: CREATE TEMP ..., CREATE ... pg_temp.x, SELECT ... INTO TEMP.
   * Not CREATE TEMP TABLE ... ON COMMIT DROP, which is gone with its transaction.
   */
  TEMP_OBJECT: 0x1,
  /** LISTEN. UNLISTEN and NOTIFY leave nothing. */
  LISTEN: 0x2,
  /**
   * Takes or gives back a session-level advisory lock; the transaction-level ones (…_xact_…) are none. Nor is
   * pg_advisory_unlock_all(): it leaves nothing, and drivers send it when a connection goes back to their pool.
   */
  ADVISORY_LOCK: 0x4,
  /** PREPARE name AS. */
  SQL_PREPARE: 0x8,
  /** EXECUTE, EXPLAIN EXECUTE, CREATE TABLE ... AS EXECUTE: needs what PREPARE left. */
  SQL_EXECUTE: 0x10,
  /** DECLARE ... WITH HOLD. */
  HOLD_CURSOR: 0x20,
  /** set_config(…) whose third argument is not a literal true: a SET that the bytes do not show. */
  SET_CONFIG: 0x40,
  /** LOAD. */
  LOAD: 0x80,
  /** currval(), lastval(): read what an earlier nextval() of this session left. Right within one transaction. */
  SEQUENCE_STATE: 0x100,
  /** Calls a function that leaves something in the session: setseed, dblink_connect, pg_backup_start and the like. */
  SESSION_FUNCTION: 0x200,
  /** DO, CALL: procedural code that may do any of this; the session's state is not known after it. */
  OPAQUE: 0x400,
  /** A name written U&"…" is called as a function: it could be any of the above in disguise. */
  DISGUISED_NAME: 0x800,
} as const;

/** How much of the rest of a statement must be looked at. */
export const Watch = {
  /** Function names and INTO. */
  PLAIN: 0,
  /** also pg_temp and AS EXECUTE */
  CREATE: 1,
  /** also ON COMMIT DROP */
  CREATE_TEMP: 2,
  /** CREATE FUNCTION or PROCEDURE: nothing in it runs; BEGIN ATOMIC may hold semicolons. */
  CREATE_ROUTINE: 3,
} as const;

const OPEN = 0x28;
const CLOSE = 0x29;
const COMMA = 0x2c;
const DOT = 0x2e;
const STAR = 0x2a;
const DASH = 0x2d;
const BACKSLASH = 0x5c;

/** How many bytes of set_config()'s arguments are looked at. Bounds nested calls: further in counts as a hazard. */
const ARGUMENTS_BYTES = 512;

const functions: readonly (readonly [string, number])[] = [
  ["pg_advisory_lock", Hazard.ADVISORY_LOCK],
  ["pg_advisory_lock_shared", Hazard.ADVISORY_LOCK],
  ["pg_try_advisory_lock", Hazard.ADVISORY_LOCK],
  ["pg_try_advisory_lock_shared", Hazard.ADVISORY_LOCK],
  ["pg_advisory_unlock", Hazard.ADVISORY_LOCK],
  ["pg_advisory_unlock_shared", Hazard.ADVISORY_LOCK],
  ["set_config", Hazard.SET_CONFIG],
  ["currval", Hazard.SEQUENCE_STATE],
  ["lastval", Hazard.SEQUENCE_STATE],
  ["setseed", Hazard.SESSION_FUNCTION],
  ["dblink_connect", Hazard.SESSION_FUNCTION],
  ["dblink_connect_u", Hazard.SESSION_FUNCTION],
  ["pg_backup_start", Hazard.SESSION_FUNCTION],
  ["pg_backup_stop", Hazard.SESSION_FUNCTION],
  ["pg_start_backup", Hazard.SESSION_FUNCTION],
  ["pg_stop_backup", Hazard.SESSION_FUNCTION],
  ["pg_replication_origin_session_setup", Hazard.SESSION_FUNCTION],
];

interface NamedHazard {
  readonly bytes: Uint8Array;
  readonly hazard: number;
}

const LONGEST_NAME = 40;
const BY_LENGTH: readonly (readonly NamedHazard[])[] = Array.from({ length: LONGEST_NAME + 1 }, (_, length) =>
  functions.filter(([name]) => name.length === length).map(([name, hazard]) => ({ bytes: word(name), hazard })),
);

/** Bit (first letter & 31) at a word's length: whether inspectWord() could care for such a word. */
export const INTERESTING = new Int32Array(LONGEST_NAME + 1);
for (const name of ["into", "pg_temp", ...functions.map(([text]) => text)]) {
  INTERESTING[name.length] = (INTERESTING[name.length] as number) | (1 << (name.charCodeAt(0) & 31));
}
export const LONGEST_INTERESTING = LONGEST_NAME;

const INTO = word("into");
const INSERT = word("insert");
const MERGE = word("merge");
const PG_TEMP = word("pg_temp");
const TEMP = word("temp");
const TEMPORARY = word("temporary");
const LOCAL = word("local");
const GLOBAL = word("global");
const OR = word("or");
const REPLACE = word("replace");
const FUNCTION = word("function");
const PROCEDURE = word("procedure");
const AS = word("as");
const ON = word("on");
const COMMIT = word("commit");
const DROP = word("drop");
const EXECUTE = word("execute");
const CREATE = word("create");
const ANALYZE = word("analyze");
const ANALYSE = word("analyse");
const VERBOSE = word("verbose");
const CURSOR = word("cursor");
const WITH = word("with");
const HOLD = word("hold");
const TRUE = word("true");

function wordAt(buffer: Buffer, i: number, end: number, expected: Uint8Array): boolean {
  return isWord(buffer, i, wordEnd(buffer, i, end), expected);
}

/** Hazards of a command that its first words already show; `i` is behind the first word. */
export function hazardsOfCommand(command: number, buffer: Buffer, i: number, end: number): number {
  switch (command) {
    case Command.LISTEN:
      return Hazard.LISTEN;
    case Command.PREPARE:
      return Hazard.SQL_PREPARE;
    case Command.EXECUTE:
      return Hazard.SQL_EXECUTE;
    case Command.LOAD:
      return Hazard.LOAD;
    case Command.DO:
    case Command.CALL:
      return Hazard.OPAQUE;
    case Command.DECLARE:
      return isHoldCursor(buffer, i, end) ? Hazard.HOLD_CURSOR : 0;
    case Command.EXPLAIN: {
      const inner = explained(buffer, i, end);
      if (wordAt(buffer, inner, end, EXECUTE)) return Hazard.SQL_EXECUTE;
      return wordAt(buffer, inner, end, CREATE) && watchOfCreate(buffer, inner + CREATE.length, end) === Watch.CREATE_TEMP
        ? Hazard.TEMP_OBJECT
        : 0;
    }
    default:
      return 0;
  }
}

/** What to look for in a CREATE; `i` is behind the word CREATE. */
export function watchOfCreate(buffer: Buffer, i: number, end: number): number {
  let at = nextToken(buffer, i, end);
  if (wordAt(buffer, at, end, OR)) {
    at = nextToken(buffer, at + OR.length, end);
    if (wordAt(buffer, at, end, REPLACE)) at = nextToken(buffer, at + REPLACE.length, end);
  }
  if (wordAt(buffer, at, end, FUNCTION) || wordAt(buffer, at, end, PROCEDURE)) return Watch.CREATE_ROUTINE;
  return isTemporary(buffer, at, end) ? Watch.CREATE_TEMP : Watch.CREATE;
}

/** [LOCAL | GLOBAL] TEMP | TEMPORARY at `i`. */
function isTemporary(buffer: Buffer, i: number, end: number): boolean {
  let at = i;
  if (wordAt(buffer, at, end, LOCAL)) at = nextToken(buffer, at + LOCAL.length, end);
  else if (wordAt(buffer, at, end, GLOBAL)) at = nextToken(buffer, at + GLOBAL.length, end);
  return wordAt(buffer, at, end, TEMP) || wordAt(buffer, at, end, TEMPORARY);
}

/** DECLARE name ... CURSOR WITH HOLD FOR query: only what stands right behind CURSOR counts, a CTE may be called hold. */
function isHoldCursor(buffer: Buffer, i: number, end: number): boolean {
  let at = nextToken(buffer, i, end);
  // The cursor's own name, maybe quoted, then BINARY INSENSITIVE NO SCROLL CURSOR in any order.
  if (at < end && BYTE_CLASS[buffer[at] as number] === ByteClass.DOUBLE_QUOTE) {
    const behind = skipQuotedName(buffer, at, end);
    if (behind === UNTERMINATED) return false;
    at = behind;
  } else {
    at = wordEnd(buffer, at, end);
  }
  for (let words = 0; words < 8; words++) {
    at = nextToken(buffer, at, end);
    const to = wordEnd(buffer, at, end);
    if (to === at) return false;
    if (isWord(buffer, at, to, CURSOR)) {
      at = nextToken(buffer, to, end);
      return wordAt(buffer, at, end, WITH) && wordAt(buffer, nextToken(buffer, at + WITH.length, end), end, HOLD);
    }
    at = to;
  }
  return false;
}

/** Offset of the statement that an EXPLAIN explains; `i` is behind EXPLAIN. */
function explained(buffer: Buffer, i: number, end: number): number {
  let at = nextToken(buffer, i, end);
  if (at < end && buffer[at] === OPEN) {
    // Options hold words, numbers and strings, but no parentheses.
    while (at < end && buffer[at] !== CLOSE) at++;
    return nextToken(buffer, at + 1, end);
  }
  for (;;) {
    const to = wordEnd(buffer, at, end);
    if (!isWord(buffer, at, to, ANALYZE) && !isWord(buffer, at, to, ANALYSE) && !isWord(buffer, at, to, VERBOSE)) return at;
    at = nextToken(buffer, to, end);
  }
}

/** Hazards of a word that INTERESTING marks, quoted or not: it is at [from, to), the next token is looked for at `next`. */
export function inspectWord(buffer: Buffer, from: number, to: number, next: number, end: number, watch: number): number {
  const length = to - from;
  if (watch !== Watch.PLAIN && length === PG_TEMP.length && isWord(buffer, from, to, PG_TEMP)) {
    const dot = nextToken(buffer, next, end);
    return dot < end && buffer[dot] === DOT ? Hazard.TEMP_OBJECT : 0;
  }
  if (watch === Watch.CREATE_ROUTINE) return 0;
  if (length === INTO.length && isWord(buffer, from, to, INTO)) return next === to ? hazardsOfInto(buffer, from, to, end) : 0;
  const named = BY_LENGTH[length] as readonly NamedHazard[];
  for (let k = 0; k < named.length; k++) {
    const candidate = named[k] as NamedHazard;
    if (!isWord(buffer, from, to, candidate.bytes)) continue;
    const open = nextToken(buffer, next, end);
    if (open >= end || buffer[open] !== OPEN) return 0;
    return candidate.hazard === Hazard.SET_CONFIG && isLocalSetConfig(buffer, open, end) ? 0 : candidate.hazard;
  }
  return 0;
}

/** SELECT ... INTO TEMP x, not INSERT INTO temp. (SELECT ... INTO temp FROM ..., a table called temp, is told as well.) */
function hazardsOfInto(buffer: Buffer, from: number, to: number, end: number): number {
  const at = nextToken(buffer, to, end);
  const quoted = at < end && BYTE_CLASS[buffer[at] as number] === ByteClass.DOUBLE_QUOTE;
  const name = quoted ? at + 1 : at;
  if ((quoted || !isTemporary(buffer, at, end)) && !wordAt(buffer, name, end, PG_TEMP)) return 0;
  let back = from - 1;
  while (back >= 0 && BYTE_CLASS[buffer[back] as number] === ByteClass.SPACE) back--;
  const before = back + 1;
  return isWord(buffer, before - INSERT.length, before, INSERT) || isWord(buffer, before - MERGE.length, before, MERGE)
    ? 0
    : Hazard.TEMP_OBJECT;
}

/** Whether the word at [from, to) is the ON of ON COMMIT DROP. */
export function isOnCommitDrop(buffer: Buffer, from: number, to: number, end: number): boolean {
  if (!isWord(buffer, from, to, ON)) return false;
  const commit = nextToken(buffer, to, end);
  return wordAt(buffer, commit, end, COMMIT) && wordAt(buffer, nextToken(buffer, commit + COMMIT.length, end), end, DROP);
}

export function isAsExecute(buffer: Buffer, from: number, to: number, end: number): boolean {
  return isWord(buffer, from, to, AS) && wordAt(buffer, nextToken(buffer, to, end), end, EXECUTE);
}

/** set_config(name, value, true): `open` is at the parenthesis. */
function isLocalSetConfig(buffer: Buffer, open: number, end: number): boolean {
  const limit = Math.min(end, open + ARGUMENTS_BYTES);
  let commas = 0;
  let depth = 1;
  let at = open + 1;
  while (at < limit) {
    const byte = buffer[at] as number;
    switch (BYTE_CLASS[byte]) {
      case ByteClass.QUOTE: {
        // Where a string with a backslash ends depends on its prefix and on settings: not worth it here.
        const behind = skipPlainString(buffer, at, limit, true);
        for (let k = at; k < behind; k++) if (buffer[k] === BACKSLASH) return false;
        at = behind;
        break;
      }
      case ByteClass.DOUBLE_QUOTE:
        at = skipQuotedName(buffer, at, limit);
        break;
      case ByteClass.DOLLAR:
        at = skipDollar(buffer, at, limit);
        break;
      case ByteClass.DASH:
        at = at + 1 < limit && buffer[at + 1] === DASH ? skipLineComment(buffer, at, limit) : at + 1;
        break;
      case ByteClass.SLASH:
        at = at + 1 < limit && buffer[at + 1] === STAR ? skipBlockComment(buffer, at, limit) : at + 1;
        break;
      case ByteClass.OPEN:
        depth++;
        at++;
        break;
      case ByteClass.CLOSE:
        if (--depth === 0) return false;
        at++;
        break;
      case ByteClass.WORD:
        at = wordEnd(buffer, at, limit);
        break;
      default:
        at++;
        if (byte === COMMA && depth === 1 && ++commas === 2) return isTrueArgument(buffer, at, limit);
    }
    if (at === UNTERMINATED) return false;
  }
  return false;
}

/** TRUE or 'true' up to the closing parenthesis, at `i`. */
function isTrueArgument(buffer: Buffer, i: number, end: number): boolean {
  const at = nextToken(buffer, i, end);
  const quoted = at < end && BYTE_CLASS[buffer[at] as number] === ByteClass.QUOTE;
  const from = quoted ? at + 1 : at;
  const to = wordEnd(buffer, from, end);
  if (!isWord(buffer, from, to, TRUE)) return false;
  const close = nextToken(buffer, quoted ? to + 1 : to, end);
  return (!quoted || (to < end && BYTE_CLASS[buffer[to] as number] === ByteClass.QUOTE)) && close < end && buffer[close] === CLOSE;
}
