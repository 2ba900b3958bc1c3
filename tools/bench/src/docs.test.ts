import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { renderGrowthChart, renderLoadChart } from "./charts.js";
import { fillPage, resultsMarkdown, writeDocs } from "./docs.js";
import { readResults } from "./read-result.js";
import type { BenchResult, Row } from "./result.js";

const directory = mkdtempSync(join(tmpdir(), "bench-docs-"));
afterAll(() => rmSync(directory, { recursive: true }));

const row = (peer: string, more: Partial<Row> = {}): Row => ({
  scenario: "select-only",
  protocol: "simple",
  clients: 16,
  size: null,
  workers: 1,
  peer,
  io: null,
  poolSize: 10,
  rounds: 7,
  tps: 20_000,
  cpuUsPerQuery: 15,
  p50Ms: 0.5,
  p99Ms: 2,
  p999Ms: null,
  rssKb: 8192,
  ratioToPgbouncer: { tps: 1, cpu: 1, p99: 1 },
  ratioIntervals: { tps: [1, 1], cpu: [1, 1], p99: [1, 1] },
  ...more,
});

const result = (rows: readonly Row[], more: Partial<BenchResult> = {}): BenchResult => ({
  startedAt: "2026-01-02T03:04:05.678Z",
  durationSeconds: 60,
  isComplete: true,
  machine: { cpu: "A processor", cores: 2, memoryMb: 8192, platform: "linux-x64", kernel: "6.1", loadAverage: 0.1 },
  versions: { pooler: "1.0.0", pgbouncer: "1.25.2" },
  settings: { rounds: 7, seconds: 5, poolSize: 10, scale: 10 },
  rows,
  memory: [],
  failures: [],
  ...more,
});

function file(name: string, content: unknown): string {
  const path = join(directory, name);
  writeFileSync(path, JSON.stringify(content));
  return path;
}

describe("results as Markdown", () => {
  test("a ratio is bold when its whole interval is on the wrong side of one", () => {
    const worse = row("pooler", {
      ratioToPgbouncer: { tps: 0.9, cpu: 1.2, p99: 0.8 },
      ratioIntervals: { tps: [0.85, 0.95], cpu: [0.99, 1.4], p99: [0.7, 0.9] },
    });
    const text = resultsMarkdown(result([row("pgbouncer"), worse]), []);
    expect(text).toContain("### Ratios to PgBouncer: pooler\n");
    expect(text).toContain("| **0.90 (0.85–0.95)** | 1.20 (0.99–1.40) | 0.80 (0.70–0.90) |");
  });

  test("machine, versions and rounds are told, and that a run was cut short", () => {
    const text = resultsMarkdown(result([row("pgbouncer")], { isComplete: false }), ["![chart](x.svg)"]);
    expect(text).toContain("Measured on 2026-01-02: A processor, 2 cores, 8 GB, Linux 6.1;");
    expect(text).toContain("pooler 1.0.0, pgbouncer 1.25.2;\n7 rounds of 5 seconds, pools of 10.");
    expect(text).toContain("The run was cut short");
    expect(text).toContain("![chart](x.svg)");
  });

  test("what was not measured has no line in the tables of all figures", () => {
    expect(resultsMarkdown(result([row("pgbouncer"), row("pooler-multiplex", { tps: null, ratioToPgbouncer: null })]), [])).not.toContain(
      "multiplex",
    );
  });
});

describe("the page", () => {
  const marks = "<!-- results: written by pnpm bench --docs -->\nold\n<!-- end of results -->";

  test("keeps every word around the marks, however often it is filled", () => {
    const once = fillPage(`before\n\n${marks}\n\nafter\n`, "new");
    expect(once).toBe("before\n\n<!-- results: written by pnpm bench --docs -->\n\nnew\n\n<!-- end of results -->\n\nafter\n");
    expect(fillPage(once, "new")).toBe(once);
  });

  test("without the marks is not touched", () => {
    expect(() => fillPage("by hand\n", "new")).toThrow("docs/benchmarks.md lacks the lines");
  });

  test("gets its charts beside it", () => {
    writeFileSync(join(directory, "benchmarks.md"), `# Benchmarks\n${marks}\n`);
    const rows = [row("pgbouncer"), row("pooler"), row("pooler", { scenario: "growth-clients", clients: 1000 })];
    const written = writeDocs(result(rows), directory);
    expect(written.map((path) => path.slice(directory.length + 1))).toEqual(["benchmarks.md", "benchmarks.svg", "benchmarks-growth.svg"]);
    expect(readFileSync(join(directory, "benchmarks.md"), "utf8")).toContain("](benchmarks-growth.svg)");
    expect(readFileSync(join(directory, "benchmarks.svg"), "utf8")).toMatch(/^<svg /);
  });
});

describe("charts", () => {
  test("there is a panel for each scenario, figure and protocol, and a line for each peer and number of workers", () => {
    const svg = renderLoadChart([
      row("pgbouncer"),
      row("pooler"),
      row("pooler", { workers: 2 }),
      row("pooler", { protocol: "prepared", clients: 100 }),
    ]);
    expect(svg?.match(/<g transform/g)).toHaveLength(6);
    expect(svg).toContain("pooler (2 workers)");
    expect(svg).toContain("select-only, prepared: p99 ms");
  });

  test("growth has panels of its own", () => {
    const rows = [10, 100].map((size) => row("pooler", { scenario: "growth-statements", size }));
    expect(renderGrowthChart(rows)).toContain("CPU µs a query against prepared statements");
    expect(renderLoadChart(rows)).toBeUndefined();
    expect(renderGrowthChart([row("pooler")])).toBeUndefined();
  });
});

describe("files of results", () => {
  test("what --json writes comes back, and of several the later rows about the same stay", () => {
    const first = file("first.json", result([row("pgbouncer"), row("pooler", { tps: 1 })], { versions: { pgcat: "1.2" } }));
    const second = file("second.json", result([row("pooler", { tps: 2 }), row("pooler", { tps: 3, size: 10 })], { isComplete: false }));
    expect(readResults([first])).toEqual(result([row("pgbouncer"), row("pooler", { tps: 1 })], { versions: { pgcat: "1.2" } }));
    const both = readResults([first, second]);
    expect(both.rows.map(({ peer, tps }) => [peer, tps])).toEqual([
      ["pgbouncer", 20_000],
      ["pooler", 2],
      ["pooler", 3],
    ]);
    expect(both).toMatchObject({ isComplete: false, durationSeconds: 120, versions: { pgcat: "1.2", pooler: "1.0.0" } });
  });

  test("another file is refused with its name", () => {
    expect(() => readResults([file("other.json", { rows: [] })])).toThrow("other.json was not written by pnpm bench --json");
    expect(() => readResults([join(directory, "none.json")])).toThrow("none.json cannot be read as JSON");
  });
});
