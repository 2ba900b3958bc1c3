// A TCP connection of which only the bytes matter: for clients that do not keep to the protocol.
import { connect } from "node:net";

export interface RawSocket {
  send(bytes: Uint8Array): void;
  /** Resolves when at least this many bytes have come. */
  received(count: number): Promise<Buffer>;
  /** Everything that came, once the other side has closed. */
  readonly closed: Promise<Buffer>;
  destroy(): void;
}

export function connectRaw(port: number): Promise<RawSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const chunks: Buffer[] = [];
    const bytes = (): Buffer => Buffer.concat(chunks);
    socket.on("data", (chunk) => chunks.push(chunk));
    const closed = new Promise<Buffer>((done) => {
      socket.on("close", () => done(bytes()));
    });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.on("error", () => {});
      resolve({
        send: (data) => void socket.write(data),
        async received(count) {
          while (bytes().length < count) {
            await new Promise<void>((next, failed) => {
              socket.once("data", () => next());
              socket.once("close", () => failed(new Error(`closed after ${bytes().length} bytes`)));
            });
          }
          return bytes();
        },
        closed,
        destroy: () => socket.destroy(),
      });
    });
  });
}
