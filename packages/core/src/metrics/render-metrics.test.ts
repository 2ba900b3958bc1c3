import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseConfig } from "../config/load-config.js";
import sample from "../supervisor/fixtures/worker-snapshot.json" with { type: "json" };
import type { WorkerSnapshot } from "../supervisor/ipc.js";
import { createCounterLedger } from "./counter-ledger.js";
import { metricFamilies } from "./metric-families.js";
import type { PoolerView } from "./pooler-view.js";
import { renderMetrics } from "./render-metrics.js";

const config = parseConfig(
  `[databases.app]
shards = [{ primary = "postgres://db1/app", replicas = ["postgres://db1r:5433/app"] }]
[users.alice]
password = "alice's"
[[plugins]]
name = "@acme/audit"
`,
  "/etc/pooler.toml",
  { resolvePlugin: (name) => ({ library: `/opt/${name}.so`, source: "package", packageVersion: "1.0.0", schema: null }) },
);

function view(...snapshots: readonly WorkerSnapshot[]): PoolerView {
  const ledger = createCounterLedger(0);
  for (const snapshot of snapshots) ledger.observe(snapshot);
  return {
    config,
    version: "1.2.3",
    atMs: 1_767_225_660_000,
    startedAtMs: 1_767_225_600_000,
    supervisorMemoryBytes: 40_000_000,
    workers: snapshots.map(({ worker, processId }) => ({ worker, processId, state: "ready" })),
    workerRestarts: 3,
    snapshots,
    counters: ledger.counters(),
    recent: ledger.recent(60_000),
    paused: new Set(["app"]),
    pluginHealth: [
      {
        state: "disabled",
        hooks: new Map([["route_query", { crashes: 3, hangs: 1 }]]),
        last: { plugin: 0, hook: "route_query", hung: true, worker: 1, atMs: 1_767_225_640_000 },
      },
    ],
  };
}

const worker = sample as unknown as WorkerSnapshot;

test("counters, gauges and labels come out as Prometheus reads them", async () => {
  const text = await renderMetrics(view(worker), "prometheus");
  const lines = text.split("\n");
  expect(lines).toContain(`pooler_build_info{version="1.2.3",node="${process.versions.node}"} 1`);
  expect(lines).toContain("# TYPE pooler_queries_total counter");
  expect(lines).toContain('pooler_queries_total{database="app"} 250');
  expect(lines).toContain('pooler_wait_seconds_total{database="app"} 0.03');
  expect(lines).toContain("pooler_worker_restarts_total 3");
  expect(lines).toContain('pooler_worker_info{worker="1",io="sockets"} 1');
  expect(lines).toContain('pooler_clients{database="app",state="waiting"} 1');
  expect(lines).toContain('pooler_clients{database="app",state="idle"} 0');
  expect(lines).toContain('pooler_servers{database="app",user="alice",host="db1:5432",shard="0",role="primary",state="idle"} 2');
  expect(lines).toContain('pooler_host_up{database="app",shard="0",role="replica",host="db1r:5433"} 0');
  expect(lines).toContain('pooler_database_paused{database="app"} 1');
  expect(lines).toContain('pooler_plugin_verdicts_total{plugin="@pooler/plugin-read-write-split",verdict="forward"} 150');
  expect(lines).toContain('pooler_plugin_crashes_total{plugin="@acme/audit",hook="route_query"} 3');
  expect(lines).toContain('pooler_plugin_hangs_total{plugin="@acme/audit",hook="route_query"} 1');
  expect(lines).toContain('pooler_plugin_out_of_service{plugin="@acme/audit"} 1');
  expect(lines).toContain('pooler_process_resident_memory_bytes{process="worker-1"} 50000000');
});

test("latency is a histogram that accumulates over its buckets", async () => {
  const lines = (await renderMetrics(view(worker), "prometheus")).split("\n");
  const plugin = 'plugin="@pooler/plugin-read-write-split"';
  expect(lines).toContain("# TYPE pooler_plugin_call_seconds histogram");
  expect(lines).toContain(`pooler_plugin_call_seconds_bucket{le="5e-7",${plugin}} 10`);
  expect(lines).toContain(`pooler_plugin_call_seconds_bucket{le="0.000001",${plugin}} 100`);
  expect(lines).toContain(`pooler_plugin_call_seconds_bucket{le="0.01",${plugin}} 199`);
  expect(lines).toContain(`pooler_plugin_call_seconds_bucket{le="+Inf",${plugin}} 200`);
  expect(lines).toContain(`pooler_plugin_call_seconds_count{${plugin}} 200`);
  expect(lines).toContain(`pooler_plugin_call_seconds_sum{${plugin}} 0.0003`);
});

test("OpenMetrics ends as it must and names counters by their family", async () => {
  const text = await renderMetrics(view(worker), "openMetrics");
  const lines = text.split("\n");
  expect(text.endsWith("# EOF\n")).toBe(true);
  expect(lines).toContain("# TYPE pooler_queries counter");
  expect(lines).toContain('pooler_queries_total{database="app"} 250');
});

test("workers are added up, and a plugin that stands in the chain twice is one", async () => {
  const [first] = worker.plugins;
  if (first === undefined) throw new Error("the sample has no plugin");
  const twice = { ...worker, plugins: [first, first] };
  const lines = (await renderMetrics(view(twice, { ...twice, worker: 2, processId: 4_712 }), "prometheus")).split("\n");
  expect(lines).toContain('pooler_queries_total{database="app"} 500');
  expect(lines).toContain('pooler_plugin_calls_total{plugin="@pooler/plugin-read-write-split"} 800');
  expect(lines).toContain('pooler_plugin_call_seconds_bucket{le="+Inf",plugin="@pooler/plugin-read-write-split"} 800');
  expect(lines).toContain('pooler_servers{database="app",user="alice",host="db1:5432",shard="0",role="primary",state="idle"} 4');
});

test("a pooler without any worker still answers", async () => {
  const text = await renderMetrics(view(), "prometheus");
  expect(text).toContain("pooler_workers_ready 0");
});

test("every name begins with pooler_, counters end in _total, and help says what it is", () => {
  for (const { name, type, help } of metricFamilies) {
    expect(name).toMatch(/^pooler_[a-z_]+$/);
    expect(name.endsWith("_total"), name).toBe(type === "counter");
    expect(help).toMatch(/\.$/);
  }
  expect(new Set(metricFamilies.map(({ name }) => name)).size).toBe(metricFamilies.length);
});

test("docs/metrics.md has a line for each metric, with its type, labels and meaning", () => {
  const text = readFileSync(new URL("../../../../docs/metrics.md", import.meta.url), "utf8");
  const rows = text.split("\n").filter((line) => line.startsWith("| `pooler_"));
  // However wide a formatter made the columns.
  const documented = rows.map((row) =>
    row
      .split("|")
      .map((cell) => cell.trim())
      .join("|"),
  );
  const expected = metricFamilies.map(
    ({ name, type, labels, help }) => `|\`${name}\`|${type}|${labels.map((label) => `\`${label}\``).join(", ")}|${help}|`,
  );
  expect(documented).toEqual(expected);
});
