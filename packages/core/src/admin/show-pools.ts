// SHOW POOLS: PgBouncer's columns, one row per database, user and host; then which host it is.
import { mergePools } from "../metrics/pooler-view.js";
import type { PoolSnapshot } from "../supervisor/ipc.js";
import { int4, showCommand, text } from "./console-command.js";

const none = (): number => 0;

export const showPools = showCommand<PoolSnapshot>({
  name: "SHOW POOLS",
  summary: "Pools: server connections per database, user and host, and the clients that use or want them.",
  rows: (view) => mergePools(view.snapshots),
  columns: [
    text("database", (pool) => pool.database),
    text("user", (pool) => pool.user),
    int4("cl_active", (pool) => pool.clientsActive),
    int4("cl_waiting", (pool) => pool.clientsWaiting),
    int4("cl_active_cancel_req", none),
    int4("cl_waiting_cancel_req", none),
    int4("sv_active", (pool) => pool.serversActive),
    int4("sv_active_cancel", none),
    int4("sv_being_canceled", none),
    int4("sv_idle", (pool) => pool.serversIdle),
    int4("sv_used", none),
    int4("sv_tested", (pool) => pool.serversResetting),
    int4("sv_login", (pool) => pool.serversConnecting),
    int4("maxwait", (pool) => Math.floor(pool.maxWaitUs / 1_000_000)),
    int4("maxwait_us", (pool) => pool.maxWaitUs % 1_000_000),
    text("pool_mode", (pool) => pool.poolMode),
    text("load_balance_hosts", () => null),
    text("host", (pool) => pool.host),
    int4("port", (pool) => pool.port),
    int4("shard", (pool) => pool.shard),
    text("role", (pool) => pool.role),
    int4("pool_size", (pool) => pool.poolSize),
  ],
});
