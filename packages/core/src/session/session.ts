// A client after its login: what it may send when, which server it has, what has to be undone when it leaves.
//
//   idle ──a batch that needs a server──▶ waiting ──server──▶ preparing ──settings are the client's──▶ active
//    ▲ │ └─ answered here, refused                                                                     │
//    └─┴──────────────────────────── ReadyForQuery, the last one owed ◀────────────────────────────────┘
//
//   active + batchOpen: after Flush, more of the same batch may come        active + copyIn: COPY data passes through
//
// One batch at a time: what a client sends ahead waits in its inbox. The server goes back to its pool when ReadyForQuery
// says that no transaction is open, unless it is pinned or the pool mode is session.
import { PoolerError } from "../base/errors.js";
import type { UserConfig } from "../config/types.js";
import type { ChainSession } from "../plugins/types.js";
import type { Database, Route } from "../pool/database.js";
import type { HostPool, Waiter } from "../pool/host-pool.js";
import { writePoolerError, writeReadyForQuery } from "../protocol/backend.js";
import { Frontend, TransactionStatus } from "../protocol/codes.js";
import { MessageWriter, readInt32 } from "../protocol/message-writer.js";
import { resolveRoute } from "../router/router.js";
import { cancelServer } from "../server/cancel.js";
import { Expect, Hide } from "../server/reply-queue.js";
import type { Lessee, Server } from "../server/server.js";
import type { Wire, WireReader } from "../wire/wire.js";
import { type Batch, NEVER_WROTE } from "./batch.js";
import type { ClientStatement } from "./client-statements.js";
import type { SessionContext } from "./context.js";
import { sendBatch, sendVerification } from "./dispatch.js";
import type { HeldTransaction } from "./held-transaction.js";
import { Intake, type IntakeTarget } from "./intake.js";
import type { LocalPortal } from "./local-portal.js";
import { checkColumns, planExtended, takeBack } from "./plan-extended.js";
import { planQuery } from "./plan-query.js";
import { type SessionEffect, SettingsTracker } from "./session-effects.js";
import { type Settings, sameSettings, settingsDifference } from "./settings.js";

export type SessionState = "idle" | "waiting" | "preparing" | "verifying" | "active" | "closed";

export interface SessionOptions {
  readonly id: number;
  readonly wire: Wire;
  readonly user: UserConfig;
  readonly database: Database;
  readonly settings: Settings;
  readonly applicationName: string;
  readonly encoding: string;
  readonly standardStrings: boolean;
  readonly onEnd: (session: Session) => void;
}

export class Session implements WireReader, Lessee, Waiter, IntakeTarget {
  readonly id: number;
  readonly context: SessionContext;
  readonly wire: Wire;
  readonly user: UserConfig;
  readonly database: Database;
  readonly statements = new Map<string, ClientStatement>();
  readonly tracker: SettingsTracker;
  readonly chainSession: ChainSession & { applicationName: string; clientEncoding: string; generation: number };
  readonly connectedAtMs: number;
  state: SessionState = "idle";
  server: Server | null = null;
  route: Route | null = null;
  /** The route's transaction may write. */
  routeWrites = false;
  transactionReadOnly = false;
  held: HeldTransaction | null = null;
  /** The server stays until the client leaves. */
  pinned = false;
  /** Part of a batch was sent to the server, its Sync has not come yet. */
  batchOpen = false;
  localPortals: Map<string, LocalPortal> | null = null;
  encoding: string;
  standardStrings: boolean;
  waitingSinceMs = 0;
  requestAtMs = 0;
  /** When the last batch was over. */
  readyAtMs = 0;
  /** Calls of the plugin chain. */
  asked = 0;
  readonly #onEnd: (session: Session) => void;
  readonly #intake: Intake;
  #batch: Batch | null = null;
  #pool: HostPool | null = null;
  #copyIn = false;
  /** The batch that runs has had its Sync sent. */
  #syncSent = false;
  /** After an error: extended messages are passed over until Sync. */
  #skipping = false;
  #effects: readonly SessionEffect[] = [];
  #statusBefore: number = TransactionStatus.IDLE;
  /** SET LOCAL was seen in the transaction: settings change at its end. */
  #setsLocally = false;
  #simple = false;
  /** The server was lost while a transaction was open and nothing ran. */
  #lost: PoolerError | null = null;
  /** The unit that runs was only prepared, with a transaction held. */
  #prepareOnly = false;
  #transactionAtMs = 0;
  #wroteAtMs = -1;
  #draining = false;
  #hostRetries = 0;

  constructor(context: SessionContext, options: SessionOptions) {
    this.id = options.id;
    this.context = context;
    this.wire = options.wire;
    this.user = options.user;
    this.database = options.database;
    this.tracker = new SettingsTracker(options.settings);
    this.encoding = options.encoding;
    this.standardStrings = options.standardStrings;
    this.connectedAtMs = context.clock.wallMs();
    this.#onEnd = options.onEnd;
    this.#intake = new Intake(this, context.config.limits);
    this.chainSession = {
      id: options.id,
      user: options.user.name,
      database: options.database.config.name,
      applicationName: options.applicationName,
      clientAddress: options.wire.remoteAddress,
      clientEncoding: options.encoding,
      tls: options.wire.tls,
      generation: 0,
      encoded: null,
    };
    this.wire.reader = this;
  }

  // --- What planning asks for

  get settings(): Settings {
    return this.tracker.current;
  }

  get transactionMode(): boolean {
    return this.database.config.poolMode === "transaction";
  }

  /** BEGIN waits for the first statement that says where to go. */
  get holdsTransactions(): boolean {
    return this.transactionMode && (this.context.router !== null || !this.database.singleTarget);
  }

  get inTransaction(): boolean {
    return this.held !== null || (this.server !== null && this.server.status !== TransactionStatus.IDLE);
  }

  /** What ReadyForQuery says when the pooler says it. */
  get status(): number {
    if (this.held !== null) return this.held.failed ? TransactionStatus.FAILED : TransactionStatus.IN_TRANSACTION;
    return this.server?.status ?? TransactionStatus.IDLE;
  }

  msSinceWrite(): number {
    return this.#wroteAtMs < 0 ? NEVER_WROTE : Math.min(NEVER_WROTE - 1, Math.round(this.context.clock.nowMs() - this.#wroteAtMs));
  }

  resolveRoute(batch: Batch, routable: boolean, explicit: boolean, readOnly: boolean): void {
    if (explicit && !(readOnly && this.held?.serializable !== true)) batch.draft.needsPrimary = true;
    const route = resolveRoute(batch.draft, this.database, routable);
    if (route instanceof PoolerError) throw route;
    batch.route = route;
    batch.writes = batch.draft.needsPrimary || route.role === "primary";
    this.transactionReadOnly = readOnly;
  }

  /** Any primary can say what a statement looks like. */
  resolvePrepareRoute(batch: Batch): void {
    batch.route = { shard: 0, role: "primary" };
  }

  keepLocalPortal(name: string, portal: LocalPortal): void {
    this.localPortals ??= new Map();
    this.localPortals.set(name, portal);
  }

  discardAll(): void {
    this.statements.clear();
    this.localPortals = null;
    this.tracker.resetAll();
  }

  // --- The client's wire

  onBytes(chunk: Buffer, start: number, end: number): void {
    this.database.counters.bytesFromClients += end - start;
    try {
      this.#intake.take(chunk, start, end);
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      this.fatal(error);
    }
  }

  onDrain(): void {
    this.server?.resumeReading();
  }

  onClosed(_error: Error | null): void {
    this.#end();
  }

  // --- Intake

  get ready(): boolean {
    return this.state === "idle" || (this.state === "active" && (this.batchOpen || this.#copyIn));
  }

  get copyIn(): boolean {
    return this.#copyIn;
  }

  onInboxFull(full: boolean): void {
    if (full) this.wire.pause();
    else this.wire.resume();
  }

  onCopyBytes(buffer: Buffer, start: number, end: number): void {
    if (this.server?.send(buffer, start, end) === false) this.wire.pause();
  }

  onCopyControl(type: number, buffer: Buffer, start: number, end: number): void {
    const { server } = this;
    if (server === null) return;
    const ends = type === Frontend.COPY_DONE || type === Frontend.COPY_FAIL;
    // A Sync that was sent before COPY began is ignored by the server: the one behind CopyDone is answered in its place.
    const syncAhead = !this.#simple && this.#syncSent;
    if (!ends && (this.#simple || !syncAhead)) {
      if (type === Frontend.SYNC || type === Frontend.FLUSH) return; // ignored by the server during COPY, too
    }
    server.send(buffer, start, end);
    if (ends ? !syncAhead : type === Frontend.SYNC) this.#copyIn = false;
  }

  onUnit(buffer: Buffer, start: number, end: number): void {
    switch (buffer[start]) {
      case Frontend.TERMINATE:
        this.wire.destroy();
        this.#end();
        return;
      case Frontend.COPY_DONE:
      case Frontend.COPY_FAIL:
        return; // what is left of a COPY that failed
      case Frontend.PASSWORD:
        throw new PoolerError("PROTOCOL_VIOLATION", "a password message came after the login");
    }
    if (this.#skipping) {
      if (endsWithSync(buffer, start, end)) this.#endSkipping();
      return;
    }
    this.#run(buffer, start, end);
  }

  // --- Running a batch

  #run(buffer: Buffer, start: number, end: number): void {
    const { context } = this;
    const batch = context.batches.take();
    batch.begin(buffer, start, end);
    context.reply.reset();
    this.requestAtMs = context.clock.nowMs();
    this.database.counters.queries++;
    let toServer: boolean;
    try {
      if (this.#lost !== null) throw this.#takeLost();
      if (this.database.removed)
        throw new PoolerError("UNKNOWN_DATABASE", `database "${this.database.config.name}" was taken out of the configuration`);
      if (buffer[start] === Frontend.QUERY) toServer = planQuery(this, batch);
      else if (buffer[start] === Frontend.FUNCTION_CALL) toServer = this.#planFunctionCall(batch);
      else toServer = planExtended(this, batch);
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      if (batch.opCount === 0) batch.endsWithSync = batch.simple || endsWithSync(buffer, start, end);
      else batch.endsWithSync = endsWithSync(buffer, start, end);
      this.#refuse(batch, error);
      return;
    }
    this.database.counters.clientParses += batch.parses;
    this.database.counters.binds += batch.binds;
    if (toServer) {
      this.#start(batch);
      return;
    }
    if (batch.endsWithSync) writeReadyForQuery(context.reply, this.status);
    this.#sendReply();
    context.batches.giveBack(batch);
  }

  /** The old function call protocol: goes where a transaction goes that says nothing of itself. */
  #planFunctionCall(batch: Batch): boolean {
    batch.simple = true;
    batch.endsWithSync = true;
    if (this.context.router?.chain.inspects)
      throw new PoolerError(
        "FACTS_UNAVAILABLE",
        "function calls of the old protocol are not allowed here: a plugin must see every statement",
      );
    batch.unclear = true;
    if (this.server === null) {
      batch.draft.needsPrimary = true;
      this.resolveRoute(batch, true, this.held !== null, false);
    }
    return true;
  }

  #start(batch: Batch): void {
    if (this.server !== null) {
      this.#dispatch(batch);
      return;
    }
    const pool = this.database.poolFor(this.user, batch.route as Route);
    this.#pool = pool;
    const found = pool.acquire(this);
    if (found instanceof PoolerError) {
      this.#refuse(batch, found);
    } else if (found === null) {
      if (this.#batch !== batch) {
        batch.keep();
        this.#batch = batch;
      }
      this.state = "waiting";
    } else {
      this.#lease(found, batch);
    }
  }

  onServer(server: Server): void {
    this.database.counters.waitMs += this.context.clock.nowMs() - this.waitingSinceMs;
    this.#lease(server, this.#batch as Batch);
  }

  onNoServer(error: PoolerError, hostDown: boolean): void {
    const batch = this.#batch as Batch;
    // Another replica, or the primary, may serve a read.
    if (hostDown && batch.route?.role === "replica" && this.#hostRetries++ < 3) {
      this.#start(batch);
      return;
    }
    this.state = "idle";
    this.#refuse(batch, error);
    this.#intake.pump();
  }

  #lease(server: Server, batch: Batch): void {
    server.lease(this);
    this.database.counters.serverAssignments++;
    this.server = server;
    this.route = batch.route;
    this.routeWrites = batch.writes;
    this.#hostRetries = 0;
    this.#transactionAtMs = this.context.clock.nowMs();
    if (sameSettings(server.settings, this.settings)) this.#dispatch(batch);
    else this.#prepareSettings(server, batch);
  }

  /** The server gets the settings of this client, in a round trip of its own: a statement must not run with others. */
  #prepareSettings(server: Server, batch: Batch): void {
    if (this.#batch !== batch) {
      batch.keep();
      this.#batch = batch;
    }
    this.state = "preparing";
    const statements = settingsDifference(server.settings, this.settings);
    const out = this.context.request.reset();
    out
      .begin(Frontend.QUERY)
      .bytes(Buffer.from(statements.join("; "), "latin1"))
      .byte(0)
      .end();
    server.beginUnit(this.context.clock.nowMs());
    server.replies.push(Expect.QUERY, Hide.ALL);
    server.send(out.buffer, 0, out.length);
  }

  #settingsPrepared(failed: boolean): void {
    const server = this.server as Server;
    const batch = this.#batch as Batch;
    if (!failed) {
      server.settings = this.settings;
      this.#dispatch(batch);
      return;
    }
    const error = server.takeHiddenError();
    server.unknownState = true;
    this.#release();
    this.state = "idle";
    this.#refuseWith(batch, error ?? messageOf(new PoolerError("SERVER_LOST", "the settings of the session could not be made")));
    this.#intake.pump();
  }

  /** Plugins rewrote statements that were described to the client: their columns must be the same. */
  #verify(server: Server, batch: Batch): void {
    if (this.#batch !== batch) {
      batch.keep();
      this.#batch = batch;
    }
    this.state = "verifying";
    server.beginUnit(this.context.clock.nowMs());
    sendVerification(this, server, batch);
  }

  #verified(failed: boolean): void {
    const server = this.server as Server;
    const batch = this.#batch as Batch;
    this.state = "active";
    let message: Buffer | null = failed ? server.takeHiddenError() : null;
    try {
      for (const { client, global, plugin } of batch.unverified) if (message === null) checkColumns(client, global, plugin);
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      message = messageOf(error);
    }
    batch.unverified.length = 0;
    if (message === null) {
      this.#dispatch(batch);
      return;
    }
    if (server.status === TransactionStatus.IDLE && this.transactionMode && !this.pinned) this.#release();
    this.state = "idle";
    this.#refuseWith(batch, message);
    this.#intake.pump();
  }

  #dispatch(batch: Batch): void {
    const server = this.server as Server;
    if (batch.unverified.length > 0) {
      this.#verify(server, batch);
      return;
    }
    const held = this.held;
    const prepareOnly = batch.prepareOnly && held !== null;
    this.#prepareOnly = prepareOnly;
    this.#statusBefore = held !== null && !prepareOnly ? TransactionStatus.IN_TRANSACTION : server.status;
    this.#effects = this.batchOpen ? [...this.#effects, ...batch.effects] : batch.effects;
    if (batch.unclear) server.unknownState = true;
    if (batch.pins) this.pinned = true;
    if (batch.writes) this.routeWrites = true;
    if (batch.setsLocally || (held !== null && !prepareOnly)) this.#setsLocally = true;
    sendBatch(this, server, batch, prepareOnly ? this.status : 0);
    if (held !== null && !prepareOnly) {
      this.#effects = [...held.effects, ...batch.effects];
      this.held = null;
    }
    this.#simple = batch.simple;
    this.#syncSent = batch.endsWithSync;
    this.batchOpen = !batch.endsWithSync;
    this.state = "active";
    this.#batch = null;
    this.context.batches.giveBack(batch);
  }

  // --- Refusing

  #refuse(batch: Batch, error: PoolerError): void {
    this.#refuseWith(batch, messageOf(error));
  }

  /** The client gets `message` for its batch; a transaction that is open fails, at the server, too. */
  #refuseWith(batch: Batch, message: Buffer): void {
    const { server } = this;
    this.database.counters.errors++;
    takeBack(this, batch);
    const synced = batch.endsWithSync;
    this.#batch = null;
    this.context.batches.giveBack(batch);
    if (!synced) this.#skipping = true;
    if (server !== null && this.batchOpen) {
      this.#poisonBatch(server, message);
      if (synced) this.#endSkipping();
      return;
    }
    const reply = this.context.reply.reset().bytes(message);
    if (server !== null && server.status === TransactionStatus.IN_TRANSACTION) {
      if (synced) writeReadyForQuery(reply, TransactionStatus.FAILED);
      this.#poison(server, reply.toBuffer());
      return;
    }
    this.held?.fail();
    if (synced) writeReadyForQuery(reply, this.status);
    this.#sendReply();
  }

  /** Make the server's transaction fail with a statement that nobody can run; the client gets `reply` after that. */
  #poison(server: Server, reply: Buffer): void {
    const out = this.context.request.reset();
    out.begin(Frontend.QUERY).cstring(poison).end();
    server.beginUnit(this.context.clock.nowMs());
    server.unnamed = null;
    server.replies.push(Expect.QUERY, Hide.ALL);
    server.replies.push(Expect.LOCAL, Hide.NOTHING, reply);
    this.#effects = [];
    this.#statusBefore = server.status;
    this.#simple = true;
    this.#syncSent = true;
    this.state = "active";
    server.send(out.buffer, 0, out.length);
  }

  /** The same in the middle of a batch: the server's error reaches the client as ours. */
  #poisonBatch(server: Server, message: Buffer): void {
    if (server.replies.skipping) return;
    server.substituteError(message);
    const out = this.context.request.reset();
    out.begin(Frontend.PARSE).byte(0).cstring(poison).int16(0).end();
    server.replies.push(Expect.PARSE);
    server.send(out.buffer, 0, out.length);
  }

  /** Sync came after an error. */
  #endSkipping(): void {
    this.#skipping = false;
    const { server } = this;
    if (server !== null && this.batchOpen) {
      server.replies.push(Expect.SYNC);
      server.send(sync, 0, sync.length);
      this.batchOpen = false;
      this.#syncSent = true;
      return;
    }
    writeReadyForQuery(this.context.reply.reset(), this.status);
    this.#sendReply();
  }

  #sendReply(): void {
    const { reply } = this.context;
    this.database.counters.bytesToClients += reply.length;
    if (reply.length > 0) this.wire.write(reply.buffer, 0, reply.length);
  }

  /** Tell the client why, and close. */
  fatal(error: PoolerError): void {
    if (this.state === "closed") return;
    writePoolerError(this.context.reply.reset(), error, "FATAL");
    this.#sendReply();
    this.wire.end();
    this.#end();
  }

  // --- The server

  deliver(buffer: Buffer, start: number, end: number): boolean {
    this.database.counters.bytesToClients += end - start;
    return this.wire.write(buffer, start, end);
  }

  get changesSettings(): boolean {
    return this.state === "preparing" || this.#effects.length > 0 || this.#setsLocally || this.tracker.pending || !this.transactionMode;
  }

  get passesNotifications(): boolean {
    return this.pinned || !this.transactionMode;
  }

  onParameter(name: string, value: string): void {
    if (name === "client_encoding") this.encoding = this.chainSession.clientEncoding = value;
    else if (name === "standard_conforming_strings") this.standardStrings = value === "on";
    else if (name === "application_name") this.chainSession.applicationName = value;
    else return;
    this.chainSession.generation++;
  }

  onCopyIn(): void {
    this.#copyIn = true;
    // What the client sent ahead of it waits in the inbox; not within the server's call.
    queueMicrotask(() => this.#intake.pump());
  }

  onServerDrain(): void {
    this.wire.resume();
  }

  onReady(status: number, failed: boolean, owed: boolean): void {
    if (owed) return;
    if (this.state === "preparing") {
      this.#settingsPrepared(failed);
      return;
    }
    if (this.state === "verifying") {
      this.#verified(failed);
      return;
    }
    if (this.state !== "active") return;
    const server = this.server as Server;
    const nowMs = this.context.clock.nowMs();
    const { counters } = this.database;
    this.#copyIn = false;
    this.batchOpen = false;
    counters.queryMs += nowMs - this.requestAtMs;
    if (failed) counters.errors++;
    if (!this.#prepareOnly) this.#settle(server, status, failed);
    this.readyAtMs = nowMs;
    if (status === TransactionStatus.IDLE) {
      counters.transactions++;
      counters.transactionMs += nowMs - this.#transactionAtMs;
      if (this.routeWrites && this.route?.role === "primary" && !this.#prepareOnly) this.#wroteAtMs = nowMs;
      this.localPortals = null;
      this.#setsLocally = false;
      if (this.transactionMode && !this.pinned) this.#release();
    }
    this.state = "idle";
    if (this.#draining) this.drain();
    this.#intake.pump();
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
      tracker.succeeded(effects, this.#statusBefore !== TransactionStatus.IDLE);
    } else if (effects.length > 1 && effects.some(({ kind }) => kind === "set" || kind === "reset")) {
      server.unknownState = true; // which of them took effect is not known
    }
    if (status === TransactionStatus.IDLE) {
      tracker.rolledBack();
      server.settings = tracker.current;
    }
  }

  onServerLost(error: PoolerError, broken: boolean): void {
    const batch = this.#batch;
    const wasIdle = this.state === "idle";
    const wasOpen = this.server !== null && this.server.status !== TransactionStatus.IDLE;
    const { batchOpen } = this;
    const synced = this.#syncSent;
    this.server = null;
    this.route = null;
    this.#copyIn = false;
    this.batchOpen = false;
    this.#effects = [];
    this.tracker.rolledBack();
    if (this.state === "closed") return;
    if (broken || this.pinned || !this.transactionMode) {
      this.fatal(error);
      return;
    }
    if (wasIdle) {
      // In a transaction: the client hears of it with its next statement.
      this.#lost = error;
      return;
    }
    this.state = "idle";
    if (batch !== null) {
      // Nothing of it was sent yet.
      if (!wasOpen && this.#hostRetries++ < 3) this.#start(batch);
      else this.#refuse(batch, error);
    } else {
      this.database.counters.errors++;
      const reply = this.context.reply.reset().bytes(messageOf(error));
      if (batchOpen && !synced) this.#skipping = true;
      else writeReadyForQuery(reply, this.status);
      this.#sendReply();
    }
    this.#intake.pump();
  }

  #takeLost(): PoolerError {
    const error = this.#lost as PoolerError;
    this.#lost = null;
    return error;
  }

  #release(): void {
    const { server } = this;
    this.server = null;
    this.route = null;
    this.transactionReadOnly = false;
    this.routeWrites = false;
    server?.release(this.context.clock.nowMs());
  }

  // --- From outside

  /** A cancel request for this client. */
  cancel(): void {
    if (this.state === "waiting") {
      this.#pool?.forget(this);
      this.state = "idle";
      this.#refuse(this.#batch as Batch, new PoolerError("WAIT_TIMEOUT", "canceling statement due to user request", { sqlstate: "57014" }));
      this.#intake.pump();
    } else if (this.state === "active" && this.server !== null) {
      this.#cancelServer(this.server);
    }
  }

  /** Leave as soon as no transaction is open. */
  drain(): void {
    this.#draining = true;
    if (this.state === "idle" && !this.inTransaction)
      this.fatal(new PoolerError("SHUTTING_DOWN", "terminating connection due to administrator command"));
  }

  /** Every so often. */
  tick(nowMs: number): void {
    const limitMs = this.context.config.timeouts.clientIdleInTransactionMs;
    if (limitMs > 0 && this.state === "idle" && this.inTransaction && nowMs - this.readyAtMs > limitMs) {
      this.fatal(new PoolerError("IDLE_IN_TRANSACTION", "terminating connection due to idle-in-transaction timeout"));
    }
  }

  #cancelServer(server: Server): void {
    const { host, port, tls } = this.#pool?.options.host.config ?? {};
    if (host === undefined || port === undefined || tls === undefined) return;
    this.context.totals.cancelsSent++;
    cancelServer(this.context.engine, server, { host, port, tls, timeoutMs: this.context.config.timeouts.serverConnectMs });
  }

  #end(): void {
    if (this.state === "closed") return;
    const before = this.state;
    this.state = "closed";
    this.#intake.clear();
    if (before === "waiting") this.#pool?.forget(this);
    const { server } = this;
    if (server !== null) {
      if (this.pinned || !this.transactionMode) server.unknownState = true;
      // An answer that nobody reads any more: stop it, so that PostgreSQL does not work for nothing.
      if (before === "active") this.#cancelServer(server);
      this.#release();
    }
    this.#onEnd(this);
  }
}

/** No grammar takes it, so that the server's transaction fails; what stands in the server's log names the cause. */
const poison = "pooler refused the statement of this client";
const sync = Buffer.from([Frontend.SYNC, 0, 0, 0, 4]);

function messageOf(error: PoolerError): Buffer {
  const writer = new MessageWriter(512);
  writePoolerError(writer, error);
  return writer.toBuffer();
}

/** Is the last message of the unit a Sync (or a query, which brings its own)? */
function endsWithSync(buffer: Buffer, start: number, end: number): boolean {
  if (buffer[start] === Frontend.QUERY || buffer[start] === Frontend.FUNCTION_CALL) return true;
  return end - start >= 5 && buffer[end - 5] === Frontend.SYNC && readInt32(buffer, end - 4) === 4;
}
