// The server connections to one host for one database and server user: those that are idle, those that are lent, those who
// wait. The lists are the states. Limits hold for all workers together through the slot source.

import type { PassThroughKeys } from "../auth/scram.js";
import type { SecretCache } from "../auth/secret-cache.js";
import type { Clock, Timer } from "../base/clock.js";
import { PoolerError } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import type { LimitsConfig, TimeoutsConfig, UserConfig } from "../config/types.js";
import type { PluginHooks, ServerLogin } from "../plugins/types-hooks.js";
import { type Greeting, openServer } from "../server/handshake.js";
import { Server, type ServerOwner } from "../server/server.js";
import { type FirstStatements, noFirstStatements, setUpServer } from "../server/set-up-server.js";
import type { StatementKind } from "../server/statement-kind.js";
import { type Settings, sameSettings } from "../session/settings.js";
import type { HostState } from "../topology/host-state.js";
import type { Wire, WireEngine } from "../wire/wire.js";
import { Admission } from "./admission.js";
import type { Multiplex } from "./multiplex.js";
import { Riding, type RidingPool, type WaitingRider } from "./riding.js";
import type { SlotSource } from "./slot-source.js";
import { type Queued, WaitQueue } from "./wait-queue.js";

/** "time": waited for too long; "host": it cannot be connected to, another may; "replaced": a reload took the pool away. */
export type NoServerCause = "time" | "host" | "replaced";

export interface Waiter extends Queued {
  readonly settings: Settings;
  /** Of a statement that may share a server (then it is a Rider); null: wants one for itself. */
  readonly kind: StatementKind | null;
  /** Monotonic milliseconds. */
  waitingSinceMs: number;
  /** The server is its to lease. */
  onServer(server: Server): void;
  /** Nobody will come from this pool. */
  onNoServer(error: PoolerError, cause: NoServerCause): void;
}

/** What all pools of a worker share. */
export interface PoolContext {
  /** So many workers share what is allowed to all of them together. */
  readonly workers: number;
  readonly engine: WireEngine;
  readonly clock: Clock;
  readonly log: Logger;
  readonly slots: SlotSource;
  readonly secrets: SecretCache;
  /** By user: what their own logins have shown, for users of whom there is nothing but a verifier. */
  readonly passThroughKeys: ReadonlyMap<string, PassThroughKeys>;
  /** Null: no plugin has server_connect. */
  readonly hooks: PluginHooks | null;
  /** As the configuration has it now. */
  user(name: string): UserConfig | undefined;
  limits: LimitsConfig;
  timeouts: TimeoutsConfig;
  nextServerId(): number;
  onHostChanged(host: HostState): void;
  readonly totals: { serversOpened: number; serversLost: number };
}

/** What proves the pooler at a server. */
export interface ServerCredentials {
  readonly password: string | null;
  readonly passThroughKeys: PassThroughKeys | null;
}

export interface HostPoolOptions {
  readonly key: string;
  readonly database: string;
  readonly user: string;
  /** Asked for each connection: reloads change passwords, logins bring keys. */
  readonly credentials: () => ServerCredentials;
  readonly host: HostState;
  readonly poolSize: number;
  /** Clients that may wait, 0: no limit but what can be served within query_wait. */
  readonly maxWaiting: number;
  /** Null: nobody shares a server. */
  readonly multiplex: Multiplex | null;
}

/** A server that was not used for this long is not needed between two clients. */
const surplusIdleMs = 100;
/** How many idle servers are looked at for one that has the client's settings already. */
const settingsSearchDepth = 8;

export class HostPool implements ServerOwner, RidingPool {
  readonly options: HostPoolOptions;
  readonly servers = new Set<Server>();
  /** Last in, first out: the rest may go after their idle time. */
  readonly idle: Server[] = [];
  readonly waiters = new WaitQueue<Waiter>();
  readonly #admission = new Admission();
  connecting = 0;
  paused = false;
  poolSize: number;
  /** ParameterStatus of the last server that was greeted. */
  greeting: ReadonlyMap<string, string> | null = null;
  /** What a plugin said last of how to log in here; null: what is configured. */
  login: ServerLogin | null = null;
  #retryAtMs = 0;
  #lastError: PoolerError | null = null;
  #retryTimer: Timer | null = null;
  #retired = false;
  /** The host is down: one connection is wanted to find out whether it still is. */
  #probing = false;
  /** Connections that another worker waits for, and whether it comes first. */
  #surplus = 0;
  #surplusUrgent = false;
  readonly #greetingWaiters: ((error: PoolerError | null) => void)[] = [];
  readonly #context: PoolContext;
  /** Statements that share servers; null before multiplexing was ever asked for. */
  #riding: Riding | null = null;

  constructor(context: PoolContext, options: HostPoolOptions) {
    this.#context = context;
    this.options = options;
    this.poolSize = options.poolSize;
    this.#admission.maxWaiting = options.maxWaiting;
    this.#multiplex(options.multiplex);
  }

  /** A reload may end it while riders are on their way: they arrive. */
  #multiplex(multiplex: Multiplex | null): void {
    if (multiplex === null) return;
    if (this.#riding !== null) this.#riding.multiplex = multiplex;
    else this.#riding = new Riding(multiplex, this, this.#context.engine, this.#context.clock, this.#context.log);
  }

  /** May statements of this kind share its servers? */
  allowsRides(kind: StatementKind): boolean {
    return this.#riding?.allows(kind) ?? false;
  }

  /** Statements in flight on servers that they share. */
  get riders(): number {
    return this.#riding?.inFlight ?? 0;
  }

  get active(): number {
    return this.servers.size - this.idle.length;
  }

  get load(): number {
    return this.active + this.waiters.length;
  }

  /** False: no connection is there, and the last try is not long ago. */
  get usable(): boolean {
    return this.#unavailable() === null;
  }

  /** A server now, or null: the waiter is called later, or an error when it cannot be had. */
  acquire(waiter: Waiter): Server | PoolerError | null {
    if (!this.paused && this.waiters.length === 0) {
      const server = this.#takeIdle(waiter.settings);
      if (server !== null) return server;
    }
    const error = this.#unavailable() ?? this.#refusal();
    if (error !== null) return error;
    waiter.waitingSinceMs = this.#context.clock.nowMs();
    this.waiters.push(waiter);
    this.#riding?.soon();
    this.#openIfWanted();
    return null;
  }

  /** A statement that may share a server: it gets its answer, or hears why not, later. Null, or an error when there is no server. */
  ride(rider: WaitingRider): PoolerError | null {
    // Those who came in this turn may find room yet.
    const error = this.#unavailable() ?? this.#refusal(this.waiters.length === 0 ? 0 : (this.#riding?.room ?? 0));
    if (error !== null) return error;
    rider.waitingSinceMs = this.#context.clock.nowMs();
    this.waiters.push(rider);
    this.#riding?.soon();
    return null;
  }

  /** The waiter left: its client is gone, or its time is up. */
  forget(waiter: Waiter): void {
    if (this.waiters.remove(waiter) && this.waiters.length === 0) this.#admission.emptied();
  }

  /** Calls back when the greeting is known: at once when it is. */
  withGreeting(callback: (error: PoolerError | null) => void): void {
    const error = this.greeting === null ? this.#unavailable() : null;
    if (this.greeting !== null || error !== null) {
      callback(error);
      return;
    }
    this.#greetingWaiters.push(callback);
    this.#openIfWanted();
  }

  /** Every so often: close what was idle or alive for too long, tell those who waited for too long. */
  tick(nowMs: number): void {
    const { timeouts } = this.#context;
    for (let i = this.idle.length - 1; i >= 0; i--) {
      const server = this.idle[i] as Server;
      const tooIdle = timeouts.serverIdleMs > 0 && nowMs - server.idleSinceMs > timeouts.serverIdleMs;
      const tooOld = timeouts.serverLifetimeMs > 0 && nowMs - server.connectedAtMs > timeouts.serverLifetimeMs;
      if (tooIdle || tooOld) server.close(null);
    }
    this.#giveUpIdle(nowMs - surplusIdleMs);
    this.#admission.tick(nowMs, this.waiters.length);
    this.#riding?.tick(nowMs);
    if (timeouts.queryWaitMs === 0) return;
    for (;;) {
      const waiter = this.waiters.first;
      if (waiter === null || nowMs - waiter.waitingSinceMs < timeouts.queryWaitMs) return;
      const what = this.paused ? new PoolerError("PAUSED", `database "${this.options.database}" is paused`) : this.#waitTimeout();
      this.waiters.shift();
      if (this.waiters.length === 0) this.#admission.emptied();
      waiter.onNoServer(what, "time");
    }
  }

  pause(): void {
    this.paused = true;
    // As PgBouncer does: PAUSE is what comes before the server is stopped, which may wait for its clients.
    for (const server of [...this.idle]) server.close(null);
  }

  resume(): void {
    this.paused = false;
    this.#retryAtMs = 0; // what was wrong with the server is what the pause was for
    this.#serveWaiters();
  }

  /** A reload. What could not be opened with the old credentials is tried again. */
  reconfigure(poolSize: number, maxWaiting: number, multiplex: Multiplex | null): void {
    this.poolSize = poolSize;
    this.#admission.maxWaiting = maxWaiting;
    this.#multiplex(multiplex);
    this.#retryAtMs = 0;
    for (let excess = this.servers.size - poolSize; excess > 0 && this.idle.length > 0; excess--) this.idle[0]?.close(null);
    this.#openIfWanted();
  }

  /** The configuration has no such pool any more: servers go as they come free. */
  retire(): void {
    this.#retired = true;
    this.#retryTimer?.cancel();
    const error = new PoolerError("HOST_DOWN", `${this.#where} was taken out of the configuration`);
    for (const callback of this.#greetingWaiters.splice(0)) callback(error);
    for (const server of [...this.servers]) {
      server.retired = true;
      if (server.state === "idle") server.close(null);
    }
    for (const waiter of this.waiters.takeAll()) waiter.onNoServer(error, "replaced");
  }

  /**
   * Another worker waits for `count` slots. Urgent: the next that come free go, and those that are idle now. Otherwise only what
   * has been idle for a while: a server that is idle between two clients is not. See ipc.ts, slotsWanted.
   */
  giveUp(count: number, urgent: boolean): void {
    this.#surplus = count;
    this.#surplusUrgent = urgent;
    this.#giveUpIdle(urgent ? Number.POSITIVE_INFINITY : this.#context.clock.nowMs() - surplusIdleMs);
  }

  /** Those that became idle before then, the longest idle first. */
  #giveUpIdle(idleBeforeMs: number): void {
    while (this.#surplus > 0 && this.idle.length > 0 && (this.idle[0] as Server).idleSinceMs <= idleBeforeMs) {
      this.#surplus--;
      this.idle[0]?.close(null);
    }
  }

  /** The supervisor lent slots. */
  onSlots(): void {
    this.#openIfWanted();
    // Whoever wanted it is gone or was served by another connection.
    if (this.#wanted() === 0) this.#context.slots.returnFree(this.options.key);
  }

  closeAll(): void {
    this.#retired = true;
    this.#retryTimer?.cancel();
    for (const server of [...this.servers]) server.close(null);
  }

  // --- ServerOwner

  onIdle(server: Server, atMs: number | null): void {
    const { timeouts, clock } = this.#context;
    const nowMs = atMs ?? clock.nowMs();
    server.idleSinceMs = nowMs;
    const tooOld = timeouts.serverLifetimeMs > 0 && nowMs - server.connectedAtMs > timeouts.serverLifetimeMs;
    const wantedElsewhere = this.#surplus > 0 && this.#surplusUrgent;
    if (wantedElsewhere) this.#surplus--;
    if (this.#retired || this.paused || tooOld || wantedElsewhere || this.servers.size > this.poolSize) {
      server.close(null);
      return;
    }
    this.idle.push(server);
    this.#serveWaiters();
  }

  onClosed(server: Server, error: PoolerError | null): void {
    this.servers.delete(server);
    const at = this.idle.indexOf(server);
    if (at >= 0) this.idle.splice(at, 1);
    if (error !== null) {
      this.#context.totals.serversLost++;
      this.#context.log.warn(
        { server: server.id, host: this.options.host.address, database: this.options.database, error },
        "a server connection was lost",
      );
    }
    // Those who wait had only this one to hope for.
    const unavailable = this.#retired ? null : this.#unavailable();
    if (unavailable !== null) this.#refuseWaiters(unavailable);
  }

  onGone(_server: Server): void {
    this.#context.slots.giveBack(this.options.key);
    if (!this.#retired) this.#openIfWanted();
  }

  onServerParameter(server: Server, name: string, value: string): void {
    if (name !== "in_hot_standby" || server.state === "leased") return;
    this.#context.log.info({ host: this.options.host.address, value }, "a server said that it is a standby or no longer one");
  }

  // --- Inside

  get #where(): string {
    return `${this.options.host.role} ${this.options.host.address} of shard ${this.options.host.shard}`;
  }

  #waitTimeout(): PoolerError {
    const waited = this.#context.timeouts.queryWaitMs;
    return new PoolerError("WAIT_TIMEOUT", `no server connection came free within ${waited} ms`, {
      detail: `${this.#where}: ${this.active} of ${this.poolSize} connections are in use, ${this.waiters.length} clients wait.`,
      hint: "Raise pool_size of the database or timeouts.query_wait, or look for long transactions.",
    });
  }

  /** Why nobody else may wait now. */
  /** `room`: so many of those who wait do so only until this turn ends. */
  #refusal(room = 0): PoolerError | null {
    const { waiters, poolSize } = this;
    const { queryWaitMs } = this.#context.timeouts;
    // While it is paused nothing is served, and nobody knows for how long.
    const refusal = this.#admission.refusal(waiters.length - room, this.paused ? 0 : queryWaitMs, poolSize);
    if (refusal === null) return null;
    return new PoolerError(
      "TOO_MANY_WAITING",
      refusal === "full"
        ? `${waiters.length} clients wait for a server connection already: max_waiting is reached`
        : `no server connection would come free within ${queryWaitMs} ms: ${waiters.length} clients wait already`,
      {
        detail: `${this.#where}: ${this.active} of ${poolSize} connections are in use.`,
        hint: "Try again later. When it happens often, raise pool_size of the database or look for slow statements.",
      },
    );
  }

  #unavailable(): PoolerError | null {
    if (this.servers.size > 0 || this.#lastError === null || this.#context.clock.nowMs() >= this.#retryAtMs) return null;
    return this.#lastError;
  }

  #takeIdle(settings: Settings): Server | null {
    const { idle } = this;
    const last = idle.length - 1;
    if (last < 0) return null;
    for (let i = last; i >= 0 && i > last - settingsSearchDepth; i--) {
      const server = idle[i] as Server;
      if (!sameSettings(server.settings, settings)) continue;
      if (i === last) idle.pop();
      else idle.splice(i, 1);
      return server;
    }
    return idle.pop() as Server;
  }

  #serveWaiters(): void {
    this.serveWaiters();
    this.#openIfWanted();
  }

  // --- RidingPool

  serveWaiters(): void {
    while (!this.paused && this.idle.length > 0) {
      const waiter = this.waiters.first;
      if (waiter === null) return;
      if (waiter.kind !== null) {
        this.#riding?.soon();
        return;
      }
      this.waiters.shift();
      this.#admission.served(this.waiters.length);
      waiter.onServer(this.#takeIdle(waiter.settings) as Server);
    }
  }

  takeIdle(settings: Settings): Server | null {
    return this.#takeIdle(settings);
  }

  boarded(rider: Waiter): void {
    this.waiters.remove(rider);
    this.#admission.served(this.waiters.length);
  }

  openMore(): void {
    this.#openIfWanted();
  }

  get wantedElsewhere(): number {
    return this.#surplusUrgent ? this.#surplus : 0;
  }

  isSpent(server: Server, nowMs: number): boolean {
    const { serverLifetimeMs } = this.#context.timeouts;
    if (server.retired || this.servers.size > this.poolSize) return true;
    return serverLifetimeMs > 0 && nowMs - server.connectedAtMs > serverLifetimeMs;
  }

  // --- Opening

  /** Connections that would be used now. Who shares a server would have one of its own. */
  #wanted(): number {
    const sharing = this.#riding?.behind ?? 0;
    // With servers idle it is riders who wait, for the end of this turn.
    const waiting = this.idle.length > 0 ? 0 : this.waiters.length;
    return this.paused ? 0 : Math.max(waiting + sharing, this.#greetingWaiters.length > 0 || this.#probing ? 1 : 0);
  }

  #openIfWanted(): void {
    while (!this.#retired && this.connecting < this.#wanted() && this.#context.clock.nowMs() >= this.#retryAtMs) {
      if (!this.#context.slots.take(this.options.key, this.poolSize)) return;
      this.#open();
    }
  }

  #open(): void {
    this.connecting++;
    const { host, user, credentials } = this.options;
    const { engine, secrets, timeouts, hooks } = this.#context;
    openServer(
      engine,
      { ...host.config, user, ...credentials(), secrets, timeoutMs: timeouts.serverConnectMs },
      (error, wire, greeting) => {
        if (wire === null || greeting === null || hooks === null) this.#opened(error, wire, greeting, null, noFirstStatements);
        else this.#setUp(hooks, wire, greeting);
      },
    );
  }

  /** Plugins have their say before anybody uses the connection. */
  #setUp(hooks: PluginHooks, wire: Wire, greeting: Greeting): void {
    const { host, user, database } = this.options;
    const id = this.#context.nextServerId();
    const parameters = new Map(greeting.parameters);
    const server = {
      id,
      shard: host.shard,
      role: host.role,
      processId: greeting.identity.remoteProcessId,
      database,
      serverDatabase: host.config.database,
      user,
      address: host.address,
      tls: wire.tls,
      parameters,
    };
    setUpServer(hooks, wire, server, this.#context.timeouts.serverConnectMs, (error, first) =>
      this.#opened(error, error === null ? wire : null, { ...greeting, parameters }, id, first),
    );
  }

  #opened(error: PoolerError | null, wire: Wire | null, greeting: Greeting | null, id: number | null, first: FirstStatements): void {
    const { host } = this.options;
    const { clock, log, limits, totals } = this.#context;
    this.connecting--;
    if (wire === null || greeting === null) {
      this.#context.slots.giveBack(this.options.key);
      this.#openFailed(error ?? new PoolerError("HOST_DOWN", `${this.#where} cannot be reached`));
      return;
    }
    totals.serversOpened++;
    this.#lastError = null;
    this.#retryAtMs = 0;
    this.#probing = false;
    host.lastError = null;
    if (!host.up) this.#markUp();
    this.greeting = greeting.parameters;
    const server = new Server({
      id: id ?? this.#context.nextServerId(),
      wire,
      owner: this,
      identity: greeting.identity,
      statementLimit: limits.maxServerStatements,
      nowMs: clock.nowMs(),
      log,
    });
    server.first = first;
    server.address = host.address;
    wire.reader = server;
    this.servers.add(server);
    for (const callback of this.#greetingWaiters.splice(0)) callback(null);
    this.onIdle(server, null);
  }

  #openFailed(error: PoolerError): void {
    const { clock, timeouts, log } = this.#context;
    const { host } = this.options;
    const hostDown = error.code === "HOST_DOWN";
    this.#lastError = error;
    this.#probing = false;
    this.#retryAtMs = clock.nowMs() + (hostDown ? timeouts.hostRetryMs : Math.min(timeouts.hostRetryMs, 1_000));
    log.error({ host: host.address, shard: host.shard, role: host.role, error }, "a server connection could not be opened");
    if (hostDown && host.up) {
      host.up = false;
      host.downSinceMs = clock.wallMs();
      this.#context.onHostChanged(host);
    }
    host.lastError = error;
    this.#retryTimer?.cancel();
    this.#retryTimer = clock.setTimer(this.#retryAtMs - clock.nowMs(), () => this.#probe());
    for (const callback of this.#greetingWaiters.splice(0)) callback(error);
    // With other connections alive those who wait are still served by them.
    if (this.servers.size === 0) this.#refuseWaiters(error);
  }

  #refuseWaiters(error: PoolerError): void {
    this.#admission.forget();
    for (const waiter of this.waiters.takeAll()) waiter.onNoServer(error, "host");
  }

  /** Is it back? Tried while it is down, and when somebody waits. */
  #probe(): void {
    this.#retryAtMs = 0;
    this.#probing = !this.options.host.up;
    this.#openIfWanted();
  }

  #markUp(): void {
    const { host } = this.options;
    host.up = true;
    host.downSinceMs = null;
    this.#context.log.info({ host: host.address, shard: host.shard, role: host.role }, "a host is back");
    this.#context.onHostChanged(host);
  }
}
