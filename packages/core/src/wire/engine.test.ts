import { expect, test } from "vitest";
import { PoolerError } from "../base/errors.js";
import { createLogger } from "../base/logger.js";
import { createWireEngine } from "./engine.js";

const unavailable = (): never => {
  throw new PoolerError("NOT_SUPPORTED", "the sockets engine does not work here: a test says so");
};

function setup() {
  const lines: string[] = [];
  return { lines, log: createLogger({ level: "info", format: "json", write: (line) => void lines.push(line) }) };
}

test.runIf(process.platform === "linux")("the engine is the one that the configuration names; by default, sockets", () => {
  const { log, lines } = setup();
  expect(createWireEngine("streams", log).name).toBe("streams");
  expect(createWireEngine("sockets", log).name).toBe("sockets");
  expect(createWireEngine("auto", log).name).toBe("sockets");
  expect(lines).toEqual([]);
});

test("where sockets do not work, streams take their place, and the log says why", () => {
  const { log, lines } = setup();
  expect(createWireEngine("auto", log, unavailable).name).toBe("streams");
  expect(lines.join("")).toContain("the sockets engine does not work here: a test says so");
});

test.each(["darwin", "freebsd"])("on %s that is so, and the log names the system", (platform) => {
  const own = Object.getOwnPropertyDescriptor(process, "platform") as PropertyDescriptor;
  const { log, lines } = setup();
  try {
    Object.defineProperty(process, "platform", { ...own, value: platform });
    expect(createWireEngine("auto", log).name).toBe("streams");
    expect(() => createWireEngine("sockets", log)).toThrow(`it is made for Linux on x64 and arm64, not for ${platform} on ${process.arch}`);
  } finally {
    Object.defineProperty(process, "platform", own);
  }
  expect(lines.join("")).toMatch(
    new RegExp(`"level":"info".*made for Linux on x64 and arm64, not for ${platform} on .*connections go through Node's streams`),
  );
});

test("a bug in the sockets engine is not hidden behind streams", () => {
  const { log } = setup();
  const broken = (): never => {
    throw new TypeError("a bug");
  };
  expect(() => createWireEngine("auto", log, broken)).toThrow("a bug");
});

test("sockets that do not work are an error when they were asked for by name", () => {
  const { log } = setup();
  expect(() => createWireEngine("sockets", log, unavailable)).toThrow("the sockets engine does not work here: a test says so");
});

test("streams need nothing", () => {
  const { log, lines } = setup();
  expect(createWireEngine("streams", log, unavailable).name).toBe("streams");
  expect(lines).toEqual([]);
});
