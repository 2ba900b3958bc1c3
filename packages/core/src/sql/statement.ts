// A statement as router and plugins know it: its bytes, what the lexer saw, and its facts when somebody wants them.
import type { ParameterView } from "../plugins/types.js";
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
  /** Bit n: ... and does not want to be asked about it. */
  notMineOf: number;
  /** `sql` is one text of many that differ in literals, blanks and comments: what a client sent comes with each use. */
  readonly shared: boolean;
}

/** A statement whose literals are its parameters. The view is valid until the next one is lifted. */
export interface LiftedStatement {
  readonly statement: Statement;
  readonly literals: ParameterView;
  /** The client's text: buffer[start, end). */
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/** What a whole query string or Parse text holds. */
export interface StatementText {
  readonly statements: readonly Statement[];
  /** True when facts were asked for but cannot be had: `statements` is then the whole text as one, without facts. */
  readonly unparsed: boolean;
}
