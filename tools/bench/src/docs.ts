// Fills docs/benchmarks.md between its two marks, and draws the charts beside it. The words around are written by hand.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BenchError } from "./bench-error.js";
import { renderGrowthChart, renderLoadChart } from "./charts.js";
import type { BenchResult, RatioIntervals, Ratios, Row } from "./result.js";
import { type Column, formatNumber, groupRows, markdownTable, memoryColumns, peerLabel, rowColumns } from "./table.js";

const docsDirectory = join(dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url))))), "docs");
const beginMark = "<!-- results: written by pnpm bench --docs -->";
const endMark = "<!-- end of results -->";

/** Returns the names of the files that were written. */
export function writeDocs(result: BenchResult, directory = docsDirectory): readonly string[] {
  const page = join(directory, "benchmarks.md");
  const charts = [
    { file: "benchmarks.svg", title: "Throughput, processor time and latency", svg: renderLoadChart(result.rows) },
    { file: "benchmarks-growth.svg", title: "How the cost of a query grows", svg: renderGrowthChart(result.rows) },
  ].flatMap(({ file, title, svg }) => (svg === undefined ? [] : [{ file, title, svg }]));
  const images = charts.map(({ file, title }) => `![${title}](${file})`);
  const text = fillPage(readFileSync(page, "utf8"), resultsMarkdown(result, images));
  for (const { file, svg } of charts) writeFileSync(join(directory, file), svg);
  writeFileSync(page, text);
  return [page, ...charts.map(({ file }) => join(directory, file))];
}

export function fillPage(page: string, results: string): string {
  const begin = page.indexOf(beginMark);
  const end = page.indexOf(endMark);
  if (begin < 0 || end < begin) throw new BenchError(`docs/benchmarks.md lacks the lines\n  ${beginMark}\n  ${endMark}`);
  return `${page.slice(0, begin + beginMark.length)}\n\n${results}\n\n${page.slice(end)}`;
}

export function resultsMarkdown(result: BenchResult, images: readonly string[]): string {
  const { machine, versions, settings, startedAt } = result;
  const versionList = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const parts = [
    `Measured on ${startedAt.slice(0, 10)}: ${machine.cpu}, ${machine.cores} cores, ${formatNumber(machine.memoryMb / 1024)} GB, Linux ${machine.kernel};\n${versionList.join(", ")};\n${String(settings["rounds"])} rounds of ${String(settings["seconds"])} seconds, pools of ${String(settings["poolSize"])}.`,
    ...(result.isComplete ? [] : ["The run was cut short: some rows have fewer rounds."]),
    ...images,
    ...ratioTables(result.rows),
  ];
  if (result.memory.length > 0) parts.push("### Memory and starting up", markdownTable(memoryColumns, result.memory));
  parts.push("### All figures", ...details(result.rows));
  return parts.join("\n\n");
}

/** For each variant of the pooler: its ratios, a line for each load. */
function ratioTables(rows: readonly Row[]): readonly string[] {
  const own = rows.filter((row) => row.peer.startsWith("pooler") && row.ratioToPgbouncer !== null);
  const labels = [...new Set(own.map(peerLabel))];
  return labels.flatMap((label) => {
    const mine = own.filter((row) => peerLabel(row) === label && !row.scenario.startsWith("growth-"));
    return mine.length === 0 ? [] : [`### Ratios to PgBouncer: ${label}`, markdownTable(ratioColumns, mine)];
  });
}

const ratioColumns: readonly Column<Row>[] = [
  { title: "scenario", isNumber: false, text: ({ scenario }) => scenario },
  { title: "protocol", isNumber: false, text: ({ protocol }) => protocol },
  { title: "clients", isNumber: true, text: ({ clients }) => formatNumber(clients) },
  { title: "throughput", isNumber: true, text: (row) => ratioText(row, "tps") },
  { title: "CPU a query", isNumber: true, text: (row) => ratioText(row, "cpu") },
  { title: "p99", isNumber: true, text: (row) => ratioText(row, "p99") },
];

/** Bold where the whole interval is on the wrong side of one. */
function ratioText({ ratioToPgbouncer, ratioIntervals }: Row, figure: keyof Ratios & keyof RatioIntervals): string {
  const value = ratioToPgbouncer?.[figure] ?? null;
  if (value === null) return "–";
  const interval = ratioIntervals?.[figure] ?? null;
  const text = interval === null ? value.toFixed(2) : `${value.toFixed(2)} (${interval[0].toFixed(2)}–${interval[1].toFixed(2)})`;
  const isWorse = interval !== null && (figure === "tps" ? interval[1] < 1 : interval[0] > 1);
  return isWorse ? `**${text}**` : text;
}

function details(rows: readonly Row[]): readonly string[] {
  const scenarios = [...new Set(rows.map(({ scenario }) => scenario))];
  return scenarios.map((scenario) => {
    const tables = groupRows(rows.filter((row) => row.scenario === scenario && row.tps !== null)).map(
      (group) => `**${group.title}**\n\n${markdownTable(rowColumns, group.rows)}`,
    );
    return `<details>\n<summary>${scenario}</summary>\n\n${tables.join("\n\n")}\n\n</details>`;
  });
}
