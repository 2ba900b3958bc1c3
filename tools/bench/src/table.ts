// Results as tables: for a terminal, and as Markdown.
import type { MemoryRow, Row } from "./result.js";
import type { Interval } from "./statistics.js";

export interface Column<T> {
  readonly title: string;
  readonly isNumber: boolean;
  text(row: T): string;
}

const nothing = "–";

const number = <T>(title: string, value: (row: T) => number | null, digits = 0): Column<T> => ({
  title,
  isNumber: true,
  text: (row) => formatNumber(value(row), digits),
});

const ratio = (title: string, value: (row: Row) => number | null | undefined, interval: (row: Row) => Interval | null | undefined) => ({
  title,
  isNumber: true,
  text: (row: Row) => formatRatio(value(row) ?? null, interval(row) ?? null),
});

export const rowColumns: readonly Column<Row>[] = [
  { title: "peer", isNumber: false, text: peerLabel },
  number("tps", (row) => row.tps),
  number("CPU µs", (row) => row.cpuUsPerQuery, 1),
  number("p50 ms", (row) => row.p50Ms, 2),
  number("p99 ms", (row) => row.p99Ms, 2),
  number("p99.9 ms", (row) => row.p999Ms, 2),
  number("RSS MB", (row) => (row.rssKb === null ? null : row.rssKb / 1024), 1),
  ratio(
    "tps ×",
    (row) => row.ratioToPgbouncer?.tps,
    (row) => row.ratioIntervals?.tps,
  ),
  ratio(
    "CPU ×",
    (row) => row.ratioToPgbouncer?.cpu,
    (row) => row.ratioIntervals?.cpu,
  ),
  ratio(
    "p99 ×",
    (row) => row.ratioToPgbouncer?.p99,
    (row) => row.ratioIntervals?.p99,
  ),
];

export const memoryColumns: readonly Column<MemoryRow>[] = [
  { title: "peer", isNumber: false, text: peerLabel },
  number("start ms", (row) => row.startToFirstQueryMs),
  number("base MB", (row) => row.baseRssKb / 1024, 1),
  number("largest process MB", (row) => row.largestProcessRssKb / 1024, 1),
  number("idle clients", (row) => row.idleClients),
  number("connected in ms", (row) => row.connectMs),
  number("served in ms", (row) => row.serveMs),
  number("bytes a client", (row) => row.bytesPerIdleClient),
];

/** One worker is what goes without saying. */
export function peerLabel({ peer, workers }: Pick<Row, "peer" | "workers">): string {
  return workers === null || workers === 1 ? peer : `${peer} (${workers} workers)`;
}

export function formatNumber(value: number | null, digits = 0): string {
  if (value === null || !Number.isFinite(value)) return nothing;
  // Three digits are more than the measurement is worth.
  const shown = digits === 0 && Math.abs(value) < 10 && !Number.isInteger(value) ? 2 : digits;
  return value.toLocaleString("en-US", { minimumFractionDigits: shown, maximumFractionDigits: shown });
}

export function formatRatio(value: number | null, interval: Interval | null): string {
  if (value === null) return nothing;
  const range = interval === null || interval[0] === interval[1] ? "" : ` (${interval[0].toFixed(2)}–${interval[1].toFixed(2)})`;
  return `${value.toFixed(2)}${range}`;
}

/** Rows of the same scenario, protocol, clients and size stand together, under a heading. */
export function groupRows(rows: readonly Row[]): readonly { readonly title: string; readonly rows: readonly Row[] }[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const title = groupTitle(row);
    const group = groups.get(title);
    if (group === undefined) groups.set(title, [row]);
    else group.push(row);
  }
  return [...groups].map(([title, members]) => ({ title, rows: members }));
}

export function groupTitle({ scenario, protocol, clients, size }: Pick<Row, "scenario" | "protocol" | "clients" | "size">): string {
  const of = size === null ? "" : `, ${formatNumber(size)}`;
  return `${scenario}${of}, ${protocol}, ${clients} client${clients === 1 ? "" : "s"}`;
}

export function plainTable<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => columns.map((column) => column.text(row)))];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => (line[index] ?? "").length)));
  return cells
    .map((line) =>
      line
        .map((cell, index) => (columns[index]?.isNumber === true ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export function markdownTable<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [
    line(columns.map(({ title }) => title)),
    `|${columns.map(({ isNumber }) => (isNumber ? "--:" : "---")).join("|")}|`,
    ...rows.map((row) => line(columns.map((column) => column.text(row)))),
  ].join("\n");
}

export function report(rows: readonly Row[], memory: readonly MemoryRow[]): string {
  const parts = groupRows(rows).map((group) => `${group.title}\n${indent(plainTable(rowColumns, group.rows))}`);
  if (memory.length > 0) parts.push(`memory\n${indent(plainTable(memoryColumns, memory))}`);
  return parts.join("\n\n");
}

function indent(text: string): string {
  return text.replace(/^/gm, "  ");
}
