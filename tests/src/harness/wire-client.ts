// A client that sends exactly the bytes a test wants and shows exactly the messages that came back. Knows no statements, no types and no
// retries; ordinary clients are what pg and postgres are for.
import { connect as connectSocket, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { serialize } from "pg-protocol";
import { type BackendMessage, createFrameSplitter } from "./backend-message.js";

/** How long a client waits for what must come. */
const usualWaitLimitMs = 10_000;

/** Builders of well-formed frontend messages; a test may just as well send bytes of its own. */
export const messages = serialize;

export interface WireClientOptions {
  readonly host?: string;
  readonly port: number;
  readonly waitLimitMs?: number;
}

export interface WireClient {
  /** Startup packet and everything up to the first ReadyForQuery; for servers and users that ask for no password. */
  login(parameters: Readonly<Record<string, string>>): Promise<BackendMessage[]>;
  /** Sends SSLRequest and, when it is granted, does the handshake. Answers the byte that came: "S" or "N". */
  startTls(options?: ConnectionOptions): Promise<string>;
  /** Everything in one write. */
  send(...parts: readonly Uint8Array[]): void;
  /** Resolves with the next message. */
  next(): Promise<BackendMessage>;
  /** Resolves with all messages up to and with the next one of this type letter; "Z" is ReadyForQuery. */
  until(type: string): Promise<BackendMessage[]>;
  /** A simple query and its messages up to ReadyForQuery. */
  query(sql: string): Promise<BackendMessage[]>;
  /** Messages that have arrived and were not taken yet. */
  pending(): readonly BackendMessage[];
  /** Stops and continues reading from the socket: a slow client. */
  pause(): void;
  resume(): void;
  /** Sends FIN, without Terminate. */
  end(): void;
  /** Sends RST. */
  reset(): void;
  /** Resolves when the other side has closed, with an error code such as ECONNRESET if there was one. */
  readonly closed: Promise<string | undefined>;
}

export function connectWire({ host = "127.0.0.1", port, waitLimitMs = usualWaitLimitMs }: WireClientOptions): Promise<WireClient> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ host, port, noDelay: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(new SocketWireClient(socket, waitLimitMs));
    });
  });
}

interface Waiter {
  settle(): boolean;
  fail(reason: Error): void;
}

class SocketWireClient implements WireClient {
  readonly closed: Promise<string | undefined>;
  #socket: Socket;
  readonly #waitLimitMs: number;
  #splitter = createFrameSplitter();
  readonly #queue: BackendMessage[] = [];
  readonly #waiters: Waiter[] = [];
  #resolveClosed: (code: string | undefined) => void = () => {};
  #hasClosed = false;
  #errorCode: string | undefined;
  #rawByte: ((byte: string) => void) | undefined;

  constructor(socket: Socket, waitLimitMs: number) {
    this.#socket = socket;
    this.#waitLimitMs = waitLimitMs;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#attach(socket);
  }

  login(parameters: Readonly<Record<string, string>>): Promise<BackendMessage[]> {
    this.send(messages.startup({ ...parameters }));
    return this.until("Z");
  }

  async startTls(options: ConnectionOptions = { rejectUnauthorized: false }): Promise<string> {
    const answer = new Promise<string>((resolve) => {
      this.#rawByte = resolve;
    });
    this.send(messages.requestSsl());
    const byte = await answer;
    if (byte === "S") {
      const plain = this.#socket;
      plain.removeAllListeners();
      await new Promise<void>((resolve, reject) => {
        const secure = connectTls({ ...options, socket: plain }, resolve);
        secure.once("error", reject);
        this.#socket = secure;
        this.#attach(secure);
      });
    }
    return byte;
  }

  send(...parts: readonly Uint8Array[]): void {
    this.#socket.write(Buffer.concat(parts));
  }

  async next(): Promise<BackendMessage> {
    const [message] = await this.#take(() => (this.#queue.length > 0 ? 1 : 0), "a message");
    return message as BackendMessage;
  }

  until(type: string): Promise<BackendMessage[]> {
    return this.#take(() => this.#queue.findIndex((message) => message.type === type) + 1, `a message "${type}"`);
  }

  query(sql: string): Promise<BackendMessage[]> {
    this.send(messages.query(sql));
    return this.until("Z");
  }

  pending(): readonly BackendMessage[] {
    return this.#queue;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }

  #attach(socket: Socket): void {
    socket.on("data", (chunk) => {
      if (this.#rawByte !== undefined) {
        const resolve = this.#rawByte;
        this.#rawByte = undefined;
        resolve(String.fromCharCode(chunk[0] ?? 0));
        return;
      }
      this.#queue.push(...this.#splitter.push(chunk));
      this.#settle();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.#errorCode = error.code;
    });
    socket.on("close", () => {
      this.#hasClosed = true;
      this.#settle();
      for (const waiter of this.#waiters.splice(0)) {
        waiter.fail(
          new Error(`The connection was closed${this.#errorCode === undefined ? "" : ` (${this.#errorCode})`}. ${this.#describe()}`),
        );
      }
      this.#resolveClosed(this.#errorCode);
    });
  }

  /** `count` says how many messages of the queue are what the caller waits for; 0: not there yet. */
  #take(count: () => number, what: string): Promise<BackendMessage[]> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiter.fail(new Error(`Waited ${this.#waitLimitMs} ms for ${what}. ${this.#describe()}`));
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      }, this.#waitLimitMs);
      const waiter: Waiter = {
        settle: () => {
          const ready = count();
          if (ready === 0) {
            return false;
          }
          clearTimeout(timer);
          resolve(this.#queue.splice(0, ready));
          return true;
        },
        fail: (reason) => {
          clearTimeout(timer);
          reject(reason);
        },
      };
      this.#waiters.push(waiter);
      this.#settle();
      if (this.#hasClosed && this.#waiters.includes(waiter)) {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        waiter.fail(new Error(`The connection is closed. ${this.#describe()}`));
      }
    });
  }

  #settle(): void {
    while (this.#waiters[0]?.settle() === true) {
      this.#waiters.shift();
    }
  }

  #describe(): string {
    return this.#queue.length === 0 ? "Nothing had arrived." : `Arrived: ${this.#queue.map(String).join(" ")}`;
  }
}
