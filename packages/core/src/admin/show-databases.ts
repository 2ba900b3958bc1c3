// SHOW DATABASES: PgBouncer's columns, one row per database; host and port are those of the first shard's primary.

import type { DatabaseConfig } from "../config/types.js";
import { isPaused, mergePools, type PoolerView } from "../metrics/pooler-view.js";
import { int4, showCommand, text } from "./console-command.js";

interface Row {
  readonly database: DatabaseConfig;
  readonly servers: number;
  readonly clients: number;
  readonly view: PoolerView;
}

export const showDatabases = showCommand<Row>({
  name: "SHOW DATABASES",
  summary: "Databases that clients may ask for.",
  rows(view) {
    const pools = mergePools(view.snapshots);
    return view.config.databases.map((database) => ({
      database,
      view,
      servers: sum(
        pools.filter((pool) => pool.database === database.name),
        (pool) => pool.serversActive + pool.serversIdle + pool.serversConnecting + pool.serversResetting,
      ),
      clients: sum(
        view.snapshots.flatMap(({ clientCounts }) => clientCounts.filter((count) => count.database === database.name)),
        ({ count }) => count,
      ),
    }));
  },
  columns: [
    text("name", ({ database }) => database.name),
    text("host", ({ database }) => database.shards[0]?.primary.host ?? null),
    int4("port", ({ database }) => database.shards[0]?.primary.port ?? null),
    text("database", ({ database }) => database.shards[0]?.primary.database ?? null),
    text("force_user", ({ database }) => database.shards[0]?.primary.user ?? null),
    int4("pool_size", ({ database }) => database.poolSize),
    int4("min_pool_size", () => 0),
    int4("reserve_pool_size", () => 0),
    int4("server_lifetime", ({ view }) => Math.floor(view.config.timeouts.serverLifetimeMs / 1_000)),
    text("pool_mode", ({ database }) => database.poolMode),
    text("load_balance_hosts", () => null),
    int4("max_connections", () => 0),
    int4("current_connections", ({ servers }) => servers),
    int4("max_client_connections", () => 0),
    int4("current_client_connections", ({ clients }) => clients),
    int4("paused", ({ database, view }) => (isPaused(view, database.name) ? 1 : 0)),
    int4("disabled", () => 0),
    int4("shards", ({ database }) => database.shards.length),
    int4("replicas", ({ database }) => sum(database.shards, ({ replicas }) => replicas.length)),
  ],
});

function sum<Item>(items: readonly Item[], value: (item: Item) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
