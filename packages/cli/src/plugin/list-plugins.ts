// `pooler plugin list`: the chain that a configuration makes, each plugin as its library describes itself.
import type { PluginDescription, PoolerConfig } from "@pooler/core";
import { blockingDefaults, currentPlatform } from "@pooler/core/plugin-tools";
import { checkPlugin, type PluginVerdict } from "../check/check-plugin.js";
import { reportError, type Terminal } from "../terminal.js";
import { refusal } from "./refusal.js";

export interface ListOptions {
  readonly config: PoolerConfig;
  readonly json: boolean;
  readonly terminal: Terminal;
}

/** Resolves with the exit code: 1 when a plugin cannot be used. */
export async function listPlugins({ config, json, terminal }: ListOptions): Promise<number> {
  const platform = currentPlatform();
  const verdicts: PluginVerdict[] = [];
  // One after the other: what they print on standard error stays readable.
  for (const plugin of config.plugins) verdicts.push(await checkPlugin(plugin));
  if (json) {
    const rows = config.plugins.map((plugin, index) => {
      const { name, library, source, packageVersion, onError } = plugin;
      const verdict = verdicts[index];
      const known = verdict?.ok === true ? verdict.description : null;
      const problem = verdict?.ok === false ? verdict.message : null;
      return {
        position: index + 1,
        name,
        plugin: known?.pluginName ?? null,
        version: known?.version ?? packageVersion,
        abi: known?.abi ?? null,
        sdk: known?.sdk ?? null,
        platform,
        hooks: known?.hooks ?? [],
        capabilities: known?.capabilities ?? [],
        on_error: onError,
        max_concurrent: known === null ? null : (limitsOf(plugin, known)?.maxConcurrent ?? null),
        deadline_ms: known === null ? null : (limitsOf(plugin, known)?.deadlineMs ?? null),
        source,
        path: library,
        problem,
      };
    });
    terminal.out(JSON.stringify(rows, null, 2));
  } else if (config.plugins.length === 0) {
    terminal.out("There are no [[plugins]] in the configuration.");
  } else {
    terminal.out(config.plugins.map((plugin, index) => lines(plugin, index, verdicts[index], platform).join("\n")).join("\n"));
  }
  const failed = verdicts.filter((verdict) => !verdict.ok);
  if (!json) for (const { message, hint } of failed) reportError(terminal, refusal(message, hint ?? undefined));
  return failed.length === 0 ? 0 : 1;
}

type Entry = PoolerConfig["plugins"][number];
type Limits = Readonly<Record<keyof typeof blockingDefaults, number>>;

/** How a plugin that may wait is called; null: it answers at once. */
function limitsOf({ blocking }: Entry, { capabilities }: PluginDescription): Limits | null {
  return capabilities.includes("blocking") ? { ...blockingDefaults, ...blocking } : null;
}

function lines(plugin: Entry, index: number, verdict: PluginVerdict | undefined, platform: string): string[] {
  const row = (title: string, text: string): string => `   ${title.padEnd(13)}${text}`;
  const head = `${index + 1}. ${plugin.name}`;
  if (verdict?.ok !== true) return [head, row("path", plugin.library), row("", "cannot be used")];
  const { pluginName, version, abi, sdk, hooks, capabilities } = verdict.description;
  const limits = limitsOf(plugin, verdict.description);
  return [
    head,
    row("plugin", [pluginName, version].filter((part) => part !== "").join(" ")),
    row("ABI", `${abi}${sdk === "" ? "" : `, built with ${sdk}`}`),
    row("platform", platform),
    row("hooks", hooks.join(", ")),
    ...(capabilities.length === 0 ? [] : [row("capabilities", capabilities.join(", "))]),
    ...(limits === null ? [] : [row("may wait", `${limits.maxConcurrent} calls at a time, deadline ${limits.deadlineMs} ms`)]),
    ...(plugin.onError === "fail" ? [] : [row("on_error", plugin.onError)]),
    row("path", plugin.library),
  ];
}
