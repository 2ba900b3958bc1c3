import { expect, test } from "vitest";
import { PoolerError } from "../base/errors.js";
import { parseCommand } from "./parse-command.js";

const words = (sql: string): string[] => parseCommand(sql).map(({ text }) => text);

test.each([
  ["SHOW POOLS", ["SHOW", "POOLS"]],
  ["  show\t\n pools ; ;", ["show", "pools"]],
  ["-- what is there\nSHOW /* all /* of */ them */ POOLS -- now", ["SHOW", "POOLS"]],
  ["PAUSE my-db.2;", ["PAUSE", "my-db.2"]],
  ['PAUSE "my ""own"" db"', ["PAUSE", 'my "own" db']],
  ["PAUSE 'it''s'", ["PAUSE", "it's"]],
  ["SET extra_float_digits=3", ["SET", "extra_float_digits", "=", "3"]],
  ["SHOW POOLS\0", ["SHOW", "POOLS"]],
  ["", []],
  [" ;; -- nothing", []],
])("%j is %j", (sql, expected) => {
  expect(words(sql)).toEqual(expected);
});

test("names in quotes are told from keywords", () => {
  expect(parseCommand('PAUSE "SHOW"')).toEqual([
    { text: "PAUSE", quoted: false },
    { text: "SHOW", quoted: true },
  ]);
});

test.each([
  ["SHOW POOLS; SHOW STATS", "one command at a time"],
  ["SHOW /* POOLS", "has no end"],
  ['PAUSE "app', "has no end"],
])("%j is refused: %s", (sql, reason) => {
  expect(() => parseCommand(sql)).toThrow(PoolerError);
  expect(() => parseCommand(sql)).toThrow(reason);
});
