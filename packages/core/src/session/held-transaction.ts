// A transaction that has begun for the client but for no server yet: nothing so far says where it belongs. Keeps what was
// said, to say it again in front of the first statement that does.
//
//   none ──BEGIN──▶ held ──COMMIT, ROLLBACK──▶ none
//                    │  └──a statement that routes──▶ none (a server has it now)
//                    └──refusal──▶ failed ──COMMIT, ROLLBACK──▶ none,  ROLLBACK TO──▶ held
import { PoolerError } from "../base/errors.js";
import { Frontend } from "../protocol/codes.js";
import type { MessageWriter } from "../protocol/message-writer.js";
import { Expect, Hide, type ReplyQueue } from "../server/reply-queue.js";
import { Command } from "../sql/lexer.js";
import { parseReset, parseSet } from "../sql/session-statements.js";
import { parseBegin, parseEnd, parseRelease, parseRollbackTo, parseSavepoint, parseSetTransaction } from "../sql/transaction-statements.js";
import { effectOfText, type SessionEffect } from "./session-effects.js";
import { changesReading } from "./settings.js";

interface HeldStatement {
  readonly command: number;
  /** Byte for byte (latin1). */
  readonly text: string;
  readonly savepoint: string | null;
  readonly effects: readonly SessionEffect[];
}

/** What a held statement is answered with. */
export interface HeldAnswer {
  readonly tag: string;
  readonly warning: { readonly sqlstate: string; readonly message: string } | null;
}

const answer = (tag: string, warning: HeldAnswer["warning"] = null): HeldAnswer => ({ tag, warning });

/** Commands that join a held transaction instead of ending the wait for a route. */
export function joinsHeld(command: number): boolean {
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
    case Command.RESET:
      return true;
    default:
      return false;
  }
}

/** What a transaction that has failed takes: PREPARE TRANSACTION rolls it back, as COMMIT does. */
export function endsFailure(command: number): boolean {
  return (
    command === Command.COMMIT || command === Command.ROLLBACK || command === Command.PREPARE_TRANSACTION || command === Command.ROLLBACK_TO
  );
}

export function beginTag(text: string): string {
  return text.slice(0, 5).toUpperCase() === "START" ? "START TRANSACTION" : "BEGIN";
}

/** May this BEGIN be answered without a server? Only what PostgreSQL is certain to take. */
export function canHold(text: string): boolean {
  return parseBegin(text).valid;
}

function transactionFailed(): PoolerError {
  return new PoolerError("IN_FAILED_TRANSACTION", "current transaction is aborted, commands ignored until end of transaction block");
}

function reportsSettings(command: number): boolean {
  return command === Command.SET || command === Command.SET_LOCAL || command === Command.RESET;
}

export class HeldTransaction {
  readonly statements: HeldStatement[] = [];
  failed = false;
  readOnly: boolean | null;
  /** A hot standby refuses it, so it is never sent to one. */
  serializable: boolean;

  /** Why it has failed, as long as the client has not been told. */
  #untold: PoolerError | null = null;

  constructor(begin: string) {
    const options = parseBegin(begin);
    this.readOnly = options.readOnly;
    this.serializable = options.isolation === "serializable";
    this.statements.push({ command: Command.BEGIN, text: begin, savepoint: null, effects: [] });
  }

  /**
   * What is left of a transaction whose server was lost: nothing but that it has failed, so that no statement which belongs to it
   * runs on its own. `untold`: the client has yet to hear of it.
   */
  static lost(untold: PoolerError | null): HeldTransaction {
    const transaction = new HeldTransaction("BEGIN");
    transaction.failed = true;
    transaction.#untold = untold;
    return transaction;
  }

  /** What a statement in a failed transaction is answered with. */
  failure(): PoolerError {
    return this.takeUntold() ?? transactionFailed();
  }

  takeUntold(): PoolerError | null {
    const untold = this.#untold;
    this.#untold = null;
    return untold;
  }

  /** "over": the transaction has ended. Throws what PostgreSQL would answer. */
  run(command: number, text: string): { readonly answer: HeldAnswer; readonly over: boolean } {
    if (this.failed && !endsFailure(command)) throw this.failure();
    switch (command) {
      case Command.BEGIN:
        return this.#join(
          command,
          text,
          answer(beginTag(text), { sqlstate: "25001", message: "there is already a transaction in progress" }),
          false,
        );
      case Command.COMMIT:
      case Command.ROLLBACK:
      case Command.PREPARE_TRANSACTION: {
        const tag = command === Command.COMMIT && !this.failed ? "COMMIT" : "ROLLBACK";
        if (parseEnd(text)?.chain) {
          this.beginAnew();
          return { answer: answer(tag), over: false };
        }
        return { answer: answer(tag), over: true };
      }
      case Command.SAVEPOINT:
        return this.#join(command, text, answer("SAVEPOINT"), true, parseSavepoint(text));
      case Command.ROLLBACK_TO: {
        this.#truncate(parseRollbackTo(text), true);
        this.failed = false;
        return { answer: answer("ROLLBACK"), over: false };
      }
      case Command.RELEASE:
        this.#truncate(parseRelease(text), false);
        return { answer: answer("RELEASE"), over: false };
      case Command.SET_TRANSACTION: {
        const modes = parseSetTransaction(text);
        if (modes !== null) {
          if (modes.readOnly !== null) this.readOnly = modes.readOnly;
          if (modes.isolation !== null) this.serializable = modes.isolation === "serializable";
        }
        return this.#join(command, text, answer("SET"), true);
      }
      default:
        return this.#join(command, text, answer(command === Command.RESET ? "RESET" : "SET"), true, null, effectOfText(command, text));
    }
  }

  /** The refusal of a statement makes the transaction fail, as an error does in PostgreSQL. */
  fail(): void {
    this.failed = true;
  }

  /** Nothing has happened in it but its BEGIN. */
  beginAnew(): void {
    this.statements.length = 1;
    this.failed = false;
  }

  /** Say everything again, each as a query of its own: PostgreSQL then stops at the first that it refuses. */
  replay(to: MessageWriter, replies: ReplyQueue): void {
    for (const { command, text } of this.statements) {
      to.begin(Frontend.QUERY).bytes(Buffer.from(text, "latin1")).byte(0).end();
      // A SET answers with ParameterStatus, which the client has not had yet.
      replies.push(Expect.QUERY, reportsSettings(command) ? Hide.ALL_BUT_SETTINGS : Hide.ALL);
    }
  }

  /** Statements that are parsed in it may come to mean something else. */
  get changesReading(): boolean {
    return this.statements.some(({ command, text }) => {
      if (!reportsSettings(command)) return false;
      const name = command === Command.RESET ? parseReset(text)?.name : parseSet(text)?.name;
      return name === null || name === undefined || changesReading(name);
    });
  }

  /** COMMIT would keep settings: only a server can say whether they are good. */
  get keepsSettings(): boolean {
    return this.statements.some(({ command }) => command === Command.SET || command === Command.RESET);
  }

  get effects(): SessionEffect[] {
    return this.statements.flatMap(({ effects, savepoint }) =>
      savepoint === null ? effects : [{ kind: "savepoint" as const, name: savepoint }],
    );
  }

  #join(
    command: number,
    text: string,
    given: HeldAnswer,
    kept: boolean,
    savepoint: string | null = null,
    effect: SessionEffect | null = null,
  ): { answer: HeldAnswer; over: boolean } {
    if (kept) this.statements.push({ command, text, savepoint, effects: effect === null ? [] : [effect] });
    return { answer: given, over: false };
  }

  #truncate(name: string | null, keepSavepoint: boolean): void {
    for (let i = this.statements.length - 1; i > 0; i--) {
      if (this.statements[i]?.savepoint !== name || name === null) continue;
      if (keepSavepoint) {
        this.statements.length = i + 1;
      } else {
        // The savepoint is forgotten with those inside it; what else came after it stays.
        const kept = this.statements.filter(({ savepoint }, at) => at < i || savepoint === null);
        this.statements.splice(0, this.statements.length, ...kept);
      }
      return;
    }
    this.failed = true;
    throw new PoolerError("IN_FAILED_TRANSACTION", `savepoint "${name ?? ""}" does not exist`, { sqlstate: "3B001" });
  }
}
