// A simple query before it is run: answered here, refused, or given a route. Looks at the text once.
import { PoolerError } from "../base/errors.js";
import { RowHook } from "../plugins/row-hook.js";
import type { ChainDecision } from "../plugins/types.js";
import { writeEmpty } from "../protocol/backend.js";
import { Backend, HEADER_BYTES } from "../protocol/codes.js";
import type { Router } from "../router/router.js";
import { Command, changesSchema, type Lexed, LexFlag, lex } from "../sql/lexer.js";
import type { LiftedStatement, Statement } from "../sql/statement.js";
import { parseBegin } from "../sql/transaction-statements.js";
import { ask, askContext, isRoutable } from "./asking.js";
import type { Batch } from "./batch.js";
import { addObserved, observe, observeDecision } from "./ending.js";
import { judgeHazards } from "./hazards.js";
import { LocalPortal } from "./local-portal.js";
import { answeredLocally, holdState, refuseDeallocate, runLocally } from "./local-statements.js";
import type { Session } from "./session.js";
import { effectsOf } from "./session-effects.js";

const noText = Buffer.alloc(0);

/** True: the batch goes to a server. False: its answer is in the reply writer, ReadyForQuery not yet. Throws the refusal. */
export function planQuery(session: Session, batch: Batch): boolean {
  const { context } = session;
  const { buffer } = batch;
  const start = batch.start + HEADER_BYTES;
  const end = batch.end - 1;
  batch.simple = true;
  batch.endsWithSync = true;
  if (end < start || buffer[end] !== 0) throw new PoolerError("PROTOCOL_VIOLATION", "invalid Query message: its text does not end");
  session.statements?.delete(""); // a simple query drops the unnamed statement
  const { lexed, router } = context;
  lex(buffer, start, end, session.standardStrings, lexed);
  if (lexed.count === 0) {
    if (session.server !== null) return true;
    writeEmpty(context.reply, Backend.EMPTY_QUERY_RESPONSE);
    return false;
  }
  if (router !== null) {
    const answered = showToPlugins(session, batch, start, end, lexed);
    if (answered) return false;
    if (batch.rewritten !== null) lex(batch.rewritten, 0, batch.rewritten.length, session.standardStrings, lexed);
  }
  let text = batch.rewritten ?? buffer;
  if (runsLocally(session, batch, text, lexed)) return false;
  if (session.held?.failed) {
    // What follows the end of the failed transaction in the same string runs; anything else is refused.
    const { held } = session;
    if (!endsTransaction(lexed)) throw held.failure();
    const untold = held.takeUntold();
    if (untold !== null && lexed.commands[0] === Command.COMMIT) {
      session.held = null;
      throw untold;
    }
    // The server has to be given a transaction to end: without one it would warn.
    held.beginAnew();
    if (lexed.commands[0] === Command.COMMIT) {
      const from = batch.rewritten === null ? start : 0;
      const to = batch.rewritten === null ? end : batch.rewritten.length;
      text = batch.rewritten = rollingBack(text, from, lexed.starts[0] as number, to);
      lex(text, 0, text.length, session.standardStrings, lexed);
    }
  }
  if (lexed.count > 1 && (lexed.flags & LexFlag.HAS_SQL_PREPARED) !== 0)
    for (let i = 0; i < lexed.count && !lexed.overflow; i++)
      refuseDeallocate(session, lexed.commands[i] as number, () => text.latin1Slice(lexed.starts[i], lexed.ends[i]));
  const { effects, unclear, carried } = effectsOf(text, lexed);
  batch.effects = effects;
  batch.setsLocally = (lexed.flags & LexFlag.HAS_SET_LOCAL) !== 0;
  const sets = (lexed.flags & LexFlag.HAS_SET) !== 0 || carried !== 0;
  batch.unclear = unclear || (effects.length > 1 && sets && (lexed.flags & LexFlag.HAS_TRANSACTION_CONTROL) !== 0);
  batch.changesSchema = changesSchema(lexed);
  const hazards = lexed.hazards & ~carried;
  if (session.transactionMode && !session.pinned && hazards !== 0) {
    const verdict = judgeHazards(hazards, session.database.config.onSessionState, lexed.count > 1 || session.inTransaction);
    batch.pins = verdict.pins;
    batch.unclear ||= verdict.unclear;
  }
  if (session.server !== null) {
    batch.writes = session.routeWrites;
    return true;
  }
  // A string that begins a transaction of its own goes where that may go.
  let readOnly = session.held?.readOnly === true && !endsTransaction(lexed);
  let explicit = session.held !== null;
  let routable = false;
  const counted = lexed.overflow ? lexed.commands.length - 1 : lexed.count;
  for (let i = 0; i < counted; i++) {
    const command = lexed.commands[i] as number;
    if (command === Command.BEGIN) {
      const begin = parseBegin(text.latin1Slice(lexed.starts[i], lexed.ends[i]));
      readOnly = begin.readOnly === true && begin.isolation !== "serializable";
      explicit = true;
    }
    if (isRoutable(command)) routable = true;
  }
  session.resolveRoute(batch, routable, explicit, readOnly);
  return true;
}

function endsTransaction({ commands }: Lexed): boolean {
  return commands[0] === Command.COMMIT || commands[0] === Command.ROLLBACK;
}

/** The COMMIT or END at `at` becomes what it is in a transaction that has failed. As long as COMMIT, so that errors point at the right place. */
function rollingBack(text: Buffer, start: number, at: number, end: number): Buffer {
  const isCommit = ((text[at] as number) | 0x20) === 0x63; /* c */
  return Buffer.concat([text.subarray(start, at), Buffer.from("ABORT "), text.subarray(at + (isCommit ? "COMMIT" : "END").length, end)]);
}

/** Every statement of the string can be answered here: do so. */
function runsLocally(session: Session, batch: Batch, text: Buffer, lexed: Lexed): boolean {
  if (lexed.overflow || (session.server !== null && (lexed.flags & LexFlag.HAS_SQL_PREPARED) === 0)) return false;
  let state = holdState(session);
  for (let i = 0; i < lexed.count; i++) {
    const next = answeredLocally(session, state, lexed.commands[i] as number, () => text.latin1Slice(lexed.starts[i], lexed.ends[i]));
    if (next === null) return false;
    state = next;
  }
  batch.answering = true;
  for (let i = 0; i < lexed.count; i++) {
    runLocally(session, lexed.commands[i] as number, text.latin1Slice(lexed.starts[i], lexed.ends[i]), session.context.reply);
  }
  return true;
}

/** True: plugins answered the whole string. */
function showToPlugins(session: Session, batch: Batch, start: number, end: number, lexed: Lexed): boolean {
  const { context } = session;
  const router = context.router;
  if (router === null || context.statements === null) return false;
  const lifted = isLiftable(session, lexed)
    ? context.statements.lift(batch.buffer, lexed.starts[0] as number, lexed.ends[0] as number, session.encoding)
    : null;
  if (lifted !== null) return showLifted(session, batch, router, lifted, lexed.commands[0] as number);
  const { statements } = context.statements.statementsOf(batch.buffer, start, end, session.encoding, session.standardStrings);
  const several = statements.length > 1;
  const matches = statements.length === lexed.count && !lexed.overflow;
  const asking = askContext(session, false, several || lexed.count > 1, !several && lexed.count > 1);
  const replaced: (Buffer | null)[] = [];
  const portals: LocalPortal[] = [];
  for (let i = 0; i < statements.length; i++) {
    const statement = statements[i] as Statement;
    const observed = observe(session, statement, statement.sql);
    addObserved(batch, observed);
    const decision = ask(router, session, batch, asking, statement, matches ? (lexed.commands[i] as number) : Command.OTHER, null, false);
    observeDecision(observed, decision);
    if (decision === null) {
      replaced.push(null);
      continue;
    }
    if (decision.outcome === "intercept" && decision.intercept !== null)
      portals.push(new LocalPortal(decision.intercept, [], decision.plugin, session.encoding));
    refuseParameters(decision);
    if (decision.rows !== null) {
      if (!matches)
        throw new PoolerError(
          "NOT_SUPPORTED",
          "a plugin must see the rows of a statement of a string whose statements cannot be told apart",
          {
            hint: "Send the statements one by one.",
          },
        );
      batch.rows ??= statements.map(() => null);
      batch.rows[i] = new RowHook(decision.rows);
    }
    replaced.push(decision.outcome === "route" ? (decision.rewritten?.sql ?? null) : null);
  }
  if (portals.length > 0) {
    if (portals.length < statements.length) {
      throw new PoolerError("NOT_SUPPORTED", "a plugin answers one statement of the string itself, which cannot be mixed with others", {
        hint: "Send the statements one by one.",
      });
    }
    for (const portal of portals) answer(portal, session);
    return true;
  }
  if (replaced.some((sql) => sql !== null)) batch.rewritten = splice(batch.buffer, start, end, lexed, matches, statements, replaced);
  return false;
}

/** A single query of the kinds in which a literal is a value and nothing more. */
function isLiftable(session: Session, lexed: Lexed): boolean {
  if (lexed.count !== 1 || lexed.unterminated || !session.standardStrings) return false;
  const command = lexed.commands[0] as number;
  return command >= Command.SELECT && command <= Command.TABLE;
}

/** showToPlugins() for a string that is one statement whose literals are its parameters. */
function showLifted(session: Session, batch: Batch, router: Router, lifted: LiftedStatement, command: number): boolean {
  const asking = askContext(session, false, false);
  const observed = observe(session, lifted.statement, noText);
  if (observed !== null) addObserved(batch, { ...observed, sql: Buffer.from(lifted.buffer.subarray(lifted.start, lifted.end)) });
  const decision = ask(router, session, batch, asking, lifted.statement, command, lifted.literals, false, lifted);
  observeDecision(batch.observed?.at(-1) ?? null, decision);
  if (decision === null) return false;
  if (decision.outcome === "intercept" && decision.intercept !== null) {
    const portal = new LocalPortal(decision.intercept, [], decision.plugin, session.encoding);
    answer(portal, session);
    return true;
  }
  refuseParameters(decision);
  if (decision.rows !== null) batch.rows = [new RowHook(decision.rows)];
  batch.rewritten = decision.outcome === "route" ? (decision.rewritten?.sql ?? null) : null;
  return false;
}

function answer(portal: LocalPortal, session: Session): void {
  const { reply } = session.context;
  if (portal.hasColumns) portal.describe(reply);
  portal.execute(reply, 0);
}

function refuseParameters(decision: ChainDecision): void {
  if (decision.rewritten === null || decision.rewrittenParameters === null) return;
  throw new PoolerError(
    "PLUGIN_FAILED",
    `plugin "${decision.plugin}" failed: it rewrote a statement of the simple protocol with parameters`,
  );
}

/** The string with some of its statements replaced. */
function splice(
  buffer: Buffer,
  start: number,
  end: number,
  lexed: Lexed,
  matches: boolean,
  statements: readonly Statement[],
  replaced: readonly (Buffer | null)[],
): Buffer {
  if (statements.length === 1) return replaced[0] as Buffer;
  if (!matches)
    throw new PoolerError("NOT_SUPPORTED", "a plugin rewrote a statement of a string whose statements cannot be told apart", {
      hint: "Send the statements one by one.",
    });
  const parts: Buffer[] = [];
  let at = start;
  replaced.forEach((sql, i) => {
    if (sql === null) return;
    parts.push(buffer.subarray(at, lexed.starts[i]), sql);
    at = lexed.ends[i] as number;
  });
  parts.push(buffer.subarray(at, end));
  return Buffer.concat(parts);
}
