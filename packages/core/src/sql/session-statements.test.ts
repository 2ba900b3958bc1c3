import { describe, expect, it } from "vitest";
import { quoteIdentifier, quoteLiteral } from "./quoting.js";
import { parseDeallocate, parseDiscard, parseReset, parseSet } from "./session-statements.js";
import { tokenize } from "./tokens.js";

describe("parseSet", () => {
  it.each([
    ["SET a = 1", "session", "a", "1", ["1"]],
    ["SET a TO -1.5e3;", "session", "a", "-1.5e3", ["-1.5e3"]],
    ["SET SESSION Work_Mem TO '64MB'", "session", "work_mem", "'64MB'", ["64MB"]],
    ["SET LOCAL statement_timeout=0", "local", "statement_timeout", "0", ["0"]],
    ["SET search_path TO a, \"B\", 'c d' -- x", "session", "search_path", "a, \"B\", 'c d'", ["a", "B", "c d"]],
    ["SET my.app_id = 'it''s'", "session", "my.app_id", "'it''s'", ["it's"]],
    ['SET "My"."App" = \'x\'', "session", "my.app", "'x'", ["x"]],
    ["SET local.x TO on", "session", "local.x", "on", ["on"]],
    ["SET session.x = on", "session", "session.x", "on", ["on"]],
    ["SET LOCAL local.x = on", "local", "local.x", "on", ["on"]],
    [
      "SET application_name TO E'a\\'b\\n\\x41\\u00e9\\101'",
      "session",
      "application_name",
      "E'a\\'b\\n\\x41\\u00e9\\101'",
      ["a'b\nA\u00e9A"],
    ],
    ["SET application_name TO U&'d\\0061t\\+000061'", "session", "application_name", "U&'d\\0061t\\+000061'", ["data"]],
    ["SET application_name TO $$a'b$$", "session", "application_name", "$$a'b$$", ["a'b"]],
    ["SET application_name TO 'a'\n 'b'", "session", "application_name", "'a'\n 'b'", ["ab"]],
    ["SET TIME ZONE 'UTC'", "session", "timezone", "'UTC'", ["UTC"]],
    ["SET LOCAL TIME ZONE -3", "local", "timezone", "-3", ["-3"]],
    ["SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", "session", "timezone", "INTERVAL '-08:00' HOUR TO MINUTE", []],
    ["SET NAMES 'latin1'", "session", "client_encoding", "'latin1'", ["latin1"]],
    ["SET SCHEMA 'x'", "session", "search_path", "'x'", ["x"]],
    ["SET ROLE none", "session", "role", "none", ["none"]],
    ['SET LOCAL ROLE "Admin"', "local", "role", '"Admin"', ["Admin"]],
    ["SET role TO x", "session", "role", "x", ["x"]],
    ["SET SESSION AUTHORIZATION 'bob'", "session", "session_authorization", "'bob'", ["bob"]],
    ["SET SESSION SESSION AUTHORIZATION bob", "session", "session_authorization", "bob", ["bob"]],
    ["SET LOCAL SESSION AUTHORIZATION bob", "local", "session_authorization", "bob", ["bob"]],
    ["SET XML OPTION DOCUMENT", "session", "xmloption", "DOCUMENT", ["document"]],
    ["SET transaction_read_only TO on", "session", "transaction_read_only", "on", ["on"]],
    ["SET seed TO 0.5", "session", "seed", "0.5", ["0.5"]],
  ])("%j", (text, scope, name, valueText, values) => {
    expect(parseSet(text)).toEqual({ scope, name, isDefault: false, valueText, values });
  });

  it.each([
    ["SET a TO DEFAULT", "a", "DEFAULT"],
    ["SET a = default", "a", "default"],
    ["SET TIME ZONE LOCAL", "timezone", "LOCAL"],
    ["SET TIME ZONE DEFAULT", "timezone", "DEFAULT"],
    ["SET NAMES", "client_encoding", "DEFAULT"],
    ["SET NAMES DEFAULT", "client_encoding", "DEFAULT"],
    ["SET SESSION AUTHORIZATION DEFAULT", "session_authorization", "DEFAULT"],
  ])("%j goes back to the default", (text, name, valueText) => {
    expect(parseSet(text)).toEqual({ scope: "session", name, isDefault: true, valueText, values: [] });
  });

  it("reads backslashes as the session does", () => {
    expect(parseSet("SET a = 'x\\'")?.values).toEqual(["x\\"]);
    expect(parseSet("SET a = 'x\\''", false)?.values).toEqual(["x'"]);
  });

  it.each([
    "SET",
    "SET a",
    "SET a =",
    "SET a = ,",
    "SET a = b,",
    "SET a = b c",
    "SET a. = b",
    "SET a = (b)",
    "SET a = 'b",
    "SET a = 'b\nc",
    "SET a FROM CURRENT",
    "SET TRANSACTION READ ONLY",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SET CONSTRAINTS ALL DEFERRED",
    "SET TIME ZONE",
    "SET TIME ZONE INTERVAL",
    "SET a = U&'x' UESCAPE '!'",
    "SHOW a",
  ])("refuses %j", (text) => {
    expect(parseSet(text)).toBeNull();
  });
});

describe("parseReset, parseDeallocate, parseDiscard", () => {
  it("tell a name from all", () => {
    expect(parseReset("RESET ALL")).toEqual({ name: null });
    expect(parseReset("RESET Work_Mem;")).toEqual({ name: "work_mem" });
    expect(parseReset("RESET my.app")).toEqual({ name: "my.app" });
    expect(parseReset("RESET TIME ZONE")).toEqual({ name: "timezone" });
    expect(parseReset("RESET SESSION AUTHORIZATION")).toEqual({ name: "session_authorization" });
    expect(parseReset("RESET TRANSACTION ISOLATION LEVEL")).toEqual({ name: "transaction_isolation" });
    expect(parseReset("RESET ROLE")).toEqual({ name: "role" });
    expect(parseReset("RESET a b")).toBeNull();
    expect(parseReset("RESET")).toBeNull();
    expect(parseDeallocate("DEALLOCATE ALL")).toEqual({ name: null });
    expect(parseDeallocate("DEALLOCATE PREPARE ALL")).toEqual({ name: null });
    expect(parseDeallocate('DEALLOCATE "ALL"')).toEqual({ name: "ALL" });
    expect(parseDeallocate("DEALLOCATE PREPARE Abc")).toEqual({ name: "abc" });
    expect(parseDeallocate("DEALLOCATE prepare")).toEqual({ name: "prepare" });
    expect(parseDeallocate("DEALLOCATE")).toBeNull();
    expect(parseDiscard("DISCARD ALL")).toBe("all");
    expect(parseDiscard("DISCARD TEMPORARY")).toBe("temp");
    expect(parseDiscard("DISCARD PLANS")).toBe("plans");
    expect(parseDiscard("DISCARD SEQUENCES")).toBe("sequences");
    expect(parseDiscard("DISCARD")).toBeNull();
    expect(parseDiscard("DISCARD ALL x")).toBeNull();
  });
});

describe("quoting", () => {
  it("gives back through the tokenizer what went in, under both string rules", () => {
    for (const value of ["", "a", "it's", 'say "x"', "back\\slash", "\\'", "é\n\t", "$$ ; --"]) {
      for (const standardStrings of [true, false]) {
        expect(tokenize(quoteLiteral(value), standardStrings)?.map((token) => token.value)).toEqual([value]);
      }
      expect(tokenize(quoteIdentifier(value))?.map((token) => token.value)).toEqual([value]);
    }
  });

  it("drops what PostgreSQL cannot hold", () => {
    expect(quoteIdentifier("a\0b")).toBe('"ab"');
    expect(quoteLiteral("a\0b")).toBe("'ab'");
  });
});
