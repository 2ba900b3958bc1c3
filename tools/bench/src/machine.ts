// What the figures were measured on.
import { availableParallelism, cpus, release, totalmem } from "node:os";
import type { Machine } from "./result.js";

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryMb: Math.round(totalmem() / 2 ** 20),
    platform: `${process.platform}-${process.arch}`,
    kernel: release(),
  };
}
