// The clients of one worker: who is there, who is logging in, whose cancel key is whose.

import type { SecretCache } from "../auth/secret-cache.js";
import { PoolerError } from "../base/errors.js";
import type { UserConfig } from "../config/types.js";
import { ConsoleSession } from "../session/console-session.js";
import type { SessionContext } from "../session/context.js";
import { type ClientRegistry, Login } from "../session/login.js";
import type { Session } from "../session/session.js";
import type { ConsoleResult } from "../supervisor/ipc.js";
import type { TlsUpgrade, Wire } from "../wire/wire.js";
import type { ClientCounts } from "./client-counts.js";

export interface ClientsOptions {
  readonly context: SessionContext;
  readonly worker: number;
  readonly counts: ClientCounts;
  readonly version: string;
  readonly secrets: SecretCache;
  readonly runConsole: (user: UserConfig, sql: string) => Promise<ConsoleResult>;
  /** A cancel request whose client is not here. Resolves when it is over; null: there are no others. */
  readonly onForeignCancel: (processId: number, secretKey: number) => Promise<void> | null;
}

/** Numbers of clients in a process id; the rest names the worker. */
const clientBits = 22;

export class Clients implements ClientRegistry {
  /** By the number that the client was told. */
  readonly sessions = new Map<number, Session>();
  readonly logins = new Set<Login>();
  readonly consoles = new Set<ConsoleSession>();
  draining = false;
  #retiring = false;
  onEmpty: (() => void) | null = null;
  readonly #options: ClientsOptions;
  /** One object for all: what the engine makes of it is kept by it. */
  readonly #tls: TlsUpgrade | null;
  #lastSession = 0;
  #lastProcess = 0;

  constructor(options: ClientsOptions) {
    this.#options = options;
    const { mode, cert, key, ca } = options.context.config.listen.tls;
    const off = mode === "disable" || cert === null || key === null;
    this.#tls = off ? null : { side: "server", cert, key, clientCa: mode === "verify-full" ? ca : null };
  }

  /** Whoever is connected, logged in or not. */
  get connections(): number {
    return this.sessions.size + this.logins.size + this.consoles.size;
  }

  accept(wire: Wire): void {
    const { context, secrets } = this.#options;
    context.totals.clientsAccepted++;
    new Login(context, this, secrets, this.#tls, wire);
  }

  get hasRoom(): boolean {
    return this.#options.counts.total < this.#options.context.config.limits.maxClients;
  }

  admit(): boolean {
    return this.#options.counts.add(this.#options.context.config.limits.maxClients);
  }

  dismiss(): void {
    this.#options.counts.remove();
  }

  nextSessionId(): number {
    return ++this.#lastSession;
  }

  nextProcessId(): number {
    do this.#lastProcess = (this.#lastProcess + 1) % (1 << clientBits);
    while (this.#lastProcess === 0 || this.sessions.has(this.#processId(this.#lastProcess)));
    return this.#processId(this.#lastProcess);
  }

  #processId(number: number): number {
    return ((this.#options.worker % 256) << clientBits) | number;
  }

  add(session: Session): void {
    this.sessions.set(session.processId, session);
    if (this.draining) session.drain();
  }

  remove(session: Session): void {
    if (this.sessions.delete(session.processId)) this.dismiss();
    this.#options.context.clientHooks?.left(session.chainSession, true);
    this.#tellEmpty();
  }

  loggingIn(login: Login): void {
    this.logins.add(login);
  }

  loggedIn(login: Login): void {
    this.logins.delete(login);
    this.#tellEmpty();
  }

  cancel(processId: number, secretKey: number): Promise<void> | null {
    const session = this.sessions.get(processId);
    if (session === undefined) return this.#options.onForeignCancel(processId, secretKey);
    return session.secretKey === secretKey ? session.cancel() : null;
  }

  /** A cancel request that another worker passed on. */
  cancelHere(processId: number, secretKey: number): Promise<void> | null {
    const session = this.sessions.get(processId);
    return session?.secretKey === secretKey ? session.cancel() : null;
  }

  openConsole(wire: Wire, user: UserConfig): void {
    const { version, runConsole } = this.#options;
    const session = new ConsoleSession({
      wire,
      user,
      version,
      run: (sql) => runConsole(user, sql),
      onEnd: (ended) => {
        this.consoles.delete(ended);
        this.#tellEmpty();
      },
    });
    this.consoles.add(session);
  }

  /** Logins are in the order in which they began. */
  tick(nowMs: number): void {
    for (const login of this.logins) if (login.hasTime(nowMs)) break;
  }

  /** Whoever is there may stay; when the last one has left, onEmpty is called. */
  retire(): void {
    this.#retiring = true;
    this.#tellEmpty();
  }

  /** No new transactions; clients leave when theirs are over. */
  drain(): void {
    this.draining = true;
    for (const login of [...this.logins]) login.close();
    for (const session of [...this.sessions.values()]) session.drain();
    for (const console of [...this.consoles]) console.close();
    this.#tellEmpty();
  }

  /** Time is up: also those in the middle of something. */
  closeAll(): void {
    const error = new PoolerError("SHUTTING_DOWN", "terminating connection due to administrator command");
    for (const session of [...this.sessions.values()]) session.fatal(error);
  }

  #tellEmpty(): void {
    if ((this.draining || this.#retiring) && this.connections === 0) this.onEmpty?.();
  }
}
