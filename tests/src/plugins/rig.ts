// One pooler for a test file, with a chain of plugins in front of the shared cluster; clients of it, and words for where a statement ran.
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { type BackendMessage, columnsOf, errorIn, rowsOf } from "../harness/backend-message.js";
import { type Pooler, type PoolerToml, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";

type Toml = Readonly<Record<string, unknown>>;

export interface PluginEntry {
  /** The entry is called "./<as>". */
  readonly as: string;
  /** Path of the library. */
  readonly library: string;
  readonly config?: Toml;
  readonly onError?: "fail" | "skip";
  /** Other keys of the entry. */
  readonly entry?: Toml;
}

export interface RigOptions {
  /** Chain order. A text is the name of an installed package. */
  readonly plugins: readonly (PluginEntry | { readonly package: string; readonly config?: Toml })[];
  /** "app" with two shards and their replicas unless told otherwise. */
  readonly databases?: Readonly<Record<string, Toml>>;
  /** Of the database "app". */
  readonly app?: Toml;
  readonly rest?: PoolerToml;
  /** Lays more into the folder of the configuration. */
  readonly prepare?: (directory: string) => void;
}

export interface Rig {
  readonly pooler: Pooler;
  readonly config: PoolerToml;
  /** A client that is logged in. */
  client(parameters?: Readonly<Record<string, string>>): Promise<WireClient>;
  /** Rows of a console command, by column name. */
  console(command: string): Promise<Readonly<Record<string, string | null>>[]>;
  /** For afterEach(). */
  disconnectAll(): Promise<void>;
  stop(): Promise<void>;
}

export function rigConfig({ plugins, databases, app = {}, rest = {} }: RigOptions): PoolerToml {
  return {
    listen: { auth: "trust" },
    users: { app: { server_user: "postgres" }, admin: { console: "admin" } },
    databases: databases ?? { app: { shards: sharedShards(), pool_size: 2, ...app } },
    ...rest,
    plugins: plugins.map((plugin) => ({
      name: "package" in plugin ? plugin.package : `./${plugin.as}`,
      ...("onError" in plugin && plugin.onError !== undefined ? { on_error: plugin.onError } : {}),
      ...("entry" in plugin ? plugin.entry : {}),
      ...(plugin.config === undefined ? {} : { config: plugin.config }),
    })),
  };
}

/** Lays the libraries of path entries beside the configuration. */
export function placeLibraries(plugins: RigOptions["plugins"], directory: string): void {
  for (const plugin of plugins) if ("as" in plugin) symlinkSync(plugin.library, join(directory, plugin.as));
}

export async function startRig(options: RigOptions): Promise<Rig> {
  const config = rigConfig(options);
  const prepare = (directory: string): void => {
    placeLibraries(options.plugins, directory);
    options.prepare?.(directory);
  };
  const pooler = await startPooler({ config, prepare });
  const open = new Set<WireClient>();
  const connect = async (parameters: Readonly<Record<string, string>>): Promise<WireClient> => {
    const client = await connectWire({ port: pooler.port });
    open.add(client);
    await client.login(parameters);
    return client;
  };
  return {
    pooler,
    config,
    client: (parameters = {}) => connect({ user: "app", database: "app", ...parameters }),
    async console(command) {
      const client = await connect({ user: "admin", database: "pooler" });
      const answer = await client.query(command);
      const error = errorIn(answer);
      if (error !== undefined) throw new Error(`${command}: ${error["M"]}`);
      const description = answer.find(({ type }) => type === "T");
      const names = description === undefined ? [] : columnsOf(description).map(({ name }) => name);
      return rowsOf(answer).map((row) => Object.fromEntries(names.map((name, index) => [name, row[index] ?? null])));
    },
    disconnectAll: async () => {
      for (const client of open) client.reset();
      await Promise.all([...open].map(({ closed }) => closed));
      open.clear();
    },
    stop: async () => {
      await pooler.stop();
    },
  };
}

/** A superuser's client past the pooler. */
export async function direct(shard: number, role: "primary" | "replica" = "primary"): Promise<WireClient> {
  const hosts = sharedShards()[shard];
  const url = new URL((role === "primary" ? hosts?.primary : hosts?.replicas[0]) ?? "");
  const client = await connectWire({ port: Number(url.port) });
  await client.login({ user: "postgres", database: "app" });
  return client;
}

/** Run on the primary of every shard, past the pooler. */
export async function onAllShards(sql: string): Promise<void> {
  for (const shard of sharedShards().keys()) {
    const client = await direct(shard);
    const error = errorIn(await client.query(sql));
    client.end();
    if (error !== undefined) throw new Error(`${sql}: ${error["M"]}`);
  }
}

/** An expression whose value says where it ran: see placeOf(). */
export const port = "current_setting('port')";

/** "0 primary", "1 replica": the server that says it has this port. */
export function placeOf(reported: string | null | undefined): string {
  for (const [shard, { primary, replicas }] of sharedShards().entries()) {
    if (new URL(primary).port === reported) return `${shard} primary`;
    if (replicas.some((replica) => new URL(replica).port === reported)) return `${shard} replica`;
  }
  return `nowhere (${reported})`;
}

/** Where the only row of an answer came from, or the error in its place. */
export function placeIn(answer: readonly BackendMessage[]): string {
  const error = errorIn(answer);
  return error === undefined ? placeOf(rowsOf(answer)[0]?.[0]) : `${error["C"]} ${error["M"]}`;
}

/** A conversation in short: "1 2 T D(1) C(SELECT 1) Z(I)". */
export function shortly(answer: readonly BackendMessage[]): string {
  return answer.map(String).join(" ");
}

export type Value = string | Buffer | null;

export interface Execution {
  readonly values?: readonly Value[];
  readonly name?: string;
  readonly types?: readonly number[];
  readonly portal?: string;
  readonly binary?: boolean;
  readonly rows?: number;
  readonly describe?: "statement" | "portal";
}

/** Parse, Bind and Execute, without Sync. */
export function run(text: string, { types = [], ...execution }: Execution = {}): Buffer {
  const { name = "" } = execution;
  return Buffer.concat([messages.parse({ name, text, types: [...types] }), again(execution)]);
}

/** Bind and Execute of a statement that was prepared before, without Sync. */
export function again({ values = [], name = "", portal = "", binary = false, rows = 0, describe }: Execution = {}): Buffer {
  return Buffer.concat([
    ...(describe === "statement" ? [messages.describe({ type: "S", name })] : []),
    messages.bind({ statement: name, portal, values: [...values], binary }),
    ...(describe === "portal" ? [messages.describe({ type: "P", name: portal })] : []),
    messages.execute({ portal, rows }),
  ]);
}

export const sync = messages.sync();
export const flush = messages.flush();

/** The messages in one write, with Sync behind them, and everything up to ReadyForQuery. */
export function batch(client: WireClient, ...parts: readonly Uint8Array[]): Promise<BackendMessage[]> {
  client.send(...parts, sync);
  return client.until("Z");
}

/** Prepare without executing. */
export function prepare(client: WireClient, name: string, text: string, types: readonly number[] = []): Promise<BackendMessage[]> {
  return batch(client, messages.parse({ name, text, types: [...types] }));
}

export const int4 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

export const int8 = (value: bigint | number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
};
