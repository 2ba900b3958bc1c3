// What everything is measured on: one PostgreSQL with pgbench's tables, set so that it is not what limits.
import { type Cluster, createRunDirectory, findServerUser, query, startCluster } from "@pooler/embedded-cluster";
import { createCertificate } from "./certificate.js";
import type { Interruption } from "./interruption.js";
import type { Grounds } from "./peers/peer.js";
import { initializeTables, type Pgbench } from "./pgbench.js";

const database = "bench";
const plainAccount = "bench";
const scramAccount = { name: "bench_scram", password: "bench" };

/** Clients that connect directly, and the growth over 1,000 databases, each with a connection of its own. */
export const maxServerConnections = 1_300;

const serverSettings = {
  max_connections: String(maxServerConnections),
  shared_buffers: "512MB",
  synchronous_commit: "off",
  wal_level: "minimal",
  max_wal_senders: "0",
  wal_keep_size: "0",
  max_wal_size: "8GB",
  checkpoint_timeout: "1h",
  // Would come at times of its own, to one peer and not to the other.
  autovacuum: "off",
  jit: "off",
  max_parallel_workers_per_gather: "0",
  log_min_messages: "error",
};

export interface PreparedGrounds {
  readonly grounds: Grounds;
  readonly cluster: Cluster;
  readonly serverVersion: string;
}

export interface GroundsOptions {
  readonly pgbench: Pgbench;
  readonly scale: number;
  readonly needsTls: boolean;
  readonly interruption: Interruption;
  /** Called with each thing that has to be undone at the end, the last one first. */
  onStarted(release: () => Promise<void>): void;
  say(message: string): void;
}

export async function prepareGrounds(options: GroundsOptions): Promise<PreparedGrounds> {
  const { pgbench, scale, needsTls, interruption, onStarted, say } = options;
  const runDirectory = await createRunDirectory();
  onStarted(() => runDirectory.remove());
  const certificate = needsTls ? createCertificate(runDirectory.path) : undefined;
  say("• starting PostgreSQL");
  const cluster = await startCluster({
    database,
    settings: serverSettings,
    hba: [`host all ${scramAccount.name} 127.0.0.1/32 scram-sha-256`],
    ...(certificate === undefined ? {} : { tls: certificate }),
    onProgress: (message) => say(`  ${message}`),
  });
  onStarted(() => cluster.stop());
  interruption.check();
  const [shard] = cluster.shards;
  if (shard === undefined) throw new TypeError("a cluster without shards");
  const { port, url } = shard.primary;
  await query(url, `CREATE ROLE ${plainAccount} LOGIN SUPERUSER`);
  await query(url, `CREATE ROLE ${scramAccount.name} LOGIN SUPERUSER PASSWORD '${scramAccount.password}'`);
  const [secret] = await query(url, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", [scramAccount.name]);
  const [about] = await query(url, "SHOW server_version");
  say(`• filling pgbench's tables, scale ${scale}`);
  await initializeTables(pgbench, { port, user: plainAccount, database, tls: false }, scale, interruption.signal);
  await query(url, "CHECKPOINT");
  return {
    cluster,
    serverVersion: String(about?.["server_version"]).split(" ")[0] ?? "unknown",
    grounds: {
      runDirectory,
      certificate,
      server: { port, database },
      accounts: { plain: plainAccount, scram: { ...scramAccount, verifier: String(secret?.["rolpassword"]) } },
      unprivileged: findServerUser().spawnOptions,
    },
  };
}
