import { expect, test } from "vitest";
import { parseSetConfigs } from "./set-config.js";

const call = (name: string, value: string | null) => ({ name: { value: name }, value: { value } });

test.each([
  ["SELECT set_config('TimeZone', 'UTC', false)", [call("TimeZone", "UTC")]],
  ["SELECT pg_catalog.set_config('search_path', '', false);", [call("search_path", "")]],
  ["select \"set_config\" /* x */ ('a', 'it''s', 'off') AS \"new\"", [call("a", "it's")]],
  ["SELECT set_config('a', NULL, false) x", [call("a", null)]],
  ["SELECT set_config('a'::text, 'b' :: text, false)", [call("a", "b")]],
  ["SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new", [call("jit", "off")]],
  ["SELECT set_config('a', 'b', false), 1 AS one, set_config('c', 'd', false)", [call("a", "b"), call("c", "d")]],
  ["SELECT set_config('a', 'b', true), set_config('c', 'd', false)", [call("c", "d")]],
  ["SELECT set_config('a', 'b', true)", []],
  ["SELECT set_config($1, $2, false)", [{ name: { parameter: 1 }, value: { parameter: 2 } }]],
  ["SELECT set_config('jit', $1::text, false)", [{ name: { value: "jit" }, value: { parameter: 1 } }]],
  ["SELECT $$set_config('a', 'b', false)$$, set_config('c', 'd', false)", [call("c", "d")]],
])("%s is read", (text, calls) => {
  expect(parseSetConfigs(text)).toEqual(calls);
});

test.each([
  ["SELECT set_config('a', 'b', false) FROM t"],
  ["SELECT set_config('a', 'b', false) WHERE false"],
  ["SELECT set_config('a', 'b', false) x LIMIT 0"],
  ["SELECT set_config('a', 'b', false) LIMIT 0"],
  ["SELECT set_config('a', 'b', false), 1 FROM t"],
  ["SELECT generate_series(1, 0), set_config('a', 'b', false)"],
  ["SELECT set_config('a', 'b', false), (SELECT 1 WHERE x)"],
  ["SELECT 1, set_config('a', 'b', false) UNION SELECT '', ''"],
  ["SELECT DISTINCT set_config('a', 'b', false)"],
  ["SELECT CASE WHEN x THEN set_config('a', 'b', false) END"],
  ["SELECT length(set_config('a', 'b', false))"],
  ["SELECT set_config('a', 'b', false) || 'c'"],
  ["SELECT (SELECT set_config('a', 'b', false))"],
  ["SELECT set_config('a', 'b' || 'c', false)"],
  ["SELECT set_config('a', b, false)"],
  ["SELECT set_config('a', 'b', $1)"],
  ["SELECT set_config('a', 'b', t)"],
  ["SELECT set_config('a', 'b', maybe)"],
  ["SELECT set_config(E'a\\n', 'b', false)"],
  ["SELECT set_config('a', U&'!0062' UESCAPE '!', false)"],
  ["SELECT other.set_config('a', 'b', false)"],
  ["SELECT set_config('a', 'b', false) AS"],
  ["SELECT set_config('a', 'b', false); SELECT 1"],
  ["SELECT set_config('a', 'b', false"],
  ["SELECT set_config('a', 'b'"],
  ["WITH x AS (SELECT set_config('a', 'b', false)) SELECT 1"],
  ["VALUES (set_config('a', 'b', false))"],
  ["SELECT 'unterminated"],
])("%s is not read: it may do something else, or nothing", (text) => {
  expect(parseSetConfigs(text)).toBeNull();
});
