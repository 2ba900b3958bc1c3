import { expect, test } from "vitest";
import { Expect, Hide, ReplyQueue, type ReplyWatcher } from "./reply-queue.js";

const STATUS = { T: 0x54, E: 0x45 };

function watched(): { watcher: (name: string) => ReplyWatcher; log: string[] } {
  const log: string[] = [];
  return {
    log,
    watcher: (name) => ({
      done: () => void log.push(`${name} done`),
      skipped: (failed) => void log.push(`${name} ${failed ? "failed" : "skipped"}`),
    }),
  };
}

test("an error skips to Sync, and says of what it was the error", () => {
  const queue = new ReplyQueue();
  const { watcher, log } = watched();
  queue.push(Expect.PARSE, Hide.NOTHING, watcher("a"));
  queue.push(Expect.LOCAL, Hide.NOTHING, Buffer.from("never"));
  queue.push(Expect.BIND, Hide.NOTHING, watcher("b"));
  queue.push(Expect.SYNC, Hide.NOTHING, null, STATUS.T);
  queue.push(Expect.PARSE, Hide.NOTHING, watcher("c"));
  queue.skipToReady();
  expect(log).toEqual(["a failed", "b skipped"]);
  expect([queue.headKind, queue.headStatus, queue.skipping]).toEqual([Expect.SYNC, STATUS.E, false]);
  queue.complete();
  queue.complete();
  expect(log.at(-1)).toBe("c done");
  expect(queue.empty).toBe(true);
});

test("an error while no Sync was sent: what comes before one is passed over, queries too", () => {
  const queue = new ReplyQueue();
  const { watcher, log } = watched();
  queue.push(Expect.EXECUTE, Hide.NOTHING, watcher("a"));
  queue.push(Expect.QUERY);
  queue.skipToReady();
  expect([queue.empty, queue.skipping]).toEqual([true, true]);
  queue.push(Expect.PARSE, Hide.NOTHING, watcher("b"));
  queue.push(Expect.QUERY);
  queue.push(Expect.LOCAL, Hide.NOTHING, Buffer.from("never"));
  expect(queue.empty).toBe(true);
  queue.push(Expect.SYNC, Hide.NOTHING, null, STATUS.T);
  expect([queue.headKind, queue.headStatus, queue.skipping]).toEqual([Expect.SYNC, STATUS.E, false]);
  expect(log).toEqual(["a failed", "b skipped"]);
});

test("the error of a query leaves its own ReadyForQuery owed, and what is behind it", () => {
  for (const kind of [Expect.QUERY, Expect.UNTIL_READY]) {
    const queue = new ReplyQueue();
    queue.push(kind);
    queue.push(Expect.QUERY);
    queue.skipToReady();
    expect([queue.headKind, queue.size]).toEqual([kind, 2]);
  }
});

test("a connection that is gone answers nothing", () => {
  const queue = new ReplyQueue();
  const { watcher, log } = watched();
  queue.push(Expect.PARSE, Hide.NOTHING, watcher("a"));
  queue.push(Expect.SYNC);
  queue.push(Expect.PARSE, Hide.NOTHING, watcher("b"));
  queue.abandon();
  expect(log).toEqual(["a skipped", "b skipped"]);
  expect(queue.empty).toBe(true);
});

test("what is owed can be copied and added once more", () => {
  const queue = new ReplyQueue();
  for (let i = 0; i < 300; i++) queue.push(i % 2 === 0 ? Expect.PARSE : Expect.BIND, i % 3, null, i);
  for (let i = 0; i < 100; i++) queue.pop();
  const copy = queue.copy(50);
  expect(copy.kinds).toHaveLength(150);
  queue.abandon();
  queue.addAll(copy, 0);
  expect([queue.size, queue.headKind, queue.headStatus]).toEqual([150, Expect.PARSE, 150]);
});

test("more is popped than was pushed: a bug, not a silent one", () => {
  const queue = new ReplyQueue();
  expect(() => queue.pop()).toThrow("a reply was expected");
  queue.push(Expect.SYNC);
  queue.pop();
  expect(() => queue.pop()).toThrow("a reply was expected");
});
