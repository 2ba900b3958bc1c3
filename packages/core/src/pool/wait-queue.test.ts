// The queue keeps the order whoever leaves it, and does so as fast with many as with few.
import { expect, test } from "vitest";
import { type Queued, WaitQueue } from "./wait-queue.js";

class Somebody implements Queued {
  nextWaiter: this | null = null;
  previousWaiter: this | null = null;
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

function queueOf(...names: string[]): { queue: WaitQueue<Somebody>; all: Somebody[]; names: () => string } {
  const queue = new WaitQueue<Somebody>();
  const all = names.map((name) => new Somebody(name));
  for (const each of all) queue.push(each);
  return { queue, all, names: () => [...queue].map(({ name }) => name).join("") };
}

test("who came first leaves first", () => {
  const { queue } = queueOf("a", "b", "c");
  expect([queue.first?.name, queue.length]).toEqual(["a", 3]);
  expect([queue.shift()?.name, queue.shift()?.name, queue.shift()?.name, queue.shift()]).toEqual(["a", "b", "c", null]);
  expect([queue.first, queue.length]).toEqual([null, 0]);
});

test.each([
  [0, "bcd"],
  [1, "acd"],
  [2, "abd"],
  [3, "abc"],
])("who leaves from place %i leaves the others as they stood, and may come again", (at, rest) => {
  const { queue, all, names } = queueOf("a", "b", "c", "d");
  const leaver = all[at] as Somebody;
  expect(queue.remove(leaver)).toBe(true);
  expect([names(), queue.length]).toEqual([rest, 3]);
  queue.push(leaver);
  expect([names(), queue.length]).toEqual([`${rest}${leaver.name}`, 4]);
});

test("who does not wait cannot leave, the only one can", () => {
  const { queue, all, names } = queueOf("a");
  expect(queue.remove(new Somebody("b"))).toBe(false);
  expect(queue.remove(all[0] as Somebody)).toBe(true);
  expect(queue.remove(all[0] as Somebody)).toBe(false);
  expect([names(), queue.length, queue.first]).toEqual(["", 0, null]);
});

test("who comes back while all are sent away waits anew", () => {
  const { queue, names } = queueOf("a", "b", "c");
  for (const each of queue.takeAll()) if (each.name !== "b") queue.push(each);
  expect([names(), queue.length]).toEqual(["ac", 2]);
});

test("a hundred thousand come and leave, from the front and from anywhere, in no time", () => {
  const { queue, all } = queueOf(...Array.from({ length: 100_000 }, (_, i) => `${i}`));
  const startedAtMs = performance.now();
  for (let i = 0; i < all.length; i += 2) queue.remove(all[all.length - 1 - i] as Somebody);
  while (queue.shift() !== null);
  expect(queue.length).toBe(0);
  expect(performance.now() - startedAtMs).toBeLessThan(1_000);
});
