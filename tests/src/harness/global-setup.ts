// Starts the cluster that all integration tests share, and stops it when they are through.
import { startCluster } from "@pooler/embedded-cluster";
import type { TestProject } from "vitest/node";
import type {} from "./shared-cluster.js";

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const version = process.env["POOLER_TEST_PG_VERSION"];
  const cluster = await startCluster({ shards: 2, replicas: 1, database: "app", ...(version === undefined ? {} : { version }) });
  project.provide(
    "shards",
    cluster.shards.map(({ primary, replicas }) => ({ primary: primary.url, replicas: replicas.map((replica) => replica.url) })),
  );
  return () => cluster.stop();
}
