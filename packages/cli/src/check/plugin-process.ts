// The process in which `pooler check` loads one plugin: creates it with its settings, destroys it, tells what it said.
import { type PluginConfig, PoolerError, tryPlugin } from "@pooler/core";
import type { PluginVerdict } from "./check-plugin.js";

process.once("message", async (message) => {
  const verdict = await tryOne(message as PluginConfig);
  // A plugin with threads of its own would keep the process alive.
  process.send?.(verdict, () => process.exit());
});

async function tryOne(plugin: PluginConfig): Promise<PluginVerdict> {
  try {
    return { ok: true, description: await tryPlugin(plugin) };
  } catch (cause) {
    if (cause instanceof PoolerError) return { ok: false, message: cause.message, hint: cause.hint ?? null };
    return {
      ok: false,
      message: `plugin "${plugin.name}" cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
      hint: null,
    };
  }
}
