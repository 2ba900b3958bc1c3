// One PostgreSQL server: the postmaster is our direct child and is started, stopped and killed here. Knows nothing of clusters.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ClusterError } from "./cluster-error.js";
import { serverEnvironment } from "./data-directory.js";
import { findFreePort } from "./free-port.js";
import type { Installation } from "./installation.js";
import { childrenOf, isAlive, signal } from "./process-tree.js";
import type { RunDirectory } from "./run-directory.js";
import type { ServerUser } from "./server-user.js";
import type { PostgresHost } from "./types.js";

const startLimitMs = 60_000;
const stopLimitMs = 10_000;
const pollMs = 15;
const portAttempts = 10;

export interface ServerOptions {
  readonly name: string;
  readonly installation: Installation;
  readonly user: ServerUser;
  readonly runDirectory: RunDirectory;
  readonly dataDirectory: string;
  readonly superuser: string;
  readonly database: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly exited: Promise<void>;
}

/** Resolves when the server accepts connections. */
export async function startServer(options: ServerOptions): Promise<PostgresHost> {
  const server = new Server(options, await findFreePort());
  for (let attempt = 1; ; attempt++) {
    try {
      await server.start();
      return server;
    } catch (error) {
      if (!(error instanceof PortTakenError) || attempt === portAttempts) {
        throw error;
      }
      server.port = await findFreePort();
    }
  }
}

class PortTakenError extends ClusterError {}

class Server implements PostgresHost {
  readonly host = "127.0.0.1";
  port: number;
  readonly #options: ServerOptions;
  #running: Running | undefined;
  #lastPid = 0;

  constructor(options: ServerOptions, port: number) {
    this.#options = options;
    this.port = port;
  }

  get url(): string {
    return `postgres://${this.#options.superuser}@${this.host}:${this.port}/${encodeURIComponent(this.#options.database)}`;
  }

  get pid(): number {
    return this.#running?.pid ?? this.#lastPid;
  }

  get dataDirectory(): string {
    return this.#options.dataDirectory;
  }

  get logFile(): string {
    return join(this.#options.runDirectory.path, `${this.#options.name}.log`);
  }

  async start(): Promise<void> {
    if (this.#running !== undefined) {
      return;
    }
    const running = this.#spawn();
    try {
      await this.#untilReady(running);
    } catch (error) {
      await this.#end(running, "SIGQUIT");
      throw error;
    }
  }

  async stop(mode: "fast" | "immediate" = "fast"): Promise<void> {
    if (this.#running !== undefined) {
      await this.#end(this.#running, mode === "fast" ? "SIGINT" : "SIGQUIT");
    }
  }

  async kill(): Promise<void> {
    const running = this.#running;
    if (running === undefined) {
      return;
    }
    // Stopped first, so that it cannot fork another backend behind our back.
    signal(running.pid, "SIGSTOP");
    const children = await childrenOf(running.pid);
    signal(running.pid, "SIGKILL");
    for (const child of children) {
      signal(child, "SIGKILL");
    }
    await running.exited;
    // A new postmaster refuses to start while one of the old children holds the shared memory.
    while (children.some(isAlive)) {
      await delay(pollMs);
    }
  }

  #spawn(): Running {
    const { installation, user, runDirectory, dataDirectory } = this.#options;
    const log = openSync(this.logFile, "a", 0o600);
    const child = spawn(join(installation.root, "bin", "postgres"), ["-D", dataDirectory, "-p", String(this.port)], {
      // A process group of its own: Ctrl-C in a terminal must reach only us, who stop the servers in order.
      detached: true,
      stdio: ["ignore", log, log],
      env: serverEnvironment,
      cwd: "/",
      ...user.spawnOptions,
    });
    closeSync(log);
    let failure: Error | undefined;
    child.on("error", (error) => {
      failure = error;
    });
    const { pid } = child;
    if (pid === undefined) {
      throw new ClusterError(`${installation.root}/bin/postgres could not be run${failure === undefined ? "" : `: ${failure.message}`}.`);
    }
    // PostgreSQL's immediate shutdown: the postmaster takes its children along.
    runDirectory.watch(pid, "QUIT");
    const exited = new Promise<void>((resolve) => {
      child.once("exit", () => {
        runDirectory.unwatch(pid);
        this.#running = undefined;
        resolve();
      });
    });
    const running = { child, pid, exited };
    this.#running = running;
    this.#lastPid = pid;
    return running;
  }

  async #untilReady(running: Running): Promise<void> {
    const deadline = Date.now() + startLimitMs;
    while (!this.#isReady(running.pid)) {
      if (this.#running !== running) {
        const log = this.#logTail();
        if (/could not bind|could not create any TCP\/IP sockets/.test(log)) {
          throw new PortTakenError(`Port ${this.port} is taken by another process.`);
        }
        throw new ClusterError(`PostgreSQL server ${this.#options.name} ended while starting:\n${log}`);
      }
      if (Date.now() > deadline) {
        throw new ClusterError(`PostgreSQL server ${this.#options.name} did not start within ${startLimitMs} ms:\n${this.#logTail()}`);
      }
      await delay(pollMs);
    }
  }

  /** The postmaster itself writes its state into the eighth line of its pid file. */
  #isReady(pid: number): boolean {
    try {
      const lines = readFileSync(join(this.dataDirectory, "postmaster.pid"), "utf8").split("\n");
      return lines[0] === String(pid) && lines[7]?.trim() === "ready";
    } catch {
      return false;
    }
  }

  async #end(running: Running, first: NodeJS.Signals): Promise<void> {
    signal(running.pid, first);
    for (const next of ["SIGQUIT", "SIGKILL"] as const) {
      const timer = new AbortController();
      const late = delay(stopLimitMs, "late", { signal: timer.signal }).catch(() => "cancelled");
      const outcome = await Promise.race([running.exited, late]);
      timer.abort();
      if (outcome !== "late") {
        return;
      }
      signal(running.pid, next);
    }
    await running.exited;
  }

  #logTail(): string {
    try {
      return readFileSync(this.logFile, "utf8").trim().split("\n").slice(-20).join("\n");
    } catch {
      return "(no log)";
    }
  }
}
