// Extended messages that need no server: transaction control while no server has the transaction, a lone Sync, Close of statements.
// Answers a whole batch of them, or its beginning. Knows nothing of routes.
import { writeEmpty, writeParameterDescription } from "../protocol/backend.js";
import { Backend, Frontend, HEADER_BYTES, TransactionStatus } from "../protocol/codes.js";
import type { GlobalStatement } from "../server/global-statement.js";
import { Command } from "../sql/lexer.js";
import type { Batch, Op } from "./batch.js";
import type { StatementInfo } from "./client-statements.js";
import { reportAnswered } from "./ending.js";
import { joinsHeld } from "./held-transaction.js";
import { answeredLocally, type HoldState, holdState, runLocally } from "./local-statements.js";
import type { Session } from "./session.js";

/** The statement that is meant, as plugins made it; null: nobody here knows it. */
export function infoOf(op: Op): StatementInfo | null {
  return op.rewritten ?? op.statement?.info ?? null;
}

/** Nothing in the batch needs a server: transaction control that is held, a lone Sync, Close of statements. */
export function runsLocally(session: Session, batch: Batch): boolean {
  if (!session.transactionMode || session.batchOpen || batch.refusal !== null || !areLocal(session, batch, batch.opCount)) return false;
  writeLocalReplies(session, batch, batch.opCount);
  return true;
}

/**
 * Transaction control, and behind it statements that are only prepared, as drivers do that ask for types before they bind: the first is
 * answered here and leaves the batch, so that the transaction begins where its first statement belongs and not where that was described.
 */
export function beginsLocally(session: Session, batch: Batch): void {
  const { ops } = batch;
  let count = batch.opCount;
  let prepares = false;
  for (; count > 0; count--) {
    const op = ops[count - 1] as Op;
    if (op.type === Frontend.EXECUTE) break;
    if (op.type === Frontend.SYNC || op.type === Frontend.FLUSH) continue;
    if (op.type === Frontend.BIND || op.statement === null) return; // a portal's
    prepares = true;
  }
  if (!prepares || count === 0 || !session.holdsTransactions || session.batchOpen || batch.refusal !== null) return;
  for (let i = 0; i < count; i++) {
    const op = ops[i] as Op;
    // What forgets statements would forget those that are prepared behind it.
    if (op.type === Frontend.BIND && !joinsHeld(infoOf(op)?.command ?? Command.OTHER)) return;
  }
  if (!areLocal(session, batch, count)) return;
  writeLocalReplies(session, batch, count);
  if (batch.observed !== null) reportAnswered(session, batch);
  batch.dropOps(count);
}

/** Do the first `count` messages need no server? */
function areLocal(session: Session, batch: Batch, count: number): boolean {
  let state: HoldState = holdState(session);
  for (let i = 0; i < count; i++) {
    const op = batch.ops[i] as Op;
    const info = infoOf(op);
    if (op.local !== null && op.type !== Frontend.PARSE) return false; // a plugin answers it
    switch (op.type) {
      case Frontend.PARSE:
        if (op.local !== null) break;
        // A text that a server of this database has taken before needs no server to be prepared: its first use does.
        if (session.status !== TransactionStatus.FAILED && session.database.knownStatements.has(op.global as GlobalStatement)) break;
        if (info === null || !isLocal(session, state, info)) return false;
        break;
      case Frontend.DESCRIBE:
        // What is bound in this batch, so far, is local. A transaction that has failed describes what returns no rows.
        if (info === null ? boundTo(batch, op.portal, i) === null : !isLocal(session, state === "failed" ? "held" : state, info))
          return false;
        break;
      case Frontend.BIND: {
        const next = info === null ? null : localState(session, state, info);
        // A portal that is run in a later batch must be there, then; one that is run twice is the server's to refuse.
        if (next === null || !isRunOnce(batch, op.portal, i) || !isBare(session, batch, op)) return false;
        op.held = true;
        break;
      }
      case Frontend.EXECUTE: {
        const bound = boundTo(batch, op.portal, i);
        const run = bound === null ? null : infoOf(bound);
        const next = run === null ? null : localState(session, state, run);
        if (next === null) return false;
        state = next;
        break;
      }
      case Frontend.CLOSE:
        if (op.statement === null && op.portal !== "" && session.server !== null) return false;
        break;
    }
  }
  return true;
}

/** Does the statement, if it were run, need no server? Then preparing it does not either. */
function isLocal(session: Session, state: HoldState, info: StatementInfo): boolean {
  return localState(session, state, info) !== null;
}

function localState(session: Session, state: HoldState, info: StatementInfo): HoldState | null {
  return info.count === 1 ? answeredLocally(session, state, info.command, () => trimmed(info)) : null;
}

export function trimmed(info: StatementInfo): string {
  return info.global.sql.latin1Slice().replace(/;\s*$/, "").trim();
}

function isRunOnce(batch: Batch, portal: string, after: number): boolean {
  let count = 0;
  for (let i = after + 1; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.portal !== portal) continue;
    if (op.type === Frontend.BIND) break;
    if (op.type === Frontend.EXECUTE) count++;
  }
  return count === 1;
}

/** A Bind without parameters. */
function isBare(session: Session, batch: Batch, op: Op): boolean {
  if (op.parameters !== null) return op.parameters.values.length === 0;
  const { bind } = session.context;
  bind.readNames(batch.buffer, op.start + HEADER_BYTES, op.end);
  bind.readParameters(batch.buffer, op.end, []);
  return bind.count === 0;
}

function boundTo(batch: Batch, portal: string, before: number): Op | null {
  for (let i = before - 1; i >= 0; i--) {
    const op = batch.ops[i] as Op;
    if (op.type === Frontend.BIND && op.portal === portal) return op;
  }
  return null;
}

function writeLocalReplies(session: Session, batch: Batch, count: number): void {
  const to = session.context.reply;
  batch.answering = true;
  for (let i = 0; i < count; i++) {
    const op = batch.ops[i] as Op;
    switch (op.type) {
      case Frontend.PARSE:
        writeEmpty(to, Backend.PARSE_COMPLETE);
        op.changes = false; // it stands, whatever fails behind it
        break;
      case Frontend.BIND:
        writeEmpty(to, Backend.BIND_COMPLETE);
        break;
      case Frontend.DESCRIBE:
        if (op.statement !== null) writeParameterDescription(to, []);
        writeEmpty(to, Backend.NO_DATA);
        break;
      case Frontend.EXECUTE: {
        const info = infoOf(boundTo(batch, op.portal, i) as Op) as StatementInfo;
        runLocally(session, info.command, trimmed(info), to);
        break;
      }
      case Frontend.CLOSE:
        if (op.statement === null) session.localPortals?.delete(op.portal);
        writeEmpty(to, Backend.CLOSE_COMPLETE);
        op.changes = false;
        break;
    }
  }
}
