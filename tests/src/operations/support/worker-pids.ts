import type { Pooler } from "../../harness/pooler.js";

/** Process ids of the workers, the latest of each place, as the log told them. */
export function workerPids(pooler: Pooler): number[] {
  const pids = new Map<unknown, number>();
  for (const line of pooler.log) {
    if (line["event"] === "worker ready") pids.set(line["worker"], Number(line["pid"]));
  }
  return [...pids.values()];
}
