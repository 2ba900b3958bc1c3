// The one queue of a pool in which statements that share servers and clients that want one for themselves wait: who is first, how many
// may wait, and what becomes of a server that nobody in it needs.
import { describe, expect, test } from "vitest";
import { createRidingRig, knownKind, says, type TestRider, unknownKind } from "../../fixtures/riding-rig.js";
import { noSettings, withSetting } from "../session/settings.js";

const settings = withSetting(noSettings, "work_mem", "SET work_mem = '1MB'");

/** A pool of so many connections, all open and idle. */
function openPool(poolSize: number, options: Parameters<typeof createRidingRig>[0] = {}): ReturnType<typeof createRidingRig> {
  const rig = createRidingRig({ poolSize, ...options });
  const clients = Array.from({ length: poolSize }, () => {
    const client = rig.acquire();
    rig.turn();
    return client;
  });
  for (const client of clients) client.release(rig.clock.nowMs());
  expect(rig.pool.idle).toHaveLength(poolSize);
  return rig;
}

describe("who waits longest is first", () => {
  test("a statement that waits for its turn to end is not overtaken at an idle server", () => {
    const { ride, turn, heard, acquire } = openPool(1);
    ride("1");
    const owner = acquire();
    expect(owner.server).toBeNull();
    turn();
    expect([owner.server, heard(0)]).toEqual([null, [["1"]]]);
  });

  test("nor when a server comes free, by who came later and wants it for itself", () => {
    const { ride, turn, heard, wire, acquire } = openPool(1);
    const first = acquire();
    ride("1");
    const owner = acquire();
    turn();
    first.release(0);
    expect(owner.server).toBeNull();
    turn();
    expect([owner.server, heard(0)]).toEqual([null, [["1"]]]);
    wire(0).say(says.answer("one"));
    expect(owner.server).not.toBeNull();
  });

  test("a server is kept from those who come later by a statement that runs alone, as by a client that wants it for itself", () => {
    const { ride, turn, heard, wire } = openPool(1);
    ride("1");
    turn();
    const alone = ride("alone", { kind: unknownKind() });
    turn();
    ride("2");
    turn();
    wire(0).say(says.answer("one"));
    turn();
    expect([heard(0), alone.carriage !== null]).toEqual([[["1"], ["alone"]], true]);
  });
});

describe("a server that is lent anew takes as many as fit, though somebody behind them wants it", () => {
  test("who was waited for when it became empty", () => {
    const { ride, turn, heard, wire, acquire } = openPool(1, { config: { depth: 2 } });
    ride("1");
    ride("2");
    turn();
    ride("3");
    ride("4");
    const owner = acquire();
    turn();
    heard(0);
    wire(0).say(Buffer.concat([says.answer("one"), says.answer("two")]));
    turn();
    expect([heard(0), owner.server]).toEqual([[["3", "4"]], null]);
    wire(0).say(Buffer.concat([says.answer("three"), says.answer("four")]));
    expect(owner.server).not.toBeNull();
  });

  test("who was waited for when it was lent to riders before", () => {
    const { ride, turn, heard, wire, acquire } = openPool(1);
    ride("1");
    turn();
    const owner = acquire();
    turn();
    wire(0).say(says.answer("one"));
    ride("2");
    ride("3");
    const next = acquire();
    heard(0);
    owner.release(0);
    turn();
    expect([heard(0), next.server]).toEqual([[["2", "3"]], null]);
  });
});

describe("how many may wait", () => {
  /** So many of the statements that come are let in. */
  const admitted = (riders: readonly TestRider[]): number => riders.filter(({ events }) => events.length === 0).length;
  const many = (ride: (text: string) => TestRider): TestRider[] => Array.from({ length: 20 }, (_, i) => ride(String(i)));

  test("those who find room when their turn ends do not count: on idle servers", () => {
    const { ride, pool, turn } = openPool(2, { maxWaiting: 1, config: { depth: 4 } });
    expect(admitted(many(ride))).toBe(2 * 4 + 1);
    turn();
    expect([pool.riders, pool.waiters.length]).toEqual([8, 1]);
  });

  test("behind others", () => {
    const { ride, turn, pool } = openPool(1, { maxWaiting: 1, config: { depth: 4 } });
    for (let i = 0; i < 3; i++) ride("before");
    turn();
    expect(admitted(many(ride))).toBe(1 + 1);
    turn();
    expect([pool.riders, pool.waiters.length]).toEqual([4, 1]);
  });

  test("on a server that has just become empty, whatever it was that had it", () => {
    const { ride, turn, wire, pool } = openPool(1, { maxWaiting: 1, config: { depth: 4 } });
    ride("alone", { kind: unknownKind() });
    turn();
    wire(0).say(says.answer("alone"));
    expect(admitted(many(ride))).toBe(4 + 1);
    turn();
    expect([pool.riders, pool.waiters.length]).toEqual([4, 1]);
  });

  test("there is no room behind a statement that runs alone, nor on a server that another one waits for", () => {
    const alone = openPool(1, { maxWaiting: 1, config: { depth: 4 } });
    alone.ride("alone", { kind: unknownKind() });
    alone.turn();
    expect(admitted(many(alone.ride))).toBe(1);
    for (const turnsBetween of [0, 1]) {
      const kept = openPool(1, { maxWaiting: 2, config: { depth: 4 } });
      kept.ride("before");
      if (turnsBetween > 0) kept.turn();
      kept.acquire();
      kept.turn();
      expect(admitted(many(kept.ride))).toBe(1);
    }
  });
});

describe("a server that nobody needs", () => {
  test("when as many came free as there were statements before, and one comes: the others are idle", () => {
    const { ride, turn, wire, pool } = openPool(2);
    ride("1");
    ride("2");
    turn();
    wire(0).say(says.answer("one"));
    wire(1).say(says.answer("two"));
    ride("3");
    turn();
    expect([pool.riders, pool.idle.length]).toEqual([1, 1]);
  });

  test("whose only statement was cancelled while it got the settings stays open, whoever comes meanwhile", () => {
    const { ride, turn, wire, heard } = openPool(1);
    const first = ride("1", { settings });
    turn();
    expect(first.carriage?.cancel(first)).toBe(true);
    ride("2");
    turn();
    expect([wire(0).open, heard(0)]).toEqual([true, [["SET work_mem = '1MB'"]]]);
    wire(0).say(Buffer.concat([says.complete, says.ready()]));
    turn();
    expect([wire(0).open, heard(0)]).toEqual([true, [['RESET "work_mem"']]]);
  });

  test("and by the next with the same settings it is shared", () => {
    const { ride, turn, wire, heard } = openPool(1);
    const first = ride("1", { settings });
    turn();
    heard(0);
    first.carriage?.cancel(first);
    const next = ride("2", { settings, kind: knownKind() });
    turn();
    wire(0).say(Buffer.concat([says.complete, says.ready()]));
    expect(heard(0)).toEqual([["2"]]);
    wire(0).say(says.answer("two"));
    expect(next.events).toEqual(["answered I"]);
  });
});
