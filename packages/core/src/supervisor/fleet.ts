// All workers: starts them, replaces those that die, asks all of them at once, stops them. Knows nothing of the console,
// metrics or signals.
import type { Clock, Timer } from "../base/clock.js";
import { PoolerError } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import type { PoolerConfig } from "../config/types.js";
import type { OutOfService, WorkerSnapshot } from "./ipc.js";
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
  readonly allReady: boolean;
  /** Workers that were started in place of others. */
  readonly restarts: number;
  /** Databases that are paused; null among them: all. */
  readonly paused: ReadonlySet<string | null>;
  /** Resolves when every worker is ready; rejects with the first failure, then nothing is left running. */
  start(): Promise<void>;
  /** Workers that do not answer in time are left out. */
  snapshots(detail: boolean): Promise<WorkerSnapshot[]>;
  /** All take it, or none: when one refuses, the others are given back what they had. Rejects with the refusals. */
  configure(config: PoolerConfig): Promise<void>;
  /** Resolves when no server connection of it is in use; rejects when it is resumed meanwhile. */
  pause(database: string | null): Promise<void>;
  resume(database: string | null): Promise<void>;
  /** Ends a worker whose plugin does not return from a call. */
  endStuck(worker: WorkerProcess, running: RunningHook): void;
  /** Nobody is to call these any more; workers that are started do not even load them. */
  takeOutOfService(plugins: readonly OutOfService[]): void;
  /** All plugins are in service again: workers that booted without one are drained and replaced. */
  restoreService(): void;
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
/** A SIGTERM that is meant for everybody reaches the supervisor within this time. */
const groupSignalMs = 200;
/** From a console command to its effect on the worker that must answer it. */
const answerMs = 50;
/** A worker that lived for so long starts the count of quick deaths anew. */
const stableMs = 10_000;

class WorkerFleet implements Fleet {
  readonly paused = new Set<string | null>();
  readonly #options: FleetOptions;
  readonly #places: Place[];
  #config: PoolerConfig;
  #outOfService: readonly OutOfService[] = [];
  #restarts = 0;
  #started = false;
  #stopping: Promise<void> | null = null;
  #stopped: (() => void) | null = null;
  /** Told when a pause ends before everything came to rest. */
  readonly #pauseEnded = new Map<string | null, Set<() => void>>();

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#places = Array.from({ length: options.config.workers }, (_, index) => ({
      number: index + 1,
      worker: null,
      timer: null,
      quickDeaths: 0,
    }));
  }

  get workers(): readonly WorkerProcess[] {
    return this.#places.flatMap((place) => (place.worker === null ? [] : [place.worker]));
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
    const asked = this.workers.filter((worker) => worker.state === "ready" || worker.state === "draining");
    const answers = await Promise.all(asked.map((worker) => this.#within(snapshotLimitMs, worker.snapshot(detail), null)));
    return answers.filter((answer) => answer !== null);
  }

  async configure(config: PoolerConfig): Promise<void> {
    const before = this.#config;
    // Whoever is started from now on boots with it.
    this.#config = config;
    const asked = this.workers;
    const answers = await Promise.all(
      asked.map((worker) => this.#within(configureLimitMs, worker.configure(config), `no answer within ${configureLimitMs / 1_000} s`)),
    );
    const refused = asked.flatMap((worker, index) => (answers[index] == null ? [] : [`worker ${worker.number}: ${answers[index]}`]));
    if (refused.length === 0) return;
    this.#config = before;
    // Also to those who refused: one that only was slow has taken it meanwhile.
    await Promise.all(this.workers.map((worker) => this.#within(configureLimitMs, worker.configure(before), null)));
    throw new PoolerError("CONFIG_INVALID", `the new configuration was refused (${refused.join("; ")})`, {
      hint: "The old configuration stays in force in all workers.",
    });
  }

  async pause(database: string | null): Promise<void> {
    // A pause of everything takes the place of those of single databases: one RESUME must not undo half of it.
    if (database === null) this.paused.clear();
    this.paused.add(database);
    let ended: (() => void) | null = null;
    const lifted = new Promise<never>((_, reject) => {
      ended = () => reject(new PoolerError("PAUSED", "RESUME came before everything was at rest"));
      const waiting = this.#pauseEnded.get(database) ?? new Set();
      this.#pauseEnded.set(database, waiting.add(ended));
    });
    try {
      await Promise.race([Promise.all(this.workers.map((worker) => worker.pause(database))), lifted]);
    } finally {
      if (ended !== null) this.#pauseEnded.get(database)?.delete(ended);
    }
  }

  async resume(database: string | null): Promise<void> {
    const lifted = database === null ? [...this.paused, ...this.#pauseEnded.keys()] : [database];
    for (const name of lifted) {
      this.paused.delete(name);
      for (const ended of this.#pauseEnded.get(name) ?? []) ended();
      this.#pauseEnded.delete(name);
    }
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

  takeOutOfService(plugins: readonly OutOfService[]): void {
    this.#outOfService = plugins;
    for (const worker of this.workers) worker.send({ kind: "outOfService", plugins });
  }

  restoreService(): void {
    this.takeOutOfService([]);
    const incomplete = this.workers.filter(({ bootedWithout }) => bootedWithout.length > 0);
    // The console that asked for it is told so first.
    this.#options.clock.setTimer(answerMs, () => {
      if (this.#stopping !== null) return;
      for (const place of this.#places) {
        const { worker } = place;
        if (worker === null || !incomplete.includes(worker)) continue;
        if (worker.state === "booting") worker.kill();
        else if (worker.state === "ready") this.#drain(place, worker, this.#config.timeouts.drainMs);
      }
    });
  }

  stop(drainMs: number): Promise<void> {
    if (this.#stopping !== null) return this.#stopping;
    this.#stopping = new Promise((stopped) => {
      this.#stopped = stopped;
    });
    for (const place of this.#places) {
      place.timer?.cancel();
      place.timer = null;
      if (place.worker === null) continue;
      // One that is not ready yet has no clients.
      if (place.worker.state === "booting") place.worker.kill();
      else this.#drain(place, place.worker, drainMs);
    }
    this.#checkStopped();
    return this.#stopping;
  }

  kill(): void {
    for (const worker of this.workers) worker.kill();
  }

  #spawn(place: Place, boot: BootOutcome): void {
    const { clock, logger } = this.#options;
    place.timer = null;
    const worker = startWorkerProcess(
      {
        number: place.number,
        entry: this.#options.entry,
        config: this.#config,
        listenerFds: this.#options.listenerFds,
        clientCountsFd: this.#options.clientCountsFd,
        crashPage: this.#options.createCrashPage(),
        startedAtMs: clock.nowMs(),
        paused: [...this.paused],
        outOfService: this.#outOfService,
      },
      {
        onReady: (io) => {
          place.timer?.cancel();
          place.timer = null;
          logger.info({ event: "worker ready", worker: place.number, pid: worker.pid, io }, `worker ${place.number} is ready`);
          boot.ready();
        },
        onMessage: (message) => {
          if (message.kind === "terminate") this.#terminate(place, worker);
          else this.#options.onMessage(worker, message);
        },
        onGone: (exit) => this.#gone(place, worker, exit, boot),
      },
    );
    place.worker = worker;
    place.timer = clock.setTimer(bootLimitMs, () => {
      logger.error(
        { event: "worker stuck", worker: place.number, pid: worker.pid },
        `worker ${place.number} was not ready within ${bootLimitMs / 1_000} s and is killed`,
      );
      worker.kill(worker.running() !== null);
    });
  }

  #gone(place: Place, worker: WorkerProcess, exit: WorkerExit, boot: BootOutcome): void {
    const { clock, logger } = this.#options;
    place.timer?.cancel();
    place.timer = null;
    place.worker = null;
    this.#options.onGone(worker);
    const fields = {
      event: "worker gone",
      worker: place.number,
      pid: worker.pid,
      exitCode: exit.exitCode,
      signal: exit.signal,
      ...(exit.running === null ? {} : { plugin: exit.running.plugin, hook: exit.running.hook }),
    };
    if (this.#stopping !== null) {
      logger.info(fields, `worker ${place.number} ended`);
      boot.failed(stoppedWhileStarting());
      this.#checkStopped();
      return;
    }
    const why = describeExit(place.number, exit);
    if (!this.#started) {
      boot.failed(new PoolerError("PLUGIN_UNUSABLE", why, exit.hint === null ? {} : { hint: exit.hint }));
      return;
    }
    const delayMs = this.#restartDelayMs(place, worker, exit);
    const next = delayMs === 0 ? "a new one is started" : `a new one is started in ${delayMs} ms`;
    if (exit.during === "draining" && exit.running === null) logger.info(fields, `${why}; ${next}`);
    else logger.error({ ...fields, ...(exit.hint === null ? {} : { hint: exit.hint }) }, `${why}; ${next}`);
    if (exit.running !== null) this.#options.onCrash(worker, exit.running);
    place.timer = clock.setTimer(delayMs, () => {
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
  #terminate(place: Place, worker: WorkerProcess): void {
    this.#options.clock.setTimer(groupSignalMs, () => {
      if (this.#stopping !== null || worker.state !== "ready") return;
      this.#options.logger.info(
        { event: "worker drained", worker: place.number, pid: worker.pid },
        `worker ${place.number} got SIGTERM: it is drained and replaced`,
      );
      this.#drain(place, worker, this.#config.timeouts.drainMs);
    });
  }

  #drain(place: Place, worker: WorkerProcess, drainMs: number): void {
    worker.drain(drainMs);
    place.timer?.cancel();
    place.timer = null;
    if (drainMs === 0) return;
    place.timer = this.#options.clock.setTimer(drainMs + exitGraceMs, () => {
      this.#options.logger.warn(
        { event: "worker killed", worker: place.number, pid: worker.pid },
        `worker ${place.number} did not end after its drain and is killed`,
      );
      worker.kill();
    });
  }

  #checkStopped(): void {
    if (this.#places.every((place) => place.worker === null)) this.#stopped?.();
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
  readonly number: number;
  worker: WorkerProcess | null;
  /** Boot limit, drain limit, or the restart to come. */
  timer: Timer | null;
  /** Deaths soon after a start, in a row. */
  quickDeaths: number;
}

interface BootOutcome {
  ready(): void;
  failed(error: PoolerError): void;
}

function stoppedWhileStarting(): PoolerError {
  return new PoolerError("SHUTTING_DOWN", "the pooler was stopped while it started");
}

function describeExit(number: number, exit: WorkerExit): string {
  if (exit.reason !== null) return `worker ${number} could not start: ${exit.reason}`;
  const how = exit.signal === null ? `ended with exit code ${exit.exitCode}` : `was killed by ${exit.signal}`;
  const when = exit.during === "booting" ? " while it started" : "";
  if (exit.stuck && exit.running !== null)
    return `worker ${number} was killed${when}: plugin "${exit.running.plugin}" did not return from ${exit.running.hook}`;
  const where = exit.running === null ? "" : ` while plugin "${exit.running.plugin}" ran ${exit.running.hook}`;
  return `worker ${number} ${how}${when}${where}`;
}
