// A connection that costs the load generator as little as it can: it counts bytes and waits for ReadyForQuery, no more. For servers on
// the loopback address that ask for no password.
import { connect, type Socket } from "node:net";
import { BenchError } from "../bench-error.js";
import { queryMessage, startupMessage, terminateMessage } from "./frontend-messages.js";
import { createMessageScanner } from "./message-scanner.js";

export interface Address {
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

export interface RawConnection {
  /** Sends the bytes and resolves at the next ReadyForQuery; rejects with the server's error, or when the connection is lost. */
  request(bytes: Buffer): Promise<void>;
  /** Like request(), and `copyIn` is asked for data once the server wants them, until it answers undefined. */
  copyIn(query: Buffer, nextChunk: () => Buffer | undefined, last: Buffer): Promise<void>;
  /** Bytes received so far. */
  receivedBytes(): number;
  /** Says goodbye and closes. */
  close(): void;
  /** Drops it at once; a request that is waiting is rejected. */
  destroy(): void;
}

const readyForQuery = 0x5a; // Z
const copyInResponse = 0x47; // G
const readySignal = (): void => {};

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Resolves when it is logged in. */
export function connectRaw({ port, user, database }: Address): Promise<RawConnection> {
  return new Promise((resolveLogin, rejectLogin) => {
    let waiting: Waiting | undefined = { resolve: () => resolveLogin(connection), reject: rejectLogin };
    let onCopyIn = readySignal;
    let received = 0;
    const socket: Socket = connect({ host: "127.0.0.1", port, noDelay: true });

    const scanner = createMessageScanner((type) => {
      if (type === copyInResponse) onCopyIn();
      else if (type === readyForQuery) isReady = true;
    });
    let isReady = false;

    function settle(error?: Error): void {
      const settled = waiting;
      waiting = undefined;
      onCopyIn = readySignal;
      if (error === undefined) settled?.resolve();
      else settled?.reject(error);
    }

    socket.on("data", (chunk: Buffer) => {
      received += chunk.length;
      scanner.feed(chunk);
      if (!isReady) return;
      isReady = false;
      const error = scanner.takeError();
      settle(error === undefined ? undefined : new BenchError(error));
    });
    socket.on("error", (error) => settle(error));
    socket.on("close", () => {
      const said = scanner.takeError();
      settle(new BenchError(said ?? "the connection was closed"));
    });
    socket.on("connect", () => socket.write(startupMessage({ user, database })));

    function wait(): Promise<void> {
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject };
      });
    }

    const connection: RawConnection = {
      request(bytes) {
        const answered = wait();
        socket.write(bytes);
        return answered;
      },
      copyIn(query, nextChunk, last) {
        const answered = wait();
        onCopyIn = () => {
          pump();
        };
        const pump = (): void => {
          for (let chunk = nextChunk(); chunk !== undefined; chunk = nextChunk()) {
            if (!socket.write(chunk)) {
              socket.once("drain", pump);
              return;
            }
          }
          socket.write(last);
        };
        socket.write(query);
        return answered;
      },
      receivedBytes: () => received,
      close() {
        socket.end(terminateMessage);
        // Who does not close in turn is not waited for.
        socket.unref();
      },
      destroy() {
        socket.destroy();
      },
    };
  });
}

/** Whether a statement is answered there at this moment. */
export async function isServed(address: Address): Promise<boolean> {
  try {
    const connection = await connectRaw(address);
    try {
      await connection.request(queryMessage("SELECT 1"));
    } finally {
      connection.close();
    }
    return true;
  } catch {
    return false;
  }
}
