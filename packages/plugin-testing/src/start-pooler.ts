// A pooler with the plugin in its chain, before PostgreSQL servers of its own. All of it is gone when the test's process ends.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createRunDirectory, query, type RunDirectory, startCluster } from "@pooler/embedded-cluster";
import pg from "pg";
import { stringify } from "smol-toml";
import { findPackage, type PluginPackage } from "./plugin-package.js";

const startLimitMs = 60_000;
const stopLimitMs = 20_000;

export interface PoolerOptions {
  /** [plugins.config] of the plugin. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The folder of the plugin's package; the one around the working directory by default. */
  readonly folder?: string;
  /** Entries of the chain before the plugin, and behind it: { name, config }. */
  readonly before?: readonly Readonly<Record<string, unknown>>[];
  readonly after?: readonly Readonly<Record<string, unknown>>[];
  /** Primaries; 1 by default. */
  readonly shards?: number;
  /** Of each primary; 0 by default. */
  readonly replicas?: number;
  /** SQL that is run on every primary before the pooler starts. */
  readonly setup?: string;
  /** Further keys of pooler.toml. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** A major version of PostgreSQL; the newest by default, others are downloaded. */
  readonly postgres?: string;
}

export interface TestResult {
  readonly rows: readonly Record<string, unknown>[];
  readonly rowCount: number | null;
  readonly command: string;
}

export interface TestClient {
  /** Simple protocol without values, extended with them. Rejects with PostgreSQL's error: code, message, detail, hint. */
  query(sql: string, values?: readonly unknown[]): Promise<TestResult>;
  end(): Promise<void>;
}

export interface TestPooler {
  /** For any client: postgres://app@127.0.0.1:port/app. */
  readonly url: string;
  /** Past the pooler: URLs of the servers. */
  readonly servers: readonly { readonly primary: string; readonly replicas: readonly string[] }[];
  connect(): Promise<TestClient>;
  /** On a connection of its own. */
  query(sql: string, values?: readonly unknown[]): Promise<TestResult>;
  /** What the pooler has logged, as text. */
  log(): string;
  stop(): Promise<void>;
}

/** Rejects with what the pooler said when it does not start. */
export async function startPooler(options: PoolerOptions = {}): Promise<TestPooler> {
  const plugin = findPackage(options.folder);
  const { shards = 1, replicas = 0, setup, postgres } = options;
  const cluster = await startCluster({ shards, replicas, database: "app", ...(postgres === undefined ? {} : { version: postgres }) });
  try {
    const servers = cluster.shards.map(({ primary, replicas: copies }) => ({
      primary: primary.url,
      replicas: copies.map(({ url }) => url),
    }));
    if (setup !== undefined) {
      for (const { primary } of servers) await query(primary, setup);
      await cluster.replicated();
    }
    const pooler = await launch(plugin, options, servers);
    return {
      ...pooler,
      servers,
      async stop() {
        await pooler.stop();
        await cluster.stop();
      },
    };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

function configOf({ name }: PluginPackage, options: PoolerOptions, servers: TestPooler["servers"]): string {
  const { config = {}, before = [], after = [], settings = {} } = options;
  return stringify({
    users: { app: { server_user: "postgres" } },
    databases: { app: { shards: servers } },
    ...settings,
    listen: { host: "127.0.0.1", port: 0, auth: "trust", ...(settings["listen"] as object | undefined) },
    log: { level: "info", format: "json", ...(settings["log"] as object | undefined) },
    plugins: [...before, { name, config }, ...after],
  });
}

async function launch(plugin: PluginPackage, options: PoolerOptions, servers: TestPooler["servers"]): Promise<Omit<TestPooler, "servers">> {
  const directory = await createRunDirectory();
  const file = join(directory.path, "pooler.toml");
  writeFileSync(file, configOf(plugin, options, servers));
  linkPackages(plugin, directory.path);
  const program = join(dirname(createRequire(import.meta.url).resolve("@pooler/cli/package.json")), "bin", "pooler.js");
  const child = spawn(process.execPath, [program, "start", "--config", file], {
    cwd: directory.path,
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (child.pid !== undefined) directory.watch(child.pid, "TERM");
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const clients = new Set<pg.Client>();
  const stop = async (): Promise<void> => {
    await Promise.all([...clients].map((client) => client.end().catch(() => {})));
    await end(child, directory);
  };
  try {
    const port = await untilReady(child, () => log);
    const url = `postgres://app@127.0.0.1:${port}/app`;
    const connect = () => connectTo(url, clients);
    return {
      url,
      connect,
      async query(sql, values) {
        const client = await connect();
        try {
          return await client.query(sql, values);
        } finally {
          await client.end();
        }
      },
      log: () => log,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The plugin, and what lies beside it in node_modules, are found by name from the folder of the configuration. */
function linkPackages({ folder, name }: PluginPackage, directory: string): void {
  const link = join(directory, "node_modules", ...name.split("/"));
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(folder, link, "dir");
}

function untilReady(child: ChildProcess, log: () => string): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (what: string): void => {
      clearTimeout(timer);
      reject(new Error(`${what}; it said:\n${log().trim().split("\n").slice(-20).join("\n")}`));
    };
    const timer = setTimeout(() => fail(`the pooler was not ready within ${startLimitMs / 1000} s`), startLimitMs);
    child.stderr?.on("data", () => {
      const port = readyPort(log());
      if (port === null) return;
      clearTimeout(timer);
      resolve(port);
    });
    child.once("error", (cause) => fail(`the pooler could not be run: ${cause.message}`));
    child.once("close", (code) => fail(`the pooler ended with code ${code}`));
  });
}

function readyPort(log: string): number | null {
  for (const line of log.split("\n")) {
    if (!line.includes('"ready"')) continue;
    const { event, port } = JSON.parse(line) as { readonly event?: unknown; readonly port?: unknown };
    if (event === "ready" && typeof port === "number") return port;
  }
  return null;
}

async function connectTo(url: string, clients: Set<pg.Client>): Promise<TestClient> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  // A connection that is lost says so to the statement that wants it.
  client.on("error", () => {});
  await client.connect();
  clients.add(client);
  return {
    async query(sql, values) {
      const { rows, rowCount, command } = await client.query<Record<string, unknown>>(sql, values === undefined ? undefined : [...values]);
      return { rows, rowCount, command };
    },
    async end() {
      clients.delete(client);
      await client.end();
    },
  };
}

async function end(child: ChildProcess, directory: RunDirectory): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise<void>((resolve) => {
      child.once("close", () => resolve());
    });
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), stopLimitMs);
    await ended;
    clearTimeout(timer);
  }
  if (child.pid !== undefined) directory.unwatch(child.pid);
  await directory.remove();
}
