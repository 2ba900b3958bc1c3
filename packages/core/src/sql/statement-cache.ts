// Statements by text: each distinct text is split, and parsed when plugins read facts, once; the least recently used is
// forgotten first. A hit costs a look-up and no allocation but its key.
import type { StatementSource } from "../plugins/statements.js";
import { type Decode, decoderOf } from "./encodings.js";
import { createLexed, type Lexed, lex } from "./lexer.js";
import type { Statement, StatementText } from "./statement.js";
import type { StatementFacts, StatementParser } from "./types.js";

export interface StatementCacheOptions {
  readonly maxTexts: number;
  /** Of texts and what is known of them, estimated. The text that came last is kept in any case. */
  readonly maxBytes: number;
  /** Null: nobody reads facts. */
  readonly parser: StatementParser | null;
  /** Called once for each statement that leaves; its id is not used again. */
  readonly onForget: (statement: Statement) => void;
}

export interface StatementCache extends StatementSource {
  readonly texts: number;
  readonly bytes: number;
}

export function createStatementCache(options: StatementCacheOptions): StatementCache {
  return new Cache(options);
}

/** What an entry takes beside its text: objects, the map's slot, an encoded frame. */
const ENTRY_BYTES = 1024;
const STATEMENT_BYTES = 512;
const NAME_BYTES = 128;

interface Entry {
  readonly space: Space;
  readonly key: string;
  readonly text: StatementText;
  readonly bytes: number;
  /** The grammar was not there when the text came: it is read again when it comes again. */
  readonly provisional: boolean;
  newer: Entry | null;
  older: Entry | null;
}

/** Texts that are read by the same rules. */
interface Space {
  /** Null: facts cannot be had for such texts. */
  readonly decode: Decode | null;
  readonly standardStrings: boolean;
  readonly entries: Map<string, Entry>;
}

class Cache implements StatementCache {
  readonly #options: StatementCacheOptions;
  readonly #standardSpaces = new Map<string, Space>();
  readonly #otherSpaces = new Map<string, Space>();
  readonly #lexed = createLexed();
  readonly #decodedLexed = createLexed();
  #newest: Entry | null = null;
  #oldest: Entry | null = null;
  #texts = 0;
  #bytes = 0;
  #lastId = 0;

  constructor(options: StatementCacheOptions) {
    this.#options = options;
  }

  get texts(): number {
    return this.#texts;
  }

  get bytes(): number {
    return this.#bytes;
  }

  statementsOf(sql: Buffer, start: number, end: number, encoding: string, standardStrings: boolean): StatementText {
    const space = this.#spaceOf(encoding, standardStrings);
    // Byte for byte, whatever the encoding.
    const key = sql.latin1Slice(start, end);
    const known = space.entries.get(key);
    if (known !== undefined) {
      if (!known.provisional || this.#options.parser?.ready !== true) {
        if (known !== this.#newest) this.#touch(known);
        return known.text;
      }
      this.#forget(known);
    }
    const ready = this.#options.parser?.ready !== false;
    const text = this.#read(space, Buffer.from(sql.subarray(start, end)));
    this.#add(space, key, text, text.unparsed && !ready);
    return text;
  }

  #spaceOf(encoding: string, standardStrings: boolean): Space {
    const spaces = standardStrings ? this.#standardSpaces : this.#otherSpaces;
    const known = spaces.get(encoding);
    if (known !== undefined) return known;
    const space: Space = { decode: decoderOf(encoding), standardStrings, entries: new Map() };
    spaces.set(encoding, space);
    return space;
  }

  /** `bytes` is the cache's own. */
  #read(space: Space, bytes: Buffer): StatementText {
    const lexed = this.#lexed;
    lex(bytes, 0, bytes.length, space.standardStrings, lexed);
    if (lexed.count === 0) return { statements: [], unparsed: false };
    const { parser } = this.#options;
    if (parser === null) {
      return { statements: lexed.overflow ? [this.#statement(bytes, null)] : this.#split(bytes, lexed, null), unparsed: false };
    }
    const facts = this.#factsOf(parser, space, bytes, lexed);
    if (facts === null) return { statements: [this.#statement(bytes, null)], unparsed: true };
    if (facts.length === lexed.count) return { statements: this.#split(bytes, lexed, facts), unparsed: false };
    // The grammar refuses the text as a whole, and so does the server.
    return { statements: [this.#statement(bytes, facts[0] ?? null)], unparsed: false };
  }

  /**
   * Facts of each statement that the lexer saw, or of the text as a whole when the grammar refuses it; null when they
   * cannot be had, or grammar and lexer do not see the same statements.
   */
  #factsOf(parser: StatementParser, space: Space, bytes: Buffer, lexed: Lexed): readonly StatementFacts[] | null {
    if (!space.standardStrings || space.decode === null || lexed.overflow) return null;
    const text = space.decode(bytes);
    if (text === null) return null;
    const utf8 = Buffer.from(text);
    const decoded = this.#decodedLexed;
    lex(utf8, 0, utf8.length, true, decoded);
    if (!isSameSplit(lexed, decoded)) return null;
    const textOf = (from: number, to: number): string => utf8.toString("utf8", decoded.starts[from], decoded.ends[to]);

    const whole = parser.parse(textOf(0, decoded.count - 1));
    if (whole === null || isRefused(whole)) return whole;
    if (whole.length !== decoded.count) return null;
    if (whole.length === 1) return whole;
    // One by one, so that places in facts and parse trees are those in the statement's own text.
    const facts: StatementFacts[] = [];
    const offset = decoded.starts[0] as number;
    for (let n = 0; n < whole.length; n++) {
      const around = whole[n] as StatementFacts;
      const start = (decoded.starts[n] as number) - offset;
      const length = (decoded.ends[n] as number) - (decoded.starts[n] as number);
      if (start < around.start || start + length > around.start + around.length) return null;
      const own = parser.parse(textOf(n, n));
      const [statement] = own ?? [];
      if (own?.length !== 1 || statement === undefined || statement.kind !== around.kind || statement.facts !== around.facts) return null;
      facts.push(statement);
    }
    return facts;
  }

  #split(bytes: Buffer, lexed: Lexed, facts: readonly StatementFacts[] | null): readonly Statement[] {
    const statements: Statement[] = [];
    for (let n = 0; n < lexed.count; n++) {
      statements.push(this.#statement(bytes.subarray(lexed.starts[n], lexed.ends[n]), facts?.[n] ?? null));
    }
    return statements;
  }

  #statement(sql: Buffer, facts: StatementFacts | null): Statement {
    return { id: ++this.#lastId, sql, facts, encoded: null, learnedBy: 0 };
  }

  #add(space: Space, key: string, text: StatementText, provisional: boolean): void {
    // The key, the bytes, the string that facts are made from.
    let bytes = ENTRY_BYTES + 3 * key.length;
    for (const { facts } of text.statements)
      bytes += STATEMENT_BYTES + NAME_BYTES * ((facts?.tables.length ?? 0) + (facts?.functions.length ?? 0));
    const entry: Entry = { space, key, text, bytes, provisional, newer: null, older: null };
    space.entries.set(key, entry);
    this.#texts++;
    this.#bytes += bytes;
    this.#link(entry);
    const { maxTexts, maxBytes } = this.#options;
    while (this.#oldest !== null && this.#oldest !== entry && (this.#texts > maxTexts || this.#bytes > maxBytes))
      this.#forget(this.#oldest);
  }

  #forget(entry: Entry): void {
    this.#unlink(entry);
    entry.space.entries.delete(entry.key);
    this.#texts--;
    this.#bytes -= entry.bytes;
    for (const statement of entry.text.statements) this.#options.onForget(statement);
  }

  #touch(entry: Entry): void {
    this.#unlink(entry);
    this.#link(entry);
  }

  #link(entry: Entry): void {
    entry.older = this.#newest;
    entry.newer = null;
    if (this.#newest !== null) this.#newest.newer = entry;
    this.#newest = entry;
    this.#oldest ??= entry;
  }

  #unlink(entry: Entry): void {
    if (entry.newer !== null) entry.newer.older = entry.older;
    else this.#newest = entry.older;
    if (entry.older !== null) entry.older.newer = entry.newer;
    else this.#oldest = entry.newer;
    entry.newer = null;
    entry.older = null;
  }
}

function isRefused(facts: readonly StatementFacts[]): boolean {
  return facts.length === 1 && facts[0]?.parseError !== null;
}

/** Whether a text has the same statements in the client's encoding and in UTF-8. */
function isSameSplit(a: Lexed, b: Lexed): boolean {
  if (a.count !== b.count || a.unterminated !== b.unterminated) return false;
  for (let n = 0; n < a.count; n++) if (a.commands[n] !== b.commands[n]) return false;
  return true;
}
