// Statements of several clients on one server: each answer reaches the one who asked, and what goes wrong goes wrong for those it must.
import { describe, expect, test } from "vitest";
import { createRidingRig, knownKind, type RidingRig, says, TestRider, unknownKind } from "../../fixtures/riding-rig.js";
import { Frontend } from "../protocol/codes.js";
import type { MessageWriter } from "../protocol/message-writer.js";
import { noSettings, withSetting } from "../session/settings.js";
import { Expect, Hide } from "./reply-queue.js";
import type { Server } from "./server.js";

/** Statements on one server, the first at the head. */
function behindOneAnother(...statements: (string | { readonly writes: string })[]): RidingRig & { readonly riders: TestRider[] } {
  const rig = createRidingRig();
  const riders = statements.map((each) => (typeof each === "string" ? rig.ride(each) : rig.ride(each.writes, { writes: true })));
  rig.turn();
  expect(rig.heard(0)).toEqual([riders.map(({ text }) => text)]);
  return { ...rig, riders };
}

const events = (riders: readonly TestRider[]): string[][] => riders.map((rider) => rider.events);

describe("answers", () => {
  const whole = Buffer.concat([
    says.answer("first"),
    says.error("22012", "division by zero"),
    says.ready(),
    says.row("third"),
    says.row("again"),
    says.complete,
    says.ready(),
  ]);

  test("each is its own, wherever what the server says is cut", () => {
    for (let cut = 0; cut < whole.length; cut++) {
      const { riders, wire } = behindOneAnother("1", "2", "3");
      wire(0).say(whole.subarray(0, cut));
      wire(0).say(whole.subarray(cut));
      expect(riders.map(({ shown }) => shown.match(/first|division|third|again/g))).toEqual([["first"], ["division"], ["third", "again"]]);
      expect(events(riders)).toEqual([["answered I"], ["answered I failed"], ["answered I"]]);
    }
  });

  test("what the server says of itself is nobody's: settings, notifications", () => {
    const { riders, wire } = behindOneAnother("1", "2");
    wire(0).say(Buffer.concat([says.setting("in_hot_standby", "off"), says.notification, says.answer("one"), says.answer("two")]));
    expect(riders.map(({ shown }) => /channel|standby/.test(shown))).toEqual([false, false]);
    expect(events(riders)).toEqual([["answered I"], ["answered I"]]);
  });

  test("a server that asks for COPY data is given up: who waits behind hears that it was lost", () => {
    const { riders, wire } = behindOneAnother("1", "2");
    wire(0).say(says.copyIn);
    expect(wire(0).open).toBe(false);
    expect(events(riders).map(([event]) => event?.split(":")[0])).toEqual(["lost running", "lost unanswered"]);
  });

  test("a statement that was stale runs again by itself; an answer of which something was shown does not", () => {
    const { riders, wire, counters } = behindOneAnother("1", "2", "3");
    const [first, second] = riders as [TestRider, TestRider, TestRider];
    first.stale = true;
    second.stale = true;
    const error = Buffer.concat([says.error("26000", "no such statement"), says.ready()]);
    wire(0).say(Buffer.concat([error, says.row("two"), error, says.answer("three")]));
    expect(events(riders)).toEqual([["again"], ["answered I failed"], ["answered I"]]);
    expect(first.shown).toBe("");
    expect(riders[2]?.shown).toContain("three");
    expect(counters.takenOut).toBe(0);
  });

  test("of which the server has something to say while it prepares it: it runs again by itself, and nothing of this try is shown", () => {
    const notice = Buffer.from("N\0\0\0\x14SNOTICE\0Mhello\0\0", "latin1");
    const bare = (type: string): Buffer => Buffer.from([type.charCodeAt(0), 0, 0, 0, 4]);
    const rest = Buffer.concat([bare("2"), says.row("one"), says.complete, says.ready()]);
    for (const said of [
      [notice, bare("1"), rest],
      [bare("1"), notice, rest],
      [bare("1"), notice, says.error("22012", "division by zero"), says.ready()],
    ]) {
      const whole = Buffer.concat([...said, says.answer("two")]);
      for (let cut = 0; cut < whole.length; cut++) {
        const rig = createRidingRig();
        const [first, second] = [rig.ride("1"), rig.ride("2")];
        Object.assign(first, {
          onNotice: () => true,
          board(server: Server, out: MessageWriter): void {
            for (const kind of [Expect.PARSE, Expect.BIND]) server.replies.push(kind, Hide.ALL);
            for (const kind of [Expect.EXECUTE, Expect.SYNC]) server.replies.push(kind);
            out.begin(Frontend.SYNC).end();
          },
        });
        rig.turn();
        rig.wire(0).say(whole.subarray(0, cut));
        rig.wire(0).say(whole.subarray(cut));
        expect([first.shown, first.events]).toEqual(["", ["again"]]);
        expect([second.shown.includes("two"), second.events]).toEqual([true, ["answered I"]]);
      }
    }
  });
});

describe("a statement that was not what it seemed", () => {
  test("leaves a transaction open: what is behind it is undone, and nobody gets an answer from there", () => {
    const { riders, wire, counters } = behindOneAnother("1", "2", "3");
    wire(0).say(Buffer.concat([says.answer("one", "T"), says.answer("two"), says.answer("three")]));
    expect(riders.map(({ shown }) => shown !== "")).toEqual([true, false, false]);
    expect(events(riders).map(([event]) => event?.split(":")[0])).toEqual(["answered T", "lost undone", "lost undone"]);
    expect([wire(0).open, counters.takenOut]).toEqual([false, 1]);
  });

  test("changes a setting: what became of those behind it is not known", () => {
    const { riders, wire, counters } = behindOneAnother("1", "2");
    wire(0).say(Buffer.concat([says.row("one"), says.setting("TimeZone", "Mars"), says.complete, says.ready(), says.answer("two")]));
    expect(events(riders).map(([event]) => event?.split(":")[0])).toEqual(["answered I", "lost unanswered"]);
    expect(riders.map(({ shown }) => shown.includes("Mars"))).toEqual([false, false]);
    expect([wire(0).open, counters.takenOut]).toEqual([false, 1]);
  });

  test("is alone: its connection is given up as well", () => {
    const { riders, wire, counters } = behindOneAnother("1");
    wire(0).say(says.answer("one", "T"));
    expect(events(riders)).toEqual([["answered T"]]);
    expect([wire(0).open, counters.takenOut]).toEqual([false, 1]);
  });
});

describe("a server that breaks", () => {
  test("who runs is told as if it were alone, those behind that nothing of their answer came", () => {
    const { riders, wire } = behindOneAnother("1", "2", "3");
    wire(0).say(Buffer.concat([says.answer("one"), says.error("57P01", "terminating", "FATAL")]));
    expect(events(riders)).toEqual([["answered I"], ["lost running: terminating"], ["lost unanswered: terminating"]]);
    expect(riders[1]?.shown).toBe("");
  });

  test("in the middle of a message only the client that has its beginning is broken off", () => {
    const { riders, wire } = behindOneAnother("1", "2");
    const [first, second] = riders as [TestRider, TestRider];
    wire(0).say(says.row("a long row").subarray(0, 12));
    expect([first.carriage?.isInside(first), first.carriage?.isInside(second)]).toEqual([true, false]);
    wire(0).drop();
    expect(events(riders).map(([event]) => event?.split(":")[0])).toEqual(["lost running broken", "lost unanswered"]);
  });

  test("is forgotten: the next goes to another connection", () => {
    const { wire, ride, turn, heard } = behindOneAnother("1", "2");
    wire(0).drop();
    ride("3");
    turn();
    expect(heard(1)).toEqual([["3"]]);
  });

  test("before the settings are made: nothing has run, all of it runs again", () => {
    const rig = createRidingRig();
    const settings = withSetting(noSettings, "work_mem", "SET work_mem = '1MB'");
    const riders = [rig.ride("1", { settings }), rig.ride("2", { settings, writes: true })];
    rig.turn();
    rig.wire(0).drop();
    expect(events(riders)).toEqual([["again"], ["again"]]);
  });
});

describe("settings", () => {
  const settings = withSetting(noSettings, "work_mem", "SET work_mem = '1MB'");

  test("are made in a round trip of their own, and no statement is sent before", () => {
    const rig = createRidingRig();
    const riders = [rig.ride("1", { settings }), rig.ride("2", { settings })];
    rig.turn();
    expect(rig.heard(0)).toEqual([["SET work_mem = '1MB'"]]);
    // What they change is expected, and nobody sees it.
    rig.wire(0).say(Buffer.concat([says.setting("work_mem", "1MB"), says.complete, says.ready()]));
    expect(rig.heard(0)).toEqual([["1", "2"]]);
    rig.wire(0).say(Buffer.concat([says.answer("one"), says.answer("two")]));
    expect(events(riders)).toEqual([["answered I"], ["answered I"]]);
    expect([riders[0]?.shown.includes("work_mem"), rig.counters.takenOut]).toEqual([false, 0]);
    // The server has them now.
    rig.ride("3", { settings });
    rig.turn();
    expect(rig.heard(0)).toEqual([["3"]]);
  });

  test("of a client that has left meanwhile: nothing of it is sent, and the others get their own answers", () => {
    const rig = createRidingRig();
    const [first, second] = [rig.ride("1", { settings }), rig.ride("2", { settings })];
    rig.turn();
    rig.heard(0);
    first.carriage?.replace(first, new TestRider(0, "nobody", {}));
    rig.wire(0).say(Buffer.concat([says.complete, says.ready()]));
    expect(rig.heard(0)).toEqual([["2"]]);
    rig.wire(0).say(says.answer("two"));
    expect([first.shown, second.events]).toEqual(["", ["answered I"]]);
  });

  test("that cannot be made: each statement finds out for itself, and the server is cleaned", () => {
    const rig = createRidingRig();
    const riders = [rig.ride("1", { settings }), rig.ride("2", { settings })];
    rig.turn();
    rig.ride("3");
    rig.turn();
    rig.heard(0);
    rig.wire(0).say(Buffer.concat([says.error("22023", "no"), says.ready()]));
    expect(events(riders)).toEqual([["again"], ["again"]]);
    expect(riders.map(({ shown }) => shown)).toEqual(["", ""]);
    rig.turn();
    expect(rig.heard(0).slice(0, 1)).toEqual([["ROLLBACK", "DISCARD ALL"]]);
  });

  test("those of others are never made behind a statement that runs", () => {
    const rig = createRidingRig();
    const first = rig.ride("1");
    const other = rig.ride("2", { settings });
    rig.turn();
    expect(rig.heard(0)).toEqual([["1"]]);
    rig.wire(0).say(says.answer("one"));
    rig.turn();
    expect(rig.heard(0)).toEqual([["SET work_mem = '1MB'"]]);
    expect([first.events, other.events]).toEqual([["answered I"], []]);
  });
});

describe("cancel requests", () => {
  test("reach the server when those behind have gone elsewhere, and nobody joins any more", () => {
    const { riders, ride, turn, heard, wire } = behindOneAnother("1", "2", "3");
    const [first] = riders as [TestRider];
    first.carriage?.cancel(first);
    expect(events(riders)).toEqual([["cancel sent"], ["moved"], ["moved"]]);
    const late = ride("4");
    turn();
    expect(heard(0)).toEqual([]);
    // What was moved is answered here, too, for nobody.
    wire(0).say(Buffer.concat([says.error("57014", "cancelled"), says.ready(), says.answer("two"), says.answer("three")]));
    expect(riders.map(({ shown }) => shown !== "")).toEqual([true, false, false]);
    turn();
    expect([heard(0), late.shown]).toEqual([[["4"]], ""]);
  });

  test("nobody joins who could be hit", () => {
    const { riders, ride, turn, heard } = behindOneAnother("1");
    const [first] = riders as [TestRider];
    expect(first.carriage?.cancel(first)).toBe(false);
    ride("2");
    turn();
    expect([first.events, heard(0)]).toEqual([["cancel sent"], []]);
  });

  test("wait as long as one that writes is behind", () => {
    const { riders, wire } = behindOneAnother("1", { writes: "2" });
    const [first, second] = riders as [TestRider, TestRider];
    first.carriage?.cancel(first);
    expect(first.events).toEqual([]);
    wire(0).say(says.answer("one"));
    wire(0).say(says.answer("two"));
    expect([first.events, second.events]).toEqual([["answered I"], ["answered I"]]);
  });

  test("a write that waits for its turn is stopped when that comes", () => {
    const { riders, wire } = behindOneAnother("1", { writes: "2" });
    const second = riders[1] as TestRider;
    second.carriage?.cancel(second);
    expect(second.events).toEqual([]);
    wire(0).say(says.answer("one"));
    expect(second.events).toEqual(["cancel sent"]);
  });

  test("what is behind and for nobody writes may run still: nobody is hit by the request, but the write is", () => {
    const { riders, wire } = behindOneAnother("1", { writes: "2" });
    const [first, second] = riders as [TestRider, TestRider];
    second.carriage?.replace(second, Object.assign(new (second.constructor as typeof TestRider)(0, "2", { writes: true })));
    first.carriage?.cancel(first);
    expect(first.events).toEqual([]);
    wire(0).say(says.answer("one"));
    expect(first.events).toEqual(["answered I"]);
  });

  test("before the settings are made: the statement is never sent", () => {
    const rig = createRidingRig();
    const settings = withSetting(noSettings, "work_mem", "SET work_mem = '1MB'");
    const riders = [rig.ride("1", { settings, writes: true }), rig.ride("2", { settings, writes: true }), rig.ride("3", { settings })];
    rig.turn();
    rig.heard(0);
    const [first, second] = riders as [TestRider, TestRider];
    expect([first.carriage?.cancel(first), second.carriage?.cancel(second)]).toEqual([true, true]);
    rig.wire(0).say(Buffer.concat([says.complete, says.ready()]));
    expect(rig.heard(0)).toEqual([["3"]]);
    rig.wire(0).say(says.answer("three"));
    expect([riders[2]?.events, first.shown + second.shown]).toEqual([["answered I"], ""]);
  });

  test("of the only one, before the settings are made: the server is idle then", () => {
    const rig = createRidingRig();
    const rider = rig.ride("1", { settings: withSetting(noSettings, "work_mem", "SET work_mem = '1MB'") });
    rig.turn();
    expect(rider.carriage?.cancel(rider)).toBe(true);
    rig.wire(0).say(Buffer.concat([says.complete, says.ready()]));
    rig.turn();
    expect(rig.pool.idle).toHaveLength(1);
  });
});

describe("clients that do not read", () => {
  const row = says.row("x".repeat(60_000));

  test("alone: the server is not read, as ever", () => {
    const { riders, wire } = behindOneAnother("1");
    (riders[0] as TestRider).reads = false;
    wire(0).say(row);
    expect(wire(0).paused).toBe(true);
  });

  test("alone, and then it leaves: the rest of its answer is read for nobody", () => {
    const { riders, wire, ride, turn, pool } = behindOneAnother("1");
    const first = riders[0] as TestRider;
    first.reads = false;
    wire(0).say(row);
    expect(first.carriage?.replace(first, new TestRider(0, "nobody", {}))).toBe(true);
    expect(wire(0).paused).toBe(false);
    wire(0).say(Buffer.concat([row, says.complete, says.ready()]));
    turn();
    expect(pool.idle).toHaveLength(1);
    const next = ride("2");
    turn();
    wire(0).say(says.answer("two"));
    expect(next.events).toEqual(["answered I"]);
  });

  test("alone, to the end: the server is read for the next one", () => {
    const { riders, wire, ride, turn } = behindOneAnother("1");
    const first = riders[0] as TestRider;
    first.reads = false;
    const next = ride("2");
    wire(0).say(Buffer.concat([row, says.complete, says.ready()]));
    expect(first.events).toEqual(["answered I"]);
    turn();
    expect([wire(0).paused, wire(0).heard().length]).toEqual([false, 1]);
    wire(0).say(says.answer("two"));
    expect(next.events).toEqual(["answered I"]);
  });

  test("with others behind: so much is kept, then all wait, then it is told to go", () => {
    const { riders, wire, pool, clock } = behindOneAnother("1", "2");
    const first = riders[0] as TestRider;
    first.reads = false;
    for (let i = 0; i < 17; i++) wire(0).say(row);
    expect(wire(0).paused).toBe(false);
    wire(0).say(row);
    expect(wire(0).paused).toBe(true);
    clock.advance(1_999);
    pool.tick(clock.nowMs());
    expect(first.events).toEqual([]);
    clock.advance(1);
    pool.tick(clock.nowMs());
    expect(first.events).toEqual(["too slow"]);
  });

  test("one that reads again in time goes on, and nobody is told to go", () => {
    const { riders, wire, pool, clock } = behindOneAnother("1", "2");
    const [first, second] = riders as [TestRider, TestRider];
    first.reads = false;
    for (let i = 0; i < 18; i++) wire(0).say(row);
    clock.advance(1_000);
    first.carriage?.resume(second);
    expect(wire(0).paused).toBe(true);
    first.carriage?.resume(first);
    expect(wire(0).paused).toBe(false);
    clock.advance(5_000);
    pool.tick(clock.nowMs());
    wire(0).say(Buffer.concat([says.complete, says.ready(), says.answer("two")]));
    expect([first.events, second.events]).toEqual([["answered I"], ["answered I"]]);
  });

  test("an answer that ends at once holds up nobody, however large it is", () => {
    const { riders, wire } = behindOneAnother("1", "2");
    const [first, second] = riders as [TestRider, TestRider];
    first.reads = false;
    wire(0).say(Buffer.concat([...Array.from({ length: 18 }, () => row), says.complete, says.ready()]));
    expect([first.events, wire(0).paused]).toEqual([["answered I"], false]);
    wire(0).say(says.answer("two"));
    expect(second.events).toEqual(["answered I"]);
  });

  test("one that leaves holds up nobody", () => {
    const { riders, wire, ride } = behindOneAnother("1", "2");
    const [first, second] = riders as [TestRider, TestRider];
    first.reads = false;
    for (let i = 0; i < 18; i++) wire(0).say(row);
    const nobody = ride("nobody");
    expect(first.carriage?.replace(first, nobody)).toBe(false);
    expect(wire(0).paused).toBe(false);
    wire(0).say(Buffer.concat([says.complete, says.ready(), says.answer("two")]));
    expect([first.shown.includes("SELECT"), second.events]).toEqual([false, ["answered I"]]);
  });

  test("nobody joins behind a statement that others were moved away from", () => {
    const { riders, ride, turn, heard } = behindOneAnother("1", "2");
    riders[0]?.carriage?.moveOthers();
    ride("3");
    turn();
    expect([events(riders), heard(0)]).toEqual([[[], ["moved"]], []]);
  });

  test("nobody joins behind a large or unread answer", () => {
    for (const reads of [true, false]) {
      const { riders, wire, ride, turn, heard } = behindOneAnother("1", "2");
      const first = riders[0] as TestRider;
      first.reads = reads;
      wire(0).say(says.row("x".repeat(reads ? 65_000 : 10)));
      if (reads) wire(0).say(says.row("x".repeat(600)));
      ride("3");
      turn();
      expect(heard(0)).toEqual([]);
    }
  });
});

describe("what is remembered of a kind", () => {
  test("how long it ran, from when the one before it was done, and how much it answered", () => {
    const [slow, large, quick] = [unknownKind(), unknownKind(), unknownKind()];
    for (let run = 0; run < 4; run++) {
      const rig = createRidingRig();
      // They share although they are not known.
      const riders = [slow, large, quick].map((kind, i) => {
        const shared = Object.create(kind, { runsAlone: { value: false } }) as typeof kind;
        Object.defineProperty(shared, "ran", { value: kind.ran.bind(kind) });
        return rig.ride(String(i), { kind: shared });
      });
      rig.turn();
      rig.clock.advance(21);
      rig.wire(0).say(says.answer("slow"));
      rig.wire(0).say(says.answer("x".repeat(65_600)));
      rig.clock.advance(20);
      rig.wire(0).say(says.answer("quick"));
      expect(events(riders)).toEqual([["answered I"], ["answered I"], ["answered I"]]);
    }
    expect([slow, large, quick].map(({ isSlow, isLarge }) => [isSlow, isLarge])).toEqual([
      [true, false],
      [false, true],
      [false, false],
    ]);
  });

  test("nothing of the time that the settings took", () => {
    const kind = unknownKind();
    const settings = withSetting(noSettings, "work_mem", "SET work_mem = '1MB'");
    for (let run = 0; run < 4; run++) {
      const rig = createRidingRig();
      rig.ride("1", { kind, settings });
      rig.turn();
      rig.clock.advance(1_000);
      rig.wire(0).say(Buffer.concat([says.complete, says.ready()]));
      rig.wire(0).say(says.answer("one"));
    }
    expect([kind.isUnknown, kind.isSlow]).toEqual([false, false]);
  });

  test("nothing of a run that was stale", () => {
    const kind = knownKind();
    let runs = 0;
    const counting = Object.create(kind, { runsAlone: { value: false }, ran: { value: () => runs++ } }) as typeof kind;
    const rig = createRidingRig();
    const rider = rig.ride("1", { kind: counting });
    rider.stale = true;
    rig.turn();
    rig.wire(0).say(Buffer.concat([says.error("26000", "no such statement"), says.ready()]));
    expect([rider.events, runs]).toEqual([["again"], 0]);
  });
});
