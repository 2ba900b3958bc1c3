// Reads BEGIN, COMMIT, SAVEPOINT and their like, one statement's text at a time, as gram.y does. What a parser does not know in
// full it refuses (null, or valid: false), so that the caller lets the server speak. Reading is slow; BEGIN and COMMIT come with every
// transaction, in the same few texts, and are read once.
import { TokenReader, tokenize } from "./tokens.js";

export type IsolationLevel = "serializable" | "repeatable read" | "read committed" | "read uncommitted";

/** transaction_mode_list; null: not mentioned. The last mention counts. */
export interface TransactionModes {
  readonly isolation: IsolationLevel | null;
  readonly readOnly: boolean | null;
  readonly deferrable: boolean | null;
}

export interface BeginStatement extends TransactionModes {
  /** False: not a BEGIN or START TRANSACTION that PostgreSQL would take. */
  readonly valid: boolean;
}

/** Texts that are kept with what they were read as. */
const mostKept = 64;
const longestKept = 64;

function readOnce<Statement>(read: (text: string) => Statement): (text: string) => Statement {
  const known = new Map<string, Statement>();
  return (text) => {
    let statement = known.get(text);
    if (statement === undefined) {
      statement = read(text);
      if (text.length > longestKept) return statement;
      if (known.size >= mostKept) known.clear();
      known.set(text, statement);
    }
    return statement;
  };
}

const NO_MODES: TransactionModes = { isolation: null, readOnly: null, deferrable: null };

function readerOf(text: string): TokenReader | null {
  const tokens = tokenize(text);
  return tokens === null ? null : new TokenReader(tokens);
}

/** Modes up to the end of the text, commas between them optional; null when anything else stands there. */
function readModes(reader: TokenReader): TransactionModes | null {
  let { isolation, readOnly, deferrable } = NO_MODES;
  while (!reader.done) {
    if (reader.words("isolation", "level")) {
      if (reader.words("serializable")) isolation = "serializable";
      else if (reader.words("repeatable", "read")) isolation = "repeatable read";
      else if (reader.words("read", "committed")) isolation = "read committed";
      else if (reader.words("read", "uncommitted")) isolation = "read uncommitted";
      else return null;
    } else if (reader.words("read", "only")) readOnly = true;
    else if (reader.words("read", "write")) readOnly = false;
    else if (reader.words("not", "deferrable")) deferrable = false;
    else if (reader.words("deferrable")) deferrable = true;
    else return null;
    if (reader.symbol(",") && reader.done) return null;
  }
  return { isolation, readOnly, deferrable };
}

/** BEGIN [WORK | TRANSACTION] modes, START TRANSACTION modes */
export const parseBegin = readOnce(readBegin);

function readBegin(text: string): BeginStatement {
  const reader = readerOf(text);
  let modes: TransactionModes | null = null;
  if (reader?.words("start", "transaction")) {
    modes = readModes(reader);
  } else if (reader?.words("begin")) {
    if (!reader.words("work")) reader.words("transaction");
    modes = readModes(reader);
  }
  return modes === null ? { ...NO_MODES, valid: false } : { ...modes, valid: true };
}

/** SET [LOCAL | SESSION] TRANSACTION modes; null for anything else, SET TRANSACTION SNAPSHOT among it. */
export function parseSetTransaction(text: string): TransactionModes | null {
  const reader = readerOf(text);
  if (!reader?.words("set")) return null;
  if (!reader.words("local")) reader.words("session");
  return reader.words("transaction") && !reader.done ? readModes(reader) : null;
}

/** SET SESSION CHARACTERISTICS AS TRANSACTION modes: the defaults of later transactions (default_transaction_isolation ...). */
export function parseSetCharacteristics(text: string): TransactionModes | null {
  const reader = readerOf(text);
  if (!reader?.words("set")) return null;
  // A scope may stand before it: SET SESSION SESSION CHARACTERISTICS.
  if (!reader.words("session", "characteristics")) {
    if (!(reader.words("session") || reader.words("local")) || !reader.words("session", "characteristics")) return null;
  }
  return reader.words("as", "transaction") && !reader.done ? readModes(reader) : null;
}

export interface EndStatement {
  /** AND CHAIN: a transaction with the same modes is open behind it. */
  readonly chain: boolean;
}

/** COMMIT, END, ROLLBACK, ABORT [WORK | TRANSACTION] [AND [NO] CHAIN]; null for anything else. */
export const parseEnd = readOnce(readEnd);

function readEnd(text: string): EndStatement | null {
  const reader = readerOf(text);
  if (!reader) return null;
  if (!reader.words("commit") && !reader.words("end") && !reader.words("rollback") && !reader.words("abort")) return null;
  if (!reader.words("work")) reader.words("transaction");
  const chain = reader.words("and", "chain");
  if (!chain) reader.words("and", "no", "chain");
  return reader.done ? { chain } : null;
}

/** The savepoint's name as the server keeps it; null when it is not such a statement. */
export function parseSavepoint(text: string): string | null {
  const reader = readerOf(text);
  return reader?.words("savepoint") ? nameAtEnd(reader) : null;
}

/** RELEASE [SAVEPOINT] name */
export function parseRelease(text: string): string | null {
  const reader = readerOf(text);
  return reader?.words("release") ? savepointAtEnd(reader) : null;
}

/** ROLLBACK | ABORT [WORK | TRANSACTION] TO [SAVEPOINT] name */
export function parseRollbackTo(text: string): string | null {
  const reader = readerOf(text);
  if (!reader?.words("rollback") && !reader?.words("abort")) return null;
  if (!reader.words("work")) reader.words("transaction");
  return reader.words("to") ? savepointAtEnd(reader) : null;
}

function savepointAtEnd(reader: TokenReader): string | null {
  // SAVEPOINT may be left out, and may be the name itself.
  if (reader.peek(1) !== null && !reader.words("savepoint")) return null;
  return nameAtEnd(reader);
}

function nameAtEnd(reader: TokenReader): string | null {
  const name = reader.name();
  return reader.done ? name : null;
}
