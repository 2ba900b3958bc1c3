// A worker's state as the supervisor asks for it, for console and metrics.
import { performance } from "node:perf_hooks";
import { residentMemoryBytes } from "../base/resident-memory.js";
import type { PluginChain } from "../plugins/types.js";
import type { Database } from "../pool/database.js";
import type { HostPool } from "../pool/host-pool.js";
import { type MultiplexCounters, Refusal } from "../pool/multiplex.js";
import { TransactionStatus } from "../protocol/codes.js";
import type { Server } from "../server/server.js";
import type { SessionContext } from "../session/context.js";
import type { Session } from "../session/session.js";
import type {
  ClientCount,
  ClientSnapshot,
  DatabaseStats,
  HostSnapshot,
  MultiplexStats,
  PoolSnapshot,
  ServerSnapshot,
  WorkerSnapshot,
} from "../supervisor/ipc.js";
import type { Clients } from "./clients.js";

export interface SnapshotSource {
  readonly worker: number;
  readonly startedAtMs: number;
  readonly context: SessionContext;
  readonly clients: Clients;
  readonly databases: Iterable<Database>;
  readonly chain: PluginChain | null;
  readonly poolTotals: { readonly serversOpened: number; readonly serversLost: number };
}

const us = (ms: number): number => Math.round(ms * 1000);

/** `detail` false: the lists of clients and servers stay empty. */
export function takeSnapshot(source: SnapshotSource, detail: boolean): WorkerSnapshot {
  const { context, clients } = source;
  const databases = [...source.databases];
  const wallMinusNowMs = context.clock.wallMs() - context.clock.nowMs();
  const counts = new Map<string, { database: string; state: ClientSnapshot["state"]; count: number }>();
  for (const session of clients.sessions.values()) {
    const state = stateOf(session);
    const database = session.database.config.name;
    const key = `${database}\0${state}`;
    const entry = counts.get(key) ?? { database, state, count: 0 };
    entry.count++;
    counts.set(key, entry);
  }
  return {
    worker: source.worker,
    processId: process.pid,
    startedAtMs: source.startedAtMs,
    memoryBytes: residentMemoryBytes(),
    io: context.engine.name,
    clients: detail ? [...clients.sessions.values()].map((session) => clientOf(session, wallMinusNowMs, context)) : [],
    clientCounts: [...counts.values()] satisfies ClientCount[],
    servers: detail
      ? databases.flatMap((database) =>
          [...database.pools].flatMap((pool) => [...pool.servers].map((server) => serverOf(server, pool, wallMinusNowMs))),
        )
      : [],
    pools: databases.flatMap((database) => [...database.pools].map((pool) => poolOf(pool, database, context))),
    stats: databases.map(statsOf),
    plugins: source.chain?.stats() ?? [],
    hosts: databases.flatMap(hostsOf),
    totals: { ...context.totals, ...source.poolTotals },
  };
}

function stateOf(session: Session): ClientSnapshot["state"] {
  switch (session.state) {
    case "waiting":
      return "waiting";
    case "asking":
    case "preparing":
    case "verifying":
    case "active":
    case "riding":
      return "active";
    default:
      return session.inTransaction ? "idle_in_transaction" : "idle";
  }
}

function clientOf(session: Session, wallMinusNowMs: number, context: SessionContext): ClientSnapshot {
  return {
    id: session.id,
    user: session.user.name,
    database: session.database.config.name,
    state: stateOf(session),
    address: session.wire.remoteAddress,
    port: session.wire.remotePort,
    tls: session.wire.tls,
    applicationName: session.applicationName,
    connectedAtMs: session.connectedAtS * 1000,
    requestAtMs: session.requestAtMs === 0 ? session.connectedAtS * 1000 : Math.round(session.requestAtMs + wallMinusNowMs),
    waitUs: session.state === "waiting" ? us(context.clock.nowMs() - session.waitingSinceMs) : 0,
    server: session.server?.id ?? null,
    preparedStatements: session.statements?.size ?? 0,
    processId: session.processId,
  };
}

function serverOf(server: Server, pool: HostPool, wallMinusNowMs: number): ServerSnapshot {
  const { host } = pool.options;
  return {
    id: server.id,
    user: pool.options.user,
    database: pool.options.database,
    host: host.config.host,
    port: host.config.port,
    shard: host.shard,
    role: host.role,
    state: server.state === "leased" ? "active" : server.state === "closed" ? "closing" : server.state,
    tls: server.wire.tls,
    connectedAtMs: Math.round(server.connectedAtMs + wallMinusNowMs),
    requestAtMs: Math.round((server.requestAtMs || server.connectedAtMs) + wallMinusNowMs),
    remoteProcessId: server.identity.remoteProcessId,
    preparedStatements: server.prepared.size,
    client: server.lessee?.id ?? null,
  };
}

function poolOf(pool: HostPool, database: Database, context: SessionContext): PoolSnapshot {
  const { host } = pool.options;
  let active = 0;
  let resetting = 0;
  let working = 0;
  for (const server of pool.servers) {
    if (server.state === "leased") {
      active++;
      if (server.status !== TransactionStatus.IDLE || !server.replies.empty) working++;
    } else if (server.state === "resetting") resetting++;
  }
  const { first } = pool.waiters;
  return {
    database: database.config.name,
    user: pool.options.user,
    host: host.config.host,
    port: host.config.port,
    shard: host.shard,
    role: host.role,
    poolMode: database.config.poolMode,
    poolSize: pool.poolSize,
    clientsActive: Math.max(working, active),
    clientsWaiting: pool.waiters.length,
    serversActive: active,
    serversIdle: pool.idle.length,
    serversConnecting: pool.connecting,
    serversResetting: resetting,
    riders: pool.riders,
    maxWaitUs: first === null ? 0 : us(context.clock.nowMs() - first.waitingSinceMs),
  };
}

function statsOf(database: Database): DatabaseStats {
  const { counters } = database;
  return {
    database: database.config.name,
    transactions: counters.transactions,
    queries: counters.queries,
    bytesFromClients: counters.bytesFromClients,
    bytesToClients: counters.bytesToClients,
    transactionUs: us(counters.transactionMs),
    queryUs: us(counters.queryMs),
    waitUs: us(counters.waitMs),
    serverAssignments: counters.serverAssignments,
    clientParses: counters.clientParses,
    serverParses: counters.serverParses,
    binds: counters.binds,
    errors: counters.errors,
    ...multiplexStatsOf(database.multiplexCounters),
  };
}

function multiplexStatsOf({ rides, behind, prepared, again, moved, takenOut, refused }: MultiplexCounters): MultiplexStats {
  const count = (reason: number): number => refused[reason] ?? 0;
  return {
    rides,
    ridesBehind: behind,
    ridesPrepared: prepared,
    ridesAgain: again,
    ridesMoved: moved,
    ridesTakenOut: takenOut,
    refusedSession: count(Refusal.SESSION),
    refusedTimeout: count(Refusal.TIMEOUT),
    refusedBatch: count(Refusal.BATCH),
    refusedKind: count(Refusal.KIND),
    refusedInto: count(Refusal.INTO),
    refusedLocks: count(Refusal.LOCKS),
    refusedFunction: count(Refusal.FUNCTION),
    refusedExcluded: count(Refusal.EXCLUDED),
    refusedWrite: count(Refusal.WRITE),
    refusedRelation: count(Refusal.RELATION),
    refusedUnknown: count(Refusal.UNKNOWN),
    refusedSlow: count(Refusal.SLOW),
    refusedLarge: count(Refusal.LARGE),
  };
}

function hostsOf(database: Database): HostSnapshot[] {
  return database.shards.flatMap(({ primary, replicas }) =>
    [primary, ...replicas].map((host) => ({
      database: database.config.name,
      shard: host.shard,
      role: host.role,
      host: host.config.host,
      port: host.config.port,
      up: host.up,
      downSinceMs: host.downSinceMs,
      lastError: host.lastError?.message ?? null,
    })),
  );
}

export const startedAtMs = Math.round(performance.timeOrigin);
