// Statements that are answered without a server: transaction control while no server has the transaction, DISCARD ALL and
// DEALLOCATE, which concern what the pooler keeps for the client.
import { PoolerError } from "../base/errors.js";
import { writeCommandComplete, writeError } from "../protocol/backend.js";
import { TransactionStatus } from "../protocol/codes.js";
import type { MessageWriter } from "../protocol/message-writer.js";
import { Command } from "../sql/lexer.js";
import { parseDeallocate, parseDiscard } from "../sql/session-statements.js";
import { parseEnd } from "../sql/transaction-statements.js";
import { canHold, HeldTransaction, joinsHeld } from "./held-transaction.js";
import type { Session } from "./session.js";

/** Where a text ends up after some of its statements: simulated before anything is done. */
export type HoldState = "none" | "held" | "server";

export function holdState(session: Session): HoldState {
  if (session.held !== null) return "held";
  return session.server !== null ? "server" : "none";
}

/** The state after the statement when it can be answered here, else null. `text` byte for byte. */
export function answeredLocally(session: Session, state: HoldState, command: number, text: () => string): HoldState | null {
  if (!session.transactionMode || session.pinned) return null;
  if (command === Command.DEALLOCATE) {
    if (state === "server" && session.server?.status === TransactionStatus.FAILED) return null;
    return parseDeallocate(text()) === null ? null : state;
  }
  switch (state) {
    case "server":
      return null;
    case "held":
      if (!joinsHeld(command)) return null;
      return command === Command.COMMIT || (command === Command.ROLLBACK && !parseEnd(text())?.chain) ? "none" : "held";
    case "none":
      if (command === Command.BEGIN) return session.holdsTransactions && canHold(text()) ? "held" : null;
      if (command === Command.COMMIT || command === Command.ROLLBACK) return parseEnd(text())?.chain === false ? "none" : null;
      return command === Command.DISCARD && parseDiscard(text()) === "all" ? "none" : null;
  }
}

/** Do it and write its CommandComplete, with the warning before it when there is one. Throws what the client is refused with. */
export function runLocally(session: Session, command: number, text: string, to: MessageWriter): void {
  switch (command) {
    case Command.DEALLOCATE: {
      const name = parseDeallocate(text)?.name ?? null;
      if (name === null) session.statements.clear();
      else if (!session.statements.delete(name)) throw new PoolerError("STATEMENT_MISSING", `prepared statement "${name}" does not exist`);
      writeCommandComplete(to, name === null ? "DEALLOCATE ALL" : "DEALLOCATE");
      return;
    }
    case Command.DISCARD:
      session.discardAll();
      writeCommandComplete(to, "DISCARD ALL");
      return;
  }
  const { held } = session;
  if (held === null) {
    if (command === Command.BEGIN) {
      session.held = new HeldTransaction(text);
      writeCommandComplete(to, text.slice(0, 5).toUpperCase() === "START" ? "START TRANSACTION" : "BEGIN");
      return;
    }
    writeError(to, { severity: "WARNING", sqlstate: "25P01", message: "there is no transaction in progress" });
    writeCommandComplete(to, command === Command.COMMIT ? "COMMIT" : "ROLLBACK");
    return;
  }
  const { answer, over } = held.run(command, text);
  if (answer.warning !== null) writeError(to, { severity: "WARNING", ...answer.warning });
  writeCommandComplete(to, answer.tag);
  if (over) session.held = null;
}
