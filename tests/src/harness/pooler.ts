// The built pooler as a process of its own, with a configuration of the test's making. Knows it only as users do: the command, the
// file, signals, the log.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, renameSync, writeFileSync } from "node:fs";
import { symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRunDirectory, type RunDirectory } from "@pooler/embedded-cluster";
import { stringify } from "smol-toml";

const startLimitMs = 30_000;
const stopLimitMs = 40_000;
const logLimitMs = 15_000;

const testsDirectory = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const cliMain = join(dirname(createRequire(import.meta.url).resolve("@pooler/cli/package.json")), "bin", "pooler.js");

/** POOLER_TEST_NODE runs the pooler with another Node.js than the tests: of another C library, or of another machine under an emulator. */
const testNode = process.env["POOLER_TEST_NODE"] ?? process.execPath;

/** pooler.toml as an object; `listen` and `log` get what a test needs when it says nothing else. */
export type PoolerToml = Readonly<Record<string, unknown>>;

export interface PoolerOptions {
  readonly config: string | PoolerToml;
  /** Added to the environment; undefined takes a variable out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Lays what belongs there into the folder of the configuration file, before the start. */
  readonly prepare?: (directory: string) => void;
}

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: string; readonly level?: string };

export interface UrlOptions {
  readonly user?: string;
  readonly password?: string;
  readonly database?: string;
}

export interface Pooler {
  readonly port: number;
  /** Of the supervisor. */
  readonly pid: number;
  /** undefined when the configuration has no [metrics]. */
  readonly metricsUrl: string | undefined;
  readonly configFile: string;
  /** Every line so far; a line that is no JSON has only `msg`. */
  readonly log: readonly LogLine[];
  /** postgres://app@127.0.0.1:port/app unless told otherwise. */
  url(options?: UrlOptions): string;
  /** Resolves with the first line, from the start or from the line of this index on, that matches. */
  untilLog(matches: (line: LogLine) => boolean, from?: number): Promise<LogLine>;
  /** Replaces the configuration file; a reload is up to the test. */
  writeConfig(config: string | PoolerToml): void;
  signal(name: NodeJS.Signals): void;
  /** SIGTERM; resolves with the exit code, null after a signal. */
  stop(): Promise<number | null>;
  readonly ended: Promise<number | null>;
}

/** Resolves when it accepts connections; rejects with what it logged when it does not come up. */
export async function startPooler(options: PoolerOptions): Promise<Pooler> {
  const pooler = await launch(["start"], options);
  try {
    const ready = await pooler.untilReady();
    return pooler.face(ready);
  } catch (error) {
    await pooler.stop();
    throw error;
  }
}

export interface FinishedPooler {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command that ends by itself, such as `check`, or a `start` that is refused. */
export async function runPooler(args: readonly string[], options: PoolerOptions): Promise<FinishedPooler> {
  const pooler = await launch(args, options);
  const timer = setTimeout(() => pooler.child.kill("SIGKILL"), startLimitMs);
  const code = await pooler.ended;
  clearTimeout(timer);
  return { code, stdout: pooler.stdout(), stderr: pooler.stderr() };
}

/** What the supervisor's line says when the pooler accepts connections. */
interface ReadyLine {
  readonly port: number;
  readonly metricsPort: number | undefined;
}

function readyOf(line: LogLine): ReadyLine | undefined {
  const { event, port, metricsPort } = line as { event?: unknown; port?: unknown; metricsPort?: unknown };
  if (event !== "ready" || typeof port !== "number") {
    return undefined;
  }
  return { port, metricsPort: typeof metricsPort === "number" ? metricsPort : undefined };
}

interface Launched {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  stdout(): string;
  stderr(): string;
  untilReady(): Promise<ReadyLine>;
  stop(): Promise<number | null>;
  face(ready: ReadyLine): Pooler;
}

async function launch(args: readonly string[], options: PoolerOptions): Promise<Launched> {
  const runDirectory = await createRunDirectory();
  const configFile = join(runDirectory.path, "pooler.toml");
  options.prepare?.(runDirectory.path);
  // Plugins are looked for from the file's directory on: the dependencies of the tests stand in for an installation.
  const installed = join(runDirectory.path, "node_modules");
  if (!existsSync(installed)) await symlink(join(testsDirectory, "node_modules"), installed);
  writeConfig(configFile, options.config);

  const child = spawn(testNode, [cliMain, ...args, "--config", configFile], {
    cwd: runDirectory.path,
    env: { ...process.env, NO_COLOR: "1", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { pid } = child;
  if (pid === undefined) {
    throw new Error(`${cliMain} could not be run.`);
  }
  runDirectory.watch(pid, "TERM");

  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  const log = collectLog(child);
  const ended = untilEnded(child, pid, runDirectory, log.close);

  const stop = async (): Promise<number | null> => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), stopLimitMs);
    const code = await ended;
    clearTimeout(timer);
    return code;
  };

  return {
    child,
    ended,
    stop,
    stdout: () => stdout,
    stderr: log.text,
    async untilReady() {
      const line = await log.until((candidate) => readyOf(candidate) !== undefined, 0, startLimitMs);
      return readyOf(line) as ReadyLine;
    },
    face: ({ port, metricsPort }) => ({
      port,
      pid,
      metricsUrl: metricsPort === undefined ? undefined : `http://127.0.0.1:${metricsPort}/metrics`,
      configFile,
      log: log.lines,
      ended,
      url({ user = "app", password, database = "app" } = {}) {
        const credentials =
          password === undefined ? encodeURIComponent(user) : `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
        return `postgres://${credentials}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
      },
      untilLog: (matches, from = 0) => log.until(matches, from, logLimitMs),
      writeConfig: (config) => writeConfig(configFile, config),
      signal: (name) => {
        child.kill(name);
      },
      stop,
    }),
  };
}

/** POOLER_TEST_IO=sockets or streams runs the whole suite on that engine. */
const testIo = process.env["POOLER_TEST_IO"];

function writeConfig(file: string, config: string | PoolerToml): void {
  const text =
    typeof config === "string"
      ? config
      : stringify({
          ...(testIo === undefined ? {} : { io: testIo }),
          ...config,
          listen: { host: "127.0.0.1", port: 0, ...(config["listen"] as object | undefined) },
          log: { level: "info", format: "json", ...(config["log"] as object | undefined) },
        });
  // Replaced in one step, so that a reload never sees half of it.
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

interface CollectedLog {
  readonly lines: LogLine[];
  text(): string;
  until(matches: (line: LogLine) => boolean, from: number, limitMs: number): Promise<LogLine>;
  close(): void;
}

function collectLog(child: ChildProcess): CollectedLog {
  const lines: LogLine[] = [];
  const watchers = new Set<() => void>();
  let text = "";
  let unfinished = "";
  let isClosed = false;
  const wake = (): void => {
    for (const watcher of [...watchers]) {
      watcher();
    }
  };
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    const parts = `${unfinished}${chunk}`.split("\n");
    unfinished = parts.pop() ?? "";
    lines.push(...parts.map(parseLine));
    wake();
  });
  const tail = (): string => text.trim().split("\n").slice(-30).join("\n");

  return {
    lines,
    text: () => text,
    close() {
      isClosed = true;
      wake();
    },
    until: (matches, from, limitMs) =>
      new Promise((resolve, reject) => {
        let next = from;
        const finish = (act: () => void): void => {
          clearTimeout(timer);
          watchers.delete(look);
          act();
        };
        const look = (): void => {
          for (; next < lines.length; next++) {
            const line = lines[next];
            if (line !== undefined && matches(line)) {
              finish(() => resolve(line));
              return;
            }
          }
          if (isClosed) {
            finish(() => reject(new Error(`The pooler ended, and no line of its log matched:\n${tail()}`)));
          }
        };
        const timer = setTimeout(
          () => finish(() => reject(new Error(`No line of the pooler's log matched within ${limitMs} ms:\n${tail()}`))),
          limitMs,
        );
        watchers.add(look);
        look();
      }),
  };
}

function parseLine(line: string): LogLine {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) {
      return value as LogLine;
    }
  } catch {
    // Something that is not the logger wrote it, Node for instance.
  }
  return { msg: line };
}

async function untilEnded(child: ChildProcess, pid: number, runDirectory: RunDirectory, close: () => void): Promise<number | null> {
  // "close" comes after the last byte of the log, "exit" may come before it.
  const code = await new Promise<number | null>((resolve) => {
    child.once("close", (exitCode) => resolve(exitCode));
  });
  runDirectory.unwatch(pid);
  close();
  await runDirectory.remove();
  return code;
}
