import { describe, expect, test } from "vitest";
import { latenciesOf, parseLatencies, parseProgress, parseSummary, seconds, transactionsBetween } from "./pgbench-output.js";

describe("what pgbench prints", () => {
  test("progress lines tell time and throughput, of version 13 as of 15", () => {
    expect(parseProgress("progress: 2.0 s, 24555.7 tps, lat 0.574 ms stddev 0.770, 0 failed")).toEqual({ elapsedSeconds: 2, tps: 24555.7 });
    expect(parseProgress("progress: 1.0 s, 9.5 tps, lat 0.574 ms stddev 0.770")).toEqual({ elapsedSeconds: 1, tps: 9.5 });
    expect(parseProgress("pgbench (15.18, server 18.4)")).toBeUndefined();
  });

  test("throughput leaves the time to connect out, unless every transaction connects", () => {
    const counted = "number of transactions actually processed: 67201\n";
    const report = `${counted}number of failed transactions: 3 (0.004%)\ntps = 23256.30 (without initial connection time)\n`;
    expect(parseSummary(report)).toEqual({ transactions: 67201, failed: 3, tps: 23256.3 });
    const old = `${counted}tps = 20.5 (including connections establishing)\ntps = 22.5 (excluding connections establishing)\n`;
    expect(parseSummary(old)?.tps).toBe(22.5);
    expect(parseSummary(`${counted}tps = 512.5 (including reconnection times)\n`)?.tps).toBe(512.5);
  });

  test("output without a report is none", () => {
    expect(parseSummary("pgbench: error: connection to server failed")).toBeUndefined();
  });
});

test("between the first mark and the last, only what was done after the first counts", () => {
  const marks = [
    { elapsedSeconds: 1, tps: 500 },
    { elapsedSeconds: 2, tps: 1000 },
    { elapsedSeconds: 4, tps: 2000 },
  ];
  expect(transactionsBetween(marks)).toBe(5000);
  expect(seconds(marks)).toBe(3);
  expect(transactionsBetween(marks.slice(0, 1))).toBe(0);
  expect(seconds([])).toBe(0);
});

describe("latencies", () => {
  test("are those of the transactions that ended after the warm-up, in whatever order they are logged", () => {
    const log = ["0 2 3000 0 101 600000", "0 1 9999 0 100 500000", "1 1 1000 0 101 500001", "1 2 2000 0 102 0"].join("\n");
    expect(parseLatencies(log, 1)).toMatchObject({ samples: 3, p50Ms: 2 });
    expect(parseLatencies(log, 0)).toMatchObject({ samples: 4 });
  });

  test("a log without a transaction has none", () => {
    expect(parseLatencies("", 1)).toBeUndefined();
    expect(parseLatencies("0 1 5 0 100 0\n", 1)).toBeUndefined();
  });

  test("p99.9 is not told from a handful of samples", () => {
    const ascending = (count: number): Float64Array => Float64Array.from({ length: count }, (_, index) => index);
    expect(latenciesOf(ascending(9_999)).p999Ms).toBeNull();
    expect(latenciesOf(ascending(10_001))).toEqual({ samples: 10_001, p50Ms: 5, p99Ms: 9.9, p999Ms: 9.99 });
  });
});
