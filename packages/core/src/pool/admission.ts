// Whether a client may join those who wait for a server, or is told at once that it waits in vain: as many as the operator
// allows, and not more than can be served within their wait limit, as far as the last seconds show. Knows nothing of servers.

/** "full": max_waiting is reached; "slow": the wait limit would pass first. */
export type Refusal = "full" | "slow";

/** How long servings are counted before they say something. */
const windowMs = 1_000;
/** The best of so many windows counts: who is refused would have been refused in the pool's best second, too. */
const windowCount = 10;

export class Admission {
  /** 0: no limit. */
  maxWaiting = 0;
  /** Servings a second of the last windows, the latest at #latest; -1 where the queue was empty at some time and nothing is known. */
  readonly #rates = new Float64Array(windowCount).fill(-1);
  #latest = 0;
  #served = 0;
  /** Somebody has waited since the window began: the servings are all that the pool could do. */
  #saturated = false;
  #windowSinceMs = 0;

  /** One of those who waited has got a server; `left` still wait. */
  served(left: number): void {
    this.#served++;
    if (left === 0) this.#saturated = false;
  }

  /** Those who waited have left. */
  emptied(): void {
    this.#saturated = false;
  }

  /** The host is another one when it comes back. */
  forget(): void {
    this.#saturated = false;
    this.#rates.fill(-1);
  }

  tick(nowMs: number, waiting: number): void {
    const elapsedMs = nowMs - this.#windowSinceMs;
    if (elapsedMs < windowMs) return;
    this.#latest = (this.#latest + 1) % windowCount;
    this.#rates[this.#latest] = this.#saturated ? (this.#served * 1_000) / elapsedMs : -1;
    this.#served = 0;
    this.#saturated = waiting > 0;
    this.#windowSinceMs = nowMs;
  }

  /** Null: it may wait behind `waiting` others. `queryWaitMs` 0: for as long as it takes. */
  refusal(waiting: number, queryWaitMs: number, poolSize: number): Refusal | null {
    if (this.maxWaiting > 0 && waiting >= this.maxWaiting) return "full";
    if (queryWaitMs === 0 || waiting < poolSize) return null;
    return waiting >= (this.ratePerSecond * queryWaitMs) / 1_000 ? "slow" : null;
  }

  /** What the pool can do, at its best of late; infinite where nothing says so: it is not known to be overloaded, or it stands still. */
  get ratePerSecond(): number {
    if ((this.#rates[this.#latest] as number) < 0) return Number.POSITIVE_INFINITY;
    let best = 0;
    for (const rate of this.#rates) best = Math.max(best, rate);
    return best === 0 ? Number.POSITIVE_INFINITY : best;
  }
}
