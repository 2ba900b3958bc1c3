import { expect, test } from "vitest";
import { closest } from "./suggest.js";

const known = ["pool_mode", "pool_size", "on_session_state", "url", "user", "host", "port"];

test.each([
  ["pool_sise", "pool_size"],
  ["poolSize", "pool_size"],
  ["pool-mode", "pool_mode"],
  ["POOL_MODE", "pool_mode"],
  ["prot", "port"],
  ["hsot", "host"],
  ["on_session_sate", "on_session_state"],
  ["usr", "user"],
  ["on_session", "on_session_state"],
  ["hostname", "host"],
])("%s is taken for %s", (word, meant) => {
  expect(closest(word, known)).toBe(meant);
});

test.each(["max_connections", "x", "database", ""])("%j is like nothing known", (word) => {
  expect(closest(word, known)).toBe(null);
});
