// A cluster: shards, each a primary with its streaming replicas, that lives no longer than the process that started it.
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ClusterError } from "./cluster-error.js";
import { createDataDirectory, findTemplate, superuser } from "./data-directory.js";
import { findInstallation, readableInstallation } from "./installation.js";
import { startServer } from "./postgres-server.js";
import { query } from "./query.js";
import { createRunDirectory } from "./run-directory.js";
import { findServerUser } from "./server-user.js";
import type { Cluster, ClusterOptions, PostgresHost, Shard } from "./types.js";
import { defaultVersion } from "./versions.js";

const streamingLimitMs = 30_000;

// A machine that crashes may lose data, a server that is killed may not: tests count rows after killing servers.
const throwawaySettings = { fsync: "off", full_page_writes: "off" };

const baseSettings = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "200",
  shared_buffers: "32MB",
  // Enough for a replica that was stopped for a while to catch up without an archive.
  wal_keep_size: "256MB",
  wal_retrieve_retry_interval: "100ms",
  log_min_messages: "warning",
  log_line_prefix: "%m [%p] %q%u@%d ",
};

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const onProgress = options.onProgress ?? (() => {});
  const database = options.database ?? "postgres";
  const shardCount = options.shards ?? 1;
  const replicaCount = options.replicas ?? 0;
  const user = findServerUser();
  const found = await findInstallation(options.version ?? defaultVersion, onProgress);
  const runDirectory = await createRunDirectory(user);
  const servers: PostgresHost[] = [];

  async function stop(): Promise<void> {
    await Promise.all(servers.map((server) => server.stop("immediate")));
    await runDirectory.remove();
  }

  try {
    const installation = await readableInstallation(found, user, runDirectory.path);
    onProgress(`preparing PostgreSQL ${installation.version.replace(/^(\d+\.\d+).*/, "$1")}`);
    const template = await findTemplate(installation, user, runDirectory.path);
    const settings = {
      ...baseSettings,
      ...(options.durable === true ? {} : throwawaySettings),
      ...(installation.major >= 18 ? { io_method: "sync" } : {}),
      ...options.settings,
    };

    const start = async (name: string, primaryPort?: number): Promise<PostgresHost> => {
      const dataDirectory = join(runDirectory.path, name);
      await createDataDirectory(template, dataDirectory, user, {
        name,
        settings,
        hba: options.hba ?? [],
        ...(options.tls === undefined ? {} : { tls: options.tls }),
        ...(primaryPort === undefined ? {} : { primaryPort }),
      });
      const server = await startServer({ name, installation, user, runDirectory, dataDirectory, superuser, database });
      servers.push(server);
      return server;
    };

    const startShard = async (index: number): Promise<Shard> => {
      const primary = await start(`shard${index}_primary`);
      onProgress(`shard ${index}: primary on port ${primary.port}`);
      const replicas = await inOrder(replicaCount, async (replica) => {
        const server = await start(`shard${index}_replica${replica}`, primary.port);
        onProgress(`shard ${index}: replica on port ${server.port}`);
        return server;
      });
      await untilStreaming(primary, replicaCount);
      if (database !== "postgres") {
        await query(adminUrl(primary), `CREATE DATABASE "${database.replaceAll('"', '""')}"`);
        await untilReplayed({ primary, replicas });
      }
      return { primary, replicas };
    };

    // All of them settle before one failure is acted on, so that stop() knows every server that was started.
    const outcomes = await Promise.allSettled(Array.from({ length: shardCount }, (_, index) => startShard(index)));
    const shards = outcomes.map((outcome) => {
      if (outcome.status === "rejected") {
        throw outcome.reason;
      }
      return outcome.value;
    });
    return {
      shards,
      user: superuser,
      database,
      async replicated() {
        await Promise.all(shards.map(untilReplayed));
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function inOrder<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  for (let index = 0; index < count; index++) {
    made.push(await make(index));
  }
  return made;
}

function adminUrl(server: PostgresHost): string {
  return `postgres://${superuser}@${server.host}:${server.port}/postgres`;
}

async function untilStreaming(primary: PostgresHost, count: number): Promise<void> {
  await until(`${count} replicas to stream from port ${primary.port}`, async () => {
    const [row] = await query(adminUrl(primary), "SELECT count(*)::int AS streaming FROM pg_stat_replication WHERE state = 'streaming'");
    return row?.["streaming"] === count;
  });
}

async function untilReplayed({ primary, replicas }: Shard): Promise<void> {
  const [row] = await query(adminUrl(primary), "SELECT pg_current_wal_lsn()::text AS lsn");
  await Promise.all(
    replicas.map((replica) =>
      until(`the replica on port ${replica.port} to catch up`, async () => {
        const [state] = await query(adminUrl(replica), "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS caught_up", [row?.["lsn"]]);
        return state?.["caught_up"] === true;
      }),
    ),
  );
}

async function until(what: string, isDone: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + streamingLimitMs;
  while (!(await isDone())) {
    if (Date.now() > deadline) {
      throw new ClusterError(`Waited ${streamingLimitMs} ms for ${what}.`);
    }
    await delay(20);
  }
}
