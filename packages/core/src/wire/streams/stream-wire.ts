// A wire on node:net and node:tls streams. Every chunk is a fresh buffer of Node's, so nothing here depends on its reuse;
// readers must not either.
import type { Socket } from "node:net";
import tls from "node:tls";
import type { Logger } from "../../base/logger.js";
import type { TlsUpgrade, Wire, WireReader } from "../wire.js";
import type { ServerContexts } from "./server-contexts.js";

const deaf: WireReader = { onBytes() {}, onDrain() {}, onClosed() {} };

/** How long a peer may take to read what was still queued when its wire was ended. */
const lingerMs = 10_000;

export class StreamWire implements Wire {
  reader: WireReader = deaf;
  readonly remoteAddress: string;
  readonly remotePort: number;
  tls = false;
  peerName: string | null = null;
  #stream: Socket;
  readonly #log: Logger;
  readonly #contexts: ServerContexts;
  /** A TLS handshake is under way: nothing can be said. */
  #securing = false;
  #congested = false;
  #closed = false;
  #error: Error | null = null;

  /** `address`: what stands for the peer's when the socket has none. */
  constructor(socket: Socket, address: string, log: Logger, contexts: ServerContexts) {
    this.#stream = socket;
    this.#log = log;
    this.#contexts = contexts;
    this.remoteAddress = socket.remoteAddress ?? address;
    this.remotePort = socket.remotePort ?? 0;
    socket.setNoDelay(true);
    this.#attach(socket);
  }

  get queuedBytes(): number {
    return this.#stream.writableLength;
  }

  get congested(): boolean {
    return this.#congested;
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    if (this.#closed || this.#securing || this.#stream.destroyed || !this.#stream.writable) return true;
    // A copy: the stream keeps what the system did not take, and the view belongs to the caller.
    const taken = this.#stream.write(Buffer.from(buffer.subarray(start, end)));
    if (!taken) this.#congested = true;
    return !this.#congested;
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    if (this.#closed) return;
    const stream = this.#stream;
    if (this.#securing) {
      stream.destroy();
      return;
    }
    // The peer need not close its side, nor read: once what is queued has gone out, or time is up, the descriptor is let go.
    stream.once("finish", () => stream.destroySoon());
    const linger = setTimeout(() => stream.destroy(), lingerMs);
    stream.once("close", () => clearTimeout(linger));
    stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  startTls(upgrade: TlsUpgrade, onSecure: () => void): void {
    const plain = this.#stream;
    plain.removeAllListeners("data");
    plain.removeAllListeners("end");
    plain.removeAllListeners("drain");
    plain.removeAllListeners("close");
    const secure = upgrade.side === "server" ? serverSocket(plain, upgrade, this.#contexts) : clientSocket(plain, upgrade);
    this.#stream = secure;
    this.#securing = true;
    secure.once(upgrade.side === "server" ? "secure" : "secureConnect", () => {
      if (upgrade.side === "server" && upgrade.clientCa !== null) {
        const problem = certificateProblem(secure);
        if (problem !== null) {
          secure.destroy(new Error(`the client's certificate was not accepted: ${problem}`));
          return;
        }
        const name = secure.getPeerCertificate().subject?.CN;
        this.peerName = typeof name === "string" ? name : null;
      }
      this.#securing = false;
      this.tls = true;
      this.guard(onSecure);
    });
    this.#attach(secure);
  }

  #attach(stream: Socket): void {
    stream.on("data", (chunk: Buffer) => this.guard(() => this.reader.onBytes(chunk, 0, chunk.length)));
    stream.on("drain", () => {
      this.#congested = false;
      this.guard(() => this.reader.onDrain());
    });
    stream.on("error", (error) => {
      this.#error ??= error;
    });
    // A half-closed peer cannot say anything more: PostgreSQL takes that as the end of the connection, too.
    stream.on("end", () => stream.destroy());
    stream.on("close", () => {
      if (this.#closed) return;
      this.#closed = true;
      this.guard(() => this.reader.onClosed(this.#error));
      this.reader = deaf;
    });
  }

  /** What is thrown on behalf of this connection is a bug, and costs it alone. */
  guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#log.error({ error, peer: `${this.remoteAddress}:${this.remotePort}` }, "a connection was closed because of a bug");
      this.#stream.destroy();
    }
  }
}

function serverSocket(plain: Socket, upgrade: Extract<TlsUpgrade, { side: "server" }>, contexts: ServerContexts): tls.TLSSocket {
  return new tls.TLSSocket(plain, {
    isServer: true,
    secureContext: contexts.contextOf(upgrade),
    requestCert: upgrade.clientCa !== null,
    rejectUnauthorized: false, // checked at "secure", so that the reason is known
  });
}

/** Why the client's certificate is no good, null when it is. `authorized` is set by Node's own TLS server only, from this. */
function certificateProblem(secure: tls.TLSSocket): string | null {
  const { ssl } = secure as unknown as { readonly ssl?: { verifyError?(): (Error & { readonly code?: string }) | null | undefined } };
  if (ssl?.verifyError === undefined) return "this release of Node does not tell whether it is valid";
  const error = ssl.verifyError();
  return error ? error.message : null;
}

function clientSocket(plain: Socket, upgrade: Extract<TlsUpgrade, { side: "client" }>): tls.TLSSocket {
  return tls.connect({
    socket: plain,
    minVersion: "TLSv1.2",
    rejectUnauthorized: upgrade.verify,
    host: upgrade.host,
    ...(/^[\d.]+$|:/.test(upgrade.host) ? {} : { servername: upgrade.host }),
    ...(upgrade.ca === null ? {} : { ca: upgrade.ca }),
  });
}
