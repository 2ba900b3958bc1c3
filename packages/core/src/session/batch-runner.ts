// Runs one batch of a client at a time: plans it, gets it a server with the client's settings, sends it, and settles what it did
// when the last ReadyForQuery came. The states are the session's. A session has one from a batch's first byte until it is at rest
// again (see Session), then it serves others: thousands of clients who do nothing hold none.
import { PoolerError } from "../base/errors.js";
import type { Route } from "../pool/database.js";
import type { HostPool, NoServerCause } from "../pool/host-pool.js";
import { Refusal } from "../pool/multiplex.js";
import { writeReadyForQuery } from "../protocol/backend.js";
import { Frontend, HEADER_BYTES, TransactionStatus } from "../protocol/codes.js";
import { cancelServer } from "../server/cancel.js";
import type { LostHow } from "../server/carriage.js";
import { Expect, Hide } from "../server/reply-queue.js";
import type { Server } from "../server/server.js";
import { type Batch, endsWithSync } from "./batch.js";
import type { ClientStatement } from "./client-statements.js";
import { checkColumns } from "./columns.js";
import { sendBatch, sendVerification, showsRows } from "./dispatch.js";
import { type Observed, reportAnswered, reportEnds } from "./ending.js";
import { HeldTransaction } from "./held-transaction.js";
import { planExtended } from "./plan-extended.js";
import { planQuery } from "./plan-query.js";
import { beginPlan, PluginWait, QuestionPending } from "./plugin-wait.js";
import { messageOf, Refusals } from "./refusals.js";
import { findKind, type Ride } from "./ride.js";
import type { Session } from "./session.js";
import { leavesOpen, noEffects, type SessionEffect, SettingsTracker } from "./session-effects.js";
import { sameSettings, settingsDifference } from "./settings.js";

/** A batch that nothing of was sent is started again this often when its host or server is lost. */
const mostRestarts = 3;

export class BatchRunner {
  /** COPY data from the client is expected. */
  copyIn = false;
  /** CopyDone or CopyFail went to the server, and the COPY is not over yet. */
  copyEnded = false;
  /** The batch that runs is a simple query. */
  simple = false;
  /** The batch that runs has had its Sync sent. */
  syncSent = false;
  readonly refusals: Refusals;
  readonly tracker: SettingsTracker;
  /** When the last batch came. */
  requestAtMs: number;
  /** When the last batch was over. */
  #readyAtMs = 0;
  /** The batch that runs shares a server, or waits for one to share. */
  ride: Ride | null = null;
  /** What runs, while plugins observe. */
  #observed: Observed[] | null = null;
  /** While a transaction has settings of its own, its statements are nobody else's. */
  reading: string | null = null;
  #session: Session | null;
  readonly #pluginWait = new PluginWait();
  /** The batch that waits for an answer, its server, its settings or its verification. */
  #batch: Batch | null = null;
  #pool: HostPool | null = null;
  #effects: readonly SessionEffect[] = noEffects.effects;
  #statusBefore: number = TransactionStatus.IDLE;
  /** SET LOCAL was seen in the transaction: settings change at its end. */
  #setsLocally = false;
  /** The unit that runs was only prepared, with a transaction held. */
  #prepareOnly = false;
  /** The transaction may have changed tables. */
  #changesSchema = false;
  /** A cancel request came before the batch was sent. */
  #cancelled = false;
  /** The unit that runs ends without a ReadyForQuery for the client. */
  #quiet = false;
  /** Statements that the server's error in this batch has taken back. */
  readonly #undone = new Set<string>();
  #transactionAtMs = 0;
  #restarts = 0;

  constructor(session: Session) {
    this.#session = session;
    this.refusals = new Refusals(this);
    this.tracker = new SettingsTracker(session);
    this.requestAtMs = session.requestAtMs;
  }

  /** Whose it is. Nobody's after end(): whatever is called then fails, rather than reach another client. */
  get session(): Session {
    return this.#session as Session;
  }

  /** Since when nothing runs; what was answered here was over with the request. */
  get sinceMs(): number {
    return Math.max(this.#readyAtMs, this.requestAtMs);
  }

  get lent(): boolean {
    return this.#session !== null;
  }

  end(): void {
    this.#session = null;
  }

  /** Another client's from now on: nothing is left of the one before. Every field is named here. */
  begin(session: Session): void {
    this.#session = session;
    this.copyIn = false;
    this.copyEnded = false;
    this.simple = false;
    this.syncSent = false;
    this.refusals.skipping = false;
    this.tracker.begin(session);
    this.requestAtMs = session.requestAtMs;
    this.#readyAtMs = 0;
    this.reading = null;
    this.#pluginWait.reset();
    this.#batch = null;
    this.#pool = null;
    this.#effects = noEffects.effects;
    this.#statusBefore = TransactionStatus.IDLE;
    this.#setsLocally = false;
    this.#prepareOnly = false;
    this.#cancelled = false;
    this.#quiet = false;
    this.#forgetUndone();
    this.#transactionAtMs = 0;
    this.#restarts = 0;
    this.#changesSchema = false;
    this.ride = null;
    this.#observed = null;
  }

  /** Are settings expected to change now? */
  get changesSettings(): boolean {
    return this.session.state === "preparing" || this.#effects.length > 0 || this.#setsLocally || this.tracker.pending;
  }

  /** A unit came. */
  run(buffer: Buffer, start: number, end: number): void {
    const { session } = this;
    const { context } = session;
    const batch = context.batches.take();
    batch.begin(buffer, start, end);
    this.#restarts = 0;
    context.reply.reset();
    this.requestAtMs = context.clock.nowMs();
    session.database.counters.queries++;
    this.#plan(session, batch);
  }

  #plan(session: Session, batch: Batch): void {
    const { context } = session;
    const { buffer, start, end } = batch;
    const marks = context.router?.chain.waits === true ? beginPlan(session, batch) : null;
    let toServer: boolean;
    try {
      if (context.refusal !== null && !session.inTransaction && !session.batchOpen) throw context.refusal;
      if (buffer[start] === Frontend.QUERY) toServer = this.#ridesUnplanned(batch) || planQuery(session, batch);
      else if (buffer[start] === Frontend.FUNCTION_CALL) toServer = this.#planFunctionCall(batch);
      else toServer = planExtended(session, batch);
    } catch (error) {
      if (error instanceof QuestionPending && marks !== null) {
        this.#setAside(batch);
        this.#pluginWait.begin(session, batch, error.question, marks);
        return;
      }
      if (!(error instanceof PoolerError)) throw error;
      if (batch.opCount === 0) batch.endsWithSync = batch.simple || endsWithSync(buffer, start, end);
      else batch.endsWithSync = endsWithSync(buffer, start, end);
      this.refusals.refuse(batch, error);
      return;
    }
    const { counters } = session.database;
    counters.clientParses += batch.parses;
    counters.binds += batch.binds;
    if (toServer) {
      if (batch.answering) {
        // Its beginning was answered here.
        session.sendReply();
        batch.answering = false;
      }
      this.#start(batch);
      return;
    }
    if (batch.observed !== null) reportAnswered(session, batch);
    if (batch.endsWithSync) {
      writeReadyForQuery(context.reply, session.status);
      if (!session.inTransaction) session.localPortals = null;
    }
    session.sendReply();
    this.giveBack(batch);
  }

  /** Planned once more, with the answer; or the next question comes up. */
  onAnswer(): void {
    const { session } = this;
    const batch = this.#batch as Batch;
    this.#pluginWait.end(session);
    session.context.reply.reset();
    if (session.server?.replies.skipping === true) {
      // What was sent before of the same batch has failed meanwhile.
      const synced = batch.endsWithSync;
      this.giveBack(batch);
      if (synced) this.refusals.endSkipping();
    } else {
      batch.beginAgain();
      this.#plan(session, batch);
    }
    session.pump();
  }

  /** The batch has to wait: its messages are kept, since the client's next ones take their place. */
  #setAside(batch: Batch): void {
    if (this.#batch === batch) return;
    batch.keep(this.session.context.memory, this.session.surrendersUnit);
    this.#batch = batch;
  }

  /** The old function call protocol: goes where a transaction goes that says nothing of itself. */
  #planFunctionCall(batch: Batch): boolean {
    batch.simple = true;
    batch.endsWithSync = true;
    if (this.session.context.router?.chain.inspects)
      throw new PoolerError(
        "FACTS_UNAVAILABLE",
        "function calls of the old protocol are not allowed here: a plugin must see every statement",
      );
    batch.unclear = true;
    if (this.session.server === null) {
      batch.draft.needsPrimary = true;
      this.session.resolveRoute(batch, true, this.session.held !== null, false);
    }
    return true;
  }

  /** A simple query that may share a server needs no other plan when there is nothing to choose and nobody to ask. */
  #ridesUnplanned(batch: Batch): boolean {
    const { session } = this;
    const { multiplex, singleTarget } = session.database;
    if (multiplex === null || session.server !== null || session.context.router !== null || !singleTarget) return false;
    if (batch.end - batch.start < HEADER_BYTES + 1 || batch.buffer[batch.end - 1] !== 0) return false;
    batch.simple = true;
    batch.kind = findKind(session, batch, multiplex);
    batch.endsWithSync = true;
    batch.judged = true;
    if (batch.kind === null) return false;
    session.statements?.delete(""); // a simple query drops the unnamed statement
    batch.route = onlyRoute;
    batch.writes = batch.kind.certainty.writes;
    return true;
  }

  /** It may share a server, and waits for one now. */
  #rides(batch: Batch, pool: HostPool): boolean {
    const { session } = this;
    const { multiplex } = session.database;
    if (multiplex === null || !session.transactionMode || batch.rode) return false;
    if (!batch.judged) {
      batch.judged = true;
      if (
        !batch.unclear &&
        !batch.pins &&
        !batch.setsLocally &&
        batch.effects.length === 0 &&
        batch.rewritten === null &&
        !showsRows(batch) &&
        batch.observed === null
      )
        batch.kind = findKind(session, batch, multiplex);
    }
    if (batch.kind === null) return false;
    if (!pool.allowsRides(batch.kind)) {
      multiplex.refuse(Refusal.RELATION);
      return false;
    }
    batch.rode = true;
    if (this.#batch !== batch) batch.keep(session.context.memory, session.surrendersUnit);
    this.#batch = null;
    multiplex.counters.rides++;
    const ride = session.context.rides.take();
    ride.begin(this, batch, pool);
    this.ride = ride;
    session.state = "riding";
    const error = pool.ride(ride);
    if (error === null) return true;
    session.state = "idle";
    this.refusals.refuse(ride.takeBatch(), error);
    return true;
  }

  #start(batch: Batch): void {
    const { server } = this.session;
    if (server !== null) {
      // A server that stays with the client: RESET went back to the server's settings, not to those of the client's startup.
      const isClean =
        this.session.batchOpen || server.status !== TransactionStatus.IDLE || sameSettings(server.settings, this.session.settings);
      if (isClean) this.#dispatch(batch);
      else this.#prepareSettings(server, batch);
      return;
    }
    const { database, user } = this.session;
    const pool = database.poolFor(user, batch.route as Route);
    if (pool instanceof PoolerError) {
      this.refusals.refuse(batch, pool);
      return;
    }
    this.#pool = pool;
    if (this.#rides(batch, pool)) return;
    const found = pool.acquire(this.session);
    if (found instanceof PoolerError) {
      this.refusals.refuse(batch, found);
    } else if (found === null) {
      this.#setAside(batch);
      this.session.state = "waiting";
    } else {
      this.#lease(found, batch, this.requestAtMs);
    }
  }

  onServer(server: Server): void {
    const nowMs = server.idleSinceMs; // it has come free just now
    this.session.database.counters.waitMs += Math.max(0, nowMs - this.session.waitingSinceMs);
    this.#lease(server, this.#batch as Batch, nowMs);
  }

  onNoServer(error: PoolerError, cause: NoServerCause): void {
    const { session } = this;
    const batch = this.#batch as Batch;
    session.state = "idle";
    const mayRestart = cause === "replaced" || (cause === "host" && batch.route?.role === "replica"); // a read may go elsewhere
    if (mayRestart && this.#restarts++ < mostRestarts) this.#start(batch);
    else this.refusals.refuse(batch, error);
    session.pump();
  }

  #lease(server: Server, batch: Batch, nowMs: number): void {
    const { session } = this;
    server.lease(session);
    session.database.counters.serverAssignments++;
    session.server = server;
    session.route = batch.route;
    session.routeWrites = batch.writes;
    this.#transactionAtMs = nowMs;
    if (sameSettings(server.settings, session.settings)) this.#dispatch(batch);
    else this.#prepareSettings(server, batch);
  }

  /** The server gets the settings of this client, in a round trip of its own: a statement must not run with others. */
  #prepareSettings(server: Server, batch: Batch): void {
    this.#setAside(batch);
    this.session.state = "preparing";
    const statements = settingsDifference(server.settings, this.session.settings, server.first);
    const out = this.session.context.request.reset();
    out
      .begin(Frontend.QUERY)
      .bytes(Buffer.from(statements.join("; "), "latin1"))
      .byte(0)
      .end();
    server.beginUnit(this.session.context.clock.nowMs());
    server.replies.push(Expect.QUERY, Hide.ALL);
    server.send(out.buffer, 0, out.length);
  }

  #settingsPrepared(failed: boolean): void {
    const server = this.session.server as Server;
    const batch = this.#batch as Batch;
    let message: Buffer | null = null;
    if (failed) {
      server.unknownState = true;
      const error = new PoolerError("SERVER_LOST", "the settings of the session could not be made");
      message = server.takeHiddenError() ?? messageOf(error, this.session.encoding);
    } else {
      server.settings = this.session.settings;
    }
    this.#dispatchUnless(message ?? this.#takeCancel(), server, batch);
  }

  /** Plugins changed statements that were described to the client: their columns must be the same. */
  #verify(server: Server, batch: Batch): void {
    this.#setAside(batch);
    this.session.state = "verifying";
    server.beginUnit(this.session.context.clock.nowMs());
    sendVerification(this.session, server, batch);
  }

  #verified(failed: boolean): void {
    const server = this.session.server as Server;
    const batch = this.#batch as Batch;
    this.session.state = "active";
    let message: Buffer | null = failed ? server.takeHiddenError() : null;
    try {
      for (const promise of batch.unverified) if (message === null) checkColumns(promise);
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      message = messageOf(error, this.session.encoding);
    }
    batch.unverified.length = 0;
    this.#dispatchUnless(message ?? this.#takeCancel(), server, batch);
  }

  /** Nothing of the batch was sent yet: with a `message` nothing of it will be, and the client gets that. */
  #dispatchUnless(message: Buffer | null, server: Server, batch: Batch): void {
    if (message === null) {
      this.#dispatch(batch);
      return;
    }
    if (server.status === TransactionStatus.IDLE && this.session.transactionMode && !this.session.pinned) this.release();
    this.session.state = "idle";
    this.refusals.refuseWith(batch, message);
    this.session.pump();
  }

  /** What the client gets when a cancel request came before its batch was sent. */
  #takeCancel(): Buffer | null {
    if (!this.#cancelled) return null;
    this.#cancelled = false;
    return messageOf(cancelled(), this.session.encoding);
  }

  #dispatch(batch: Batch): void {
    const server = this.session.server as Server;
    if (batch.unverified.length > 0) {
      this.#verify(server, batch);
      return;
    }
    if (!this.session.batchOpen && server.status === TransactionStatus.IDLE) this.tracker.applied = server.settings;
    const held = this.session.held;
    const prepareOnly = batch.prepareOnly && held !== null;
    this.#prepareOnly = prepareOnly;
    this.#statusBefore = held !== null && !prepareOnly ? TransactionStatus.IN_TRANSACTION : server.status;
    this.#effects = this.session.batchOpen ? [...this.#effects, ...batch.effects] : batch.effects;
    // What plugins ran first may be undone by RESET and DISCARD.
    if (batch.unclear || (server.first.length > 0 && batch.effects.length > 0)) server.unknownState = true;
    if (batch.changesSchema) this.#changesSchema = true;
    if (batch.pins) this.session.pinned = true;
    if (batch.writes) this.session.routeWrites = true;
    if (batch.setsLocally || (held !== null && !prepareOnly)) this.#setsLocally = true;
    sendBatch(this.session, server, batch, prepareOnly ? this.session.status : 0);
    if (batch.observed !== null) this.#observed = this.#observed === null ? batch.observed : [...this.#observed, ...batch.observed];
    batch.observed = null;
    if (batch.refusal !== null && !batch.endsWithSync) this.refusals.skipping = true;
    if (held !== null && !prepareOnly) {
      // Whatever becomes of the statement: what was held came before it.
      this.tracker.succeeded(held.effects, true);
      this.session.held = null;
    }
    this.simple = batch.simple;
    if (!this.session.batchOpen) this.copyEnded = false;
    this.#quiet = batch.endsQuietly;
    this.syncSent = batch.endsWithSync;
    this.session.batchOpen = !batch.endsWithSync && !batch.endsQuietly;
    this.session.state = "active";
    this.#batch = null;
    this.session.context.batches.giveBack(batch);
    // No ReadyForQuery comes before the rest of the batch, which may wait in the inbox.
    if (this.session.batchOpen) this.session.context.engine.defer(this.session);
  }

  onReady(status: number, failed: boolean, owed: boolean): void {
    if (owed) return;
    if (this.session.state === "preparing") {
      this.#settingsPrepared(failed);
      return;
    }
    if (this.session.state === "verifying") {
      this.#verified(failed);
      return;
    }
    if (this.session.state !== "active") return;
    const server = this.session.server as Server;
    const nowMs = this.session.context.clock.nowMs();
    const { counters } = this.session.database;
    this.copyIn = false;
    this.session.batchOpen = false;
    counters.queryMs += nowMs - this.requestAtMs;
    if (this.#observed !== null) this.#reportEnds(server, null);
    this.#forgetUndone();
    if (failed) counters.errors++;
    if (failed && this.#prepareOnly) this.session.held?.fail();
    if (failed && this.#quiet) {
      const error = server.takeHiddenError();
      if (error !== null) this.session.deliver(error, 0, error.length);
      this.refusals.skipping = true;
    }
    if (!this.#prepareOnly) this.#settle(server, status, failed);
    this.#readyAtMs = nowMs;
    if (status !== TransactionStatus.IN_TRANSACTION && !this.#prepareOnly && !this.#quiet)
      this.session.localPortals = this.session.rowPortals = this.session.observedPortals = null;
    if (status === TransactionStatus.IDLE) {
      counters.transactions++;
      counters.transactionMs += nowMs - this.#transactionAtMs;
      this.reading = null;
      if (this.session.routeWrites && this.session.route?.role === "primary" && !this.#prepareOnly)
        this.session.wroteAtMs = Math.round(nowMs);
      this.#setsLocally = false;
      if (this.#changesSchema) {
        this.#changesSchema = false;
        if (this.session.database.multiplex !== null) this.session.database.multiplex.schema++;
      }
      if (!sameSettings(this.tracker.applied, this.session.settings)) this.session.tellStartupSettings();
      if (this.session.transactionMode && !this.session.pinned) this.release(false, nowMs);
    }
    this.session.state = "idle";
    this.session.pump();
  }

  /** For plugins that observe. */
  #reportEnds(server: Server | null, lost: PoolerError | null): void {
    const observed = this.#observed ?? [];
    this.#observed = null;
    reportEnds(this.session, this.simple, observed, server, lost);
  }

  /** What the batch did to the settings counts now, or never. */
  #settle(server: Server, status: number, failed: boolean): void {
    const effects = this.#effects;
    const { tracker } = this;
    if (effects.length === 0 && !tracker.pending) return;
    this.#effects = [];
    if (this.#statusBefore === TransactionStatus.FAILED && status === TransactionStatus.IDLE) {
      tracker.rolledBack(); // COMMIT of a failed transaction is a ROLLBACK
    } else if (!failed) {
      tracker.succeeded(effects, status !== TransactionStatus.IDLE);
      if (effects.some(({ kind }) => kind === "discard" || kind === "deallocate")) {
        this.session.statements = null;
        server.prepared.clear();
      }
    } else if (effects.length > 1 && effects.some(({ kind }) => kind === "set" || kind === "reset")) {
      server.unknownState = true; // which of them took effect is not known
    }
    if (status === TransactionStatus.IDLE) {
      tracker.rolledBack();
      server.settings = tracker.applied;
    }
  }

  onServerLost(error: PoolerError, broken: boolean): void {
    const batch = this.#batch;
    const wasAsking = this.session.state === "asking";
    if (wasAsking) this.#pluginWait.end(this.session);
    const wasIdle = !wasAsking && this.session.state === "idle";
    const wasOpen = this.session.server !== null && this.session.server.status !== TransactionStatus.IDLE;
    const { batchOpen } = this.session;
    const synced = this.syncSent;
    const effects = this.#effects;
    if (this.#observed !== null) this.#reportEnds(this.session.server, error);
    this.session.server = null;
    this.session.route = null;
    this.copyIn = false;
    this.session.batchOpen = false;
    this.#effects = [];
    this.#cancelled = false;
    this.session.forgetServerFull();
    this.reading = null;
    this.#forgetUndone();
    this.tracker.rolledBack();
    if (this.session.state === "closed") return;
    if (broken) {
      this.session.breakOff();
      return;
    }
    if (this.session.pinned || !this.session.transactionMode) {
      this.session.fatal(error);
      return;
    }
    if (wasIdle) {
      // In a transaction: the client hears of it with its next statement.
      this.session.held = HeldTransaction.lost(error);
      return;
    }
    this.session.state = "idle";
    if (batch !== null) {
      if (wasOpen) this.session.held = HeldTransaction.lost(null);
      // Nothing of it was sent yet.
      if (!wasOpen && !wasAsking && this.#restarts++ < mostRestarts) this.#start(batch);
      else this.refusals.refuse(batch, error);
    } else {
      this.session.database.counters.errors++;
      // What else the client does in the transaction, or has sent behind its BEGIN, must not run on its own.
      const wasBegun = this.#statusBefore !== TransactionStatus.IDLE;
      if (leavesOpen(effects, wasBegun) && (wasBegun || this.session.sentAhead)) this.session.held ??= HeldTransaction.lost(null);
      this.session.held?.fail();
      const reply = this.session.context.reply.reset().bytes(messageOf(error, this.session.encoding));
      if ((batchOpen || this.#quiet) && !synced) this.refusals.skipping = true;
      else writeReadyForQuery(reply, this.session.status);
      this.session.sendReply();
    }
    this.session.pump();
  }

  // --- Batches that share a server

  rideEnded(batch: Batch, status: number, failed: boolean, boardedAtMs: number, nowMs: number): void {
    const { session } = this;
    const { counters } = session.database;
    counters.queryMs += nowMs - this.requestAtMs;
    counters.transactions++;
    counters.transactionMs += nowMs - boardedAtMs;
    if (failed) counters.errors++;
    this.#readyAtMs = nowMs;
    session.localPortals = null;
    if (batch.writes && batch.route?.role === "primary") session.wroteAtMs = Math.round(nowMs);
    // It opened a transaction, against all that was known of it, and that is gone with its server.
    if (status !== TransactionStatus.IDLE) session.held = HeldTransaction.lost(null);
    session.context.batches.giveBack(batch);
    session.state = "idle";
    session.pump();
  }

  /** The pool has no server for it. */
  rideRefused(batch: Batch, error: PoolerError, cause: NoServerCause): void {
    batch.rode = false;
    this.#batch = batch;
    this.onNoServer(error, cause);
  }

  /** Nothing of it took effect: it runs by itself. */
  rideAgain(batch: Batch): void {
    this.session.database.multiplexCounters.again++;
    this.#runAlone(batch);
  }

  /** What runs before it takes too long: it is sent elsewhere, too. */
  rideMoved(batch: Batch): void {
    this.session.database.multiplexCounters.moved++;
    this.#runAlone(batch);
  }

  #runAlone(batch: Batch): void {
    const { session } = this;
    session.state = "idle";
    this.#batch = batch;
    this.#start(batch);
    session.pump();
  }

  rideLost(batch: Batch, error: PoolerError, how: LostHow, broken: boolean, writes: boolean): void {
    const { session } = this;
    if (broken) {
      this.giveBack(batch);
      session.breakOff();
      return;
    }
    if (how !== "running" && !writes && session.database.config.multiplex?.retryReads !== false) {
      this.rideAgain(batch);
      return;
    }
    session.state = "idle";
    this.refusals.refuse(batch, how === "running" ? error : lostBehind(error, how, writes));
    session.pump();
  }

  sendCancel(server: Server, pool: HostPool | null): void {
    void this.#cancelServer(server, pool);
  }

  /** The transaction is over: the server goes back. */
  release(halfway = false, nowMs = this.session.context.clock.nowMs()): void {
    const { server } = this.session;
    this.session.server = null;
    this.session.route = null;
    this.session.transactionReadOnly = false;
    this.session.routeWrites = false;
    this.session.forgetServerFull(); // whatever it still has to take is nothing to this client
    server?.release(nowMs, halfway || this.session.insideCopyData);
  }

  /** The server waits for COPY data, unless all of it was sent ahead. */
  beginCopyIn(): void {
    this.copyIn = !this.copyEnded;
    this.copyEnded = false;
  }

  /** Until the transaction ends: a setting that changes what a text means is not the session's, or not yet. */
  readsOtherwise(): void {
    this.reading ??= this.session.context.registry.uniqueReading();
  }

  /** The server never got to a message that changed the statement `name`: the client has what it had before the batch. */
  undoStatement(name: string, before: ClientStatement | undefined): void {
    if (this.#undone.has(name)) return;
    this.#undone.add(name);
    if (before === undefined) this.session.statements?.delete(name);
    else this.session.keepStatement(name, before);
  }

  #forgetUndone(): void {
    if (this.#undone.size > 0) this.#undone.clear(); // clearing allocates, also where there is nothing
  }

  /** A statement that only fails is sent to the server: nothing of what ran before counts. */
  beginPoison(server: Server): void {
    this.#effects = [];
    this.#statusBefore = server.status;
    this.simple = true;
    this.#quiet = false;
    this.syncSent = true;
    this.session.state = "active";
  }

  /** The batch is done with: its memory serves others. */
  giveBack(batch: Batch): void {
    this.#batch = null;
    this.session.context.batches.giveBack(batch);
  }

  /** A cancel request for this client. Resolves when nothing of it is under way any more; null: nothing is. */
  cancel(): Promise<void> | null {
    const { session } = this;
    if (session.state === "asking") {
      this.#pluginWait.end(session);
      this.refusals.refuse(this.#batch as Batch, cancelled());
      session.pump();
    } else if (session.state === "waiting") {
      this.#pool?.forget(session);
      session.state = "idle";
      this.refusals.refuse(this.#batch as Batch, cancelled());
      session.pump();
    } else if (this.ride !== null) {
      if (!this.ride.cancel()) return null;
      session.state = "idle";
      this.refusals.refuse(this.ride.takeBatch(), cancelled());
      session.pump();
    } else if (session.state === "active" && session.server !== null) {
      return this.#cancelServer(session.server, this.#pool);
    } else if (session.state === "preparing" || session.state === "verifying") {
      this.#cancelled = true; // what is to be stopped has not been sent
    }
    return null;
  }

  /** The client left. What runs is stopped, so that PostgreSQL does not work for nothing. */
  abandon(stateBefore: Session["state"]): void {
    const { session } = this;
    if (stateBefore === "waiting") this.#pool?.forget(session);
    this.#pluginWait.drop();
    if (this.#batch !== null) this.giveBack(this.#batch);
    this.ride?.leave();
    const { server } = session;
    if (server === null) return;
    // COMMIT AND CHAIN may have kept settings in the transaction that is rolled back now.
    const isSettled = sameSettings(server.settings, this.tracker.applied);
    if (session.pinned || !session.transactionMode || !isSettled) server.unknownState = true;
    if (stateBefore === "active") void this.#cancelServer(server, this.#pool);
    this.release(session.batchOpen || this.copyIn);
  }

  #cancelServer(server: Server, pool: HostPool | null): Promise<void> | null {
    const { host, port, tls } = pool?.options.host.config ?? {};
    if (host === undefined || port === undefined || tls === undefined) return null;
    const { context } = this.session;
    context.totals.cancelsSent++;
    return cancelServer(context.engine, server, { host, port, tls, timeoutMs: context.config.timeouts.serverConnectMs });
  }
}

/** Where there is one server and no plugin. */
const onlyRoute: Route = { shard: 0, role: "primary" };

/** For a statement behind the one that ran when their server was lost or given up. */
function lostBehind(error: PoolerError, how: LostHow, writes: boolean): PoolerError {
  if (how === "undone") {
    return new PoolerError("SERVER_LOST", "the statement was rolled back with the connection that it shared; it can be run again", {
      sqlstate: "40001",
      detail: error.message,
    });
  }
  return writes
    ? new PoolerError("SERVER_LOST", "the connection was lost before the statement was answered: whether it took effect is not known", {
        sqlstate: "08007",
        detail: error.message,
      })
    : new PoolerError("SERVER_LOST", "the connection was lost before the statement was answered; it can be run again", {
        detail: error.message,
      });
}

function cancelled(): PoolerError {
  return new PoolerError("WAIT_TIMEOUT", "canceling statement due to user request", { sqlstate: "57014" });
}
