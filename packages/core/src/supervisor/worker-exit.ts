// Why a worker is gone, in words and as errors.
import { PoolerError } from "../base/errors.js";
import type { WorkerExit } from "./worker-process.js";

export function stoppedWhileStarting(): PoolerError {
  return new PoolerError("SHUTTING_DOWN", "the pooler was stopped while it started");
}

/** A sentence without its end. */
export function describeExit(number: number, exit: WorkerExit): string {
  if (exit.reason !== null) return `worker ${number} could not start: ${exit.reason}`;
  const how = exit.signal === null ? `ended with exit code ${exit.exitCode}` : `was killed by ${exit.signal}`;
  const when = exit.during === "booting" ? " while it started" : "";
  if (exit.stuck && exit.running !== null)
    return `worker ${number} was killed${when}: plugin "${exit.running.plugin}" did not return from ${exit.running.hook}`;
  const running = exit.running === null ? [] : [exit.running, ...exit.alsoRunning];
  const where = running.map(({ plugin, hook }, index) => `${index === 0 ? " while" : " and"} plugin "${plugin}" ran ${hook}`).join("");
  return `worker ${number} ${how}${when}${where}`;
}
