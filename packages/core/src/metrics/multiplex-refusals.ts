// Why statements do not share server connections: the reasons as console and metrics name them.
import type { MultiplexStats } from "../supervisor/ipc.js";

export const rideRefusals = [
  ["session", "refusedSession"],
  ["timeout", "refusedTimeout"],
  ["batch", "refusedBatch"],
  ["kind", "refusedKind"],
  ["into", "refusedInto"],
  ["locks", "refusedLocks"],
  ["function", "refusedFunction"],
  ["excluded", "refusedExcluded"],
  ["write", "refusedWrite"],
  ["relation", "refusedRelation"],
  ["unknown", "refusedUnknown"],
  ["slow", "refusedSlow"],
  ["large", "refusedLarge"],
] as const satisfies readonly (readonly [string, keyof MultiplexStats])[];
