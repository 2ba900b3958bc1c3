// Keeps account of plugins that end their workers, and takes those out of service that do it too often, as their entries of
// the configuration say. Knows nothing of processes.
import type { Clock } from "../base/clock.js";
import type { PluginConfig } from "../config/types.js";
import type { OutOfService } from "./ipc.js";

export interface PluginHealth {
  readonly state: "active" | "disabled" | "refusing";
  /** By hook: how often a worker died while it ran, and how often one was killed since it did not return. */
  readonly hooks: ReadonlyMap<string, HookHealth>;
  readonly last: PluginCrash | null;
}

export interface HookHealth {
  readonly crashes: number;
  readonly hangs: number;
}

export interface PluginCrash {
  /** Position in the configuration, from 0. */
  readonly plugin: number;
  readonly hook: string;
  /** It did not return. */
  readonly hung: boolean;
  readonly worker: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export interface PluginWard {
  /** In the order of the configuration. */
  readonly health: readonly PluginHealth[];
  readonly outOfService: readonly OutOfService[];
  /** A worker is gone, and this plugin was running. Answers the plugin when this was once too often. */
  note(crash: Omit<PluginCrash, "atMs">): OutOfService | null;
  /** A configuration was taken over: all plugins are in service again. Answers which had not been, by position. */
  restore(plugins: readonly PluginConfig[]): readonly number[];
}

export function createPluginWard(plugins: readonly PluginConfig[], clock: Clock): PluginWard {
  return new Ward(plugins, clock);
}

interface Patient {
  config: PluginConfig;
  out: OutOfService | null;
  /** Of the crashes that count. */
  timesMs: number[];
  readonly hooks: Map<string, HookHealth>;
  last: PluginCrash | null;
}

class Ward implements PluginWard {
  readonly #clock: Clock;
  #patients: readonly Patient[];

  constructor(plugins: readonly PluginConfig[], clock: Clock) {
    this.#clock = clock;
    this.#patients = plugins.map(newPatient);
  }

  get health(): readonly PluginHealth[] {
    return this.#patients.map(({ out, hooks, last }) => ({
      state: out === null ? "active" : out.action === "disable" ? "disabled" : "refusing",
      hooks,
      last,
    }));
  }

  get outOfService(): readonly OutOfService[] {
    return this.#patients.flatMap(({ out }) => (out === null ? [] : [out]));
  }

  note(crash: Omit<PluginCrash, "atMs">): OutOfService | null {
    const patient = this.#patients[crash.plugin];
    if (patient === undefined) return null;
    patient.last = { ...crash, atMs: this.#clock.wallMs() };
    const { crashes, hangs } = patient.hooks.get(crash.hook) ?? { crashes: 0, hangs: 0 };
    patient.hooks.set(crash.hook, crash.hung ? { crashes, hangs: hangs + 1 } : { crashes: crashes + 1, hangs });
    const policy = patient.config.crash;
    if (policy === undefined || policy.action === "restart" || patient.out !== null) return null;
    const nowMs = this.#clock.nowMs();
    patient.timesMs = [...patient.timesMs, nowMs].filter((timeMs) => policy.windowMs === 0 || nowMs - timeMs <= policy.windowMs);
    if (patient.timesMs.length < policy.limit) return null;
    const within = policy.windowMs === 0 ? "" : ` within ${policy.windowMs / 1_000} s`;
    const times = policy.limit === 1 ? "once" : `${policy.limit} times${within}`;
    patient.out = { plugin: crash.plugin, action: policy.action, reason: `it ended its worker ${times}, the last time in ${crash.hook}` };
    return patient.out;
  }

  restore(plugins: readonly PluginConfig[]): readonly number[] {
    const before = this.#patients;
    this.#patients = plugins.map((config, position) => {
      const known = before[position];
      // What was counted of it stays counted.
      return known?.config.name === config.name ? { ...known, config, out: null, timesMs: [] } : newPatient(config);
    });
    return before.flatMap(({ out }, position) => (out === null ? [] : [position]));
  }
}

function newPatient(config: PluginConfig): Patient {
  return { config, out: null, timesMs: [], hooks: new Map(), last: null };
}
