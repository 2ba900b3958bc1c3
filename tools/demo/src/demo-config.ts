// The demo's pooler.toml, written as a user would write one.
import { symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Cluster, ClusterError, findFreePort } from "@pooler/embedded-cluster";

const standardPort = 6432;
const standardMetricsPort = 9930;

export interface DemoConfig {
  readonly file: string;
  readonly url: string;
  readonly console: string;
  readonly metrics: string;
  readonly port: number;
  readonly wantedPort: number;
}

export interface DemoConfigOptions {
  readonly directory: string;
  readonly cluster: Cluster;
  readonly role: string;
  /** undefined: 6432, or any when that is taken. */
  readonly port: number | undefined;
}

export async function writeDemoConfig({ directory, cluster, role, port: chosen }: DemoConfigOptions): Promise<DemoConfig> {
  const wantedPort = chosen ?? standardPort;
  const port = await findFreePort(wantedPort);
  if (chosen !== undefined && port !== chosen) {
    throw new ClusterError(`Port ${chosen} is taken by another process. Choose another with --port.`);
  }
  const metricsPort = await findFreePort(port === standardMetricsPort ? undefined : standardMetricsPort);
  const file = join(directory, "pooler.toml");
  // Plugins are looked for from the file's directory on: there the demo's own dependencies stand in for an installation.
  await symlink(join(dirname(dirname(fileURLToPath(import.meta.url))), "node_modules"), join(directory, "node_modules"));
  await writeFile(file, demoToml(cluster, role, port, metricsPort));
  const base = `postgres://${role}@127.0.0.1:${port}`;
  return {
    file,
    url: `${base}/${cluster.database}`,
    console: `${base}/pooler`,
    metrics: `http://127.0.0.1:${metricsPort}/metrics`,
    port,
    wantedPort,
  };
}

export function demoToml(cluster: Cluster, role: string, port: number, metricsPort: number): string {
  const url = (serverPort: number): string => JSON.stringify(`postgres://${role}@127.0.0.1:${serverPort}/${cluster.database}`);
  const shards = cluster.shards.map(
    ({ primary, replicas }) =>
      `  { primary = ${url(primary.port)}, replicas = [${replicas.map((replica) => url(replica.port)).join(", ")}] },`,
  );
  return `[listen]
host = "127.0.0.1"
port = ${port}
auth = "trust"

[metrics]
port = ${metricsPort}

[databases.${cluster.database}]
shards = [
${shards.join("\n")}
]

[users.${role}]
console = "admin"

[[plugins]]
name = "@pooler/plugin-validator"
[plugins.config]
rules = [{ type = "deny_statements", statements = ["update_without_where", "delete_without_where", "truncate"] }]

[[plugins]]
name = "@pooler/plugin-read-write-split"

[[plugins]]
name = "@pooler/plugin-hash-sharding"
[plugins.config]
tables = [{ table = "users", column = "id", type = "bigint", columns = ["id", "email", "created_at"] }]
reference_tables = ["plans"]
`;
}
