// Loads a plugin as a worker would, only to see whether it works. For a process of its own: a bad library may crash it,
// and a library is never unloaded.
import type { PluginConfig } from "./config/types.js";
import type { PluginDescription } from "./plugins/chain-plugin.js";
import { openCrashPage } from "./plugins/crash-page.js";
import { loadPlugin } from "./plugins/loader.js";
import { importScripts } from "./plugins/loader-scripts.js";

/** Creates the plugin with its settings, destroys it, and tells what it says of itself. Rejects with PLUGIN_UNUSABLE. */
export async function tryPlugin(plugin: PluginConfig): Promise<PluginDescription> {
  // Loaded here: the command that starts the pooler has no use for it.
  const { parse } = await import("libpg-query");
  // libpg_query gives its version as PostgreSQL does: 180004 is 18.4.
  const { version = 0 } = await parse("SELECT 1");
  const crashPage = openCrashPage(null);
  const loadScript = await importScripts([plugin], crashPage);
  const loaded = loadPlugin(plugin, 0, { grammar: Math.floor(version / 10_000), worker: 0, crashPage, loadScript });
  loaded.destroy();
  return loaded.description;
}
