// A few statements through the pooler, each with the server that really answered it.
import type { Cluster } from "@pooler/embedded-cluster";
import pg from "pg";
import { seededUsers } from "./seed.js";

/** What one statement, or the statements of one transaction, came to. */
export interface TourStep {
  readonly title: string;
  /** As it can be typed again. */
  readonly sql: string;
  readonly outcome: TourOutcome;
}

export type TourOutcome =
  | { readonly kind: "rows"; readonly server: string; readonly values: string }
  | { readonly kind: "refused"; readonly message: string; readonly hint: string | undefined };

interface Statement {
  readonly sql: string;
  readonly values?: readonly unknown[];
}

interface Plan {
  readonly title: string;
  /** On one connection, one after the other. The last row that was answered is shown. */
  readonly statements: readonly Statement[];
}

const newId = seededUsers + 1;

function plans(replicas: boolean): readonly Plan[] {
  const reader = replicas ? "a replica of the shard" : "the shard";
  return [
    {
      title: `a read goes to ${reader} that holds the row`,
      statements: [{ sql: "SELECT email, inet_server_port() FROM users WHERE id = 1" }],
    },
    {
      title: "so does a prepared statement, by the value of its parameter",
      statements: [{ sql: "SELECT email, inet_server_port() FROM users WHERE id = $1", values: [3] }],
    },
    {
      title: "a write goes to the primary of its shard",
      statements: [{ sql: "UPDATE users SET email = 'one@example.com' WHERE id = 1 RETURNING email, inet_server_port()" }],
    },
    {
      title: "an insert goes to the primary of the shard that the new key hashes to",
      statements: [{ sql: `INSERT INTO users (id, email) VALUES (${newId}, 'new@example.com') RETURNING id, inet_server_port()` }],
    },
    {
      title: "a transaction has one server, from its first statement on",
      statements: [
        { sql: "BEGIN" },
        { sql: "UPDATE users SET email = 'three@example.com' WHERE id = 3" },
        { sql: "SELECT email, inet_server_port() FROM users WHERE id = 3" },
        { sql: "COMMIT" },
      ],
    },
    {
      title: "a table that every shard holds whole is read on any",
      statements: [{ sql: "SELECT name, inet_server_port() FROM plans WHERE id = 2" }],
    },
    { title: "a statement that needs several shards is refused", statements: [{ sql: "SELECT count(*) FROM users" }] },
    { title: "a rule of the validator stops what should not run", statements: [{ sql: "DELETE FROM users" }] },
  ];
}

export async function takeTour(url: string, cluster: Cluster): Promise<readonly TourStep[]> {
  const names = serverNames(cluster);
  const steps: TourStep[] = [];
  for (const { title, statements } of plans(cluster.shards.some(({ replicas }) => replicas.length > 0))) {
    const sql = statements.map(asTyped).join("; ");
    steps.push({ title, sql, outcome: await outcomeOf(url, statements, names) });
  }
  return steps;
}

/** By port. */
export function serverNames(cluster: Cluster): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  cluster.shards.forEach((shard, index) => {
    names.set(shard.primary.port, `shard ${index}, primary on port ${shard.primary.port}`);
    for (const { port } of shard.replicas) {
      names.set(port, `shard ${index}, replica on port ${port}`);
    }
  });
  return names;
}

function asTyped({ sql, values = [] }: Statement): string {
  return values.length === 0 ? sql : `${sql}   with ${values.map((value, index) => `$${index + 1} = ${String(value)}`).join(", ")}`;
}

async function outcomeOf(url: string, statements: readonly Statement[], names: ReadonlyMap<number, string>): Promise<TourOutcome> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    let row: Record<string, unknown> = {};
    for (const { sql, values } of statements) {
      const { rows } = await client.query<Record<string, unknown>>(sql, values === undefined ? undefined : [...values]);
      row = rows.at(-1) ?? row;
    }
    const { inet_server_port: port, ...values } = row;
    return { kind: "rows", server: names.get(Number(port)) ?? `port ${String(port)}`, values: Object.values(values).join(", ") };
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) {
      throw error;
    }
    return { kind: "refused", message: `${error.severity ?? "ERROR"} ${error.code}: ${error.message}`, hint: error.hint };
  } finally {
    await client.end();
  }
}
