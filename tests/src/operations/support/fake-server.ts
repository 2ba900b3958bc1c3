// A server that the test plays, for what a real one cannot be made to do. Takes care of the startup packet; the rest is the test's.
import { createServer, type Socket } from "node:net";

export interface FakeConnection {
  readonly socket: Socket;
  /** Everything so far, the startup packet left out. */
  received(): Buffer;
  write(...parts: readonly Uint8Array[]): void;
}

export interface FakeServer {
  readonly port: number;
  readonly url: string;
  readonly connections: readonly FakeConnection[];
  close(): Promise<void>;
}

export interface FakeServerOptions {
  /** After the startup packet. The default logs in. */
  onStartup?(connection: FakeConnection): void;
  /** Bytes that came after the startup packet. */
  onData?(connection: FakeConnection, bytes: Buffer): void;
  /** What comes before any byte is looked at; false: nothing else is done. */
  onConnect?(connection: FakeConnection): boolean;
}

export function message(type: string, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(5, type);
  header.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([header, body]);
}

const text = (...parts: readonly string[]): Buffer => Buffer.from(parts.map((part) => `${part}\0`).join(""));

const parts = {
  authenticationOk: message("R", Buffer.alloc(4)),
  parameterStatus: (name: string, value: string): Buffer => message("S", text(name, value)),
  backendKey: message("K", Buffer.from([0, 0, 0, 1, 0, 0, 0, 2])),
  ready: (status = "I"): Buffer => message("Z", Buffer.from(status)),
  complete: (tag: string): Buffer => message("C", text(tag)),
  notice: (words: string): Buffer => message("N", Buffer.concat([text("SNOTICE", "C00000", `M${words}`), Buffer.alloc(1)])),
  error: (severity: string, code: string, words: string): Buffer =>
    message("E", Buffer.concat([text(`S${severity}`, `V${severity}`, `C${code}`, `M${words}`), Buffer.alloc(1)])),
  rowDescription: (name: string): Buffer =>
    message(
      "T",
      Buffer.concat([Buffer.from([0, 1]), text(name), Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0])]),
    ),
  row: (value: Uint8Array): Buffer => {
    const head = Buffer.from([0, 1, 0, 0, 0, 0]);
    head.writeInt32BE(value.length, 2);
    return message("D", Buffer.concat([head, value]));
  },
};

export const fake = {
  ...parts,
  /** What follows the startup packet when all is well. */
  greeting: Buffer.concat([
    parts.authenticationOk,
    parts.parameterStatus("server_version", "18.0"),
    parts.parameterStatus("client_encoding", "UTF8"),
    parts.parameterStatus("standard_conforming_strings", "on"),
    parts.backendKey,
    parts.ready(),
  ]),
} as const;

export function startFakeServer(options: FakeServerOptions = {}): Promise<FakeServer> {
  const connections: FakeConnection[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    let kept: Buffer = Buffer.alloc(0);
    let started = false;
    const connection: FakeConnection = {
      socket,
      received: () => kept,
      write: (...parts) => void socket.write(Buffer.concat(parts)),
    };
    connections.push(connection);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    if (options.onConnect?.(connection) === false) {
      return;
    }
    socket.on("data", (chunk) => {
      kept = Buffer.concat([kept, chunk]);
      if (!started) {
        if (kept.length < 4 || kept.length < kept.readInt32BE(0)) {
          return;
        }
        started = true;
        kept = kept.subarray(kept.readInt32BE(0));
        if (options.onStartup === undefined) connection.write(fake.greeting);
        else options.onStartup(connection);
        if (kept.length === 0) return;
        options.onData?.(connection, kept);
        return;
      }
      options.onData?.(connection, chunk);
    });
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      resolve({
        port,
        url: `postgres://app@127.0.0.1:${port}/app`,
        connections,
        close: () =>
          new Promise((done) => {
            for (const socket of sockets) socket.destroy();
            server.close(() => done());
          }),
      });
    });
  });
}
