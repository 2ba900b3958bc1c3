// The pooler as its users run it: the command, with a configuration file.
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ClusterError, query, type RunDirectory } from "@pooler/embedded-cluster";
import type { DemoConfig } from "./demo-config.js";

const startLimitMs = 30_000;
const stopLimitMs = 15_000;

export interface PoolerProcess {
  readonly ended: Promise<void>;
  logTail(): string;
  stop(): Promise<void>;
}

/** Resolves when a client can log in. */
export async function startPooler(config: DemoConfig, runDirectory: RunDirectory): Promise<PoolerProcess> {
  const main = join(dirname(createRequire(import.meta.url).resolve("@pooler/cli/package.json")), "bin", "pooler.js");
  const logFile = join(runDirectory.path, "pooler.log");
  const log = openSync(logFile, "a");
  const child = spawn(process.execPath, [main, "start", "--config", config.file], {
    // Ctrl-C in a terminal must reach only us: the pooler is stopped before the servers are.
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) {
    throw new ClusterError(`The pooler could not be run: ${main}`);
  }
  runDirectory.watch(pid, "TERM");
  let hasEnded = false;
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => {
      hasEnded = true;
      runDirectory.unwatch(pid);
      resolve();
    });
  });
  const pooler: PoolerProcess = {
    ended,
    logTail: () => readFileSync(logFile, "utf8").trim().split("\n").slice(-20).join("\n"),
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), stopLimitMs);
      await ended;
      clearTimeout(timer);
    },
  };

  const deadline = Date.now() + startLimitMs;
  for (;;) {
    if (hasEnded) {
      throw new ClusterError(`The pooler ended while starting:\n${pooler.logTail()}`);
    }
    try {
      await query(config.console, "SHOW VERSION");
      return pooler;
    } catch (error) {
      if (Date.now() > deadline) {
        await pooler.stop();
        throw new ClusterError(`The pooler did not start within ${startLimitMs} ms: ${String(error)}\n${pooler.logTail()}`);
      }
      await delay(50);
    }
  }
}
