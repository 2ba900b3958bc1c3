// Calls the hooks of one plugin beside route_query: notes on the crash page who runs, fetches what did not fit, counts, and logs
// failures without flooding. Must not know what an answer means.
import { constants } from "@pooler/plugin-abi";
import type { Clock } from "../base/clock.js";
import type { Logger } from "../base/logger.js";
import type { HookStats } from "../supervisor/ipc.js";
import type { BlockingCall, BlockingPool } from "./blocking-pool.js";
import { textOfStatus } from "./chain-member.js";
import { type HookFunction, type LoadedPlugin, type SideHook, sideHookNames, type WaitingHook } from "./chain-plugin.js";
import { type CrashPage, crashHooks } from "./crash-page.js";
import { fetchOutput } from "./fetch-output.js";
import type { HookFrame } from "./frames-hook.js";
import type { OutputFrame } from "./frames-output.js";
import type { FailureCode } from "./plugin-failure.js";

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
  /** ... as which error. */
  failureCode: FailureCode = "PLUGIN_FAILED";
  /** Not null: some of its hooks may wait, see waits(). */
  readonly pool: BlockingPool | null;
  readonly #plugin: LoadedPlugin;
  readonly #position: number;
  readonly #functions: readonly (HookFunction | null)[];
  readonly #counters = new Float64Array(sideHookNames.length * slotCount);
  readonly #page: CrashPage;
  readonly #clock: Clock;
  readonly #log: Logger;
  #loggedMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;

  constructor(plugin: LoadedPlugin, position: number, page: CrashPage, clock: Clock, log: Logger, pool: BlockingPool | null = null) {
    this.name = plugin.description.name;
    this.bit = 1 << position;
    this.pool = pool;
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
    this.failureCode = "PLUGIN_FAILED";
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

  /**
   * Like call(), on a thread, for a plugin that has a pool. `done` gets the status when it is there, or hookFailed; `output` has the answer then. Null: it
   * cannot be called now, see failure.
   */
  begin(hook: HookIndex, input: HookFrame, output: OutputFrame, highest: number, done: (status: number) => void): BlockingCall | null {
    const pool = this.pool as BlockingPool;
    const call = pool.ask(sideHookNames[hook] as WaitingHook, input, 0, (answer) => {
      const late = answer.kind === "late";
      const slot = hook * slotCount;
      this.#counters[slot + slots.calls] = (this.#counters[slot + slots.calls] as number) + 1;
      const elapsedMs = late ? pool.limits.deadlineMs : answer.elapsedMs;
      this.#counters[slot + slots.timeMs] = (this.#counters[slot + slots.timeMs] as number) + elapsedMs;
      this.failureCode = late ? "PLUGIN_TIMEOUT" : "PLUGIN_FAILED";
      if (answer.kind === "returned") {
        output.load(answer.output);
        done(this.#judge(answer.status, output, highest));
        return;
      }
      this.failure = late ? `it did not answer within ${pool.limits.deadlineMs} ms` : answer.failure;
      done(hookFailed);
    });
    if (call === null) {
      this.failure = `${pool.limits.maxConcurrent} of its calls run already`;
      this.failureCode = "PLUGIN_BUSY";
    }
    return call;
  }

  /** Count and log a failure of a hook; at most one line a second. */
  noteFailure(hook: HookIndex): void {
    const slot = hook * slotCount + slots.failures;
    if (this.failureCode !== "PLUGIN_BUSY") this.#counters[slot] = (this.#counters[slot] as number) + 1;
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
