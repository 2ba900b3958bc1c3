// One plugin of the chain: teaches it statements, calls it, fetches what did not fit, and counts. Hot. Does not judge what
// a verdict means for the statement.
import { constants } from "@pooler/plugin-abi";
import type { Clock } from "../base/clock.js";
import type { Logger } from "../base/logger.js";
import type { Statement } from "../sql/statement.js";
import type { PluginStats } from "../supervisor/ipc.js";
import type { BlockingAnswer, BlockingCall, BlockingPool } from "./blocking-pool.js";
import type { ChainAnswer } from "./chain-answers.js";
import { PluginCounters } from "./chain-counters.js";
import type { HookFunction, LoadedPlugin, PluginExports } from "./chain-plugin.js";
import { type CrashPage, crashHooks } from "./crash-page.js";
import { fetchOutput } from "./fetch-output.js";
import type { Frames } from "./frames.js";
import type { OutputFrame } from "./frames-output.js";
import type { FailureCode } from "./plugin-failure.js";
import type { ChainRequest } from "./types.js";

/** Instead of a verdict: see ChainMember.failure. */
export const memberFailed = -1;

/** Instead of a verdict, of a plugin that may wait: the answer comes later. */
export const memberAsked = -2;

/** Not one of the header's: the failure's text is known already. */
const explained = -0x7fff_ffff;
/** A plugin that fails at every call writes this many lines at most. */
const logPauseMs = 1000;

export class ChainMember {
  readonly name: string;
  readonly bit: number;
  /** False: it has other hooks only, and is never asked about statements. */
  readonly routes: boolean;
  /** It has result_row, and may ask for rows. */
  readonly seesRows: boolean;
  readonly inspects: boolean;
  readonly everyStatement: boolean;
  readonly passedOver: boolean;
  readonly counters = new PluginCounters();
  /** False: it has crashed too often, and is passed over. */
  inService = true;
  /** Why the last call failed. */
  failure = "";
  /** When the last call ended: the next one begins there. */
  endedMs = 0;
  /** Not null: it may wait. */
  readonly pool: BlockingPool | null;
  readonly #plugin: LoadedPlugin;
  readonly #exports: PluginExports;
  readonly #state: bigint;
  readonly #position: number;
  readonly #wantsTree: boolean;
  readonly #page: CrashPage;
  readonly #clock: Clock;
  readonly #log: Logger;
  #loggedMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;

  constructor(plugin: LoadedPlugin, position: number, page: CrashPage, clock: Clock, log: Logger, pool: BlockingPool | null) {
    const capabilities = plugin.description.capabilityBits;
    this.name = plugin.description.name;
    this.bit = 1 << position;
    this.routes = plugin.exports.routeQuery !== null;
    this.seesRows = plugin.exports.hooks.result_row !== null;
    this.inspects = (capabilities & constants.POOLER_CAP_INSPECT) !== 0;
    this.everyStatement = this.inspects || (capabilities & constants.POOLER_CAP_EVERY_STATEMENT) !== 0;
    this.passedOver = plugin.onError === "skip";
    this.#wantsTree = (capabilities & constants.POOLER_CAP_PARSE_TREE) !== 0;
    this.pool = pool;
    this.#plugin = plugin;
    this.#exports = plugin.exports;
    this.#state = plugin.state;
    this.#position = position;
    this.#page = page;
    this.#clock = clock;
    this.#log = log;
  }

  /** A verdict (POOLER_SKIP … POOLER_INTERCEPT), whose answer is in the output frame, or memberFailed. */
  ask(frames: Frames, request: ChainRequest, statement: Statement, queryId: number, startMs: number): number {
    let beganMs = startMs;
    if (this.#exports.learnStatement !== null && (statement.learnedBy & this.bit) === 0) {
      const learned = this.#teach(frames, request, statement, queryId, startMs);
      beganMs = this.endedMs;
      if (!learned) return memberFailed;
    }
    if ((statement.notMineOf & this.bit) !== 0) {
      this.endedMs = beganMs;
      return constants.POOLER_SKIP;
    }
    const { input, output } = frames;
    output.clear();
    this.#page.enter(this.#position, crashHooks.route_query);
    let status = (this.#exports.routeQuery as HookFunction)(this.#state, input.address, input.length, output.address, output.capacity);
    this.#page.leave();
    if (status === constants.POOLER_NEEDS_SPACE) status = this.#fetch(output);
    this.endedMs = this.#clock.nowMs();
    this.counters.called(this.endedMs - beganMs);
    if (status >= constants.POOLER_SKIP && status <= constants.POOLER_INTERCEPT) {
      this.counters.answered(status);
      return status;
    }
    if (status !== explained) this.failure = textOfStatus(status, output);
    return memberFailed;
  }

  /** Like ask(), for one that may wait: a call, or the answer when it cannot be called. */
  begin(
    frames: Frames,
    request: ChainRequest,
    statement: Statement,
    queryId: number,
    startMs: number,
    done: (answer: ChainAnswer) => void,
  ): BlockingCall | ChainAnswer {
    const pool = this.pool as BlockingPool;
    if (this.#exports.learnStatement !== null && (statement.learnedBy & this.bit) === 0) {
      if (!this.#teach(frames, request, statement, queryId, startMs)) return this.#failed("PLUGIN_FAILED", this.failure);
    }
    if ((statement.notMineOf & this.bit) !== 0) return this.#answered(constants.POOLER_SKIP, null);
    const call = pool.ask("route_query", frames.input, statement.id, (answer) => done(this.#judge(answer, frames.output)));
    return call ?? this.#failed("PLUGIN_BUSY", `${pool.limits.maxConcurrent} of its calls run already`);
  }

  #answered(verdict: number, output: Uint8Array | null): ChainAnswer {
    return { bit: this.bit, verdict, output, failure: "", failureCode: "PLUGIN_FAILED", heard: false };
  }

  #failed(failureCode: FailureCode, failure: string): ChainAnswer {
    return { bit: this.bit, verdict: memberFailed, output: null, failure, failureCode, heard: false };
  }

  #judge(answer: BlockingAnswer, output: OutputFrame): ChainAnswer {
    if (answer.kind === "late") {
      const { deadlineMs } = (this.pool as BlockingPool).limits;
      this.counters.called(deadlineMs);
      return this.#failed("PLUGIN_TIMEOUT", `it did not answer within ${deadlineMs} ms`);
    }
    this.counters.called(answer.elapsedMs);
    if (answer.kind === "broken") return this.#failed("PLUGIN_FAILED", answer.failure);
    const { status } = answer;
    if (status >= constants.POOLER_SKIP && status <= constants.POOLER_INTERCEPT) {
      this.counters.answered(status);
      return this.#answered(status, answer.output);
    }
    output.load(answer.output);
    const failure = textOfStatus(status, output);
    output.trim();
    return this.#failed("PLUGIN_FAILED", failure);
  }

  forget(statementId: number): void {
    if (this.#exports.forgetStatement === null) return;
    if (this.pool === null) this.#forget(statementId);
    else this.pool.forget(statementId, (id) => this.#forget(id));
  }

  #forget(statementId: number): void {
    this.#page.enter(this.#position, crashHooks.forget_statement);
    this.#exports.forgetStatement?.(this.#state, statementId);
    this.#page.leave();
  }

  /** Count and log a failure; at most one line a second. `called`: false when it is refused work, for which it was not even called. */
  noteFailure(called = true): void {
    if (called) this.counters.failed();
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#loggedMs < logPauseMs) {
      this.#unlogged++;
      return;
    }
    const since = this.#unlogged === 0 ? {} : { failuresNotLogged: this.#unlogged };
    this.#log.error({ plugin: this.name, onError: this.#plugin.onError, ...since }, `plugin "${this.name}" failed: ${this.failure}`);
    this.#loggedMs = nowMs;
    this.#unlogged = 0;
  }

  stats(): Omit<PluginStats, "hookCalls"> {
    const { name, library, pluginName, version, abi, sdk, hooks, capabilities } = this.#plugin.description;
    const { calls, failures, timeUs, verdicts, latency } = this.counters;
    const { running = 0, stuck = 0, timeouts = 0, overloads = 0 } = this.pool ?? {};
    return {
      ...{ name, pluginName, version, abi, sdk, library, hooks, capabilities, calls, errors: failures, timeUs, verdicts, latency },
      ...{ timeouts, overloads, onThreads: { running, stuck } },
    };
  }

  /** Before a question that names the statement; `endedMs` is set. */
  #teach(frames: Frames, request: ChainRequest, statement: Statement, queryId: number, startMs: number): boolean {
    const learned = this.#learn(frames, request, statement, queryId);
    this.endedMs = this.#clock.nowMs();
    this.counters.spent(this.endedMs - startMs);
    return learned;
  }

  #learn(frames: Frames, request: ChainRequest, statement: Statement, queryId: number): boolean {
    const learn = this.#exports.learnStatement;
    if (learn === null) return true;
    const parsed = statement.facts !== null && (statement.facts.facts & constants.POOLER_FACT_PARSED) !== 0;
    let input: Frames["input"];
    try {
      input = frames.buildLearn(request, queryId, statement, this.#wantsTree && parsed);
    } catch (cause) {
      // The parser gave up on a text that its own grammar takes: too deep, most likely.
      this.failure = `the parse tree it wants cannot be made: ${cause instanceof Error ? cause.message : String(cause)}`;
      return false;
    }
    const { output } = frames;
    output.clear();
    input.decided(0, constants.POOLER_ROLE_OPEN, constants.POOLER_SHARD_OPEN);
    this.#page.enter(this.#position, crashHooks.learn_statement);
    const status = learn(this.#state, input.address, input.length, output.address, output.capacity);
    this.#page.leave();
    if (status !== constants.POOLER_OK && status !== constants.POOLER_NOT_MINE) {
      this.failure = `it could not learn the statement: ${textOfStatus(status, output)}`;
      return false;
    }
    if (status === constants.POOLER_NOT_MINE) statement.notMineOf |= this.bit;
    else statement.notMineOf &= ~this.bit;
    statement.learnedBy |= this.bit;
    return true;
  }

  #fetch(output: OutputFrame): number {
    const fetched = fetchOutput(this.#plugin, this.#position, this.#page, output);
    return typeof fetched === "string" ? this.#explain(fetched) : fetched;
  }

  #explain(failure: string): number {
    this.failure = failure;
    return explained;
  }
}

export function textOfStatus(status: number, output: OutputFrame): string {
  const message = output.textOfFailure("message");
  switch (status) {
    case constants.POOLER_FAILED:
      return message ?? "it gave no reason";
    case constants.POOLER_PANICKED:
      return message === null ? "it panicked" : `it panicked: ${message}`;
    case constants.POOLER_BAD_INPUT:
      return message === null ? "it could not read its input" : `it could not read its input: ${message}`;
    default:
      return `it returned ${status}, which is no status of the contract`;
  }
}
