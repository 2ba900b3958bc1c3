// How planning and the chain get statements for texts. Implemented by the statement cache.
import type { LiftedStatement, StatementText } from "../sql/statement.js";

export interface StatementSource {
  /** Statements of exactly this text. `encoding`: the client's, by PostgreSQL's name; `standardStrings`: standard_conforming_strings. */
  statementsOf(sql: Buffer, start: number, end: number, encoding: string, standardStrings: boolean): StatementText;
  /** Would statementsOf() give this one again for its text, read like this? Counts as a use of it. */
  keeps(text: StatementText, encoding: string, standardStrings: boolean): boolean;
  /**
   * The statement [start, end), with nothing around it, by its shape; standard_conforming_strings is on. Null: it has to be
   * looked at as it stands.
   */
  lift(sql: Buffer, start: number, end: number, encoding: string): LiftedStatement | null;
}
