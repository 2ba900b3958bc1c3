// A statement as router and plugins know it: its bytes, what the lexer saw, and its facts when somebody wants them.
import type { StatementFacts } from "./types.js";

/** One statement of one text; lives in the statement cache until it is forgotten. */
export interface Statement {
  /** Stable per text within a worker: small integers from 1, never used again. */
  readonly id: number;
  /** The statement alone, without what stands around it, in the client's encoding. */
  readonly sql: Buffer;
  /** Null when nobody asked for facts. */
  readonly facts: StatementFacts | null;
  /** Block of the input frame, encoded on first use by the plugin chain and kept here. */
  encoded: unknown;
  /** Bit n: plugin n of the chain has learned it. */
  learnedBy: number;
}

/** What a whole query string or Parse text holds. */
export interface StatementText {
  readonly statements: readonly Statement[];
  /** True when facts were asked for but cannot be had: `statements` is then the whole text as one, without facts. */
  readonly unparsed: boolean;
}
