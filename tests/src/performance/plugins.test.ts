// What calls of plugins leave on the heap: nothing. And what they allocate on the way must not grow unnoticed. packages/core/bench/plugins.mjs
// measures it; the times that it takes, too, are not looked at here, since they depend on the machine.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";

const rounds = 100_000;
/** Compiled code, mostly. A leak of one number for each call would be 800 kB. */
const slackBytes = 300_000;

/** Twice what was measured: other versions of Node.js differ. */
const mostAllocatedBytes = {
  "no plugin": 8,
  "empty native plugin": 100,
  "empty JavaScript plugin": 500,
  "JavaScript plugin that reads a parameter and forwards": 1_700,
  "read-write-split + hash-sharding, prepared": 200,
  "read-write-split + hash-sharding, simple, literals differ": 340,
} as const;

interface Result {
  readonly cases: Readonly<Record<string, { readonly allocatedBytes: number; readonly keptBytes: number }>>;
}

let result: Result;
beforeAll(async () => {
  const bench = fileURLToPath(new URL("../../../packages/core/bench/plugins.mjs", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [bench, "--json", "--turns", "1", "--rounds", String(rounds)]);
  result = JSON.parse(stdout) as Result;
}, 300_000);

describe.each(Object.entries(mostAllocatedBytes))("%s", (name, most) => {
  test("calls leave nothing behind", () => {
    expect(result.cases[name]?.keptBytes).toBeLessThan(slackBytes);
  });

  test("a call allocates no more than it did", () => {
    expect(result.cases[name]?.allocatedBytes).toBeLessThan(most);
  });
});
