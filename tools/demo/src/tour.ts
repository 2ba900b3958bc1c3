// A few statements through the pooler, each with the server that really answered it.
import { type Cluster, query, type Row } from "@pooler/embedded-cluster";
import { seededUsers } from "./seed.js";

export interface TourStep {
  readonly title: string;
  readonly sql: string;
  /** The server that answered, or what the pooler said instead. */
  readonly outcome: string;
}

const newId = seededUsers + 1;

const steps: readonly { readonly title: string; readonly sql: string }[] = [
  { title: "a read goes to a replica of the shard that holds the row", sql: "SELECT email, inet_server_port() FROM users WHERE id = 1" },
  { title: "so does another one, of another shard", sql: "SELECT email, inet_server_port() FROM users WHERE id = 3" },
  {
    title: "a write goes to that shard's primary",
    sql: "UPDATE users SET email = 'one@example.com' WHERE id = 1 RETURNING email, inet_server_port()",
  },
  {
    title: "a sharded insert goes to the primary that the new key hashes to",
    sql: `INSERT INTO users (id, email) VALUES (${newId}, 'new@example.com') RETURNING id, inet_server_port()`,
  },
  { title: "a table that every shard holds whole is read from any", sql: "SELECT name, inet_server_port() FROM plans WHERE id = 2" },
  { title: "a statement on a sharded table without its key is refused", sql: "SELECT count(*) FROM users" },
  { title: "a rule of the validator stops what should not run", sql: "DELETE FROM users" },
];

export async function takeTour(url: string, cluster: Cluster): Promise<readonly TourStep[]> {
  const names = serverNames(cluster);
  const taken: TourStep[] = [];
  for (const step of steps) {
    taken.push({ ...step, outcome: await outcomeOf(url, step.sql, names) });
  }
  return taken;
}

export function serverNames(cluster: Cluster): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  cluster.shards.forEach((shard, index) => {
    names.set(shard.primary.port, `shard ${index}, primary`);
    for (const replica of shard.replicas) {
      names.set(replica.port, `shard ${index}, replica`);
    }
  });
  return names;
}

async function outcomeOf(url: string, sql: string, names: ReadonlyMap<number, string>): Promise<string> {
  try {
    const [row] = await query(url, sql);
    return describeAnswer(row, names);
  } catch (error) {
    return describeError(error);
  }
}

function describeAnswer(row: Row | undefined, names: ReadonlyMap<number, string>): string {
  if (row === undefined) {
    return "no row";
  }
  const { inet_server_port: port, ...values } = row;
  return `${names.get(Number(port)) ?? `port ${String(port)}`}: ${Object.values(values).join(", ")}`;
}

function describeError(error: unknown): string {
  if (typeof error !== "object" || error === null || !("message" in error)) {
    return String(error);
  }
  const code = "code" in error && error.code !== undefined ? `${String(error.code)} ` : "";
  const hint = "hint" in error && error.hint !== undefined ? ` (${String(error.hint)})` : "";
  return `${code}${String(error.message)}${hint}`;
}
