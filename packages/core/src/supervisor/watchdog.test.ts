import { expect, test } from "vitest";
import { createFakeClock } from "../base/clock.js";
import { createWatchdog } from "./watchdog.js";
import type { RunningHook } from "./worker-process.js";

class FakeWorker {
  call: number | null = null;

  running(): RunningHook | null {
    return this.call === null ? null : { plugin: "slow", position: 0, hook: "route_query", call: this.call };
  }
}

function watch(limitMs: number) {
  const clock = createFakeClock();
  const workers = [new FakeWorker(), new FakeWorker()] as const;
  const stuck: FakeWorker[] = [];
  const watchdog = createWatchdog({ clock, workers: () => workers, onStuck: (worker) => stuck.push(worker) });
  watchdog.limit(limitMs);
  return { clock, workers, stuck, watchdog };
}

test("a call that does not return is told of when the limit has passed, and soon after", () => {
  const { clock, workers, stuck } = watch(1_000);
  workers[0].call = 7;
  clock.advance(999);
  expect(stuck).toEqual([]);
  clock.advance(201);
  expect(new Set(stuck)).toEqual(new Set([workers[0]]));
});

test("a worker that makes one call after the other is left alone, however long", () => {
  const { clock, workers, stuck } = watch(1_000);
  for (let call = 0; call < 50; call++) {
    workers[1].call = call;
    clock.advance(900);
  }
  workers[1].call = null;
  clock.advance(5_000);
  expect(stuck).toEqual([]);
});

test("a limit of 0 watches nobody", () => {
  const { clock, workers, stuck, watchdog } = watch(0);
  workers[0].call = 1;
  clock.advance(60_000);
  expect(clock.pendingTimers).toBe(0);
  watchdog.limit(100);
  clock.advance(200);
  expect(stuck).not.toEqual([]);
  stuck.length = 0;
  watchdog.limit(0);
  clock.advance(60_000);
  expect(stuck).toEqual([]);
});

test("time in which the watchdog itself stood still does not count", () => {
  const clock = createFakeClock();
  // All of an hour passes between two looks, as when a machine wakes up.
  let nowMs = 0;
  const looks: (() => void)[] = [];
  const worker = new FakeWorker();
  worker.call = 1;
  const stuck: FakeWorker[] = [];
  const watchdog = createWatchdog({
    clock: {
      ...clock,
      nowMs: () => nowMs,
      setTimer: (delayMs, fn) => {
        looks.push(fn);
        return clock.setTimer(delayMs, () => {});
      },
    },
    workers: () => [worker],
    onStuck: (each) => stuck.push(each),
  });
  watchdog.limit(1_000);
  const look = (afterMs: number): void => {
    nowMs += afterMs;
    looks.shift()?.();
  };
  look(100);
  look(3_600_000);
  expect(stuck).toEqual([]);
  for (let i = 0; i < 9; i++) look(100);
  expect(stuck).not.toEqual([]);
});
