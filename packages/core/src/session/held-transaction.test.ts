import { describe, expect, test } from "vitest";
import { PoolerError } from "../base/errors.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { ReplyQueue } from "../server/reply-queue.js";
import { createLexed, lex } from "../sql/lexer.js";
import { HeldTransaction } from "./held-transaction.js";

const commandOf = (sql: string): number => {
  const lexed = createLexed();
  lex(Buffer.from(sql), 0, Buffer.byteLength(sql), true, lexed);
  return lexed.commands[0] as number;
};

/** What each statement is answered with: a tag, a warning's code behind it, or an error's code. */
function talk(begin: string, ...statements: readonly string[]): { held: HeldTransaction; answers: string[] } {
  const held = new HeldTransaction(begin);
  const answers = statements.map((sql) => {
    try {
      const { answer, over } = held.run(commandOf(sql), sql);
      return [answer.tag, answer.warning?.sqlstate ?? "", over ? "over" : ""].filter((part) => part !== "").join(" ");
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      return error.sqlstate;
    }
  });
  return { held, answers };
}

/** The texts that a server would be sent. */
function replayed(held: HeldTransaction): string[] {
  const writer = new MessageWriter();
  const replies = new ReplyQueue();
  held.replay(writer, replies);
  const texts: string[] = [];
  const bytes = writer.toBuffer();
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1))
    texts.push(bytes.toString("latin1", at + 5, at + bytes.readInt32BE(at + 1)));
  expect(replies.size).toBe(texts.length);
  return texts;
}

test("BEGIN and what joins it is said again, word for word", () => {
  const { held, answers } = talk(
    "BEGIN isolation level serializable",
    "SET LOCAL a.b = 'ü'",
    "SAVEPOINT s",
    "SET c = 1",
    "SET TRANSACTION READ ONLY",
  );
  expect(answers).toEqual(["SET", "SAVEPOINT", "SET", "SET"]);
  expect(replayed(held)).toEqual([
    "BEGIN isolation level serializable",
    "SET LOCAL a.b = 'ü'",
    "SAVEPOINT s",
    "SET c = 1",
    "SET TRANSACTION READ ONLY",
  ]);
});

test("a second BEGIN is a warning and nothing else, by its own name", () => {
  const { held, answers } = talk("BEGIN", "BEGIN", "START TRANSACTION READ ONLY");
  expect(answers).toEqual(["BEGIN 25001", "START TRANSACTION 25001"]);
  expect(replayed(held)).toEqual(["BEGIN"]);
  expect(held.readOnly).toBe(null);
});

test.each([
  ["COMMIT", "COMMIT over"],
  ["END", "COMMIT over"],
  ["ROLLBACK", "ROLLBACK over"],
  ["ABORT", "ROLLBACK over"],
  ["COMMIT AND NO CHAIN", "COMMIT over"],
  ["COMMIT AND CHAIN", "COMMIT"],
  ["ROLLBACK AND CHAIN", "ROLLBACK"],
])("%s", (sql, expected) => {
  const { held, answers } = talk("BEGIN READ ONLY", "SET LOCAL a.b = 1", sql);
  expect(answers.at(-1)).toBe(expected);
  if (!expected.endsWith("over")) expect(replayed(held)).toEqual(["BEGIN READ ONLY"]);
});

describe("savepoints", () => {
  test("ROLLBACK TO forgets what came behind, not the savepoint", () => {
    const { held } = talk("BEGIN", "SAVEPOINT a", "SET LOCAL x.y = 1", "SAVEPOINT b", "ROLLBACK TO a", "SET LOCAL x.y = 2");
    expect(replayed(held)).toEqual(["BEGIN", "SAVEPOINT a", "SET LOCAL x.y = 2"]);
  });

  test("RELEASE forgets the savepoint and those inside it, not what was set", () => {
    const { held, answers } = talk("BEGIN", "SAVEPOINT a", "SET LOCAL x.y = 1", "SAVEPOINT b", "RELEASE a", "ROLLBACK TO b");
    expect(answers.at(-1)).toBe("3B001");
    expect(held.failed).toBe(true);
    expect(held.statements.map(({ text }) => text)).toEqual(["BEGIN", "SET LOCAL x.y = 1"]);
  });

  test("the inner one of two of one name", () => {
    const { held } = talk("BEGIN", "SAVEPOINT a", "SET LOCAL x.y = 1", "SAVEPOINT a", "SET LOCAL x.y = 2", "ROLLBACK TO a");
    expect(replayed(held)).toEqual(["BEGIN", "SAVEPOINT a", "SET LOCAL x.y = 1", "SAVEPOINT a"]);
  });

  test("one that is not there makes the transaction fail, and one that is there saves it", () => {
    const { answers } = talk("BEGIN", "SAVEPOINT a", "RELEASE nope", "SET LOCAL x.y = 1", "ROLLBACK TO a", "SET LOCAL x.y = 2", "COMMIT");
    expect(answers).toEqual(["SAVEPOINT", "3B001", "25P02", "ROLLBACK", "SET", "COMMIT over"]);
  });
});

test("a transaction that failed takes its end and nothing else, and its COMMIT is a ROLLBACK", () => {
  const { held } = talk("BEGIN");
  held.fail();
  const codes = ["BEGIN", "SAVEPOINT a", "SET LOCAL x.y = 1"].map((sql) => {
    try {
      held.run(commandOf(sql), sql);
      return "taken";
    } catch (error) {
      return (error as PoolerError).sqlstate;
    }
  });
  expect(codes).toEqual(["25P02", "25P02", "25P02"]);
  expect(held.run(commandOf("COMMIT"), "COMMIT")).toEqual({ answer: { tag: "ROLLBACK", warning: null }, over: true });
});

test("a lost one tells why, once", () => {
  const held = HeldTransaction.lost(new PoolerError("SERVER_LOST", "gone"));
  expect([held.failed, held.failure().sqlstate, held.failure().sqlstate]).toEqual([true, "08006", "25P02"]);
});

test.each<[string, boolean | null, boolean]>([
  ["BEGIN", null, false],
  ["BEGIN READ ONLY", true, false],
  ["START TRANSACTION READ WRITE", false, false],
  ["BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", true, true],
])("%s: read only %s, serializable %s", (begin, readOnly, serializable) => {
  const { held } = talk(begin);
  expect([held.readOnly, held.serializable]).toEqual([readOnly, serializable]);
});

test("SET TRANSACTION changes what is known of it", () => {
  const { held } = talk("BEGIN", "SET TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE");
  expect([held.readOnly, held.serializable]).toEqual([true, true]);
});

test.each([
  ["SET x.y = 1", true, false],
  ["SET LOCAL x.y = 1", false, false],
  ["RESET ALL", true, true],
  ["SET LOCAL TIME ZONE 'UTC'", false, true],
  ["SET datestyle = 'ISO'", true, true],
  ["SAVEPOINT a", false, false],
])("%s: its COMMIT keeps settings %s, texts come to mean something else %s", (sql, keeps, reads) => {
  const { held } = talk("BEGIN", sql);
  expect([held.keepsSettings, held.changesReading]).toEqual([keeps, reads]);
});

test("its effects are those of its SETs and savepoints, in their order", () => {
  const { held } = talk("BEGIN", "SET a.b = 1", "SAVEPOINT s", "SET LOCAL a.b = 2", "RESET a.b");
  expect(held.effects).toEqual([
    { kind: "set", name: "a.b", statement: "SET a.b = 1" },
    { kind: "savepoint", name: "s" },
    { kind: "reset", name: "a.b" },
  ]);
});
