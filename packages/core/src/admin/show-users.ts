// SHOW USERS: PgBouncer's columns; then what the user may do. Never a secret.
import type { UserConfig } from "../config/types.js";
import { mergePools } from "../metrics/pooler-view.js";
import { int4, showCommand, text } from "./console-command.js";

interface Row {
  readonly user: UserConfig;
  readonly servers: number;
  readonly clients: number;
}

export const showUsers = showCommand<Row>({
  name: "SHOW USERS",
  summary: "Users of the configuration and how many connections they have.",
  detail: true,
  rows(view) {
    const servers = new Map<string, number>();
    for (const pool of mergePools(view.snapshots)) {
      const open = pool.serversActive + pool.serversIdle + pool.serversConnecting + pool.serversResetting;
      servers.set(pool.user, (servers.get(pool.user) ?? 0) + open);
    }
    const clients = new Map<string, number>();
    for (const { user } of view.snapshots.flatMap((snapshot) => snapshot.clients)) clients.set(user, (clients.get(user) ?? 0) + 1);
    return view.config.users.map((user) => ({ user, servers: servers.get(user.name) ?? 0, clients: clients.get(user.name) ?? 0 }));
  },
  columns: [
    text("name", ({ user }) => user.name),
    text("pool_size", () => null),
    text("reserve_pool_size", () => null),
    text("pool_mode", () => null),
    int4("max_user_connections", () => 0),
    int4("current_connections", ({ servers }) => servers),
    int4("max_user_client_connections", () => 0),
    int4("current_client_connections", ({ clients }) => clients),
    text("console", ({ user }) => user.console),
    text("databases", ({ user }) => user.databases?.join(",") ?? null),
  ],
});
