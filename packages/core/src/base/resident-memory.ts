// How much memory this process holds.

/** Bytes; null when the system does not tell: without a free descriptor, for one. */
export function residentMemoryBytes(): number | null {
  try {
    return process.memoryUsage.rss();
  } catch {
    return null;
  }
}
