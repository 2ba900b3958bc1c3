// What goes to the processes of a check and what comes back.
import type { Group } from "./battery-types.js";
import type { SideHook } from "./judge-hook.js";

export interface BatteryJob {
  readonly library: string;
  /** JSON of [plugins.config]. */
  readonly config: string;
  readonly statements: readonly string[];
  /** Null: all. */
  readonly only: readonly Group[] | null;
  /** The first case to run. */
  readonly from: number;
}

/** Frames in base64: the process that gets them has no parser. */
export interface MemoryJob {
  readonly library: string;
  readonly create: string;
  /** `learn` is null when the plugin does not. */
  readonly questions: readonly { readonly id: number; readonly learn: string | null; readonly route: string }[];
  readonly hooks: readonly { readonly hook: SideHook; readonly frame: string }[];
}

export type BatteryReport =
  | { readonly kind: "case"; readonly index: number; readonly group: Group; readonly title: string }
  | { readonly kind: "calls"; readonly symbol: string }
  | { readonly kind: "note"; readonly text: string }
  | { readonly kind: "breach"; readonly problem: string; readonly message: string }
  | ({ readonly kind: "frames" } & Omit<MemoryJob, "library">)
  | { readonly kind: "end" };
