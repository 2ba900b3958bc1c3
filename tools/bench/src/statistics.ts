// Medians, percentiles and intervals. Knows numbers alone.

export function median(values: readonly number[]): number {
  return percentile(sorted(values), 0.5);
}

export function sorted(values: readonly number[]): readonly number[] {
  return [...values].sort((a, b) => a - b);
}

/** Of values in ascending order; between two of them it is interpolated. NaN when there are none. */
export function percentile(ascending: ArrayLike<number>, share: number): number {
  const place = share * (ascending.length - 1);
  const below = Math.floor(place);
  const low = ascending[below] ?? Number.NaN;
  const high = ascending[below + 1] ?? low;
  return low + (high - low) * (place - below);
}

export type Interval = readonly [low: number, high: number];

/**
 * Where the typical ratio lies with 95 % confidence: Student's t on the logarithms, so that 2 and 1/2 are equally far from 1. Null for
 * less than two ratios, which tell nothing of how they spread.
 */
export function ratioInterval(ratios: readonly number[]): Interval | null {
  const count = ratios.length;
  if (count < 2) return null;
  const logarithms = ratios.map(Math.log);
  const mean = logarithms.reduce((sum, value) => sum + value, 0) / count;
  const variance = logarithms.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  const half = studentT(count - 1) * Math.sqrt(variance / count);
  return [Math.exp(mean - half), Math.exp(mean + half)];
}

/** Two-sided 95 % quantiles of Student's t distribution for 1 to 30 degrees of freedom. */
const studentTs = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086,
  2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

function studentT(degreesOfFreedom: number): number {
  return studentTs[degreesOfFreedom - 1] ?? 1.96;
}
