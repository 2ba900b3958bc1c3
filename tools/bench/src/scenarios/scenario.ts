// A scenario: which load, in which sizes, on which peers. What it measures is a sample; medians and ratios are made elsewhere.

import type { Peer, RunningPeer, Setup } from "../peers/peer.js";
import type { Pgbench, Protocol } from "../pgbench.js";

export interface Sample {
  /** Transactions a second, or transfers a second. */
  readonly tps: number;
  /** Of the peer's processes; null for PostgreSQL itself. */
  readonly cpuUsPerQuery: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly p999Ms: number | null;
  readonly rssKb: number | null;
}

export interface Case {
  readonly scenario: Scenario;
  readonly protocol: Protocol;
  readonly clients: number;
  /** What a growth chart grows in; null elsewhere. */
  readonly size: number | null;
}

export interface Tools {
  readonly pgbench: Pgbench;
  /** For scripts and logs. */
  readonly directory: string;
  readonly signal: AbortSignal;
}

export interface Effort {
  readonly seconds: number;
  /** The sample will be thrown away: less is enough. */
  readonly isWarmUp: boolean;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly protocols: readonly Protocol[];
  readonly clients: readonly number[];
  /** Empty when there is nothing that grows. */
  readonly sizes: readonly number[];
  /** Whether --clients and --protocols choose among more than what is listed here. */
  readonly hasFreeClients: boolean;
  setup(size: number | null): Setup;
  /** Peers that the scenario says nothing about are left out of it. */
  takes(peer: Peer): boolean;
  measure(running: RunningPeer, at: Case, effort: Effort, tools: Tools): Promise<Sample>;
}
