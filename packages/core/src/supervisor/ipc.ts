// What supervisor and workers say to each other over the process channel: plain data, one direction each.
import type { PoolerConfig } from "../config/types.js";
import type { SideHook } from "../plugins/chain-plugin.js";
import type { consoleTypes } from "../protocol/console-types.js";

/**
 * File descriptors that a worker inherits beside 0, 1, 2 and the channel at 3. Behind the listeners, when it shares with other workers:
 * the page with everybody's number of clients.
 */
export const inheritedFds = { crashPage: 4, firstListener: 5 } as const;

export interface WorkerBoot {
  readonly kind: "boot";
  readonly worker: number;
  readonly config: PoolerConfig;
  /** Number of listening descriptors, from inheritedFds.firstListener on. */
  readonly listeners: number;
  /** Plugins that are not even loaded. */
  readonly outOfService: readonly OutOfService[];
  /** There are, or may once be, other workers: what all of them may use together is lent by the supervisor. */
  readonly shares: boolean;
}

/** A plugin that crashed too often. */
export interface OutOfService {
  /** Position in the configuration, from 0. */
  readonly plugin: number;
  /** "disable": as if it were not in the chain; "refuse": clients are refused. */
  readonly action: "disable" | "refuse";
  readonly reason: string;
}

/** A key of the pool whose server connections are counted for the whole pooler: "database\0user\0host:port". */
export type PoolKey = string;

export type ToWorker =
  | WorkerBoot
  /** A reload: takes effect for new transactions; the worker answers `configured`. */
  | { readonly kind: "configure"; readonly id: number; readonly config: PoolerConfig }
  /** detail false: `clients` and `servers` may be left empty, only counts and counters are wanted. */
  | { readonly kind: "snapshot"; readonly id: number; readonly detail: boolean }
  /**
   * database null: all, and whatever comes later. The worker answers `done` when no server of it is in use any more;
   * may come twice for the same database, and right after `boot` in a worker that replaces a dead one.
   */
  | { readonly kind: "pause"; readonly id: number; readonly database: string | null }
  /** database null: lifts every pause, also those of single databases. The worker answers `done` at once. */
  | { readonly kind: "resume"; readonly id: number; readonly database: string | null }
  /** Stop accepting, let transactions finish for `deadlineMs` from now on (0: however long it takes), then exit with code 0. */
  | { readonly kind: "drain"; readonly deadlineMs: number }
  /** All plugins that nobody is to call from now on. What a worker booted without it does without. */
  | { readonly kind: "outOfService"; readonly plugins: readonly OutOfService[] }
  /** Stop accepting, which is answered by `done`; serve the clients that are there for as long as they stay, then exit with code 0. */
  | { readonly kind: "retire"; readonly id: number }
  /** A cancel request that reached another worker. Answered by `done` once nothing of it is under way. */
  | { readonly kind: "cancel"; readonly id: number; readonly processId: number; readonly secretKey: number }
  /** Nothing of the cancel request with this worker's number is under way any more. */
  | { readonly kind: "cancelled"; readonly id: number }
  /** `count` more server connections may be opened under this key. */
  | { readonly kind: "slots"; readonly key: PoolKey; readonly count: number }
  /**
   * Somebody else waits: give back up to `count` slots of this key, idle ones now, others as soon as they become free and
   * no client of this worker waits for them. `urgent`: this worker has more than its share; give back the next ones that
   * become free even when clients of its own wait. A later message with the same key replaces an earlier one; count 0
   * takes it back.
   */
  | { readonly kind: "slotsWanted"; readonly key: PoolKey; readonly count: number; readonly urgent: boolean }
  | { readonly kind: "consoleResult"; readonly id: number; readonly result: ConsoleResult };

export type ToSupervisor =
  /** The plugins are created and the worker accepts connections. */
  | { readonly kind: "ready"; readonly io: WorkerSnapshot["io"] }
  | { readonly kind: "failed"; readonly message: string; readonly hint: string | null }
  | { readonly kind: "configured"; readonly id: number; readonly error: string | null }
  | { readonly kind: "snapshot"; readonly id: number; readonly snapshot: WorkerSnapshot }
  | { readonly kind: "done"; readonly id: number }
  /** A cancel request for a client of another worker; answered by `cancelled`. */
  | { readonly kind: "cancel"; readonly id: number; readonly processId: number; readonly secretKey: number }
  /** One more server connection is wanted under this key; `limit` is the pool's size. Answered by `slots`, sooner or later. */
  | { readonly kind: "slotsWanted"; readonly key: PoolKey; readonly limit: number }
  /** Server connections that were closed, or never opened, after `slots`. */
  | { readonly kind: "slotsReturned"; readonly key: PoolKey; readonly count: number }
  /** All calls that this plugin may make at a time do not return: it can be asked nothing any more. Said once. */
  | { readonly kind: "exhausted"; readonly plugin: number; readonly hook: string }
  /** The worker got SIGTERM: unless the whole pooler stops, it wants to be drained and replaced. */
  | { readonly kind: "terminate" }
  | { readonly kind: "console"; readonly id: number; readonly user: string; readonly admin: boolean; readonly sql: string };

export type ConsoleResult =
  /** No columns: a command without rows, only the tag. An empty tag: there was no command (EmptyQueryResponse). */
  | {
      readonly ok: true;
      readonly columns: readonly ConsoleColumn[];
      readonly rows: readonly (readonly (string | null)[])[];
      readonly tag: string;
      readonly notices: readonly string[];
    }
  | { readonly ok: false; readonly sqlstate: string; readonly message: string; readonly hint: string | null };

export interface ConsoleColumn {
  readonly name: string;
  readonly type: keyof typeof consoleTypes;
}

/** One worker's state at one moment. Times are microseconds, counters run since the worker started. */
export interface WorkerSnapshot {
  readonly worker: number;
  readonly processId: number;
  readonly startedAtMs: number;
  /** Null when the system did not tell. */
  readonly memoryBytes: number | null;
  /** The engine that its connections go through. */
  readonly io: "streams" | "sockets";
  readonly clients: readonly ClientSnapshot[];
  /** Always complete, also when the lists are left empty. */
  readonly clientCounts: readonly ClientCount[];
  readonly servers: readonly ServerSnapshot[];
  readonly pools: readonly PoolSnapshot[];
  readonly stats: readonly DatabaseStats[];
  readonly plugins: readonly PluginStats[];
  readonly hosts: readonly HostSnapshot[];
  readonly totals: WorkerTotals;
}

export interface ClientCount {
  readonly database: string;
  readonly state: ClientSnapshot["state"];
  readonly count: number;
}

export interface ClientSnapshot {
  readonly id: number;
  readonly user: string;
  readonly database: string;
  readonly state: "login" | "idle" | "active" | "waiting" | "idle_in_transaction";
  readonly address: string;
  readonly port: number;
  readonly tls: boolean;
  readonly applicationName: string;
  readonly connectedAtMs: number;
  readonly requestAtMs: number;
  readonly waitUs: number;
  /** Id of the server that is lent to it, or null. */
  readonly server: number | null;
  readonly preparedStatements: number;
  readonly processId: number;
}

export interface ServerSnapshot {
  readonly id: number;
  readonly user: string;
  readonly database: string;
  readonly host: string;
  readonly port: number;
  readonly shard: number;
  readonly role: "primary" | "replica";
  readonly state: "connecting" | "idle" | "active" | "resetting" | "closing";
  readonly tls: boolean;
  readonly connectedAtMs: number;
  readonly requestAtMs: number;
  /** Process id of the backend. */
  readonly remoteProcessId: number;
  readonly preparedStatements: number;
  readonly client: number | null;
}

export interface PoolSnapshot {
  readonly database: string;
  readonly user: string;
  readonly host: string;
  readonly port: number;
  readonly shard: number;
  readonly role: "primary" | "replica";
  readonly poolMode: "transaction" | "session";
  readonly poolSize: number;
  readonly clientsActive: number;
  readonly clientsWaiting: number;
  readonly serversActive: number;
  readonly serversIdle: number;
  readonly serversConnecting: number;
  readonly serversResetting: number;
  /** Statements in flight on servers that they share. */
  readonly riders: number;
  readonly maxWaitUs: number;
}

/** What became of statements that may share server connections. */
export interface MultiplexStats {
  readonly rides: number;
  readonly ridesBehind: number;
  readonly ridesPrepared: number;
  readonly ridesAgain: number;
  readonly ridesMoved: number;
  readonly ridesTakenOut: number;
  readonly refusedSession: number;
  readonly refusedTimeout: number;
  readonly refusedBatch: number;
  readonly refusedKind: number;
  readonly refusedInto: number;
  readonly refusedLocks: number;
  readonly refusedFunction: number;
  readonly refusedExcluded: number;
  readonly refusedWrite: number;
  readonly refusedRelation: number;
  readonly refusedUnknown: number;
  readonly refusedSlow: number;
  readonly refusedLarge: number;
}

export interface DatabaseStats extends MultiplexStats {
  readonly database: string;
  readonly transactions: number;
  readonly queries: number;
  readonly bytesFromClients: number;
  readonly bytesToClients: number;
  readonly transactionUs: number;
  readonly queryUs: number;
  readonly waitUs: number;
  /** How often a client was given a server. */
  readonly serverAssignments: number;
  readonly clientParses: number;
  readonly serverParses: number;
  readonly binds: number;
  readonly errors: number;
}

export interface PluginStats {
  readonly name: string;
  readonly pluginName: string;
  readonly version: string;
  readonly abi: string;
  readonly sdk: string;
  readonly library: string;
  readonly hooks: readonly string[];
  readonly capabilities: readonly string[];
  readonly calls: number;
  readonly errors: number;
  readonly timeUs: number;
  /** Verdicts in the order skip, forward, error, rewrite, intercept. */
  readonly verdicts: readonly [number, number, number, number, number];
  /** Of the hooks beside route_query. */
  readonly hookCalls: Readonly<Record<SideHook, HookStats>>;
  /** Calls per latency bucket: upper bounds latencyBucketsUs, the last one open. */
  readonly latency: readonly number[];
  /** Calls of a plugin that may wait that its deadline came before, */
  readonly timeouts: number;
  /** ... and questions that it was not asked since as many calls ran as may. */
  readonly overloads: number;
  /** Its calls at this moment, in this worker. */
  readonly onThreads: { readonly running: number; readonly stuck: number };
}

export interface HookStats {
  readonly calls: number;
  readonly errors: number;
  readonly timeUs: number;
}

export { latencyBucketsUs } from "../plugins/chain-counters.js";

export interface HostSnapshot {
  readonly database: string;
  readonly shard: number;
  readonly role: "primary" | "replica";
  readonly host: string;
  readonly port: number;
  readonly up: boolean;
  readonly downSinceMs: number | null;
  readonly lastError: string | null;
}

export interface WorkerTotals {
  readonly clientsAccepted: number;
  readonly clientsRefused: number;
  readonly loginFailures: number;
  readonly cancelsReceived: number;
  readonly cancelsSent: number;
  readonly serversOpened: number;
  readonly serversLost: number;
}
