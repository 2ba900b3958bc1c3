// All workers: starts them, replaces those that die and those whose plugins are no longer the right ones, asks all of them at once, stops
// them. Knows nothing of the console, metrics or signals.
import type { Clock, Timer } from "../base/clock.js";
import { PoolerError } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import type { PoolerConfig } from "../config/types.js";
import type { OutOfService, WorkerSnapshot } from "./ipc.js";
import { Pauses } from "./pauses.js";
import { describeExit, stoppedWhileStarting } from "./worker-exit.js";
import {
  type CrashPage,
  type RunningHook,
  startWorkerProcess,
  type WorkerExit,
  type WorkerMessage,
  type WorkerProcess,
} from "./worker-process.js";

export interface Fleet {
  /** By number; those of places that wait for a restart are missing. */
  readonly workers: readonly WorkerProcess[];
  /** What new workers boot with. */
  readonly config: PoolerConfig;
  /** The places' workers, then those that were replaced and still have clients. `worker` null: it waits for a restart. */
  readonly statuses: readonly { readonly number: number; readonly worker: WorkerProcess | null }[];
  readonly allReady: boolean;
  /** Workers that were started in place of others. */
  readonly restarts: number;
  /** Databases that are paused; null among them: all. */
  readonly paused: ReadonlySet<string | null>;
  /** Resolves when every worker is ready; rejects with the first failure, then nothing is left running. */
  start(): Promise<void>;
  /** Workers that do not answer in time are left out. */
  snapshots(detail: boolean): Promise<WorkerSnapshot[]>;
  /** A cancel request that reached `from`. Resolves when all others have looked at it, or had the time. */
  cancel(from: WorkerProcess, processId: number, secretKey: number): Promise<void>;
  /** All take it, or none: when one refuses, the others are given back what they had. Rejects with the refusals. */
  configure(config: PoolerConfig): Promise<void>;
  /** Resolves when no server connection of it is in use; rejects when it is resumed meanwhile. */
  pause(database: string | null): Promise<void>;
  resume(database: string | null): Promise<void>;
  /** Ends a worker whose plugin does not return from a call. */
  endStuck(worker: WorkerProcess, running: RunningHook): void;
  /** A plugin answers nobody in this worker any more: another takes its place, and it is drained. */
  replaceExhausted(worker: WorkerProcess, running: RunningHook): void;
  /** Nobody is to call these any more; workers that are started do not even load them. */
  takeOutOfService(plugins: readonly OutOfService[]): void;
  /**
   * New workers take the places of those with another plugin chain, or without some plugin of it; `chainChanged`: of all. One by one: who is
   * replaced accepts no more, and ends when its last client has left. Rejects when a new one cannot start; then nothing has changed, or the
   * error says how much.
   */
  renew(config: PoolerConfig, chainChanged: boolean): Promise<void>;
  /** Drain and end. The second call, or one with 0 workers left to wait for, changes nothing. */
  stop(drainMs: number): Promise<void>;
  /** End at once; stop() resolves then. */
  kill(): void;
}

export interface FleetOptions {
  readonly entry: string;
  readonly config: PoolerConfig;
  readonly listenerFds: readonly number[];
  /** Shared page with the clients of each worker; null when there is only one. */
  readonly clientCountsFd: number | null;
  readonly createCrashPage: () => CrashPage;
  readonly clock: Clock;
  readonly logger: Logger;
  onMessage(worker: WorkerProcess, message: Exclude<WorkerMessage, { kind: "terminate" }>): void;
  onGone(worker: WorkerProcess): void;
  /** A worker died while this plugin ran, and is about to be replaced. */
  onCrash(worker: WorkerProcess, running: RunningHook): void;
}

export function createFleet(options: FleetOptions): Fleet {
  return new WorkerFleet(options);
}

export const bootLimitMs = 60_000;
const snapshotLimitMs = 2_000;
const configureLimitMs = 30_000;
/** How long a worker may take to exit after its drain should be over. */
const exitGraceMs = 2_000;
/** How long a reload waits for a worker that it has replaced to accept nobody any more. */
const retireAnswerMs = 5_000;
/** A SIGTERM that is meant for everybody reaches the supervisor within this time. */
const groupSignalMs = 200;
/** A worker that lived for so long starts the count of quick deaths anew. */
const stableMs = 10_000;

class WorkerFleet implements Fleet {
  readonly #pauses = new Pauses();
  readonly #options: FleetOptions;
  readonly #places: Place[];
  /** All processes that there are. */
  readonly #running = new Set<WorkerProcess>();
  /** How long a worker may take for what it does now: boot, retire, drain. */
  readonly #limits = new Map<WorkerProcess, Timer>();
  /** Number of the plugin chain that `config` has. */
  #chain = 1;
  #lastChain = 1;
  #config: PoolerConfig;
  #outOfService: readonly OutOfService[] = [];
  #restarts = 0;
  #started = false;
  #stopping: Promise<void> | null = null;
  #stopped: (() => void) | null = null;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#places = Array.from({ length: options.config.workers }, (_, index) => ({
      number: index + 1,
      worker: null,
      successor: null,
      restart: null,
      quickDeaths: 0,
    }));
  }

  get workers(): readonly WorkerProcess[] {
    return [...this.#running].sort((left, right) => left.number - right.number);
  }

  get paused(): ReadonlySet<string | null> {
    return this.#pauses.databases;
  }

  get config(): PoolerConfig {
    return this.#config;
  }

  get statuses(): readonly { readonly number: number; readonly worker: WorkerProcess | null }[] {
    const placed = this.#places.map(({ number, worker }) => ({ number, worker }));
    const others = this.workers.filter((worker) => placed.every((place) => place.worker !== worker));
    return [...placed, ...others.map((worker) => ({ number: worker.number, worker }))];
  }

  get allReady(): boolean {
    return this.#places.every((place) => place.worker?.state === "ready");
  }

  get restarts(): number {
    return this.#restarts;
  }

  async start(): Promise<void> {
    if (this.#stopping !== null) throw stoppedWhileStarting();
    try {
      await Promise.all(this.#places.map((place) => new Promise<void>((ready, failed) => this.#spawn(place, { ready, failed }))));
      this.#started = true;
    } catch (error) {
      const stopped = this.stop(0);
      this.kill();
      await stopped;
      throw error;
    }
  }

  async snapshots(detail: boolean): Promise<WorkerSnapshot[]> {
    const asked = this.workers.filter(({ state }) => state !== "booting" && state !== "gone");
    const answers = await Promise.all(asked.map((worker) => this.#within(snapshotLimitMs, worker.snapshot(detail), null)));
    return answers.filter((answer) => answer !== null);
  }

  async cancel(from: WorkerProcess, processId: number, secretKey: number): Promise<void> {
    const others = this.workers.filter((worker) => worker !== from);
    await Promise.all(others.map((worker) => this.#within(snapshotLimitMs, worker.cancel(processId, secretKey), undefined)));
  }

  async configure(config: PoolerConfig): Promise<void> {
    const before = this.#config;
    // Whoever is started from now on boots with it.
    this.#config = config;
    const asked = this.workers;
    const answers = await Promise.all(
      asked.map((worker) =>
        this.#within(configureLimitMs, worker.configure(this.#for(worker, config)), `no answer within ${configureLimitMs / 1_000} s`),
      ),
    );
    const refused = asked.flatMap((worker, index) => (answers[index] == null ? [] : [`worker ${worker.number}: ${answers[index]}`]));
    if (refused.length === 0) return;
    this.#config = before;
    // Also to those who refused: one that only was slow has taken it meanwhile.
    await Promise.all(this.workers.map((worker) => this.#within(configureLimitMs, worker.configure(this.#for(worker, before)), null)));
    throw new PoolerError("CONFIG_INVALID", `the new configuration was refused (${refused.join("; ")})`, {
      hint: "The old configuration stays in force in all workers.",
    });
  }

  async pause(database: string | null): Promise<void> {
    await this.#pauses.begin(database, () => Promise.all(this.workers.map((worker) => worker.pause(database))));
  }

  async resume(database: string | null): Promise<void> {
    this.#pauses.end(database);
    await Promise.all(this.workers.map((worker) => this.#within(snapshotLimitMs, worker.resume(database), undefined)));
  }

  endStuck(worker: WorkerProcess, running: RunningHook): void {
    if (worker.stuck) return;
    const { pluginCallMs } = this.#config.timeouts;
    this.#options.logger.error(
      { event: "plugin stuck", worker: worker.number, pid: worker.pid, plugin: running.plugin, hook: running.hook, limitMs: pluginCallMs },
      `plugin "${running.plugin}" has not returned from ${running.hook} within ${pluginCallMs} ms: worker ${worker.number} is killed`,
    );
    worker.kill(true);
  }

  replaceExhausted(worker: WorkerProcess, { plugin, hook }: RunningHook): void {
    const { logger } = this.#options;
    const place = this.#places.find((candidate) => candidate.worker === worker);
    const isReplaced = place === undefined || place.successor !== null || worker.state !== "ready" || this.#stopping !== null;
    const fields = { event: "plugin exhausted", worker: worker.number, pid: worker.pid, plugin, hook };
    const what = `plugin "${plugin}" answers nobody any more: none of its calls of ${hook} returns`;
    if (isReplaced) {
      logger.error(fields, `${what}; worker ${worker.number} is being replaced already`);
      return;
    }
    logger.error(fields, `${what}; worker ${worker.number} is drained and replaced`);
    this.#replace(place, this.#config, this.#chain, this.#outOfService).then(
      () => this.#drain(worker, this.#config.timeouts.drainMs),
      (error: unknown) => logger.error({ ...fields, error }, `worker ${worker.number} could not be replaced`),
    );
  }

  takeOutOfService(plugins: readonly OutOfService[]): void {
    this.#outOfService = plugins;
    for (const worker of this.#running) if (worker.chain === this.#chain) worker.send({ kind: "outOfService", plugins });
  }

  async renew(config: PoolerConfig, chainChanged: boolean): Promise<void> {
    const chain = chainChanged ? ++this.#lastChain : this.#chain;
    // One that waits for a restart boots with what is right then; but another chain has to be seen to work first.
    const isWrong = ({ chain: has, bootedWithout }: WorkerProcess): boolean => has !== chain || bootedWithout.length > 0;
    const places = this.#places.filter(({ worker }) => (worker === null ? chainChanged : isWrong(worker)));
    const outBefore = this.#outOfService;
    this.#outOfService = [];
    for (const [index, place] of places.entries()) {
      try {
        await this.#replace(place, config, chain);
      } catch (error) {
        if (index === 0) this.#outOfService = outBefore;
        if (index === 0 || !(error instanceof PoolerError)) throw error;
        throw new PoolerError(error.code, `${error.message} (${index} of ${places.length} workers were replaced before)`, {
          ...(error.hint === undefined ? {} : { hint: error.hint }),
          cause: error,
        });
      }
      // It has been seen to work: from now on whoever is started has it.
      this.#config = config;
      this.#chain = chain;
    }
  }

  stop(drainMs: number): Promise<void> {
    if (this.#stopping !== null) return this.#stopping;
    this.#stopping = new Promise((stopped) => {
      this.#stopped = stopped;
    });
    for (const place of this.#places) {
      place.restart?.cancel();
      place.restart = null;
    }
    for (const worker of this.workers) {
      // One that is not ready yet has no clients.
      if (worker.state === "booting") worker.kill();
      else this.#drain(worker, drainMs);
    }
    this.#checkStopped();
    return this.#stopping;
  }

  kill(): void {
    for (const worker of this.workers) worker.kill();
  }

  #spawn(place: Place, boot: BootOutcome): void {
    place.restart = null;
    const number = this.#isFree(place.number, place) ? place.number : this.#freeNumber();
    const worker = this.#launch(number, this.#config, this.#chain, this.#outOfService, {
      ready: boot.ready,
      gone: (exit) => this.#gone(place, worker, exit, boot),
    });
    place.number = number;
    place.worker = worker;
  }

  /** A new worker boots and takes the place; the one before goes on with the clients that it has. */
  #replace(place: Place, config: PoolerConfig, chain: number, outOfService: readonly OutOfService[] = []): Promise<void> {
    if (this.#stopping !== null) return Promise.reject(stoppedWhileStarting());
    place.restart?.cancel();
    place.restart = null;
    return new Promise((done, failed) => {
      const served = { ready: () => {}, failed: () => {} };
      const successor = this.#launch(this.#freeNumber(), config, chain, outOfService, {
        ready: () => {
          const before = place.worker;
          place.successor = null;
          place.worker = successor;
          place.number = successor.number;
          place.quickDeaths = 0;
          if (before === null) done();
          else void this.#retire(before).then(done);
        },
        gone: (exit) => {
          if (place.successor !== successor) {
            this.#gone(place, successor, exit, served);
            return;
          }
          place.successor = null;
          if (this.#stopping !== null) failed(stoppedWhileStarting());
          else
            failed(new PoolerError("PLUGIN_UNUSABLE", describeExit(successor.number, exit), exit.hint === null ? {} : { hint: exit.hint }));
          // The one before did not live to see it.
          if (place.worker === null && this.#stopping === null) this.#restart(place, 0);
          this.#checkStopped();
        },
      });
      place.successor = successor;
    });
  }

  #launch(
    number: number,
    config: PoolerConfig,
    chain: number,
    outOfService: readonly OutOfService[],
    events: { ready(): void; gone(exit: WorkerExit): void },
  ): WorkerProcess {
    const { clock, logger } = this.#options;
    const worker = startWorkerProcess(
      {
        number,
        entry: this.#options.entry,
        config,
        listenerFds: this.#options.listenerFds,
        clientCountsFd: this.#options.clientCountsFd,
        crashPage: this.#options.createCrashPage(),
        startedAtMs: clock.nowMs(),
        paused: [...this.paused],
        outOfService,
        chain,
      },
      {
        onReady: (io) => {
          this.#unlimit(worker);
          logger.info({ event: "worker ready", worker: number, pid: worker.pid, io }, `worker ${number} is ready`);
          events.ready();
        },
        onMessage: (message) => {
          if (message.kind === "terminate") this.#terminate(worker);
          else this.#options.onMessage(worker, message);
        },
        onGone: (exit) => {
          this.#unlimit(worker);
          this.#running.delete(worker);
          this.#options.onGone(worker);
          events.gone(exit);
        },
      },
    );
    this.#running.add(worker);
    this.#limit(worker, bootLimitMs, () => {
      logger.error(
        { event: "worker stuck", worker: number, pid: worker.pid },
        `worker ${number} was not ready within ${bootLimitMs / 1_000} s and is killed`,
      );
      worker.kill(worker.running() !== null);
    });
    return worker;
  }

  #gone(place: Place, worker: WorkerProcess, exit: WorkerExit, boot: BootOutcome): void {
    const { logger } = this.#options;
    const isReplaced = place.worker !== worker;
    if (!isReplaced) place.worker = null;
    const fields = {
      event: "worker gone",
      worker: worker.number,
      pid: worker.pid,
      exitCode: exit.exitCode,
      signal: exit.signal,
      ...(exit.running === null ? {} : { plugin: exit.running.plugin, hook: exit.running.hook }),
    };
    if (this.#stopping !== null) {
      logger.info(fields, `worker ${worker.number} ended`);
      boot.failed(stoppedWhileStarting());
      this.#checkStopped();
      return;
    }
    const why = describeExit(worker.number, exit);
    if (!this.#started) {
      boot.failed(new PoolerError("PLUGIN_UNUSABLE", why, exit.hint === null ? {} : { hint: exit.hint }));
      return;
    }
    const left = exit.exitCode === 0 && exit.running === null;
    const isExpected = exit.during === "draining" ? exit.running === null : exit.during === "retiring" && left;
    if (isReplaced) {
      const text = isExpected ? `worker ${worker.number}, which was replaced before, has ended` : `${why}; it was replaced before`;
      logger[isExpected ? "info" : "error"](fields, text);
      return;
    }
    const delayMs = this.#restartDelayMs(place, worker, exit);
    const next = delayMs === 0 || place.successor !== null ? "a new one is started" : `a new one is started in ${delayMs} ms`;
    if (isExpected) logger.info(fields, `${why}; ${next}`);
    else logger.error({ ...fields, ...(exit.hint === null ? {} : { hint: exit.hint }) }, `${why}; ${next}`);
    if (exit.running !== null) for (const running of [exit.running, ...exit.alsoRunning]) this.#options.onCrash(worker, running);
    if (place.successor === null) this.#restart(place, delayMs);
  }

  #restart(place: Place, delayMs: number): void {
    place.restart = this.#options.clock.setTimer(delayMs, () => {
      this.#restarts += 1;
      this.#spawn(place, { ready: () => {}, failed: () => {} });
    });
  }

  /** One that served is replaced at once, as soon as it cannot be a loop; one that cannot even boot is given time. */
  #restartDelayMs(place: Place, worker: WorkerProcess, exit: WorkerExit): number {
    const livedMs = this.#options.clock.nowMs() - worker.startedAtMs;
    if (exit.during === "draining" || (exit.during === "ready" && livedMs >= stableMs)) {
      place.quickDeaths = 0;
      return 0;
    }
    const delayMs = place.quickDeaths === 0 ? 0 : 100 * 2 ** Math.min(place.quickDeaths - 1, 10);
    place.quickDeaths += 1;
    return Math.min(delayMs, exit.during === "ready" ? 400 : 30_000);
  }

  /** SIGTERM at a worker: a service manager that stops all of us, or somebody who wants this one replaced. */
  #terminate(worker: WorkerProcess): void {
    this.#options.clock.setTimer(groupSignalMs, () => {
      if (this.#stopping !== null || (worker.state !== "ready" && worker.state !== "retiring")) return;
      this.#options.logger.info(
        { event: "worker drained", worker: worker.number, pid: worker.pid },
        `worker ${worker.number} got SIGTERM: it is drained${worker.state === "ready" ? " and replaced" : ""}`,
      );
      this.#drain(worker, this.#config.timeouts.drainMs);
    });
  }

  /** It serves the clients that it has, and no others. Resolves when that is so: who connects after a reload meets the new plugins. */
  async #retire(worker: WorkerProcess): Promise<void> {
    const { logger, clock } = this.#options;
    if (worker.state === "booting") {
      worker.kill();
      return;
    }
    const retired = worker.retire();
    logger.info(
      { event: "worker retired", worker: worker.number, pid: worker.pid },
      `worker ${worker.number} was replaced: it ends when its clients have left`,
    );
    const { retireMs, drainMs } = this.#config.timeouts;
    if (retireMs > 0 && worker.state === "retiring") this.#limit(worker, retireMs, () => this.#drain(worker, drainMs));
    // A reload does not wait for one that hangs: that is the watchdog's.
    await new Promise<void>((done) => {
      const limit = clock.setTimer(retireAnswerMs, done);
      void retired.then(() => {
        limit.cancel();
        done();
      });
    });
  }

  #drain(worker: WorkerProcess, drainMs: number): void {
    worker.drain(drainMs);
    this.#unlimit(worker);
    if (drainMs === 0) return;
    this.#limit(worker, drainMs + exitGraceMs, () => {
      this.#options.logger.warn(
        { event: "worker killed", worker: worker.number, pid: worker.pid },
        `worker ${worker.number} did not end after its drain and is killed`,
      );
      worker.kill(worker.running() !== null);
    });
  }

  #limit(worker: WorkerProcess, limitMs: number, fn: () => void): void {
    this.#unlimit(worker);
    this.#limits.set(worker, this.#options.clock.setTimer(limitMs, fn));
  }

  #unlimit(worker: WorkerProcess): void {
    this.#limits.get(worker)?.cancel();
    this.#limits.delete(worker);
  }

  /** A configuration as this worker takes it: with the chain that it has. */
  #for(worker: WorkerProcess, config: PoolerConfig): PoolerConfig {
    return worker.chain === this.#chain ? config : Object.freeze({ ...config, plugins: worker.config.plugins });
  }

  /** No process has the number, nor waits one to have it again, but for `place`. */
  #isFree(number: number, place: Place | null): boolean {
    return (
      [...this.#running].every((worker) => worker.number !== number) &&
      this.#places.every((other) => other === place || other.number !== number)
    );
  }

  #freeNumber(): number {
    let number = 1;
    while (!this.#isFree(number, null)) number++;
    return number;
  }

  #checkStopped(): void {
    if (this.#running.size === 0) this.#stopped?.();
  }

  #within<Answer>(limitMs: number, answer: Promise<Answer>, otherwise: Answer): Promise<Answer> {
    return new Promise((done) => {
      const timer = this.#options.clock.setTimer(limitMs, () => done(otherwise));
      void answer.then((value) => {
        timer.cancel();
        done(value);
      });
    });
  }
}

interface Place {
  /** Of the worker that has it, or had it last. */
  number: number;
  worker: WorkerProcess | null;
  /** Boots to take the place. */
  successor: WorkerProcess | null;
  /** The restart to come. */
  restart: Timer | null;
  /** Deaths soon after a start, in a row. */
  quickDeaths: number;
}

interface BootOutcome {
  ready(): void;
  failed(error: PoolerError): void;
}
