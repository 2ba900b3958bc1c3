// How planning and the chain get statements for texts. Implemented by the statement cache.
import type { LiftedStatement, StatementText } from "../sql/statement.js";

export interface StatementSource {
  /** `encoding` is the client's encoding by PostgreSQL's name; `standardStrings`: standard_conforming_strings. */
  /** Statements of exactly this text. */
  statementsOf(sql: Buffer, start: number, end: number, encoding: string, standardStrings: boolean): StatementText;
  /**
   * The statement [start, end), with nothing around it, by its shape; standard_conforming_strings is on. Null: it has to be
   * looked at as it stands.
   */
  lift(sql: Buffer, start: number, end: number, encoding: string): LiftedStatement | null;
}
