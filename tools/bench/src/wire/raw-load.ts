// A load over connections that are open already: a fixed number of requests is on the way at any time, each connection has one at most.
import { setTimeout as delay } from "node:timers/promises";
import { type Latencies, latenciesOf } from "../pgbench-output.js";
import type { RawConnection } from "./raw-connection.js";

export interface RawLoad {
  readonly connections: readonly RawConnection[];
  readonly inFlight: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** The bytes of the next request on this connection. */
  request(connection: number): Buffer;
  /** At the begin and at the end of what is counted. */
  onMark(): void;
}

export interface RawOutcome {
  readonly requests: number;
  readonly tps: number;
  readonly latencies: Latencies;
}

export async function runRawLoad(load: RawLoad): Promise<RawOutcome> {
  const { connections, inFlight, request } = load;
  const latenciesUs: number[] = [];
  let isCounting = false;
  let isOver = false;

  async function walk(first: number): Promise<void> {
    for (let index = first; !isOver; index = index + inFlight < connections.length ? index + inFlight : first) {
      const connection = connections[index];
      if (connection === undefined) return;
      const startedMs = performance.now();
      await connection.request(request(index));
      if (isCounting) latenciesUs.push((performance.now() - startedMs) * 1000);
    }
  }

  async function keepTime(): Promise<number> {
    try {
      await delay(load.warmUpSeconds * 1000);
      load.onMark();
      const startedMs = performance.now();
      isCounting = true;
      await delay(load.seconds * 1000);
      isCounting = false;
      load.onMark();
      return performance.now() - startedMs;
    } finally {
      isOver = true;
    }
  }

  const walks = Promise.all(Array.from({ length: Math.min(inFlight, connections.length) }, (_, first) => walk(first)));
  // A connection that fails ends the load at once.
  const [tookMs] = await Promise.all([keepTime(), walks]);
  return {
    requests: latenciesUs.length,
    tps: (latenciesUs.length * 1000) / tookMs,
    latencies: latenciesOf(Float64Array.from(latenciesUs).sort()),
  };
}
