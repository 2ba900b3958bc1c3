// The whole pooler at one moment, as console and metrics show it: what each worker said, and what is merged of it.
import type { PoolerConfig } from "../config/types.js";
import type { HostSnapshot, PluginStats, PoolSnapshot, WorkerSnapshot } from "../supervisor/ipc.js";
import type { PluginHealth } from "../supervisor/plugin-ward.js";
import type { Counters, RecentStats } from "./counter-ledger.js";

export interface PoolerView {
  readonly config: PoolerConfig;
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly startedAtMs: number;
  readonly supervisorMemoryBytes: number | null;
  readonly workers: readonly WorkerStatus[];
  readonly workerRestarts: number;
  readonly snapshots: readonly WorkerSnapshot[];
  readonly counters: Counters;
  readonly recent: RecentStats;
  /** null among them: all databases. */
  readonly paused: ReadonlySet<string | null>;
  /** In the order of the configuration. */
  readonly pluginHealth: readonly PluginHealth[];
}

export interface WorkerStatus {
  readonly worker: number;
  /** "down": it died and is about to be replaced. "retiring": it was replaced, and still has clients. */
  readonly state: "booting" | "ready" | "retiring" | "draining" | "down";
  readonly processId: number | null;
}

export function isPaused(view: Pick<PoolerView, "paused">, database: string): boolean {
  return view.paused.has(null) || view.paused.has(database);
}

/** Calls of a plugin that may wait, of all workers that have it at this position of their chain. */
export function onThreads({ snapshots }: Pick<PoolerView, "snapshots">, position: number, name: string): PluginStats["onThreads"] {
  let running = 0;
  let stuck = 0;
  for (const { plugins } of snapshots) {
    const stats = plugins[position];
    if (stats === undefined || stats.name !== name) continue;
    running += stats.onThreads.running;
    stuck += stats.onThreads.stuck;
  }
  return { running, stuck };
}

/** One entry per database, user and host, with the workers' numbers added up. */
export function mergePools(snapshots: readonly WorkerSnapshot[]): PoolSnapshot[] {
  const merged = new Map<string, PoolSnapshot>();
  for (const { pools } of snapshots) {
    for (const pool of pools) {
      const key = JSON.stringify([pool.database, pool.user, pool.shard, pool.role, pool.host, pool.port]);
      const before = merged.get(key);
      merged.set(
        key,
        before === undefined
          ? pool
          : {
              ...pool,
              clientsActive: before.clientsActive + pool.clientsActive,
              clientsWaiting: before.clientsWaiting + pool.clientsWaiting,
              serversActive: before.serversActive + pool.serversActive,
              serversIdle: before.serversIdle + pool.serversIdle,
              serversConnecting: before.serversConnecting + pool.serversConnecting,
              riders: before.riders + pool.riders,
              serversResetting: before.serversResetting + pool.serversResetting,
              maxWaitUs: Math.max(before.maxWaitUs, pool.maxWaitUs),
            },
      );
    }
  }
  return [...merged.values()].sort(
    (a, b) =>
      compare(a.database, b.database) ||
      compare(a.user, b.user) ||
      a.shard - b.shard ||
      compare(a.role, b.role) ||
      compare(a.host, b.host) ||
      a.port - b.port,
  );
}

export interface HostStatus {
  readonly database: string;
  readonly shard: number;
  readonly role: "primary" | "replica";
  readonly host: string;
  readonly port: number;
  readonly serverDatabase: string;
  /** "unknown": no worker has said anything about it. */
  readonly state: "up" | "down" | "unknown";
  /** Workers that hold it for down. */
  readonly downInWorkers: number;
  readonly downSinceMs: number | null;
  readonly lastError: string | null;
}

/** Every host of the configuration, in its order; down as soon as one worker says so. */
export function hostStatuses(config: PoolerConfig, snapshots: readonly WorkerSnapshot[]): HostStatus[] {
  const said = new Map<string, HostSnapshot[]>();
  for (const { hosts } of snapshots) {
    for (const host of hosts) {
      const key = hostKey(host);
      const list = said.get(key);
      if (list === undefined) said.set(key, [host]);
      else list.push(host);
    }
  }
  const statuses: HostStatus[] = [];
  for (const database of config.databases) {
    for (const [shard, { primary, replicas }] of database.shards.entries()) {
      for (const [index, host] of [primary, ...replicas].entries()) {
        const place = {
          database: database.name,
          shard,
          role: index === 0 ? "primary" : "replica",
          host: host.host,
          port: host.port,
        } as const;
        const words = said.get(hostKey(place)) ?? [];
        const down = words.filter(({ up }) => !up);
        const since = down.flatMap(({ downSinceMs }) => (downSinceMs === null ? [] : [downSinceMs]));
        statuses.push({
          ...place,
          serverDatabase: host.database,
          state: words.length === 0 ? "unknown" : down.length > 0 ? "down" : "up",
          downInWorkers: down.length,
          downSinceMs: since.length === 0 ? null : Math.min(...since),
          lastError: (down.at(-1) ?? words.findLast(({ lastError }) => lastError !== null))?.lastError ?? null,
        });
      }
    }
  }
  return statuses;
}

function hostKey(host: Pick<HostSnapshot, "database" | "shard" | "role" | "host" | "port">): string {
  return JSON.stringify([host.database, host.shard, host.role, host.host, host.port]);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
