// Facts of statements from PostgreSQL's own grammar. Not hot: the statement cache asks once per text. Never throws for a text,
// whatever is in it.
import { constants } from "@pooler/plugin-abi";
import { type Grammar, GrammarBroken, grammarMajor, loadGrammar } from "./grammar.js";
import { isTooDeep } from "./nesting.js";
import { describeStatement, type Json, type StatementDescription } from "./statement-facts.js";
import type { StatementFacts, StatementParser } from "./types.js";

export { grammarMajor } from "./grammar.js";

/** Parsing takes some 80 ms a megabyte, in which the worker does nothing else. */
const LARGEST_TEXT_BYTES = 1 << 20;

export interface StatementParserOptions {
  /** Larger texts are not parsed. */
  readonly maxTextBytes?: number;
  /** Where instances of the grammar come from: loadGrammar() when left out. */
  readonly load?: () => Promise<Grammar>;
}

/** Loads the grammar: 12 ms, and some 100 MB of memory once it is used. */
export async function createStatementParser(options: StatementParserOptions = {}): Promise<StatementParser> {
  const load = options.load ?? loadGrammar;
  return new Parser(await load(), load, options.maxTextBytes ?? LARGEST_TEXT_BYTES);
}

interface ParseTree {
  readonly stmts?: readonly { readonly stmt?: Json; readonly stmt_location?: number; readonly stmt_len?: number }[];
}

class Parser implements StatementParser {
  readonly grammar = grammarMajor;
  readonly #load: () => Promise<Grammar>;
  readonly #maxTextBytes: number;
  /** Null while a new instance is loaded in the place of a broken one. */
  #grammar: Grammar | null;

  constructor(grammar: Grammar, load: () => Promise<Grammar>, maxTextBytes: number) {
    this.#grammar = grammar;
    this.#load = load;
    this.#maxTextBytes = maxTextBytes;
  }

  get ready(): boolean {
    return this.#grammar !== null;
  }

  parse(sql: string): readonly StatementFacts[] | null {
    const bytes = Buffer.from(sql);
    const outcome =
      bytes.length > this.#maxTextBytes || isTooDeep(bytes, 0, bytes.length) ? null : this.#run((grammar) => grammar.parse(sql));
    if (outcome === null) return null;
    if ("error" in outcome) return [refused(outcome.error, bytes.length)];
    try {
      const { stmts = [] } = JSON.parse(outcome.tree) as ParseTree;
      return stmts.map((raw) => {
        const start = raw.stmt_location ?? 0;
        // 0 means up to the end.
        const length = raw.stmt_len ? raw.stmt_len : bytes.length - start;
        const text = stmts.length === 1 ? sql : bytes.toString("utf8", start, start + length);
        return new Facts(this, describeStatement(raw.stmt), text, start, length);
      });
    } catch (error) {
      // The reader recurses as well, though on less stack than the grammar.
      if (error instanceof RangeError) return null;
      throw error;
    }
  }

  treeOf(text: string): string {
    const outcome = this.#run((grammar) => grammar.parse(text));
    return outcome !== null && "tree" in outcome ? outcome.tree : "";
  }

  fingerprintOf(text: string): string {
    return this.#run((grammar) => grammar.fingerprint(text)) ?? NO_FINGERPRINT;
  }

  #run<T>(call: (grammar: Grammar) => T): T | null {
    if (this.#grammar === null) return null;
    try {
      return call(this.#grammar);
    } catch (error) {
      if (!(error instanceof GrammarBroken)) throw error;
      this.#grammar = null;
      void this.#replace();
      return null;
    }
  }

  async #replace(): Promise<void> {
    try {
      this.#grammar = await this.#load();
    } catch {
      // Out of memory, most likely: without facts inspecting plugins refuse and others go by their defaults. The next try
      // is at the next start of the worker.
    }
  }
}

const NO_FINGERPRINT = "0000000000000000";

class Facts implements StatementFacts {
  readonly kind: number;
  readonly facts: number;
  readonly grammar = grammarMajor;
  readonly tables: StatementFacts["tables"];
  readonly functions: StatementFacts["functions"];
  readonly parseError = null;
  readonly start: number;
  readonly length: number;
  readonly #parser: Parser;
  readonly #text: string;
  #fingerprint: string | null = null;

  constructor(parser: Parser, description: StatementDescription, text: string, start: number, length: number) {
    this.kind = description.kind;
    this.facts = description.facts;
    this.tables = description.tables;
    this.functions = description.functions;
    this.start = start;
    this.length = length;
    this.#parser = parser;
    this.#text = text;
  }

  /** Parsed again: a tree takes fifty times the memory of its text and is wanted once. */
  parseTree(): string {
    return this.#parser.treeOf(this.#text);
  }

  fingerprint(): string {
    this.#fingerprint ??= this.#parser.fingerprintOf(this.#text);
    return this.#fingerprint;
  }
}

function refused(error: string, length: number): StatementFacts {
  return {
    kind: constants.POOLER_STATEMENT_OTHER,
    facts: constants.POOLER_FACT_SYNTAX_ERROR,
    grammar: 0,
    tables: [],
    functions: [],
    start: 0,
    length,
    parseError: error,
    parseTree: () => "",
    fingerprint: () => NO_FINGERPRINT,
  };
}
