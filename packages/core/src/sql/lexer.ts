// Splits the bytes of a query string into statements and says what each is and what the session must know of it, by
// PostgreSQL's lexical rules (scan.l, and what gram.y allows around semicolons). Knows no grammar beyond first words.
// Hot: one pass, no allocation, no strings; about 100 to 200 ns for a point SELECT (bench/lexer.mjs).
//
// For client encodings in which every byte below 0x80 is ASCII (UTF8, LATIN*, WIN*, EUC_*, SQL_ASCII ...). In SJIS, BIG5, GBK,
// UHC and GB18030 the second byte of a character can be a backslash (it matters in E'' strings), in JOHAB a semicolon.
import { Command, classify, isChained, isSchemaCommand, nextToken, wordEnd } from "./commands.js";
import {
  Hazard,
  hazardsOfCommand,
  INTERESTING,
  inspectWord,
  isAsExecute,
  isOnCommitDrop,
  LONGEST_INTERESTING,
  Watch,
  watchOfCreate,
} from "./hazards.js";
import {
  BYTE_CLASS,
  ByteClass,
  isWord,
  skipBlank,
  skipBlockComment,
  skipDollar,
  skipLineComment,
  skipPlainString,
  skipPrefixed,
  skipQuotedName,
  skipWord,
  UNTERMINATED,
  WORD_PART,
  word,
} from "./lexical.js";

export { Command, isSchemaCommand } from "./commands.js";
export { Hazard } from "./hazards.js";

/** Statements of one text that are kept one by one; of further ones only hazards and flags are. */
export const MAX_LEXED = 64;

/** Bits: some statement of the text ... */
export const LexFlag = {
  /** BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK TO, PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED */
  HAS_TRANSACTION_CONTROL: 0x1,
  /** changes what a session keeps between transactions: SET, SET SESSION CHARACTERISTICS, RESET, DISCARD */
  HAS_SET: 0x2,
  /** SET LOCAL, SET TRANSACTION, SET CONSTRAINTS */
  HAS_SET_LOCAL: 0x4,
  HAS_COPY: 0x8,
  /** a BEGIN ATOMIC body */
  HAS_ATOMIC: 0x10,
  /** COMMIT AND CHAIN or ROLLBACK AND CHAIN: a transaction is open behind it */
  HAS_CHAIN: 0x20,
  /** PREPARE, EXECUTE, DEALLOCATE */
  HAS_SQL_PREPARED: 0x40,
} as const;

export interface Lexed {
  /** Statements that are not empty. */
  count: number;
  /** count is above MAX_LEXED: the arrays hold the first ones. */
  overflow: boolean;
  /** Command.* of each statement. */
  readonly commands: Uint8Array;
  /** First byte of each statement's first token; offset in the buffer. */
  readonly starts: Int32Array;
  /** Behind each statement's last token: blanks, comments and the semicolon are left out. */
  readonly ends: Int32Array;
  /** Union of Hazard.* */
  hazards: number;
  /** Union of LexFlag.* */
  flags: number;
  /** A string, quoted name or comment does not end: PostgreSQL refuses the whole text. */
  unterminated: boolean;
}

export function createLexed(): Lexed {
  // One element more than MAX_LEXED takes what overflows.
  return {
    count: 0,
    overflow: false,
    commands: new Uint8Array(MAX_LEXED + 1),
    starts: new Int32Array(MAX_LEXED + 1),
    ends: new Int32Array(MAX_LEXED + 1),
    hazards: 0,
    flags: 0,
    unterminated: false,
  };
}

const FLAGS_OF_COMMAND = new Uint8Array(256);
for (const command of [
  Command.BEGIN,
  Command.COMMIT,
  Command.ROLLBACK,
  Command.SAVEPOINT,
  Command.RELEASE,
  Command.ROLLBACK_TO,
  Command.PREPARE_TRANSACTION,
  Command.COMMIT_PREPARED,
]) {
  FLAGS_OF_COMMAND[command] = LexFlag.HAS_TRANSACTION_CONTROL;
}
for (const command of [Command.SET, Command.SET_CHARACTERISTICS, Command.RESET, Command.DISCARD]) {
  FLAGS_OF_COMMAND[command] = LexFlag.HAS_SET;
}
for (const command of [Command.SET_LOCAL, Command.SET_TRANSACTION, Command.SET_CONSTRAINTS]) {
  FLAGS_OF_COMMAND[command] = LexFlag.HAS_SET_LOCAL;
}
for (const command of [Command.PREPARE, Command.EXECUTE, Command.DEALLOCATE]) {
  FLAGS_OF_COMMAND[command] = LexFlag.HAS_SQL_PREPARED;
}
FLAGS_OF_COMMAND[Command.COPY] = LexFlag.HAS_COPY;

/** Of the commands below BEGIN, which have one spelling each; 0 for OTHER. */
const FIRST_WORD_LENGTH = new Uint8Array(Command.BEGIN);
for (const [name, command] of Object.entries(Command)) {
  if (command > Command.OTHER && command < Command.BEGIN) FIRST_WORD_LENGTH[command] = name.length;
}

const STAR = 0x2a;
const DASH = 0x2d;
const AMPERSAND = 0x26;
const DOUBLE_QUOTE = 0x22;
const OPEN = 0x28;
const DOT = 0x2e;

const BEGIN = word("begin");
const ATOMIC = word("atomic");
const END = word("end");
const UESCAPE = word("uescape");

/** Does the text hold a statement after which tables may be others? */
export function changesSchema(lexed: Lexed): boolean {
  for (let i = 0; i < lexed.count && i < MAX_LEXED; i++) if (isSchemaCommand(lexed.commands[i] as number)) return true;
  return lexed.overflow;
}

/** Scans buffer[start, end), which must not include the terminating NUL. Never throws. */
export function lex(buffer: Buffer, start: number, end: number, standardStrings: boolean, out: Lexed): void {
  out.count = 0;
  out.overflow = false;
  out.hazards = 0;
  out.flags = 0;
  out.unterminated = false;
  let i = start;
  while (i < end) {
    const byteClass = BYTE_CLASS[buffer[i] as number] as number;
    if (byteClass === ByteClass.SPACE || byteClass === ByteClass.SEMICOLON) {
      i++;
      continue;
    }
    if (byteClass === ByteClass.DASH || byteClass === ByteClass.SLASH) {
      const behind = skipBlank(buffer, i, end);
      if (behind === UNTERMINATED) {
        out.unterminated = true;
        return;
      }
      if (behind > i) {
        i = behind;
        continue;
      }
    }
    i = scanStatement(buffer, i, end, standardStrings, out);
  }
}

/** One statement from its first token; returns the offset of its semicolon, or `end`. */
function scanStatement(buffer: Buffer, start: number, end: number, standardStrings: boolean, out: Lexed): number {
  // Imported bindings are read through a cell at each use: locals here are worth a third of the time.
  const byteClasses = BYTE_CLASS;
  const wordParts = WORD_PART;
  const interesting = INTERESTING;
  const command = classify(buffer, start, end);
  let hazards = 0;
  let watch: number = Watch.PLAIN;
  let i = start;
  if (command < Command.BEGIN) {
    if (buffer[start] !== OPEN) i += FIRST_WORD_LENGTH[command] as number;
  } else {
    out.flags |= FLAGS_OF_COMMAND[command] as number;
    i = skipWord(buffer, start, end);
    hazards = hazardsOfCommand(command, buffer, i, end);
    if (command === Command.CREATE) {
      watch = watchOfCreate(buffer, i, end);
      if (watch === Watch.CREATE_TEMP) hazards |= Hazard.TEMP_OBJECT;
    } else if ((command === Command.COMMIT || command === Command.ROLLBACK) && isChained(buffer, start, end)) {
      out.flags |= LexFlag.HAS_CHAIN;
    }
  }

  let tokenEnd = i;
  let depth = 0;
  let atomic = 0;
  let semicolon = false;
  while (i < end) {
    const byte = buffer[i] as number;
    switch (byteClasses[byte]) {
      case ByteClass.SPACE:
        i++;
        continue;
      case ByteClass.WORD: {
        const from = i;
        do i++;
        while (i < end && wordParts[buffer[i] as number] === 1);
        const length = i - from;
        if (length === 1) {
          i = skipPrefixed(buffer, from, end);
          if (i !== from + 1) {
            if (i !== UNTERMINATED && buffer[from + 1] === AMPERSAND && buffer[from + 2] === DOUBLE_QUOTE && isUsedAsName(buffer, i, end))
              hazards |= Hazard.DISGUISED_NAME;
            break;
          }
        }
        if (length <= LONGEST_INTERESTING && (((interesting[length] as number) >>> (byte & 31)) & 1) === 1) {
          hazards |= inspectWord(buffer, from, i, i, end, watch);
        } else if (watch === Watch.CREATE_ROUTINE) {
          if (depth === 0 && isWord(buffer, from, i, BEGIN)) {
            const behind = behindWord(buffer, i, end, ATOMIC);
            if (behind > i) {
              out.flags |= LexFlag.HAS_ATOMIC;
              const close = behindWord(buffer, behind, end, END);
              if (close === behind) atomic++;
              i = close;
            }
          }
        } else if (watch === Watch.CREATE_TEMP) {
          if (length === 2 && isOnCommitDrop(buffer, from, i, end)) hazards &= ~Hazard.TEMP_OBJECT;
          else if (length === 2 && isAsExecute(buffer, from, i, end)) hazards |= Hazard.SQL_EXECUTE;
        } else if (watch === Watch.CREATE && length === 2 && isAsExecute(buffer, from, i, end)) {
          hazards |= Hazard.SQL_EXECUTE;
        }
        break;
      }
      case ByteClass.QUOTE:
        i = skipPlainString(buffer, i, end, standardStrings);
        break;
      case ByteClass.DOUBLE_QUOTE: {
        const from = i + 1;
        i = skipQuotedName(buffer, i, end);
        if (i === UNTERMINATED) break;
        const length = i - 1 - from;
        if (
          length > 0 &&
          length <= LONGEST_INTERESTING &&
          (((interesting[length] as number) >>> ((buffer[from] as number) & 31)) & 1) === 1
        ) {
          hazards |= inspectWord(buffer, from, i - 1, i, end, watch);
        }
        break;
      }
      case ByteClass.DOLLAR:
        i = skipDollar(buffer, i, end);
        break;
      case ByteClass.DASH:
        if (i + 1 < end && buffer[i + 1] === DASH) {
          i = skipLineComment(buffer, i, end);
          continue;
        }
        i++;
        break;
      case ByteClass.SLASH:
        if (i + 1 < end && buffer[i + 1] === STAR) {
          i = skipBlockComment(buffer, i, end);
          if (i === UNTERMINATED) break;
          continue;
        }
        i++;
        break;
      case ByteClass.OPEN:
        depth++;
        i++;
        break;
      case ByteClass.CLOSE:
        if (depth > 0) depth--;
        i++;
        break;
      case ByteClass.SEMICOLON:
        // Inside parentheses (CREATE RULE ... DO (a; b)) and routine bodies it separates, but ends nothing.
        if (depth > 0) {
          i++;
          break;
        }
        if (atomic > 0) {
          // The END of a body stands where a statement would begin; any other END belongs to a CASE or is a label.
          i++;
          const close = behindWord(buffer, i, end, END);
          if (close > i) atomic--;
          i = close;
          break;
        }
        semicolon = true;
        break;
      default:
        i++;
    }
    if (semicolon) break;
    if (i === UNTERMINATED) {
      out.unterminated = true;
      i = end;
    }
    tokenEnd = i;
  }

  const slot = Math.min(out.count, MAX_LEXED);
  out.commands[slot] = command;
  out.starts[slot] = start;
  out.ends[slot] = tokenEnd;
  out.count++;
  out.overflow = out.count > MAX_LEXED;
  out.hazards |= hazards;
  return i;
}

/** Offset behind `expected` when it is the next token after `i`; else `i`. */
function behindWord(buffer: Buffer, i: number, end: number, expected: Uint8Array): number {
  const at = nextToken(buffer, i, end);
  const to = wordEnd(buffer, at, end);
  return isWord(buffer, at, to, expected) ? to : i;
}

/** Behind U&"…": whether it is called, or qualifies something (maybe after UESCAPE, which is taken for a yes). */
function isUsedAsName(buffer: Buffer, i: number, end: number): boolean {
  const at = nextToken(buffer, i, end);
  if (at >= end) return false;
  const byte = buffer[at] as number;
  return byte === OPEN || byte === DOT || isWord(buffer, at, wordEnd(buffer, at, end), UESCAPE);
}
