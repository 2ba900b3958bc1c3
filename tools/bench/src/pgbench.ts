// Runs pgbench, PostgreSQL's own load generator, in one thread. Knows what to start it with; what it says is read elsewhere.
import { spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { BenchError } from "./bench-error.js";
import type { Target } from "./peers/peer.js";
import { type Latencies, type Progress, parseLatencies, parseProgress, parseSummary, type Summary } from "./pgbench-output.js";

export interface Pgbench {
  readonly path: string;
  readonly version: string;
}

const whereToGetIt = `It comes with PostgreSQL: apt-get install postgresql-contrib (Debian, Ubuntu), dnf install postgresql-contrib (Fedora),
apk add postgresql-client (Alpine), or any PostgreSQL 13 or newer; --pgbench PATH names one that is not on PATH.`;

export function findPgbench(chosen: string | undefined): Pgbench {
  const candidates = chosen === undefined ? [...debianPaths(), "pgbench"] : [chosen];
  for (const path of candidates) {
    const version = versionOf(path);
    if (version !== undefined) return { path, version };
  }
  throw new BenchError(
    chosen === undefined
      ? `The load comes from pgbench, and there is none here. ${whereToGetIt}`
      : `--pgbench ${chosen}: this cannot be run, or is no pgbench. ${whereToGetIt}`,
  );
}

/** Debian's /usr/bin/pgbench is a script that looks for one of these; newest first. */
function debianPaths(): readonly string[] {
  const root = "/usr/lib/postgresql";
  try {
    const majors = readdirSync(root).map(Number).filter(Number.isInteger);
    return majors.sort((a, b) => b - a).map((major) => join(root, String(major), "bin", "pgbench"));
  } catch {
    return [];
  }
}

function versionOf(path: string): string | undefined {
  const { status, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
  return status === 0 ? /^pgbench \(PostgreSQL\) (\S+)/.exec(stdout)?.[1] : undefined;
}

export type Protocol = "simple" | "extended" | "prepared";

export interface PgbenchRun {
  readonly target: Target;
  readonly clients: number;
  readonly protocol: Protocol;
  /** A built-in script, or a file. */
  readonly script: { readonly builtin: string } | { readonly file: string };
  readonly seconds: number;
  /** Left out of the latencies. */
  readonly warmUpSeconds: number;
  /** Connects anew for every transaction. */
  readonly reconnect: boolean;
  /** Share of the transactions whose latency is logged: writing all of them costs the load generator time. */
  readonly samplingRate: number;
  /** Called about every second. */
  onProgress?(progress: Progress): void;
}

export interface PgbenchOutcome {
  readonly summary: Summary;
  readonly latencies: Latencies | undefined;
}

export async function runPgbench(pgbench: Pgbench, run: PgbenchRun, directory: string, signal: AbortSignal): Promise<PgbenchOutcome> {
  const logDirectory = await mkdtemp(join(directory, "pgbench-"));
  try {
    const { target, script } = run;
    const output = await spawned(
      pgbench,
      [
        ...addressOf(target),
        "--no-vacuum",
        "--jobs=1",
        `--client=${run.clients}`,
        `--time=${run.seconds}`,
        `--protocol=${run.protocol}`,
        "--progress=1",
        ...("builtin" in script ? [`--builtin=${script.builtin}`] : [`--file=${script.file}`]),
        ...(run.reconnect ? ["--connect"] : []),
        "--log",
        `--log-prefix=${join(logDirectory, "log")}`,
        ...(run.samplingRate < 1 ? [`--sampling-rate=${run.samplingRate}`] : []),
        target.database,
      ],
      target,
      signal,
      run.onProgress,
    );
    const summary = parseSummary(output);
    if (summary === undefined || summary.transactions === 0) {
      throw new BenchError(`pgbench reported no transactions:\n${tail(output)}`);
    }
    const logs = await Promise.all((await readdir(logDirectory)).map((name) => readFile(join(logDirectory, name), "latin1")));
    return { summary, latencies: parseLatencies(logs.join(""), run.warmUpSeconds) };
  } finally {
    await rm(logDirectory, { recursive: true, force: true });
  }
}

/** Creates and fills the tables of the built-in scripts: 100,000 accounts for each unit of the scale. */
export async function initializeTables(pgbench: Pgbench, target: Target, scale: number, signal: AbortSignal): Promise<void> {
  await spawned(pgbench, [...addressOf(target), "--initialize", "--quiet", `--scale=${scale}`, target.database], target, signal);
}

function addressOf({ port, user }: Target): readonly string[] {
  return ["--host=127.0.0.1", `--port=${port}`, `--username=${user}`];
}

function spawned(
  pgbench: Pgbench,
  args: readonly string[],
  { tls, password }: Target,
  signal: AbortSignal,
  onProgress?: (progress: Progress) => void,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(pgbench.path, args, {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        PGSSLMODE: tls ? "require" : "disable",
        PGGSSENCMODE: "disable",
        PGCHANNELBINDING: "prefer",
        ...(password === undefined ? {} : { PGPASSWORD: password }),
      },
    });
    let output = "";
    let line = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      line += text;
      for (let end = line.indexOf("\n"); end >= 0; end = line.indexOf("\n")) {
        const progress = parseProgress(line.slice(0, end));
        if (progress === undefined) output += line.slice(0, end + 1);
        else onProgress?.(progress);
        line = line.slice(end + 1);
      }
    });
    const abort = (): void => {
      child.kill("SIGKILL");
    };
    signal.addEventListener("abort", abort, { once: true });
    child.on("error", (cause) => reject(new BenchError(`${pgbench.path} could not be run: ${cause.message}`, { cause })));
    child.on("close", (code, killedBy) => {
      signal.removeEventListener("abort", abort);
      if (signal.aborted) reject(signal.reason);
      else if (code === 0) resolve(output);
      else reject(new BenchError(`pgbench ended with ${killedBy ?? `code ${code}`}:\n${tail(output + line)}`));
    });
  });
}

function tail(output: string): string {
  return output.trim().split("\n").slice(-12).join("\n");
}
