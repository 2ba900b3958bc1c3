// From a fresh connection to a server that is ready for queries: TLS, startup, authentication, greeting. The server is not
// trusted: every length is checked, and what does not belong here ends the attempt.
import type { PassThroughKeys } from "../auth/scram.js";
import type { SecretCache } from "../auth/secret-cache.js";
import { createServerAuthenticator, type ServerAuthenticator } from "../auth/server-authenticator.js";
import { PoolerError } from "../base/errors.js";
import { readError, readParameterStatus } from "../protocol/backend.js";
import { Backend, HEADER_BYTES, PROTOCOL_3_0, Request } from "../protocol/codes.js";
import { MessageWriter, readInt32 } from "../protocol/message-writer.js";
import type { Wire, WireEngine, WireReader } from "../wire/wire.js";
import type { ServerIdentity } from "./server.js";

export interface HandshakeOptions {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string | null;
  /** In place of a password: what the user's own login at the pooler has shown. */
  readonly passThroughKeys: PassThroughKeys | null;
  readonly secrets: SecretCache;
  readonly tls: { readonly mode: "disable" | "require" | "verify-full"; readonly ca: string | null };
  readonly timeoutMs: number;
}

export interface Greeting {
  readonly identity: ServerIdentity;
  /** ParameterStatus that the server sent, in its order. */
  readonly parameters: ReadonlyMap<string, string>;
}

type Done = (error: PoolerError | null, wire: Wire | null, greeting: Greeting | null) => void;

/** Largest message of a server before it is ready, and how much it may say in all. */
const largestMessageBytes = 64 * 1024;
const largestGreetingBytes = 1 << 20;

/** `done` is called once, not within this call. */
export function openServer(engine: WireEngine, options: HandshakeOptions, done: Done): void {
  new Handshake(options, done).dial(engine);
}

class Handshake implements WireReader {
  readonly #options: HandshakeOptions;
  readonly #done: Done;
  readonly #authenticator: ServerAuthenticator;
  readonly #parameters = new Map<string, string>();
  readonly #writer = new MessageWriter(1024);
  readonly #timeout: NodeJS.Timeout | null;
  #wire: Wire | null = null;
  #identity: ServerIdentity = { remoteProcessId: 0, remoteSecretKey: 0 };
  #awaitsTlsAnswer = false;
  #authenticated = false;
  #kept: Buffer = Buffer.alloc(0);
  #received = 0;
  #settled = false;

  constructor(options: HandshakeOptions, done: Done) {
    this.#options = options;
    this.#done = done;
    this.#authenticator = createServerAuthenticator({
      user: options.user,
      password: options.password,
      passThroughKeys: options.passThroughKeys,
      secrets: options.secrets,
      tls: options.tls.mode !== "disable",
    });
    const { timeoutMs } = options;
    this.#timeout =
      timeoutMs === 0
        ? null
        : setTimeout(
            () => this.#fail(new PoolerError("HOST_DOWN", `${this.#where} did not finish its handshake within ${timeoutMs} ms`)),
            timeoutMs,
          );
  }

  get #where(): string {
    return `server ${this.#options.host}:${this.#options.port}`;
  }

  dial(engine: WireEngine): void {
    const { host, port, timeoutMs } = this.#options;
    engine.dial({ host, port, timeoutMs }, this, (error, wire) => {
      if (wire === null) {
        this.#fail(new PoolerError("HOST_DOWN", `${this.#where} cannot be reached: ${error?.message ?? "unknown"}`, { cause: error }));
        return;
      }
      if (this.#settled) {
        wire.destroy();
        return;
      }
      this.#wire = wire;
      if (this.#options.tls.mode === "disable") this.#sendStartup();
      else this.#askForTls();
    });
  }

  onBytes(chunk: Buffer, start: number, end: number): void {
    if (this.#settled) return;
    if (this.#awaitsTlsAnswer) {
      this.#takeTlsAnswer(chunk, start, end);
      return;
    }
    this.#received += end - start;
    if (this.#received > largestGreetingBytes) {
      this.#violation(`sent more than ${largestGreetingBytes} bytes before it was ready`);
      return;
    }
    this.#kept = Buffer.concat([this.#kept, chunk.subarray(start, end)]);
    let at = 0;
    while (!this.#settled && this.#kept.length - at >= HEADER_BYTES) {
      const length = readInt32(this.#kept, at + 1);
      if (length < 4 || length > largestMessageBytes) {
        this.#violation(`sent a message with the length ${length} during its handshake`);
        return;
      }
      const stop = at + 1 + length;
      if (stop > this.#kept.length) break;
      this.#take(this.#kept[at] as number, at + HEADER_BYTES, stop);
      at = stop;
    }
    if (!this.#settled) this.#kept = this.#kept.subarray(at);
  }

  onDrain(): void {}

  onClosed(error: Error | null): void {
    this.#fail(
      new PoolerError(
        "HOST_DOWN",
        `${this.#where} closed the connection during its handshake${error === null ? "" : `: ${error.message}`}`,
        { cause: error ?? undefined },
      ),
    );
  }

  #askForTls(): void {
    this.#awaitsTlsAnswer = true;
    this.#writer.reset().begin(0).int32(Request.SSL).end();
    this.#send();
  }

  #takeTlsAnswer(chunk: Buffer, start: number, end: number): void {
    if (chunk[start] === 0x4e /* N */) {
      this.#fail(
        new PoolerError("SERVER_LOGIN_FAILED", `${this.#where} does not support TLS, but sslmode=${this.#options.tls.mode} wants it`),
      );
      return;
    }
    if (chunk[start] !== 0x53 /* S */) {
      this.#violation("answered the TLS request with neither S nor N");
      return;
    }
    if (end - start !== 1) {
      // More than the one byte came before the handshake: somebody in the middle may have put it there.
      this.#violation("sent unencrypted data after its answer to the TLS request");
      return;
    }
    this.#awaitsTlsAnswer = false;
    const { mode, ca } = this.#options.tls;
    this.#wire?.startTls({ side: "client", host: this.#options.host, verify: mode === "verify-full", ca }, () => this.#sendStartup());
  }

  #sendStartup(): void {
    const { user, database } = this.#options;
    this.#writer.reset().begin(0).int32(PROTOCOL_3_0).cstring("user").cstring(user).cstring("database").cstring(database).byte(0).end();
    this.#send();
  }

  #take(type: number, start: number, end: number): void {
    const body = this.#kept;
    switch (type) {
      case Backend.AUTHENTICATION: {
        if (end - start < 4) {
          this.#unexpected(type);
          return;
        }
        const step = this.#authenticator.receive(readInt32(body, start), body.subarray(start + 4, end));
        if (step.kind === "send") this.#wire?.write(step.message, 0, step.message.length);
        else if (step.kind === "failed") this.#fail(step.error);
        else if (step.kind === "ok") this.#authenticated = true;
        return;
      }
      case Backend.ERROR_RESPONSE: {
        const error = readError(body, start, end);
        this.#fail(
          new PoolerError(
            startingUp(error.sqlstate) ? "HOST_DOWN" : "SERVER_LOGIN_FAILED",
            `${this.#where} refused the connection: ${error.message}`,
            {
              detail: `SQLSTATE ${error.sqlstate}, user "${this.#options.user}", database "${this.#options.database}"`,
            },
          ),
        );
        return;
      }
      case Backend.NOTICE_RESPONSE:
        return;
      case Backend.PARAMETER_STATUS: {
        const parameter = this.#authenticated ? readParameterStatus(body, start, end) : null;
        if (parameter === null) {
          this.#unexpected(type);
          return;
        }
        this.#parameters.set(parameter.name, parameter.value);
        return;
      }
      case Backend.BACKEND_KEY_DATA:
        if (!this.#authenticated || end - start !== 8) {
          this.#unexpected(type);
          return;
        }
        this.#identity = { remoteProcessId: readInt32(body, start), remoteSecretKey: readInt32(body, start + 4) };
        return;
      case Backend.READY_FOR_QUERY:
        if (!this.#authenticated || end !== this.#kept.length) {
          this.#unexpected(type);
          return;
        }
        this.#settle(null);
        return;
      default:
        this.#unexpected(type);
    }
  }

  #unexpected(type: number): void {
    this.#violation(`sent an unexpected message "${String.fromCharCode(type)}" during its handshake`);
  }

  /** Not PROTOCOL_VIOLATION: a client that is told of it did nothing wrong. */
  #violation(what: string): void {
    this.#fail(new PoolerError("SERVER_LOGIN_FAILED", `${this.#where} ${what}`, { hint: "Is it a PostgreSQL server?" }));
  }

  #send(): void {
    this.#wire?.write(this.#writer.buffer, 0, this.#writer.length);
  }

  #fail(error: PoolerError): void {
    this.#settle(error);
  }

  #settle(error: PoolerError | null): void {
    if (this.#settled) return;
    this.#settled = true;
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    if (error === null) this.#done(null, this.#wire, { identity: this.#identity, parameters: this.#parameters });
    else {
      this.#wire?.destroy();
      this.#done(error, null, null);
    }
  }
}

/** 57P03 cannot_connect_now and its kin: the host is there, but not for us yet. */
function startingUp(sqlstate: string): boolean {
  return sqlstate === "57P03" || sqlstate === "57P01" || sqlstate === "57P02";
}
