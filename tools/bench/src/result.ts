// What comes out: the file that --json writes and --docs reads.
import type { Interval } from "./statistics.js";

export interface Ratios {
  readonly tps: number | null;
  readonly cpu: number | null;
  readonly p99: number | null;
}

export interface RatioIntervals {
  readonly tps: Interval | null;
  readonly cpu: Interval | null;
  readonly p99: Interval | null;
}

/** Medians over the rounds. Fields that were not or could not be measured are null. */
export interface Row {
  readonly scenario: string;
  readonly protocol: string;
  readonly clients: number;
  /** What a growth chart grows in: databases, statements, bytes; null in other scenarios. */
  readonly size: number | null;
  readonly workers: number | null;
  readonly peer: string;
  /** The pooler's `io` setting. */
  readonly io: string | null;
  readonly poolSize: number | null;
  readonly rounds: number;
  readonly tps: number | null;
  readonly cpuUsPerQuery: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly p999Ms: number | null;
  readonly rssKb: number | null;
  /** Medians of the ratios in the same round; null when PgBouncer was not measured. */
  readonly ratioToPgbouncer: Ratios | null;
  /** Where the ratios lie with 95 % confidence. */
  readonly ratioIntervals: RatioIntervals | null;
}

export interface MemoryRow {
  readonly peer: string;
  readonly workers: number | null;
  readonly io: string | null;
  readonly rounds: number;
  readonly startToFirstQueryMs: number;
  /** Of all its processes, after the first query. */
  readonly baseRssKb: number;
  /** The largest of its processes. */
  readonly largestProcessRssKb: number;
  readonly idleClients: number;
  readonly connectMs: number;
  /** One statement for each of them. */
  readonly serveMs: number;
  readonly bytesPerIdleClient: number;
}

export interface Failure {
  readonly what: string;
  readonly peer: string;
  readonly message: string;
}

export interface BenchResult {
  readonly startedAt: string;
  readonly durationSeconds: number;
  /** False when it was interrupted, or ran out of time. */
  readonly isComplete: boolean;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, string | number>>;
  readonly rows: readonly Row[];
  readonly memory: readonly MemoryRow[];
  readonly failures: readonly Failure[];
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMb: number;
  readonly platform: string;
  readonly kernel: string;
  /** Of the minute before the benchmark began. */
  readonly loadAverage: number;
}
