// What a worker remembers of texts: the same for all who send them, and not more than it may.
import { expect, test } from "vitest";
import { ParseMessage } from "../protocol/frontend.js";
import { type StatementInfo, StatementRegistry } from "./client-statements.js";

const parse = new ParseMessage();

function intern(registry: StatementRegistry, sql: string): StatementInfo {
  const message = Buffer.from(`\0${sql}\0\0\0`);
  parse.read(message, 0, message.length);
  return registry.intern(message, parse, message.length, "", true);
}

test("a text that comes again is the same statement, short or long", () => {
  const registry = new StatementRegistry(100);
  for (const sql of ["SELECT 1", `SELECT '${"x".repeat(10_000)}'`]) expect(intern(registry, sql)).toBe(intern(registry, sql));
});

test("so many texts are remembered, the latest ones", () => {
  const registry = new StatementRegistry(10);
  const first = intern(registry, "SELECT 0");
  for (let i = 1; i <= 1_000; i++) intern(registry, `SELECT ${i}`);
  expect(registry.size).toBe(10);
  expect(intern(registry, "SELECT 1000")).toBe(intern(registry, "SELECT 1000"));
  expect(intern(registry, "SELECT 0")).not.toBe(first);
});

test("large texts go before they are too many: the count alone would allow gigabytes", () => {
  const registry = new StatementRegistry(10_000);
  const text = (i: number): string => `SELECT ${i}, '${"x".repeat(1 << 20)}'`;
  for (let i = 0; i < 80; i++) intern(registry, text(i));
  expect(registry.size).toBeLessThanOrEqual(32);
  expect(registry.size).toBeGreaterThan(20);
  expect(intern(registry, text(79))).toBe(intern(registry, text(79)));
  // Small ones are remembered beside them again.
  for (let i = 0; i < 1_000; i++) intern(registry, `SELECT ${i}`);
  expect(registry.size).toBeGreaterThan(1_000);
});
