import { beforeEach, expect, test } from "vitest";
import { createSlotBroker, minimumHoldMs, type SlotBroker } from "./slot-broker.js";

const key = "app\0alice\0db1:5432";

/** Workers as the protocol has them: each slot is busy or idle, and what is asked back is given when it can be. */
class Worker {
  slots = 0;
  granted = 0;
  askedCount = 0;
  askedUrgent = false;
}

let broker: SlotBroker;
let workers: Worker[];
let nowMs: number;

beforeEach(() => {
  nowMs = 0;
  workers = Array.from({ length: 4 }, () => new Worker());
  broker = createSlotBroker((index, message) => {
    const worker = at(index);
    if (message.kind === "slots") {
      worker.slots += message.count;
      worker.granted += message.count;
    } else {
      worker.askedCount = message.count;
      worker.askedUrgent = message.urgent;
    }
  });
});

function at(index: number): Worker {
  const worker = workers[index];
  if (worker === undefined) throw new Error(`no worker ${index}`);
  return worker;
}

function want(index: number, times: number, limit: number): void {
  for (let i = 0; i < times; i++) broker.wanted(index, key, limit, nowMs);
}

function giveBack(index: number, count: number): void {
  const worker = at(index);
  worker.slots -= count;
  worker.askedCount = Math.max(0, worker.askedCount - count);
  broker.returned(index, key, count, nowMs);
}

const slots = (): number[] => workers.map((worker) => worker.slots);

test("slots are lent as long as the pool has some, and never more", () => {
  want(0, 3, 5);
  want(1, 3, 5);
  expect(slots()).toEqual([3, 2, 0, 0]);
  expect(broker.waiting).toBe(true);
});

test("a returned slot goes to the one who waits and has least", () => {
  want(0, 3, 4);
  want(1, 1, 4);
  want(1, 1, 4);
  want(2, 1, 4);
  giveBack(0, 1);
  expect(slots()).toEqual([2, 1, 1, 0]);
});

test("among equals the one who waits longest is served first", () => {
  want(0, 1, 1);
  nowMs = 10;
  want(2, 1, 1);
  nowMs = 20;
  want(1, 1, 1);
  giveBack(0, 1);
  expect(slots()).toEqual([0, 0, 1, 0]);
});

test("who holds more than the share is asked urgently for the difference", () => {
  want(0, 10, 10);
  want(1, 5, 10);
  expect(at(0)).toMatchObject({ slots: 10, askedCount: 5, askedUrgent: true });
});

test("who waits for one slot costs the holder one, not half of the pool", () => {
  want(0, 10, 10);
  want(1, 1, 10);
  expect(at(0)).toMatchObject({ askedCount: 1, askedUrgent: true });
});

test("who holds no more than the share is asked for idle slots only", () => {
  want(0, 2, 4);
  want(1, 2, 4);
  want(1, 1, 4);
  expect(at(0)).toMatchObject({ askedCount: 1, askedUrgent: false });
  giveBack(0, 1);
  expect(slots()).toEqual([1, 3, 0, 0]);
  expect(broker.waiting).toBe(false);
});

test("an uneven rest stays where it is: a slot moves only to those who have less", () => {
  want(0, 2, 3);
  want(1, 1, 3);
  want(0, 1, 3);
  want(1, 1, 3);
  nowMs = 10 * minimumHoldMs;
  broker.tick(nowMs);
  expect(at(0).askedUrgent && at(0).askedCount > 0).toBe(false);
  expect(at(1).askedUrgent && at(1).askedCount > 0).toBe(false);
});

test("with fewer slots than workers they go round, each kept for a while", () => {
  want(0, 1, 1);
  want(1, 1, 1);
  expect(at(0).askedUrgent).toBe(false);
  nowMs = minimumHoldMs;
  broker.tick(nowMs);
  expect(at(0)).toMatchObject({ askedCount: 1, askedUrgent: true });
  giveBack(0, 1);
  want(0, 1, 1);
  expect(slots()).toEqual([0, 1, 0, 0]);
  expect(at(1).askedUrgent).toBe(false);
  nowMs += minimumHoldMs;
  broker.tick(nowMs);
  giveBack(1, 1);
  expect(slots()).toEqual([1, 0, 0, 0]);
});

test("a request is taken back when nobody waits any more", () => {
  want(0, 2, 2);
  want(1, 1, 2);
  expect(at(0).askedCount).toBe(1);
  broker.gone(1, nowMs);
  expect(at(0).askedCount).toBe(0);
  expect(broker.waiting).toBe(false);
});

test("the slots of a worker that died go to those who wait", () => {
  want(0, 2, 2);
  want(1, 2, 2);
  broker.gone(0, nowMs);
  expect(at(1).slots).toBe(2);
  expect([...broker.lent(key)]).toEqual([[1, 2]]);
});

test("a smaller pool takes the excess back, also when nobody waits", () => {
  want(0, 4, 8);
  want(1, 4, 8);
  broker.resize(() => 4, nowMs);
  expect(at(0)).toMatchObject({ askedCount: 2, askedUrgent: true });
  expect(at(1)).toMatchObject({ askedCount: 2, askedUrgent: true });
  giveBack(0, 2);
  giveBack(1, 2);
  expect(broker.waiting).toBe(false);
});

test("a larger pool serves those who wait at once", () => {
  want(0, 3, 1);
  broker.resize(() => 3, nowMs);
  expect(at(0).slots).toBe(3);
});

test("a pool that is gone from the configuration takes everything back", () => {
  want(0, 2, 2);
  broker.resize(() => null, nowMs);
  expect(at(0)).toMatchObject({ askedCount: 2, askedUrgent: true });
});

test("a worker that returns more than it has does not make the pool larger", () => {
  want(0, 1, 1);
  broker.returned(0, key, 5, nowMs);
  want(1, 3, 1);
  expect([...broker.lent(key)]).toEqual([[1, 1]]);
});

test("pools do not share slots", () => {
  want(0, 1, 1);
  broker.wanted(1, "app\0bob\0db1:5432", 1, nowMs);
  expect(slots()).toEqual([1, 1, 0, 0]);
});

test("nothing is kept of pools that nobody uses", () => {
  want(0, 1, 1);
  giveBack(0, 1);
  expect(broker.lent(key).size).toBe(0);
  broker.resize(() => {
    throw new Error("there is a pool left");
  }, nowMs);
});

test("whatever happens, no more slots are out than the pool has, and nobody who waits is forgotten", () => {
  let seed = 42;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  const limit = 5;
  const wished = [0, 0, 0, 0];
  for (let step = 0; step < 20_000; step++) {
    nowMs += random(50);
    const index = random(4);
    const worker = at(index);
    switch (random(4)) {
      case 0:
        if ((wished[index] ?? 0) - worker.granted < 3) {
          wished[index] = (wished[index] ?? 0) + 1;
          want(index, 1, limit);
        }
        break;
      case 1:
        // What is asked urgently is given, idle or not.
        if (worker.askedCount > 0 && worker.askedUrgent) giveBack(index, 1);
        break;
      case 2:
        // A server connection grew old.
        if (worker.slots > 0 && random(5) === 0) giveBack(index, 1);
        break;
      default:
        broker.tick(nowMs);
    }
    let out = 0;
    for (const held of workers) {
      out += held.slots;
      if (held.askedCount > held.slots) throw new Error("a worker is asked for more than it has");
    }
    if (out > limit) throw new Error(`${out} slots are out`);
  }
  for (const worker of workers) expect(worker.granted).toBeGreaterThan(100);
});
