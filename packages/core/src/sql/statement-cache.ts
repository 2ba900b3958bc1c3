// Statements by text: each distinct text is split, and parsed when plugins read facts, once; the least recently used is
// forgotten first. A hit costs a look-up and no allocation but its key.
import "../base/node-buffer.js";
import type { StatementSource } from "../plugins/statements.js";
import { type Decode, decoderOf } from "./encodings.js";
import { createLexed, type Lexed, lex } from "./lexer.js";
import { liftTree, type Shape } from "./lifted-tree.js";
import { LiteralScan, mostLiterals } from "./literal-scan.js";
import type { LiftedStatement, Statement, StatementText } from "./statement.js";
import type { StatementFacts, StatementParser } from "./types.js";

export interface StatementCacheOptions {
  readonly maxTexts: number;
  /** Of texts and what is known of them, estimated. The text that came last is kept in any case. */
  readonly maxBytes: number;
  /** Null: nobody reads facts. */
  readonly parser: StatementParser | null;
  /** All who learn statements take literals as parameters: texts that differ in nothing else are one statement. */
  readonly liftsLiterals: boolean;
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
  /** Where it is found, under `key`. */
  readonly among: Map<string, Entry>;
  readonly key: string;
  readonly text: CachedText;
  readonly bytes: number;
  /** The grammar was not there when the text came: it is read again when it comes again. */
  readonly provisional: boolean;
  newer: Entry | null;
  older: Entry | null;
}

class CachedText implements StatementText {
  statements: readonly Statement[];
  readonly unparsed: boolean;
  readonly space: Space;
  /** Null: it has been forgotten. */
  entry: Entry | null = null;

  constructor(space: Space, statements: readonly Statement[], unparsed: boolean) {
    this.space = space;
    this.statements = statements;
    this.unparsed = unparsed;
  }
}

/** Texts that are read by the same rules. */
interface Space {
  readonly encoding: string;
  /** Null: facts cannot be had for such texts. */
  readonly decode: Decode | null;
  readonly standardStrings: boolean;
  readonly entries: Map<string, Entry>;
  /** Statements by their shape, and by the values of what is kept in it. */
  readonly lifted: Map<string, Entry>;
  /** Null: texts of this shape are looked at one by one. */
  readonly shapes: Map<string, Shape | null>;
}

/** What lift() gives, filled anew each time. */
class Lifted implements LiftedStatement {
  statement: Statement = nobody;
  readonly literals = {
    count: 0,
    buffer: Buffer.alloc(0) as Buffer,
    offsets: new Int32Array(mostLiterals),
    lengths: new Int32Array(mostLiterals),
    formats: new Int32Array(mostLiterals),
    typeOids: [] as number[],
  };
  buffer: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
}

const nobody: Statement = { id: 0, sql: Buffer.alloc(0), facts: null, encoded: null, learnedBy: 0, notMineOf: 0, shared: true };

class Cache implements StatementCache {
  readonly #options: StatementCacheOptions;
  readonly #standardSpaces = new Map<string, Space>();
  readonly #otherSpaces = new Map<string, Space>();
  readonly #lexed = createLexed();
  readonly #decodedLexed = createLexed();
  readonly #scan = new LiteralScan();
  readonly #lifted = new Lifted();
  /** The one that was asked for last: nearly always the next one, too. */
  #space: Space | null = null;
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
    this.#add(space.entries, key, text, text.unparsed && !ready);
    return text;
  }

  keeps(text: StatementText, encoding: string, standardStrings: boolean): boolean {
    const entry = text instanceof CachedText && text.space === this.#spaceOf(encoding, standardStrings) ? text.entry : null;
    if (entry === null || entry.provisional) return false;
    if (entry !== this.#newest) this.#touch(entry);
    return true;
  }

  lift(sql: Buffer, start: number, end: number, encoding: string): LiftedStatement | null {
    const { parser, liftsLiterals } = this.#options;
    if (!liftsLiterals || parser === null) return null;
    const scan = this.#scan;
    if (!scan.scan(sql, start, end, encoding === "UTF8") || scan.count === 0) return null;
    const space = this.#spaceOf(encoding, true);
    let shape = space.shapes.get(scan.key);
    let entry: Entry | undefined;
    if (shape === undefined) {
      if (!parser.ready) return null;
      shape = this.#learnShape(parser, space, sql, start, end);
    }
    if (shape === null) return null;
    const key = shape.lifted === scan.count ? scan.key : variantOf(scan, shape);
    entry = space.lifted.get(key);
    if (entry === undefined) {
      const statement = this.#liftedStatement(parser, space, Buffer.from(sql.subarray(start, end)));
      if (statement === null) return null;
      entry = this.#add(space.lifted, key, new CachedText(space, [statement], false), false);
    } else if (entry !== this.#newest) {
      this.#touch(entry);
    }
    const lifted = this.#lifted;
    const { literals } = lifted;
    lifted.statement = entry.text.statements[0] as Statement;
    literals.buffer = scan.gather(shape.kept, shape.negated, literals.offsets, literals.lengths, literals.typeOids);
    literals.count = shape.lifted;
    lifted.buffer = sql;
    lifted.start = start;
    lifted.end = end;
    return lifted;
  }

  /** Which of the literals that were scanned last are values like any other. */
  #learnShape(parser: StatementParser, space: Space, sql: Buffer, start: number, end: number): Shape | null {
    const { shapes } = space;
    if (shapes.size >= this.#options.maxTexts) shapes.clear();
    const text = space.decode?.(sql.subarray(start, end)) ?? null;
    const [facts, more] = text === null ? [] : (parser.parse(text) ?? []);
    let shape: Shape | null = null;
    if (facts !== undefined && more === undefined && facts.parseError === null) {
      const tree = facts.parseTree();
      if (tree !== "") shape = liftTree(tree, this.#scan);
    }
    if (shape?.lifted === 0) shape = null;
    shapes.set(this.#scan.key, shape === null ? null : { kept: shape.kept, negated: shape.negated, lifted: shape.lifted });
    return shape;
  }

  /** `bytes` is the cache's own. */
  #liftedStatement(parser: StatementParser, space: Space, bytes: Buffer): Statement | null {
    const text = space.decode?.(bytes) ?? null;
    const [facts] = text === null ? [] : (parser.parse(text) ?? []);
    if (facts === undefined || facts.parseError !== null) return null;
    const parseTree = (): string => {
      const scan = new LiteralScan();
      const tree = facts.parseTree();
      return tree !== "" && scan.scan(bytes, 0, bytes.length, true) ? liftTree(tree, scan).tree : "";
    };
    const { kind, facts: bits, grammar, tables, functions, start, length, parseError } = facts;
    const fingerprint = (): string => facts.fingerprint();
    return {
      id: ++this.#lastId,
      sql: bytes,
      facts: { kind, facts: bits, grammar, tables, functions, start, length, parseError, parseTree, fingerprint },
      encoded: null,
      learnedBy: 0,
      notMineOf: 0,
      shared: true,
    };
  }

  #spaceOf(encoding: string, standardStrings: boolean): Space {
    const last = this.#space;
    if (last !== null && last.encoding === encoding && last.standardStrings === standardStrings) return last;
    const spaces = standardStrings ? this.#standardSpaces : this.#otherSpaces;
    let space = spaces.get(encoding);
    if (space === undefined) {
      const decode = decoderOf(encoding);
      space = { encoding, decode, standardStrings, entries: new Map(), lifted: new Map(), shapes: new Map() };
      spaces.set(encoding, space);
    }
    this.#space = space;
    return space;
  }

  /** `bytes` is the cache's own. */
  #read(space: Space, bytes: Buffer): CachedText {
    const lexed = this.#lexed;
    lex(bytes, 0, bytes.length, space.standardStrings, lexed);
    if (lexed.count === 0) return new CachedText(space, [], false);
    const { parser } = this.#options;
    if (parser === null)
      return new CachedText(space, lexed.overflow ? [this.#statement(bytes, null)] : this.#split(bytes, lexed, null), false);
    const facts = this.#factsOf(parser, space, bytes, lexed);
    if (facts === null) return new CachedText(space, [this.#statement(bytes, null)], true);
    if (facts.length === lexed.count) return new CachedText(space, this.#split(bytes, lexed, facts), false);
    // The grammar refuses the text as a whole, and so does the server.
    return new CachedText(space, [this.#statement(bytes, facts[0] ?? null)], false);
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
    return { id: ++this.#lastId, sql, facts, encoded: null, learnedBy: 0, notMineOf: 0, shared: false };
  }

  #add(among: Map<string, Entry>, key: string, text: CachedText, provisional: boolean): Entry {
    // The key, the bytes, the string that facts are made from.
    let bytes = ENTRY_BYTES + 3 * key.length;
    for (const { facts } of text.statements)
      bytes += STATEMENT_BYTES + NAME_BYTES * ((facts?.tables.length ?? 0) + (facts?.functions.length ?? 0));
    const entry: Entry = { among, key, text, bytes, provisional, newer: null, older: null };
    text.entry = entry;
    among.set(key, entry);
    this.#texts++;
    this.#bytes += bytes;
    this.#link(entry);
    const { maxTexts, maxBytes } = this.#options;
    while (this.#oldest !== null && this.#oldest !== entry && (this.#texts > maxTexts || this.#bytes > maxBytes))
      this.#forget(this.#oldest);
    return entry;
  }

  #forget(entry: Entry): void {
    this.#unlink(entry);
    entry.among.delete(entry.key);
    this.#texts--;
    this.#bytes -= entry.bytes;
    const { text } = entry;
    for (const statement of text.statements) this.#options.onForget(statement);
    // Whoever still has it is to ask again, and keeps none of what was known of it.
    text.entry = null;
    text.statements = [];
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

/** The shape with the values of what is kept in it. */
function variantOf(scan: LiteralScan, shape: Shape): string {
  let key = scan.key;
  for (let n = 0; n < scan.count; n++) if (shape.kept[n] === true) key += `\0${scan.valueOf(n)}`;
  return key;
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
