// SHOW MULTIPLEX: statements that share server connections, and why others do not, one row per database. Not one of PgBouncer's.
import { sumDatabases } from "../metrics/counter-ledger.js";
import { rideRefusals } from "../metrics/multiplex-refusals.js";
import { mergePools } from "../metrics/pooler-view.js";
import type { DatabaseStats } from "../supervisor/ipc.js";
import { int4, numeric, showCommand, text } from "./console-command.js";

interface Row {
  readonly database: string;
  readonly depth: number;
  readonly riders: number;
  readonly stats: DatabaseStats;
}

export const showMultiplex = showCommand<Row>({
  name: "SHOW MULTIPLEX",
  summary: "Statements that share server connections, and why others do not.",
  rows(view) {
    const pools = mergePools(view.snapshots);
    const zero = sumDatabases([]);
    return view.config.databases.map(({ name, multiplex }) => ({
      database: name,
      depth: multiplex?.depth ?? 0,
      riders: pools.filter(({ database }) => database === name).reduce((total, { riders }) => total + riders, 0),
      stats: view.counters.databases.get(name) ?? zero,
    }));
  },
  columns: [
    text("database", ({ database }) => database),
    int4("depth", ({ depth }) => depth),
    int4("in_flight", ({ riders }) => riders),
    numeric("rides", ({ stats }) => stats.rides),
    numeric("waits_saved", ({ stats }) => stats.ridesBehind),
    numeric("prepared", ({ stats }) => stats.ridesPrepared),
    numeric("again", ({ stats }) => stats.ridesAgain),
    numeric("moved", ({ stats }) => stats.ridesMoved),
    numeric("servers_taken_out", ({ stats }) => stats.ridesTakenOut),
    ...rideRefusals.map(([reason, count]) => numeric<Row>(`refused_${reason}`, ({ stats }) => stats[count])),
  ],
});
