// A program that runs beside the benchmark until it is stopped, with its output in a file. Ended by the run directory's reaper, too.
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { RunDirectory } from "@pooler/embedded-cluster";
import { BenchError } from "./bench-error.js";

const startLimitMs = 30_000;
const stopLimitMs = 10_000;
const pollMs = 4;
const logTailLines = 15;

export interface ProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Somebody else than this process: programs that refuse root get an ordinary user. */
  readonly ids?: { readonly uid?: number; readonly gid?: number };
  readonly logFile: string;
  readonly runDirectory: RunDirectory;
}

export interface ManagedProcess {
  readonly pid: number;
  hasEnded(): boolean;
  logTail(): string;
  stop(): Promise<void>;
}

export function startProcess({ command, args, env, ids, logFile, runDirectory }: ProcessOptions): Promise<ManagedProcess> {
  const log = openSync(logFile, "a");
  const child = spawn(command, args, {
    // Ctrl-C in a terminal must reach only us: what runs is stopped in order.
    detached: true,
    stdio: ["ignore", log, log],
    cwd: runDirectory.path,
    ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
    ...ids,
  });
  closeSync(log);
  let hasEnded = false;
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => {
      hasEnded = true;
      if (child.pid !== undefined) runDirectory.unwatch(child.pid);
      resolve();
    });
  });
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => reject(new BenchError(`${command} could not be run: ${cause.message}`, { cause })));
    child.once("spawn", () => {
      const { pid } = child;
      if (pid === undefined) return;
      runDirectory.watch(pid, "TERM");
      resolve({
        pid,
        hasEnded: () => hasEnded,
        logTail: () => readFileSync(logFile, "utf8").trim().split("\n").slice(-logTailLines).join("\n"),
        async stop() {
          if (hasEnded) return;
          child.kill("SIGTERM");
          const timer = setTimeout(() => child.kill("SIGKILL"), stopLimitMs);
          await ended;
          clearTimeout(timer);
        },
      });
    });
  });
}

/** Resolves when a statement is answered there; rejects, and stops the process, when it ended or takes too long. */
export async function untilServing(process: ManagedProcess, isServed: () => Promise<boolean>, name: string): Promise<void> {
  const deadline = performance.now() + startLimitMs;
  while (!(await isServed())) {
    if (process.hasEnded()) {
      throw new BenchError(`${name} ended while starting:\n${process.logTail()}`);
    }
    if (performance.now() > deadline) {
      const tail = process.logTail();
      await process.stop();
      throw new BenchError(`${name} answered no statement within ${startLimitMs} ms:\n${tail}`);
    }
    await delay(pollMs);
  }
}
