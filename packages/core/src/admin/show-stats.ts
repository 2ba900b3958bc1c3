// SHOW STATS and its relatives: PgBouncer's columns, one row per database. Totals run since the pooler was started, also
// over the death of workers; averages cover the last minute.
import { sumDatabases } from "../metrics/counter-ledger.js";
import type { PoolerView } from "../metrics/pooler-view.js";
import type { DatabaseStats } from "../supervisor/ipc.js";
import { type Column, numeric, showCommand, text } from "./console-command.js";

interface Row {
  readonly database: string;
  readonly total: DatabaseStats;
  readonly recent: DatabaseStats;
  readonly seconds: number;
}

interface Counter {
  /** Name after "total_". */
  readonly total: string;
  /** Name in STATS_TOTALS and STATS_AVERAGES. */
  readonly plain: string;
  /** Name after "avg_". */
  readonly average: string;
  readonly value: (stats: DatabaseStats) => number;
  /** What the average is of; without it, per second. */
  readonly per?: (stats: DatabaseStats) => number;
}

const counters: readonly Counter[] = [
  counter("server_assignment_count", (stats) => stats.serverAssignments),
  counter("xact_count", (stats) => stats.transactions),
  counter("query_count", (stats) => stats.queries),
  { total: "received", plain: "bytes_received", average: "recv", value: (stats) => stats.bytesFromClients },
  { total: "sent", plain: "bytes_sent", average: "sent", value: (stats) => stats.bytesToClients },
  { ...counter("xact_time", (stats) => stats.transactionUs), per: (stats) => stats.transactions },
  { ...counter("query_time", (stats) => stats.queryUs), per: (stats) => stats.queries },
  { ...counter("wait_time", (stats) => stats.waitUs), per: (stats) => stats.serverAssignments },
  counter("client_parse_count", (stats) => stats.clientParses),
  counter("server_parse_count", (stats) => stats.serverParses),
  counter("bind_count", (stats) => stats.binds),
  counter("error_count", (stats) => stats.errors),
];

function counter(name: string, value: (stats: DatabaseStats) => number): Counter {
  return { total: name, plain: name, average: name, value };
}

const database: Column<Row> = text("database", (row) => row.database);
const total = (prefix: string, name: (one: Counter) => string): Column<Row>[] =>
  counters.map((one) => numeric(prefix + name(one), (row) => one.value(row.total)));
const average = (prefix: string, name: (one: Counter) => string): Column<Row>[] =>
  counters.map((one) => numeric(prefix + name(one), (row) => averageOf(one, row)));

function averageOf({ value, per }: Counter, row: Row): number {
  if (per === undefined) return Math.round(value(row.recent) / row.seconds);
  const count = per(row.recent);
  return count === 0 ? 0 : Math.round(value(row.recent) / count);
}

/** Databases of the configuration, also those nobody used yet, and those that a reload removed but were used. */
function databaseRows(view: PoolerView): Row[] {
  const names = new Set([...view.config.databases.map(({ name }) => name), ...view.counters.databases.keys()]);
  const zero = sumDatabases([]);
  return [...names].map((name) => ({
    database: name,
    total: view.counters.databases.get(name) ?? zero,
    recent: view.recent.databases.get(name) ?? zero,
    seconds: view.recent.seconds,
  }));
}

export const showStats = showCommand<Row>({
  name: "SHOW STATS",
  summary: "Counters and one-minute averages per database; times in microseconds.",
  columns: [database, ...total("total_", (one) => one.total), ...average("avg_", (one) => one.average)],
  rows: databaseRows,
});

export const showStatsTotals = showCommand<Row>({
  name: "SHOW STATS_TOTALS",
  summary: "The counters of SHOW STATS.",
  columns: [database, ...total("", (one) => one.plain)],
  rows: databaseRows,
});

export const showStatsAverages = showCommand<Row>({
  name: "SHOW STATS_AVERAGES",
  summary: "The averages of SHOW STATS.",
  columns: [database, ...average("", (one) => one.plain)],
  rows: databaseRows,
});

export const showTotals = showCommand<{ readonly name: string; readonly value: number }>({
  name: "SHOW TOTALS",
  summary: "SHOW STATS for all databases together, one line a number.",
  columns: [text("name", ({ name }) => name), numeric("value", ({ value }) => value)],
  rows(view) {
    const row: Row = {
      database: "",
      total: sumDatabases(view.counters.databases.values()),
      recent: sumDatabases(view.recent.databases.values()),
      seconds: view.recent.seconds,
    };
    return [
      ...counters.map((one) => ({ name: `total_${one.total}`, value: one.value(row.total) })),
      ...counters.map((one) => ({ name: `avg_${one.average}`, value: averageOf(one, row) })),
    ];
  },
});
