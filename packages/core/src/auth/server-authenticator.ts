// Proves the pooler to a server: a step function without I/O, never throwing for what a server sends. Servers are not
// trusted: one that begins SCRAM must prove that it knows the password before its AuthenticationOk counts.
import { PoolerError } from "../base/errors.js";
import { md5Response, md5Verifier } from "./md5.js";
import { AuthenticationCode, cstring, passwordMessage, readMechanisms } from "./messages.js";
import { keysOf, type PassThroughKeys, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, type ScramKeys, saltedPassword } from "./scram.js";
import { createScramProver, type ScramProver } from "./scram-prover.js";
import type { SecretCache } from "./secret-cache.js";

export type ServerAuthStep =
  /** A complete 'p' message. */
  | { readonly kind: "send"; readonly message: Buffer }
  | { readonly kind: "continue" }
  /** The server said AuthenticationOk. */
  | { readonly kind: "ok" }
  | { readonly kind: "failed"; readonly error: PoolerError };

export interface ServerAuthenticator {
  /** One 'R' message: its code, and what follows the code; not kept after the call. */
  receive(code: number, body: Buffer): ServerAuthStep;
}

export interface ServerAuthenticatorOptions {
  readonly user: string;
  readonly password: string | null;
  /** The connection is encrypted. */
  readonly tls: boolean;
  /** Hash of the server's certificate (tlsServerEndPoint()): binds SCRAM to the channel when the server offers that. */
  readonly tlsServerEndPoint?: Buffer | null;
  /** Instead of a password: keys that the user's own login at the pooler has shown. */
  readonly passThroughKeys?: PassThroughKeys | null;
  /** Keeps derived keys, so that further connections need no derivation (1 ms for 4,096 iterations, on this thread). */
  readonly secrets?: SecretCache;
  /** A server's iterations above it are refused: they would stop this thread. 1,000,000 take about 0.2 s. */
  readonly maxIterations?: number;
  /** "over-tls" refuses to send the password itself over a connection that is not encrypted. */
  readonly cleartext?: "always" | "over-tls";
}

export function createServerAuthenticator(options: ServerAuthenticatorOptions): ServerAuthenticator {
  return new Authenticator(options);
}

const DEFAULT_MAX_ITERATIONS = 1_000_000;
const OK: ServerAuthStep = { kind: "ok" };
const CONTINUE: ServerAuthStep = { kind: "continue" };

type State = "new" | "passwordSent" | "scramFirstSent" | "scramFinalSent" | "scramProved" | "ended";

class Authenticator implements ServerAuthenticator {
  readonly #options: ServerAuthenticatorOptions;
  #state: State = "new";
  #prover: ScramProver | null = null;

  constructor(options: ServerAuthenticatorOptions) {
    this.#options = options;
  }

  receive(code: number, body: Buffer): ServerAuthStep {
    switch (code) {
      case AuthenticationCode.OK:
        return this.#finish();
      case AuthenticationCode.CLEARTEXT_PASSWORD:
        return this.#sendCleartext();
      case AuthenticationCode.MD5_PASSWORD:
        return this.#sendMd5(body);
      case AuthenticationCode.SASL:
        return this.#beginScram(body);
      case AuthenticationCode.SASL_CONTINUE:
        return this.#continueScram(body);
      case AuthenticationCode.SASL_FINAL:
        return this.#checkServer(body);
      case AuthenticationCode.GSS:
      case AuthenticationCode.GSS_CONTINUE:
      case AuthenticationCode.SSPI:
      case AuthenticationCode.KERBEROS_V5:
        return this.#fail(
          "it asks for Kerberos (GSSAPI or SSPI), which the pooler does not speak",
          "Let pg_hba.conf use scram-sha-256 for the pooler's address.",
        );
      default:
        return this.#fail(`it asks for an authentication method that is not known (code ${code})`);
    }
  }

  #fail(problem: string, hint?: string): ServerAuthStep {
    this.#state = "ended";
    const error = new PoolerError(
      "SERVER_LOGIN_FAILED",
      `the login of user "${this.#options.user}" at the server failed: ${problem}`,
      hint === undefined ? {} : { hint },
    );
    return { kind: "failed", error };
  }

  #outOfOrder(): ServerAuthStep {
    return this.#fail("its authentication messages come in an order that the protocol does not allow");
  }

  #finish(): ServerAuthStep {
    if (this.#state === "scramFirstSent" || this.#state === "scramFinalSent") {
      return this.#fail("it ended SCRAM before it proved itself: it may not be the server that it says it is");
    }
    if (this.#state === "ended") return this.#outOfOrder();
    this.#state = "ended";
    return OK;
  }

  /** The password, or the step that says that there is none. */
  #password(): string | ServerAuthStep {
    return (
      this.#options.password ??
      this.#fail("it asks for a password and there is none", "Put it into the server's URL, or give the user password or server_password.")
    );
  }

  #sendCleartext(): ServerAuthStep {
    if (this.#state !== "new") return this.#outOfOrder();
    const { cleartext, tls } = this.#options;
    if (cleartext === "over-tls" && !tls) return this.#fail("it asks for the password itself over a connection that is not encrypted");
    const password = this.#password();
    if (typeof password !== "string") return password;
    this.#state = "passwordSent";
    return { kind: "send", message: passwordMessage(cstring(password)) };
  }

  #sendMd5(salt: Buffer): ServerAuthStep {
    if (this.#state !== "new") return this.#outOfOrder();
    if (salt.length !== 4) return this.#fail("its MD5 salt does not have four bytes");
    const password = this.#password();
    if (typeof password !== "string") return password;
    this.#state = "passwordSent";
    return { kind: "send", message: passwordMessage(cstring(md5Response(md5Verifier(password, this.#options.user), salt))) };
  }

  #beginScram(body: Buffer): ServerAuthStep {
    if (this.#state !== "new") return this.#outOfOrder();
    const { passThroughKeys, maxIterations, tlsServerEndPoint } = this.#options;
    const offered = readMechanisms(body);
    const certificateHash = tlsServerEndPoint ?? null;
    const plus = certificateHash !== null && offered.includes(SCRAM_SHA_256_PLUS);
    if (!plus && !offered.includes(SCRAM_SHA_256))
      return this.#fail(`it offers none of the SASL mechanisms that the pooler speaks (${offered.join(", ")})`);
    if (!passThroughKeys) {
      const password = this.#password();
      if (typeof password !== "string") return password;
    }
    this.#prover = createScramProver({
      binding: plus ? "p" : certificateHash === null ? "n" : "y",
      certificateHash,
      keysFor: (salt, iterations) => this.#keysFor(salt, iterations),
      maxIterations: maxIterations ?? DEFAULT_MAX_ITERATIONS,
    });
    this.#state = "scramFirstSent";
    const first = Buffer.from(this.#prover.clientFirst, "latin1");
    const length = Buffer.allocUnsafe(4);
    length.writeInt32BE(first.length);
    return { kind: "send", message: passwordMessage(cstring(plus ? SCRAM_SHA_256_PLUS : SCRAM_SHA_256), length, first) };
  }

  #keysFor(salt: Buffer, iterations: number): ScramKeys | string {
    const { password, passThroughKeys, secrets } = this.#options;
    if (passThroughKeys) {
      if (passThroughKeys.iterations === iterations && passThroughKeys.salt.equals(salt)) return passThroughKeys;
      if (password === null) return "its verifier of the user is not the one that the pooler has, and there is no password";
    }
    if (password === null) return "there is no password";
    return secrets?.keysOf(password, salt, iterations) ?? keysOf(saltedPassword(password, salt, iterations));
  }

  #continueScram(body: Buffer): ServerAuthStep {
    if (this.#state !== "scramFirstSent" || this.#prover === null) return this.#outOfOrder();
    const answer = this.#prover.answer(body.toString("latin1"));
    if ("problem" in answer) return this.#fail(answer.problem);
    this.#state = "scramFinalSent";
    return { kind: "send", message: passwordMessage(Buffer.from(answer.message, "latin1")) };
  }

  #checkServer(body: Buffer): ServerAuthStep {
    if (this.#state !== "scramFinalSent" || this.#prover === null) return this.#outOfOrder();
    const problem = this.#prover.check(body.toString("latin1"));
    if (problem !== null) return this.#fail(problem);
    this.#state = "scramProved";
    return CONTINUE;
  }
}
