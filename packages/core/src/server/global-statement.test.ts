import { expect, test } from "vitest";
import { createGlobalStatement, type GlobalStatement, PreparedStatements } from "./global-statement.js";

const statements = (count: number): GlobalStatement[] =>
  Array.from({ length: count }, (_, i) => createGlobalStatement(Buffer.from(`SELECT ${i}`), [23, 25]));

test("a statement is a whole Parse message under a name that nobody else has", () => {
  const [a, b] = statements(2) as [GlobalStatement, GlobalStatement];
  expect(a.name).not.toBe(b.name);
  expect(a.parseMessage.readInt32BE(1)).toBe(a.parseMessage.length - 1);
  expect(a.parseMessage.toString("latin1", 5)).toBe(`${a.name}\0SELECT 0\0\0\x02\0\0\0\x17\0\0\0\x19`);
});

test("a server's statements: used while they wait for ParseComplete, gone when it never came", () => {
  const [a] = statements(1) as [GlobalStatement];
  const prepared = new PreparedStatements(2);
  expect(prepared.use(a)).toBe(false);
  expect(prepared.add(a)).toBe(false);
  expect(prepared.use(a)).toBe(true);
  prepared.remove(a);
  prepared.confirm(a);
  expect([prepared.use(a), prepared.size]).toEqual([false, 0]);
});

test("the least recently used go when there are too many", () => {
  const all = statements(5);
  const prepared = new PreparedStatements(3);
  for (const statement of all) prepared.add(statement);
  for (const i of [0, 3]) prepared.use(all[i] as GlobalStatement);
  const gone: string[] = [];
  prepared.evict(({ name }) => gone.push(name));
  expect(gone).toEqual([all[1]?.name, all[2]?.name]);
  expect(prepared.size).toBe(3);
  prepared.evict(({ name }) => gone.push(name));
  expect(gone).toHaveLength(2);
});

test("what is stale is not used, and is closed before it is prepared again", () => {
  const [a, b] = statements(2) as [GlobalStatement, GlobalStatement];
  const prepared = new PreparedStatements(3);
  prepared.add(a);
  prepared.confirm(a);
  prepared.markStale(a);
  prepared.markStale(b);
  expect([prepared.use(a), prepared.use(b), prepared.size]).toEqual([false, false, 1]);
  expect([prepared.add(a), prepared.add(b)]).toEqual([true, false]);
  expect(prepared.use(a)).toBe(true);
  prepared.clear();
  expect(prepared.add(a)).toBe(false);
});
