// What SHOW CONFIG answers: every setting with its value and default. Secrets and certificates are only said to be there.
import type { SchemaNode } from "./allowed.js";
import type { PoolerConfig } from "./types.js";
import { formatDurationMs, formatSizeBytes } from "./units.js";
import { describeSchema } from "./validate.js";

export interface ConfigRow {
  /** `limits.max_clients`, as in the file. */
  readonly key: string;
  readonly value: string;
  /** "" when there is none. */
  readonly default: string;
  /** A reload changes it. */
  readonly changeable: boolean;
}

/** In the order of the reference; databases and plugins by name. */
export function configRows(config: PoolerConfig): ConfigRow[] {
  const schema = describeSchema();
  const rows: ConfigRow[] = [];
  for (const { key, node } of settingsOf(schema)) {
    rows.push({
      key,
      value: showSetting(key, settingValue(config, key)),
      default: showDefault(node),
      changeable: node.changeable ?? false,
    });
  }
  const database = schema.properties?.["databases"]?.additionalProperties;
  for (const one of config.databases) {
    const values: Readonly<Record<string, string>> = {
      pool_mode: one.poolMode,
      pool_size: String(one.poolSize),
      max_waiting: String(one.maxWaiting),
      on_session_state: one.onSessionState,
      on_unrouted: one.onUnrouted,
    };
    for (const [name, value] of Object.entries(values)) {
      const node = typeof database === "object" ? database.properties?.[name] : undefined;
      rows.push({
        key: `databases.${one.name}.${name}`,
        value,
        default: node === undefined ? "" : showDefault(node),
        changeable: node?.changeable ?? false,
      });
    }
  }
  for (const [index, plugin] of config.plugins.entries()) {
    rows.push({ key: `plugins[${index}].name`, value: plugin.name, default: "", changeable: true });
    rows.push({ key: `plugins[${index}].on_error`, value: plugin.onError, default: "fail", changeable: true });
    rows.push({ key: `plugins[${index}].on_crash`, value: plugin.crash?.action ?? "restart", default: "restart", changeable: true });
    const { maxConcurrent, deadlineMs } = plugin.blocking ?? {};
    if (maxConcurrent !== undefined)
      rows.push({ key: `plugins[${index}].max_concurrent`, value: String(maxConcurrent), default: "4", changeable: true });
    if (deadlineMs !== undefined)
      rows.push({ key: `plugins[${index}].deadline`, value: formatDurationMs(deadlineMs), default: "2s", changeable: true });
  }
  return rows;
}

export interface Setting {
  readonly key: string;
  readonly node: SchemaNode;
}

/** The settings that stand in fixed tables, in the order of the schema. */
export function settingsOf(schema: SchemaNode, prefix = ""): Setting[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, node]) => {
    if (node.changeable !== undefined) return [{ key: prefix + name, node }];
    return settingsOf(node, `${prefix}${name}.`);
  });
}

/** From the file's name of a setting to its value: timeouts.query_wait is timeouts.queryWaitMs. */
export function settingValue(config: PoolerConfig, key: string): unknown {
  let value: unknown = config;
  for (const part of key.split(".")) {
    if (typeof value !== "object" || value === null) return null;
    const table = value as Readonly<Record<string, unknown>>;
    const name = part.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    value = table[name] ?? table[`${name}Ms`] ?? null;
  }
  return value;
}

function showSetting(key: string, value: unknown): string {
  if (value === null || value === undefined) return "";
  if (key.startsWith("timeouts.")) return formatDurationMs(Number(value));
  if (key.endsWith("_bytes")) return formatSizeBytes(Number(value));
  if (key.startsWith("listen.tls.") && key !== "listen.tls.mode") return "[set]";
  return String(value);
}

function showDefault(node: SchemaNode): string {
  if (node.default !== undefined) return String(node.default);
  return node.defaultText ?? "";
}
