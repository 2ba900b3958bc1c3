// The extended messages up to Sync or Flush before they are run: names resolved, statements shown to the plugins, and then
// answered here, refused, or given a route.
import { PoolerError } from "../base/errors.js";
import type { ChainDecision } from "../plugins/types.js";
import { writeEmpty, writeParameterDescription } from "../protocol/backend.js";
import { Backend, Frontend, HEADER_BYTES, TransactionStatus } from "../protocol/codes.js";
import { cstringEnd } from "../protocol/frontend.js";
import { MessageWriter, readInt32 } from "../protocol/message-writer.js";
import type { AskContext } from "../router/router.js";
import type { GlobalStatement } from "../server/global-statement.js";
import { Command, LexFlag } from "../sql/lexer.js";
import type { Statement } from "../sql/statement.js";
import { parseBegin } from "../sql/transaction-statements.js";
import { ask, askContext, isRoutable } from "./asking.js";
import type { Batch, Op } from "./batch.js";
import type { ClientStatement, StatementInfo } from "./client-statements.js";
import { judgeHazards } from "./hazards.js";
import { transactionFailed } from "./held-transaction.js";
import { describeColumns, LocalPortal } from "./local-portal.js";
import { answeredLocally, type HoldState, holdState, refuseDeallocate, runLocally } from "./local-statements.js";
import type { Session } from "./session.js";

const STATEMENT = 0x53; // S
const small = new MessageWriter(256);

/** True: the batch goes to a server. False: its answer is in the reply writer, ReadyForQuery not yet. Throws the refusal. */
export function planExtended(session: Session, batch: Batch): boolean {
  try {
    readMessages(session, batch);
    if (runsLocally(session, batch)) return false;
    if (session.held?.failed) throw transactionFailed();
    judge(session, batch);
    return route(session, batch);
  } catch (error) {
    takeBack(session, batch);
    throw error;
  }
}

/** Undo what the batch did to the client's statements: the server never gets to it. */
export function takeBack(session: Session, batch: Batch): void {
  for (let i = batch.changes.length - 1; i >= 0; i--) {
    const change = batch.changes[i] as { name: string; before: ClientStatement | undefined };
    if (change.before === undefined) session.statements.delete(change.name);
    else session.statements.set(change.name, change.before);
  }
  batch.changes.length = 0;
}

function readMessages(session: Session, batch: Batch): void {
  const { buffer } = batch;
  for (let at = batch.start; at < batch.end; ) {
    const type = buffer[at] as number;
    const end = at + 1 + readInt32(buffer, at + 1);
    const op = batch.addOp(type, at, end);
    const body = at + HEADER_BYTES;
    switch (type) {
      case Frontend.PARSE:
        readParse(session, batch, op, body);
        break;
      case Frontend.BIND:
        readBind(session, batch, op, body);
        break;
      case Frontend.DESCRIBE:
      case Frontend.CLOSE:
        readTarget(session, batch, op, body);
        break;
      case Frontend.EXECUTE: {
        const stop = cstringEnd(buffer, body, end, "Execute");
        if (stop + 5 !== end) throw new PoolerError("PROTOCOL_VIOLATION", "invalid Execute message: its length does not fit");
        op.portal = stop === body ? "" : buffer.latin1Slice(body, stop);
        op.restStart = stop + 1;
        break;
      }
      case Frontend.SYNC:
        batch.endsWithSync = true;
        break;
    }
    at = end;
  }
}

function readParse(session: Session, batch: Batch, op: Op, body: number): void {
  const { parse, registry, config } = session.context;
  const { buffer } = batch;
  parse.read(buffer, body, op.end);
  const name = parse.nameEnd === body ? "" : buffer.latin1Slice(body, parse.nameEnd);
  const before = session.statements.get(name);
  if (name !== "") {
    if (before !== undefined && session.transactionMode)
      throw new PoolerError("STATEMENT_EXISTS", `prepared statement "${utf8(name)}" already exists`);
    if (before === undefined && session.statements.size >= config.limits.maxClientStatements) {
      throw new PoolerError("TOO_MANY_STATEMENTS", `this client holds ${session.statements.size} prepared statements, which is the limit`, {
        hint: "Close statements that are no longer used, or raise limits.max_client_statements.",
      });
    }
  }
  const info = registry.intern(buffer, parse, op.end, session.standardStrings);
  op.statement = { name, info, columns: null };
  op.before = before;
  op.global = info.global;
  batch.changes.push({ name, before });
  session.statements.set(name, op.statement);
  batch.parses++;
}

function readBind(session: Session, batch: Batch, op: Op, body: number): void {
  const { bind } = session.context;
  const { buffer } = batch;
  bind.readNames(buffer, body, op.end);
  op.portal = bind.portalEnd === body ? "" : buffer.latin1Slice(body, bind.portalEnd);
  op.restStart = bind.restStart;
  const statement = find(session, buffer, bind.statementStart, bind.statementEnd);
  op.statement = statement;
  op.global = statement?.info.global ?? null;
  batch.binds++;
}

function readTarget(session: Session, batch: Batch, op: Op, body: number): void {
  const { buffer } = batch;
  const stop = cstringEnd(buffer, body + 1, op.end, "Describe or Close");
  if (stop + 1 !== op.end) throw new PoolerError("PROTOCOL_VIOLATION", "invalid Describe or Close message: its length does not fit");
  if (buffer[body] !== STATEMENT) {
    op.portal = stop === body + 1 ? "" : buffer.latin1Slice(body + 1, stop);
    return;
  }
  if (op.type === Frontend.DESCRIBE) {
    op.statement = find(session, buffer, body + 1, stop);
    op.global = op.statement?.info.global ?? null;
    return;
  }
  const name = buffer.latin1Slice(body + 1, stop);
  const before = session.statements.get(name);
  if (before === undefined) return;
  op.statement = before;
  op.global = before.info.global;
  batch.changes.push({ name, before });
  session.statements.delete(name);
}

/** Null in session mode for a statement that SQL-level PREPARE made: the server knows it. */
function find(session: Session, buffer: Buffer, start: number, end: number): ClientStatement | null {
  const name = start === end ? "" : buffer.latin1Slice(start, end);
  const statement = session.statements.get(name);
  if (statement !== undefined) return statement;
  if (!session.transactionMode) return null;
  throw new PoolerError(
    "STATEMENT_MISSING",
    name === "" ? "unnamed prepared statement does not exist" : `prepared statement "${utf8(name)}" does not exist`,
  );
}

const utf8 = (bytes: string): string => Buffer.from(bytes, "latin1").toString("utf8");

/** Nothing in the batch needs a server: transaction control that is held, a lone Sync, Close of statements. */
function runsLocally(session: Session, batch: Batch): boolean {
  if (!session.transactionMode || session.batchOpen) return false;
  let state: HoldState = holdState(session);
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    const info = op.statement?.info;
    switch (op.type) {
      case Frontend.PARSE:
        // A text that a server of this database has taken before needs no server to be prepared: its first use does.
        if (session.status !== TransactionStatus.FAILED && session.database.knownStatements.has(op.global as GlobalStatement)) break;
        if (op.statement === null || !isLocal(session, state, info as StatementInfo)) return false;
        break;
      case Frontend.DESCRIBE:
        // What is bound in this batch, so far, is local.
        if (op.statement === null ? boundTo(batch, op.portal, i) === null : !isLocal(session, state, info as StatementInfo)) return false;
        break;
      case Frontend.BIND: {
        const next = info === undefined ? null : localState(session, state, info);
        // A portal that is run in a later batch must be there, then.
        if (next === null || !isRunLater(batch, op.portal, i)) return false;
        op.held = true;
        break;
      }
      case Frontend.EXECUTE: {
        const bound = boundTo(batch, op.portal, i);
        const next = bound?.statement == null ? null : localState(session, state, bound.statement.info);
        if (next === null) return false;
        state = next;
        break;
      }
      case Frontend.CLOSE:
        if (op.statement === null && op.portal !== "" && session.server !== null) return false;
        break;
    }
  }
  const { router } = session.context;
  if (router?.chain.inspects) showToPlugins(session, batch, askContext(session, true, false));
  writeLocalReplies(session, batch);
  return true;
}

/** Does the statement, if it were run, need no server? Then preparing it does not either. */
function isLocal(session: Session, state: HoldState, info: StatementInfo): boolean {
  return localState(session, state, info) !== null;
}

function localState(session: Session, state: HoldState, info: StatementInfo): HoldState | null {
  return info.count === 1 ? answeredLocally(session, state, info.command, () => trimmed(info)) : null;
}

function trimmed(info: StatementInfo): string {
  return info.global.sql.latin1Slice().replace(/;\s*$/, "").trim();
}

function isRunLater(batch: Batch, portal: string, after: number): boolean {
  for (let i = after + 1; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.type === Frontend.EXECUTE && op.portal === portal) return true;
  }
  return false;
}

function boundTo(batch: Batch, portal: string, before: number): Op | null {
  for (let i = before - 1; i >= 0; i--) {
    const op = batch.ops[i] as Op;
    if (op.type === Frontend.BIND && op.portal === portal) return op;
  }
  return null;
}

function writeLocalReplies(session: Session, batch: Batch): void {
  const to = session.context.reply;
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    switch (op.type) {
      case Frontend.PARSE:
        writeEmpty(to, Backend.PARSE_COMPLETE);
        break;
      case Frontend.BIND:
        writeEmpty(to, Backend.BIND_COMPLETE);
        break;
      case Frontend.DESCRIBE:
        if (op.statement !== null) writeParameterDescription(to, []);
        writeEmpty(to, Backend.NO_DATA);
        break;
      case Frontend.EXECUTE: {
        const info = boundTo(batch, op.portal, i)?.statement?.info as StatementInfo;
        runLocally(session, info.command, trimmed(info), to);
        break;
      }
      case Frontend.CLOSE:
        writeEmpty(to, Backend.CLOSE_COMPLETE);
        break;
    }
  }
}

/** What the statements that are run would leave behind. */
function judge(session: Session, batch: Batch): void {
  let hazards = 0;
  let several = 0;
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.type !== Frontend.BIND || op.statement === null) continue;
    const { info } = op.statement;
    refuseDeallocate(session, info.command, () => trimmed(info));
    several++;
    hazards |= info.hazards;
    if ((info.flags & LexFlag.HAS_SET_LOCAL) !== 0) batch.setsLocally = true;
    if (info.effects.effects.length > 0)
      batch.effects = batch.effects.length === 0 ? info.effects.effects : [...batch.effects, ...info.effects.effects];
    batch.unclear ||= info.effects.unclear;
  }
  if (hazards === 0 || !session.transactionMode || session.pinned) return;
  const verdict = judgeHazards(hazards, session.database.config.onSessionState, several > 1 || session.inTransaction || session.batchOpen);
  batch.pins = verdict.pins;
  batch.unclear ||= verdict.unclear;
}

/** Ask the plugins, then find the route. False when they answered all of it. */
function route(session: Session, batch: Batch): boolean {
  const { router } = session.context;
  let executions = 0;
  let routable = false;
  let explicit = session.held !== null;
  let readOnly = session.held?.readOnly === true;
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.type === Frontend.EXECUTE) executions++;
    if (op.type !== Frontend.BIND) continue;
    executions++;
    if (op.statement === null) continue;
    const { info } = op.statement;
    if (isRoutable(info.command)) routable = true;
    if (info.command === Command.BEGIN) {
      const begin = parseBegin(trimmed(info));
      explicit = true;
      readOnly = begin.readOnly === true && begin.isolation !== "serializable";
    }
  }
  if (router !== null && showToPlugins(session, batch, askContext(session, true, executions > 2))) return false;
  batch.prepareOnly = executions === 0;
  if (session.server !== null) {
    batch.writes = session.routeWrites;
    return true;
  }
  if (batch.prepareOnly) session.resolvePrepareRoute(batch);
  else session.resolveRoute(batch, routable, explicit, readOnly);
  return true;
}

/** True when every message of the batch is answered by plugins. */
function showToPlugins(session: Session, batch: Batch, asking: AskContext): boolean {
  const { router, statements, bind } = session.context;
  if (router === null || statements === null) return false;
  let needsServer = false;
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    switch (op.type) {
      case Frontend.PARSE:
        // Asked when it is described or run; a batch that only prepares is asked here.
        if (op.statement !== null && !isUsedLater(batch, op, i)) decidePrepared(session, batch, asking, op);
        break;
      case Frontend.DESCRIBE:
        if (op.statement !== null) decidePrepared(session, batch, asking, op);
        else op.localPortal = localPortalOf(session, batch, op.portal, i);
        if (op.localPortal !== null) op.local = written((to) => op.localPortal?.describe(to));
        if (op.local === null) needsServer = true;
        break;
      case Frontend.BIND: {
        const statement = op.statement === null ? null : statementOf(session, op.statement.info);
        session.localPortals?.delete(op.portal);
        if (statement === null || op.statement === null) {
          if (router.chain.inspects)
            throw new PoolerError("FACTS_UNAVAILABLE", "a plugin must see every statement, and this one was prepared in SQL");
          needsServer = true;
          break;
        }
        bind.readNames(batch.buffer, op.start + HEADER_BYTES, op.end);
        bind.readParameters(batch.buffer, op.end, op.statement.info.global.typeOids);
        const decision = ask(router, session, batch, asking, statement, op.statement.info.command, bind, false);
        if (decision !== null) takeBindDecision(session, batch, op, decision);
        if (op.localPortal === null) needsServer = true;
        else op.local = written((to) => writeEmpty(to, Backend.BIND_COMPLETE));
        break;
      }
      case Frontend.EXECUTE:
        op.localPortal = localPortalOf(session, batch, op.portal, i);
        if (op.localPortal === null) needsServer = true;
        else {
          const limit = readInt32(batch.buffer, op.restStart);
          op.local = written((to) => op.localPortal?.execute(to, Math.max(0, limit)));
        }
        break;
      case Frontend.CLOSE:
        if (op.statement === null && session.localPortals?.delete(op.portal))
          op.local = written((to) => writeEmpty(to, Backend.CLOSE_COMPLETE));
        else if (op.statement === null) needsServer = true;
        break;
    }
  }
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.type === Frontend.PARSE && op.local === null && !answersLocally(batch, op)) needsServer = true;
  }
  if (needsServer || session.batchOpen) return false;
  const { reply } = session.context;
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.local !== null) reply.bytes(op.local);
    else if (op.type === Frontend.PARSE) writeEmpty(reply, Backend.PARSE_COMPLETE);
    else if (op.type === Frontend.CLOSE) writeEmpty(reply, Backend.CLOSE_COMPLETE);
  }
  return true;
}

function statementOf(session: Session, info: StatementInfo): Statement | null {
  const { sql } = info.global;
  return session.context.statements?.statementsOf(sql, 0, sql.length, session.encoding, session.standardStrings).statements[0] ?? null;
}

/** A Parse whose statement is described or bound further on: those decide. */
function isUsedLater(batch: Batch, parse: Op, at: number): boolean {
  for (let i = at + 1; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if ((op.type === Frontend.BIND || op.type === Frontend.DESCRIBE) && op.statement === parse.statement) return true;
  }
  return false;
}

/** A Parse that is used by nothing but what plugins answer needs no server. */
function answersLocally(batch: Batch, parse: Op): boolean {
  let used = false;
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op === parse || op.statement !== parse.statement || op.type === Frontend.CLOSE) continue;
    used = true;
    if (op.local === null && op.localPortal === null) return false;
  }
  return used;
}

/** A driver prepares or describes: rewrites and intercepts count, routes do not. */
function decidePrepared(session: Session, batch: Batch, asking: AskContext, op: Op): void {
  const { router } = session.context;
  const client = op.statement as ClientStatement;
  const statement = statementOf(session, client.info);
  if (router === null || statement === null) return;
  const decision = ask(router, session, batch, asking, statement, client.info.command, null, true);
  if (decision === null) return;
  if (decision.outcome === "intercept" && decision.intercept !== null) {
    const { columns } = decision.intercept;
    if (op.type === Frontend.DESCRIBE) {
      op.local = written((to) => {
        writeParameterDescription(to, client.info.global.typeOids);
        describeColumns(to, columns, []);
      });
    } else {
      op.local = written((to) => writeEmpty(to, Backend.PARSE_COMPLETE));
    }
    return;
  }
  if (decision.rewritten !== null) op.global = rewrittenGlobal(session, client, decision);
}

function takeBindDecision(session: Session, batch: Batch, op: Op, decision: ChainDecision): void {
  const client = op.statement as ClientStatement;
  const { bind } = session.context;
  if (decision.outcome === "intercept" && decision.intercept !== null) {
    op.localPortal = new LocalPortal(decision.intercept, bind.resultFormats(batch.buffer), decision.plugin);
    return;
  }
  if (decision.rewritten === null) return;
  op.global = rewrittenGlobal(session, client, decision);
  op.parameters = decision.rewrittenParameters;
  if (client.columns !== null) {
    if (op.global.columns === null) batch.unverified.push({ client, global: op.global, plugin: decision.plugin });
    else checkColumns(client, op.global, decision.plugin);
  }
  op.resultFormatsStart = bind.resultFormatsStart - 2;
}

/** The client reads rows by what it was told: a rewrite that returns something else is refused. */
export function checkColumns(client: ClientStatement, global: GlobalStatement, plugin: string): void {
  if (client.columns === global.columns) return;
  throw new PoolerError(
    "PLUGIN_FAILED",
    `plugin "${plugin}" failed: its rewrite returns other columns than the statement that was described to the client`,
    {
      hint: "A plugin that rewrites has to do so when the statement is prepared, too, and keep names and types of the columns.",
    },
  );
}

function rewrittenGlobal(session: Session, client: ClientStatement, decision: ChainDecision): StatementInfo["global"] {
  const typeOids = decision.rewrittenParameters?.typeOids ?? client.info.global.typeOids;
  const info = session.context.registry.internText((decision.rewritten as Statement).sql, typeOids, session.standardStrings);
  if (session.transactionMode && info.hazards !== 0) judgeHazards(info.hazards, session.pinned ? "pin" : "error", true);
  return info.global;
}

function localPortalOf(session: Session, batch: Batch, portal: string, before: number): LocalPortal | null {
  const bound = boundTo(batch, portal, before);
  if (bound !== null) {
    if (bound.localPortal !== null) session.keepLocalPortal(portal, bound.localPortal);
    return bound.localPortal;
  }
  return session.localPortals?.get(portal) ?? null;
}

function written(write: (to: MessageWriter) => void): Buffer {
  write(small.reset());
  return small.toBuffer();
}
