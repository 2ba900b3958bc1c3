// Who may wait: what is known of a pool's pace, and what is not.
import { describe, expect, test } from "vitest";
import { Admission } from "./admission.js";

/** A second in which so many were served while the queue held `waiting` all the time. */
function second(admission: Admission, at: number, served: number, waiting: number): void {
  for (let i = 0; i < served; i++) admission.served(waiting);
  admission.tick(at * 1_000, waiting);
}

/** An admission that has seen these seconds of a queue that was never empty. */
function admissionAfter(...served: number[]): Admission {
  const admission = new Admission();
  admission.tick(1_000, 500);
  served.forEach((count, i) => {
    second(admission, i + 2, count, 500);
  });
  return admission;
}

describe("what cannot be served within query_wait is refused at once", () => {
  test("100 a second and 2 s to wait: behind 199 there is a chance, behind 200 there is none", () => {
    const admission = admissionAfter(100);
    expect(admission.ratePerSecond).toBe(100);
    expect(admission.refusal(199, 2_000, 10)).toBeNull();
    expect(admission.refusal(200, 2_000, 10)).toBe("slow");
  });

  test("the best second counts: one that is slow refuses nobody yet", () => {
    expect(admissionAfter(100, 3, 0, 7).ratePerSecond).toBe(100);
    expect(admissionAfter(100, ...Array.from({ length: 10 }, () => 3)).ratePerSecond).toBe(3);
  });

  test("nobody is refused who stands no further back than the pool has connections", () => {
    expect(admissionAfter(1).refusal(9, 300, 10)).toBeNull();
    expect(admissionAfter(1).refusal(10, 300, 10)).toBe("slow");
  });

  test("without query_wait nobody is", () => {
    expect(admissionAfter(1).refusal(10_000, 0, 10)).toBeNull();
  });
});

describe("where nothing is known everybody may wait", () => {
  test("at first, and when nothing moves: it may go on any moment", () => {
    expect(new Admission().refusal(10_000, 10, 1)).toBeNull();
    expect(admissionAfter(0, 0, 0).refusal(10_000, 10, 1)).toBeNull();
  });

  test("when the queue was empty meanwhile: few were served because few came", () => {
    const admission = admissionAfter(100);
    for (const left of [2, 1, 0]) admission.served(left);
    second(admission, 3, 1, 400);
    expect(admission.refusal(400, 1_000, 10)).toBeNull();
    // Now it was full from the beginning of the second to its end.
    second(admission, 4, 2, 400);
    expect(admission.refusal(400, 1_000, 10)).toBe("slow");
  });

  test("when all who waited were sent away", () => {
    const admission = admissionAfter(5);
    admission.emptied();
    second(admission, 3, 5, 400);
    expect(admission.refusal(400, 1_000, 10)).toBeNull();
  });
});

test("max_waiting counts whatever the pace", () => {
  const admission = admissionAfter(1_000);
  admission.maxWaiting = 3;
  expect(admission.refusal(2, 0, 10)).toBeNull();
  expect(admission.refusal(3, 0, 10)).toBe("full");
});
