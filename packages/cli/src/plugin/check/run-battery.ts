// Puts a library through the battery in a process of its own, and in another one after each crash, from the next case on.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { BatteryJob, BatteryReport, MemoryJob } from "./battery-job.js";
import type { Group } from "./battery-types.js";
import { threads } from "./calls-at-once.js";

export interface Finding {
  readonly group: Group;
  readonly text: string;
}

export interface BatteryResult {
  readonly problems: readonly Finding[];
  readonly notes: readonly Finding[];
  /** How often a function of the plugin was called. */
  readonly calls: ReadonlyMap<Group, number>;
}

export interface BatteryOptions {
  readonly library: string;
  readonly config: string;
  readonly statements: readonly string[];
  /** Null: all. */
  readonly only: readonly Group[] | null;
  /** For one call. */
  readonly timeoutMs: number;
  /** Environment of a sanitizer's runtime. */
  readonly sanitizer?: Readonly<Record<string, string>>;
}

/** After that many crashes it is clear enough. */
const mostCrashes = 4;
const startMs = 30_000;

export async function runBattery(options: BatteryOptions): Promise<BatteryResult> {
  const problems: Finding[] = [];
  const notes: Finding[] = [];
  const calls = new Map<Group, number>();
  const seen = new Set<string>();
  const found: Found = { problems, notes, calls, seen, frames: null };
  let from = 0;
  for (let crashes = 0; ; ) {
    const run = await runOnce("battery-process.js", { ...options, from }, options, found);
    if (run.end) break;
    if (!seen.has(run.problem)) problems.push({ group: run.group, text: `${run.where}: ${run.problem}` });
    seen.add(run.problem);
    crashes++;
    from = run.index + 1;
    if (crashes === mostCrashes) {
      problems.push({ group: run.group, text: `it crashed ${crashes} times: the rest was not tried` });
      break;
    }
  }
  // The allocator under a sanitizer keeps what was freed, and books of its own.
  if (options.sanitizer === undefined && found.frames !== null && options.only?.includes("memory") !== false) {
    const run = await runOnce("memory-process.js", { library: options.library, ...found.frames }, options, found);
    if (!run.end) problems.push({ group: "memory", text: `${run.where}: ${run.problem}` });
  }
  return { problems, notes, calls };
}

type Found = {
  readonly seen: Set<string>;
  frames: Omit<MemoryJob, "library"> | null;
  readonly problems: Finding[];
  readonly notes: Finding[];
  readonly calls: Map<Group, number>;
};
type Run =
  | { readonly end: true }
  | { readonly end: false; readonly index: number; readonly group: Group; readonly where: string; readonly problem: string };

/** No compiler and no collector that work, and allocate, beside what is measured. */
const quietly = ["--expose-gc", "--single-threaded", "--no-opt"];

function runOnce(
  program: "battery-process.js" | "memory-process.js",
  job: BatteryJob | MemoryJob,
  { timeoutMs, sanitizer }: BatteryOptions,
  found: Found,
): Promise<Run> {
  const flags = program === "memory-process.js" ? quietly : [];
  const child = spawn(process.execPath, [...flags, fileURLToPath(new URL(program, import.meta.url))], {
    env: { ...process.env, UV_THREADPOOL_SIZE: String(threads), ...sanitizer },
    stdio: ["pipe", "ignore", "pipe", "pipe"],
  });
  const from = "from" in job ? job.from : 0;
  // A process that cannot even start does not read.
  child.stdin?.on("error", () => {}).end(JSON.stringify(job));
  let index = from - 1;
  let group: Group = program === "memory-process.js" ? "memory" : "handshake";
  let title = "loaded";
  let symbol = "";
  let isOver = false;
  let isLate = false;
  // Until it says its first word, it is Node that takes the time.
  let timer = watch(startMs);
  let rest = "";
  let said = "";

  function watch(limitMs: number): NodeJS.Timeout {
    return setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
    }, limitMs);
  }

  function hear(report: BatteryReport): void {
    switch (report.kind) {
      case "case":
        ({ index, group, title } = report);
        symbol = "";
        break;
      case "calls":
        symbol = report.symbol;
        found.calls.set(group, (found.calls.get(group) ?? 0) + 1);
        break;
      case "note":
        found.notes.push({ group, text: report.text });
        break;
      case "breach":
        if (!found.seen.has(report.problem)) found.problems.push({ group, text: `${title}: ${report.message}` });
        found.seen.add(report.problem);
        break;
      case "frames":
        found.frames = { create: report.create, questions: report.questions, hooks: report.hooks };
        break;
      case "end":
        isOver = true;
        break;
    }
  }

  const reports = child.stdio[3] as NodeJS.ReadableStream;
  reports.setEncoding("utf8");
  reports.on("data", (chunk: string) => {
    clearTimeout(timer);
    timer = watch(timeoutMs);
    const lines = `${rest}${chunk}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) hear(JSON.parse(line) as BatteryReport);
  });
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    said = `${said}${chunk}`.slice(-20_000);
  });

  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      if (isOver) {
        resolve({ end: true });
        return;
      }
      const where = symbol === "" ? title : `${title}, in ${symbol}`;
      const how = isLate ? `it did not return within ${timeoutMs / 1000} s` : `it crashed its process${howItDied(code, signal, said)}`;
      resolve({ end: false, index: Math.max(index, from), group, where, problem: how });
    });
  });
}

function howItDied(code: number | null, signal: NodeJS.Signals | null, said: string): string {
  const how = signal === null ? ` (exit code ${code})` : ` (${signal})`;
  const fault =
    signal === "SIGSEGV" || signal === "SIGBUS" ? "; frames end where mapped memory ends, so it may have read or written beyond one" : "";
  const words = lastWords(said);
  return `${how}${fault}${words === "" ? "" : `:\n${words}`}`;
}

/** A sanitizer's finding, a panic, or what else was said last. */
function lastWords(said: string): string {
  const lines = said.split("\n").filter((line) => line.trim() !== "");
  const start = lines.findIndex((line) => /ERROR: \w*Sanitizer|runtime error:|panicked at/.test(line));
  const count = lines[start]?.includes("panicked at") === true ? 2 : 10;
  const picked = start === -1 ? lines.slice(-4) : lines.slice(start, start + count);
  return picked.map((line) => `      ${line.trimEnd()}`).join("\n");
}
