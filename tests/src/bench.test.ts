// The benchmark as people run it, made as small as it gets: what it writes, and what is left of it when it is interrupted.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const benchMain = join(root, "tools", "bench", "dist", "index.js");
const goneLimitMs = 20_000;
const runLimitMs = 90_000;
const tiny = ["--protocols", "simple", "--clients", "1", "--rounds", "1", "--seconds", "1", "--scale", "1"];

/** Debian keeps the real one out of PATH, where the benchmark looks as well. */
const hasPgbench =
  spawnSync("pgbench", ["--version"]).status === 0 ||
  (existsSync("/usr/lib/postgresql") &&
    readdirSync("/usr/lib/postgresql").some((major) => existsSync(`/usr/lib/postgresql/${major}/bin/pgbench`)));

interface RunningBench {
  readonly child: ChildProcess;
  /** Its temporary files are in here and nowhere else. */
  readonly temporary: string;
  readonly ended: Promise<number | null>;
  stderr(): string;
}

const running: RunningBench[] = [];

afterEach(async () => {
  for (const { child, ended, temporary } of running.splice(0)) {
    child.kill("SIGTERM");
    await ended;
    rmSync(temporary, { recursive: true });
  }
});

function startBench(...args: string[]): RunningBench {
  const temporary = mkdtempSync(join(realpathSync(tmpdir()), "bench-test-"));
  // Whom the servers run as has to pass.
  chmodSync(temporary, 0o755);
  const script = `const { runBench } = await import(${JSON.stringify(benchMain)});
    process.exitCode = await runBench(${JSON.stringify(args)});`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const bench = { child, temporary, ended, stderr: () => stderr };
  running.push(bench);
  return bench;
}

test(
  "measures PostgreSQL and the pooler in front of it, writes both, and leaves nothing behind",
  async ({ skip }) => {
    skip(!hasPgbench, "pgbench is not here: the load generator of PostgreSQL, in postgresql-contrib of most systems");
    const directory = mkdtempSync(join(tmpdir(), "bench-json-"));
    const jsonFile = join(directory, "out.json");
    try {
      const scenarios = ["--scenario", "select-only,large-result,memory", "--idle-clients", "20"];
      const bench = startBench(...tiny, ...scenarios, "--peers", "direct,pooler", "--workers", "1", "--io", "auto", "--json", jsonFile);
      expect(await bench.ended, bench.stderr()).toBe(0);
      expect(readdirSync(bench.temporary)).toEqual([]);
      const result: unknown = JSON.parse(readFileSync(jsonFile, "utf8"));
      const positive = expect.toSatisfy((value: unknown) => typeof value === "number" && value > 0);
      const measured = { scenario: "select-only", protocol: "simple", clients: 1, tps: positive, p50Ms: positive };
      const ofDirect = { peer: "direct", workers: null, cpuUsPerQuery: null, rssKb: null, ratioToPgbouncer: null };
      const ofPooler = { peer: "pooler", workers: 1, cpuUsPerQuery: positive, rssKb: positive, ratioToPgbouncer: null };
      expect(result).toMatchObject({
        isComplete: true,
        failures: [],
        machine: { cores: positive },
        versions: { node: process.versions.node },
        rows: [
          { ...measured, ...ofDirect, p99Ms: positive },
          { ...measured, ...ofPooler, p99Ms: positive },
          { ...measured, ...ofDirect, scenario: "large-result" },
          { ...measured, ...ofPooler, scenario: "large-result" },
        ],
        memory: [{ peer: "pooler", idleClients: 20, baseRssKb: positive, startToFirstQueryMs: positive, serveMs: positive }],
      });
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
  runLimitMs,
);

test(
  "interrupted in the middle of a measurement it ends every process and deletes every file",
  async ({ skip }) => {
    skip(!hasPgbench, "pgbench is not here: the load generator of PostgreSQL, in postgresql-contrib of most systems");
    const bench = startBench(
      ...tiny,
      "--scenario",
      "select-only",
      "--seconds",
      "60",
      "--peers",
      "pooler",
      "--workers",
      "1",
      "--io",
      "auto",
    );
    await until(() => pgbenchOf(bench) !== undefined);
    const pgbench = pgbenchOf(bench) ?? 0;
    bench.child.kill("SIGINT");
    expect(await bench.ended).toBe(130);
    expect(readdirSync(bench.temporary)).toEqual([]);
    expect(existsSync(`/proc/${pgbench}`)).toBe(false);
    expect(processesNaming(bench.temporary)).toEqual([]);
  },
  runLimitMs,
);

/** The one that makes the load, not the one that fills the tables. */
function pgbenchOf({ temporary }: RunningBench): number | undefined {
  return processesNaming(join(temporary, "")).find((pid) => commandOf(pid).includes("--time="));
}

function processesNaming(text: string): readonly number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => commandOf(pid).includes(text));
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

async function until(isDone: () => boolean): Promise<void> {
  const deadline = Date.now() + runLimitMs - goneLimitMs;
  while (!isDone()) {
    expect(Date.now()).toBeLessThan(deadline);
    await delay(50);
  }
}

test("what a query costs in JavaScript alone can be measured without servers", () => {
  const { stdout, stderr } = spawnSync(process.execPath, [join(root, "packages", "core", "bench", "query.mjs"), "simple", "4", "400"], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(stdout).toMatch(/^simple, 4 clients: \d+ ns a query$/m);
});
