// Writes a planned batch to the server it was routed to: statements under their global names, prepared where they are missing,
// what was held in front of it, and for each message what reply is expected. One write to the wire.

import type { PoolerError } from "../base/errors.js";
import type { RowHook } from "../plugins/row-hook.js";
import { writeParameterDescription } from "../protocol/backend.js";
import { Backend, Frontend, HEADER_BYTES, TransactionStatus } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { type GlobalStatement, writeClose } from "../server/global-statement.js";
import { Expect, Hide, type LocalReply, type ReplyQueue, type ReplyWatcher } from "../server/reply-queue.js";
import { RowExecution } from "../server/row-front.js";
import type { Server } from "../server/server.js";
import { UnitTap } from "../server/unit-tap.js";
import { type Batch, type Op, REFUSED } from "./batch.js";
import type { ClientStatement } from "./client-statements.js";
import { columnsOf } from "./columns.js";
import { declaredTypes } from "./parameter-types.js";
import { messageOf, writePoison } from "./refusals.js";
import type { Session } from "./session.js";

const STATEMENT = 0x53; // S
const PORTAL = 0x50; // P
export const parseComplete = Buffer.from([Backend.PARSE_COMPLETE, 0, 0, 0, 4]);
const closeComplete = Buffer.from([Backend.CLOSE_COMPLETE, 0, 0, 0, 4]);
const nothing = Buffer.alloc(0);

/** `status`: what the client's ReadyForQuery says instead of the server's, 0 for the server's own. */
export function sendBatch(session: Session, server: Server, batch: Batch, status: number): void {
  const out = session.context.request.reset();
  const idle = server.status === TransactionStatus.IDLE && server.replies.empty;
  server.retry.forget();
  // The server was there when the request came, or has come free just now.
  if (!session.batchOpen) server.beginUnit(Math.max(session.requestAtMs, server.idleSinceMs));
  if (idle && !session.batchOpen) server.evictStatements(out);
  if (session.held !== null && !batch.prepareOnly) session.held.replay(out, server.replies);
  const before = out.length;
  const owedBefore = server.replies.size;
  const mayRunAgain = idle && !session.batchOpen && (session.held === null || batch.prepareOnly);
  if (showsRows(batch)) server.showRows(batch.rows);
  if (batch.observed !== null && !session.batchOpen) {
    server.tap ??= new UnitTap(session.context.clock);
    server.tap.begin(server.replies.copy(0).kinds.filter((kind) => kind === Expect.QUERY).length);
  }
  if (batch.simple) {
    sendQuery(server, batch, out);
    return;
  }
  if (plain(session, server, batch)) {
    if (!usesGlobals(session, batch)) {
      sendOwn(server, batch, out);
      return;
    }
    sendPlain(session, server, batch, out);
    if (mayRunAgain) server.retry.remember(out.buffer, before, out.length, null);
  } else {
    sendInDetail(session, server, batch, out, status);
    if (batch.endsQuietly) {
      out.begin(Frontend.SYNC).end();
      server.replies.push(Expect.SYNC, Hide.ALL);
    }
    if (mayRunAgain && (batch.endsWithSync || batch.endsQuietly) && server.retry.usesStatements)
      server.retry.remember(out.buffer, before, out.length, server.replies.copy(owedBefore));
  }
  server.send(out.buffer, 0, out.length);
  server.deliverLocalReplies();
}

/** What the client said goes to the server as it is: without a copy, where nothing has to go in front of it. */
function sendAsItIs(server: Server, batch: Batch, out: MessageWriter): void {
  if (out.length === 0) server.send(batch.buffer, batch.start, batch.end);
  else server.send(out.bytes(batch.buffer, batch.start, batch.end).buffer, 0, out.length);
}

function sendQuery(server: Server, batch: Batch, out: MessageWriter): void {
  server.unnamed = null; // a simple query drops the unnamed statement
  server.replies.push(Expect.QUERY);
  if (batch.rewritten === null) {
    sendAsItIs(server, batch, out);
    return;
  }
  out.begin(Frontend.QUERY).bytes(batch.rewritten).byte(0).end();
  server.send(out.buffer, 0, out.length);
}

/** Nothing is added, left out or answered here: all replies can pass as they come. */
function plain(session: Session, server: Server, batch: Batch): boolean {
  if (!batch.endsWithSync || session.batchOpen || batch.prepareOnly || batch.refusal !== null) return false;
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.local !== null || op.rows !== null) return false;
    const named = op.statement !== null && op.statement.name !== "";
    switch (op.type) {
      case Frontend.PARSE:
        if (renames(session, op) && (named || op.global !== op.statement?.info.global)) return false;
        if (i > 0) return false; // after an error it must be known whether the server got to it
        break;
      case Frontend.BIND:
      case Frontend.DESCRIBE:
        // A plugin may rewrite it later: what the client is told of its columns must be known then.
        if (op.type === Frontend.DESCRIBE && op.statement !== null && session.context.router !== null) return false;
        if (op.statement?.unsent) return false;
        if (op.statement === null || !renames(session, op)) break;
        if (!named && op.global === op.statement.info.global) {
          if (server.unnamed !== op.statement && !parsedBefore(batch, op, i)) return false;
        } else if (op.parameters !== null || !server.prepared.use(op.global as GlobalStatement)) {
          return false;
        }
        break;
      case Frontend.CLOSE:
        if (op.statement !== null && session.transactionMode) return false;
        break;
    }
  }
  return true;
}

/** Are the statement's names the pooler's on the server? In session mode only after a rewrite. */
function renames(session: Session, op: Op): boolean {
  return session.transactionMode || op.global !== op.statement?.info.global;
}

function parsedBefore(batch: Batch, op: Op, at: number): boolean {
  for (let i = 0; i < at; i++) {
    const earlier = batch.ops[i] as Op;
    if (earlier.type === Frontend.PARSE && earlier.statement === op.statement) return true;
  }
  return false;
}

function usesGlobals(session: Session, batch: Batch): boolean {
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.type !== Frontend.PARSE && isGlobal(session, op)) return true;
  }
  return false;
}

/** Nothing but what has the same name at the server: unnamed statements, above all. */
function sendOwn(server: Server, batch: Batch, out: MessageWriter): void {
  server.replies.push(Expect.UNTIL_READY);
  for (let i = 0; i < batch.opCount; i++) noteUnnamed(server, batch.ops[i] as Op);
  sendAsItIs(server, batch, out);
}

function noteUnnamed(server: Server, op: Op): void {
  if (op.type === Frontend.PARSE && op.statement?.name === "") server.unnamed = op.statement;
}

function sendPlain(session: Session, server: Server, batch: Batch, out: MessageWriter): void {
  server.replies.push(Expect.UNTIL_READY);
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    noteUnnamed(server, op);
    if (op.statement === null || op.type === Frontend.PARSE || !isGlobal(session, op)) {
      out.bytes(batch.buffer, op.start, op.end);
      continue;
    }
    const global = op.global as GlobalStatement;
    server.retry.uses(global, false);
    if (op.type === Frontend.BIND) writeBind(batch, op, global, out);
    else writeDescribe(global, out);
  }
}

/** The server knows the op's statement under a global name. */
function isGlobal(session: Session, op: Op): boolean {
  return op.statement !== null && renames(session, op) && (op.statement.name !== "" || op.global !== op.statement.info.global);
}

function sendInDetail(session: Session, server: Server, batch: Batch, out: MessageWriter, status: number): void {
  const { replies } = server;
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    switch (op.type) {
      case Frontend.PARSE:
        sendParse(session, server, batch, op, out);
        break;
      case Frontend.BIND:
        if (op.local !== null) {
          replies.push(Expect.LOCAL, Hide.NOTHING, op.local);
          break;
        }
        if (isGlobal(session, op)) {
          prepare(server, op.global as GlobalStatement, out);
          writeBind(batch, op, op.global as GlobalStatement, out);
        } else {
          prepareOwn(session, server, op, out);
          out.bytes(batch.buffer, op.start, op.end);
        }
        replies.push(Expect.BIND);
        if (op.rows !== null) describeRows(op, op.rows, replies, out);
        break;
      case Frontend.DESCRIBE:
        sendDescribe(session, server, batch, op, out);
        break;
      case Frontend.EXECUTE:
        if (op.local !== null) {
          replies.push(Expect.LOCAL, Hide.NOTHING, op.local);
        } else {
          out.bytes(batch.buffer, op.start, op.end);
          replies.push(Expect.EXECUTE, Hide.NOTHING, op.rows === null ? null : new RowExecution(op.rows, op.portal));
        }
        break;
      case Frontend.CLOSE:
        // Servers keep global statements for others; only the client's name is gone.
        if (op.local !== null || (session.transactionMode && isStatement(batch, op))) {
          replies.push(Expect.LOCAL, Hide.NOTHING, undoable(session, op.statement, op.statement, op.local ?? closeComplete));
        } else {
          out.bytes(batch.buffer, op.start, op.end);
          replies.push(Expect.CLOSE, Hide.NOTHING, undoable(session, op.statement, op.statement, null));
        }
        break;
      case Frontend.SYNC:
        out.bytes(batch.buffer, op.start, op.end);
        replies.push(Expect.SYNC, Hide.NOTHING, null, status);
        break;
      case REFUSED:
        sendRefused(session, server, batch, op, out);
        break;
      default:
        out.bytes(batch.buffer, op.start, op.end); // Flush
    }
  }
}

/** Do plugins see rows of it? */
export function showsRows(batch: Batch): boolean {
  if (batch.rows !== null) return true;
  for (let i = 0; i < batch.opCount; i++) if (batch.ops[i]?.rows != null) return true;
  return false;
}

/** The columns of a portal whose rows plugins see, in the formats that its Bind asked for. The client does not see that. */
function describeRows(op: Op, rows: RowHook, replies: ReplyQueue, out: MessageWriter): void {
  out.begin(Frontend.DESCRIBE).byte(PORTAL).bytes(Buffer.from(op.portal, "latin1")).byte(0).end();
  replies.push(Expect.DESCRIBE_PORTAL, Hide.ALL, {
    described: (buffer, start, end) => rows.describe(buffer, start, end),
    done: () => {},
    skipped: () => {},
  });
}

function isStatement(batch: Batch, op: Op): boolean {
  return batch.buffer[op.start + HEADER_BYTES] === STATEMENT;
}

function sendParse(session: Session, server: Server, batch: Batch, op: Op, out: MessageWriter): void {
  const { statement } = op;
  const { replies } = server;
  if (op.local !== null) {
    replies.push(Expect.LOCAL, Hide.NOTHING, undoable(session, statement, op.before, op.local));
    return;
  }
  const global = op.global as GlobalStatement;
  if (!isGlobal(session, op)) {
    // Under the client's own name: the unnamed statement, or session mode.
    out.bytes(batch.buffer, op.start, op.end);
    if (statement?.name === "") server.unnamed = statement;
    replies.push(Expect.PARSE, Hide.NOTHING, new ClientParse(session, op, null, server));
    return;
  }
  if (server.prepared.use(global)) {
    if (server.status === TransactionStatus.FAILED) {
      // Only the server knows which statements it would take now.
      out.begin(Frontend.PARSE).byte(0).bytes(batch.buffer, op.restStart, op.end).end();
      server.unnamed = null;
      replies.push(Expect.PARSE, Hide.NOTHING, new ClientParse(session, op, null, server));
      return;
    }
    replies.push(Expect.LOCAL, Hide.NOTHING, undoable(session, statement, op.before, parseComplete));
    return;
  }
  session.database.counters.serverParses++;
  writeParse(server, global, out);
  replies.push(Expect.PARSE, Hide.NOTHING, new ClientParse(session, op, global, server));
}

/** The server fails where the client's message would have; a text is looked at before its name is. */
function sendRefused(session: Session, server: Server, batch: Batch, op: Op, out: MessageWriter): void {
  if (op.restStart > 0) {
    out.begin(Frontend.PARSE).byte(0).bytes(batch.buffer, op.restStart, op.end).end();
    server.unnamed = null;
    server.replies.push(Expect.PARSE, Hide.ALL);
  }
  writePoison(server, messageOf(batch.refusal as PoolerError, session.encoding), out);
}

/** What the server has not prepared yet is prepared in front of its use; the client does not see that. */
function prepare(server: Server, global: GlobalStatement, out: MessageWriter): void {
  if (server.prepared.use(global)) {
    server.retry.uses(global, false);
    return;
  }
  writeParse(server, global, out);
  server.replies.push(Expect.PARSE, Hide.ALL, new HiddenParse(server, global));
}

function writeParse(server: Server, global: GlobalStatement, out: MessageWriter): void {
  if (server.prepared.add(global)) {
    writeClose(out, global);
    server.replies.push(Expect.CLOSE, Hide.ALL);
  }
  server.retry.uses(global, true);
  out.bytes(global.parseMessage);
}

/** The same under the client's own name, which the server may not have: the unnamed statement, or what a plugin stood in for. */
function prepareOwn(session: Session, server: Server, op: Op, out: MessageWriter): void {
  const { statement } = op;
  if (statement === null || server.unnamed === statement || !(statement.unsent || (statement.name === "" && session.transactionMode)))
    return;
  const { sql, typeOids } = statement.info.global;
  out.begin(Frontend.PARSE).bytes(Buffer.from(statement.name, "latin1")).byte(0).bytes(sql).byte(0).int16(typeOids.length);
  for (const oid of typeOids) out.int32(oid);
  out.end();
  statement.unsent = false;
  if (statement.name === "") server.unnamed = statement;
  server.replies.push(Expect.PARSE, Hide.ALL, {
    done: () => {},
    skipped: () => {
      statement.unsent = !session.transactionMode;
    },
  });
}

function sendDescribe(session: Session, server: Server, batch: Batch, op: Op, out: MessageWriter): void {
  const { replies } = server;
  const { statement } = op;
  if (op.local !== null) {
    replies.push(Expect.LOCAL, Hide.NOTHING, op.local);
    return;
  }
  if (statement === null) {
    out.bytes(batch.buffer, op.start, op.end);
    replies.push(batch.buffer[op.start + HEADER_BYTES] === STATEMENT ? Expect.DESCRIBE_STATEMENT : Expect.DESCRIBE_PORTAL);
    return;
  }
  const global = op.global as GlobalStatement;
  const described = session.context.router === null ? null : new Described(global, op);
  if (op.parameters !== null) {
    // The client sees the parameters of what it prepared and the columns of what a plugin made of it.
    const types = declaredTypes(statement.info, session.standardStrings);
    if (types === null) {
      prepare(server, statement.info.global, out);
      writeDescribe(statement.info.global, out);
      replies.push(Expect.DESCRIBE_STATEMENT, Hide.ROW_DESCRIPTION);
    } else {
      const description = new MessageWriter(64);
      writeParameterDescription(description, types);
      replies.push(Expect.LOCAL, Hide.NOTHING, description.toBuffer());
    }
    prepare(server, global, out);
    writeDescribe(global, out);
    replies.push(Expect.DESCRIBE_STATEMENT, Hide.PARAMETER_DESCRIPTION, described);
    return;
  }
  if (isGlobal(session, op)) {
    prepare(server, global, out);
    writeDescribe(global, out);
  } else {
    prepareOwn(session, server, op, out);
    out.bytes(batch.buffer, op.start, op.end);
  }
  replies.push(Expect.DESCRIBE_STATEMENT, Hide.NOTHING, described);
}

/** Ask the server, unseen by the client, for the columns of what plugins made of the batch's statements. */
export function sendVerification(session: Session, server: Server, batch: Batch): void {
  const out = session.context.request.reset();
  for (const global of batch.unverified.flatMap(({ told, given }) => [told, given])) {
    if (typeof global === "string" || global.columns !== null) continue;
    prepare(server, global, out);
    writeDescribe(global, out);
    server.replies.push(Expect.DESCRIBE_STATEMENT, Hide.ALL, new Described(global, null));
  }
  out.begin(Frontend.SYNC).end();
  server.replies.push(Expect.SYNC, Hide.ALL);
  server.send(out.buffer, 0, out.length);
}

class Described implements ReplyWatcher {
  readonly #global: GlobalStatement;
  readonly #client: ClientStatement | null;
  readonly #plugin: string;

  /** `op`: the client's Describe, null when it did not ask. */
  constructor(global: GlobalStatement, op: Op | null) {
    this.#global = global;
    this.#client = op?.statement ?? null;
    this.#plugin = op?.plugin ?? "";
  }

  described(buffer: Buffer, start: number, end: number): void {
    const columns = columnsOf(buffer, start, end);
    this.#global.columns = columns;
    if (this.#client !== null) this.#client.told = { columns, global: this.#global, plugin: this.#plugin };
  }

  done(): void {}

  skipped(): void {}
}

export function writeDescribe(global: GlobalStatement, out: MessageWriter): void {
  out.begin(Frontend.DESCRIBE).byte(STATEMENT).bytes(global.nameBytes).byte(0).end();
}

export function writeBind(batch: Batch, op: Op, global: GlobalStatement, out: MessageWriter): void {
  const { buffer } = batch;
  const portalStart = op.start + HEADER_BYTES;
  out
    .begin(Frontend.BIND)
    .bytes(buffer, portalStart, portalStart + op.portal.length + 1)
    .bytes(global.nameBytes)
    .byte(0);
  const { parameters } = op;
  if (parameters === null) {
    out.bytes(buffer, op.restStart, op.end).end();
    return;
  }
  out.int16(parameters.formats.length);
  for (const format of parameters.formats) out.int16(format);
  out.int16(parameters.values.length);
  for (const value of parameters.values) {
    if (value === null) out.int32(-1);
    else out.int32(value.length).bytes(value);
  }
  out.bytes(buffer, op.resultFormatsStart, op.end).end();
}

export class HiddenParse implements ReplyWatcher {
  readonly #server: Server;
  readonly #global: GlobalStatement;

  constructor(server: Server, global: GlobalStatement) {
    this.#server = server;
    this.#global = global;
  }

  done(): void {
    this.#server.prepared.confirm(this.#global);
  }

  skipped(): void {
    this.#server.prepared.remove(this.#global);
  }
}

/** A client's own Parse: when the server never takes it, the client does not have the statement either. */
class ClientParse implements ReplyWatcher {
  readonly #session: Session;
  readonly #statement: ClientStatement | null;
  readonly #before: ClientStatement | undefined;
  readonly #global: GlobalStatement | null;
  readonly #server: Server;

  constructor(session: Session, op: Op, global: GlobalStatement | null, server: Server) {
    this.#session = session;
    this.#statement = op.statement;
    this.#before = op.before;
    this.#global = global;
    this.#server = server;
  }

  done(): void {
    if (this.#global === null) return;
    this.#server.prepared.confirm(this.#global);
    this.#session.database.knownStatements.add(this.#global);
  }

  skipped(failed: boolean): void {
    if (this.#global !== null) this.#server.prepared.remove(this.#global);
    const name = this.#statement?.name;
    // A Parse of the unnamed statement drops the old one before it fails.
    if (name !== undefined) this.#session.undoStatement(name, failed && name === "" ? undefined : this.#before);
  }
}

/** The reply to a change of `statement` that is taken back when the server passes over it: `bytes`, or the server's own. */
function undoable(
  session: Session,
  statement: ClientStatement | null,
  before: ClientStatement | undefined | null,
  bytes: Buffer | null,
): LocalReply | Buffer | null {
  return statement === null ? bytes : new UndoableReply(session, statement.name, before ?? undefined, bytes ?? nothing);
}

class UndoableReply implements LocalReply {
  readonly bytes: Buffer;
  readonly #session: Session;
  readonly #name: string;
  readonly #before: ClientStatement | undefined;

  constructor(session: Session, name: string, before: ClientStatement | undefined, bytes: Buffer) {
    this.bytes = bytes;
    this.#session = session;
    this.#name = name;
    this.#before = before;
  }

  done(): void {}

  skipped(): void {
    this.#session.undoStatement(this.#name, this.#before);
  }
}
