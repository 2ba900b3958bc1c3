import { expect, test } from "vitest";
import { createCollector, type Subject } from "./collect.js";
import type { Sample } from "./scenarios/scenario.js";

const subject = (peer: string, more: Partial<Subject> = {}): Subject => ({
  scenario: "select-only",
  protocol: "simple",
  clients: 16,
  size: null,
  workers: 1,
  peer,
  io: null,
  poolSize: 10,
  ...more,
});

const sample = (tps: number, cpuUsPerQuery: number | null = 10, p99Ms: number | null = 2): Sample => ({
  tps,
  cpuUsPerQuery,
  p50Ms: 1,
  p99Ms,
  p999Ms: null,
  rssKb: 1000,
});

test("figures are medians over the rounds, ratios are medians of the ratios within each round", () => {
  const collector = createCollector();
  // The machine gets slower: medians of the two peers belong to different rounds.
  for (const [round, [own, theirs]] of [
    [110, 100],
    [60, 50],
    [22, 20],
  ].entries()) {
    collector.add(subject("pooler"), round, sample(own ?? 0, 12));
    collector.add(subject("pgbouncer"), round, sample(theirs ?? 0));
  }
  const [pooler, pgbouncer] = collector.rows();
  expect(pooler).toMatchObject({ peer: "pooler", rounds: 3, tps: 60, cpuUsPerQuery: 12, rssKb: 1000, p999Ms: null });
  expect(pooler?.ratioToPgbouncer?.tps).toBeCloseTo(1.1);
  expect(pooler?.ratioToPgbouncer?.cpu).toBeCloseTo(1.2);
  expect(pooler?.ratioToPgbouncer?.p99).toBe(1);
  const [low, high] = pooler?.ratioIntervals?.tps ?? [0, 0];
  expect(low).toBeLessThan(1.1);
  expect(high).toBeGreaterThan(1.1);
  expect(pgbouncer?.ratioToPgbouncer).toEqual({ tps: 1, cpu: 1, p99: 1 });
});

test("a round that one of the two missed has no ratio", () => {
  const collector = createCollector();
  collector.add(subject("pgbouncer"), 1, sample(100));
  collector.add(subject("pooler"), 0, sample(500));
  collector.add(subject("pooler"), 1, sample(120));
  expect(collector.rows()[1]?.ratioToPgbouncer?.tps).toBeCloseTo(1.2);
  expect(collector.rows()[1]?.ratioIntervals?.tps).toBeNull();
});

test("only the same load is compared, with any number of workers", () => {
  const collector = createCollector();
  collector.add(subject("pgbouncer"), 0, sample(100));
  collector.add(subject("pooler", { workers: 2 }), 0, sample(150));
  collector.add(subject("pooler", { clients: 100 }), 0, sample(999));
  collector.add(subject("pooler", { size: 7 }), 0, sample(999));
  expect(collector.rows().map((row) => row.ratioToPgbouncer?.tps)).toEqual([1, 1.5, undefined, undefined]);
});

test("PostgreSQL itself has no processor time of a pooler", () => {
  const collector = createCollector();
  collector.add(subject("pgbouncer"), 0, sample(100));
  collector.add(subject("direct"), 0, sample(200, null));
  expect(collector.rows()[1]).toMatchObject({ cpuUsPerQuery: null, ratioToPgbouncer: { tps: 2, cpu: null } });
});

test("who was announced and not measured has a row of nulls, in the order of the announcements", () => {
  const collector = createCollector();
  collector.announce(subject("pgbouncer"));
  collector.announce(subject("pooler"));
  collector.add(subject("pooler"), 0, sample(100));
  expect(collector.rows()).toMatchObject([
    { peer: "pgbouncer", rounds: 0, tps: null, cpuUsPerQuery: null, p50Ms: null, p99Ms: null, rssKb: null, ratioToPgbouncer: null },
    { peer: "pooler", rounds: 1, tps: 100, ratioToPgbouncer: null, ratioIntervals: null },
  ]);
});
