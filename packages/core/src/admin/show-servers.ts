// SHOW SERVERS: PgBouncer's columns, one row per server connection; then where it leads and which worker has it.
import type { ServerSnapshot } from "../supervisor/ipc.js";
import { formatTime, int4, showCommand, text } from "./console-command.js";

interface Row {
  readonly worker: number;
  readonly server: ServerSnapshot;
  readonly applicationName: string;
}

/** PgBouncer's words where it has one. */
const states: Readonly<Record<ServerSnapshot["state"], string>> = {
  connecting: "new",
  idle: "idle",
  active: "active",
  resetting: "tested",
  closing: "closing",
};

export const showServers = showCommand<Row>({
  name: "SHOW SERVERS",
  summary: "Server connections.",
  detail: true,
  rows: (view) =>
    view.snapshots.flatMap(({ worker, servers, clients }) => {
      const names = new Map(clients.map((client) => [client.id, client.applicationName]));
      return servers.map((server) => ({
        worker,
        server,
        applicationName: (server.client === null ? undefined : names.get(server.client)) ?? "",
      }));
    }),
  columns: [
    text("type", () => "S"),
    text("user", ({ server }) => server.user),
    text("database", ({ server }) => server.database),
    text("replication", () => "none"),
    text("state", ({ server }) => states[server.state]),
    text("addr", ({ server }) => server.host),
    int4("port", ({ server }) => server.port),
    text("local_addr", () => null),
    int4("local_port", () => null),
    text("connect_time", ({ server }) => formatTime(server.connectedAtMs)),
    text("request_time", ({ server }) => formatTime(server.requestAtMs)),
    int4("wait", () => 0),
    int4("wait_us", () => 0),
    int4("close_needed", ({ server }) => (server.state === "closing" ? 1 : 0)),
    text("ptr", ({ worker, server }) => `w${worker}s${server.id}`),
    text("link", ({ worker, server }) => (server.client === null ? "" : `w${worker}c${server.client}`)),
    int4("remote_pid", ({ server }) => server.remoteProcessId),
    text("tls", ({ server }) => (server.tls ? "TLS" : "")),
    text("application_name", ({ applicationName }) => applicationName),
    int4("prepared_statements", ({ server }) => server.preparedStatements),
    int4("id", ({ server }) => server.id),
    int4("shard", ({ server }) => server.shard),
    text("role", ({ server }) => server.role),
    int4("worker", ({ worker }) => worker),
  ],
});
