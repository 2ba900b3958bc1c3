// What is known of a statement's text. `Lexed` comes from a scan of the bytes (hot, no allocation), `StatementFacts` from
// PostgreSQL's own grammar (cached by text, only when a plugin asks for facts). Values of kind, facts and use are those
// of pooler_plugin.h.

export interface TableUse {
  readonly catalog: string | null;
  readonly schema: string | null;
  readonly name: string;
  /** POOLER_TABLE_* bits. */
  readonly use: number;
}

export interface FunctionUse {
  readonly schema: string | null;
  readonly name: string;
}

export interface StatementFacts {
  /** POOLER_STATEMENT_*. */
  readonly kind: number;
  /** POOLER_FACT_* bits. */
  readonly facts: number;
  /** PostgreSQL major of the grammar; 0 when not parsed. */
  readonly grammar: number;
  readonly tables: readonly TableUse[];
  readonly functions: readonly FunctionUse[];
  /** Start and length of the statement in the text it was parsed from, UTF-8 bytes. */
  readonly start: number;
  readonly length: number;
  readonly parseError: string | null;
  /**
   * libpg_query's JSON of this statement alone, {"version":…,"stmts":[…]}, with locations in its own text. Made at each
   * call; empty when it cannot be had (any more).
   */
  parseTree(): string;
  /** libpg_query's fingerprint as 16 hex digits, for statistics only. Made when first asked for. */
  fingerprint(): string;
}

export interface StatementParser {
  /**
   * Facts of every statement of a text, in order; one element with POOLER_FACT_SYNTAX_ERROR when the grammar refuses the
   * text; null when it is too long or nested too deep, or the grammar is not available just now.
   */
  parse(sql: string): readonly StatementFacts[] | null;
  /** False for the moment in which a broken grammar is replaced: parse() then gives null for texts that it may know later. */
  readonly ready: boolean;
  readonly grammar: number;
}
