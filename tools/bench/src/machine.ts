// What the figures were measured on.
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import type { Machine } from "./result.js";

/** Call it before anything is started: the load is what others make. */
export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryMb: Math.round(totalmem() / 2 ** 20),
    platform: `${process.platform}-${process.arch}`,
    kernel: release(),
    loadAverage: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}
