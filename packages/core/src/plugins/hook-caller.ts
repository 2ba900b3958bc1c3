// Calls the hooks of one plugin beside route_query: notes on the crash page who runs, fetches what did not fit, counts, and logs
// failures without flooding. Must not know what an answer means.
import { constants } from "@pooler/plugin-abi";
import type { Clock } from "../base/clock.js";
import type { Logger } from "../base/logger.js";
import type { HookStats } from "../supervisor/ipc.js";
import { textOfStatus } from "./chain-member.js";
import { type HookFunction, type LoadedPlugin, type SideHook, sideHookNames } from "./chain-plugin.js";
import { type CrashPage, crashHooks } from "./crash-page.js";
import { fetchOutput } from "./fetch-output.js";
import type { HookFrame } from "./frames-hook.js";
import type { OutputFrame } from "./frames-output.js";

/** Instead of a status: see HookCaller.failure. */
export const hookFailed = -1;

/** A plugin that fails at every call writes this many lines at most. */
const logPauseMs = 1000;
const slots = { calls: 0, failures: 1, timeMs: 2 } as const;
const slotCount = 3;

/** A hook by its place among sideHookNames. */
export type HookIndex = number;

export function hookIndex(hook: SideHook): HookIndex {
  return sideHookNames.indexOf(hook);
}

export class HookCaller {
  readonly name: string;
  readonly bit: number;
  /** False: it has crashed too often, and none of its hooks is called. */
  inService = true;
  /** Why the last call failed. */
  failure = "";
  readonly #plugin: LoadedPlugin;
  readonly #position: number;
  readonly #functions: readonly (HookFunction | null)[];
  readonly #counters = new Float64Array(sideHookNames.length * slotCount);
  readonly #page: CrashPage;
  readonly #clock: Clock;
  readonly #log: Logger;
  #loggedMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;

  constructor(plugin: LoadedPlugin, position: number, page: CrashPage, clock: Clock, log: Logger) {
    this.name = plugin.description.name;
    this.bit = 1 << position;
    this.#plugin = plugin;
    this.#position = position;
    this.#functions = sideHookNames.map((hook) => plugin.exports.hooks[hook]);
    this.#page = page;
    this.#clock = clock;
    this.#log = log;
  }

  has(hook: HookIndex): boolean {
    return this.inService && this.#functions[hook] !== null;
  }

  /** A status up to `highest`, whose answer is in `output`, or hookFailed. Only for a hook that it has. */
  call(hook: HookIndex, input: HookFrame, output: OutputFrame, highest: number): number {
    const counters = this.#counters;
    const slot = hook * slotCount;
    const beganMs = this.#clock.nowMs();
    output.clear();
    this.#page.enter(this.#position, crashHooks[sideHookNames[hook] as SideHook]);
    let status = (this.#functions[hook] as HookFunction)(this.#plugin.state, input.address, input.length, output.address, output.capacity);
    this.#page.leave();
    if (status === constants.POOLER_NEEDS_SPACE) {
      const fetched = fetchOutput(this.#plugin, this.#position, this.#page, output);
      if (typeof fetched === "string") {
        this.failure = fetched;
        status = hookFailed;
      } else {
        status = this.#judge(fetched, output, highest);
      }
    } else {
      status = this.#judge(status, output, highest);
    }
    counters[slot + slots.calls] = (counters[slot + slots.calls] as number) + 1;
    counters[slot + slots.timeMs] = (counters[slot + slots.timeMs] as number) + this.#clock.nowMs() - beganMs;
    return status;
  }

  /** Count and log a failure of a hook; at most one line a second. */
  noteFailure(hook: HookIndex): void {
    const slot = hook * slotCount + slots.failures;
    this.#counters[slot] = (this.#counters[slot] as number) + 1;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#loggedMs < logPauseMs) {
      this.#unlogged++;
      return;
    }
    const since = this.#unlogged === 0 ? {} : { failuresNotLogged: this.#unlogged };
    const name = sideHookNames[hook] as SideHook;
    this.#log.error({ plugin: this.name, hook: name, ...since }, `plugin "${this.name}" failed in ${name}: ${this.failure}`);
    this.#loggedMs = nowMs;
    this.#unlogged = 0;
  }

  stats(): Readonly<Record<SideHook, HookStats>> {
    const of = (hook: number, slot: number): number => this.#counters[hook * slotCount + slot] as number;
    const entries = sideHookNames.map((name, hook) => [
      name,
      { calls: of(hook, slots.calls), errors: of(hook, slots.failures), timeUs: Math.round(of(hook, slots.timeMs) * 1000) },
    ]);
    return Object.fromEntries(entries) as Record<SideHook, HookStats>;
  }

  #judge(status: number, output: OutputFrame, highest: number): number {
    if (status >= 0 && status <= highest) return status;
    this.failure = textOfStatus(status, output);
    return hookFailed;
  }
}
