// What is known of a kind of statements decides whether it runs alone.
import { expect, test } from "vitest";
import { unknownKind as createKind } from "../../fixtures/riding-rig.js";

test("the first three runs are alone", () => {
  const kind = createKind();
  const alone: boolean[] = [];
  for (let i = 0; i < 5; i++) {
    alone.push(kind.runsAlone);
    kind.ran(false, false);
  }
  expect(alone).toEqual([true, true, true, false, false]);
});

test.each([
  ["slow", (kind: ReturnType<typeof createKind>, is: boolean) => kind.ran(is, false)],
  ["large", (kind: ReturnType<typeof createKind>, is: boolean) => kind.ran(false, is)],
])("a kind of which more than a tenth is %s runs alone, until it is so no more", (what, ran) => {
  const kind = createKind();
  for (let i = 0; i < 40; i++) ran(kind, i % 16 === 0);
  expect(kind.runsAlone).toBe(false);
  for (let i = 0; i < 40; i++) ran(kind, i % 5 === 0);
  ran(kind, true);
  expect(kind.runsAlone).toBe(true);
  expect([kind.isSlow, kind.isLarge]).toEqual([what === "slow", what === "large"]);
  for (let i = 0; i < 40; i++) ran(kind, false);
  expect(kind.runsAlone).toBe(false);
});
