// What npm start runs once everything is built: a sharded cluster, a pooler with the reference plugins in front of it, and a tour.
// Knows the pooler only as its users do: a configuration file, the command, and a PostgreSQL connection.
import { type Cluster, ClusterError, createRunDirectory, startCluster } from "@pooler/embedded-cluster";
import { type DemoConfig, writeDemoConfig } from "./demo-config.js";
import { type Interruption, untilInterrupted } from "./interruption.js";
import { type DemoOptions, parseOptions, UsageError, usage } from "./options.js";
import { type PoolerProcess, startPooler } from "./pooler-process.js";
import { paintFor, readyLine, summary } from "./report.js";
import { seed } from "./seed.js";
import { takeTour } from "./tour.js";

const database = "app";
const role = "app";

/** What was asked for; or the exit code: nothing is to be done, or nobody knows what. */
export function readArguments(args: readonly string[]): DemoOptions | number {
  try {
    const options = parseOptions(args);
    if (!options.help) return options;
    process.stdout.write(usage);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    say(`${error.message}\n\n${usage}`);
    return 2;
  }
}

/** Resolves with the exit code when the demo was stopped, or could not start. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const interruption = untilInterrupted();
  try {
    return await untilStopped(options, interruption);
  } catch (error) {
    if (error instanceof ClusterError) {
      say(`\n${error.message}`);
      return 1;
    }
    throw error;
  } finally {
    interruption.forget();
  }
}

/** Signals that arrive while something starts take effect once it has started, so that nothing is left half begun. */
async function untilStopped(options: DemoOptions, interruption: Interruption): Promise<number> {
  const releases: (() => Promise<void>)[] = [];
  try {
    const demo = await start(options, interruption, releases);
    if (demo !== undefined) {
      await present(demo, options);
      await Promise.race([interruption.promise, demo.pooler.ended]);
      if (!interruption.happened()) {
        say(`\nThe pooler ended by itself:\n${demo.pooler.logTail()}`);
        return 1;
      }
    }
    say("\nstopping …");
    return 0;
  } finally {
    for (const release of releases.reverse()) {
      // One that fails must not keep the others from being tried.
      await release().catch((error: unknown) => say(`while stopping: ${String(error)}`));
    }
  }
}

interface Demo {
  readonly cluster: Cluster;
  readonly config: DemoConfig;
  readonly pooler: PoolerProcess;
}

/** undefined: interrupted on the way. What was started is in `releases`, also when this rejects. */
async function start(options: DemoOptions, interruption: Interruption, releases: (() => Promise<void>)[]): Promise<Demo | undefined> {
  const runDirectory = await createRunDirectory();
  releases.push(() => runDirectory.remove());
  say(`• starting PostgreSQL ${options.pgVersion}: two shards${options.replicas ? ", each a primary and a streaming replica" : ""}`);
  const cluster = await startCluster({
    version: options.pgVersion,
    shards: 2,
    replicas: options.replicas ? 1 : 0,
    database,
    onProgress: (message) => say(`  ${message}`),
  });
  releases.push(() => cluster.stop());
  if (interruption.happened()) {
    return undefined;
  }
  say("• loading users (sharded by id) and plans (whole on every shard)");
  await seed(cluster, role);
  if (interruption.happened()) {
    return undefined;
  }
  const config = await writeDemoConfig({ directory: runDirectory.path, cluster, role, port: options.port });
  say(`• starting the pooler on port ${config.port}${config.port === config.wantedPort ? "" : `, since ${config.wantedPort} is taken`}`);
  const pooler = await startPooler(config, runDirectory);
  releases.push(() => pooler.stop());
  return interruption.happened() ? undefined : { cluster, config, pooler };
}

async function present({ cluster, config }: Demo, options: DemoOptions): Promise<void> {
  if (options.json) {
    // Scripts get the data as they were loaded.
    process.stdout.write(`${readyLine(config, cluster)}\n`);
    return;
  }
  const steps = await takeTour(config.url, cluster);
  say(summary(config, steps, paintFor(process.stderr, process.env)));
}

function say(message: string): void {
  process.stderr.write(`${message}\n`);
}
