// SHOW PLUGINS: the chain in its order, what each plugin is, and what it did. Times are microseconds.
import type { PluginConfig } from "../config/types.js";
import { onThreads } from "../metrics/pooler-view.js";
import { sideHookNames } from "../plugins/chain-plugin.js";
import type { PluginStats } from "../supervisor/ipc.js";
import type { HookHealth, PluginHealth } from "../supervisor/plugin-ward.js";
import { float8, formatTime, int4, int8, showCommand, text } from "./console-command.js";

interface Row {
  readonly position: number;
  readonly plugin: PluginConfig;
  /** null: no worker has loaded it yet. */
  readonly stats: PluginStats | null;
  readonly health: PluginHealth | undefined;
  readonly onThreads: PluginStats["onThreads"];
}

const sum = (health: PluginHealth | undefined, count: (hook: HookHealth) => number): number =>
  [...(health?.hooks.values() ?? [])].reduce((total, hook) => total + count(hook), 0);

export const showPlugins = showCommand<Row>({
  name: "SHOW PLUGINS",
  summary: "The plugin chain in its order: versions, calls, verdicts, errors, time in microseconds.",
  rows: (view) =>
    view.config.plugins.map((plugin, index) => ({
      position: index + 1,
      plugin,
      stats: view.counters.pluginOf(index, plugin.name),
      health: view.pluginHealth[index],
      onThreads: onThreads(view, index, plugin.name),
    })),
  columns: [
    int4("position", ({ position }) => position),
    text("name", ({ plugin }) => plugin.name),
    text("plugin", ({ stats }) => stats?.pluginName ?? null),
    text("version", ({ plugin, stats }) => stats?.version ?? plugin.packageVersion),
    text("abi", ({ stats }) => stats?.abi ?? null),
    text("sdk", ({ stats }) => stats?.sdk ?? null),
    text("library", ({ plugin }) => plugin.library),
    text("hooks", ({ stats }) => stats?.hooks.join(",") ?? null),
    text("capabilities", ({ stats }) => stats?.capabilities.join(",") ?? null),
    text("on_error", ({ plugin }) => plugin.onError),
    int8("calls", ({ stats }) => stats?.calls ?? 0),
    int8("errors", ({ stats }) => stats?.errors ?? 0),
    int8("verdict_skip", ({ stats }) => stats?.verdicts[0] ?? 0),
    int8("verdict_forward", ({ stats }) => stats?.verdicts[1] ?? 0),
    int8("verdict_error", ({ stats }) => stats?.verdicts[2] ?? 0),
    int8("verdict_rewrite", ({ stats }) => stats?.verdicts[3] ?? 0),
    int8("verdict_intercept", ({ stats }) => stats?.verdicts[4] ?? 0),
    int8("total_time", ({ stats }) => Math.round(stats?.timeUs ?? 0)),
    float8("avg_time", ({ stats }) => (stats === null || stats.calls === 0 ? 0 : stats.timeUs / stats.calls)),
    ...sideHookNames.flatMap((hook) => [
      int8<Row>(`calls_${hook}`, ({ stats }) => stats?.hookCalls[hook].calls ?? 0),
      int8<Row>(`errors_${hook}`, ({ stats }) => stats?.hookCalls[hook].errors ?? 0),
      int8<Row>(`time_${hook}`, ({ stats }) => stats?.hookCalls[hook].timeUs ?? 0),
    ]),
    int8("running", ({ onThreads: { running } }) => running),
    int8("stuck", ({ onThreads: { stuck } }) => stuck),
    int8("timeouts", ({ stats }) => stats?.timeouts ?? 0),
    int8("overloads", ({ stats }) => stats?.overloads ?? 0),
    text("state", ({ health }) => health?.state ?? "active"),
    text("on_crash", ({ plugin }) => plugin.crash?.action ?? "restart"),
    int8("crashes", ({ health }) => sum(health, ({ crashes }) => crashes)),
    int8("hangs", ({ health }) => sum(health, ({ hangs }) => hangs)),
    text("last_crash", ({ health }) => (health?.last == null ? null : formatTime(health.last.atMs))),
    text("last_crash_hook", ({ health }) => health?.last?.hook ?? null),
    int4("last_crash_worker", ({ health }) => health?.last?.worker ?? null),
  ],
});
