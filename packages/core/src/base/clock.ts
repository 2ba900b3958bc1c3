// Time as an argument: whoever waits or measures takes a Clock, so that tests advance it by hand instead of sleeping.
import { performance } from "node:perf_hooks"; // the global one is looked up by a function at each use

export interface Timer {
  /** Does nothing when it has fired or was cancelled already. */
  cancel(): void;
  /** This timer alone must not keep the process alive. Returns itself. */
  unref(): Timer;
}

export interface Clock {
  /** Monotonic, with fractions; for durations. Its origin means nothing. */
  nowMs(): number;
  /** Milliseconds since 1970; for what people read. May jump. */
  wallMs(): number;
  /** Calls `fn` once, after at least `delayMs`; never within this call. */
  setTimer(delayMs: number, fn: () => void): Timer;
}

/** What setTimeout can hold: more would fire at once. */
export const longestTimerMs = 2 ** 31 - 1;

/** Within a batch of events one look at the time serves all of them. */
export interface TurnClock extends Clock {
  /** nowMs() says what it is now until goOn(). Answers that, too. */
  stand(): number;
  goOn(): void;
}

export function createClock(): TurnClock {
  return new SystemClock();
}

class SystemClock implements TurnClock {
  #standsAtMs = -1;

  nowMs(): number {
    return this.#standsAtMs >= 0 ? this.#standsAtMs : performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    return new SystemTimer(delayMs, fn);
  }

  stand(): number {
    this.#standsAtMs = performance.now();
    return this.#standsAtMs;
  }

  goOn(): void {
    this.#standsAtMs = -1;
  }
}

class SystemTimer implements Timer {
  readonly #timeout: NodeJS.Timeout;

  constructor(delayMs: number, fn: () => void) {
    this.#timeout = setTimeout(fn, Math.min(delayMs, longestTimerMs));
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }

  unref(): Timer {
    this.#timeout.unref();
    return this;
  }
}

/** For tests: time stands still until advance(). */
export interface FakeClock extends Clock {
  /** Timers that have neither fired nor been cancelled. */
  readonly pendingTimers: number;
  /** Move on by `ms`; timers that come due fire in the order of their times, also those set meanwhile. */
  advance(ms: number): void;
}

export function createFakeClock(startWallMs = Date.UTC(2026, 0, 1)): FakeClock {
  let elapsedMs = 0;
  let timers: FakeTimer[] = [];

  class FakeTimer implements Timer {
    readonly dueMs: number;
    readonly fn: () => void;

    constructor(dueMs: number, fn: () => void) {
      this.dueMs = dueMs;
      this.fn = fn;
    }

    cancel(): void {
      timers = timers.filter((timer) => timer !== this);
    }

    unref(): Timer {
      return this;
    }
  }

  const nextDueBy = (untilMs: number): FakeTimer | undefined => {
    let next: FakeTimer | undefined;
    for (const timer of timers) {
      if (timer.dueMs <= untilMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  };

  return {
    nowMs: () => elapsedMs,
    wallMs: () => startWallMs + elapsedMs,
    setTimer(delayMs, fn) {
      const timer = new FakeTimer(elapsedMs + Math.max(0, delayMs), fn);
      timers.push(timer);
      return timer;
    },
    get pendingTimers() {
      return timers.length;
    },
    advance(ms) {
      const untilMs = elapsedMs + ms;
      for (let timer = nextDueBy(untilMs); timer !== undefined; timer = nextDueBy(untilMs)) {
        timer.cancel();
        elapsedMs = timer.dueMs;
        timer.fn();
      }
      elapsedMs = untilMs;
    },
  };
}
