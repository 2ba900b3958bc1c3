// Counters of the whole pooler: what all workers counted, those that are gone included, so that no total ever goes
// backwards. Also keeps a minute of history for averages. Knows nothing of how any of it is shown.
import type { SideHook } from "../plugins/chain-plugin.js";
import type { DatabaseStats, HookStats, MultiplexStats, PluginStats, WorkerSnapshot, WorkerTotals } from "../supervisor/ipc.js";

export interface Counters {
  readonly databases: ReadonlyMap<string, DatabaseStats>;
  /** In chain order, also those that a reload has removed; what is not a counter is as a worker said it last. */
  readonly plugins: readonly PluginStats[];
  readonly totals: WorkerTotals;
  /** At this position of the chain, from 0, under this name; null: no worker has loaded it yet. */
  pluginOf(position: number, name: string): PluginStats | null;
}

/** What happened in the last minute, or since the start when that is less. */
export interface RecentStats {
  readonly seconds: number;
  readonly databases: ReadonlyMap<string, DatabaseStats>;
}

export interface CounterLedger {
  /** Take over what a worker says. One with another process id than before has taken the place of a dead one. */
  observe(snapshot: WorkerSnapshot): void;
  counters(): Counters;
  /** Remember the counters as they are now; to be called every few seconds. */
  sample(nowMs: number): void;
  recent(nowMs: number): RecentStats;
}

export const historyMs = 60_000;

export function createCounterLedger(startedAtMs: number): CounterLedger {
  return new Ledger(startedAtMs);
}

interface Counted {
  readonly databases: Map<string, DatabaseStats>;
  /** By position and name: a name may stand in the chain twice. */
  readonly plugins: Map<string, PluginStats>;
  totals: WorkerTotals;
}

const noTotals: WorkerTotals = {
  clientsAccepted: 0,
  clientsRefused: 0,
  loginFailures: 0,
  cancelsReceived: 0,
  cancelsSent: 0,
  serversOpened: 0,
  serversLost: 0,
};

class Ledger implements CounterLedger {
  /** What workers that are gone had counted. */
  readonly #past: Counted = { databases: new Map(), plugins: new Map(), totals: noTotals };
  readonly #present = new Map<number, { readonly processId: number; readonly counted: Counted }>();
  #samples: { readonly atMs: number; readonly databases: ReadonlyMap<string, DatabaseStats> }[];

  constructor(startedAtMs: number) {
    this.#samples = [{ atMs: startedAtMs, databases: new Map() }];
  }

  observe(snapshot: WorkerSnapshot): void {
    let entry = this.#present.get(snapshot.worker);
    if (entry === undefined || entry.processId !== snapshot.processId) {
      if (entry !== undefined) add(this.#past, entry.counted);
      // The latest comes last: what it says of a plugin is what counts.
      this.#present.delete(snapshot.worker);
      entry = { processId: snapshot.processId, counted: { databases: new Map(), plugins: new Map(), totals: noTotals } };
      this.#present.set(snapshot.worker, entry);
    }
    const { counted } = entry;
    // What a reload removed is no longer said, but it has been counted.
    for (const stats of snapshot.stats) counted.databases.set(stats.database, stats);
    for (const [position, stats] of snapshot.plugins.entries()) counted.plugins.set(`${position}\0${stats.name}`, stats);
    counted.totals = snapshot.totals;
  }

  counters(): Counters {
    const sum: Counted = { databases: new Map(), plugins: new Map(), totals: noTotals };
    add(sum, this.#past);
    for (const { counted } of this.#present.values()) add(sum, counted);
    const plugins = [...sum.plugins].sort(([a], [b]) => Number.parseInt(a, 10) - Number.parseInt(b, 10)).map(([, stats]) => stats);
    const pluginOf = (position: number, name: string): PluginStats | null => sum.plugins.get(`${position}\0${name}`) ?? null;
    return { databases: sum.databases, plugins, totals: sum.totals, pluginOf };
  }

  sample(nowMs: number): void {
    this.#samples.push({ atMs: nowMs, databases: this.counters().databases });
    // The newest one that is a whole period old is where averages begin.
    const first = this.#samples.findLastIndex(({ atMs }) => nowMs - atMs >= historyMs);
    if (first > 0) this.#samples = this.#samples.slice(first);
  }

  recent(nowMs: number): RecentStats {
    const since = this.#samples.findLast(({ atMs }) => nowMs - atMs >= historyMs) ?? this.#samples[0];
    const databases = new Map<string, DatabaseStats>();
    for (const [name, stats] of this.counters().databases) {
      const before = since?.databases.get(name);
      databases.set(name, before === undefined ? stats : combine(stats, before, -1));
    }
    return { seconds: Math.max(0.001, (nowMs - (since?.atMs ?? nowMs)) / 1_000), databases };
  }
}

function add(sum: Counted, more: Counted): void {
  for (const [name, stats] of more.databases) {
    const before = sum.databases.get(name);
    sum.databases.set(name, before === undefined ? stats : combine(before, stats, 1));
  }
  for (const [key, stats] of more.plugins) {
    const before = sum.plugins.get(key);
    sum.plugins.set(key, before === undefined ? stats : addPlugin(before, stats));
  }
  sum.totals = combine(sum.totals, more.totals, 1);
}

/** Adds (or takes away) every number of `more`; the rest is `left`'s. */
function combine<Fields extends object>(left: Fields, more: Fields, sign: 1 | -1): Fields {
  const result = { ...left } as Record<string, unknown>;
  for (const [name, value] of Object.entries(more)) {
    const before = result[name];
    if (typeof value === "number" && typeof before === "number") result[name] = before + sign * value;
  }
  return result as Fields;
}

function addPlugin(before: PluginStats, more: PluginStats): PluginStats {
  const [skip, forward, error, rewrite, intercept] = before.verdicts;
  const [skipMore, forwardMore, errorMore, rewriteMore, interceptMore] = more.verdicts;
  // What stands in for a plugin that is out of service knows nothing of it.
  const described = more.abi === "" ? combine(before, more, 1) : combine(more, before, 1);
  return {
    ...described,
    verdicts: [skip + skipMore, forward + forwardMore, error + errorMore, rewrite + rewriteMore, intercept + interceptMore],
    hookCalls: Object.fromEntries(
      Object.entries(more.hookCalls).map(([hook, stats]) => [hook, combine(stats, before.hookCalls[hook as SideHook], 1)]),
    ) as Record<SideHook, HookStats>,
    latency: more.latency.map((calls, bucket) => calls + (before.latency[bucket] ?? 0)),
  };
}

const noMultiplexStats: MultiplexStats = {
  rides: 0,
  ridesBehind: 0,
  ridesPrepared: 0,
  ridesAgain: 0,
  ridesMoved: 0,
  ridesTakenOut: 0,
  refusedSession: 0,
  refusedTimeout: 0,
  refusedBatch: 0,
  refusedKind: 0,
  refusedInto: 0,
  refusedLocks: 0,
  refusedFunction: 0,
  refusedExcluded: 0,
  refusedWrite: 0,
  refusedRelation: 0,
  refusedUnknown: 0,
  refusedSlow: 0,
  refusedLarge: 0,
};

/** Sum of all databases. */
export function sumDatabases(databases: Iterable<DatabaseStats>): DatabaseStats {
  let sum: DatabaseStats = {
    database: "",
    transactions: 0,
    queries: 0,
    bytesFromClients: 0,
    bytesToClients: 0,
    transactionUs: 0,
    queryUs: 0,
    waitUs: 0,
    serverAssignments: 0,
    clientParses: 0,
    serverParses: 0,
    binds: 0,
    errors: 0,
    ...noMultiplexStats,
  };
  for (const stats of databases) sum = combine(sum, stats, 1);
  return sum;
}
