// One plugin in this process, asked as the pooler's router would: its configuration is checked, its library loaded, its answers
// read as strictly.
import { createConfig } from "@pooler/core";
import { createPluginBench, resolvePlugin } from "@pooler/core/plugin-tools";
import { findPackage } from "./plugin-package.js";
import { type Question, type Verdict, verdictOf } from "./verdict.js";

export interface LoadOptions {
  /** [plugins.config]. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The folder of the plugin's package; the one around the working directory by default. */
  readonly folder?: string;
  /** A library in place of the package's own. */
  readonly library?: string;
  /** Of the cluster that it is shown; 1 by default. */
  readonly shards?: number;
  /** Of each shard; 0 by default. */
  readonly replicas?: number;
}

export interface TestedPlugin {
  /** What it answers; throws when it fails. */
  route(question: string | Question): Verdict;
  /** The same of a plugin that may wait, on a thread: what it waits for may be in this process. Rejects when it fails. */
  routeLater(question: string | Question): Promise<Verdict>;
  close(): void;
}

/** Rejects with what `pooler start` would say. */
export async function loadPlugin(options: LoadOptions = {}): Promise<TestedPlugin> {
  const { config = {}, shards = 1, replicas = 0 } = options;
  const { folder, name } = options.library === undefined ? findPackage(options.folder) : { folder: process.cwd(), name: options.library };
  const url = (shard: number, host: number): string => `postgres://db${shard}-${host}:5432/app`;
  const database = {
    shards: Array.from({ length: shards }, (_, shard) => ({
      primary: url(shard, 0),
      replicas: Array.from({ length: replicas }, (__, replica) => url(shard, replica + 1)),
    })),
  };
  const pooler = createConfig(
    { databases: { app: database }, users: { app: { password: "app" } }, plugins: [{ name, config }] },
    { resolvePlugin: (plugin) => resolvePlugin(plugin, folder), onWarning: () => {} },
  );
  const bench = await createPluginBench(pooler);
  return {
    route(given) {
      const question = typeof given === "string" ? { sql: given } : given;
      return verdictOf(bench.ask(question), question);
    },
    async routeLater(given) {
      const question = typeof given === "string" ? { sql: given } : given;
      return verdictOf(await bench.askLater(question), question);
    },
    close: () => bench.close(),
  };
}
