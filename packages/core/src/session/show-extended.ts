// Shows what an extended batch prepares and runs to the plugins, and notes on its messages what they made of it: answered here,
// sent to the server as something else, or as it is. Throws what is refused. Must not know how a batch is routed or sent.
import { PoolerError } from "../base/errors.js";
import { RowHook } from "../plugins/row-hook.js";
import type { ChainDecision } from "../plugins/types.js";
import { writeEmpty, writeParameterDescription } from "../protocol/backend.js";
import { Backend, Frontend, HEADER_BYTES } from "../protocol/codes.js";
import { MessageWriter, readInt32 } from "../protocol/message-writer.js";
import type { AskContext } from "../router/router.js";
import type { Statement } from "../sql/statement.js";
import { ask } from "./asking.js";
import type { Batch, Op } from "./batch.js";
import type { ClientStatement, StatementInfo } from "./client-statements.js";
import { checkColumns, columnsKey } from "./columns.js";
import { addObserved, observe, observeDecision } from "./ending.js";
import { describeColumns, LocalPortal } from "./local-portal.js";
import { parameterTypes } from "./parameter-types.js";
import type { Session } from "./session.js";

const small = new MessageWriter(256);
const parseComplete = written((to) => writeEmpty(to, Backend.PARSE_COMPLETE));
const bindComplete = written((to) => writeEmpty(to, Backend.BIND_COMPLETE));
const closeComplete = written((to) => writeEmpty(to, Backend.CLOSE_COMPLETE));

export function showExtended(session: Session, batch: Batch, asking: AskContext): void {
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    switch (op.type) {
      case Frontend.PARSE:
        // Asked when it is described or run; one that is only prepared is asked about here.
        if (op.statement !== null && !usesOf(batch, op).some((use) => use.type !== Frontend.CLOSE))
          showPrepared(session, batch, asking, op);
        break;
      case Frontend.DESCRIBE:
        if (op.statement !== null) {
          showPrepared(session, batch, asking, op);
        } else {
          op.localPortal = session.localPortals?.get(op.portal) ?? null;
          if (op.localPortal !== null) op.local = written((to) => op.localPortal?.describe(to));
        }
        break;
      case Frontend.BIND:
        showBind(session, batch, asking, op, i);
        break;
      case Frontend.EXECUTE:
        op.localPortal = session.localPortals?.get(op.portal) ?? null;
        op.rows = session.rowPortals?.get(op.portal) ?? null;
        addObserved(batch, session.observedPortals?.get(op.portal) ?? null);
        if (op.localPortal !== null) {
          const limit = Math.max(0, readInt32(batch.buffer, op.restStart));
          op.local = written((to) => op.localPortal?.execute(to, limit));
        }
        break;
      case Frontend.CLOSE:
        if (op.statement === null && session.localPortals?.delete(op.portal)) op.local = closeComplete;
        break;
    }
  }
  for (let i = 0; i < batch.opCount; i++) {
    const op = batch.ops[i] as Op;
    if (op.type !== Frontend.PARSE || op.statement === null) continue;
    // No server has to take a text of which nothing is left: it takes what became of it, if that is anything.
    const uses = usesOf(batch, op);
    if (op.local === null && uses.length > 0 && uses.every(isReplaced)) {
      op.rewritten = uses.find(({ local, rewritten }) => local === null && rewritten !== null)?.rewritten ?? null;
      if (op.rewritten === null) op.local = parseComplete;
      else op.global = op.rewritten.global;
    }
    if (op.local !== null) op.statement.unsent = !session.transactionMode;
  }
}

/** Bind, Describe and Close of the statement that `parse` makes, behind it. */
function usesOf(batch: Batch, parse: Op): readonly Op[] {
  return batch.ops.slice(0, batch.opCount).filter((op) => op !== parse && op.statement !== null && op.statement === parse.statement);
}

function isReplaced(op: Op): boolean {
  return op.local !== null || op.type === Frontend.CLOSE || op.global !== op.statement?.info.global;
}

/** Null: there is nothing to show. */
function statementOf(session: Session, info: StatementInfo): Statement | null {
  const source = session.context.statements;
  if (source === null) return null;
  const { encoding, standardStrings } = session;
  const { global } = info;
  if (global.shown === null || !source.keeps(global.shown, encoding, standardStrings))
    global.shown = source.statementsOf(global.sql, 0, global.sql.length, encoding, standardStrings);
  const { statements } = global.shown;
  if (statements.length < 2) return statements[0] ?? null;
  // The server refuses several statements. Who inspects does not rely on it to count as we do.
  if (session.context.router?.chain.inspects) throw severalCommands();
  return null;
}

export function severalCommands(): PoolerError {
  return new PoolerError("NOT_SUPPORTED", "cannot insert multiple commands into a prepared statement", { sqlstate: "42601" });
}

/** A driver prepares or describes: rewrites and intercepts count, routes do not. */
function showPrepared(session: Session, batch: Batch, asking: AskContext, op: Op): void {
  const { router } = session.context;
  const client = op.statement as ClientStatement;
  const statement = statementOf(session, client.info);
  if (router === null || statement === null) return;
  const decision = ask(router, session, batch, asking, statement, client.info.command, null, true);
  if (decision === null) return;
  op.plugin = decision.plugin;
  if (decision.intercept !== null) {
    if (op.type !== Frontend.DESCRIBE) {
      op.local = parseComplete;
      return;
    }
    const { columns } = decision.intercept;
    client.told = { columns: columnsKey(columns, session.encoding), global: null, plugin: decision.plugin };
    op.local = written((to) => {
      writeParameterDescription(to, parameterTypes(client.info, session.standardStrings));
      describeColumns(to, columns, [], session.encoding);
    });
  } else if (decision.rewritten !== null) {
    replace(session, op, decision);
  }
}

function showBind(session: Session, batch: Batch, asking: AskContext, op: Op, at: number): void {
  const { router, bind } = session.context;
  const client = op.statement;
  const statement = client === null ? null : statementOf(session, client.info);
  session.localPortals?.delete(op.portal);
  session.rowPortals?.delete(op.portal);
  session.observedPortals?.delete(op.portal);
  if (router === null || client === null || statement === null) {
    if (client === null && router?.chain.inspects)
      throw new PoolerError("FACTS_UNAVAILABLE", "a plugin must see every statement, and this one was prepared in SQL");
    return;
  }
  bind.readNames(batch.buffer, op.start + HEADER_BYTES, op.end);
  bind.readParameters(batch.buffer, op.end, client.info.global.typeOids);
  const observed = observe(session, statement, statement.sql);
  if (observed !== null) {
    session.observedPortals ??= new Map();
    session.observedPortals.set(op.portal, observed);
    batch.lastBound = observed;
  }
  const decision = ask(router, session, batch, asking, statement, client.info.command, bind, false);
  observeDecision(observed, decision);
  op.plugin = decision?.plugin ?? "";
  if (decision !== null && decision.rows !== null) {
    op.rows = new RowHook(decision.rows);
    session.rowPortals ??= new Map();
    session.rowPortals.set(op.portal, op.rows);
  }
  if (decision?.outcome === "intercept" && decision.intercept !== null) {
    checkTold(batch, op, at, columnsKey(decision.intercept.columns, session.encoding));
    op.localPortal = new LocalPortal(decision.intercept, bind.resultFormats(batch.buffer), decision.plugin, session.encoding);
    op.local = bindComplete;
    session.keepLocalPortal(op.portal, op.localPortal);
    return;
  }
  if (decision !== null && decision.rewritten !== null) {
    replace(session, op, decision);
    op.resultFormatsStart = bind.resultFormatsStart - 2;
  }
  checkTold(batch, op, at, op.global as NonNullable<Op["global"]>);
}

function replace(session: Session, op: Op, decision: ChainDecision): void {
  const client = op.statement as ClientStatement;
  const typeOids = decision.rewrittenParameters?.typeOids ?? client.info.global.typeOids;
  op.rewritten = session.context.registry.internText(
    (decision.rewritten as Statement).sql,
    typeOids,
    session.readingNow(),
    session.standardStrings,
  );
  op.global = op.rewritten.global;
  client.standIn = op.global;
  op.parameters = decision.rewrittenParameters;
}

/** The client reads rows by the columns that it was told: what plugins made of the statement must have the same ones. */
function checkTold(batch: Batch, op: Op, at: number, given: NonNullable<Op["global"]> | string): void {
  const client = op.statement as ClientStatement;
  let { told } = client;
  for (let i = at - 1; i >= 0; i--) {
    const earlier = batch.ops[i] as Op;
    if (earlier.type !== Frontend.DESCRIBE || earlier.statement !== client) continue;
    if (earlier.local === null) told = { columns: earlier.global?.columns ?? null, global: earlier.global, plugin: earlier.plugin };
    break;
  }
  if (told === null || told.global === given) return;
  const promise = { told: told.columns ?? told.global ?? "", given, plugin: op.plugin === "" ? told.plugin : op.plugin };
  if (!checkColumns(promise)) batch.unverified.push(promise);
}

function written(write: (to: MessageWriter) => void): Buffer {
  write(small.reset());
  return small.toBuffer();
}
