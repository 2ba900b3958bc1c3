import { expect, test } from "vitest";
import { parseOptions } from "./options.js";

test("without arguments: version 18, replicas, a port of the demo's choice", () => {
  expect(parseOptions([])).toEqual({ port: undefined, pgVersion: "18", replicas: true, json: false, help: false });
});

test("every option is understood", () => {
  expect(parseOptions(["--port", "7000", "--pg-version=13", "--no-replicas", "--json"])).toEqual({
    port: 7000,
    pgVersion: "13",
    replicas: false,
    json: true,
    help: false,
  });
});

test.each([
  [["--port", "0"], "--port 0: a port is a number from 1 to 65535."],
  [["--port", "70000"], "--port 70000: a port is a number from 1 to 65535."],
  [["--port", "6432x"], "--port 6432x: a port is a number from 1 to 65535."],
  [["--pg-version", "12"], "--pg-version 12: the versions are 13, 14, 15, 16, 17, 18."],
  [["--replicas"], "Unknown option '--replicas'"],
  [["extra"], "Unexpected argument 'extra'"],
])("%j is refused with what is allowed", (args, message) => {
  expect(() => parseOptions(args)).toThrow(message);
});
