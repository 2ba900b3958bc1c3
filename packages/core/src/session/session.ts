// A client after its login: what it may send when, which server it has, what has to be undone when it leaves.
//
//   idle ──a batch about which a plugin has to think──▶ asking ──its answer──▶ idle, with the same batch
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
import type { RowHook } from "../plugins/row-hook.js";
import type { ChainSession } from "../plugins/types.js";
import type { Database, Route } from "../pool/database.js";
import type { NoServerCause, Waiter } from "../pool/host-pool.js";
import { writeParameterStatus, writePoolerError } from "../protocol/backend.js";
import { Frontend, TransactionStatus } from "../protocol/codes.js";
import type { MessageWriter } from "../protocol/message-writer.js";
import { resolveRoute } from "../router/router.js";
import { Expect } from "../server/reply-queue.js";
import type { Lessee, Server } from "../server/server.js";
import type { Deferred, Wire, WireReader } from "../wire/wire.js";
import type { Batch } from "./batch.js";
import { endsWithSync, NEVER_WROTE } from "./batch.js";
import type { BatchRunner } from "./batch-runner.js";
import { type ClientStatement, ClientStatements } from "./client-statements.js";
import type { SessionContext } from "./context.js";
import type { Observed } from "./ending.js";
import type { HeldTransaction } from "./held-transaction.js";
import type { Intake, IntakeTarget } from "./intake.js";
import type { Greeting } from "./known-startups.js";
import type { LocalPortal } from "./local-portal.js";
import type { SettingsOwner } from "./session-effects.js";
import { changesReading, type Settings } from "./settings.js";

export type SessionState = "idle" | "asking" | "waiting" | "preparing" | "verifying" | "active" | "riding" | "closed";

export interface SessionOptions {
  readonly id: number;
  readonly wire: Wire;
  readonly user: UserConfig;
  readonly database: Database;
  /** Shared with others that sent the same startup packet. */
  readonly greeting: Greeting;
  readonly applicationName: string;
  /** The client's number in BackendKeyData, and what its cancel requests must know. */
  readonly processId: number;
  readonly secretKey: number;
  readonly registry: SessionRegistry;
}

/** Who keeps account of sessions. */
export interface SessionRegistry {
  remove(session: Session): void;
}

export class Session implements WireReader, Lessee, Waiter, IntakeTarget, Deferred, SettingsOwner {
  readonly id: number;
  readonly context: SessionContext;
  readonly wire: Wire;
  readonly user: UserConfig;
  readonly database: Database;
  /** Null: none, as with most clients at rest. */
  statements: ClientStatements | null = null;
  /** Those that count, whatever the transaction that is open would make of them. */
  settings: Settings;
  /** Wall clock. Times that are kept at rest are small integers: any other number takes an object. */
  readonly connectedAtS: number;
  readonly processId: number;
  readonly secretKey: number;
  applicationName: string;
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
  /** What portals run, while plugins observe. */
  observedPortals: Map<string, Observed> | null = null;
  /** Portals on the server whose rows plugins see. */
  rowPortals: Map<string, RowHook> | null = null;
  encoding: string;
  standardStrings: boolean;
  waitingSinceMs = 0;
  nextWaiter: this | null = null;
  previousWaiter: this | null = null;
  /** End of the last transaction that may have written, in whole milliseconds; negative: there was none. */
  wroteAtMs = -1;
  /** Calls of the plugin chain. */
  asked = 0;
  readonly #greeting: Greeting;
  /** Settings whose reported value is another than in the greeting. */
  #changed: Set<string> | null = null;
  readonly #registry: SessionRegistry;
  #chainSession: (ChainSession & { applicationName: string; clientEncoding: string; generation: number }) | null = null;
  /** Null: no part of a message has come that has not been dealt with. */
  #intake: Intake | null = null;
  /** Null: at rest, see #rest(). */
  #runner: BatchRunner | null = null;
  /** At rest: when the last batch came, in whole milliseconds; 0: there was none. */
  #requestAtMs = 0;
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
    this.settings = options.greeting.settings;
    this.encoding = options.greeting.encoding;
    this.standardStrings = options.greeting.standardStrings;
    this.connectedAtS = Math.floor(context.clock.wallMs() / 1000);
    this.#greeting = options.greeting;
    this.#registry = options.registry;
    this.processId = options.processId;
    this.secretKey = options.secretKey;
    this.applicationName = options.applicationName;
    this.wire.reader = this;
  }

  // --- What planning asks for

  /** As plugins know it. */
  get chainSession(): ChainSession {
    this.#chainSession ??= {
      id: this.id,
      user: this.user.name,
      database: this.database.config.name,
      applicationName: this.applicationName,
      clientAddress: this.wire.remoteAddress,
      clientEncoding: this.encoding,
      tls: this.wire.tls,
      generation: 0,
      encoded: null,
    };
    return this.#chainSession;
  }

  /** What RESET goes back to. */
  get initialSettings(): Settings {
    return this.#greeting.settings;
  }

  /** When the last batch came; 0: there was none. */
  get requestAtMs(): number {
    return this.#runner === null ? this.#requestAtMs : this.#runner.requestAtMs;
  }

  /** What a text means that is parsed now, see Settings. */
  readingNow(): string {
    if (this.held?.changesReading) this.#running().readsOtherwise();
    return this.#runner?.reading ?? this.settings.reading;
  }

  /** A client that waits itself wants a server for itself; what may share one is a Ride. */
  get kind(): null {
    return null;
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
    return this.wroteAtMs < 0 ? NEVER_WROTE : Math.min(NEVER_WROTE - 1, Math.round(this.context.clock.nowMs()) - this.wroteAtMs);
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

  keepStatement(name: string, statement: ClientStatement): void {
    this.statements ??= new ClientStatements();
    this.statements.set(name, statement);
  }

  keepLocalPortal(name: string, portal: LocalPortal): void {
    this.localPortals ??= new Map();
    this.localPortals.set(name, portal);
  }

  /** The server never got to a message that changed the statement `name`: the client has what it had before the batch. */
  undoStatement(name: string, before: ClientStatement | undefined): void {
    this.#runner?.undoStatement(name, before);
  }

  /** The client hears of settings that have their first value again. */
  discardAll(to: MessageWriter): void {
    this.statements = null;
    this.localPortals = null;
    this.settings = this.initialSettings;
    this.#runner?.tracker.rolledBack();
    for (const name of [...(this.#changed ?? [])]) this.#tellGreeted(name, to);
  }

  /** The server has reported its own defaults after RESET, where those of the client's startup packet count. */
  tellStartupSettings(): void {
    const { settings, initialSettings } = this;
    const to = this.context.reply.reset();
    for (const name of [...(this.#changed ?? [])]) {
      const statement = initialSettings.entries.get(name.toLowerCase());
      if (statement !== undefined && statement === settings.entries.get(name.toLowerCase())) this.#tellGreeted(name, to);
    }
    this.sendReply();
  }

  #tellGreeted(name: string, to: MessageWriter): void {
    const value = this.#greeting.shown.get(name) as string;
    writeParameterStatus(to, name, value);
    this.onParameter(name, value);
  }

  // --- The client's wire

  onBytes(chunk: Buffer, start: number, end: number): void {
    if (this.state === "closed") return;
    this.database.counters.bytesFromClients += end - start;
    const intake = this.#intake ?? this.context.intakes.take(this, this.context.config.limits);
    this.#intake = intake;
    try {
      intake.take(chunk, start, end);
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      this.fatal(error);
    }
    this.#restIntake();
  }

  onDrain(): void {
    this.server?.resumeReading();
    this.#runner?.ride?.resume();
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
    return this.state === "active" && (this.batchOpen || this.copyIn) && this.server?.wire.congested !== true;
  }

  get copyIn(): boolean {
    return this.#runner?.copyIn === true;
  }

  get passesCopyData(): boolean {
    return this.batchOpen || this.copyIn;
  }

  /** The server has the beginning of a CopyData whose end has not come. */
  get insideCopyData(): boolean {
    return this.#intake?.insideCopyData === true;
  }

  /** The client went on before it saw the answer to what runs now. */
  get sentAhead(): boolean {
    return this.#intake?.hasMore === true;
  }

  /** The buffer of the unit that is handed over may be kept as it is. */
  get surrendersUnit(): boolean {
    return this.#intake?.surrenders === true;
  }

  get holdsServer(): boolean {
    return this.server !== null;
  }

  onNoRoom(bytes: number): void {
    const { limits, timeouts } = this.context.config;
    this.fatal(
      new PoolerError("NO_MEMORY", `no memory for a message of ${bytes} bytes came free within ${timeouts.queryWaitMs} ms`, {
        detail: `${this.context.memory.usedBytes} bytes are taken by messages of clients that wait, of ${limits.maxBufferedBytes} in each worker.`,
        hint: "Try again later. When it happens often, raise limits.max_buffered_bytes or look for slow statements.",
      }),
    );
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
    if (server === null) return;
    const runner = this.#running();
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
        this.#running().copyEnded = true;
        this.server?.send(buffer, start, end);
        return;
      case Frontend.PASSWORD:
        throw new PoolerError("PROTOCOL_VIOLATION", "a password message came after the login");
    }
    const runner = this.#running();
    const { refusals } = runner;
    const isQuery = buffer[start] === Frontend.QUERY || buffer[start] === Frontend.FUNCTION_CALL;
    if (!refusals.skipping && !this.server?.replies.skipping) runner.run(buffer, start, end);
    else if (!isQuery && endsWithSync(buffer, start, end)) refusals.endSkipping();
    this.#leaveIfDraining();
    this.#rest();
  }

  /** A plugin has answered, or its deadline has come. */
  onAnswer(): void {
    try {
      this.#running().onAnswer();
    } catch (error) {
      this.onBug(error);
    }
    this.#rest();
  }

  /** A batch that shared a server, or waited for one, is over. */
  onRideOver(): void {
    this.#rest();
  }

  #running(): BatchRunner {
    this.#runner ??= this.context.runners.take(this);
    return this.#runner;
  }

  /**
   * Nothing runs, no transaction is open and no error is being passed over: what that takes goes to others who need it. To be called
   * as the last thing, since the runner itself may have led here.
   */
  #rest(): void {
    const runner = this.#runner;
    if (runner === null || this.state !== "idle" || this.server !== null || this.held !== null || runner.refusals.skipping) return;
    this.#runner = null;
    this.#requestAtMs = Math.round(runner.requestAtMs);
    this.context.runners.giveBack(runner);
  }

  #restIntake(): void {
    const intake = this.#intake;
    if (intake === null || !intake.atRest) return;
    this.#intake = null;
    this.context.intakes.giveBack(intake);
  }

  onDeferred(): void {
    this.pump();
  }

  onBug(error: unknown): void {
    this.context.log.error({ client: this.id, error }, "a connection was closed because of a bug");
    this.wire.destroy();
  }

  /** What waits in the inbox may be taken. */
  pump(): void {
    this.#leaveIfDraining();
    const intake = this.#intake;
    if (intake === null) return;
    try {
      intake.pump();
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      this.fatal(error);
    }
    this.#restIntake();
  }

  sendReply(): void {
    const { reply } = this.context;
    this.database.counters.bytesToClients += reply.length;
    if (reply.length > 0) this.wire.write(reply.buffer, 0, reply.length);
  }

  /** Tell the client why, unless it is in the middle of a message, and close. */
  fatal(error: PoolerError): void {
    if (this.state === "closed") return;
    if (!this.server?.insideMessage && !this.#runner?.ride?.insideMessage) {
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
    return !this.transactionMode || this.#runner?.changesSettings === true;
  }

  get passesNotifications(): boolean {
    return this.pinned || !this.transactionMode;
  }

  onParameter(name: string, value: string): void {
    const greeted = this.#greeting.shown.get(name);
    if (greeted === value) this.#changed?.delete(name);
    else if (greeted !== undefined && name !== "in_hot_standby") {
      this.#changed ??= new Set();
      this.#changed.add(name);
    }
    if (this.state === "active" && changesReading(name.toLowerCase())) this.#runner?.readsOtherwise();
    if (name === "client_encoding") this.encoding = value;
    else if (name === "standard_conforming_strings") this.standardStrings = value === "on";
    else if (name === "application_name") this.applicationName = value;
    else return;
    const known = this.#chainSession;
    if (known === null) return;
    known.clientEncoding = this.encoding;
    known.applicationName = this.applicationName;
    known.generation++;
  }

  statementName(global: string): string | null {
    return this.statements === null ? null : this.statements.nameOf(global);
  }

  onSkipping(): void {
    if (this.batchOpen || this.state !== "active") return;
    // A query behind the message that failed is passed over, too: the Sync behind it may be taken.
    this.batchOpen = true;
    this.context.engine.defer(this);
  }

  onCopyIn(): void {
    this.#running().beginCopyIn();
    // What the client sent ahead of it waits in the inbox; not within the server's call.
    this.context.engine.defer(this);
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
    this.#runner?.onReady(status, failed, owed);
    this.#rest();
  }

  onServerLost(error: PoolerError, broken: boolean): void {
    this.#running().onServerLost(error, broken);
    this.#rest();
  }

  // --- The pool

  onServer(server: Server): void {
    this.#running().onServer(server);
  }

  onNoServer(error: PoolerError, cause: NoServerCause): void {
    this.#running().onNoServer(error, cause);
    this.#rest();
  }

  // --- From outside

  /** A cancel request for this client. Resolves when nothing of it is under way any more; null: nothing is. */
  cancel(): Promise<void> | null {
    const over = this.#runner?.cancel() ?? null;
    this.#rest();
    return over;
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

  /** Every so often, unless it is at rest. `sinceMs`: when the last batch came, or was over. */
  tick(nowMs: number, sinceMs: number): void {
    const limitMs = this.context.config.timeouts.clientIdleInTransactionMs;
    if (limitMs > 0 && this.state === "idle" && this.inTransaction && nowMs - sinceMs > limitMs) {
      this.fatal(new PoolerError("IDLE_IN_TRANSACTION", "terminating connection due to idle-in-transaction timeout"));
    }
  }

  #end(): void {
    if (this.state === "closed") return;
    const before = this.state;
    this.state = "closed";
    this.#intake?.clear();
    this.#runner?.abandon(before);
    this.#registry.remove(this);
  }
}
