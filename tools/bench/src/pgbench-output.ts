// Reads what pgbench prints and logs. Knows nothing of processes.
import { percentile } from "./statistics.js";

export interface Progress {
  /** Since the load began, when all clients were connected. */
  readonly elapsedSeconds: number;
  readonly tps: number;
}

export interface Summary {
  readonly transactions: number;
  readonly failed: number;
  readonly tps: number;
}

export interface Latencies {
  readonly samples: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Null when less than ten of the samples would lie above it. */
  readonly p999Ms: number | null;
}

export function parseProgress(line: string): Progress | undefined {
  const match = /^progress: ([\d.]+) s, ([\d.]+) tps/.exec(line);
  return match === null ? undefined : { elapsedSeconds: Number(match[1]), tps: Number(match[2]) };
}

/** undefined when it is not the report of a run that went through. */
export function parseSummary(output: string): Summary | undefined {
  const transactions = /^number of transactions actually processed: (\d+)/m.exec(output)?.[1];
  // The wording changed in PostgreSQL 14; with -C there is one line, which includes connecting.
  const tps =
    /^tps = ([\d.]+) \((?:without initial connection time|excluding connections establishing)\)/m.exec(output)?.[1] ??
    /^tps = ([\d.]+)/m.exec(output)?.[1];
  if (transactions === undefined || tps === undefined) return undefined;
  const failed = /^number of failed transactions: (\d+)/m.exec(output)?.[1] ?? "0";
  return { transactions: Number(transactions), failed: Number(failed), tps: Number(tps) };
}

/** How many transactions were done from the first mark to the last. */
export function transactionsBetween(marks: readonly Progress[]): number {
  let sum = 0;
  for (let index = 1; index < marks.length; index++) {
    const mark = marks[index];
    const before = marks[index - 1];
    if (mark !== undefined && before !== undefined) sum += mark.tps * (mark.elapsedSeconds - before.elapsedSeconds);
  }
  return sum;
}

export function seconds(marks: readonly Progress[]): number {
  return (marks.at(-1)?.elapsedSeconds ?? 0) - (marks[0]?.elapsedSeconds ?? 0);
}

const leastAbove999 = 10;

/**
 * From a transaction log: "client transaction latency_us script epoch_s epoch_us" a line, in the order in which they ended. Those of
 * the first `warmUpSeconds` after the first one are left out.
 */
export function parseLatencies(log: string, warmUpSeconds: number): Latencies | undefined {
  const ended: number[] = [];
  const latenciesUs: number[] = [];
  for (const line of log.split("\n")) {
    const fields = line.split(" ");
    const latencyUs = Number(fields[2]);
    if (fields.length < 6 || !Number.isFinite(latencyUs)) continue;
    ended.push(Number(fields[4]) + Number(fields[5]) / 1e6);
    latenciesUs.push(latencyUs);
  }
  const begin = ended.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY) + warmUpSeconds;
  const counted = Float64Array.from(latenciesUs.filter((_, index) => (ended[index] ?? 0) >= begin)).sort();
  return counted.length === 0 ? undefined : latenciesOf(counted);
}

/** Of latencies in microseconds, in ascending order. */
export function latenciesOf(ascendingUs: ArrayLike<number>): Latencies {
  const samples = ascendingUs.length;
  return {
    samples,
    p50Ms: percentile(ascendingUs, 0.5) / 1000,
    p99Ms: percentile(ascendingUs, 0.99) / 1000,
    p999Ms: samples * 0.001 < leastAbove999 ? null : percentile(ascendingUs, 0.999) / 1000,
  };
}
