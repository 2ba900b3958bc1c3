import { describe, expect, test } from "vitest";
import { createLexed, lex } from "../sql/lexer.js";
import { effectsOf, leavesOpen, type SessionEffect, type SettingsOwner, SettingsTracker } from "./session-effects.js";
import { noSettings, type Settings, sameSettings, settingsDifference, startupSetting, withoutSetting, withSetting } from "./settings.js";

const effectsIn = (sql: string): ReturnType<typeof effectsOf> => {
  const buffer = Buffer.from(sql);
  const lexed = createLexed();
  lex(buffer, 0, buffer.length, true, lexed);
  return effectsOf(buffer, lexed);
};

const values = (settings: Settings): Record<string, string> =>
  Object.fromEntries([...settings.entries].map(([name, statement]) => [name, statement.replace(/^SET \w+ = /, "")]));

describe("the effects of a text", () => {
  test.each<[string, readonly object[]]>([
    ["SELECT 1", []],
    ["BEGIN", [{ kind: "begin" }]],
    ["start transaction read only", [{ kind: "begin" }]],
    ["COMMIT", [{ kind: "commit" }]],
    ["END", [{ kind: "commit" }]],
    ["PREPARE TRANSACTION 'x'", [{ kind: "commit" }]],
    ["ROLLBACK", [{ kind: "rollback" }]],
    ['SAVEPOINT "A b"', [{ kind: "savepoint", name: "A b" }]],
    ["ROLLBACK TO SAVEPOINT A", [{ kind: "rollbackTo", name: "a" }]],
    ["RELEASE a", [{ kind: "release", name: "a" }]],
    ["SET work_mem = '3MB'", [{ kind: "set", name: "work_mem", statement: "SET work_mem = '3MB'" }]],
    ["SET Work_Mem TO DEFAULT", [{ kind: "reset", name: "work_mem" }]],
    ["SET LOCAL work_mem = '3MB'", []],
    ["SET TRANSACTION READ ONLY", []],
    ["RESET ALL", [{ kind: "reset", name: null }]],
    ["RESET TIME ZONE", [{ kind: "reset", name: "timezone" }]],
    ["DISCARD ALL", [{ kind: "discard" }]],
    ["DISCARD TEMP", []],
    ["DEALLOCATE ALL", [{ kind: "deallocate" }]],
    ["DEALLOCATE x", []],
    ["BEGIN; SET a.b = 1; COMMIT", [{ kind: "begin" }, { kind: "set", name: "a.b", statement: "SET a.b = 1" }, { kind: "commit" }]],
  ])("%s", (sql, expected) => {
    expect(effectsIn(sql)).toMatchObject({ effects: expected, unclear: false });
  });

  test("SET SESSION CHARACTERISTICS is the defaults that it names", () => {
    const { effects } = effectsIn("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE");
    expect(effects.map((effect) => "name" in effect && effect.name)).toEqual([
      "default_transaction_isolation",
      "default_transaction_read_only",
    ]);
  });

  test.each([["SET a b c"], ["RESET"], [Array.from({ length: 65 }, () => "SET a.b = 1").join("; ")]])(
    "what is not understood is unclear: %.20s",
    (sql) => {
      expect(effectsIn(sql).unclear).toBe(true);
    },
  );

  test("whether a transaction is open behind them", () => {
    const opens = (sql: string, wasOpen: boolean): boolean => leavesOpen(effectsIn(sql).effects, wasOpen);
    expect([opens("BEGIN", false), opens("BEGIN; COMMIT", false), opens("SELECT 1", true), opens("ROLLBACK; BEGIN", true)]).toEqual([
      true,
      false,
      true,
      true,
    ]);
  });
});

describe("settings as a value", () => {
  const a = withSetting(noSettings, "a", "SET a = 1");
  const ab = withSetting(a, "b", "SET b = 1");

  test("equal whatever the order they came in, different with another value or another name", () => {
    expect(sameSettings(ab, withSetting(withSetting(noSettings, "b", "SET b = 1"), "a", "SET a = 1"))).toBe(true);
    expect(sameSettings(ab, withSetting(ab, "b", "SET b = 2"))).toBe(false);
    expect(sameSettings(ab, a)).toBe(false);
    expect(withoutSetting(withoutSetting(ab, "a"), "b")).toBe(noSettings);
    expect(withSetting(a, "a", "SET a = 1")).toBe(a);
    expect(withoutSetting(a, "x")).toBe(a);
  });

  test("a later SET of the same name is run later, too", () => {
    expect([...withSetting(ab, "a", "SET a = 2").entries.values()]).toEqual(["SET b = 1", "SET a = 2"]);
  });

  test("only settings by which texts are read make a reading", () => {
    expect(ab.reading).toBe("");
    const rome = withSetting(ab, "timezone", "SET timezone = 'Europe/Rome'");
    expect(rome.reading).not.toBe("");
    expect(withSetting(rome, "a", "SET a = 7").reading).toBe(rome.reading);
    expect(withSetting(rome, "timezone", "SET timezone = 'UTC'").reading).not.toBe(rome.reading);
  });

  test("the difference of two: first what must go, then what must come, in its order", () => {
    const from = withSetting(withSetting(ab, "session_authorization", "SET SESSION AUTHORIZATION x"), "app.tenant", "SET app.tenant = 1");
    const to = withSetting(withSetting(a, "c", "SET c = 1"), "d", "SET d = 1");
    expect(settingsDifference(from, to)).toEqual([
      'RESET "b"',
      "RESET SESSION AUTHORIZATION",
      'RESET "app"."tenant"',
      "SET c = 1",
      "SET d = 1",
    ]);
    expect(settingsDifference(from, from)).toEqual([]);
    expect(settingsDifference(noSettings, a)).toEqual(["SET a = 1"]);
  });

  test("a startup setting is set as a value, whatever stands in it", () => {
    expect(startupSetting("search_path", "a, b")).toBe("SELECT pg_catalog.set_config('search_path', 'a, b', false)");
    expect(startupSetting("x", "it's \\")).toBe("SELECT pg_catalog.set_config('x',  E'it''s \\\\', false)");
  });
});

describe("the tracker", () => {
  const initial = withSetting(withSetting(noSettings, "a", "SET a = 0"), "z", "SET z = 0");

  /** After each text as a batch of its own; `open` says whether a transaction is open behind it. */
  function trackerAfter(...texts: readonly string[]): { readonly tracker: SettingsTracker; readonly owner: SettingsOwner } {
    const owner: SettingsOwner = { initialSettings: initial, settings: initial };
    const tracker = new SettingsTracker(owner);
    let open = false;
    for (const sql of texts) {
      const { effects } = effectsIn(sql);
      open = leavesOpen(effects, open);
      tracker.succeeded(effects, open);
    }
    return { tracker, owner };
  }

  test.each<[string, readonly string[], Record<string, string>]>([
    ["a SET counts at once", ["SET a = 1"], { a: "1", z: "0" }],
    ["in a transaction with its COMMIT", ["BEGIN", "SET a = 1", "COMMIT"], { a: "1", z: "0" }],
    ["not before it", ["BEGIN", "SET a = 1"], { a: "0", z: "0" }],
    ["and not without it", ["BEGIN", "SET a = 1", "ROLLBACK"], { a: "0", z: "0" }],
    [
      "a savepoint takes back what came behind it",
      ["BEGIN", "SET b = 1", "SAVEPOINT s", "SET b = 2", "ROLLBACK TO s", "COMMIT"],
      { a: "0", b: "1", z: "0" },
    ],
    [
      "and can do so twice",
      ["BEGIN", "SAVEPOINT s", "SET b = 2", "ROLLBACK TO s", "SET b = 3", "ROLLBACK TO s", "COMMIT"],
      { a: "0", z: "0" },
    ],
    ["RELEASE keeps it", ["BEGIN", "SAVEPOINT s", "SET b = 2", "RELEASE s", "COMMIT"], { a: "0", b: "2", z: "0" }],
    [
      "the inner one of two of one name",
      ["BEGIN", "SAVEPOINT s", "SET b = 1", "SAVEPOINT s", "SET b = 2", "ROLLBACK TO s", "COMMIT"],
      { a: "0", b: "1", z: "0" },
    ],
    [
      "then the outer one",
      ["BEGIN", "SAVEPOINT s", "SET b = 1", "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s", "COMMIT"],
      { a: "0", z: "0" },
    ],
    ["RESET goes back to startup", ["SET a = 1", "SET b = 1", "RESET a", "RESET b"], { a: "0", z: "0" }],
    ["RESET ALL, too, but leaves the role", ["SET a = 1", "SET ROLE x", "RESET ALL"], { a: "0", z: "0", role: "SET ROLE x" }],
    ["DISCARD ALL takes the role as well", ["SET a = 1", "SET ROLE x", "DISCARD ALL"], { a: "0", z: "0" }],
    ["one string is one transaction", ["SET a = 1; ROLLBACK"], { a: "0", z: "0" }],
    ["with as many COMMITs as it has", ["SET a = 1; COMMIT; SET b = 1; ROLLBACK; SET c = 1"], { a: "1", c: "1", z: "0" }],
    ["COMMIT AND CHAIN keeps what was set before it", ["BEGIN", "SET a = 1", "COMMIT; BEGIN", "SET a = 2", "ROLLBACK"], { a: "1", z: "0" }],
  ])("%s", (_, texts, expected) => {
    expect(values(trackerAfter(...texts).owner.settings)).toEqual(expected);
  });

  test("at the server RESET goes back to the server's own", () => {
    const { tracker, owner } = trackerAfter("SET a = 1");
    tracker.applied = owner.settings;
    tracker.succeeded(effectsIn("RESET a; SET b = 1").effects, false);
    expect(values(owner.settings)).toEqual({ a: "0", z: "0", b: "1" });
    expect(values(tracker.applied)).toEqual({ z: "0", b: "1" });
    tracker.succeeded(effectsIn("RESET ALL").effects, false);
    expect(values(tracker.applied)).toEqual({});
    expect(values(owner.settings)).toEqual({ a: "0", z: "0" });
  });

  test("lent to another session it has forgotten the one before, whose settings stay as they are", () => {
    const { tracker, owner } = trackerAfter("SET a = 1", "BEGIN", "SET b = 1");
    const other: SettingsOwner = { initialSettings: noSettings, settings: noSettings };
    tracker.begin(other);
    expect(tracker).toMatchObject({ pending: false, applied: noSettings });
    tracker.succeeded(effectsIn("SET c = 1").effects, false);
    expect(values(other.settings)).toEqual({ c: "1" });
    expect(values(owner.settings)).toEqual({ a: "1", z: "0" });
  });

  test("random transactions: the same as with a copy of all settings at every savepoint", () => {
    let state = 99;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (state >>> 8) % below;
    };
    for (let round = 0; round < 500; round++) {
      const owner: SettingsOwner = { initialSettings: noSettings, settings: noSettings };
      const tracker = new SettingsTracker(owner);
      let committed: Record<string, string> = {};
      let now: Record<string, string> = {};
      let stack: { name: string; copy: Record<string, string> }[] = [];
      let open = false;
      for (let step = 0; step < 30; step++) {
        const name = "abc".charAt(random(3));
        const effects: SessionEffect[] = [];
        switch (random(8)) {
          case 0:
            if (open) continue;
            open = true;
            effects.push({ kind: "begin" });
            break;
          case 1:
            open = false;
            stack = [];
            committed = { ...now };
            effects.push({ kind: "commit" });
            break;
          case 2:
            open = false;
            stack = [];
            now = { ...committed };
            effects.push({ kind: "rollback" });
            break;
          case 3:
            if (!open) continue;
            stack.push({ name, copy: { ...now } });
            effects.push({ kind: "savepoint", name });
            break;
          case 4:
          case 5: {
            const at = stack.findLastIndex((savepoint) => savepoint.name === name);
            if (at < 0) continue;
            if (random(2) === 0) {
              stack.length = at;
              effects.push({ kind: "release", name });
            } else {
              stack.length = at + 1;
              now = { ...(stack[at] as { copy: Record<string, string> }).copy };
              effects.push({ kind: "rollbackTo", name });
            }
            break;
          }
          case 6: {
            const value = String(random(100));
            now[name] = value;
            effects.push({ kind: "set", name, statement: `SET ${name} = ${value}` });
            break;
          }
          default:
            delete now[name];
            effects.push({ kind: "reset", name });
        }
        if (!open) committed = { ...now };
        tracker.succeeded(effects, open);
        expect(values(owner.settings)).toEqual(committed);
      }
    }
  });
});
