import { describe, expect, test } from "vitest";
import { median, percentile, ratioInterval } from "./statistics.js";

describe("medians and percentiles", () => {
  test("the median of an even number of values lies between the middle two, in whatever order they come", () => {
    expect(median([9, 1, 3])).toBe(3);
    expect(median([4, 1, 10, 2])).toBe(3);
  });

  test("percentiles are interpolated between neighbours", () => {
    const values = Array.from({ length: 101 }, (_, index) => index);
    expect(percentile(values, 0.99)).toBe(99);
    expect(percentile([10, 20], 0.25)).toBe(12.5);
    expect(percentile([7], 0.999)).toBe(7);
    expect(percentile([], 0.5)).toBeNaN();
  });
});

describe("the interval of a ratio", () => {
  test("is what Student's t says of the logarithms", () => {
    // Logarithms -0.1, 0, 0.1: mean 0, standard deviation 0.1, t for two degrees of freedom 4.303.
    const half = (4.303 * 0.1) / Math.sqrt(3);
    const [low, high] = ratioInterval([Math.exp(-0.1), 1, Math.exp(0.1)]) ?? [0, 0];
    expect(low).toBeCloseTo(Math.exp(-half), 6);
    expect(high).toBeCloseTo(Math.exp(half), 6);
  });

  test("twice and half lie at the same distance from one", () => {
    const [low, high] = ratioInterval([0.5, 2]) ?? [0, 0];
    expect(low * high).toBeCloseTo(1, 9);
  });

  test("narrows as rounds are added", () => {
    const rounds = [1.02, 0.98, 1.01, 0.99, 1.03, 0.97, 1];
    const width = (count: number): number => {
      const [low, high] = ratioInterval(rounds.slice(0, count)) ?? [0, 0];
      return high - low;
    };
    expect(width(7)).toBeLessThan(width(4));
  });

  test("one round has none", () => {
    expect(ratioInterval([1.2])).toBeNull();
  });
});
