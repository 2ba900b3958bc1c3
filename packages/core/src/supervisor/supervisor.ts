// The composition root of the control plane: listening descriptors, workers, slots, console, metrics, reload and stop.
// Knows nothing of bytes, and nothing of what happens inside a worker.
import { closeSync, existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Console } from "../admin/console.js";
import { type Clock, createClock } from "../base/clock.js";
import { invariant, PoolerError } from "../base/errors.js";
import { createLogger, type Logger } from "../base/logger.js";
import { residentMemoryBytes } from "../base/resident-memory.js";
import { createSharedPage } from "../base/shared-page.js";
import type { ReloadPlan } from "../config/changes.js";
import type { PoolerConfig } from "../config/types.js";
import { type CounterLedger, createCounterLedger } from "../metrics/counter-ledger.js";
import type { MetricsServer } from "../metrics/metrics-server.js";
import type { PoolerView, WorkerStatus } from "../metrics/pooler-view.js";
import { createCrashPage, readCrashPage, readCrashPlaces } from "../plugins/crash-page.js";
import { clearClientCount } from "../worker/client-counts.js";
import { createFleet, type Fleet } from "./fleet.js";
import type { OutOfService } from "./ipc.js";
import { type Listeners, openListeners } from "./listener.js";
import { createPluginWard, type PluginWard } from "./plugin-ward.js";
import { createSlotBroker, type SlotBroker } from "./slot-broker.js";
import { poolerVersion } from "./version.js";
import { createWatchdog, type Watchdog } from "./watchdog.js";
import type { CrashPage, RunningHook, WorkerMessage, WorkerProcess } from "./worker-process.js";

export interface SupervisorOptions {
  readonly config: PoolerConfig;
  /** Reads the configuration again; throws a PoolerError when it is no good. */
  readonly reload: () => PoolerConfig;
  /** Path of the worker's main module; by default this package's own. */
  readonly workerEntry?: string;
  readonly logger?: Logger;
  /** Gives up a start that is under way: startSupervisor() rejects with SHUTTING_DOWN. */
  readonly abort?: AbortSignal;
}

export interface Reloaded {
  /** Keys that changed and were taken over. */
  readonly applied: readonly string[];
  /** Keys that changed and are ignored until the next start. */
  readonly needRestart: readonly string[];
  /** Plugins that had crashed too often and are in service again. */
  readonly restored: readonly string[];
}

export interface Supervisor {
  readonly host: string;
  /** The real one, also when the configuration says 0. */
  readonly port: number;
  readonly metrics: { readonly host: string; readonly port: number } | null;
  /** Process ids of the workers that run now. */
  readonly workerProcessIds: readonly number[];
  /** Resolves when everything has ended. */
  readonly stopped: Promise<void>;
  /** Rejects with a PoolerError when the new configuration is no good; the old one stays in force. */
  reload(): Promise<Reloaded>;
  /** "drain": transactions that are under way may end, for timeouts.drain; "immediate": at once, also after "drain". */
  stop(mode: "drain" | "immediate"): void;
}

/** How often workers are asked for their counters when nobody else asks. */
const sampleMs = 5_000;
/** How often slots that somebody waits for are looked at. */
const slotTickMs = 100;
/** From SHUTDOWN to its effect. */
const shutdownDelayMs = 50;

/** Resolves when every worker is ready; rejects with a PoolerError when one cannot start, then nothing is left. */
export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const logger = options.logger ?? createLogger(options.config.log);
  const listeners = await openListeners(options.config.listen);
  for (const warning of listeners.warnings)
    logger.warn({ event: "listener" }, `not every address of ${options.config.listen.host} is listened on: ${warning}`);
  const pooler = new PoolerSupervisor(options, logger, createClock(), listeners);
  const abort = (): void => pooler.abandon();
  options.abort?.addEventListener("abort", abort);
  if (options.abort?.aborted === true) abort();
  try {
    await pooler.start();
  } catch (error) {
    await pooler.release();
    throw error;
  } finally {
    options.abort?.removeEventListener("abort", abort);
  }
  return pooler;
}

class PoolerSupervisor implements Supervisor {
  readonly stopped: Promise<void>;
  readonly #options: SupervisorOptions;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #listeners: Listeners;
  readonly #clientCountsFd: number | null;
  readonly #fleet: Fleet;
  readonly #broker: SlotBroker;
  readonly #ward: PluginWard;
  readonly #watchdog: Watchdog;
  readonly #ledger: CounterLedger;
  #console: Promise<Console> | null = null;
  readonly #version = poolerVersion();
  readonly #startedAtMs: number;
  #config: PoolerConfig;
  #metrics: MetricsServer | null = null;
  #reloading: Promise<unknown> = Promise.resolve();
  #stopping = false;
  #slotTimer = false;
  #sampling = true;
  #released = false;
  #tellStopped: () => void = () => {};

  constructor(options: SupervisorOptions, logger: Logger, clock: Clock, listeners: Listeners) {
    this.#options = options;
    this.#logger = logger;
    this.#clock = clock;
    this.#listeners = listeners;
    this.#config = options.config;
    this.#clientCountsFd = mayShare(options.config) ? createSharedPage() : null;
    this.#startedAtMs = clock.wallMs();
    this.#ledger = createCounterLedger(clock.nowMs());
    this.stopped = new Promise((tell) => {
      this.#tellStopped = tell;
    });
    this.#broker = createSlotBroker((number, message) => this.#worker(number)?.send(message));
    this.#ward = createPluginWard(options.config.plugins, clock);
    this.#watchdog = createWatchdog<WorkerProcess>({
      clock,
      // One that boots may take its time, see bootLimitMs.
      workers: () => this.#fleet.workers.filter(({ state }) => state !== "booting"),
      onStuck: (worker, running) => this.#fleet.endStuck(worker, running),
    });
    this.#fleet = createFleet({
      entry: options.workerEntry ?? defaultWorkerEntry(),
      config: options.config,
      listenerFds: listeners.fds,
      clientCountsFd: this.#clientCountsFd,
      createCrashPage: openCrashPage,
      clock,
      logger,
      onMessage: (worker, message) => this.#onMessage(worker, message),
      onGone: (worker) => {
        if (this.#clientCountsFd !== null) clearClientCount(this.#clientCountsFd, worker.number);
        this.#broker.gone(worker.number, clock.nowMs());
        this.#watchSlots();
      },
      onCrash: (worker, running) => this.#onCrash(worker, running, worker.stuck),
    });
  }

  get host(): string {
    return this.#listeners.host;
  }

  get port(): number {
    return this.#listeners.port;
  }

  get metrics(): { readonly host: string; readonly port: number } | null {
    return this.#metrics === null ? null : { host: this.#metrics.host, port: this.#metrics.port };
  }

  get workerProcessIds(): readonly number[] {
    return this.#fleet.workers.map(({ pid }) => pid);
  }

  async start(): Promise<void> {
    const { metrics } = this.#config;
    // Before the workers: an address that is in use is found out at once.
    if (metrics !== null) {
      const { startMetricsServer } = await import("../metrics/metrics-server.js");
      this.#metrics = await startMetricsServer({
        ...metrics,
        logger: this.#logger,
        view: () => this.#view(false),
        health: () => ({ healthy: this.#fleet.allReady && !this.#stopping, details: { workers: this.#workerStatuses() } }),
      });
    }
    await this.#fleet.start();
    this.#watchPlugins();
    this.#sampleLater();
    this.#logger.info(
      {
        event: "ready",
        host: this.host,
        port: this.port,
        metricsHost: this.#metrics?.host ?? null,
        metricsPort: this.#metrics?.port ?? null,
        workers: this.#config.workers,
        pid: process.pid,
        version: this.#version,
      },
      "pooler is ready",
    );
    // Nobody has waited for them; now, rather than when they are needed: by then an update may have put other versions there.
    // The start is over, though: a signal that comes meanwhile stops a pooler that has clients. Who needs them later says what is wrong.
    Promise.all([this.#openConsole(), import("../config/changes.js")]).catch(() => {});
  }

  reload(): Promise<Reloaded> {
    // One after another, whether by signal or console.
    const next = this.#reloading.then(() => this.#reload());
    this.#reloading = next.catch(() => {});
    return next;
  }

  stop(mode: "drain" | "immediate"): void {
    const drainMs = this.#config.timeouts.drainMs;
    if (!this.#stopping) {
      this.#stopping = true;
      this.#logger.info(
        { event: "stopping", mode, drainMs },
        mode === "drain" ? "pooler is stopping: transactions under way may end" : "pooler is stopping at once",
      );
      // Whoever connects from now on is refused instead of being left to wait.
      this.#listeners.close();
      void this.#fleet.stop(drainMs).then(async () => {
        await this.release();
        this.#logger.info({ event: "stopped" }, "pooler has stopped");
        this.#tellStopped();
      });
    } else if (mode === "immediate") {
      this.#logger.warn({ event: "stopping", mode }, "pooler does not wait any longer");
    }
    if (mode === "immediate") this.#fleet.kill();
  }

  /** While start() waits for the workers: it rejects when they are gone. */
  abandon(): void {
    void this.#fleet.stop(0);
    this.#fleet.kill();
  }

  /** Everything but the workers, which have ended or never began. */
  async release(): Promise<void> {
    this.#sampling = false;
    this.#watchdog.stop();
    this.#listeners.close();
    if (this.#clientCountsFd !== null && !this.#released) closeSync(this.#clientCountsFd);
    this.#released = true;
    await this.#metrics?.close();
  }

  async #reload(): Promise<Reloaded> {
    if (this.#stopping) throw new PoolerError("SHUTTING_DOWN", "the pooler is stopping");
    const { planReload } = await import("../config/changes.js");
    const loaded = this.#options.reload();
    const { counters } = await this.#view(false);
    const takesReload = (position: number): boolean => {
      const name = this.#config.plugins[position]?.name ?? "";
      return counters.pluginOf(position, name)?.hooks.includes("reload") === true;
    };
    const plan = planReload(this.#config, loaded, takesReload);
    await this.#fleet.configure(plan.config);
    this.#config = plan.config;
    this.#logger.setLevel(plan.config.log.level);
    const sizes = new Map(plan.config.databases.map(({ name, poolSize }) => [name, poolSize]));
    this.#broker.resize((key) => sizes.get(key.split("\0")[0] ?? "") ?? null, this.#clock.nowMs());
    this.#watchSlots();
    const restored = await this.#renewWorkers(plan);
    const { applied, needRestart } = plan;
    this.#logger.info(
      { event: "reloaded", applied, needRestart, restored },
      applied.length === 0 ? "configuration reloaded, nothing changed" : `configuration reloaded: ${applied.join(", ")}`,
    );
    if (needRestart.length > 0)
      this.#logger.warn(
        { event: "reload needs restart", keys: needRestart },
        `changed, but needs a restart to take effect: ${needRestart.join(", ")}`,
      );
    return { applied, needRestart, restored };
  }

  /** Workers that have the chain of the configuration, all of it: whoever reloads has mended what was wrong, or wants to see whether it is. */
  async #renewWorkers({ config, chain }: ReloadPlan): Promise<string[]> {
    const before = this.#config.plugins;
    try {
      await this.#fleet.renew(chain === null ? config : Object.freeze({ ...config, plugins: chain }), chain !== null);
    } catch (error) {
      if (!(error instanceof PoolerError) || error.code !== "PLUGIN_UNUSABLE") throw error;
      throw new PoolerError("PLUGIN_UNUSABLE", `the plugins stay as they were: ${error.message}`, {
        hint: [error.hint, "What else has changed in the configuration is in force."].filter((part) => part !== undefined).join(" "),
        cause: error,
      });
    } finally {
      this.#config = this.#fleet.config;
      this.#watchPlugins();
    }
    const restored = this.#ward.restore(this.#config.plugins).map((position) => before[position]?.name ?? "");
    if (restored.length > 0) this.#fleet.takeOutOfService([]);
    return restored;
  }

  /** Without plugins there is nothing to look at. */
  #watchPlugins(): void {
    this.#watchdog.limit(this.#config.plugins.length === 0 ? 0 : this.#config.timeouts.pluginCallMs);
  }

  #onCrash(worker: WorkerProcess, running: RunningHook, hung: boolean): void {
    const out = this.#ward.note({ plugin: running.position, hook: running.hook, hung, worker: worker.number });
    if (out === null) return;
    this.#fleet.takeOutOfService(this.#ward.outOfService);
    const plugin = running.plugin;
    this.#logger.error(
      { event: "plugin out of service", plugin, hook: running.hook, onCrash: out.action, hint: outOfServiceHint },
      `plugin "${plugin}" is out of service: ${out.reason}; ${whatNow[out.action]}`,
    );
  }

  #onMessage(worker: WorkerProcess, message: Exclude<WorkerMessage, { kind: "terminate" }>): void {
    switch (message.kind) {
      case "cancel":
        void this.#fleet
          .cancel(worker, message.processId, message.secretKey)
          .then(() => worker.send({ kind: "cancelled", id: message.id }));
        return;
      case "exhausted": {
        const plugin = worker.config.plugins[message.plugin]?.name ?? `number ${message.plugin}`;
        const running = { plugin, position: message.plugin, hook: message.hook, call: 0 };
        // First: the new worker does without it, if this was once too often.
        this.#onCrash(worker, running, true);
        this.#fleet.replaceExhausted(worker, running);
        return;
      }
      case "slotsWanted":
        this.#broker.wanted(worker.number, message.key, message.limit, this.#clock.nowMs());
        this.#watchSlots();
        return;
      case "slotsReturned":
        this.#broker.returned(worker.number, message.key, message.count, this.#clock.nowMs());
        return;
      case "console":
        void this.#openConsole()
          .then((console) => console.run(message.user, message.admin, message.sql))
          .then((result) => worker.send({ kind: "consoleResult", id: message.id, result }));
        return;
    }
  }

  /** Loaded with the first command: nobody else waits for it. */
  #openConsole(): Promise<Console> {
    this.#console ??= import("../admin/console.js").then(({ createConsole }) =>
      createConsole({
        logger: this.#logger,
        view: (detail) => this.#view(detail),
        reload: () => this.reload(),
        pause: (database) => this.#fleet.pause(database),
        resume: (database) => this.#fleet.resume(database),
        // The answer goes out first: a worker that drains closes its consoles.
        shutdown: (mode) => void this.#clock.setTimer(shutdownDelayMs, () => this.stop(mode)),
      }),
    );
    return this.#console;
  }

  async #view(detail: boolean): Promise<PoolerView> {
    const snapshots = await this.#fleet.snapshots(detail);
    for (const snapshot of snapshots) this.#ledger.observe(snapshot);
    return {
      config: this.#config,
      version: this.#version,
      atMs: this.#clock.wallMs(),
      startedAtMs: this.#startedAtMs,
      supervisorMemoryBytes: residentMemoryBytes(),
      workers: this.#workerStatuses(),
      workerRestarts: this.#fleet.restarts,
      snapshots,
      counters: this.#ledger.counters(),
      recent: this.#ledger.recent(this.#clock.nowMs()),
      paused: this.#fleet.paused,
      pluginHealth: this.#ward.health,
    };
  }

  #workerStatuses(): WorkerStatus[] {
    return this.#fleet.statuses.map(({ number, worker }) =>
      worker === null || worker.state === "gone"
        ? { worker: number, state: "down", processId: null }
        : { worker: number, state: worker.state, processId: worker.pid },
    );
  }

  #worker(number: number): WorkerProcess | undefined {
    return this.#fleet.workers.find((worker) => worker.number === number);
  }

  /** Counters of a worker that dies are known up to the last time that somebody asked. */
  #sampleLater(): void {
    this.#clock
      .setTimer(sampleMs, () => {
        void this.#fleet.snapshots(false).then((snapshots) => {
          if (!this.#sampling) return;
          for (const snapshot of snapshots) this.#ledger.observe(snapshot);
          this.#ledger.sample(this.#clock.nowMs());
          this.#sampleLater();
        });
      })
      .unref();
  }

  #watchSlots(): void {
    if (this.#slotTimer || !this.#broker.waiting) return;
    this.#slotTimer = true;
    this.#clock
      .setTimer(slotTickMs, () => {
        this.#slotTimer = false;
        this.#broker.tick(this.#clock.nowMs());
        this.#watchSlots();
      })
      .unref();
  }
}

/** Limits hold for all workers together, and a worker with plugins may be replaced while it has clients. */
const mayShare = ({ workers, plugins }: PoolerConfig): boolean => workers > 1 || plugins.length > 0;

const outOfServiceHint = "Replace the plugin by one that works, or remove it, and reload; a reload also tries the same one again.";
const whatNow: Readonly<Record<OutOfService["action"], string>> = {
  disable: "statements pass without it",
  refuse: "clients are refused",
};

function openCrashPage(): CrashPage {
  const fd = createCrashPage();
  return { fd, read: () => readCrashPage(fd), readPlaces: () => readCrashPlaces(fd), close: () => closeSync(fd) };
}

function defaultWorkerEntry(): string {
  // In what npm gets, beside dist, and from the sources.
  const candidates = ["./worker-main.js", "../worker/main.js", "../../dist/worker/main.js"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  const entry = candidates.find((path) => existsSync(path));
  invariant(entry !== undefined, `there is no worker to start: neither ${candidates.join(" nor ")}`);
  return entry;
}
