// `pooler check`: reads the configuration, loads each plugin in a process of its own, reaches for the servers when asked,
// and says everything that is wrong. Starts nothing that stays.
import { type HostConfig, hostsOf, type PoolerConfig, PoolerError } from "@pooler/core";
import { reportError, type Terminal } from "../terminal.js";
import { checkPlugin, type PluginVerdict } from "./check-plugin.js";
import { describeConfig, hostText } from "./describe-config.js";
import { reachServer } from "./reach-server.js";

export interface CheckOptions {
  readonly file: string;
  readonly connect: boolean;
  readonly terminal: Terminal;
  readonly load: (onWarning: (warning: string) => void) => PoolerConfig;
  /** In a process of its own by default. */
  readonly checkPlugin?: (plugin: PoolerConfig["plugins"][number]) => Promise<PluginVerdict>;
}

/** Resolves with the exit code: 0, or 1 when something is wrong. */
export async function check(options: CheckOptions): Promise<number> {
  const { terminal, file } = options;
  const warnings: string[] = [];
  let config: PoolerConfig;
  try {
    config = options.load((warning) => warnings.push(warning));
  } catch (error) {
    if (!(error instanceof PoolerError)) throw error;
    sayWarnings(terminal, warnings);
    reportError(terminal, error);
    return 1;
  }

  // One after the other: what they print on standard error stays readable.
  const verdicts: PluginVerdict[] = [];
  for (const plugin of config.plugins) verdicts.push(await (options.checkPlugin ?? checkPlugin)(plugin));
  const plugins = config.plugins.map(({ name }, index) => {
    const verdict = verdicts[index];
    return { name, description: verdict?.ok === true ? verdict.description : null };
  });

  terminal.out(describeConfig(config, plugins));
  sayWarnings(terminal, warnings);
  const pluginErrors = verdicts.filter((verdict) => !verdict.ok);
  for (const { message, hint } of pluginErrors)
    reportError(terminal, new PoolerError("PLUGIN_UNUSABLE", message, hint === null ? {} : { hint }));
  const serverErrors = options.connect ? await reachServers(config, terminal) : 0;

  const errors = pluginErrors.length + serverErrors;
  if (errors === 0) terminal.out(`\n${file} is fine.`);
  else terminal.err(`\n${file}: ${errors === 1 ? "1 error" : `${errors} errors`}.`);
  return errors === 0 ? 0 : 1;
}

function sayWarnings(terminal: Terminal, warnings: readonly string[]): void {
  for (const warning of warnings) terminal.err(`warning: ${warning}`);
}

/** Each server once, all at the same time; answers with how many are out of reach. */
async function reachServers(config: PoolerConfig, terminal: Terminal): Promise<number> {
  const servers = new Map<string, HostConfig>();
  for (const host of config.databases.flatMap(({ shards }) => hostsOf(shards))) {
    servers.set(JSON.stringify([host.host, host.port, host.tls]), host);
  }
  const results = await Promise.all(
    [...servers.values()].map(async (host) => ({ host, problem: await reachServer(host, config.timeouts.serverConnectMs) })),
  );
  terminal.out("");
  for (const { host, problem } of results) {
    if (problem === null) terminal.out(`reached ${hostText(host)}`);
    else terminal.err(`error: cannot reach ${hostText(host)}: ${problem}`);
  }
  return results.filter(({ problem }) => problem !== null).length;
}
