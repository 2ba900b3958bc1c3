// A client from its first byte to its session: startup packet, TLS, authentication, greeting. Nothing here is trusted, and
// whoever fails is told no more than PostgreSQL would tell.
//
//   startup ──SSLRequest──▶ tls ──▶ startup     startup ──CancelRequest──▶ closed
//   startup ──StartupMessage──▶ asking (a plugin waits) ──▶ authenticating ──▶ greeting (waits for a server's, once per host and user) ──▶ Session
import { randomInt } from "node:crypto";
import { type AuthStep, type ClientAuthenticator, createClientAuthenticator } from "../auth/client-authenticator.js";
import type { SecretCache } from "../auth/secret-cache.js";
import { PoolerError } from "../base/errors.js";
import type { UserConfig } from "../config/types.js";
import { ChainAnswers } from "../plugins/chain-answers.js";
import type { ChainSession } from "../plugins/types.js";
import type { ClientVerdict } from "../plugins/types-hooks.js";
import type { ClientUser, Database } from "../pool/database.js";
import { writePoolerError, writeReadyForQuery } from "../protocol/backend.js";
import { Backend, Frontend, HEADER_BYTES, TransactionStatus } from "../protocol/codes.js";
import { readInt32 } from "../protocol/message-writer.js";
import { readStartup, startupLength } from "../protocol/startup.js";
import type { TlsUpgrade, Wire, WireReader } from "../wire/wire.js";
import { askAboutStartup } from "./asking.js";
import type { SessionContext } from "./context.js";
import { Startup } from "./known-startups.js";
import { QuestionPending } from "./plugin-wait.js";
import { Session, type SessionRegistry } from "./session.js";
import { startupSetting } from "./settings.js";

/** Who keeps account of clients. */
export interface ClientRegistry extends SessionRegistry {
  /** False: the limit is reached. */
  readonly hasRoom: boolean;
  /** Takes a place for a client; false: there is none left. It is given back by remove(), or by dismiss() before there is a session. */
  admit(): boolean;
  dismiss(): void;
  readonly draining: boolean;
  /** A number for BackendKeyData that no other client of the pooler has. */
  nextProcessId(): number;
  nextSessionId(): number;
  add(session: Session): void;
  loggingIn(login: Login): void;
  loggedIn(login: Login): void;
  /** Resolves when nothing of it is under way any more; null: nothing is. */
  cancel(processId: number, secretKey: number): Promise<void> | null;
  /** Hand the connection to the console. */
  openConsole(wire: Wire, user: UserConfig, applicationName: string): void;
}

export const consoleDatabaseName = "pooler";
/** Nobody needs more to prove who they are. */
const largestPasswordMessageBytes = 16 * 1024;
const nothing = Buffer.alloc(0);
const sslAccepted = Buffer.from("S");
const sslRefused = Buffer.from("N");
type LoginState = "startup" | "tls" | "asking" | "authenticating" | "greeting" | "ended";

export class Login implements WireReader {
  readonly #context: SessionContext;
  readonly #clients: ClientRegistry;
  readonly #secrets: SecretCache;
  readonly #tls: TlsUpgrade | null;
  readonly #wire: Wire;
  #state: LoginState = "startup";
  /** What has come and was not read yet. Within onBytes() it may be a view of the chunk. */
  #kept: Buffer = nothing;
  #askedForTls = false;
  #askedForGss = false;
  #authenticator: ClientAuthenticator | null = null;
  #user: ClientUser | null = null;
  /** Plugins that are being asked. */
  #question: { drop(): void } | null = null;
  /** What plugins have said about its settings so far. */
  #answers: ChainAnswers | null = null;
  #id: number | null = null;
  /** The client as plugins let it in. */
  #guest: ChainSession | null = null;
  #startup: Startup | null = null;
  /** The packet as KnownStartups knows it. */
  #startupText: string | null = null;
  /** Messages that say the login is good: they go out with the greeting. */
  #accepted: Buffer | null = null;
  #database: Database | null = null;
  /** A place among max_clients was taken. */
  #isAdmitted = false;

  readonly #startedAtMs: number;

  constructor(context: SessionContext, clients: ClientRegistry, secrets: SecretCache, tls: TlsUpgrade | null, wire: Wire) {
    this.#context = context;
    this.#clients = clients;
    this.#secrets = secrets;
    this.#tls = tls;
    this.#wire = wire;
    this.#startedAtMs = context.clock.nowMs();
    wire.reader = this;
    clients.loggingIn(this);
  }

  onBytes(chunk: Buffer, start: number, end: number): void {
    if (this.#state === "ended") return;
    const view = chunk.subarray(start, end);
    const isView = this.#kept.length === 0;
    this.#kept = isView ? view : Buffer.concat([this.#kept, view]);
    try {
      this.#read();
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      this.#fail(error);
    }
    if (this.#kept.length === 0) this.#kept = nothing;
    else if (isView) this.#kept = Buffer.from(this.#kept);
  }

  /** Every so often, for the one that began first: is there time left? */
  hasTime(nowMs: number): boolean {
    const { clientLoginMs } = this.#context.config.timeouts;
    if (clientLoginMs === 0 || nowMs - this.#startedAtMs <= clientLoginMs) return true;
    this.#fail(new PoolerError("LOGIN_TIMEOUT", `the login did not end within ${clientLoginMs} ms`));
    return false;
  }

  onDrain(): void {}

  onClosed(error: Error | null): void {
    if (error !== null && this.#state === "tls") this.#context.log.info({ error, client: this.#where }, "a client's TLS handshake failed");
    else if (error !== null) this.#context.log.debug({ error, client: this.#where }, "a client left during its login");
    this.#end();
  }

  get #where(): string {
    return `${this.#wire.remoteAddress}:${this.#wire.remotePort}`;
  }

  #read(): void {
    switch (this.#state) {
      case "startup":
        this.#readStartup();
        return;
      case "authenticating":
        this.#readPassword();
        return;
      case "tls":
        // What came in the clear behind the SSLRequest could have been put there by anybody.
        throw new PoolerError("PROTOCOL_VIOLATION", "received unencrypted data after SSL request");
      case "asking":
      case "greeting":
        if (this.#kept.length > 64 * 1024) throw new PoolerError("PROTOCOL_VIOLATION", "too much was sent before the login ended");
        return; // sent ahead: it is read later
      case "ended":
        return;
    }
  }

  #readStartup(): void {
    const length = startupLength(this.#kept, 0, this.#kept.length);
    if (length === 0 || this.#kept.length < length) return;
    const text = this.#context.startups.textOf(this.#kept, 0, length);
    const known = this.#context.startups.get(text);
    const packet = known?.packet ?? readStartup(this.#kept, 0, length);
    const rest = this.#kept.subarray(length);
    switch (packet.kind) {
      case "ssl":
        this.#startTls(rest);
        return;
      case "gssenc":
        if (rest.length > 0) throw new PoolerError("PROTOCOL_VIOLATION", "received unencrypted data after GSSAPI encryption request");
        if (this.#askedForGss) throw new PoolerError("PROTOCOL_VIOLATION", "GSSAPI encryption was requested twice");
        this.#askedForGss = true;
        this.#kept = rest;
        this.#wire.write(sslRefused, 0, 1);
        return;
      case "cancel": {
        this.#context.totals.cancelsReceived++;
        const over = this.#clients.cancel(packet.processId, packet.secretKey);
        this.#end();
        // Clients take the end of this connection for the moment from which on no statement of theirs is hit any more.
        if (over === null) this.#wire.end();
        else void over.then(() => this.#wire.end());
        return;
      }
      case "startup":
        this.#kept = rest;
        this.#startupText = text;
        this.#begin(known ?? new Startup(packet));
    }
  }

  #startTls(rest: Buffer): void {
    if (rest.length > 0) throw new PoolerError("PROTOCOL_VIOLATION", "received unencrypted data after SSL request");
    this.#kept = rest;
    if (this.#askedForTls) throw new PoolerError("PROTOCOL_VIOLATION", "SSL was requested twice");
    this.#askedForTls = true;
    if (this.#tls === null) {
      this.#wire.write(sslRefused, 0, 1);
      return;
    }
    this.#state = "tls";
    this.#wire.write(sslAccepted, 0, 1);
    this.#wire.startTls(this.#tls, () => {
      this.#state = "startup";
    });
  }

  #begin(startup: Startup): void {
    const { listen } = this.#context.config;
    const { packet } = startup;
    const { parameters } = packet;
    this.#startup = startup;
    const userName = parameters.get("user") ?? "";
    if (userName === "") throw new PoolerError("AUTH_NOT_ALLOWED", "no PostgreSQL user name specified in startup packet");
    if (this.#clients.draining) throw new PoolerError("SHUTTING_DOWN", "the pooler is stopping");
    const isConsole = parameters.get("database") === consoleDatabaseName;
    if (this.#context.refusal !== null && !isConsole) throw this.#context.refusal;
    const { mode } = listen.tls;
    if ((mode === "require" || mode === "verify-full") && !this.#wire.tls && this.#wire.remoteAddress !== "unix") {
      throw new PoolerError("TLS_REQUIRED", "this pooler takes connections with TLS only", { hint: "Connect with sslmode=require." });
    }
    if (!/^(off|false|no|0)?$/i.test(parameters.get("replication") ?? "")) {
      throw new PoolerError("NOT_SUPPORTED", "replication connections cannot be pooled", { hint: "Connect to the server itself." });
    }
    if (packet.minor > 0 || packet.unknownOptions.length > 0) this.#negotiateVersion(packet.unknownOptions);
    // A hint for those who would be refused anyway; the place itself is taken after the login. The console is always open.
    if (!this.#clients.hasRoom && !isConsole) throw this.#full();
    this.#identify(userName, parameters);
  }

  #authenticate(user: ClientUser | null, userName: string): void {
    const { listen } = this.#context.config;
    this.#user = user;
    if (listen.tls.mode === "verify-full" && this.#wire.peerName !== userName)
      throw this.#denied(`the certificate is for "${this.#wire.peerName}"`);
    this.#state = "authenticating";
    this.#authenticator = createClientAuthenticator({
      method: listen.auth,
      user,
      userName,
      clientIsLoopback: isLoopback(this.#wire.remoteAddress),
      tlsServerEndPoint: null,
      secrets: this.#secrets,
    });
    this.#step(this.#authenticator.start());
  }

  /** Who the client is, as far as plugins know better than its startup packet. */
  #identify(userName: string, parameters: ReadonlyMap<string, string>): void {
    const { clientHooks } = this.#context;
    // The console must stay open to those who mend what a plugin does.
    if (clientHooks === null || parameters.get("database") === consoleDatabaseName) {
      this.#authenticate(this.#context.user(userName) ?? null, userName);
      return;
    }
    let waits = false;
    const hear = (verdict: ClientVerdict): void => {
      this.#question = null;
      if (verdict.refusal !== null) throw verdict.refusal;
      this.#guest = verdict.session;
      const user = this.#context.user(verdict.session.user) ?? null;
      this.#authenticate(user === null || verdict.login === null ? user : { ...user, serverLogin: verdict.login }, userName);
    };
    this.#state = "asking";
    this.#question = clientHooks.connect(this.#wire, this.#clients.nextSessionId(), parameters, (verdict) => {
      if (!waits) hear(verdict);
      else
        this.#goOn(() => {
          hear(verdict);
          if (this.#kept.length > 0) this.#read();
        });
    });
    waits = true;
  }

  /** What comes later than the bytes that led there: an error is the client's, as it is within onBytes(). */
  #goOn(next: () => void): void {
    try {
      next();
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      this.#fail(error);
    }
  }

  /** Protocol 3.0 is what there is; source: the protocol's "Message Formats", NegotiateProtocolVersion. */
  #negotiateVersion(unknownOptions: readonly string[]): void {
    const reply = this.#context.reply.reset();
    reply.begin(Backend.NEGOTIATE_PROTOCOL_VERSION).int32(0).int32(unknownOptions.length);
    for (const option of unknownOptions) reply.cstring(option);
    reply.end();
    this.#wire.write(reply.buffer, 0, reply.length);
  }

  #readPassword(): void {
    if (this.#authenticator === null || this.#kept.length < HEADER_BYTES) return;
    const length = readInt32(this.#kept, 1);
    if (this.#kept[0] !== Frontend.PASSWORD)
      throw new PoolerError(
        "PROTOCOL_VIOLATION",
        `expected password response, got message type 0x${(this.#kept[0] as number).toString(16)}`,
      );
    if (length < 4 || length > largestPasswordMessageBytes)
      throw new PoolerError("PROTOCOL_VIOLATION", `invalid password message length ${length}`);
    if (this.#kept.length < 1 + length) return;
    const body = this.#kept.subarray(HEADER_BYTES, 1 + length);
    this.#kept = this.#kept.subarray(1 + length);
    this.#step(this.#authenticator.receive(body));
  }

  #step(step: AuthStep): void {
    switch (step.kind) {
      case "send":
        this.#wire.write(step.messages, 0, step.messages.length);
        return;
      case "ok":
        this.#accepted = step.messages;
        this.#authenticated();
        return;
      case "failed":
        throw this.#denied(step.reason);
      case "pending":
        void step.promise.then((next) => {
          if (this.#state === "ended") return;
          try {
            this.#step(next);
          } catch (error) {
            if (error instanceof PoolerError) this.#fail(error);
            else throw error;
          }
        });
    }
  }

  /** The client is told the same whatever was wrong; the log has the reason. */
  #denied(reason: string): PoolerError {
    const userName = this.#startup?.packet.parameters.get("user") ?? "";
    this.#context.totals.loginFailures++;
    this.#context.log.warn({ user: userName, client: this.#where, reason }, "a login failed");
    return new PoolerError("AUTH_FAILED", `password authentication failed for user "${userName}"`);
  }

  #full(): PoolerError {
    this.#context.totals.clientsRefused++;
    return new PoolerError("TOO_MANY_CLIENTS", `no more connections allowed: max_clients is ${this.#context.config.limits.maxClients}`);
  }

  #authenticated(): void {
    const startup = this.#startup as Startup;
    const user = this.#user as ClientUser;
    const keys = this.#authenticator?.passThroughKeys ?? null;
    if (keys !== null && user.password === null) this.#context.passThroughKeys.set(user.name, keys);
    const name = this.#guest?.database ?? (startup.packet.parameters.get("database") || user.name);
    if (name === consoleDatabaseName && this.#guest === null) {
      if (user.console === "none")
        throw new PoolerError("AUTH_NOT_ALLOWED", `user "${user.name}" may not use the console`, {
          hint: 'Set console = "admin" or "stats" for the user in the configuration.',
        });
      this.#state = "ended";
      this.#finish();
      const accepted = this.#accepted as Buffer;
      this.#wire.write(accepted, 0, accepted.length);
      this.#clients.openConsole(this.#wire, user, startup.applicationName);
      return;
    }
    const database = this.#context.database(name);
    if (database === undefined)
      throw new PoolerError("UNKNOWN_DATABASE", `database "${name}" does not exist`, { hint: "It is not in the pooler's configuration." });
    if (user.databases !== null && !user.databases.includes(name))
      throw new PoolerError("AUTH_NOT_ALLOWED", `permission denied for database "${name}"`);
    if (!this.#clients.admit()) throw this.#full();
    this.#isAdmitted = true;
    this.#database = database;
    this.#state = "greeting";
    const pool = database.poolFor(user, { shard: 0, role: "primary" });
    if (pool instanceof PoolerError) throw pool;
    pool.withGreeting((error) => {
      if (this.#state !== "greeting") return;
      if (error !== null) {
        this.#fail(error);
        return;
      }
      this.#goOn(() => this.#greetOrAsk(database, user, pool.greeting ?? new Map()));
    });
  }

  /** A plugin that inspects may wait: then it is all done once more when it has answered. */
  #greetOrAsk(database: Database, user: ClientUser, greeting: ReadonlyMap<string, string>): void {
    try {
      this.#greet(database, user, greeting);
    } catch (error) {
      if (!(error instanceof QuestionPending)) throw error;
      this.#question = error.question;
      error.question.onAnswer = () => {
        this.#question = null;
        this.#goOn(() => this.#greetOrAsk(database, user, greeting));
      };
    }
  }

  #greet(database: Database, user: ClientUser, greeting: ReadonlyMap<string, string>): void {
    const startup = this.#startup as Startup;
    const { applicationName } = startup;
    const greeted = startup.greeting(greeting);
    this.#id ??= this.#guest?.id ?? this.#clients.nextSessionId();
    const id = this.#id;
    if (this.#context.router?.chain.waits === true) this.#answers ??= new ChainAnswers();
    const { remoteAddress: clientAddress, tls } = this.#wire;
    askAboutStartup(
      this.#context,
      {
        id,
        user: user.name,
        database: database.config.name,
        applicationName,
        clientAddress,
        clientEncoding: greeted.encoding,
        tls,
        generation: 0,
        encoded: null,
      },
      database,
      [...startup.given].map(([name, value]) => startupSetting(name, value)),
      this.#answers,
    );
    // One write for all of it: each costs more than everything else here.
    const reply = this.#context.reply
      .reset()
      .bytes(this.#accepted as Buffer)
      .bytes(greeted.messages);
    const processId = this.#clients.nextProcessId();
    const secretKey = randomInt(-0x80000000, 0x7fffffff) | 0; // a small integer for the engine, too: it is kept
    reply.begin(Backend.BACKEND_KEY_DATA).int32(processId).int32(secretKey).end();
    writeReadyForQuery(reply, TransactionStatus.IDLE);
    this.#wire.write(reply.buffer, 0, reply.length);
    this.#context.startups.remember(this.#startupText, startup);
    this.#state = "ended";
    this.#finish();
    const session = new Session(this.#context, {
      id,
      wire: this.#wire,
      user,
      database,
      greeting: greeted,
      applicationName,
      processId,
      secretKey,
      registry: this.#clients,
    });
    this.#isAdmitted = false; // the place is the session's
    this.#guest = null; // as are its farewells
    this.#clients.add(session);
    if (this.#kept.length > 0) session.onBytes(this.#kept, 0, this.#kept.length);
  }

  #fail(error: PoolerError): void {
    if (this.#state === "ended") return;
    const { reply } = this.#context;
    reply.reset();
    if (this.#accepted !== null) reply.bytes(this.#accepted);
    writePoolerError(reply, error, "FATAL");
    this.#wire.write(reply.buffer, 0, reply.length);
    this.#context.log.info({ client: this.#where, error, database: this.#database?.config.name }, "a client was refused");
    this.#end();
    this.#wire.end();
  }

  /** Before the pooler stops. */
  close(): void {
    this.#fail(new PoolerError("SHUTTING_DOWN", "the pooler is stopping"));
  }

  #end(): void {
    this.#state = "ended";
    this.#question?.drop();
    this.#question = null;
    if (this.#guest !== null) this.#context.clientHooks?.left(this.#guest, false);
    this.#guest = null;
    if (this.#isAdmitted) this.#clients.dismiss();
    this.#isAdmitted = false;
    this.#finish();
  }

  #finish(): void {
    this.#clients.loggedIn(this);
  }
}

function isLoopback(address: string): boolean {
  return address === "unix" || address === "::1" || /^(?:::ffff:)?127\./.test(address);
}
