import type { Cluster, PostgresHost } from "@pooler/embedded-cluster";
import { expect, test } from "vitest";
import { demoToml } from "./demo-config.js";

function hostAt(port: number): PostgresHost {
  const nothing = (): Promise<void> => Promise.resolve();
  const url = `postgres://postgres@127.0.0.1:${port}/app`;
  return { host: "127.0.0.1", port, url, pid: 1, dataDirectory: "", logFile: "", stop: nothing, start: nothing, kill: nothing };
}

test("the configuration names every server in shard order, and the plugins in chain order", () => {
  const cluster: Cluster = {
    shards: [
      { primary: hostAt(1001), replicas: [hostAt(1002)] },
      { primary: hostAt(1003), replicas: [] },
    ],
    user: "postgres",
    database: "app",
    replicated: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  };
  const toml = demoToml(cluster, "app", 6432, 9930);
  expect(toml).toContain(`shards = [
  { primary = "postgres://app@127.0.0.1:1001/app", replicas = ["postgres://app@127.0.0.1:1002/app"] },
  { primary = "postgres://app@127.0.0.1:1003/app", replicas = [] },
]`);
  expect([...toml.matchAll(/^name = "@pooler\/plugin-(.*)"$/gm)].map((match) => match[1])).toEqual([
    "validator",
    "read-write-split",
    "hash-sharding",
  ]);
});
