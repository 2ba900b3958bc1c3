// Which plugins are JavaScript, and the way to what runs them: it is loaded only where there is one.
import type { PluginConfig } from "../config/types.js";
import type { LoadedPlugin } from "./chain-plugin.js";
import { type CrashPage, crashHooks } from "./crash-page.js";
import type { Definition, ScriptOptions } from "./script-module.js";

/** Makes the state of a plugin whose module was imported. Throws PLUGIN_UNUSABLE. */
export type LoadScript = (config: PluginConfig, options: ScriptOptions) => LoadedPlugin;

export function isScript(library: string): boolean {
  return /\.(?:js|mjs|cjs)$/.test(library);
}

/**
 * Importing takes its time, and creating does not: the modules come first. Null: there are none. `without`: positions of plugins that are
 * out of service. Rejects with PLUGIN_UNUSABLE.
 */
export async function importScripts(
  configs: readonly PluginConfig[],
  page: CrashPage,
  without: ReadonlySet<number> = new Set(),
): Promise<LoadScript | null> {
  if (!configs.some(({ library }) => isScript(library))) return null;
  const { importScript, loadScript } = await import("./script-module.js");
  const definitions = new Map<string, Definition>();
  for (const [position, config] of configs.entries()) {
    if (!isScript(config.library) || without.has(position)) continue;
    page.enter(position, crashHooks.load);
    try {
      definitions.set(config.library, await importScript(config));
    } finally {
      page.leave();
    }
  }
  return (config, options) => loadScript(config, definitions.get(config.library), options);
}
