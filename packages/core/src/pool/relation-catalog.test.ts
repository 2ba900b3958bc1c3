// What a server's catalog says of relations decides which statements share: asked when a name is new, again from time to time, and when
// the schema may have changed.
import { describe, expect, test } from "vitest";
import { createRidingRig, knownKind, type RidingRig, says } from "../../fixtures/riding-rig.js";
import { MessageWriter } from "../protocol/message-writer.js";
import type { StatementKind } from "../server/statement-kind.js";

const kindOf = (relations: readonly string[] | null, writes = false): StatementKind => {
  const kind = knownKind({ writes });
  return Object.create(kind, { certainty: { value: { ...kind.certainty, relations } } }) as StatementKind;
};

/** schema, name, may be read, may be written, what stands for its columns */
type Row = readonly [string, string, "t" | "f", "t" | "f", columns?: string];

function rowOf([schema, name, reads, writes, columns = ""]: Row): Buffer {
  const values = [schema, name, reads, writes, columns];
  const out = new MessageWriter(64).begin(0x44).int16(values.length);
  for (const value of values) out.int32(value.length).bytes(Buffer.from(value));
  return out.end().toBuffer();
}

/** The answer of BEGIN, SET, SELECT and COMMIT. */
const answer = (...rows: Row[]): Buffer =>
  Buffer.concat([says.complete, says.complete, ...rows.map(rowOf), says.complete, says.complete, says.ready()]);

/** The names that the server was asked about in each question. */
const questions = (rig: RidingRig): (string[] | undefined)[] =>
  rig
    .heard(0)
    .flat()
    .map((text) =>
      text
        .match(/relname IN \(([^)]*)\)/)?.[1]
        ?.replaceAll("'", "")
        .split(",")
        .sort(),
    );

function openRig(): RidingRig {
  const rig = createRidingRig({ config: { relations: "plain" } });
  const client = rig.acquire();
  rig.turn();
  client.release(rig.clock.nowMs());
  return rig;
}

/** Asks for a kind, and answers the question that comes of it. */
function learn(rig: RidingRig, kind: StatementKind, ...rows: Row[]): void {
  expect(rig.pool.allowsRides(kind)).toBe(false);
  rig.turn();
  rig.heard(0);
  rig.wire(0).say(answer(...rows));
}

describe("a statement shares", () => {
  test("when its relations are known to be plain, not before", () => {
    const rig = openRig();
    const kind = kindOf(["t", "app.u"]);
    learn(rig, kind, ["public", "t", "t", "t"]);
    expect(rig.pool.allowsRides(kind)).toBe(false);
    rig.clock.advance(1_000);
    learn(rig, kindOf(["app.u"]), ["public", "t", "t", "t"], ["app", "u", "t", "t"]);
    expect(rig.pool.allowsRides(kind)).toBe(true);
  });

  test.each<[string, readonly string[] | null, boolean, Row[], boolean]>([
    ["none at all", [], false, [], true],
    ["that cannot be told", null, false, [], false],
    ["that may not be read", ["t"], false, [["public", "t", "f", "f"]], false],
    ["that are read and may not be written", ["t"], false, [["public", "t", "t", "f"]], true],
    ["that are written and may not be", ["t"], true, [["public", "t", "t", "f"]], false],
    ["that may be written", ["t"], true, [["public", "t", "t", "t"]], true],
    [
      "of which one may not be read",
      ["t", "u"],
      false,
      [
        ["public", "t", "t", "t"],
        ["public", "u", "f", "f"],
      ],
      false,
    ],
    ["that are not there", ["t"], false, [], false],
    [
      "of a name that another schema has, too",
      ["t"],
      false,
      [
        ["public", "t", "t", "t"],
        ["other", "t", "f", "f"],
      ],
      false,
    ],
    [
      "of the schema that is named",
      ["public.t"],
      false,
      [
        ["public", "t", "t", "t"],
        ["other", "t", "f", "f"],
      ],
      true,
    ],
    [
      "that may be read, but only one of two may be written",
      ["t"],
      true,
      [
        ["a", "t", "t", "t"],
        ["b", "t", "t", "f"],
      ],
      false,
    ],
  ])("relations %s: %j, writing: %s", (_, relations, writes, rows, expected) => {
    const rig = openRig();
    const kind = kindOf(relations, writes);
    if (relations !== null && relations.length > 0) learn(rig, kind, ...rows);
    expect(rig.pool.allowsRides(kind)).toBe(expected);
  });

  test.each(["it's", "bäh", "back\\slash"])("never with a name that cannot be put into the question: %s", (name) => {
    const rig = openRig();
    expect(rig.pool.allowsRides(kindOf([name]))).toBe(false);
    rig.turn();
    expect(questions(rig)).toEqual([]);
  });
});

describe("the catalog is asked", () => {
  test("in a transaction that only reads, with a search_path of PostgreSQL's own", () => {
    const rig = openRig();
    rig.pool.allowsRides(kindOf(["t"]));
    rig.turn();
    expect(rig.heard(0).flat()[0]).toMatch(/^BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; SELECT .*; COMMIT$/s);
  });

  test("one question at a time, with all names that were wanted meanwhile", () => {
    const rig = openRig();
    rig.pool.allowsRides(kindOf(["t"]));
    rig.pool.allowsRides(kindOf(["u"]));
    rig.pool.allowsRides(kindOf(["v"]));
    rig.turn();
    expect(questions(rig)).toEqual([["t"]]);
    rig.wire(0).say(answer(["public", "t", "t", "t"]));
    rig.pool.allowsRides(kindOf(["u"]));
    rig.turn();
    expect(questions(rig)).toEqual([["t", "u", "v"]]);
  });

  test("again after ten seconds, as long as somebody wants to know; what has changed counts from then on", () => {
    const rig = openRig();
    const kind = kindOf(["t"]);
    learn(rig, kind, ["public", "t", "t", "t"]);
    expect(rig.pool.allowsRides(kind)).toBe(true);
    rig.clock.advance(9_999);
    rig.pool.tick(rig.clock.nowMs());
    expect(questions(rig)).toEqual([]);
    rig.clock.advance(1);
    rig.pool.tick(rig.clock.nowMs());
    expect(questions(rig)).toEqual([["t"]]);
    rig.wire(0).say(answer(["public", "t", "f", "f"]));
    expect(rig.pool.allowsRides(kind)).toBe(false);
  });

  test("for the columns, too: what is told of them is another when one of them has changed, and only then", () => {
    const rig = openRig();
    const kind = kindOf(["t", "app.u"]);
    const known: string[] = [];
    const isNew = (...rows: Row[]): boolean => {
      rig.clock.advance(10_000);
      rig.pool.tick(rig.clock.nowMs());
      rig.heard(0);
      rig.wire(0).say(answer(...rows));
      expect(rig.pool.allowsRides(kind)).toBe(true);
      return !known.includes(kind.columns) && known.push(kind.columns) > 0;
    };
    // One name is wanted after the other.
    for (let i = 0; i < 2; i++) learn(rig, kind, ["public", "t", "t", "t", "one"], ["app", "u", "t", "t", "two"]);
    expect(rig.pool.allowsRides(kind)).toBe(true);
    known.push(kind.columns);
    expect(isNew(["app", "u", "t", "t", "two"], ["public", "t", "t", "t", "one"], ["other", "u", "t", "t", "x"])).toBe(false);
    expect(isNew(["public", "t", "t", "t", "one"], ["app", "u", "t", "t", "three"])).toBe(true);
    expect(isNew(["public", "t", "t", "t", "one"], ["app", "t", "t", "t", "one"], ["app", "u", "t", "t", "three"])).toBe(true);
    expect(isNew(["public", "t", "t", "t", "one"], ["app", "u", "t", "t", "two"])).toBe(false);
  });

  test("anew when nobody wanted to know for so long: what was true then is forgotten", () => {
    const rig = openRig();
    const kind = kindOf(["t"]);
    learn(rig, kind, ["public", "t", "t", "t"]);
    rig.clock.advance(10_000);
    rig.pool.tick(rig.clock.nowMs());
    expect(questions(rig)).toEqual([]);
    expect(rig.pool.allowsRides(kind)).toBe(false);
    rig.turn();
    expect(questions(rig)).toEqual([["t"]]);
  });

  test("again at once when the schema may have changed; nobody shares until the answer is there", () => {
    const rig = openRig();
    const kind = kindOf(["t"]);
    learn(rig, kind, ["public", "t", "t", "t"]);
    rig.multiplex.schema++;
    expect(rig.pool.allowsRides(kind)).toBe(false);
    rig.turn();
    expect(questions(rig)).toEqual([["t"]]);
    rig.wire(0).say(answer(["public", "t", "t", "t"]));
    expect(rig.pool.allowsRides(kind)).toBe(true);
  });

  test("once more when the schema changed while it was asked: what it said may be of before", () => {
    const rig = openRig();
    const kind = kindOf(["t"]);
    rig.pool.allowsRides(kind);
    rig.turn();
    rig.multiplex.schema++;
    rig.pool.allowsRides(kind);
    rig.wire(0).say(answer(["public", "t", "t", "t"]));
    expect(rig.pool.allowsRides(kind)).toBe(false);
  });

  test.each([
    ["an error", (rig: RidingRig) => rig.wire(0).say(Buffer.concat([says.error("42501", "no"), says.ready()]))],
    ["a lost connection", (rig: RidingRig) => rig.wire(0).drop()],
  ])("in vain: %s means that nobody shares, and is asked again a second later", (_, fail) => {
    const rig = openRig();
    const kind = kindOf(["t"]);
    learn(rig, kind, ["public", "t", "t", "t"]);
    expect(rig.pool.allowsRides(kind)).toBe(true);
    rig.clock.advance(10_000);
    rig.pool.tick(rig.clock.nowMs());
    fail(rig);
    rig.turn();
    expect(rig.pool.allowsRides(kind)).toBe(false);
    rig.turn();
    rig.heard(0);
    rig.clock.advance(1_000);
    rig.pool.allowsRides(kind);
    rig.turn();
    const last = rig.host.wires.length - 1;
    expect(rig.heard(last).flat()).toHaveLength(1);
    rig.wire(last).say(answer(["public", "t", "t", "t"]));
    expect(rig.pool.allowsRides(kind)).toBe(true);
  });
});

test("what one server's catalog says counts for that server only", () => {
  const [one, other] = [openRig(), openRig()];
  const kind = kindOf(["t"]);
  learn(one, kind, ["public", "t", "t", "t"]);
  expect(one.pool.allowsRides(kind)).toBe(true);
  learn(other, kind, ["public", "t", "f", "f"]);
  expect([other.pool.allowsRides(kind), one.pool.allowsRides(kind)]).toEqual([false, true]);
});

test("a pool whose relations are not asked about lets all of them share", () => {
  const rig = createRidingRig({ config: { relations: "any" } });
  expect(rig.pool.allowsRides(kindOf(["t"]))).toBe(true);
  expect(rig.pool.allowsRides(kindOf(null))).toBe(true);
});
