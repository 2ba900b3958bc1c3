// SHOW SHARDS: every server of every database with its state. SHOW HOSTS: the same by address.
import { type HostStatus, hostStatuses, mergePools, type PoolerView } from "../metrics/pooler-view.js";
import { formatTime, int4, showCommand, text } from "./console-command.js";

interface Row {
  readonly status: HostStatus;
  readonly load: Load;
}

interface Load {
  active: number;
  idle: number;
  connecting: number;
  waiting: number;
}

export const showShards = showCommand<Row>({
  name: "SHOW SHARDS",
  summary: "Shards of every database: their primaries and replicas, whether they are up, and what they carry.",
  rows: (view) =>
    hostStatuses(view.config, view.snapshots).map((status) => ({
      status,
      load: loadOf(
        view,
        (pool) =>
          pool.database === status.database &&
          pool.shard === status.shard &&
          pool.role === status.role &&
          pool.host === status.host &&
          pool.port === status.port,
      ),
    })),
  columns: [
    text("database", ({ status }) => status.database),
    int4("shard", ({ status }) => status.shard),
    text("role", ({ status }) => status.role),
    text("host", ({ status }) => status.host),
    int4("port", ({ status }) => status.port),
    text("server_database", ({ status }) => status.serverDatabase),
    text("state", ({ status }) => status.state),
    text("down_since", ({ status }) => (status.downSinceMs === null ? null : formatTime(status.downSinceMs))),
    int4("down_in_workers", ({ status }) => status.downInWorkers),
    int4("sv_active", ({ load }) => load.active),
    int4("sv_idle", ({ load }) => load.idle),
    int4("sv_login", ({ load }) => load.connecting),
    int4("cl_waiting", ({ load }) => load.waiting),
    text("last_error", ({ status }) => status.lastError),
  ],
});

interface HostRow {
  readonly host: string;
  readonly port: number;
  readonly statuses: readonly HostStatus[];
  readonly load: Load;
}

export const showHosts = showCommand<HostRow>({
  name: "SHOW HOSTS",
  summary: "Servers by address, whichever databases they serve.",
  rows(view) {
    const hosts = new Map<string, HostStatus[]>();
    for (const status of hostStatuses(view.config, view.snapshots)) {
      const key = `${status.host}\0${status.port}`;
      hosts.set(key, [...(hosts.get(key) ?? []), status]);
    }
    return [...hosts.values()].flatMap((statuses) => {
      const [first] = statuses;
      if (first === undefined) return [];
      return [
        {
          host: first.host,
          port: first.port,
          statuses,
          load: loadOf(view, (pool) => pool.host === first.host && pool.port === first.port),
        },
      ];
    });
  },
  columns: [
    text("host", ({ host }) => host),
    int4("port", ({ port }) => port),
    text("state", ({ statuses }) => ["down", "up"].find((state) => statuses.some((status) => status.state === state)) ?? "unknown"),
    text("databases", ({ statuses }) => [...new Set(statuses.map(({ database }) => database))].join(",")),
    text("roles", ({ statuses }) => [...new Set(statuses.map(({ role }) => role))].join(",")),
    int4("sv_active", ({ load }) => load.active),
    int4("sv_idle", ({ load }) => load.idle),
    int4("sv_login", ({ load }) => load.connecting),
    int4("cl_waiting", ({ load }) => load.waiting),
    text("last_error", ({ statuses }) => statuses.find(({ lastError }) => lastError !== null)?.lastError ?? null),
  ],
});

function loadOf(view: PoolerView, wanted: (pool: ReturnType<typeof mergePools>[number]) => boolean): Load {
  const load: Load = { active: 0, idle: 0, connecting: 0, waiting: 0 };
  for (const pool of mergePools(view.snapshots).filter(wanted)) {
    load.active += pool.serversActive;
    load.idle += pool.serversIdle;
    load.connecting += pool.serversConnecting;
    load.waiting += pool.clientsWaiting;
  }
  return load;
}
