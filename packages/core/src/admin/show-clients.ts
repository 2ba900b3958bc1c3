// SHOW CLIENTS: PgBouncer's columns, one row per client connection; then which worker serves it.
import type { ClientSnapshot } from "../supervisor/ipc.js";
import { formatTime, int4, int8, showCommand, text } from "./console-command.js";

interface Row {
  readonly worker: number;
  readonly client: ClientSnapshot;
}

export const showClients = showCommand<Row>({
  name: "SHOW CLIENTS",
  summary: "Client connections.",
  detail: true,
  rows: (view) => view.snapshots.flatMap(({ worker, clients }) => clients.map((client) => ({ worker, client }))),
  columns: [
    text("type", () => "C"),
    text("user", ({ client }) => client.user),
    text("database", ({ client }) => client.database),
    text("replication", () => "none"),
    text("state", ({ client }) => client.state),
    text("addr", ({ client }) => client.address),
    int4("port", ({ client }) => client.port),
    text("local_addr", () => null),
    int4("local_port", () => null),
    text("connect_time", ({ client }) => formatTime(client.connectedAtMs)),
    text("request_time", ({ client }) => formatTime(client.requestAtMs)),
    int4("wait", ({ client }) => Math.floor(client.waitUs / 1_000_000)),
    int4("wait_us", ({ client }) => client.waitUs % 1_000_000),
    int4("close_needed", () => 0),
    text("ptr", ({ worker, client }) => `w${worker}c${client.id}`),
    text("link", ({ worker, client }) => (client.server === null ? "" : `w${worker}s${client.server}`)),
    int4("remote_pid", () => 0),
    text("tls", ({ client }) => (client.tls ? "TLS" : "")),
    text("application_name", ({ client }) => client.applicationName),
    int4("prepared_statements", ({ client }) => client.preparedStatements),
    int4("id", ({ client }) => client.id),
    int4("worker", ({ worker }) => worker),
    int8("cancel_pid", ({ client }) => client.processId),
  ],
});
