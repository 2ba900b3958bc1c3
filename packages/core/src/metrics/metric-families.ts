// Every metric that the pooler offers: name, meaning, labels, and how its values come out of a view. docs/metrics.md is
// compared with this table by a test. Nothing here is counted per query: workers count, this only reads.
import { sideHookNames } from "../plugins/chain-plugin.js";
import { type ClientSnapshot, type HookStats, latencyBucketsUs, type PluginStats } from "../supervisor/ipc.js";
import type { HookHealth } from "../supervisor/plugin-ward.js";
import { rideRefusals } from "./multiplex-refusals.js";
import { hostStatuses, isPaused, mergePools, onThreads, type PoolerView } from "./pooler-view.js";

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface HistogramSample {
  readonly labels: Readonly<Record<string, string>>;
  /** Observations per bucket, not accumulated; one more than there are bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
}

interface FamilyHead {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
}

export type MetricFamily =
  | (FamilyHead & { readonly type: "counter" | "gauge"; readonly samples: (view: PoolerView) => Sample[] })
  | (FamilyHead & {
      readonly type: "histogram";
      readonly bounds: readonly number[];
      readonly histograms: (view: PoolerView) => HistogramSample[];
    });

const usPerSecond = 1e6;
const verdicts = ["skip", "forward", "error", "rewrite", "intercept"] as const;
const clientStates = ["login", "idle", "active", "waiting", "idle_in_transaction"] as const satisfies readonly ClientSnapshot["state"][];

const one = (value: number): Sample[] => [{ labels: {}, value }];

/** A counter per database. */
function perDatabase(name: string, help: string, value: (stats: ReturnType<typeof databaseStats>[number]) => number): MetricFamily {
  return {
    name,
    help,
    type: "counter",
    labels: ["database"],
    samples: (view) => databaseStats(view).map((stats) => ({ labels: { database: stats.database }, value: value(stats) })),
  };
}

const databaseStats = (view: PoolerView) => [...view.counters.databases.values()];

/** A gauge per pool: database, user and host. */
function perPool(name: string, help: string, value: (pool: ReturnType<typeof mergePools>[number]) => number): MetricFamily {
  return {
    name,
    help,
    type: "gauge",
    labels: ["database", "user", "host", "shard", "role"],
    samples: (view) =>
      mergePools(view.snapshots).map((pool) => ({
        labels: { database: pool.database, user: pool.user, host: `${pool.host}:${pool.port}`, shard: String(pool.shard), role: pool.role },
        value: value(pool),
      })),
  };
}

function total(name: string, help: string, value: (view: PoolerView) => number): MetricFamily {
  return { name, help, type: "counter", labels: [], samples: (view) => one(value(view)) };
}

function gauge(name: string, help: string, value: (view: PoolerView) => number): MetricFamily {
  return { name, help, type: "gauge", labels: [], samples: (view) => one(value(view)) };
}

function perHook(name: string, help: string, samples: (view: PoolerView) => Sample[]): MetricFamily {
  return { name, help, type: "counter", labels: ["plugin", "hook"], samples };
}

/** Of the hooks that a plugin has. */
function perCalledHook(name: string, help: string, value: (stats: HookStats) => number): MetricFamily {
  return perHook(name, help, (view) =>
    view.counters.plugins.flatMap((plugin) =>
      sideHookNames
        .filter((hook) => plugin.hooks.includes(hook))
        .map((hook) => ({ labels: { plugin: plugin.name, hook }, value: value(plugin.hookCalls[hook]) })),
    ),
  );
}

/** Of the hooks in which a plugin has ended a worker. */
function perCrashedHook(name: string, help: string, value: (hook: HookHealth) => number): MetricFamily {
  return perHook(name, help, (view) =>
    view.config.plugins.flatMap((plugin, position) =>
      [...(view.pluginHealth[position]?.hooks ?? [])].map(([hook, health]) => ({
        labels: { plugin: plugin.name, hook },
        value: value(health),
      })),
    ),
  );
}

function perPlugin(name: string, help: string, value: (plugin: PoolerView["counters"]["plugins"][number]) => number): MetricFamily {
  return {
    name,
    help,
    type: "counter",
    labels: ["plugin"],
    samples: (view) => view.counters.plugins.map((plugin) => ({ labels: { plugin: plugin.name }, value: value(plugin) })),
  };
}

/** Of this moment. */
function perWaitingPlugin(name: string, help: string, value: (calls: PluginStats["onThreads"]) => number): MetricFamily {
  return {
    name,
    help,
    type: "gauge",
    labels: ["plugin"],
    samples: (view) =>
      view.config.plugins.map((plugin, position) => ({
        labels: { plugin: plugin.name },
        value: value(onThreads(view, position, plugin.name)),
      })),
  };
}

export const metricFamilies: readonly MetricFamily[] = [
  {
    name: "pooler_build_info",
    help: "Always 1; the versions are in the labels.",
    type: "gauge",
    labels: ["version", "node"],
    samples: (view) => [{ labels: { version: view.version, node: process.versions.node }, value: 1 }],
  },
  gauge("pooler_start_time_seconds", "When the pooler was started, in seconds since 1970.", (view) => view.startedAtMs / 1_000),
  gauge("pooler_workers", "Worker processes that the configuration asks for.", (view) => view.config.workers),
  gauge(
    "pooler_workers_ready",
    "Worker processes that serve clients.",
    (view) => view.workers.filter(({ state }) => state === "ready").length,
  ),
  {
    name: "pooler_worker_info",
    help: "Always 1; `io` is what the worker's connections go through: sockets or streams.",
    type: "gauge",
    labels: ["worker", "io"],
    samples: (view) => view.snapshots.map(({ worker, io }) => ({ labels: { worker: String(worker), io }, value: 1 })),
  },
  total("pooler_worker_restarts_total", "Worker processes that were started in place of others.", (view) => view.workerRestarts),
  {
    name: "pooler_process_resident_memory_bytes",
    help: "Memory of each process.",
    type: "gauge",
    labels: ["process"],
    samples: (view) =>
      [
        { process: "supervisor", bytes: view.supervisorMemoryBytes },
        ...view.snapshots.map(({ worker, memoryBytes }) => ({ process: `worker-${worker}`, bytes: memoryBytes })),
      ].flatMap(({ process, bytes }) => (bytes === null ? [] : [{ labels: { process }, value: bytes }])),
  },
  {
    name: "pooler_clients",
    help: "Connected clients by what they are doing.",
    type: "gauge",
    labels: ["database", "state"],
    samples: (view) => clientSamples(view),
  },
  gauge("pooler_clients_max", "limits.max_clients.", (view) => view.config.limits.maxClients),
  total("pooler_clients_accepted_total", "Client connections that were accepted.", (view) => view.counters.totals.clientsAccepted),
  total(
    "pooler_clients_refused_total",
    "Client connections that were refused because of a limit.",
    (view) => view.counters.totals.clientsRefused,
  ),
  total("pooler_login_failures_total", "Logins of clients that failed.", (view) => view.counters.totals.loginFailures),
  total("pooler_cancels_received_total", "Cancel requests of clients.", (view) => view.counters.totals.cancelsReceived),
  total("pooler_cancels_sent_total", "Cancel requests that were sent to servers.", (view) => view.counters.totals.cancelsSent),
  perPool("pooler_pool_size", "Server connections that the pool may have, of all workers together.", (pool) => pool.poolSize),
  perPool("pooler_pool_clients_waiting", "Clients that wait for a server connection.", (pool) => pool.clientsWaiting),
  perPool("pooler_pool_max_wait_seconds", "How long the client that waits longest has waited.", (pool) => pool.maxWaitUs / usPerSecond),
  {
    name: "pooler_servers",
    help: "Server connections by what they are doing.",
    type: "gauge",
    labels: ["database", "user", "host", "shard", "role", "state"],
    samples: (view) =>
      mergePools(view.snapshots).flatMap((pool) => {
        const labels = {
          database: pool.database,
          user: pool.user,
          host: `${pool.host}:${pool.port}`,
          shard: String(pool.shard),
          role: pool.role,
        };
        return [
          { labels: { ...labels, state: "active" }, value: pool.serversActive },
          { labels: { ...labels, state: "idle" }, value: pool.serversIdle },
          { labels: { ...labels, state: "connecting" }, value: pool.serversConnecting },
          { labels: { ...labels, state: "resetting" }, value: pool.serversResetting },
        ];
      }),
  },
  total("pooler_servers_opened_total", "Server connections that were opened.", (view) => view.counters.totals.serversOpened),
  total("pooler_servers_lost_total", "Server connections that broke.", (view) => view.counters.totals.serversLost),
  {
    name: "pooler_host_up",
    help: "1: the host answers; 0: a worker holds it for down. Absent until it was first needed.",
    type: "gauge",
    labels: ["database", "shard", "role", "host"],
    samples: (view) =>
      hostStatuses(view.config, view.snapshots)
        .filter(({ state }) => state !== "unknown")
        .map((host) => ({
          labels: { database: host.database, shard: String(host.shard), role: host.role, host: `${host.host}:${host.port}` },
          value: host.state === "up" ? 1 : 0,
        })),
  },
  {
    name: "pooler_database_paused",
    help: "1 while PAUSE holds the database.",
    type: "gauge",
    labels: ["database"],
    samples: (view) => view.config.databases.map(({ name }) => ({ labels: { database: name }, value: isPaused(view, name) ? 1 : 0 })),
  },
  perDatabase("pooler_transactions_total", "Transactions that ended.", (stats) => stats.transactions),
  perDatabase("pooler_queries_total", "Statements that ended.", (stats) => stats.queries),
  perDatabase("pooler_query_errors_total", "Errors that clients got, from servers, plugins or the pooler.", (stats) => stats.errors),
  perDatabase("pooler_received_bytes_total", "Bytes that came from clients.", (stats) => stats.bytesFromClients),
  perDatabase("pooler_sent_bytes_total", "Bytes that were sent to clients.", (stats) => stats.bytesToClients),
  perDatabase(
    "pooler_transaction_seconds_total",
    "Time that transactions held a server connection.",
    (stats) => stats.transactionUs / usPerSecond,
  ),
  perDatabase("pooler_query_seconds_total", "Time that servers worked on statements.", (stats) => stats.queryUs / usPerSecond),
  perDatabase("pooler_wait_seconds_total", "Time that clients waited for a server connection.", (stats) => stats.waitUs / usPerSecond),
  perDatabase("pooler_server_assignments_total", "How often a client was given a server connection.", (stats) => stats.serverAssignments),
  perDatabase("pooler_client_parses_total", "Statements that clients prepared.", (stats) => stats.clientParses),
  perDatabase("pooler_server_parses_total", "Statements that the pooler prepared on servers.", (stats) => stats.serverParses),
  perDatabase("pooler_binds_total", "Prepared statements that were bound.", (stats) => stats.binds),
  perPool("pooler_pool_riders", "Statements in flight on server connections that they share.", (pool) => pool.riders),
  perDatabase("pooler_rides_total", "Statements that shared a server connection, or could have.", (stats) => stats.rides),
  perDatabase(
    "pooler_rides_behind_total",
    "Those that were sent while others ran on the same connection: waits that were saved.",
    (stats) => stats.ridesBehind,
  ),
  perDatabase(
    "pooler_rides_prepared_total",
    "Those that ran as prepared statements though their clients had not prepared them.",
    (stats) => stats.ridesPrepared,
  ),
  perDatabase(
    "pooler_rides_again_total",
    "Those that were sent again: their connection was lost, or they failed as prepared statements.",
    (stats) => stats.ridesAgain,
  ),
  perDatabase(
    "pooler_rides_moved_total",
    "Those that were sent to another connection, away from a statement that took too long.",
    (stats) => stats.ridesMoved,
  ),
  perDatabase(
    "pooler_rides_servers_taken_out_total",
    "Shared connections that were given up since a statement left a transaction open or changed a setting.",
    (stats) => stats.ridesTakenOut,
  ),
  {
    name: "pooler_rides_refused_total",
    help: "Statements that did not share a connection, by reason; unknown, slow and large ones did not let others share theirs.",
    type: "counter",
    labels: ["database", "reason"],
    samples: (view) =>
      databaseStats(view).flatMap((stats) =>
        rideRefusals.map(([reason, count]) => ({ labels: { database: stats.database, reason }, value: stats[count] })),
      ),
  },
  perPlugin("pooler_plugin_calls_total", "Calls of a plugin's routing hook.", (plugin) => plugin.calls),
  perPlugin("pooler_plugin_errors_total", "Calls that failed: a panic, a verdict that is none.", (plugin) => plugin.errors),
  {
    name: "pooler_plugin_verdicts_total",
    help: "What a plugin answered.",
    type: "counter",
    labels: ["plugin", "verdict"],
    samples: (view) =>
      view.counters.plugins.flatMap((plugin) =>
        verdicts.map((verdict, index) => ({ labels: { plugin: plugin.name, verdict }, value: plugin.verdicts[index] ?? 0 })),
      ),
  },
  {
    name: "pooler_plugin_call_seconds",
    help: "How long a plugin's routing hook took.",
    type: "histogram",
    labels: ["plugin"],
    bounds: latencyBucketsUs.map((us) => us / usPerSecond),
    histograms: (view) =>
      view.counters.plugins.map((plugin) => ({
        labels: { plugin: plugin.name },
        counts: plugin.latency,
        sum: plugin.timeUs / usPerSecond,
      })),
  },
  perCalledHook("pooler_plugin_hook_calls_total", "Calls of a plugin's hooks beside the routing hook.", (stats) => stats.calls),
  perCalledHook("pooler_plugin_hook_errors_total", "Calls of these hooks that failed.", (stats) => stats.errors),
  perCalledHook("pooler_plugin_hook_seconds_total", "Time in these hooks.", (stats) => stats.timeUs / usPerSecond),
  perCrashedHook("pooler_plugin_crashes_total", "Workers that died while this hook of the plugin ran.", ({ crashes }) => crashes),
  perCrashedHook(
    "pooler_plugin_hangs_total",
    "Workers that were killed since this hook of the plugin did not return.",
    ({ hangs }) => hangs,
  ),
  perPlugin("pooler_plugin_timeouts_total", "Calls of a plugin that may wait that its deadline came before.", (plugin) => plugin.timeouts),
  perPlugin(
    "pooler_plugin_overloads_total",
    "Questions that a plugin that may wait was not asked: as many of its calls ran as may.",
    (plugin) => plugin.overloads,
  ),
  perWaitingPlugin("pooler_plugin_running_calls", "Calls of a plugin that may wait that run now.", ({ running }) => running),
  perWaitingPlugin("pooler_plugin_stuck_calls", "Calls of a plugin that may wait that run beyond their deadline.", ({ stuck }) => stuck),
  {
    name: "pooler_plugin_out_of_service",
    help: "1 while the plugin is disabled or clients are refused since it crashed too often.",
    type: "gauge",
    labels: ["plugin"],
    samples: (view) =>
      view.config.plugins.map(({ name }, position) => ({
        labels: { plugin: name },
        value: (view.pluginHealth[position]?.state ?? "active") === "active" ? 0 : 1,
      })),
  },
];

function clientSamples(view: PoolerView): Sample[] {
  const counts = new Map<string, Map<string, number>>();
  const statesOf = (database: string): Map<string, number> => {
    const known = counts.get(database) ?? new Map(clientStates.map((state) => [state, 0]));
    counts.set(database, known);
    return known;
  };
  for (const { name } of view.config.databases) statesOf(name);
  for (const { clientCounts } of view.snapshots) {
    for (const { database, state, count } of clientCounts) {
      const states = statesOf(database);
      states.set(state, (states.get(state) ?? 0) + count);
    }
  }
  return [...counts].flatMap(([database, states]) => [...states].map(([state, value]) => ({ labels: { database, state }, value })));
}
