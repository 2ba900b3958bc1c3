import { expect, test } from "vitest";
import { durationPattern, formatDurationMs, formatSizeBytes, parseDurationMs, parseSizeBytes, sizePattern } from "./units.js";

test.each([
  ["250ms", 250],
  ["5s", 5_000],
  ["1.5s", 1_500],
  ["2m", 120_000],
  ["1h", 3_600_000],
  ["1d", 86_400_000],
])("the duration %s is %d ms", (text, ms) => {
  expect(durationPattern.test(text)).toBe(true);
  expect(parseDurationMs(text)).toBe(ms);
});

test.each(["", "5", "s", "5 s", "-5s", "5S", "5min", "5sec", "1h30m", "5ss", "٣s"])("%j is no duration", (text) => {
  expect(durationPattern.test(text)).toBe(false);
});

test.each([
  ["64MB", 67_108_864],
  ["512kB", 524_288],
  ["512KB", 524_288],
  ["1GB", 1_073_741_824],
  ["100B", 100],
])("the size %s is %d bytes", (text, bytes) => {
  expect(sizePattern.test(text)).toBe(true);
  expect(parseSizeBytes(text)).toBe(bytes);
});

test.each(["", "64", "64M", "64mb", "-1MB", "64 MB", "64TB"])("%j is no size", (text) => {
  expect(sizePattern.test(text)).toBe(false);
});

test("what is shown reads back as the same, in the largest unit that divides it", () => {
  expect([0, 1, 250, 1_000, 90_000, 120_000, 3_600_000].map(formatDurationMs)).toEqual(["0", "1ms", "250ms", "1s", "90s", "2m", "1h"]);
  expect([0, 100, 16_384, 67_108_864].map(formatSizeBytes)).toEqual(["0", "100B", "16kB", "64MB"]);
});
