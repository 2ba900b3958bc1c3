// What npm start runs once everything is built: a sharded cluster, a pooler with the reference plugins in front of it, and a tour.
// Knows the pooler only as its users do: a configuration file, the command, and a PostgreSQL connection.
import { ClusterError, createRunDirectory, startCluster } from "@pooler/embedded-cluster";
import { writeDemoConfig } from "./demo-config.js";
import { parseOptions, UsageError, usage } from "./options.js";
import { startPooler } from "./pooler-process.js";
import { readyLine, summary } from "./report.js";
import { seed } from "./seed.js";
import { takeTour } from "./tour.js";

const database = "app";
const role = "app";

/** Resolves with the exit code when the demo was stopped, or could not start. */
export async function runDemo(args: readonly string[]): Promise<number> {
  const interrupted = untilInterrupted();
  try {
    const options = parseOptions(args);
    if (options.help) {
      process.stdout.write(usage);
      return 0;
    }
    // Stops that arrive while something starts take effect once it has started, so that nothing is left half begun.
    const releases: (() => Promise<void>)[] = [];
    try {
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
      say("• loading users (sharded by id) and plans (whole on every shard)");
      await seed(cluster, role);
      say("• starting the pooler");
      const config = await writeDemoConfig({ directory: runDirectory.path, cluster, role, port: options.port });
      const pooler = await startPooler(config, runDirectory);
      releases.push(() => pooler.stop());
      if (!interrupted.happened()) {
        say("• trying it");
        const steps = await takeTour(config.url, cluster);
        say(summary(config, steps));
        if (options.json) {
          process.stdout.write(`${readyLine(config, cluster)}\n`);
        }
        await Promise.race([interrupted.promise, pooler.ended]);
      }
      if (!interrupted.happened()) {
        say(`\nThe pooler ended by itself:\n${pooler.logTail()}`);
        return 1;
      }
      say("\nstopping …");
      return 0;
    } finally {
      for (const release of releases.reverse()) {
        await release();
      }
    }
  } catch (error) {
    if (error instanceof UsageError) {
      say(`${error.message}\n\n${usage}`);
      return 2;
    }
    if (error instanceof ClusterError) {
      say(`\n${error.message}`);
      return 1;
    }
    throw error;
  } finally {
    interrupted.forget();
  }
}

function say(message: string): void {
  process.stderr.write(`${message}\n`);
}

interface Interruption {
  readonly promise: Promise<void>;
  happened(): boolean;
  forget(): void;
}

function untilInterrupted(): Interruption {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  let hasHappened = false;
  let listener = (): void => {};
  const promise = new Promise<void>((resolve) => {
    listener = () => {
      if (hasHappened) {
        // Asked twice: leave now. The reaper still ends the servers and deletes the files.
        process.exit(130);
      }
      hasHappened = true;
      resolve();
    };
  });
  for (const name of signals) {
    process.on(name, listener);
  }
  return {
    promise,
    happened: () => hasHappened,
    forget() {
      for (const name of signals) {
        process.off(name, listener);
      }
    },
  };
}
