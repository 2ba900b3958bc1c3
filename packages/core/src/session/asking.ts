// Shows a session's statements to the plugin chain and turns what it says into something to act on.
import { PoolerError } from "../base/errors.js";
import type { ChainAnswers } from "../plugins/chain-answers.js";
import type { ChainDecision, ChainSession, ParameterView } from "../plugins/types.js";
import type { Database } from "../pool/database.js";
import { TransactionStatus } from "../protocol/codes.js";
import type { AskContext, Router } from "../router/router.js";
import { copyRefusal } from "../server/row-front.js";
import { Command } from "../sql/lexer.js";
import type { LiftedStatement, Statement } from "../sql/statement.js";
import { type Batch, NEVER_WROTE } from "./batch.js";
import type { SessionContext } from "./context.js";
import { QuestionPending } from "./plugin-wait.js";
import type { Session } from "./session.js";

/** Statements that say nothing about where they belong are shown to plugins that want every one, never to decide a route. */
export function isRoutable(command: number): boolean {
  switch (command) {
    case Command.BEGIN:
    case Command.COMMIT:
    case Command.ROLLBACK:
    case Command.SAVEPOINT:
    case Command.RELEASE:
    case Command.ROLLBACK_TO:
    case Command.SET:
    case Command.SET_LOCAL:
    case Command.SET_TRANSACTION:
    case Command.SET_CHARACTERISTICS:
    case Command.SET_CONSTRAINTS:
    case Command.RESET:
    case Command.DISCARD:
    case Command.DEALLOCATE:
    case Command.UNLISTEN:
    case Command.EMPTY:
      return false;
    default:
      return true;
  }
}

/** `unsplit`: several statements are shown as one, since nobody can tell them apart. */
export function askContext(session: Session, extended: boolean, several: boolean, unsplit = false): AskContext {
  const { held, server } = session;
  const inServer = server !== null && server.status !== TransactionStatus.IDLE;
  return {
    session: session.chainSession,
    cluster: session.database.view,
    extended,
    inTransaction: held !== null || inServer,
    readOnly: held !== null ? held.readOnly === true : inServer && session.transactionReadOnly,
    current: server !== null ? session.route : null,
    severalStatements: several,
    unsplit,
    standardStrings: session.standardStrings,
    msSinceWrite: session.msSinceWrite(),
  };
}

/** Ask about one statement and take a route into the batch's draft. Throws when the statement is refused, and QuestionPending. */
export function ask(
  router: Router,
  session: Session,
  batch: Batch,
  context: AskContext,
  statement: Statement,
  command: number,
  parameters: ParameterView | null,
  prepareOnly: boolean,
  lifted: LiftedStatement | null = null,
): ChainDecision | null {
  const routable = isRoutable(command);
  if (!router.chain.wantsEveryStatement && (!routable || (context.current !== null && !prepareOnly))) return null;
  const decision = router.ask(context, statement, parameters, routable, prepareOnly, lifted, batch.answers);
  if (decision.pending !== null) throw new QuestionPending(decision.pending);
  if (decision.outcome === "error") throw refusal(decision);
  if (decision.outcome === "route" && context.current === null && routable && !prepareOnly) {
    const error = router.merge(batch.draft, decision, decision.rewritten ?? statement, context.unsplit);
    if (error !== null) throw error;
  }
  if (decision.rows !== null) checkRows(decision, command, lifted === null ? statement.sql : null);
  session.asked++;
  return decision;
}

/** Rows that a plugin wants to see must not come by another way. */
function checkRows(decision: ChainDecision, command: number, sql: Buffer | null): void {
  const plugin = decision.rows?.readers[0]?.caller.name ?? "";
  if (command === Command.COPY && sql !== null && !/^\s*copy\s+[^()]*\sfrom\s/i.test(sql.latin1Slice())) throw copyRefusal(plugin);
  if (decision.intercept !== null)
    throw new PoolerError("NOT_SUPPORTED", `plugin "${decision.plugin}" answers a statement whose rows plugin "${plugin}" must see`, {
      hint: "One of the two has to leave the statement to the other.",
    });
}

/**
 * Settings of a startup packet are settings like those of any statement: plugins that inspect are shown the statements that will
 * make them. Throws when one is refused, and QuestionPending: then it is to be called again with the same `answers`.
 */
export function askAboutStartup(
  context: SessionContext,
  session: ChainSession,
  database: Database,
  statements: readonly string[],
  answers: ChainAnswers | null,
): void {
  const { router, statements: source } = context;
  if (router === null || source === null || !router.chain.inspects) return;
  const asking: AskContext = {
    session,
    cluster: database.view,
    extended: false,
    inTransaction: false,
    readOnly: false,
    current: null,
    severalStatements: false,
    unsplit: false,
    standardStrings: true,
    msSinceWrite: NEVER_WROTE,
  };
  answers?.rewind();
  for (const text of statements) {
    const sql = Buffer.from(text);
    for (const statement of source.statementsOf(sql, 0, sql.length, "UTF8", true).statements) {
      const decision = router.ask(asking, statement, null, false, true, null, answers);
      if (decision.pending !== null) throw new QuestionPending(decision.pending);
      if (decision.outcome === "error") throw refusal(decision);
    }
  }
}

function refusal(decision: ChainDecision): PoolerError {
  const { error, plugin } = decision;
  if (error === null) return new PoolerError("PLUGIN_FAILED", `plugin "${plugin}" failed: it answered an error without saying which`);
  return new PoolerError(error.failed ? (error.code ?? "PLUGIN_FAILED") : "PLUGIN_REFUSED", error.message, {
    sqlstate: error.sqlstate,
    ...(error.detail === null ? {} : { detail: error.detail }),
    ...(error.hint === null ? {} : { hint: error.hint }),
  });
}
