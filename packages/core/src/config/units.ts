// Durations and sizes as people write them in the configuration, and back.

const durationUnitsMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
// Powers of 1024, as in PostgreSQL's own settings.
const sizeUnitsBytes = { B: 1, kB: 1_024, MB: 1_024 ** 2, GB: 1_024 ** 3 } as const;

export const durationPattern = /^\d+(\.\d+)?(ms|s|m|h|d)$/;
export const sizePattern = /^\d+(\.\d+)?(B|[kK]B|MB|GB)$/;

/** Whole milliseconds of a text that matches durationPattern; NaN of any other. */
export function parseDurationMs(text: string): number {
  return Math.round(amountIn(text, durationUnitsMs));
}

/** Whole bytes of a text that matches sizePattern; NaN of any other. */
export function parseSizeBytes(text: string): number {
  return Math.round(amountIn(text.replace(/KB$/, "kB"), sizeUnitsBytes));
}

/** In the largest unit that divides it: 90000 is "90s", 3600000 "1h", 0 "0". */
export function formatDurationMs(ms: number): string {
  return inLargestUnit(ms, durationUnitsMs);
}

export function formatSizeBytes(bytes: number): string {
  return inLargestUnit(bytes, sizeUnitsBytes);
}

function amountIn(text: string, units: Readonly<Record<string, number>>): number {
  const unit = text.replace(/^[\d.]+/, "");
  return Number(text.slice(0, text.length - unit.length)) * (units[unit] ?? Number.NaN);
}

function inLargestUnit(amount: number, units: Readonly<Record<string, number>>): string {
  if (amount === 0) return "0";
  const fitting = Object.entries(units).filter(([, size]) => amount % size === 0);
  const [name, size] = fitting.at(-1) ?? ["", 1];
  return `${amount / size}${name}`;
}
