// The extended messages up to Sync or Flush before they are run: names resolved, statements shown to the plugins, and then
// answered here, refused, or given a route.
import { isAscii } from "node:buffer";
import { PoolerError } from "../base/errors.js";
import { writeEmpty } from "../protocol/backend.js";
import { Backend, Frontend, HEADER_BYTES } from "../protocol/codes.js";
import { cstringEnd } from "../protocol/frontend.js";
import { readInt32 } from "../protocol/message-writer.js";
import { decoderOf } from "../sql/encodings.js";
import { Command, isSchemaCommand, LexFlag } from "../sql/lexer.js";
import { parseBegin } from "../sql/transaction-statements.js";
import { askContext, isRoutable } from "./asking.js";
import { type Batch, type Op, REFUSED } from "./batch.js";
import type { ClientStatement, StatementInfo } from "./client-statements.js";
import { judgeHazards } from "./hazards.js";
import { beginsLocally, infoOf, runsLocally, trimmed } from "./local-batch.js";
import { refuseDeallocate } from "./local-statements.js";
import type { Session } from "./session.js";
import { effectsOfCalls, noEffects, type ParameterValues } from "./session-effects.js";
import { severalCommands, showExtended } from "./show-extended.js";

const STATEMENT = 0x53; // S
const PORTAL = 0x50; // P

/** True: the batch goes to a server. False: its answer is in the reply writer, ReadyForQuery not yet. Throws the refusal. */
export function planExtended(session: Session, batch: Batch): boolean {
  try {
    readMessages(session, batch);
    if (session.context.router?.chain.wantsEveryStatement) show(session, batch);
    if (runsLocally(session, batch)) return false;
    if (batch.opCount > 3 && batch.ops[batch.opCount - 2]?.type !== Frontend.EXECUTE) beginsLocally(session, batch);
    if (session.held?.failed) throw session.held.failure();
    return route(session, batch);
  } catch (error) {
    takeBack(session, batch);
    throw error;
  }
}

/** Undo what the batch did to the client's statements: the server never gets to it. */
export function takeBack(session: Session, batch: Batch): void {
  for (let i = batch.opCount - 1; i >= 0; i--) {
    const op = batch.ops[i] as Op;
    if (!op.changes || op.statement === null) continue;
    op.changes = false;
    if (op.before === undefined) session.statements?.delete(op.statement.name);
    else session.keepStatement(op.statement.name, op.before);
  }
}

function readMessages(session: Session, batch: Batch): void {
  const { buffer } = batch;
  for (let at = batch.start; at < batch.end; ) {
    const type = buffer[at] as number;
    const end = at + 1 + readInt32(buffer, at + 1);
    if (type === Frontend.SYNC) batch.endsWithSync = true;
    // What is behind a message that cannot be run is passed over.
    if (batch.refusal === null || type === Frontend.SYNC || type === Frontend.FLUSH) {
      const op = batch.addOp(type, at, end);
      try {
        readMessage(session, batch, op, at + HEADER_BYTES);
      } catch (error) {
        if (!(error instanceof PoolerError) || !refuseOnly(batch, op, error)) throw error;
      }
    }
    at = end;
  }
}

function readMessage(session: Session, batch: Batch, op: Op, body: number): void {
  const { buffer } = batch;
  switch (op.type) {
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
      const stop = cstringEnd(buffer, body, op.end, "Execute");
      if (stop + 5 !== op.end) throw new PoolerError("PROTOCOL_VIOLATION", "invalid Execute message: its length does not fit");
      op.portal = stop === body ? "" : buffer.latin1Slice(body, stop);
      op.restStart = stop + 1;
      break;
    }
  }
}

/** PostgreSQL answers what stands before a message that it refuses, and may find an error there. False: nothing stands there. */
function refuseOnly(batch: Batch, op: Op, error: PoolerError): boolean {
  const exists = error.code === "STATEMENT_EXISTS";
  if (batch.opCount === 1 && !exists) return false;
  op.type = REFUSED;
  if (!exists) op.restStart = 0;
  batch.refusal = error;
  return true;
}

function readParse(session: Session, batch: Batch, op: Op, body: number): void {
  const { parse, registry, config } = session.context;
  const { buffer } = batch;
  parse.read(buffer, body, op.end);
  const name = parse.nameEnd === body ? "" : buffer.latin1Slice(body, parse.nameEnd);
  const before = session.statements?.get(name);
  if (name !== "") {
    op.restStart = parse.nameEnd + 1;
    if (before !== undefined && session.transactionMode)
      throw new PoolerError("STATEMENT_EXISTS", `prepared statement "${shown(session, name)}" already exists`);
    const held = session.statements?.size ?? 0;
    if (before === undefined && held >= config.limits.maxClientStatements) {
      throw new PoolerError("TOO_MANY_STATEMENTS", `this client holds ${held} prepared statements, which is the limit`, {
        hint: "Close statements that are no longer used, or raise limits.max_client_statements.",
      });
    }
  }
  const info = registry.intern(buffer, parse, op.end, session.readingNow(), session.standardStrings);
  // Nobody can be shown it. What stands before it in the batch is answered all the same.
  if (info.count > 1 && session.context.router?.chain.inspects) throw severalCommands();
  op.statement = isUntouched(before, info) ? before : { name, info, told: null, standIn: null, unsent: false };
  op.before = before;
  op.global = info.global;
  op.changes = true;
  session.keepStatement(name, op.statement);
  batch.parses++;
}

/** The client says what it said before, and nothing has been made of that yet. */
function isUntouched(before: ClientStatement | undefined, info: StatementInfo): before is ClientStatement {
  return before !== undefined && before.info === info && before.told === null && before.standIn === null && !before.unsent;
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
  if (buffer[body] !== STATEMENT && buffer[body] !== PORTAL)
    throw new PoolerError("PROTOCOL_VIOLATION", `invalid Describe or Close message: subtype ${buffer[body]}`);
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
  const before = session.statements?.get(name);
  if (before === undefined) return;
  op.statement = before;
  op.before = before;
  op.global = before.info.global;
  op.changes = true;
  session.statements?.delete(name);
}

/** Null in session mode for a statement that SQL-level PREPARE made: the server knows it. */
function find(session: Session, buffer: Buffer, start: number, end: number): ClientStatement | null {
  const name = start === end ? "" : buffer.latin1Slice(start, end);
  const statement = session.statements?.get(name);
  if (statement !== undefined) return statement;
  if (!session.transactionMode) return null;
  throw new PoolerError(
    "STATEMENT_MISSING",
    name === "" ? "unnamed prepared statement does not exist" : `prepared statement "${shown(session, name)}" does not exist`,
  );
}

/** A name's bytes as text; they are in the client's encoding. */
function shown(session: Session, bytes: string): string {
  const name = Buffer.from(bytes, "latin1");
  return decoderOf(session.encoding)?.(name) ?? name.toString("utf8");
}

function show(session: Session, batch: Batch): void {
  let executions = 0;
  for (let i = 0; i < batch.opCount; i++) if (batch.ops[i]?.type === Frontend.BIND) executions++;
  showExtended(session, batch, askContext(session, true, executions > 1));
  batch.shown = true;
}

/** What a Bind runs; null: a plugin answers it, or nobody here knows. */
function runBy(op: Op): StatementInfo | null {
  return op.type !== Frontend.BIND || op.local !== null ? null : infoOf(op);
}

/** What a Bind gives, as text byte for byte. */
function parametersOf(session: Session, batch: Batch, op: Op): ParameterValues {
  if (op.parameters !== null) {
    const { values } = op.parameters;
    return (index) => plainText(session, values[index]);
  }
  const { bind } = session.context;
  bind.readNames(batch.buffer, op.start + HEADER_BYTES, op.end);
  bind.readParameters(batch.buffer, op.end, []);
  return (index) => {
    if (index >= bind.count) return undefined;
    const start = bind.offsets[index] as number;
    const length = bind.lengths[index] as number;
    return plainText(session, length < 0 ? null : bind.buffer.subarray(start, start + length));
  };
}

/** Text that can be said again as a literal; undefined where its bytes could be read as quotes. */
function plainText(session: Session, value: Buffer | null | undefined): string | null | undefined {
  if (value === null || value === undefined) return value;
  return session.encoding === "UTF8" || isAscii(value) ? value.latin1Slice() : undefined;
}

/** What the statements that are run would leave behind. */
function judge(session: Session, batch: Batch): void {
  let hazards = 0;
  let several = 0;
  batch.effects = noEffects.effects;
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    const info = runBy(op);
    if (info === null) continue;
    refuseDeallocate(session, info.command, () => trimmed(info));
    several++;
    if ((info.flags & LexFlag.HAS_SET_LOCAL) !== 0) batch.setsLocally = true;
    const bound =
      info.effects.calls.length === 0 ? info.effects.effects : effectsOfCalls(info.effects.calls, parametersOf(session, batch, op));
    hazards |= bound === null ? info.hazards : info.hazards & ~info.effects.carried;
    if (bound !== null && bound.length > 0) batch.effects = batch.effects.length === 0 ? bound : [...batch.effects, ...bound];
    batch.unclear ||= info.effects.unclear;
    batch.changesSchema ||= isSchemaCommand(info.command);
  }
  if (hazards === 0 || !session.transactionMode || session.pinned) return;
  const verdict = judgeHazards(hazards, session.database.config.onSessionState, several > 1 || session.inTransaction || session.batchOpen);
  batch.pins = verdict.pins;
  batch.unclear ||= verdict.unclear;
}

/** Ask the plugins, then find the route. False when they answered all of it. */
function route(session: Session, batch: Batch): boolean {
  if (session.context.router !== null && !batch.shown) show(session, batch);
  if (batch.shown && !session.batchOpen && batch.refusal === null && !needsServer(session, batch)) {
    for (let i = 0; i < batch.opCount; i++) writeAnswer(session, batch.ops[i] as Op);
    return false;
  }
  judge(session, batch);
  let executions = 0;
  let routable = false;
  let explicit = session.held !== null;
  let readOnly = session.held?.readOnly === true;
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.type === Frontend.EXECUTE || op.type === Frontend.BIND) executions++;
    const info = runBy(op);
    if (info === null) continue;
    if (isRoutable(info.command)) routable = true;
    if (info.command === Command.BEGIN) {
      const begin = parseBegin(trimmed(info));
      explicit = true;
      readOnly = begin.readOnly === true && begin.isolation !== "serializable";
    }
  }
  batch.prepareOnly = executions === 0;
  if (session.server !== null) {
    batch.writes = session.routeWrites;
    return true;
  }
  batch.endsQuietly = batch.prepareOnly && !batch.endsWithSync && batch.refusal === null && session.routesByStatement;
  if (batch.prepareOnly) session.resolvePrepareRoute(batch);
  else session.resolveRoute(batch, routable, explicit, readOnly);
  return true;
}

function needsServer(session: Session, batch: Batch): boolean {
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.local !== null || op.type === Frontend.SYNC || op.type === Frontend.FLUSH) continue;
    if (op.type !== Frontend.CLOSE || op.statement === null || !session.transactionMode) return true;
  }
  return false;
}

function writeAnswer(session: Session, op: Op): void {
  if (op.local !== null) session.context.reply.bytes(op.local);
  else if (op.type === Frontend.CLOSE) writeEmpty(session.context.reply, Backend.CLOSE_COMPLETE);
}
