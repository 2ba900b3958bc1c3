// SHOW LISTS: how many there are of everything; PgBouncer's lines first (what the pooler does not have is 0), then our own.
import { hostStatuses, mergePools, type PoolerView } from "../metrics/pooler-view.js";
import { int4, showCommand, text } from "./console-command.js";

interface Row {
  readonly list: string;
  readonly items: number;
}

export const showLists = showCommand<Row>({
  name: "SHOW LISTS",
  summary: "How many databases, users, pools, clients and servers there are.",
  rows(view) {
    const pools = mergePools(view.snapshots);
    const servers = (count: (pool: (typeof pools)[number]) => number): number => pools.reduce((total, pool) => total + count(pool), 0);
    const counts: Readonly<Record<string, number>> = {
      databases: view.config.databases.length,
      users: view.config.users.length,
      peers: 0,
      pools: pools.length,
      peer_pools: 0,
      free_clients: 0,
      used_clients: clients(view, () => true),
      login_clients: clients(view, (state) => state === "login"),
      free_servers: servers((pool) => pool.serversIdle),
      used_servers: servers((pool) => pool.serversActive + pool.serversConnecting + pool.serversResetting),
      dns_names: 0,
      dns_zones: 0,
      dns_queries: 0,
      dns_pending: 0,
      workers: view.workers.length,
      plugins: view.config.plugins.length,
      hosts: hostStatuses(view.config, []).length,
    };
    return Object.entries(counts).map(([list, items]) => ({ list, items }));
  },
  columns: [text("list", ({ list }) => list), int4("items", ({ items }) => items)],
});

function clients(view: PoolerView, wanted: (state: string) => boolean): number {
  let total = 0;
  for (const { clientCounts } of view.snapshots) {
    for (const { state, count } of clientCounts) if (wanted(state)) total += count;
  }
  return total;
}
