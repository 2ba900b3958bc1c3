import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Cluster, type PostgresHost, query, startCluster } from "./index.js";
import { packageRoot } from "./installation.js";
import { childrenOf, isAlive } from "./process-tree.js";

async function until(isDone: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await isDone())) {
    expect(Date.now()).toBeLessThan(deadline);
    await delay(20);
  }
}

function hosts(cluster: Cluster): PostgresHost[] {
  return cluster.shards.flatMap((shard) => [shard.primary, ...shard.replicas]);
}

describe("a cluster of two shards with a replica each", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startCluster({
      shards: 2,
      replicas: 1,
      database: "app",
      settings: { work_mem: "7MB" },
      hba: ["host all guarded 127.0.0.1/32 scram-sha-256"],
    });
  });

  afterAll(async () => {
    await cluster.stop();
  });

  test("has four servers on ports of their own, and only replicas are in recovery", async () => {
    expect(new Set(hosts(cluster).map((host) => host.port)).size).toBe(4);
    for (const shard of cluster.shards) {
      expect(await query(shard.primary.url, "SELECT pg_is_in_recovery() AS standby")).toEqual([{ standby: false }]);
      expect(await query(shard.replicas[0]?.url ?? "", "SELECT pg_is_in_recovery() AS standby")).toEqual([{ standby: true }]);
    }
  });

  test("streams what a primary writes to its own replica only", async () => {
    const [first, second] = cluster.shards;
    await query(first?.primary.url ?? "", "CREATE TABLE streamed AS SELECT 1 AS a");
    await cluster.replicated();
    expect(await query(first?.replicas[0]?.url ?? "", "SELECT a FROM streamed")).toEqual([{ a: 1 }]);
    expect(await query(second?.replicas[0]?.url ?? "", "SELECT to_regclass('streamed') AS there")).toEqual([{ there: null }]);
  });

  test("takes settings and access rules, and the superuser still gets in", async () => {
    const url = cluster.shards[0]?.primary.url ?? "";
    expect(await query(url, "SHOW work_mem")).toEqual([{ work_mem: "7MB" }]);
    await query(url, "CREATE ROLE guarded LOGIN PASSWORD 'right'");
    const as = (password: string): string => url.replace("postgres@", `guarded:${password}@`);
    await expect(query(as("wrong"), "SELECT 1")).rejects.toMatchObject({ code: "28P01" });
    expect(await query(as("right"), "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });

  test("a killed server loses no committed row and comes back on its port", async () => {
    const server = cluster.shards[1]?.primary;
    if (server === undefined) {
      throw new TypeError("no second shard");
    }
    await query(server.url, "CREATE TABLE kept AS SELECT 1 AS a");
    const pids = [server.pid, ...(await childrenOf(server.pid))];
    expect(pids.length).toBeGreaterThan(3);
    await server.kill();
    expect(pids.filter(isAlive)).toEqual([]);
    await expect(query(server.url, "SELECT 1")).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await server.start();
    expect(await query(server.url, "SELECT a FROM kept")).toEqual([{ a: 1 }]);
  });

  test("a stopped replica catches up when it is started again", async () => {
    const shard = cluster.shards[0];
    const replica = shard?.replicas[0];
    await replica?.stop();
    await query(shard?.primary.url ?? "", "CREATE TABLE missed AS SELECT 1 AS a");
    await replica?.start();
    await cluster.replicated();
    expect(await query(replica?.url ?? "", "SELECT a FROM missed")).toEqual([{ a: 1 }]);
  });
});

test("stop() leaves neither a process nor a file", async () => {
  const cluster = await startCluster({ replicas: 1 });
  const runDirectory = dirname(cluster.shards[0]?.primary.dataDirectory ?? "");
  const postmasters = hosts(cluster).map((host) => host.pid);
  const pids = [...postmasters, ...(await Promise.all(postmasters.map(childrenOf))).flat()];
  expect(postmasters.every(isAlive)).toBe(true);
  await cluster.stop();
  expect(existsSync(runDirectory)).toBe(false);
  expect(pids.filter(isAlive)).toEqual([]);
});

// Another process has to start it here, from the built package, since this one must survive.
test.each(["SIGKILL", "SIGINT", "SIGTERM"] as const)(
  "%s for the process that started a cluster ends the servers and deletes the files",
  async (name) => {
    const script = `
    const { startCluster } = await import(${JSON.stringify(join(packageRoot, "dist", "index.js"))});
    const cluster = await startCluster();
    const { pid, dataDirectory } = cluster.shards[0].primary;
    console.log(JSON.stringify({ pid, dataDirectory }));`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const line = await new Promise<string>((resolve, reject) => {
      parent.stdout.once("data", (chunk: Buffer) => resolve(chunk.toString()));
      parent.once("exit", () => reject(new TypeError("ended before the cluster was up")));
    });
    const { pid, dataDirectory } = JSON.parse(line) as { pid: number; dataDirectory: string };
    expect(isAlive(pid)).toBe(true);
    parent.kill(name);
    await until(() => !isAlive(pid) && !existsSync(dirname(dataDirectory)));
  },
);

test("a server with a certificate speaks TLS", async () => {
  const directory = mkdtempSync(join(tmpdir(), "certificate-"));
  const key = join(directory, "key.pem");
  const certificate = join(directory, "certificate.pem");
  const subject = ["-subj", "/CN=localhost", "-days", "2", "-keyout", key, "-out", certificate];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", ...subject], {
    stdio: "ignore",
  });
  const cluster = await startCluster({
    tls: { certificate: readFileSync(certificate, "utf8"), privateKey: readFileSync(key, "utf8") },
  });
  try {
    const url = `${cluster.shards[0]?.primary.url}?sslmode=no-verify`;
    expect(await query(url, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).toEqual([{ ssl: true }]);
  } finally {
    await cluster.stop();
    rmSync(directory, { recursive: true });
  }
});

test("an unknown version is refused with those that exist", async () => {
  await expect(startCluster({ version: "9" })).rejects.toThrow('There is no PostgreSQL "9" to start. Versions: 13, 14, 15, 16, 17, 18.');
});

test("a setting the server refuses is reported with the server's own words, and nothing stays", async () => {
  await expect(startCluster({ settings: { work_mem: "plenty" } })).rejects.toThrow('invalid value for parameter "work_mem": "plenty"');
});
