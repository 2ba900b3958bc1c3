// For plugins that observe: which statements a batch runs, and how each of them ended. A batch has such a list only while some plugin
// has query_end.
import type { PoolerError } from "../base/errors.js";
import type { ChainDecision } from "../plugins/types.js";
import type { Server } from "../server/server.js";
import type { UnitEnd } from "../server/unit-tap.js";
import type { Statement } from "../sql/statement.js";
import type { Batch } from "./batch.js";
import type { Session } from "./session.js";

/** A statement that is run. */
export interface Observed {
  readonly statement: Statement;
  /** As the client sent it. */
  readonly sql: Buffer;
  queryId: number;
  rewritten: boolean;
  /** Not null: a plugin answers it, with this command tag and so many rows. */
  tag: string | null;
  rows: number;
}

/** Null: nobody observes. */
export function observe(session: Session, statement: Statement, sql: Buffer): Observed | null {
  if (session.context.hooks?.seesEnds !== true) return null;
  return { statement, sql, queryId: 0, rewritten: false, tag: null, rows: 0 };
}

export function observeDecision(observed: Observed | null, decision: ChainDecision | null): void {
  if (observed === null || decision === null) return;
  observed.queryId = decision.queryId;
  observed.rewritten = decision.rewritten !== null;
  if (decision.intercept === null) return;
  observed.tag = decision.intercept.commandTag;
  observed.rows = decision.intercept.rowCount;
}

export function addObserved(batch: Batch, observed: Observed | null): void {
  if (observed === null) return;
  batch.observed ??= [];
  batch.observed.push(observed);
}

/** The batch needed no server. */
export function reportAnswered(session: Session, batch: Batch): void {
  for (const observed of batch.observed ?? [])
    report(session, batch.simple, observed, localEnd(session, observed), null, session.requestAtMs);
  batch.observed = null;
}

/** Its last statement that anybody has looked at was refused; those before it did not run. */
export function reportRefused(session: Session, batch: Batch, sqlstate: string, message: string): void {
  const last = batch.observed?.at(-1) ?? batch.lastBound;
  batch.lastBound = null;
  batch.observed = null;
  if (last === null) return;
  const end = { tag: null, rows: 0, suspended: false, sqlstate, message, atMs: session.context.clock.nowMs() };
  report(session, batch.simple, last, end, null, session.requestAtMs);
}

/** What was sent to a server is answered; `lost`: the server went, and who was not answered yet hears this. */
export function reportEnds(
  session: Session,
  simple: boolean,
  all: readonly Observed[],
  server: Server | null,
  lost: PoolerError | null,
): void {
  const ends = server?.tap?.take() ?? [];
  let next = 0;
  let sinceMs = session.requestAtMs;
  for (const observed of all) {
    if (observed.tag !== null) {
      report(session, simple, observed, localEnd(session, observed), null, sinceMs);
      continue;
    }
    const end = ends[next++];
    if (end === undefined) {
      // What stands behind an error was not run.
      if (lost === null || next !== ends.length + 1) return;
      const { sqlstate, message } = lost;
      report(
        session,
        simple,
        observed,
        { tag: null, rows: 0, suspended: false, sqlstate, message, atMs: session.context.clock.nowMs() },
        server,
        sinceMs,
      );
      return;
    }
    report(session, simple, observed, end, server, sinceMs);
    sinceMs = end.atMs;
    if (end.sqlstate !== null) return;
  }
}

function localEnd(session: Session, { tag, rows }: Observed): UnitEnd {
  return { tag, rows, suspended: false, sqlstate: null, message: null, atMs: session.context.clock.nowMs() };
}

function report(session: Session, simple: boolean, observed: Observed, end: UnitEnd, server: Server | null, sinceMs: number): void {
  const { statement, sql, queryId, rewritten } = observed;
  const { tag, rows, suspended, sqlstate, message, atMs } = end;
  session.context.hooks?.queryEnd({
    statement,
    sql,
    session: session.chainSession,
    extended: !simple,
    queryId,
    rewritten,
    durationMs: atMs - sinceMs,
    rows,
    suspended,
    tag,
    sqlstate,
    message,
    route: server === null ? null : session.route,
    address: server?.address ?? null,
  });
}
