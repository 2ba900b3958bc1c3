import { expect, test } from "vitest";
import type { MemoryRow, Row } from "./result.js";
import { formatNumber, formatRatio, markdownTable, memoryColumns, plainTable, report, rowColumns } from "./table.js";

const row = (peer: string, more: Partial<Row> = {}): Row => ({
  scenario: "select-only",
  protocol: "simple",
  clients: 16,
  size: null,
  workers: 1,
  peer,
  io: null,
  poolSize: 10,
  rounds: 3,
  tps: 25_612.4,
  cpuUsPerQuery: 17.46,
  p50Ms: 0.5,
  p99Ms: 1.234,
  p999Ms: null,
  rssKb: 8192,
  ratioToPgbouncer: { tps: 1.04, cpu: 0.98, p99: null },
  ratioIntervals: { tps: [1.01, 1.07], cpu: null, p99: null },
  ...more,
});

const memory: MemoryRow = {
  peer: "pooler",
  workers: 2,
  io: "auto",
  rounds: 3,
  startToFirstQueryMs: 312.4,
  baseRssKb: 61_440,
  largestProcessRssKb: 51_200,
  idleClients: 10_000,
  connectMs: 1_234,
  serveMs: 600,
  bytesPerIdleClient: 812.3,
};

test("a table for the terminal has its numbers under each other", () => {
  expect(plainTable(rowColumns, [row("pgbouncer"), row("pooler", { workers: 2, tps: 990 })])).toBe(
    [
      "peer                   tps  CPU µs  p50 ms  p99 ms  p99.9 ms  RSS MB             tps ×  CPU ×  p99 ×",
      "pgbouncer           25,612    17.5    0.50    1.23         –     8.0  1.04 (1.01–1.07)   0.98      –",
      "pooler (2 workers)     990    17.5    0.50    1.23         –     8.0  1.04 (1.01–1.07)   0.98      –",
    ].join("\n"),
  );
});

test("Markdown aligns numbers to the right and keeps bars in names", () => {
  const lines = markdownTable(memoryColumns, [{ ...memory, peer: "a|b", workers: 1 }]).split("\n");
  expect(lines[1]).toBe("|---|--:|--:|--:|--:|--:|--:|--:|");
  expect(lines[2]).toBe("| a\\|b | 312 | 60.0 | 50.0 | 10,000 | 1,234 | 600 | 812 |");
});

test("each load is a table of its own", () => {
  const text = report([row("pgbouncer"), row("pooler", { size: 1000, clients: 1 }), row("pooler")], [memory]);
  expect(text.split("\n").filter((line) => !line.startsWith(" ") && line !== "")).toEqual([
    "select-only, simple, 16 clients",
    "select-only, 1,000, simple, 1 client",
    "memory",
  ]);
});

test("what was not measured is a dash, and small numbers keep their digits", () => {
  expect(formatNumber(null)).toBe("–");
  expect(formatNumber(Number.NaN)).toBe("–");
  expect(formatNumber(0.4567)).toBe("0.46");
  expect(formatNumber(5)).toBe("5");
  expect(formatRatio(null, null)).toBe("–");
  expect(formatRatio(1, [1, 1])).toBe("1.00");
});
