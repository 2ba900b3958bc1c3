import { describe, expect, test } from "vitest";
import { type BenchOptions, parseCommandLine } from "./options.js";

const scenarios = ["select-only", "tls"];

function parsed(...args: string[]): BenchOptions {
  const command = parseCommandLine(args, scenarios, { out: () => {}, err: () => {} });
  if (command.kind !== "measure") throw new TypeError(`${args.join(" ")} was not taken`);
  return command.options;
}

function refused(...args: string[]): string {
  const lines: string[] = [];
  expect(parseCommandLine(args, scenarios, { out: () => {}, err: (text) => lines.push(text) })).toEqual({ kind: "done", exitCode: 2 });
  return lines.join("\n");
}

describe("the command line", () => {
  test("without options everything is measured, seven times", () => {
    expect(parsed()).toMatchObject({ scenarios: [], peers: [], clients: [], protocols: [], rounds: 7, maxMinutes: undefined });
  });

  test("--quick is a small choice with a limit, and each part of it can be overruled", () => {
    expect(parsed("--quick", "--json", "out.json")).toMatchObject({
      scenarios: ["select-only"],
      clients: [16, 100, 500],
      protocols: [],
      rounds: 3,
      workers: [1],
      maxMinutes: 14,
      jsonFile: "out.json",
    });
    expect(parsed("--quick", "--clients", "1", "--rounds", "1", "--scenario", "tls")).toMatchObject({
      clients: [1],
      rounds: 1,
      scenarios: ["tls"],
    });
  });

  test("lists are separated by commas", () => {
    expect(parsed("--clients", "1, 16", "--protocols", "simple,prepared", "--io", "streams", "--workers", "1,2")).toMatchObject({
      clients: [1, 16],
      protocols: ["simple", "prepared"],
      io: ["streams"],
      workers: [1, 2],
    });
  });

  test("other peers are named, and can then be chosen", () => {
    expect(parsed("--peer", "pgcat=/bin/pgcat", "--peer", "own=x", "--peer-config", "own=/etc/own", "--peers", "pgcat")).toMatchObject({
      otherPeers: [
        { name: "pgcat", path: "/bin/pgcat" },
        { name: "own", path: "x" },
      ],
      peerConfigs: [{ name: "own", path: "/etc/own" }],
      peers: ["pgcat"],
    });
  });

  test("the two dashes that npm wants before options do no harm", () => {
    expect(parsed("--", "--quick").rounds).toBe(3);
  });

  test("--docs measures nothing", () => {
    expect(parseCommandLine(["--docs", "a.json", "b.json"], scenarios, { out: () => {}, err: () => {} })).toEqual({
      kind: "docs",
      files: ["a.json", "b.json"],
    });
  });

  test("--help is no error", () => {
    const lines: string[] = [];
    const command = parseCommandLine(["--help"], scenarios, { out: (text) => lines.push(text), err: () => {} });
    expect(command).toEqual({ kind: "done", exitCode: 0 });
    expect(lines.join("\n")).toContain("pnpm bench [options]");
  });

  test.each([
    [["--scenario", "selct"], 'There is no scenario "selct"; there are select-only, tls.'],
    [["--protocols", "binary"], 'There is no protocol "binary"; there are simple, extended, prepared.'],
    [["--clients", "0"], "Expected a whole number from 1 to 50000."],
    [["--rounds", "1.5"], "Expected a whole number from 1 to 1000."],
    [["--peers", "pgboncer"], "--peers pgboncer: the peers are direct, pgbouncer, pooler"],
    [["--peer", "/bin/pgcat"], "Expected name=path"],
    [["--peer", "pgbouncer=/x"], "--peer pgbouncer=…: this name is taken."],
    [["--peer-config", "pgcat=/x"], "there is no --peer pgcat=PATH"],
    [["--qick"], "Did you mean --quick?"],
    [["quick"], "too many arguments"],
  ])("%j is refused with a reason", (args, message) => {
    expect(refused(...args)).toContain(message);
  });
});
