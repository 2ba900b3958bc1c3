// A client from its first byte to its session: startup packet, TLS, authentication, greeting. Nothing here is trusted, and
// whoever fails is told no more than PostgreSQL would tell.
//
//   startup ──SSLRequest──▶ tls ──▶ startup     startup ──CancelRequest──▶ closed
//   startup ──StartupMessage──▶ authenticating ──▶ greeting (waits for a server's, once per host and user) ──▶ Session
import { randomInt } from "node:crypto";
import { type AuthStep, type ClientAuthenticator, createClientAuthenticator } from "../auth/client-authenticator.js";
import type { SecretCache } from "../auth/secret-cache.js";
import type { Timer } from "../base/clock.js";
import { PoolerError } from "../base/errors.js";
import type { UserConfig } from "../config/types.js";
import type { ChainSession } from "../plugins/types.js";
import type { ClientUser, Database } from "../pool/database.js";
import { writeParameterStatus, writePoolerError, writeReadyForQuery } from "../protocol/backend.js";
import { Backend, Frontend, HEADER_BYTES, TransactionStatus } from "../protocol/codes.js";
import { readInt32 } from "../protocol/message-writer.js";
import { readOptions, readStartup, type StartupPacket, startupLength } from "../protocol/startup.js";
import type { TlsUpgrade, Wire, WireReader } from "../wire/wire.js";
import { askAboutStartup } from "./asking.js";
import type { SessionContext } from "./context.js";
import { Session, type SessionRegistry } from "./session.js";
import { noSettings, type Settings, startupSetting, withSetting } from "./settings.js";

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
  cancel(processId: number, secretKey: number): void;
  /** Hand the connection to the console. */
  openConsole(wire: Wire, user: UserConfig, applicationName: string): void;
}

export const consoleDatabaseName = "pooler";
/** Nobody needs more to prove who they are. */
const largestPasswordMessageBytes = 16 * 1024;
const sslAccepted = Buffer.from("S");
const sslRefused = Buffer.from("N");
/** Parts of a startup packet that are not settings. */
const notSettings = new Set(["user", "database", "options", "replication"]);
/** Reported by the server whenever they change: a client that set one at startup expects its own value. */
const reported = new Map(
  ["application_name", "client_encoding", "DateStyle", "IntervalStyle", "TimeZone", "search_path", "default_transaction_read_only"].map(
    (name) => [name.toLowerCase(), name],
  ),
);

type LoginState = "startup" | "tls" | "authenticating" | "greeting" | "ended";

export class Login implements WireReader {
  readonly #context: SessionContext;
  readonly #clients: ClientRegistry;
  readonly #secrets: SecretCache;
  readonly #tls: TlsUpgrade | null;
  readonly #wire: Wire;
  #state: LoginState = "startup";
  #kept: Buffer = Buffer.alloc(0);
  #askedForTls = false;
  #askedForGss = false;
  #timeout: Timer | null = null;
  #authenticator: ClientAuthenticator | null = null;
  #user: ClientUser | null = null;
  /** The client as plugins let it in. */
  #guest: ChainSession | null = null;
  #packet: Extract<StartupPacket, { kind: "startup" }> | null = null;
  #database: Database | null = null;
  /** A place among max_clients was taken. */
  #isAdmitted = false;

  constructor(context: SessionContext, clients: ClientRegistry, secrets: SecretCache, tls: TlsUpgrade | null, wire: Wire) {
    this.#context = context;
    this.#clients = clients;
    this.#secrets = secrets;
    this.#tls = tls;
    this.#wire = wire;
    const { clientLoginMs } = context.config.timeouts;
    if (clientLoginMs > 0) {
      this.#timeout = context.clock.setTimer(clientLoginMs, () =>
        this.#fail(new PoolerError("LOGIN_TIMEOUT", `the login did not end within ${clientLoginMs} ms`)),
      );
    }
    wire.reader = this;
    clients.loggingIn(this);
  }

  onBytes(chunk: Buffer, start: number, end: number): void {
    if (this.#state === "ended") return;
    this.#kept =
      this.#kept.length === 0 ? Buffer.from(chunk.subarray(start, end)) : Buffer.concat([this.#kept, chunk.subarray(start, end)]);
    try {
      this.#read();
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      this.#fail(error);
    }
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
      case "greeting":
        if (this.#kept.length > 64 * 1024) throw new PoolerError("PROTOCOL_VIOLATION", "too much was sent before the login ended");
        return; // sent ahead: the session reads it
      case "ended":
        return;
    }
  }

  #readStartup(): void {
    const length = startupLength(this.#kept, 0, this.#kept.length);
    if (length === 0 || this.#kept.length < length) return;
    const packet = readStartup(this.#kept, 0, length);
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
      case "cancel":
        this.#context.totals.cancelsReceived++;
        this.#clients.cancel(packet.processId, packet.secretKey);
        this.#end();
        this.#wire.end();
        return;
      case "startup":
        this.#kept = rest;
        this.#begin(packet);
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

  #begin(packet: Extract<StartupPacket, { kind: "startup" }>): void {
    const { listen } = this.#context.config;
    const { parameters } = packet;
    this.#packet = packet;
    const userName = parameters.get("user") ?? "";
    if (userName === "") throw new PoolerError("AUTH_NOT_ALLOWED", "no PostgreSQL user name specified in startup packet");
    if (this.#clients.draining) throw new PoolerError("SHUTTING_DOWN", "the pooler is stopping");
    const { mode } = listen.tls;
    if ((mode === "require" || mode === "verify-full") && !this.#wire.tls && this.#wire.remoteAddress !== "unix") {
      throw new PoolerError("TLS_REQUIRED", "this pooler takes connections with TLS only", { hint: "Connect with sslmode=require." });
    }
    if (!/^(off|false|no|0)?$/i.test(parameters.get("replication") ?? "")) {
      throw new PoolerError("NOT_SUPPORTED", "replication connections cannot be pooled", { hint: "Connect to the server itself." });
    }
    if (packet.minor > 0 || packet.unknownOptions.length > 0) this.#negotiateVersion(packet.unknownOptions);
    // A hint for those who would be refused anyway; the place itself is taken after the login. The console is always open.
    if (!this.#clients.hasRoom && parameters.get("database") !== consoleDatabaseName) throw this.#full();
    const user = this.#identify(userName, parameters);
    this.#user = user;
    if (mode === "verify-full" && this.#wire.peerName !== userName) throw this.#denied(`the certificate is for "${this.#wire.peerName}"`);
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

  /** Who the client is, as far as plugins know better than its startup packet; null: nobody that is configured. */
  #identify(userName: string, parameters: ReadonlyMap<string, string>): ClientUser | null {
    const { clientHooks } = this.#context;
    // The console must stay open to those who mend what a plugin does.
    if (clientHooks === null || parameters.get("database") === consoleDatabaseName) return this.#context.user(userName) ?? null;
    const verdict = clientHooks.connect(this.#wire, this.#clients.nextSessionId(), parameters);
    if (verdict.refusal !== null) throw verdict.refusal;
    this.#guest = verdict.session;
    const user = this.#context.user(verdict.session.user) ?? null;
    return user === null || verdict.login === null ? user : { ...user, serverLogin: verdict.login };
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
        this.#wire.write(step.messages, 0, step.messages.length);
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
    const userName = this.#packet?.parameters.get("user") ?? "";
    this.#context.totals.loginFailures++;
    this.#context.log.warn({ user: userName, client: this.#where, reason }, "a login failed");
    return new PoolerError("AUTH_FAILED", `password authentication failed for user "${userName}"`);
  }

  #full(): PoolerError {
    this.#context.totals.clientsRefused++;
    return new PoolerError("TOO_MANY_CLIENTS", `no more connections allowed: max_clients is ${this.#context.config.limits.maxClients}`);
  }

  #authenticated(): void {
    const { parameters } = this.#packet as Extract<StartupPacket, { kind: "startup" }>;
    const user = this.#user as ClientUser;
    const keys = this.#authenticator?.passThroughKeys ?? null;
    if (keys !== null && user.password === null) this.#context.passThroughKeys.set(user.name, keys);
    const name = this.#guest?.database ?? (parameters.get("database") || user.name);
    if (name === consoleDatabaseName && this.#guest === null) {
      if (user.console === "none")
        throw new PoolerError("AUTH_NOT_ALLOWED", `user "${user.name}" may not use the console`, {
          hint: 'Set console = "admin" or "stats" for the user in the configuration.',
        });
      this.#state = "ended";
      this.#finish();
      this.#clients.openConsole(this.#wire, user, parameters.get("application_name") ?? "");
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
      try {
        this.#greet(database, user, pool.greeting ?? new Map());
      } catch (failure) {
        if (failure instanceof PoolerError) this.#fail(failure);
        else throw failure;
      }
    });
  }

  #greet(database: Database, user: ClientUser, greeting: ReadonlyMap<string, string>): void {
    const { parameters } = this.#packet as Extract<StartupPacket, { kind: "startup" }>;
    const given = startupSettings(parameters);
    let settings: Settings = noSettings;
    for (const [name, value] of given) settings = withSetting(settings, name, Buffer.from(startupSetting(name, value)).toString("latin1"));
    const shown = new Map(greeting);
    for (const [name, value] of given) {
      const proper = reported.get(name);
      if (proper !== undefined) shown.set(proper, name === "client_encoding" ? encodingName(value) : value);
    }
    const id = this.#guest?.id ?? this.#clients.nextSessionId();
    const applicationName = parameters.get("application_name") ?? "";
    const encoding = shown.get("client_encoding") ?? "UTF8";
    const { remoteAddress: clientAddress, tls } = this.#wire;
    askAboutStartup(
      this.#context,
      {
        id,
        user: user.name,
        database: database.config.name,
        applicationName,
        clientAddress,
        clientEncoding: encoding,
        tls,
        generation: 0,
        encoded: null,
      },
      database,
      [...given].map(([name, value]) => startupSetting(name, value)),
    );
    const reply = this.#context.reply.reset();
    for (const [name, value] of shown) writeParameterStatus(reply, name, value);
    const processId = this.#clients.nextProcessId();
    const secretKey = randomInt(-0x80000000, 0x7fffffff);
    reply.begin(Backend.BACKEND_KEY_DATA).int32(processId).int32(secretKey).end();
    writeReadyForQuery(reply, TransactionStatus.IDLE);
    const hello = reply.toBuffer();
    this.#state = "ended";
    this.#finish();
    const session = new Session(this.#context, {
      id,
      wire: this.#wire,
      user,
      database,
      settings,
      greeting: given.size === 0 ? greeting : shown,
      applicationName,
      encoding,
      standardStrings: shown.get("standard_conforming_strings") !== "off",
      processId,
      secretKey,
      registry: this.#clients,
    });
    this.#isAdmitted = false; // the place is the session's
    this.#guest = null; // as are its farewells
    this.#clients.add(session);
    this.#wire.write(hello, 0, hello.length);
    if (this.#kept.length > 0) session.onBytes(this.#kept, 0, this.#kept.length);
  }

  #fail(error: PoolerError): void {
    if (this.#state === "ended") return;
    const { reply } = this.#context;
    writePoolerError(reply.reset(), error, "FATAL");
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
    if (this.#guest !== null) this.#context.clientHooks?.left(this.#guest, false);
    this.#guest = null;
    if (this.#isAdmitted) this.#clients.dismiss();
    this.#isAdmitted = false;
    this.#finish();
  }

  #finish(): void {
    this.#timeout?.cancel();
    this.#timeout = null;
    this.#clients.loggedIn(this);
  }
}

/** Settings of a startup packet by their lower-case names; `options` come first, as in PostgreSQL. */
function startupSettings(parameters: ReadonlyMap<string, string>): Map<string, string> {
  const settings = new Map<string, string>();
  const options = parameters.get("options");
  if (options !== undefined) for (const [name, value] of readOptions(options)) settings.set(name.toLowerCase(), value);
  for (const [name, value] of parameters) if (!notSettings.has(name)) settings.set(name.toLowerCase(), value);
  return settings;
}

/** PostgreSQL reports its own name of an encoding, whatever the client called it. */
function encodingName(value: string): string {
  const plain = value.toUpperCase().replaceAll(/[^A-Z0-9]/g, "");
  return plain === "UTF8" || plain === "UNICODE" ? "UTF8" : value.toUpperCase();
}

function isLoopback(address: string): boolean {
  return address === "unix" || address === "::1" || /^(?:::ffff:)?127\./.test(address);
}
