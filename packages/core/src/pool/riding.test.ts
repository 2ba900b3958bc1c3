// Who shares a server of the pool with whom, and when: nobody waits for what is idle, nobody is passed over.
import { describe, expect, test } from "vitest";
import { createRidingRig, knownKind, says, type TestRider, unknownKind } from "../../fixtures/riding-rig.js";
import { createLogger } from "../base/logger.js";
import { noSettings, withSetting } from "../session/settings.js";

const events = (riders: readonly TestRider[]): string[][] => riders.map((rider) => rider.events);
const settings = withSetting(noSettings, "work_mem", "SET work_mem = '1MB'");

/** A pool of so many connections, all open and idle. */
function openPool(poolSize: number, options: Parameters<typeof createRidingRig>[0] = {}): ReturnType<typeof createRidingRig> {
  const rig = createRidingRig({ poolSize, ...options });
  const clients = Array.from({ length: poolSize }, () => rig.acquire());
  rig.turn();
  for (const client of clients) client.release(rig.clock.nowMs());
  expect(rig.pool.idle).toHaveLength(poolSize);
  return rig;
}

describe("who goes where", () => {
  test("idle servers first; then behind others, in one write for each server, no deeper than the depth", () => {
    const { ride, turn, heard, pool, counters } = openPool(2, { config: { depth: 3 } });
    for (let i = 1; i <= 7; i++) ride(String(i));
    turn();
    expect([heard(0), heard(1)].flat().sort()).toEqual(
      [
        ["1", "3", "5"],
        ["2", "4", "6"],
      ].sort(),
    );
    expect([pool.waiters.length, counters.behind, pool.riders]).toEqual([1, 4, 6]);
  });

  test("no deeper than the depth, though another server has room for those with other settings", () => {
    const { ride, turn, pool } = openPool(2, { config: { depth: 2 } });
    ride("other", { settings });
    for (let i = 1; i <= 3; i++) ride(String(i));
    turn();
    expect([pool.riders, pool.waiters.length]).toEqual([3, 1]);
  });

  test("those of one turn are sent together, those of the next turn behind them", () => {
    const { ride, turn, heard } = openPool(1);
    ride("1");
    ride("2");
    turn();
    ride("3");
    turn();
    expect(heard(0)).toEqual([["1", "2"], ["3"]]);
  });

  test("a connection that comes free takes who waits, in their order", () => {
    const { ride, turn, heard, wire } = openPool(1, { config: { depth: 2 } });
    const riders = ["1", "2", "3", "4", "5"].map((text) => ride(text));
    turn();
    wire(0).say(Buffer.concat([says.answer("one"), says.answer("two")]));
    turn();
    expect(heard(0)).toEqual([
      ["1", "2"],
      ["3", "4"],
    ]);
    expect(events(riders)).toEqual([["answered I"], ["answered I"], [], [], []]);
  });

  test("further connections are opened up to pool_size, as if nobody shared", () => {
    const { ride, turn, host } = createRidingRig({ poolSize: 3 });
    ride("1");
    turn();
    ride("2");
    ride("3");
    ride("4");
    turn();
    expect(host.wires).toHaveLength(3);
  });

  test("a server that takes no bytes, or whose cancel request is on its way, takes nobody", () => {
    for (const trouble of ["congested", "cancelling"]) {
      const { ride, turn, heard, wire, pool } = openPool(1);
      ride("1");
      turn();
      const [server] = pool.servers;
      if (trouble === "congested") wire(0).congested = true;
      else server?.cancelStarted();
      ride("2");
      turn();
      expect(heard(0)).toEqual([["1"]]);
    }
  });

  test("a server whose cancel request is on its way takes nobody when it is empty, either", () => {
    const { ride, turn, heard, wire, pool } = openPool(1);
    ride("1");
    turn();
    const [server] = pool.servers;
    server?.cancelStarted();
    wire(0).say(says.answer("one"));
    ride("2");
    turn();
    expect(heard(0)).toEqual([["1"]]);
    server?.cancelEnded();
    turn();
    expect(heard(0)).toEqual([["2"]]);
  });

  test("with other settings: behind nobody, on whichever server is empty", () => {
    const { ride, turn, heard, wire } = openPool(1);
    ride("1");
    const other = ride("2", { settings });
    const third = ride("3");
    turn();
    expect(heard(0)).toEqual([["1", "3"]]);
    wire(0).say(Buffer.concat([says.answer("one"), says.answer("three")]));
    turn();
    expect([third.events, heard(0)]).toEqual([["answered I"], [["SET work_mem = '1MB'"]]]);
    expect(other.events).toEqual([]);
  });

  test("those with other settings are not passed over for ever", () => {
    const { ride, turn, heard, wire } = openPool(1);
    ride("1");
    turn();
    ride("other", { settings });
    turn();
    ride("2");
    turn();
    // The connection takes nobody more until it is empty: who waits longest has settings that no other one has.
    expect(heard(0)).toEqual([["1"]]);
    wire(0).say(says.answer("one"));
    turn();
    expect(heard(0)).toEqual([["SET work_mem = '1MB'"]]);
  });
});

describe("a kind of which too little is known", () => {
  test("has nobody behind it, and waits behind nobody", () => {
    const { ride, turn, heard, wire } = openPool(1);
    const kind = unknownKind();
    ride("known");
    turn();
    ride("unknown", { kind });
    turn();
    ride("late");
    turn();
    // The server takes nobody more: it would never be empty otherwise.
    expect(heard(0)).toEqual([["known"]]);
    wire(0).say(says.answer("known"));
    turn();
    expect(heard(0)).toEqual([["unknown"]]);
    wire(0).say(says.answer("unknown"));
    turn();
    expect(heard(0)).toEqual([["late"]]);
  });
});

describe("several servers", () => {
  test("behind a kind of which too little is known nobody waits, however little another server has room", () => {
    const { ride, turn, heard } = openPool(2);
    ride("unknown", { kind: unknownKind() });
    for (let i = 1; i <= 3; i++) ride(String(i));
    turn();
    expect([heard(0), heard(1)].sort()).toEqual([[["1", "2", "3"]], [["unknown"]]]);
  });

  test("such a kind waits until one of them is empty", () => {
    const { ride, turn, heard } = openPool(2);
    ride("1");
    ride("2");
    turn();
    ride("unknown", { kind: unknownKind() });
    turn();
    expect([heard(0), heard(1)].flat(2).sort()).toEqual(["1", "2"]);
  });
});

test("a connection that was one statement's alone is shared by the next", () => {
  const { ride, turn, heard, wire } = openPool(1);
  ride("unknown", { kind: unknownKind() });
  turn();
  wire(0).say(says.answer("unknown"));
  turn();
  ride("1");
  ride("2");
  turn();
  expect(heard(0)).toEqual([["unknown"], ["1", "2"]]);
});

describe("clients that want a server for themselves", () => {
  test("get one: it takes no further statements until it is empty", () => {
    const { ride, turn, heard, wire, acquire } = openPool(1);
    ride("1");
    turn();
    const owner = acquire();
    turn();
    ride("2");
    turn();
    expect(heard(0)).toEqual([["1"]]);
    wire(0).say(says.answer("one"));
    expect(owner.server).not.toBeNull();
    turn();
    expect(heard(0)).toEqual([]);
    owner.release(0);
    turn();
    expect(heard(0)).toEqual([["2"]]);
  });

  test("take one of several: the one that is empty soonest; the others go on", () => {
    const { ride, turn, heard, acquire } = openPool(2, { config: { depth: 8 } });
    for (let i = 1; i <= 3; i++) ride(String(i));
    turn();
    const before = [heard(0), heard(1)].map((writes) => writes.flat().length);
    acquire();
    turn();
    ride("4");
    ride("5");
    turn();
    const after = [heard(0), heard(1)].map((writes) => writes.flat().length);
    expect(after).toEqual(before.map((count) => (count === 2 ? 2 : 0)));
    expect(before.sort()).toEqual([1, 2]);
  });

  test("get an idle one that those who share have left", () => {
    const { ride, turn, heard, acquire } = openPool(2);
    ride("1");
    const owner = acquire();
    turn();
    expect([owner.server !== null, [heard(0), heard(1)].flat(2)]).toEqual([true, ["1"]]);
  });

  test("get one that is empty since this turn, beside statements that share", () => {
    const { ride, turn, wire, acquire } = openPool(2);
    ride("1");
    ride("2");
    turn();
    wire(0).say(says.answer("one"));
    wire(1).say(says.answer("two"));
    const third = ride("3");
    const owner = acquire();
    turn();
    expect([owner.server !== null, third.carriage !== null]).toEqual([true, true]);
  });

  test("who comes later is served later: statements that share do not overtake them at an idle server", () => {
    const { ride, turn, heard, acquire } = openPool(1);
    const first = acquire();
    const second = acquire();
    ride("1");
    turn();
    first.release(0);
    turn();
    expect([second.server !== null, heard(0)]).toEqual([true, []]);
  });

  test("one that is gone gives the server back to those who share", () => {
    const { ride, turn, heard, acquire, pool } = openPool(1);
    ride("1");
    turn();
    const owner = acquire();
    turn();
    pool.forget(owner);
    ride("2");
    turn();
    expect(heard(0)).toEqual([["1"], ["2"]]);
  });

  test("another worker that is in need gets the server, too", () => {
    const { ride, turn, heard, wire, pool } = openPool(1);
    ride("1");
    turn();
    pool.giveUp(1, true);
    ride("2");
    turn();
    expect(heard(0)).toEqual([["1"]]);
    wire(0).say(says.answer("one"));
    turn();
    expect(wire(0).open).toBe(false);
  });
});

describe("time", () => {
  test.each([
    [20, 100],
    [300, 300],
  ])("reads behind a statement that takes longer than multiplex_slow (%i ms) and 100 ms go elsewhere", (slowMs, limitMs) => {
    const { ride, turn, clock, pool, acquire } = openPool(2, { config: { slowMs } });
    const owner = acquire();
    const riders = [ride("1"), ride("2"), ride("3", { writes: true })];
    turn();
    owner.release(clock.nowMs());
    turn();
    clock.advance(limitMs);
    pool.tick(clock.nowMs());
    expect(events(riders)).toEqual([[], [], []]);
    clock.advance(1);
    pool.tick(clock.nowMs());
    expect(events(riders)).toEqual([[], ["moved"], []]);
  });

  test("they stay where there is no other connection", () => {
    const { ride, turn, clock, pool } = openPool(1);
    const riders = [ride("1"), ride("2")];
    turn();
    clock.advance(10_000);
    pool.tick(clock.nowMs());
    expect(events(riders)).toEqual([[], []]);
  });

  test("how long it has run counts from when the one before it was done", () => {
    const { ride, turn, clock, pool, acquire, wire } = openPool(2);
    const owner = acquire();
    const riders = [ride("1"), ride("2"), ride("3")];
    turn();
    owner.release(clock.nowMs());
    turn();
    clock.advance(90);
    const shared = [0, 1].find((i) => riders[0]?.carriage?.server.wire === wire(i)) ?? 0;
    wire(shared).say(says.answer("one"));
    clock.advance(90);
    pool.tick(clock.nowMs());
    expect(events(riders)).toEqual([["answered I"], [], []]);
  });

  test("a connection that has lived for long enough takes nobody more, and goes when it is empty", () => {
    const { ride, turn, clock, pool, wire, heard } = openPool(1, { timeouts: { serverLifetimeMs: 5_000 } });
    const first = ride("1");
    turn();
    clock.advance(5_001);
    pool.tick(clock.nowMs());
    ride("2");
    turn();
    expect(heard(0)).toEqual([["1"]]);
    wire(0).say(says.answer("one"));
    turn();
    expect([first.events, wire(0).open]).toEqual([["answered I"], false]);
    turn();
    expect(heard(1)).toEqual([["2"]]);
  });

  test("so does one that a reload has made one too many", () => {
    const { ride, turn, clock, pool, wire, multiplex } = openPool(2);
    ride("1");
    ride("2");
    turn();
    pool.reconfigure(1, 0, multiplex);
    pool.tick(clock.nowMs());
    ride("3");
    turn();
    wire(0).say(says.answer("one"));
    turn();
    expect([wire(0).open, wire(1).open]).toEqual([false, true]);
  });

  test("PAUSE: who is in flight gets its answer, nobody else is sent, the connection goes", () => {
    const { ride, turn, pool, wire, heard } = openPool(1);
    const first = ride("1");
    turn();
    pool.pause();
    const late = ride("2");
    turn();
    wire(0).say(says.answer("one"));
    turn();
    expect([first.events, late.events, heard(0).slice(1), wire(0).open]).toEqual([["answered I"], [], [["X"]], false]);
    pool.resume();
    turn();
    expect(heard(1)).toEqual([["2"]]);
  });

  test("who waits for longer than query_wait is told", () => {
    const { ride, turn, clock, pool } = openPool(1, { timeouts: { queryWaitMs: 500 }, config: { depth: 1 } });
    ride("1");
    const second = ride("2");
    turn();
    clock.advance(500);
    pool.tick(clock.nowMs());
    expect(second.events).toEqual(["no server: time WAIT_TIMEOUT"]);
  });
});

describe("connections between two turns", () => {
  test("an empty one serves the next, and is idle when nobody comes", () => {
    const { ride, turn, pool, wire, heard } = openPool(1);
    ride("1");
    turn();
    wire(0).say(says.answer("one"));
    ride("2");
    turn();
    wire(0).say(says.answer("two"));
    expect(pool.idle).toHaveLength(0);
    turn();
    expect([heard(0), pool.idle.length]).toEqual([[["1"], ["2"]], 1]);
  });

  test("one that was given up is counted, and the log says why", () => {
    const lines: string[] = [];
    const log = createLogger({ level: "error", format: "json", write: (line) => void lines.push(line) });
    const { ride, turn, wire, counters } = createRidingRig({ log });
    ride("1");
    turn();
    wire(0).say(says.answer("one", "T"));
    expect(counters.takenOut).toBe(1);
    expect(lines.join("")).toContain("a server that statements shared was given up: one of them left a transaction open");
  });

  test("a statement that is allowed without being harmless cannot give its connection to others: it is closed, not cleaned", () => {
    const { ride, turn, wire, heard } = createRidingRig();
    ride("1", { kind: knownKind() });
    turn();
    heard(0);
    wire(0).say(Buffer.concat([says.setting("TimeZone", "Mars"), says.complete, says.ready()]));
    turn();
    expect([wire(0).open, heard(0)]).toEqual([false, []]);
  });
});
