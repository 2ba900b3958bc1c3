import { describe, expect, it } from "vitest";
import {
  parseBegin,
  parseEnd,
  parseRelease,
  parseRollbackTo,
  parseSavepoint,
  parseSetCharacteristics,
  parseSetTransaction,
} from "./transaction-statements.js";

const none = { isolation: null, readOnly: null, deferrable: null };

describe("parseBegin", () => {
  it.each([
    ["BEGIN", {}],
    ["begin work;", {}],
    ["BEGIN TRANSACTION", {}],
    ["START TRANSACTION", {}],
    ["BEGIN READ ONLY", { readOnly: true }],
    ["BEGIN READ WRITE", { readOnly: false }],
    ["BEGIN READ ONLY READ WRITE", { readOnly: false }],
    [
      "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
      { isolation: "serializable", readOnly: true, deferrable: true },
    ],
    ["BEGIN NOT DEFERRABLE ISOLATION /* x */ LEVEL REPEATABLE READ -- y", { isolation: "repeatable read", deferrable: false }],
    ["BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", { isolation: "read committed", readOnly: true }],
    ["BEGIN WORK ISOLATION LEVEL READ UNCOMMITTED", { isolation: "read uncommitted" }],
  ])("%j", (text, modes) => {
    expect(parseBegin(text)).toEqual({ ...none, ...modes, valid: true });
  });

  it.each([
    "",
    "BEGINN",
    "BEGIN x",
    "BEGIN READ",
    "BEGIN ,READ ONLY",
    "BEGIN READ ONLY,",
    "BEGIN READ ONLY,, READ WRITE",
    "BEGIN ISOLATION LEVEL",
    "BEGIN ISOLATION LEVEL READ",
    "BEGIN WORK TRANSACTION",
    "START",
    "START WORK",
    'BEGIN "read" only',
    "BEGIN 'READ ONLY'",
    "BEGIN; SELECT 1",
    "BEGIN /* x",
  ])("refuses %j", (text) => {
    expect(parseBegin(text).valid).toBe(false);
  });
});

describe("parseSetTransaction and parseSetCharacteristics", () => {
  it("read the modes", () => {
    expect(parseSetTransaction("SET TRANSACTION READ ONLY")).toEqual({ ...none, readOnly: true });
    expect(parseSetTransaction("set local transaction isolation level serializable")).toEqual({ ...none, isolation: "serializable" });
    expect(parseSetTransaction("SET SESSION TRANSACTION DEFERRABLE")).toEqual({ ...none, deferrable: true });
    expect(parseSetCharacteristics("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")).toEqual({ ...none, readOnly: false });
    expect(parseSetCharacteristics("SET SESSION SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")).toEqual({ ...none, readOnly: false });
  });

  it("refuse what is something else", () => {
    expect(parseSetTransaction("SET TRANSACTION")).toBeNull();
    expect(parseSetTransaction("SET TRANSACTION SNAPSHOT 'x'")).toBeNull();
    expect(parseSetTransaction("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")).toBeNull();
    expect(parseSetCharacteristics("SET TRANSACTION READ ONLY")).toBeNull();
    expect(parseSetCharacteristics("SET SESSION CHARACTERISTICS AS TRANSACTION")).toBeNull();
  });
});

describe("parseEnd", () => {
  it.each([
    ["COMMIT", false],
    ["END TRANSACTION", false],
    ["ROLLBACK WORK AND NO CHAIN", false],
    ["COMMIT AND CHAIN", true],
    ["ABORT WORK AND CHAIN;", true],
  ])("%j", (text, chain) => {
    expect(parseEnd(text)).toEqual({ chain });
  });

  it.each(["COMMIT AND", "COMMIT PREPARED 'x'", "ROLLBACK TO a", "COMMIT x", "COMMIT AND NO"])("refuses %j", (text) => {
    expect(parseEnd(text)).toBeNull();
  });
});

describe("savepoints", () => {
  it("have names that fold, unquote and are cut as the server does it", () => {
    expect(parseSavepoint("SAVEPOINT Abc")).toBe("abc");
    expect(parseSavepoint('SAVEPOINT "A""b c"')).toBe('A"b c');
    expect(parseSavepoint('SAVEPOINT U&"d\\0061t\\+000061"')).toBe("data");
    expect(parseSavepoint("SAVEPOINT Éa")).toBe("Éa");
    expect(parseSavepoint(`SAVEPOINT ${"x".repeat(70)}`)).toBe("x".repeat(63));
    expect(parseSavepoint(`SAVEPOINT ${"é".repeat(40)}`)).toBe("é".repeat(31));
    expect(parseSavepoint("SAVEPOINT")).toBeNull();
    expect(parseSavepoint("SAVEPOINT a b")).toBeNull();
    expect(parseSavepoint("SAVEPOINT 'a'")).toBeNull();
    expect(parseSavepoint('SAVEPOINT "a')).toBeNull();
  });

  it("are released and rolled back to", () => {
    expect(parseRelease("RELEASE a")).toBe("a");
    expect(parseRelease("RELEASE SAVEPOINT a")).toBe("a");
    expect(parseRelease("RELEASE savepoint")).toBe("savepoint");
    expect(parseRelease("RELEASE")).toBeNull();
    expect(parseRollbackTo("ROLLBACK TO a")).toBe("a");
    expect(parseRollbackTo('ABORT WORK TO SAVEPOINT "A"')).toBe("A");
    expect(parseRollbackTo("ROLLBACK TRANSACTION TO savepoint")).toBe("savepoint");
    expect(parseRollbackTo("ROLLBACK")).toBeNull();
    expect(parseRollbackTo("ROLLBACK TO a b")).toBeNull();
  });
});

describe("what comes with every transaction", () => {
  it("is read once, and rightly however many texts there are", () => {
    expect(parseBegin("BEGIN")).toBe(parseBegin("BEGIN"));
    expect(parseEnd("COMMIT")).toBe(parseEnd("COMMIT"));
    for (let round = 0; round < 2; round++) {
      for (let n = 0; n < 200; n++) {
        expect(parseBegin(`BEGIN READ ONLY ${" ".repeat(n)}`).readOnly).toBe(true);
        expect(parseBegin(`BEGIN ISOLATION LEVEL ${n}`).valid).toBe(false);
        expect(parseEnd(`COMMIT AND CHAIN${" ".repeat(n)}`)).toEqual({ chain: true });
        expect(parseEnd(`COMMIT ${n}`)).toBeNull();
      }
    }
  });
});
