import { closeSync } from "node:fs";
import { expect, test } from "vitest";
import { createSharedPage } from "../base/shared-page.js";
import { clearClientCount, openClientCounts } from "./client-counts.js";

test("a worker that is alone counts for itself", () => {
  const counts = openClientCounts(null, 1);
  expect([counts.add(2), counts.add(2), counts.add(2), counts.total]).toEqual([true, true, false, 2]);
  counts.remove();
  expect([counts.total, counts.add(2)]).toEqual([1, true]);
});

test("workers see one another's clients, and those of one that died are forgotten", () => {
  const fd = createSharedPage();
  const [first, second] = [openClientCounts(fd, 1), openClientCounts(fd, 2)];
  expect([first.add(3), second.add(3), second.add(3), first.add(3), second.add(3)]).toEqual([true, true, true, false, false]);
  expect([first.total, second.total]).toEqual([3, 3]);
  clearClientCount(fd, 2);
  expect([first.total, first.add(3)]).toEqual([1, true]);
  closeSync(fd);
});

test("a worker is ahead when it has clearly more connections than those that accept, too", () => {
  const fd = createSharedPage();
  const [first, second, third] = [openClientCounts(fd, 1), openClientCounts(fd, 2), openClientCounts(fd, 3)];
  // Nobody else is there yet.
  expect(first.isAhead(1_000)).toBe(false);
  second.tell(0);
  expect([first.isAhead(1), first.isAhead(4), first.isAhead(5)]).toEqual([false, false, true]);
  second.tell(100);
  third.tell(100);
  expect([first.isAhead(100), first.isAhead(118), first.isAhead(130)]).toEqual([false, false, true]);
  // Who stops accepting, or dies, does not count.
  third.tell(0);
  expect(first.isAhead(90)).toBe(true);
  third.tell(null);
  expect(first.isAhead(90)).toBe(false);
  second.tell(0);
  expect(first.isAhead(90)).toBe(true);
  clearClientCount(fd, 2);
  expect(first.isAhead(90)).toBe(false);
  closeSync(fd);
});
