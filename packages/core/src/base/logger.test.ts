import { describe, expect, test } from "vitest";
import { PoolerError } from "./errors.js";
import { createLogger, type LoggerOptions } from "./logger.js";

function capture(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const logger = createLogger({ level: "info", format: "json", ...options, write: (line) => lines.push(line) });
  return { logger, lines, objects: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe("logger", () => {
  test("writes one JSON object a line with level, time, fields and message", () => {
    const { logger, objects, lines } = capture({ base: { worker: 2 } });
    logger.child({ client: 7 }).info({ database: "app" }, "connected");
    expect(lines[0]?.endsWith("\n")).toBe(true);
    expect(objects()).toMatchObject([{ level: "info", worker: 2, client: 7, database: "app", msg: "connected" }]);
    expect(String(objects()[0]?.["time"])).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  test("keeps lines below its level to itself, and children follow a change of level", () => {
    const { logger, lines } = capture({ level: "warn" });
    const child = logger.child({ a: 1 });
    child.info({}, "no");
    expect(child.isEnabled("info")).toBe(false);
    logger.setLevel("debug");
    child.debug({}, "yes");
    child.trace({}, "no");
    logger.setLevel("silent");
    child.error({}, "no");
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(["yes"]);
  });

  test.each([
    [{ password: "hunter2" }],
    [{ users: [{ serverPassword: "hunter2", name: "app" }] }],
    [{ user: { server_password: "hunter2" } }],
    [{ verifier: "hunter2" }],
    [{ secretKey: "hunter2" }],
    [{ url: "postgres://app:hunter2@db/app" }],
    [{ url: "postgres://app:a/b@hunter2@db/app" }],
    [{ error: new Error("cannot connect to postgres://app:hunter2@db/app") }],
    [{ error: new PoolerError("IO", "no", { detail: "postgresql://app:hunter2@[::1]:5432/app" }) }],
    [{ error: new Error("outer", { cause: new Error("postgres://app:hunter2@db/app") }) }],
    [{ tls: { key: "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n" } }],
  ])("never shows a secret: %j", (fields) => {
    for (const format of ["json", "pretty"] as const) {
      const { logger, lines } = capture({ format });
      logger.info(fields, "line");
      logger.child(fields).info({}, "postgres://app:hunter2@db/app");
      expect(lines).toHaveLength(2);
      expect(lines.join("")).not.toContain("hunter2");
      expect(lines.join("")).toContain("[hidden]");
    }
  });

  test("shows that no password is set", () => {
    const { logger, objects } = capture();
    logger.info({ password: null }, "line");
    expect(objects()[0]).toHaveProperty("password", null);
  });

  test("gives an expected failure its code and hint without a stack, a bug its stack", () => {
    const { logger, objects } = capture();
    logger.error({ error: new PoolerError("HOST_DOWN", "db1 is down", { hint: "start it" }) }, "no");
    logger.error({ error: new TypeError("oops") }, "no");
    const [expected, bug] = objects();
    expect(expected?.["error"]).toEqual({
      type: "PoolerError",
      message: "db1 is down",
      code: "HOST_DOWN",
      sqlstate: "08006",
      hint: "start it",
    });
    expect(bug?.["error"]).toMatchObject({ type: "TypeError", message: "oops", stack: expect.stringContaining("logger.test") });
  });

  test("survives cycles, buffers and big integers", () => {
    const { logger, objects } = capture();
    const loop: Record<string, unknown> = { bytes: Buffer.alloc(3), big: 2n ** 70n };
    loop["self"] = loop;
    logger.info(loop, "line");
    expect(objects()[0]).toMatchObject({ bytes: "[3 bytes]", big: "1180591620717411303424" });
  });

  test("pretty lines are for people", () => {
    const { logger, lines } = capture({ format: "pretty" });
    logger.warn({ database: "app", reason: "two words" }, "something");
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} WARN {2}something database=app reason="two words"\n$/);
  });
});
