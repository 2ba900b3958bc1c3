import { describe, expect, test } from "vitest";
import { Frontend } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { createGlobalStatement, type GlobalStatement, PreparedStatements } from "./global-statement.js";
import { Expect, Hide, type LocalReply, ReplyQueue } from "./reply-queue.js";
import { type RetryTarget, RetryUnit } from "./retry-unit.js";

class FakeServer implements RetryTarget {
  visible = false;
  readonly requestAtMs = 7;
  readonly prepared = new PreparedStatements(10);
  readonly replies = new ReplyQueue();
  readonly writer = new MessageWriter();
  readonly begun: number[] = [];
  sent = "";

  beginUnit(nowMs: number): void {
    this.begun.push(nowMs);
  }

  send(buffer: Buffer, start: number, end: number): boolean {
    this.sent += buffer.toString("latin1", start, end);
    return true;
  }
}

const stale = { severity: "ERROR", sqlstate: "0A000", message: "cached plan must not change result type" };
const missing = { severity: "ERROR", sqlstate: "26000", message: 'prepared statement "pooler_1" does not exist' };
const unit = Buffer.from("the unit");
const statement = (): GlobalStatement => createGlobalStatement(Buffer.from("SELECT 1"), []);
const closeOf = (of: GlobalStatement): string =>
  new MessageWriter().begin(Frontend.CLOSE).byte(0x53).bytes(of.nameBytes).byte(0).end().toBuffer().toString("latin1");

function remembered(...statements: readonly (readonly [GlobalStatement, boolean])[]): { retry: RetryUnit; server: FakeServer } {
  const retry = new RetryUnit();
  const server = new FakeServer();
  for (const [used, parsed] of statements) {
    server.prepared.add(used);
    server.prepared.confirm(used);
    retry.uses(used, parsed);
  }
  retry.remember(unit, 0, unit.length, null);
  return { retry, server };
}

test.each([
  ["a plan that no longer fits", stale],
  ["a statement that is not there", missing],
])("%s: the unit is sent again behind Close and Parse of what it uses", (_, error) => {
  const used = statement();
  const { retry, server } = remembered([used, false]);
  expect(retry.considers(server, error)).toBe(true);
  expect(retry.wanted).toBe(true);
  retry.send(server);
  expect(server.sent).toBe(closeOf(used) + used.parseMessage.toString("latin1") + unit.toString("latin1"));
  expect(server.begun).toEqual([7]);
  expect([server.replies.size, server.replies.headKind, server.replies.headHide]).toEqual([3, Expect.CLOSE, Hide.ALL]);
  // A second time it would be the same again.
  expect(retry.considers(server, error)).toBe(false);
});

test("what the unit itself prepares is closed only", () => {
  const [used, parsed] = [statement(), statement()];
  const { retry, server } = remembered([used, false], [parsed, true]);
  retry.considers(server, stale);
  retry.send(server);
  expect(server.sent).toBe(closeOf(used) + used.parseMessage.toString("latin1") + closeOf(parsed) + unit.toString("latin1"));
});

describe("the error is the client's", () => {
  test.each([
    ["another error", { ...stale, sqlstate: "22012" }],
    ["another thing that is not supported", { ...stale, message: "LISTEN is not" }],
  ])("%s", (_, error) => {
    const { retry, server } = remembered([statement(), false]);
    expect(retry.considers(server, error)).toBe(false);
    expect(retry.wanted).toBe(false);
  });

  test("when no statement is involved", () => {
    const { retry, server } = remembered();
    expect(retry.considers(server, stale)).toBe(false);
  });

  test("when the client has seen something already: what is stale is prepared anew next time", () => {
    const used = statement();
    const { retry, server } = remembered([used, false]);
    server.visible = true;
    expect(retry.considers(server, stale)).toBe(false);
    expect(server.prepared.use(used)).toBe(false);
    expect(server.prepared.add(used)).toBe(true);
  });

  test("when the unit is too large to be kept, or forgotten", () => {
    const { retry, server } = remembered([statement(), false]);
    const large = Buffer.alloc(64 * 1024 + 1);
    retry.remember(large, 0, large.length, null);
    expect(retry.considers(server, stale)).toBe(false);
    const second = remembered([statement(), false]);
    second.retry.forget();
    expect(second.retry.considers(second.server, stale)).toBe(false);
  });
});

test("replies in detail are expected again, without the local ones that the client has had", () => {
  const used = statement();
  const { retry, server } = remembered([used, false]);
  const skipped: string[] = [];
  const local = (name: string): LocalReply => ({ bytes: Buffer.from(name), done() {}, skipped: () => void skipped.push(name) });
  server.replies.push(Expect.LOCAL, Hide.NOTHING, local("had"));
  server.replies.push(Expect.CLOSE, Hide.ALL);
  server.replies.push(Expect.LOCAL, Hide.NOTHING, local("to come"));
  server.replies.push(Expect.SYNC, Hide.NOTHING, null, 0x54);
  retry.remember(unit, 0, unit.length, server.replies.copy(0));
  server.replies.pop();
  expect(retry.considers(server, stale)).toBe(true);
  server.replies.hideUnit();
  expect([server.replies.size, server.replies.headKind, server.replies.headHide]).toEqual([1, Expect.UNTIL_READY, Hide.ALL]);
  server.replies.complete();
  retry.send(server);
  const again: (string | number)[] = [];
  for (; !server.replies.empty; server.replies.pop()) again.push(server.replies.headLocal?.toString() ?? server.replies.headKind);
  expect(again).toEqual([Expect.CLOSE, Expect.PARSE, Expect.CLOSE, "to come", Expect.SYNC]);
  expect(skipped).toEqual([]);
});
