// Statements that are answered without a server: transaction control while no server has the transaction, DISCARD ALL and
// DEALLOCATE, which concern what the pooler keeps for the client.
import { PoolerError } from "../base/errors.js";
import { writeCommandComplete, writeError } from "../protocol/backend.js";
import { TransactionStatus } from "../protocol/codes.js";
import type { MessageWriter } from "../protocol/message-writer.js";
import { Command } from "../sql/lexer.js";
import { parseDeallocate, parseDiscard } from "../sql/session-statements.js";
import { parseEnd, parseRelease, parseRollbackTo, parseSavepoint } from "../sql/transaction-statements.js";
import { beginTag, canHold, endsFailure, HeldTransaction, joinsHeld } from "./held-transaction.js";
import type { Session } from "./session.js";

/** Where a text ends up after some of its statements: simulated before anything is done. */
export type HoldState = "none" | "held" | "heldSettings" | "failed" | "server";

export function holdState(session: Session): HoldState {
  const { held } = session;
  if (held === null) return session.server !== null ? "server" : "none";
  if (held.failed) return "failed";
  return held.keepsSettings ? "heldSettings" : "held";
}

/** The state after the statement when it can be answered here, else null. `text` byte for byte. */
export function answeredLocally(session: Session, state: HoldState, command: number, text: () => string): HoldState | null {
  if (!session.transactionMode) return null;
  if (command === Command.DEALLOCATE) {
    if (state === "failed" || (state === "server" && session.server?.status === TransactionStatus.FAILED)) return null;
    const name = parseDeallocate(text())?.name;
    // The server that is pinned may have statements that were prepared in SQL.
    if (session.pinned && (name === null || (name !== undefined && session.statements?.has(name) !== true))) return null;
    return name === undefined ? null : state;
  }
  if (session.pinned) return null;
  switch (state) {
    case "server":
      return null;
    case "held":
    case "heldSettings":
      return joinsHeld(command) ? afterHeld(state, command, text()) : null;
    case "failed":
      return endsFailure(command) ? afterHeld("held", command, text()) : null;
    case "none":
      if (command === Command.BEGIN) return session.holdsTransactions && canHold(text()) ? "held" : null;
      if (command === Command.COMMIT || command === Command.ROLLBACK) return parseEnd(text())?.chain === false ? "none" : null;
      return command === Command.DISCARD && parseDiscard(text()) === "all" ? "none" : null;
  }
}

/** What is not understood, and what only a server can judge, is for the server. */
function afterHeld(state: "held" | "heldSettings", command: number, text: string): HoldState | null {
  switch (command) {
    case Command.BEGIN:
      return canHold(text) ? state : null;
    case Command.SET:
    case Command.RESET:
      return "heldSettings";
    case Command.SAVEPOINT:
      return parseSavepoint(text) === null ? null : state;
    case Command.RELEASE:
      return parseRelease(text) === null ? null : state;
    case Command.ROLLBACK_TO:
      return parseRollbackTo(text) === null ? null : state;
    case Command.COMMIT:
    case Command.ROLLBACK: {
      const end = parseEnd(text);
      if (end === null || (command === Command.COMMIT && state === "heldSettings")) return null;
      return end.chain ? "held" : "none";
    }
    case Command.PREPARE_TRANSACTION: // of one that has failed: a ROLLBACK
      return "none";
    default:
      return state;
  }
}

/** DEALLOCATE beside statements that need a server: what it names is kept here, and the server knows nothing of it. */
export function refuseDeallocate(session: Session, command: number, text: () => string): void {
  if (command !== Command.DEALLOCATE || !session.transactionMode || session.pinned) return;
  if (session.server?.status === TransactionStatus.FAILED || parseDeallocate(text()) === null) return; // refused there
  throw new PoolerError("NOT_SUPPORTED", "DEALLOCATE together with other statements cannot be used in transaction pooling", {
    hint: "Send it by itself.",
  });
}

/** Do it and write its CommandComplete, with the warning before it when there is one. Throws what the client is refused with. */
export function runLocally(session: Session, command: number, text: string, to: MessageWriter): void {
  switch (command) {
    case Command.DEALLOCATE: {
      const name = parseDeallocate(text)?.name ?? null;
      if (name === null) session.statements = null;
      else if (session.statements?.delete(name) !== true)
        throw new PoolerError("STATEMENT_MISSING", `prepared statement "${name}" does not exist`);
      writeCommandComplete(to, name === null ? "DEALLOCATE ALL" : "DEALLOCATE");
      return;
    }
    case Command.DISCARD:
      writeCommandComplete(to, "DISCARD ALL");
      session.discardAll(to);
      return;
  }
  const { held } = session;
  if (held === null) {
    if (command === Command.BEGIN) {
      session.held = new HeldTransaction(text);
      writeCommandComplete(to, beginTag(text));
      return;
    }
    writeError(to, { severity: "WARNING", sqlstate: "25P01", message: "there is no transaction in progress" });
    writeCommandComplete(to, command === Command.COMMIT ? "COMMIT" : "ROLLBACK");
    return;
  }
  const untold = command === Command.ROLLBACK ? null : held.takeUntold();
  if (untold !== null) {
    if (command !== Command.ROLLBACK_TO) session.held = null; // what it should have committed is lost: that is its answer
    throw untold;
  }
  const { answer, over } = held.run(command, text);
  if (answer.warning !== null) writeError(to, { severity: "WARNING", ...answer.warning });
  writeCommandComplete(to, answer.tag);
  if (over) session.held = null;
}
