// A configuration in a few lines that a person reads before starting it. Shows no secret.
import { describeHost, type HostConfig, type PluginDescription, type PoolerConfig } from "@pooler/core";

export interface CheckedPlugin {
  readonly name: string;
  /** null: it could not be loaded. */
  readonly description: PluginDescription | null;
}

export function describeConfig(config: PoolerConfig, plugins: readonly CheckedPlugin[]): string {
  return [
    ...row("listen", [listenText(config)]),
    ...row("workers", [`${config.workers}, io ${config.io}`]),
    ...row("metrics", [config.metrics === null ? "off" : `http://${address(config.metrics)}/metrics`]),
    ...row("databases", config.databases.flatMap(databaseLines)),
    ...row("users", userLines(config)),
    ...row("plugins", pluginLines(config, plugins)),
  ].join("\n");
}

/** The first line stands beside the title, the others below it. */
function row(title: string, lines: readonly string[]): string[] {
  return (lines.length === 0 ? ["none"] : lines).map((line, index) => `${(index === 0 ? title : "").padEnd(11)}${line}`);
}

function listenText({ listen }: PoolerConfig): string {
  const where = listen.host.startsWith("/") ? `${listen.host}/.s.PGSQL.${listen.port}` : address(listen);
  return `${where}, auth ${listen.auth}, TLS ${listen.tls.mode}`;
}

const address = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  `${host.includes(":") ? `[${host}]` : host}:${port}`;

function databaseLines(database: PoolerConfig["databases"][number]): string[] {
  const { shards } = database;
  const count = shards.length === 1 ? "1 shard" : `${shards.length} shards`;
  return [
    `${database.name}: ${count}, ${database.poolMode} pooling, ${database.poolSize} server connections per user and server`,
    ...shards.map(({ primary, replicas }, index) => {
      const replicaText = replicas.length === 0 ? "" : `, replica ${replicas.map(hostText).join(", replica ")}`;
      return `  ${shards.length === 1 ? "" : `shard ${index}: `}primary ${hostText(primary)}${replicaText}`;
    }),
  ];
}

export function hostText(host: HostConfig): string {
  return `${describeHost(host)}${host.tls.mode === "disable" ? "" : ` (TLS ${host.tls.mode})`}`;
}

function userLines({ users }: PoolerConfig): string[] {
  const names = users.map(({ name, console }) => (console === "none" ? name : `${name} (console: ${console})`));
  return names.length === 0 ? [] : [names.join(", ")];
}

function pluginLines({ plugins }: PoolerConfig, checked: readonly CheckedPlugin[]): string[] {
  return plugins.flatMap(({ name, library }, index) => {
    const description = checked[index]?.description ?? null;
    if (description === null) return [`${index + 1}. ${name}`, `   ${library}`];
    const { pluginName, version, abi, sdk, hooks, capabilities } = description;
    const own = pluginName === name || version === "" ? version : `${pluginName} ${version}`;
    const can = capabilities.length === 0 ? "" : `, ${capabilities.join(", ")}`;
    return [`${index + 1}. ${name}: ${own}, ABI ${abi}${sdk === "" ? "" : `, ${sdk}`}`, `   ${hooks.join(", ")}${can}`, `   ${library}`];
  });
}
