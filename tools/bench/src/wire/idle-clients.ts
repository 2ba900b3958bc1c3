// Thousands of clients that log in and then say nothing.
import { type ConnectionSet, createConnectionSet } from "./connection-set.js";
import type { Address } from "./raw-connection.js";

export interface IdleClients extends Pick<ConnectionSet, "connections" | "close"> {
  /** From the first connect to the last login. */
  readonly connectMs: number;
}

/** Well below the usual limit of connections that may wait to be accepted. */
const concurrentLogins = 256;

export async function connectIdleClients(address: Address, count: number, signal: AbortSignal): Promise<IdleClients> {
  const set = createConnectionSet(signal);
  const startedMs = performance.now();
  try {
    await set.openMany(count, () => address, concurrentLogins);
  } catch (error) {
    set.close();
    throw error;
  }
  return { connections: set.connections, connectMs: performance.now() - startedMs, close: () => set.close() };
}
