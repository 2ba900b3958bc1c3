// What the demo's shards hold: users by the hash of their id, as PostgreSQL's own hash partitioning spreads them, and plans as a whole.
import { type Cluster, query } from "@pooler/embedded-cluster";

export const seededUsers = 1000;

export async function seed(cluster: Cluster, role: string): Promise<void> {
  const modulus = cluster.shards.length;
  await Promise.all(
    cluster.shards.map(({ primary }, remainder) =>
      query(
        primary.url,
        `CREATE ROLE ${role} LOGIN;
         ALTER DATABASE "${cluster.database}" OWNER TO ${role};
         SET ROLE ${role};
         GRANT CREATE ON SCHEMA public TO ${role};
         CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, created_at timestamptz DEFAULT now());
         CREATE TABLE plans (id int PRIMARY KEY, name text NOT NULL, monthly_cents int NOT NULL);
         INSERT INTO plans VALUES (1, 'free', 0), (2, 'team', 900), (3, 'company', 4900);
         CREATE TEMPORARY TABLE users_by_hash (id bigint) PARTITION BY HASH (id);
         INSERT INTO users (id, email)
           SELECT id, 'user' || id || '@example.com' FROM generate_series(1, ${seededUsers}) AS id
           WHERE satisfies_hash_partition('users_by_hash'::regclass, ${modulus}, ${remainder}, id::bigint);`,
      ),
    ),
  );
  // The tour reads from replicas at once.
  await cluster.replicated();
}
