import { describe, expect, test } from "vitest";
import { createClock, createFakeClock } from "./clock.js";

describe("the system's clock", () => {
  test("fires a timer after its time and never a cancelled one", async () => {
    const clock = createClock();
    const startMs = clock.nowMs();
    const fired: string[] = [];
    await new Promise<void>((resolve) => {
      clock.setTimer(5, () => fired.push("cancelled")).cancel();
      clock.setTimer(20, () => {
        fired.push("fired");
        resolve();
      });
      expect(fired).toEqual([]);
    });
    expect(fired).toEqual(["fired"]);
    expect(clock.nowMs() - startMs).toBeGreaterThanOrEqual(19);
  });

  test("does not fire at once when the delay is longer than the system's timers can hold", async () => {
    const clock = createClock();
    let fired = false;
    const timer = clock.setTimer(2 ** 40, () => {
      fired = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 10));
    timer.cancel();
    expect(fired).toBe(false);
  });
});

describe("the fake clock", () => {
  test("stands still until it is advanced, and moves both times", () => {
    const clock = createFakeClock(1_000);
    expect([clock.nowMs(), clock.wallMs()]).toEqual([0, 1_000]);
    clock.advance(250);
    expect([clock.nowMs(), clock.wallMs()]).toEqual([250, 1_250]);
  });

  test("fires what comes due in the order of times, equal times in the order they were set", () => {
    const clock = createFakeClock();
    const fired: string[] = [];
    clock.setTimer(20, () => fired.push(`b@${clock.nowMs()}`));
    clock.setTimer(10, () => fired.push(`a@${clock.nowMs()}`));
    clock.setTimer(20, () => fired.push(`c@${clock.nowMs()}`));
    clock.setTimer(31, () => fired.push("late"));
    clock.advance(30);
    expect(fired).toEqual(["a@10", "b@20", "c@20"]);
    expect(clock.pendingTimers).toBe(1);
  });

  test("fires timers that are set while it advances, and not those that are cancelled meanwhile", () => {
    const clock = createFakeClock();
    const fired: number[] = [];
    const doomed = clock.setTimer(15, () => fired.push(-1));
    clock.setTimer(10, () => {
      doomed.cancel();
      clock.setTimer(10, () => fired.push(clock.nowMs()));
    });
    clock.advance(25);
    expect(fired).toEqual([20]);
    expect(clock.nowMs()).toBe(25);
  });
});
