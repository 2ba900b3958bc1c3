// Sees calls into plugins that do not return: an endless loop keeps a worker from ever looking at anything again, so that it
// must be noticed from outside. Decides nothing about what becomes of the worker.
import type { Clock, Timer } from "../base/clock.js";
import type { RunningHook } from "./worker-process.js";

export interface WatchedWorker {
  /** The call into a plugin that runs now. */
  running(): RunningHook | null;
}

export interface Watchdog {
  /** From now on; 0: nobody is watched. */
  limit(limitMs: number): void;
  stop(): void;
}

export interface WatchdogOptions<Worker extends WatchedWorker> {
  readonly clock: Clock;
  /** Those that may be expected to serve. */
  workers(): readonly Worker[];
  /** Called again for every look at which the call still runs. */
  onStuck(worker: Worker, running: RunningHook): void;
}

/** Looks in the course of one limit: a call is found out by a tenth of the limit late at most. */
const looksPerLimit = 10;
const shortestLookMs = 20;
const longestLookMs = 500;

interface Seen {
  readonly call: number;
  forMs: number;
}

export function createWatchdog<Worker extends WatchedWorker>(options: WatchdogOptions<Worker>): Watchdog {
  const { clock } = options;
  let seen = new Map<Worker, Seen>();
  let timer: Timer | null = null;
  let limitMs = 0;
  let lookedMs = 0;

  const lookMs = (): number => Math.min(longestLookMs, Math.max(shortestLookMs, limitMs / looksPerLimit));

  const look = (): void => {
    const nowMs = clock.nowMs();
    // Time in which this process did not run either (a machine that was suspended, a debugger) is nobody's fault.
    const passedMs = Math.min(nowMs - lookedMs, 2 * lookMs());
    lookedMs = nowMs;
    const before = seen;
    seen = new Map();
    for (const worker of options.workers()) {
      const running = worker.running();
      if (running === null) continue;
      const known = before.get(worker);
      const now: Seen = { call: running.call, forMs: known?.call === running.call ? known.forMs + passedMs : 0 };
      seen.set(worker, now);
      if (now.forMs >= limitMs) options.onStuck(worker, running);
    }
    wait();
  };

  const wait = (): void => {
    timer = clock.setTimer(lookMs(), look).unref();
  };

  return {
    limit(newLimitMs) {
      timer?.cancel();
      timer = null;
      limitMs = newLimitMs;
      lookedMs = clock.nowMs();
      if (limitMs > 0) wait();
      else seen.clear();
    },
    stop() {
      timer?.cancel();
      timer = null;
    },
  };
}
