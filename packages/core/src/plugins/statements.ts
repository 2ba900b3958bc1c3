// How the chain gets a statement for the text that a rewrite made. Implemented by the statement cache.
import type { StatementText } from "../sql/statement.js";

export interface StatementSource {
  /** `encoding` is the client's encoding by PostgreSQL's name; `standardStrings`: standard_conforming_strings. */
  statementsOf(sql: Buffer, start: number, end: number, encoding: string, standardStrings: boolean): StatementText;
}
