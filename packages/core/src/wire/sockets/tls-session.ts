// TLS on one non-blocking descriptor: OpenSSL reads and writes the socket itself. Hot: no object per record. The error queue of
// OpenSSL is the thread's, shared with all of Node, and is cleared before each call. Knows nothing of readers and queues.
import { isIP } from "node:net";
import { PoolerError } from "../../base/errors.js";
import type { TlsUpgrade } from "../wire.js";
import { type OpenSsl, type Pointer, Ssl } from "./openssl.js";
import { type System, systemError } from "./system.js";
import { reasonOf, type TlsContexts } from "./tls-contexts.js";

/** Largest plain text of a record. */
const recordBytes = 16 * 1024;

export const TlsStep = { DONE: 1, NOTHING: 0, WANTS_WRITE: -1, CLOSED: -2, FAILED: -3 } as const;

export interface TlsSession {
  /** The handshake is done. */
  readonly secure: boolean;
  /** There is more to read that raises no event: read again. */
  readonly pending: boolean;
  /** It has something of its own to send before it can read on. */
  readonly readAfterWrite: boolean;
  /** Common name of the peer's certificate when one was asked for and verified, or null. */
  readonly peerName: string | null;
  /** DONE, NOTHING (go on when the socket is readable), WANTS_WRITE, or FAILED. */
  handshake(): number;
  /** How many bytes were put at `address`, which has room for at least one record; or NOTHING, WANTS_WRITE, CLOSED, FAILED. */
  read(address: number, sizeBytes: number): number;
  /** How many bytes were taken; 0: none for now, and the next call must begin with the same ones; negative: it failed. */
  write(address: number, sizeBytes: number): number;
  /** Of the call that FAILED. */
  failure(call: string): PoolerError;
  sayGoodbye(): void;
  free(): void;
}

/** Throws PoolerError when the upgrade's certificates cannot be used. */
export function createTlsSession(contexts: TlsContexts, system: System, upgrade: TlsUpgrade, fd: number): TlsSession {
  const { openSsl } = contexts;
  openSsl.clearErrors();
  const session = openSsl.newSession(contexts.contextFor(upgrade));
  if (session === null) throw new PoolerError("IO", `TLS cannot be set up: ${reasonOf(openSsl) ?? "no memory"}`);
  openSsl.setDescriptor(session, fd);
  if (upgrade.side === "server") {
    openSsl.beServer(session);
  } else {
    openSsl.beClient(session);
    const address = isIP(upgrade.host) !== 0;
    if (!address) openSsl.setHostName(session, Ssl.CTRL_SET_HOST_NAME, 0, upgrade.host);
    if (upgrade.verify) {
      const parameters = openSsl.parameters(session);
      openSsl.setHostFlags(parameters, Ssl.NO_PARTIAL_WILDCARDS);
      if (address) openSsl.requireAddress(parameters, upgrade.host);
      else openSsl.requireHost(parameters, upgrade.host, 0);
    }
  }
  return new OpenSslSession(openSsl, system, session, upgrade);
}

class OpenSslSession implements TlsSession {
  secure = false;
  readAfterWrite = false;
  peerName: string | null = null;
  readonly #openSsl: OpenSsl;
  readonly #system: System;
  readonly #session: Pointer;
  /** The same for the hot calls; 0 once it is freed. */
  #address: number;
  readonly #upgrade: TlsUpgrade;
  /** What read() says from now on. */
  #over = 0;
  #errno = 0;
  /** What OpenSSL said of the failure: its queue of errors is emptied before the next call. */
  #reason: string | null = null;

  constructor(openSsl: OpenSsl, system: System, session: Pointer, upgrade: TlsUpgrade) {
    this.#openSsl = openSsl;
    this.#system = system;
    this.#session = session;
    this.#address = Number(session);
    this.#upgrade = upgrade;
  }

  get pending(): boolean {
    return this.#address !== 0 && this.secure && (this.#over !== 0 || this.#openSsl.hasPending(this.#address) === 1);
  }

  handshake(): number {
    this.#openSsl.clearErrors();
    const result = this.#openSsl.handshake(this.#address);
    if (result === 1) {
      this.secure = true;
      if (this.#upgrade.side === "server" && this.#upgrade.clientCa !== null) this.peerName = this.#readPeerName();
      return TlsStep.DONE;
    }
    const step = this.#stepAfter(result);
    return step === TlsStep.CLOSED ? TlsStep.FAILED : step;
  }

  read(address: number, sizeBytes: number): number {
    this.readAfterWrite = false;
    if (this.#over !== 0) return this.#over;
    const openSsl = this.#openSsl;
    let filled = 0;
    do {
      openSsl.clearErrors();
      const count = openSsl.read(this.#address, address + filled, sizeBytes - filled);
      if (count <= 0) {
        const step = this.#stepAfter(count);
        if (step === TlsStep.CLOSED || step === TlsStep.FAILED) this.#over = step;
        if (filled === 0) this.readAfterWrite = step === TlsStep.WANTS_WRITE;
        return filled > 0 ? filled : step;
      }
      filled += count;
    } while (filled + recordBytes <= sizeBytes && openSsl.hasPending(this.#address) === 1);
    return filled;
  }

  write(address: number, sizeBytes: number): number {
    this.#openSsl.clearErrors();
    const count = this.#openSsl.write(this.#address, address, sizeBytes);
    if (count > 0) return count;
    const step = this.#stepAfter(count);
    return step === TlsStep.WANTS_WRITE || step === TlsStep.NOTHING ? 0 : -1;
  }

  failure(call: string): PoolerError {
    const upgrade = this.#upgrade;
    const verified = this.secure ? 0 : this.#openSsl.verifyResult(this.#session);
    if (verified !== 0) {
      const what = this.#openSsl.verifyText(verified);
      if (upgrade.side === "server") return new PoolerError("IO", `the client's certificate was not accepted: ${what}`);
      const mismatch = verified === Ssl.VERIFY_HOST_MISMATCH || verified === Ssl.VERIFY_ADDRESS_MISMATCH;
      return new PoolerError(
        "IO",
        mismatch
          ? `the server's certificate is for another name than ${upgrade.host}`
          : `the server's certificate was not accepted: ${what}`,
      );
    }
    if (this.#errno !== 0) return systemError(call, this.#errno);
    return new PoolerError("IO", `${call}: ${this.#reason ?? "the peer closed the connection"}`);
  }

  sayGoodbye(): void {
    if (!this.secure || this.#over !== 0) return;
    this.#openSsl.clearErrors();
    this.#openSsl.shutdown(this.#session);
  }

  free(): void {
    if (this.#address === 0) return;
    this.#address = 0;
    this.#openSsl.freeSession(this.#session);
  }

  #stepAfter(result: number): number {
    this.#errno = this.#system.errno();
    switch (this.#openSsl.outcome(this.#address, result)) {
      case Ssl.ERROR_WANT_READ:
        return TlsStep.NOTHING;
      case Ssl.ERROR_WANT_WRITE:
        return TlsStep.WANTS_WRITE;
      case Ssl.ERROR_ZERO_RETURN:
        return TlsStep.CLOSED;
      case Ssl.ERROR_SYSCALL:
        return TlsStep.FAILED;
      default:
        this.#errno = 0; // a matter of TLS, not of the system
        this.#reason = reasonOf(this.#openSsl);
        return TlsStep.FAILED;
    }
  }

  /** null when there is none, or when it holds a NUL: such a name looks like another one (CVE-2009-2408). */
  #readPeerName(): string | null {
    const openSsl = this.#openSsl;
    const certificate = openSsl.peerCertificate(this.#session);
    if (certificate === null) return null;
    const text = Buffer.alloc(512);
    const length = openSsl.nameText(openSsl.subject(certificate), Ssl.NID_COMMON_NAME, text, text.length);
    openSsl.freeCertificate(certificate);
    if (length <= 0 || length >= text.length - 1 || text.indexOf(0) !== length) return null;
    return text.toString("utf8", 0, length);
  }
}
