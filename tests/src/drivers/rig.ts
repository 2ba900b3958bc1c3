// A pooler with the three reference plugins in front of the shared cluster, and a table that it shards.
import { query } from "@pooler/embedded-cluster";
import { sharedShards } from "../harness/shared-cluster.js";
import { type Rig, startRig, twoShards } from "../protocol/rig.js";

export interface ShardedRig extends Rig {
  /** A key of the shard. */
  keyOf(shard: number): number;
}

/** `table (id bigint PRIMARY KEY, word text)` with the keys 1 to 100, each on the shard that its hash says. */
export async function startShardedRig(table: string): Promise<ShardedRig> {
  const shards = sharedShards();
  const keys = await Promise.all(
    shards.map(async ({ primary }, remainder) => {
      await query(primary, `DROP TABLE IF EXISTS ${table}, ${table}_by_hash`);
      await query(primary, `CREATE TABLE ${table} (id bigint PRIMARY KEY, word text)`);
      await query(primary, `CREATE TABLE ${table}_by_hash (id bigint) PARTITION BY HASH (id)`);
      const rows = await query(
        primary,
        `INSERT INTO ${table} SELECT id, 'word ' || id FROM generate_series(1, 100) AS id
         WHERE satisfies_hash_partition('${table}_by_hash'::regclass, ${shards.length}, ${remainder}, id::bigint) RETURNING id::int`,
      );
      await query(primary, `DROP TABLE ${table}_by_hash`);
      return Number(rows[0]?.["id"]);
    }),
  );
  const rig = await startRig({
    databases: { app: twoShards({ pool_size: 2 }) },
    rest: {
      plugins: [
        {
          name: "@pooler/plugin-validator",
          config: { rules: [{ type: "deny_statements", statements: ["delete_without_where"] }] },
        },
        { name: "@pooler/plugin-read-write-split" },
        { name: "@pooler/plugin-hash-sharding", config: { tables: [{ table, column: "id", type: "bigint" }] } },
      ],
    },
  });
  return {
    ...rig,
    keyOf: (shard) => keys[shard] as number,
    async stop() {
      await rig.stop();
      await Promise.all(shards.map(({ primary }) => query(primary, `DROP TABLE ${table}`)));
    },
  };
}
