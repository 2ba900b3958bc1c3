// A wire on node:net and node:tls streams. Every chunk is a fresh buffer of Node's, so nothing here depends on its reuse;
// readers must not either.
import type { Socket } from "node:net";
import tls from "node:tls";
import type { Logger } from "../../base/logger.js";
import type { TlsUpgrade, Wire, WireReader } from "../wire.js";

const deaf: WireReader = { onBytes() {}, onDrain() {}, onClosed() {} };

export class StreamWire implements Wire {
  reader: WireReader = deaf;
  readonly remoteAddress: string;
  readonly remotePort: number;
  tls = false;
  peerName: string | null = null;
  #stream: Socket;
  #log: Logger;
  #congested = false;
  #closed = false;
  #error: Error | null = null;

  constructor(socket: Socket, log: Logger) {
    this.#stream = socket;
    this.#log = log;
    this.remoteAddress = socket.remoteAddress ?? "unix";
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
    if (this.#closed || this.#stream.destroyed || !this.#stream.writable) return true;
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
    this.#stream.end();
    // The peer need not close its side: give what is queued a moment to go out, then let go of the descriptor.
    this.#stream.once("finish", () => this.#stream.destroySoon());
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
    const secure = upgrade.side === "server" ? serverSocket(plain, upgrade) : clientSocket(plain, upgrade);
    this.#stream = secure;
    secure.once(upgrade.side === "server" ? "secure" : "secureConnect", () => {
      if (upgrade.side === "server" && upgrade.clientCa !== null) {
        if (!secure.authorized) {
          secure.destroy(new Error(`client certificate: ${String(secure.authorizationError)}`));
          return;
        }
        const name = secure.getPeerCertificate().subject?.CN;
        this.peerName = typeof name === "string" ? name : null;
      }
      this.tls = true;
      onSecure();
    });
    this.#attach(secure);
  }

  #attach(stream: Socket): void {
    stream.on("data", (chunk: Buffer) => this.#guard(() => this.reader.onBytes(chunk, 0, chunk.length)));
    stream.on("drain", () => {
      this.#congested = false;
      this.#guard(() => this.reader.onDrain());
    });
    stream.on("error", (error) => {
      this.#error ??= error;
    });
    // A half-closed peer cannot say anything more: PostgreSQL takes that as the end of the connection, too.
    stream.on("end", () => stream.destroy());
    stream.on("close", () => {
      if (this.#closed) return;
      this.#closed = true;
      this.#guard(() => this.reader.onClosed(this.#error));
      this.reader = deaf;
    });
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#log.error({ error, peer: `${this.remoteAddress}:${this.remotePort}` }, "a connection was closed because of a bug");
      this.#stream.destroy();
    }
  }
}

function serverSocket(plain: Socket, upgrade: Extract<TlsUpgrade, { side: "server" }>): tls.TLSSocket {
  return new tls.TLSSocket(plain, {
    isServer: true,
    secureContext: tls.createSecureContext({
      cert: upgrade.cert,
      key: upgrade.key,
      minVersion: "TLSv1.2",
      ...(upgrade.clientCa === null ? {} : { ca: upgrade.clientCa }),
    }),
    requestCert: upgrade.clientCa !== null,
    rejectUnauthorized: false, // checked at "secure", so that the reason can be logged
  });
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
