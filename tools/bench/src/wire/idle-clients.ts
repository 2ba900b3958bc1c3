// Thousands of clients that log in and then say nothing.
import { type Address, connectRaw, type RawConnection } from "./raw-connection.js";

export interface IdleClients {
  readonly count: number;
  /** From the first connect to the last login. */
  readonly connectMs: number;
  readonly connections: readonly RawConnection[];
  close(): void;
}

/** Well below the usual limit of connections that may wait to be accepted. */
const concurrentLogins = 256;

export async function connectIdleClients(address: Address, count: number, signal?: AbortSignal): Promise<IdleClients> {
  const connections: RawConnection[] = [];
  let begun = 0;
  const startedMs = performance.now();
  const close = (): void => {
    for (const connection of connections) connection.close();
  };
  async function connectOneAfterAnother(): Promise<void> {
    while (begun < count) {
      begun += 1;
      connections.push(await connectRaw(address, signal));
    }
  }
  const outcomes = await Promise.allSettled(Array.from({ length: Math.min(concurrentLogins, count) }, connectOneAfterAnother));
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  if (failure !== undefined) {
    close();
    throw failure.reason;
  }
  return { count, connectMs: performance.now() - startedMs, connections, close };
}
