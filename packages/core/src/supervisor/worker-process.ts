// One worker process from spawn to exit: its states, questions with their answers, and why it ended. Knows nothing of the
// other workers, nor whether it is replaced.
import { type ChildProcess, spawn } from "node:child_process";
import type { PoolerConfig } from "../config/types.js";
import { blockingDefaults } from "../plugins/chain-plugin.js";
import { isScript } from "../plugins/loader-scripts.js";
import type { OutOfService, ToSupervisor, ToWorker, WorkerSnapshot } from "./ipc.js";

export type WorkerState = "booting" | "ready" | "retiring" | "draining" | "gone";

/** What a worker does for a plugin, or was doing when it died. */
export interface RunningHook {
  readonly plugin: string;
  /** In the configuration, from 0. */
  readonly position: number;
  readonly hook: string;
  /** Number of the call. */
  readonly call: number;
}

export interface WorkerExit {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The system could not even start it, or it gave up by itself, in its own words. */
  readonly reason: string | null;
  readonly hint: string | null;
  readonly running: RunningHook | null;
  /** What else it was doing for plugins, on threads, each hook once: the fault may be any one's. */
  readonly alsoRunning: readonly RunningHook[];
  /** It was killed since it did not go on. */
  readonly stuck: boolean;
  /** The state that it was in. */
  readonly during: Exclude<WorkerState, "gone">;
}

/** Messages that are neither answers nor part of the boot. */
export type WorkerMessage = Extract<
  ToSupervisor,
  { kind: "cancel" | "slotsWanted" | "slotsReturned" | "console" | "exhausted" | "terminate" }
>;

export interface WorkerEvents {
  onReady(io: WorkerSnapshot["io"]): void;
  onMessage(message: WorkerMessage): void;
  /** Called once, after everything that the worker still said. */
  onGone(exit: WorkerExit): void;
}

export interface WorkerProcess {
  readonly number: number;
  readonly pid: number;
  readonly state: WorkerState;
  readonly startedAtMs: number;
  /** What it was booted with, or took over since. */
  readonly config: PoolerConfig;
  /** It is killed since it does not go on. */
  readonly stuck: boolean;
  /** Number of the plugin chain that it booted with. */
  readonly chain: number;
  /** Plugins that it booted without. */
  readonly bootedWithout: readonly OutOfService[];
  /** The call into a plugin that it makes at this moment. */
  running(): RunningHook | null;
  send(message: ToWorker): void;
  /** null: it went before it answered. */
  snapshot(detail: boolean): Promise<WorkerSnapshot | null>;
  /** Its objection, or null: it took the configuration, or is gone. */
  configure(config: PoolerConfig): Promise<string | null>;
  /** Resolves when nothing of it is in use any more, or the worker is gone. */
  pause(database: string | null): Promise<void>;
  resume(database: string | null): Promise<void>;
  /** Resolves when the worker has looked at it, or is gone. */
  cancel(processId: number, secretKey: number): Promise<void>;
  /** Serve the clients that are there, and no others. Resolves when it accepts nobody any more, or is gone. */
  retire(): Promise<void>;
  drain(deadlineMs: number): void;
  /** `stuck`: since it does not go on. */
  kill(stuck?: boolean): void;
}

interface CrashNote {
  readonly plugin: number;
  readonly hook: string;
  readonly call: number;
}

/** The page of memory in which a worker notes which plugin it is about to call; it outlives the worker. */
export interface CrashPage {
  readonly fd: number;
  read(): CrashNote | null;
  /** Of calls on threads. */
  readPlaces(): readonly CrashNote[];
  close(): void;
}

export interface WorkerProcessOptions {
  readonly number: number;
  /** Path of the worker's main module. */
  readonly entry: string;
  readonly config: PoolerConfig;
  readonly listenerFds: readonly number[];
  /** Shared page with the clients of each worker; null when there is only one. */
  readonly clientCountsFd: number | null;
  readonly crashPage: CrashPage;
  readonly startedAtMs: number;
  /** Databases that are paused at the time; null among them: all. */
  readonly paused: readonly (string | null)[];
  readonly outOfService: readonly OutOfService[];
  readonly chain: number;
}

/**
 * The young generation stays within the processor's cache: what a batch allocates is garbage at once, so that larger ones only take
 * memory (16 MiB by default, several times, in every worker) and time. One thread beside the worker's own compiles and collects: each
 * of V8's usual four keeps memory of its own that it took for that.
 */
const workerFlags = ["--max-semi-space-size=2", "--v8-pool-size=1"];

/** What Node and its libraries use of libuv's threads: files, names, TLS. */
const ownThreads = 4;
const mostThreads = 1024;

/** Calls of plugins that may wait never take the threads that the worker itself needs: Node reads their number once, at the start. */
function environmentOf({ plugins }: PoolerConfig): NodeJS.ProcessEnv {
  const calls = plugins
    .filter(({ library }) => !isScript(library))
    .reduce((sum, { blocking }) => sum + (blocking?.maxConcurrent ?? blockingDefaults.maxConcurrent), 0);
  if (calls === 0) return process.env;
  const own = Number(process.env["UV_THREADPOOL_SIZE"] ?? "");
  const threads = Math.min(mostThreads, Math.max(ownThreads, Number.isInteger(own) ? own : 0) + calls);
  return { ...process.env, UV_THREADPOOL_SIZE: String(threads) };
}

export function startWorkerProcess(options: WorkerProcessOptions, events: WorkerEvents): WorkerProcess {
  return new Worker(options, events);
}

class Worker implements WorkerProcess {
  readonly number: number;
  readonly startedAtMs: number;
  readonly bootedWithout: readonly OutOfService[];
  readonly chain: number;
  stuck = false;
  readonly #child: ChildProcess;
  readonly #events: WorkerEvents;
  readonly #crashPage: CrashPage;
  readonly #questions = new Map<number, (answer: ToSupervisor | null) => void>();
  #state: WorkerState = "booting";
  #config: PoolerConfig;
  #nextQuestion = 1;
  #exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | null = null;
  #disconnected = false;
  #reason: string | null = null;
  #hint: string | null = null;

  constructor(options: WorkerProcessOptions, events: WorkerEvents) {
    this.number = options.number;
    this.startedAtMs = options.startedAtMs;
    this.bootedWithout = options.outOfService;
    this.chain = options.chain;
    this.#config = options.config;
    this.#events = events;
    this.#crashPage = options.crashPage;
    const child = spawn(process.execPath, [...workerFlags, options.entry], {
      // See inheritedFds in ipc.ts. The structured clone carries dates and big numbers of plugins' settings.
      stdio: [
        "ignore",
        "inherit",
        "inherit",
        "ipc",
        options.crashPage.fd,
        ...options.listenerFds,
        ...(options.clientCountsFd === null ? [] : [options.clientCountsFd]),
      ],
      serialization: "advanced",
      env: environmentOf(options.config),
    });
    this.#child = child;
    child.on("message", (message) => this.#receive(message as ToSupervisor));
    child.on("exit", (code, signal) => this.#exited(code, signal));
    child.on("disconnect", () => {
      this.#disconnected = true;
      this.#finish();
    });
    child.on("error", (error) => {
      if (child.pid !== undefined) return;
      this.#reason = `the system could not start it: ${error.message}`;
      this.#disconnected = true;
      this.#exited(null, null);
    });
    const { number: worker, config, listenerFds, outOfService, clientCountsFd } = options;
    this.send({ kind: "boot", worker, config, listeners: listenerFds.length, outOfService, shares: clientCountsFd !== null });
    // A worker answers orders only once it is ready: these take effect before its first client.
    for (const database of options.paused) void this.pause(database);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get state(): WorkerState {
    return this.#state;
  }

  get config(): PoolerConfig {
    return this.#config;
  }

  send(message: ToWorker): void {
    // The callback takes the error of a channel that closed meanwhile; the exit tells the rest.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  async snapshot(detail: boolean): Promise<WorkerSnapshot | null> {
    const answer = await this.#ask((id) => ({ kind: "snapshot", id, detail }));
    return answer?.kind === "snapshot" ? answer.snapshot : null;
  }

  async configure(config: PoolerConfig): Promise<string | null> {
    const answer = await this.#ask((id) => ({ kind: "configure", id, config }));
    const error = answer?.kind === "configured" ? answer.error : null;
    if (error === null) this.#config = config;
    return error;
  }

  async pause(database: string | null): Promise<void> {
    await this.#ask((id) => ({ kind: "pause", id, database }));
  }

  async resume(database: string | null): Promise<void> {
    await this.#ask((id) => ({ kind: "resume", id, database }));
  }

  async cancel(processId: number, secretKey: number): Promise<void> {
    await this.#ask((id) => ({ kind: "cancel", id, processId, secretKey }));
  }

  async retire(): Promise<void> {
    if (this.#state !== "ready") return;
    this.#state = "retiring";
    await this.#ask((id) => ({ kind: "retire", id }));
  }

  drain(deadlineMs: number): void {
    if (this.#state === "gone") return;
    this.#state = "draining";
    this.send({ kind: "drain", deadlineMs });
  }

  running(): RunningHook | null {
    if (this.#state === "gone") return null;
    const noted = this.#crashPage.read();
    return noted === null ? null : this.#hookOf(noted);
  }

  #hookOf({ plugin: position, hook, call }: CrashNote): RunningHook {
    return { plugin: this.#config.plugins[position]?.name ?? `number ${position}`, position, hook, call };
  }

  /** Who may have ended it. What runs on threads has nothing to do with a worker that is killed from outside. */
  #atFault(signal: NodeJS.Signals | null): readonly RunningHook[] {
    const running = this.running();
    const all = running === null ? [] : [running];
    if (signal === "SIGKILL") return all;
    for (const noted of this.#crashPage.readPlaces()) {
      const hook = this.#hookOf(noted);
      if (!all.some(({ position, hook: other }) => position === hook.position && other === hook.hook)) all.push(hook);
    }
    return all;
  }

  kill(stuck = false): void {
    if (stuck) this.stuck = true;
    this.#child.kill("SIGKILL");
  }

  #ask(message: (id: number) => ToWorker): Promise<ToSupervisor | null> {
    if (this.#state === "gone" || !this.#child.connected) return Promise.resolve(null);
    const id = this.#nextQuestion++;
    return new Promise((done) => {
      this.#questions.set(id, done);
      this.send(message(id));
    });
  }

  #receive(message: ToSupervisor): void {
    switch (message.kind) {
      case "ready":
        if (this.#state !== "booting") return;
        this.#state = "ready";
        this.#events.onReady(message.io);
        return;
      case "failed":
        this.#reason = message.message;
        this.#hint = message.hint;
        return;
      case "configured":
      case "snapshot":
      case "done": {
        const done = this.#questions.get(message.id);
        this.#questions.delete(message.id);
        done?.(message);
        return;
      }
      case "cancel":
      case "slotsWanted":
      case "slotsReturned":
      case "console":
      case "exhausted":
      case "terminate":
        this.#events.onMessage(message);
        return;
    }
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    this.#exit = { code, signal };
    // What the worker said last may still be in the channel. A child of its own that holds the channel open must not
    // keep us waiting, though.
    setTimeout(() => {
      this.#disconnected = true;
      this.#finish();
    }, 250).unref();
    this.#finish();
  }

  #finish(): void {
    if (this.#exit === null || !this.#disconnected || this.#state === "gone") return;
    const during = this.#state;
    const [running = null, ...alsoRunning] = this.#atFault(this.#exit.signal);
    this.#state = "gone";
    this.#crashPage.close();
    for (const done of this.#questions.values()) done(null);
    this.#questions.clear();
    this.#events.onGone({
      exitCode: this.#exit.code,
      signal: this.#exit.signal,
      reason: this.#reason,
      hint: this.#hint,
      running,
      alsoRunning,
      stuck: this.stuck,
      during,
    });
  }
}
