// Calls, failures, verdicts and time of one plugin, as plain numbers in one typed array. Hot: written at every call.

/** Upper bounds of the latency buckets; one more bucket is open. */
export const latencyBucketsUs = [0.5, 1, 2, 5, 10, 20, 50, 100, 1_000, 10_000] as const;

const verdicts = 5;
const slotOf = { calls: 0, failures: 1, timeMs: 2, verdicts: 3, latency: 3 + verdicts } as const;

export class PluginCounters {
  readonly #slots = new Float64Array(slotOf.latency + latencyBucketsUs.length + 1);

  /** A call of pooler_route_query that took so long. */
  called(elapsedMs: number): void {
    this.#add(slotOf.calls, 1);
    this.#add(slotOf.timeMs, elapsedMs);
    const elapsedUs = elapsedMs * 1000;
    let bucket = 0;
    while (bucket < latencyBucketsUs.length && elapsedUs > (latencyBucketsUs[bucket] as number)) bucket++;
    this.#add(slotOf.latency + bucket, 1);
  }

  /** Time in hooks beside pooler_route_query. */
  spent(elapsedMs: number): void {
    this.#add(slotOf.timeMs, elapsedMs);
  }

  /** POOLER_SKIP … POOLER_INTERCEPT. */
  answered(verdict: number): void {
    this.#add(slotOf.verdicts + verdict, 1);
  }

  failed(): void {
    this.#add(slotOf.failures, 1);
  }

  get calls(): number {
    return this.#slots[slotOf.calls] as number;
  }

  get failures(): number {
    return this.#slots[slotOf.failures] as number;
  }

  get timeUs(): number {
    return Math.round((this.#slots[slotOf.timeMs] as number) * 1000);
  }

  get verdicts(): readonly [number, number, number, number, number] {
    const [skip = 0, forward = 0, error = 0, rewrite = 0, intercept = 0] = this.#slots.subarray(
      slotOf.verdicts,
      slotOf.verdicts + verdicts,
    );
    return [skip, forward, error, rewrite, intercept];
  }

  get latency(): readonly number[] {
    return [...this.#slots.subarray(slotOf.latency)];
  }

  #add(slot: number, value: number): void {
    this.#slots[slot] = (this.#slots[slot] as number) + value;
  }
}
