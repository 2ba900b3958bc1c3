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
import type { NoServerCause, Waiter } from "../pool/host-pool.js";
import { writeParameterStatus, writePoolerError } from "../protocol/backend.js";
import { Frontend, TransactionStatus } from "../protocol/codes.js";
import type { MessageWriter } from "../protocol/message-writer.js";
import { resolveRoute } from "../router/router.js";
import { Expect } from "../server/reply-queue.js";
import type { Lessee, Server } from "../server/server.js";
import type { Wire, WireReader } from "../wire/wire.js";
import type { Batch } from "./batch.js";
import { BatchRunner } from "./batch-runner.js";
import type { ClientStatement } from "./client-statements.js";
import type { SessionContext } from "./context.js";
import type { HeldTransaction } from "./held-transaction.js";
import { Intake, type IntakeTarget } from "./intake.js";
import type { LocalPortal } from "./local-portal.js";
import { endsWithSync } from "./refusals.js";
import { SettingsTracker } from "./session-effects.js";
import { changesReading, type Settings } from "./settings.js";

export type SessionState = "idle" | "waiting" | "preparing" | "verifying" | "active" | "closed";

export interface SessionOptions {
  readonly id: number;
  readonly wire: Wire;
  readonly user: UserConfig;
  readonly database: Database;
  readonly settings: Settings;
  /** The values of settings that the client was greeted with. */
  readonly greeting: ReadonlyMap<string, string>;
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
  nextWaiter: this | null = null;
  previousWaiter: this | null = null;
  requestAtMs = 0;
  /** When the last batch was over. */
  readyAtMs = 0;
  /** Calls of the plugin chain. */
  asked = 0;
  readonly #greeting: ReadonlyMap<string, string>;
  /** Settings whose reported value is another than in the greeting. */
  readonly #changed = new Set<string>();
  readonly #onEnd: (session: Session) => void;
  readonly #intake: Intake;
  readonly #runner: BatchRunner;
  #draining = false;
  #inboxFull = false;
  /** COPY data come faster than the server takes them. */
  #serverFull = false;

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
    this.#greeting = options.greeting;
    this.#onEnd = options.onEnd;
    this.#intake = new Intake(this, context.config.limits);
    this.#runner = new BatchRunner(this);
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

  /** What a text means that is parsed now, see Settings. */
  readingNow(): string {
    if (this.held?.changesReading) this.#runner.readsOtherwise();
    return this.#runner.reading ?? this.settings.reading;
  }

  get transactionMode(): boolean {
    return this.database.config.poolMode === "transaction";
  }

  /** BEGIN waits for the first statement that says where to go. */
  get holdsTransactions(): boolean {
    return this.transactionMode && (this.context.router !== null || !this.database.singleTarget);
  }

  /** Each transaction may go somewhere else, as its statements say. */
  get routesByStatement(): boolean {
    return this.transactionMode && !this.pinned && this.context.router !== null;
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
    return this.#runner.msSinceWrite();
  }

  resolveRoute(batch: Batch, routable: boolean, explicit: boolean, readOnly: boolean): void {
    if (this.settings.serializable || (explicit && !(readOnly && this.held?.serializable !== true))) batch.draft.needsPrimary = true;
    const route = resolveRoute(batch.draft, this.database, routable);
    if (route instanceof PoolerError) throw route;
    batch.route = route;
    batch.writes = route.role === "primary" && (batch.draft.mayWrite || (explicit && !readOnly));
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

  /** The server never got to a message that changed the statement `name`: the client has what it had before the batch. */
  undoStatement(name: string, before: ClientStatement | undefined): void {
    this.#runner.undoStatement(name, before);
  }

  /** The client hears of settings that have their first value again. */
  discardAll(to: MessageWriter): void {
    this.statements.clear();
    this.localPortals = null;
    this.tracker.resetAll();
    for (const name of [...this.#changed]) this.#tellGreeted(name, to);
  }

  /** The server has reported its own defaults after RESET, where those of the client's startup packet count. */
  tellStartupSettings(): void {
    const { current, initial } = this.tracker;
    const to = this.context.reply.reset();
    for (const name of [...this.#changed]) {
      const statement = initial.entries.get(name.toLowerCase());
      if (statement !== undefined && statement === current.entries.get(name.toLowerCase())) this.#tellGreeted(name, to);
    }
    this.sendReply();
  }

  #tellGreeted(name: string, to: MessageWriter): void {
    const value = this.#greeting.get(name) as string;
    writeParameterStatus(to, name, value);
    this.onParameter(name, value);
  }

  // --- The client's wire

  onBytes(chunk: Buffer, start: number, end: number): void {
    if (this.state === "closed") return;
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
    this.pump();
  }

  onClosed(_error: Error | null): void {
    this.#end();
  }

  // --- Intake

  get ready(): boolean {
    // Who does not read answers gets no further ones.
    if (this.state === "idle") return !this.wire.congested;
    // What belongs to a batch or to COPY waits for the server to take what it has.
    return this.state === "active" && (this.batchOpen || this.#runner.copyIn) && this.server?.wire.congested !== true;
  }

  get copyIn(): boolean {
    return this.#runner.copyIn;
  }

  get passesCopyData(): boolean {
    return this.#runner.copyIn || this.batchOpen;
  }

  /** The server has the beginning of a CopyData whose end has not come. */
  get insideCopyData(): boolean {
    return this.#intake.insideCopyData;
  }

  /** The client went on before it saw the answer to what runs now. */
  get sentAhead(): boolean {
    return this.#intake.hasMore;
  }

  onInboxFull(full: boolean): void {
    this.#inboxFull = full;
    this.#regulate();
  }

  onCopyBytes(buffer: Buffer, start: number, end: number): void {
    if (this.server?.send(buffer, start, end) !== false) return;
    this.#serverFull = true;
    this.#regulate();
  }

  /** The client is read as long as there is somewhere to put what it says. */
  #regulate(): void {
    if (this.#inboxFull || this.#serverFull) this.wire.pause();
    else this.wire.resume();
  }

  onCopyControl(type: number, buffer: Buffer, start: number, end: number): void {
    const { server } = this;
    const runner = this.#runner;
    if (server === null) return;
    if (type === Frontend.COPY_DONE || type === Frontend.COPY_FAIL) {
      server.send(buffer, start, end);
      // With a Sync ahead of the data, which the server ignores, the one behind them belongs to the COPY.
      if (runner.simple || !runner.syncSent) runner.copyIn = false;
      else runner.copyEnded = true;
      return;
    }
    if (runner.simple || type === Frontend.FLUSH) return; // ignored by the server during COPY, too
    if (!runner.syncSent) {
      server.replies.push(Expect.SYNC);
      runner.syncSent = true;
      this.batchOpen = false;
    }
    server.send(buffer, start, end);
    if (runner.copyEnded || server.failed) runner.copyIn = false;
  }

  onUnit(buffer: Buffer, start: number, end: number): void {
    switch (buffer[start]) {
      case Frontend.TERMINATE:
        this.wire.destroy();
        this.#end();
        return;
      case Frontend.COPY_DONE:
      case Frontend.COPY_FAIL:
        // What is left of a COPY that failed; in an open batch the COPY may yet begin.
        if (!this.batchOpen) return;
        this.#runner.copyEnded = true;
        this.server?.send(buffer, start, end);
        return;
      case Frontend.PASSWORD:
        throw new PoolerError("PROTOCOL_VIOLATION", "a password message came after the login");
    }
    const { refusals } = this.#runner;
    const isQuery = buffer[start] === Frontend.QUERY || buffer[start] === Frontend.FUNCTION_CALL;
    if (!refusals.skipping && !this.server?.replies.skipping) this.#runner.run(buffer, start, end);
    else if (!isQuery && endsWithSync(buffer, start, end)) refusals.endSkipping();
    this.#leaveIfDraining();
  }

  /** What waits in the inbox may be taken. */
  pump(): void {
    this.#leaveIfDraining();
    try {
      this.#intake.pump();
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      this.fatal(error);
    }
  }

  sendReply(): void {
    const { reply } = this.context;
    this.database.counters.bytesToClients += reply.length;
    if (reply.length > 0) this.wire.write(reply.buffer, 0, reply.length);
  }

  /** Tell the client why, unless it is in the middle of a message, and close. */
  fatal(error: PoolerError): void {
    if (this.state === "closed") return;
    if (!this.server?.insideMessage) {
      writePoolerError(this.context.reply.reset(), error, "FATAL");
      this.sendReply();
    }
    this.breakOff();
  }

  /** Close where nothing can be said: in the middle of a message. */
  breakOff(): void {
    this.wire.end();
    this.#end();
  }

  // --- The server

  deliver(buffer: Buffer, start: number, end: number): boolean {
    this.database.counters.bytesToClients += end - start;
    return this.wire.write(buffer, start, end);
  }

  get changesSettings(): boolean {
    return !this.transactionMode || this.#runner.changesSettings;
  }

  get passesNotifications(): boolean {
    return this.pinned || !this.transactionMode;
  }

  onParameter(name: string, value: string): void {
    const greeted = this.#greeting.get(name);
    if (greeted === value) this.#changed.delete(name);
    else if (greeted !== undefined && name !== "in_hot_standby") this.#changed.add(name);
    if (this.state === "active" && changesReading(name.toLowerCase())) this.#runner.readsOtherwise();
    if (name === "client_encoding") this.encoding = this.chainSession.clientEncoding = value;
    else if (name === "standard_conforming_strings") this.standardStrings = value === "on";
    else if (name === "application_name") this.chainSession.applicationName = value;
    else return;
    this.chainSession.generation++;
  }

  statementName(global: string): string | null {
    for (const [name, { info, standIn }] of this.statements) if (info.global.name === global || standIn?.name === global) return name;
    return null;
  }

  onSkipping(): void {
    if (this.batchOpen || this.state !== "active") return;
    // A query behind the message that failed is passed over, too: the Sync behind it may be taken.
    this.batchOpen = true;
    queueMicrotask(() => this.pump());
  }

  onCopyIn(): void {
    this.#runner.beginCopyIn();
    // What the client sent ahead of it waits in the inbox; not within the server's call.
    queueMicrotask(() => this.pump());
  }

  onServerDrain(): void {
    this.forgetServerFull();
    this.pump();
  }

  /** The server has taken what there was, or is none of this client's any more. */
  forgetServerFull(): void {
    if (!this.#serverFull) return;
    this.#serverFull = false;
    this.#regulate();
  }

  onReady(status: number, failed: boolean, owed: boolean): void {
    this.#runner.onReady(status, failed, owed);
  }

  onServerLost(error: PoolerError, broken: boolean): void {
    this.#runner.onServerLost(error, broken);
  }

  // --- The pool

  onServer(server: Server): void {
    this.#runner.onServer(server);
  }

  onNoServer(error: PoolerError, cause: NoServerCause): void {
    this.#runner.onNoServer(error, cause);
  }

  // --- From outside

  /** A cancel request for this client. */
  cancel(): void {
    this.#runner.cancel();
  }

  /** Leave as soon as no transaction is open. */
  drain(): void {
    this.#draining = true;
    if (this.state === "idle" && !this.inTransaction)
      this.fatal(new PoolerError("SHUTTING_DOWN", "terminating connection due to administrator command"));
  }

  /** A batch may be over. */
  #leaveIfDraining(): void {
    if (this.#draining) this.drain();
  }

  /** Every so often. */
  tick(nowMs: number): void {
    const limitMs = this.context.config.timeouts.clientIdleInTransactionMs;
    // What was answered here was over with the request.
    const sinceMs = Math.max(this.readyAtMs, this.requestAtMs);
    if (limitMs > 0 && this.state === "idle" && this.inTransaction && nowMs - sinceMs > limitMs) {
      this.fatal(new PoolerError("IDLE_IN_TRANSACTION", "terminating connection due to idle-in-transaction timeout"));
    }
  }

  #end(): void {
    if (this.state === "closed") return;
    const before = this.state;
    this.state = "closed";
    this.#intake.clear();
    this.#runner.abandon(before);
    this.#onEnd(this);
  }
}
