// What differs between two configurations, and what of it a running pooler can take over.
import { isDeepStrictEqual } from "node:util";
import { settingsOf, settingValue } from "./config-rows.js";
import type { PoolerConfig } from "./types.js";
import { describeSchema } from "./validate.js";

/** Keys of the file whose values differ, e.g. "limits.max_clients", "databases.app", "users.app", "plugins". */
export function changedKeys(before: PoolerConfig, after: PoolerConfig): string[] {
  const keys = settingsOf(describeSchema())
    .map(({ key }) => key)
    .filter((key) => !isDeepStrictEqual(settingValue(before, key), settingValue(after, key)));
  return [
    ...keys,
    ...changedNames("databases", before.databases, after.databases),
    ...changedNames("users", before.users, after.users),
    ...changedPlugins(before, after),
  ];
}

/** The settings that are read once, when the pooler starts. */
export function needsRestart(key: string): boolean {
  return restartCheck()(key);
}

function restartCheck(): (key: string) => boolean {
  const readOnce = new Set(
    settingsOf(describeSchema())
      .filter(({ node }) => node.changeable !== true)
      .map(({ key }) => key),
  );
  return (key) => readOnce.has(key);
}

export interface ReloadPlan {
  /** What a running pooler goes on with: the new file, but with the old values where a restart is needed, and the chain as it runs. */
  readonly config: PoolerConfig;
  /** The chain that new workers are to have; null: it is the one that runs. */
  readonly chain: PoolerConfig["plugins"] | null;
  /** Changed, and taken over. */
  readonly applied: readonly string[];
  /** Changed, and ignored until the next start. */
  readonly needRestart: readonly string[];
}

/** `takesReload`: the plugin at this place of the chain takes another configuration while it runs. */
export function planReload(
  running: PoolerConfig,
  loaded: PoolerConfig,
  takesReload: (position: number) => boolean = () => false,
): ReloadPlan {
  const changed = changedKeys(running, loaded);
  const readOnce = restartCheck();
  const isTakenInPlace = (key: string): boolean => {
    const [, position, name] = /^plugins\[(\d+)\]\.(.*)$/.exec(key) ?? [];
    return name === "on_crash" || (name === "config" && takesReload(Number(position)));
  };
  const isChainChanged = changed.some((key) => key.startsWith("plugins") && !isTakenInPlace(key));
  // A worker that was started as the only one, for ever, has nothing to share with one that takes its place.
  const mayReplace = running.workers > 1 || running.plugins.length > 0;
  const isReadOnce = (key: string): boolean => readOnce(key) || (key.startsWith("plugins") && !isTakenInPlace(key) && !mayReplace);
  return {
    config: Object.freeze({
      ...loaded,
      listen: running.listen,
      workers: running.workers,
      io: running.io,
      log: Object.freeze({ level: loaded.log.level, format: running.log.format }),
      metrics: running.metrics,
      plugins: isChainChanged ? running.plugins : loaded.plugins,
    }),
    chain: isChainChanged && mayReplace ? loaded.plugins : null,
    applied: changed.filter((key) => !isReadOnce(key)),
    needRestart: changed.filter(isReadOnce),
  };
}

interface Named {
  readonly name: string;
}

function changedNames(section: string, before: readonly Named[], after: readonly Named[]): string[] {
  const names = new Set([...before, ...after].map(({ name }) => name));
  const find = (list: readonly Named[], name: string): Named | undefined => list.find((one) => one.name === name);
  return [...names].filter((name) => !isDeepStrictEqual(find(before, name), find(after, name))).map((name) => `${section}.${name}`);
}

/** Order, number or libraries: the chain itself; else the entries that differ. */
function changedPlugins(before: PoolerConfig, after: PoolerConfig): string[] {
  const chain = ({ plugins }: PoolerConfig) => plugins.map(({ name, library, packageVersion }) => [name, library, packageVersion]);
  if (!isDeepStrictEqual(chain(before), chain(after))) return ["plugins"];
  return before.plugins.flatMap((plugin, index) => {
    const other = after.plugins[index];
    const keys: string[] = [];
    if (plugin.libraryStamp !== other?.libraryStamp) keys.push(`plugins[${index}].library`);
    if (plugin.onError !== other?.onError) keys.push(`plugins[${index}].on_error`);
    if (!isDeepStrictEqual(plugin.crash, other?.crash)) keys.push(`plugins[${index}].on_crash`);
    if (plugin.blocking?.maxConcurrent !== other?.blocking?.maxConcurrent) keys.push(`plugins[${index}].max_concurrent`);
    if (plugin.blocking?.deadlineMs !== other?.blocking?.deadlineMs) keys.push(`plugins[${index}].deadline`);
    if (!isDeepStrictEqual(plugin.config, other?.config)) keys.push(`plugins[${index}].config`);
    return keys;
  });
}
