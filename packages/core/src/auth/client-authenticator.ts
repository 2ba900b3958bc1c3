// Verifies who a client is: step functions without I/O, never throwing for what a client sends. What the client is told about a
// failure is the same in every case and is not decided here.
import { randomBytes } from "node:crypto";
import type { AuthMethod, UserConfig } from "../config/types.js";
import { isMd5Verifier, md5Response, md5Verifier } from "./md5.js";
import { AuthenticationCode, authenticationMessage, LARGEST_SASL_MESSAGE_BYTES, readSaslInitialResponse, soleString } from "./messages.js";
import { equalBytes, type PassThroughKeys, parseScramVerifier, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, type ScramSecret } from "./scram.js";
import { type ClientFirst, parseClientFirst, type ScramExchange, startScramExchange } from "./scram-verifier.js";
import type { SecretCache } from "./secret-cache.js";

export type AuthStep =
  /** Complete backend messages; the client's next 'p' message is wanted. */
  | { readonly kind: "send"; readonly messages: Buffer }
  /** Complete backend messages, AuthenticationOk the last of them. */
  | { readonly kind: "ok"; readonly messages: Buffer }
  /** `reason` is for the log, never for the client. */
  | { readonly kind: "failed"; readonly reason: string }
  /** The step will be known then; the promise is never rejected. Nothing may be received before. */
  | { readonly kind: "pending"; readonly promise: Promise<AuthStep> };

export interface ClientAuthenticator {
  /** Called once, first. */
  start(): AuthStep;
  /** Body of a 'p' message (type and length left out); not kept after the call. */
  receive(body: Buffer): AuthStep;
  /** After "ok" by SCRAM: what proves this user at a server that has the same verifier; else null. */
  readonly passThroughKeys: PassThroughKeys | null;
}

export interface ClientAuthenticatorOptions {
  readonly method: AuthMethod;
  /** Null: there is no such user. The exchange goes on as if there were, and fails at its end. */
  readonly user: UserConfig | null;
  readonly userName: string;
  readonly clientIsLoopback: boolean;
  /** Hash of the pooler's certificate (tlsServerEndPoint()) to offer SCRAM-SHA-256-PLUS; null: not offered. */
  readonly tlsServerEndPoint: Buffer | null;
  readonly secrets: SecretCache;
}

export function createClientAuthenticator(options: ClientAuthenticatorOptions): ClientAuthenticator {
  const { method, user } = options;
  if (method === "trust") return new TrustAuthenticator(options);
  // As PostgreSQL does, "md5" takes a SCRAM verifier, too; "scram-sha-256" takes no MD5 one.
  if (method === "md5" && (user?.verifier == null || isMd5Verifier(user.verifier))) return new Md5Authenticator(options);
  return new ScramAuthenticator(options);
}

const failed = (reason: string): AuthStep => ({ kind: "failed", reason });
const OK = authenticationMessage(AuthenticationCode.OK);
const unexpected = failed("a password message that was not asked for");

/** Plain password of a user; PostgreSQL refuses empty ones, too. */
const passwordOf = (user: UserConfig | null): string | null => user?.password || null;

class TrustAuthenticator implements ClientAuthenticator {
  readonly #options: ClientAuthenticatorOptions;
  readonly passThroughKeys = null;

  constructor(options: ClientAuthenticatorOptions) {
    this.#options = options;
  }

  start(): AuthStep {
    if (!this.#options.clientIsLoopback) return failed("trust is accepted from this machine only");
    return this.#options.user === null ? failed("there is no such user") : { kind: "ok", messages: OK };
  }

  receive(): AuthStep {
    return unexpected;
  }
}

class Md5Authenticator implements ClientAuthenticator {
  readonly #options: ClientAuthenticatorOptions;
  readonly #salt = randomBytes(4);
  #asked = false;
  readonly passThroughKeys = null;

  constructor(options: ClientAuthenticatorOptions) {
    this.#options = options;
  }

  start(): AuthStep {
    this.#asked = true;
    return { kind: "send", messages: authenticationMessage(AuthenticationCode.MD5_PASSWORD, this.#salt) };
  }

  receive(body: Buffer): AuthStep {
    if (!this.#asked) return unexpected;
    this.#asked = false;
    const { user, userName } = this.#options;
    const response = soleString(body);
    if (response === null) return failed("malformed password message");
    const password = passwordOf(user);
    const verifier = user?.verifier ?? (password === null ? null : md5Verifier(password, userName));
    // The same work for those who do not exist.
    const expected = md5Response(verifier ?? md5Verifier("", userName), this.#salt);
    const matches = equalBytes(Buffer.from(response, "latin1"), Buffer.from(expected, "latin1"));
    if (user === null) return failed("there is no such user");
    if (verifier === null) return failed("the user has neither password nor verifier");
    return matches ? { kind: "ok", messages: OK } : failed("wrong password");
  }
}

type ScramState = "new" | "offered" | "awaitsFirst" | "pending" | "awaitsFinal" | "ended";

class ScramAuthenticator implements ClientAuthenticator {
  readonly #options: ClientAuthenticatorOptions;
  #state: ScramState = "new";
  #plus = false;
  #exchange: ScramExchange | null = null;
  /** Why it fails in the end, whatever the client proves. */
  #doomed: string | null = null;
  #keys: PassThroughKeys | null = null;

  constructor(options: ClientAuthenticatorOptions) {
    this.#options = options;
  }

  get passThroughKeys(): PassThroughKeys | null {
    return this.#keys;
  }

  start(): AuthStep {
    this.#state = "offered";
    const mechanisms = this.#plusOffered ? `${SCRAM_SHA_256_PLUS}\0${SCRAM_SHA_256}\0\0` : `${SCRAM_SHA_256}\0\0`;
    return { kind: "send", messages: authenticationMessage(AuthenticationCode.SASL, Buffer.from(mechanisms)) };
  }

  get #plusOffered(): boolean {
    return this.#options.tlsServerEndPoint !== null;
  }

  receive(body: Buffer): AuthStep {
    if (body.length > LARGEST_SASL_MESSAGE_BYTES) return this.#fail("a SASL message that is too long");
    switch (this.#state) {
      case "offered":
        return this.#takeInitialResponse(body);
      case "awaitsFirst":
        return this.#takeFirst(body);
      case "awaitsFinal":
        return this.#takeFinal(body);
      case "new":
      case "pending":
      case "ended":
        this.#state = "ended";
        return unexpected;
    }
  }

  #fail(reason: string): AuthStep {
    this.#state = "ended";
    return failed(reason);
  }

  #takeInitialResponse(body: Buffer): AuthStep {
    const initial = readSaslInitialResponse(body);
    if (initial === null) return this.#fail("malformed SASL initial response");
    this.#plus = initial.mechanism === SCRAM_SHA_256_PLUS;
    if (initial.mechanism !== SCRAM_SHA_256 && !(this.#plus && this.#plusOffered))
      return this.#fail("the client chose a SASL mechanism that was not offered");
    if (initial.data !== null) return this.#takeFirst(initial.data);
    this.#state = "awaitsFirst";
    return { kind: "send", messages: authenticationMessage(AuthenticationCode.SASL_CONTINUE) };
  }

  #takeFirst(data: Buffer): AuthStep {
    if (data.includes(0)) return this.#fail("malformed SCRAM message: a NUL in it");
    const first = parseClientFirst(data.toString("latin1"), { plus: this.#plus, plusOffered: this.#plusOffered });
    if (typeof first === "string") return this.#fail(first);
    const secret = this.#secret();
    if (!(secret instanceof Promise)) return this.#begin(first, secret);
    this.#state = "pending";
    const promise = secret.then(
      (derived) => (this.#state === "pending" ? this.#begin(first, derived) : unexpected),
      (error: unknown) => this.#fail(`the user's secret could not be derived: ${error instanceof Error ? error.message : String(error)}`),
    );
    return { kind: "pending", promise };
  }

  #secret(): ScramSecret | Promise<ScramSecret> {
    const { user, userName, secrets } = this.#options;
    const password = passwordOf(user);
    if (user !== null && password !== null) return secrets.secretOf(user.name, password);
    const stored = user?.verifier == null ? null : parseScramVerifier(user.verifier);
    if (stored !== null) return stored;
    if (user === null) this.#doomed = "there is no such user";
    else if (user.verifier === null) this.#doomed = "the user has neither password nor verifier";
    else this.#doomed = "the user's verifier is not one for SCRAM-SHA-256";
    return secrets.mockSecretOf(userName);
  }

  #begin(first: ClientFirst, secret: ScramSecret): AuthStep {
    this.#exchange = startScramExchange(first, secret, this.#options.tlsServerEndPoint, this.#options.secrets.nonce());
    this.#state = "awaitsFinal";
    return {
      kind: "send",
      messages: authenticationMessage(AuthenticationCode.SASL_CONTINUE, Buffer.from(this.#exchange.serverFirst, "latin1")),
    };
  }

  #takeFinal(body: Buffer): AuthStep {
    const exchange = this.#exchange;
    if (exchange === null || body.includes(0)) return this.#fail("malformed SCRAM message: a NUL in it");
    const outcome = exchange.finish(body.toString("latin1"));
    if (outcome.kind === "malformed") return this.#fail(outcome.reason);
    if (outcome.kind === "refused" || this.#doomed !== null) return this.#fail(this.#doomed ?? "wrong password");
    this.#state = "ended";
    this.#keys = outcome.keys;
    const final = authenticationMessage(AuthenticationCode.SASL_FINAL, Buffer.from(outcome.serverFinal, "latin1"));
    return { kind: "ok", messages: Buffer.concat([final, OK]) };
  }
}
