// What a console command is, and how its rows become an answer. One command is one file beside this one.
import type { Logger } from "../base/logger.js";
import type { PoolerView } from "../metrics/pooler-view.js";
import type { ConsoleColumn, ConsoleResult } from "../supervisor/ipc.js";

/** What commands may ask for and do. */
export interface ConsoleContext {
  readonly logger: Logger;
  /** detail: with every client and server connection. */
  view(detail: boolean): Promise<PoolerView>;
  /** Rejects with a PoolerError when the new configuration is no good; the old one stays then. */
  reload(): Promise<{ readonly applied: readonly string[]; readonly needRestart: readonly string[]; readonly restored: readonly string[] }>;
  /** Resolves when no server connection of it (null: of any) is in use. */
  pause(database: string | null): Promise<void>;
  resume(database: string | null): Promise<void>;
  /** Begins to stop; the command's own connection may end before its answer arrives. */
  shutdown(mode: "immediate" | "drain"): void;
}

export interface ConsoleCommand {
  /** As it is typed, in capitals: "SHOW POOLS". */
  readonly name: string;
  /** "stats": for everybody who may use the console. */
  readonly access: "stats" | "admin";
  /** What may follow the name, for SHOW HELP: "[database]". */
  readonly argument: string | null;
  readonly summary: string;
  /** Empty: a command without rows. */
  readonly columns: readonly ConsoleColumn[];
  run(context: ConsoleContext, argument: string | null): Promise<ConsoleResult>;
}

export interface Column<Row> extends ConsoleColumn {
  readonly value: (row: Row) => string | number | boolean | null;
}

export interface ShowCommand<Row> {
  readonly name: string;
  readonly summary: string;
  /** Also needs the lists of clients and servers. */
  readonly detail?: boolean;
  readonly columns: readonly Column<Row>[];
  rows(view: PoolerView): readonly Row[];
}

/** A SHOW command: rows out of a view. */
export function showCommand<Row>(show: ShowCommand<Row>): ConsoleCommand {
  const columns = show.columns.map(({ name, type }) => ({ name, type }));
  return {
    name: show.name,
    access: "stats",
    argument: null,
    summary: show.summary,
    columns,
    async run(context) {
      const view = await context.view(show.detail ?? false);
      const rows = show.rows(view).map((row) => show.columns.map((column) => toText(column.value(row))));
      return { ok: true, columns, rows, tag: "SHOW", notices: noticesOf(view) };
    },
  };
}

export function done(tag: string, notices: readonly string[] = []): ConsoleResult {
  return { ok: true, columns: [], rows: [], tag, notices };
}

export function text<Row>(name: string, value: Column<Row>["value"]): Column<Row> {
  return { name, type: "text", value };
}

export function int4<Row>(name: string, value: Column<Row>["value"]): Column<Row> {
  return { name, type: "int4", value };
}

export function int8<Row>(name: string, value: Column<Row>["value"]): Column<Row> {
  return { name, type: "int8", value };
}

export function float8<Row>(name: string, value: Column<Row>["value"]): Column<Row> {
  return { name, type: "float8", value };
}

export function numeric<Row>(name: string, value: Column<Row>["value"]): Column<Row> {
  return { name, type: "numeric", value };
}

/** As PgBouncer writes times: 2026-01-01 00:00:00 UTC. */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function toText(value: string | number | boolean | null): string | null {
  if (value === null) return null;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Math.round(value * 1_000) / 1_000);
  return value;
}

/** Numbers that lack a worker are not wrong silently. */
function noticesOf(view: PoolerView): string[] {
  const said = new Set(view.snapshots.map(({ worker }) => worker));
  const silent = view.workers.filter(({ worker }) => !said.has(worker)).map(({ worker, state }) => `${worker} (${state})`);
  return silent.length === 0 ? [] : [`without worker ${silent.join(", ")}, which did not answer`];
}
