// Raw connections that belong together: closed together at the end, and cut off together when the benchmark is interrupted. One listener
// for all of them, since a signal looks through its listeners whenever one is added.
import { type Address, connectRaw, type RawConnection } from "./raw-connection.js";

export interface ConnectionSet {
  readonly connections: readonly RawConnection[];
  open(address: Address): Promise<RawConnection>;
  /** `limit` of them log in at a time; resolves in the order of the indexes. */
  openMany(count: number, addressOf: (index: number) => Address, limit: number): Promise<readonly RawConnection[]>;
  close(): void;
}

export function createConnectionSet(signal: AbortSignal): ConnectionSet {
  const connections: RawConnection[] = [];
  const destroy = (): void => {
    for (const connection of connections) connection.destroy();
  };
  signal.addEventListener("abort", destroy, { once: true });

  async function open(address: Address): Promise<RawConnection> {
    signal.throwIfAborted();
    const connection = await connectRaw(address);
    connections.push(connection);
    if (signal.aborted) connection.destroy();
    return connection;
  }

  return {
    connections,
    open,
    async openMany(count, addressOf, limit) {
      const opened: RawConnection[] = [];
      let begun = 0;
      async function openOneAfterAnother(): Promise<void> {
        while (begun < count) {
          const index = begun;
          begun += 1;
          opened[index] = await open(addressOf(index));
        }
      }
      const outcomes = await Promise.allSettled(Array.from({ length: Math.min(limit, count) }, openOneAfterAnother));
      const failure = outcomes.find((outcome) => outcome.status === "rejected");
      if (failure !== undefined) throw failure.reason;
      return opened;
    },
    close() {
      signal.removeEventListener("abort", destroy);
      for (const connection of connections) connection.close();
    },
  };
}
