import { expect, test } from "vitest";
import sample from "../supervisor/fixtures/worker-snapshot.json" with { type: "json" };
import type { WorkerSnapshot } from "../supervisor/ipc.js";
import { createCounterLedger, historyMs, sumDatabases } from "./counter-ledger.js";

const first = sample as unknown as WorkerSnapshot;

/** The same worker or another, `factor` times as busy. */
function snapshot(worker: number, processId: number, factor: number): WorkerSnapshot {
  return {
    ...first,
    worker,
    processId,
    stats: first.stats.map((stats) => ({ ...stats, queries: stats.queries * factor, queryUs: stats.queryUs * factor })),
    plugins: first.plugins.map((plugin) => ({
      ...plugin,
      calls: plugin.calls * factor,
      latency: plugin.latency.map((calls) => calls * factor),
    })),
    totals: { ...first.totals, clientsAccepted: first.totals.clientsAccepted * factor },
  };
}

test("the counters of all workers are added up", () => {
  const ledger = createCounterLedger(0);
  ledger.observe(snapshot(1, 100, 1));
  ledger.observe(snapshot(2, 200, 2));
  const { databases, plugins, totals } = ledger.counters();
  expect(databases.get("app")).toMatchObject({ queries: 750, transactions: 200 });
  expect(plugins.map(({ name, calls }) => [name, calls])).toEqual([
    ["@pooler/plugin-read-write-split", 600],
    ["./libaudit.so", 0],
  ]);
  expect(plugins[0]?.verdicts).toEqual([40, 300, 20, 30, 10]);
  expect(plugins[0]?.latency[1]).toBe(270);
  expect(totals.clientsAccepted).toBe(36);
});

test("what a worker says again replaces what it said before", () => {
  const ledger = createCounterLedger(0);
  ledger.observe(snapshot(1, 100, 1));
  ledger.observe(snapshot(1, 100, 3));
  expect(ledger.counters().databases.get("app")?.queries).toBe(750);
});

test("a worker that died keeps what it had counted, and its successor begins at nothing", () => {
  const ledger = createCounterLedger(0);
  ledger.observe(snapshot(1, 100, 4));
  ledger.observe(snapshot(1, 101, 0));
  expect(ledger.counters().databases.get("app")?.queries).toBe(1_000);
  ledger.observe(snapshot(1, 101, 1));
  ledger.observe(snapshot(1, 102, 1));
  expect(ledger.counters()).toMatchObject({ totals: { clientsAccepted: 12 * 6 } });
  expect(ledger.counters().databases.get("app")?.queries).toBe(1_500);
  expect(ledger.counters().plugins[0]).toMatchObject({ calls: 1_200, version: "0.1.0" });
});

test("a database that a reload removed does not take its past with it", () => {
  const ledger = createCounterLedger(0);
  ledger.observe(snapshot(1, 100, 1));
  ledger.observe({ ...snapshot(1, 100, 1), stats: [] });
  expect(ledger.counters().databases.get("app")?.queries).toBe(250);
});

test("a plugin that stands in the chain twice has two entries", () => {
  const ledger = createCounterLedger(0);
  const twice = first.plugins[0];
  if (twice === undefined) throw new Error("the sample has no plugin");
  ledger.observe({ ...first, plugins: [twice, twice] });
  expect(ledger.counters().plugins).toHaveLength(2);
});

test("recent stats cover what happened since the start, then the last minute", () => {
  const ledger = createCounterLedger(1_000);
  ledger.observe(snapshot(1, 100, 1));
  expect(ledger.recent(11_000)).toMatchObject({ seconds: 10 });
  expect(ledger.recent(11_000).databases.get("app")?.queries).toBe(250);
  ledger.sample(11_000);
  ledger.observe(snapshot(1, 100, 3));
  ledger.sample(41_000);
  const later = 11_000 + historyMs;
  expect(ledger.recent(later).seconds).toBe(60);
  expect(ledger.recent(later).databases.get("app")?.queries).toBe(500);
  ledger.sample(41_000 + historyMs);
  expect(ledger.recent(41_000 + historyMs).databases.get("app")?.queries).toBe(0);
});

test("databases are summed for the line that covers all of them", () => {
  const [stats] = first.stats;
  if (stats === undefined) throw new Error("the sample has no stats");
  expect(sumDatabases([stats, { ...stats, database: "other" }])).toMatchObject({ queries: 500, errors: 4 });
  expect(sumDatabases([])).toMatchObject({ queries: 0 });
});
