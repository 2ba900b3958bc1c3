// The three reference plugins together, and a hundred clients of three kinds on a pool of ten: every answer goes to the one who asked,
// no write reaches a replica, no row is lost, and every row is on the shard that PostgreSQL's own hash partitioning names.
import pg from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { again, batch, direct, int8, onAllShards, placeIn, placeOf, port, prepare, type Rig, run, startRig, type Value } from "./rig.js";

const clientCount = 100;
const stepCount = 25;

let rig: Rig;
beforeAll(async () => {
  await onAllShards(
    `DROP TABLE IF EXISTS plugins_users, plugins_secrets, plugins_partitioned;
     CREATE TABLE plugins_users (id bigint PRIMARY KEY, owner int NOT NULL, payload text NOT NULL);
     CREATE TABLE plugins_secrets (id int);
     CREATE TABLE plugins_partitioned (id bigint) PARTITION BY HASH (id)`,
  );
  rig = await startRig({
    plugins: [
      { package: "@pooler/plugin-read-write-split" },
      {
        package: "@pooler/plugin-hash-sharding",
        config: { tables: [{ table: "plugins_users", column: "id", type: "bigint", columns: ["id", "owner", "payload"] }] },
      },
      {
        package: "@pooler/plugin-validator",
        config: {
          rules: [
            { type: "deny_tables", tables: ["plugins_secrets"] },
            { type: "deny_statements", statements: ["delete_without_where"] },
          ],
        },
      },
    ],
    app: { pool_size: 10 },
  });
});
afterAll(async () => {
  await rig.disconnectAll();
  await rig.stop();
  await onAllShards("DROP TABLE plugins_users, plugins_secrets, plugins_partitioned");
});

/** A statement by its text, with values; `name` prepares it once. Rejects with an error that has a `code`. */
interface Driver {
  query(sql: string, values?: readonly Value[], name?: string): Promise<(string | null)[][]>;
  end(): Promise<void>;
}

async function nodePostgres(): Promise<Driver> {
  const client = new pg.Client({ connectionString: rig.pooler.url() });
  client.on("error", () => {}); // queries reject
  await client.connect();
  return {
    async query(sql, values, name) {
      const { rows } = await client.query<(string | null)[]>({
        text: sql,
        rowMode: "array",
        ...(values === undefined ? {} : { values: [...values] }),
        ...(name === undefined ? {} : { name }),
        types: { getTypeParser: () => String },
      });
      return rows;
    },
    end: () => client.end(),
  };
}

/** Gives binary values to no one: an id becomes its text. */
async function postgresJs(): Promise<Driver> {
  const client = postgres(rig.pooler.url(), { max: 1, fetch_types: false, onnotice: () => {} });
  const asText = (value: Value): string | null => (Buffer.isBuffer(value) ? value.readBigInt64BE().toString() : value);
  return {
    async query(sql, values = [], name = "") {
      const rows = await client.unsafe(sql, values.map(asText), { prepare: name !== "" }).values();
      return rows.map((row) => (row as unknown[]).map((value) => (value === null ? null : String(value))));
    },
    end: () => client.end(),
  };
}

async function raw(): Promise<Driver> {
  const client = await rig.client();
  const prepared = new Set<string>();
  return {
    async query(sql, values, name) {
      if (values === undefined) return answered(await client.query(sql));
      if (name === undefined) return answered(await batch(client, run(sql, { values })));
      if (!prepared.has(name)) answered(await prepare(client, name, sql));
      prepared.add(name);
      return answered(await batch(client, again({ name, values })));
    },
    end: async () => client.end(),
  };
}

function answered(answer: Parameters<typeof rowsOf>[0]): (string | null)[][] {
  const error = errorIn(answer);
  if (error !== undefined) throw Object.assign(new Error(error["M"]), { code: error["C"] });
  return rowsOf(answer);
}

const codeOf = (failed: Promise<unknown>): Promise<unknown> =>
  failed.then(
    () => "no error",
    (error: { code?: unknown }) => error.code,
  );

/** Repeatable numbers below `below`. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761 + 1;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (state >>> 8) % below;
  };
}

/** What a client has committed, by id. */
type Committed = Map<string, string>;

const insert = "INSERT INTO plugins_users (id, owner, payload) VALUES ($1, $2, $3)";
const update = "UPDATE plugins_users SET payload = $2 WHERE id = $1 RETURNING payload";
const select = "SELECT payload, owner FROM plugins_users WHERE id = $1";

async function live(driver: Driver, owner: number, committed: Committed): Promise<void> {
  const random = randomNumbers(owner + 1);
  const prepared = (name: string): string | undefined => (random(2) === 0 ? undefined : name);
  for (let step = 0; step < stepCount; step++) {
    const id = String(BigInt(owner) * 1_000_003n * (step % 2 === 0 ? 1n : -1n) + BigInt(step));
    const payload = `${owner}:${step}`;
    switch (random(6)) {
      case 0:
        await driver.query(insert, [random(2) === 0 ? id : int8(BigInt(id)), String(owner), payload], prepared("insert"));
        committed.set(id, payload);
        break;
      case 1:
        await driver.query(`INSERT INTO plugins_users VALUES (${id}, ${owner}, '${payload}')`);
        committed.set(id, payload);
        break;
      case 2: {
        await driver.query("BEGIN");
        await driver.query(insert, [id, String(owner), "first"], prepared("insert"));
        expect(await driver.query(update, [id, payload], prepared("update"))).toEqual([[payload]]);
        expect(await driver.query(select, [id], prepared("select"))).toEqual([[payload, String(owner)]]);
        const keep = random(3) > 0;
        await driver.query(keep ? "COMMIT" : "ROLLBACK");
        if (keep) committed.set(id, payload);
        break;
      }
      case 3: {
        // A replica may not have it yet; whatever it has is what was asked for.
        const [known] = [...committed.keys()].slice(random(committed.size || 1));
        const rows = await driver.query(select, [known ?? "77"], prepared("select"));
        if (rows.length > 0) expect(rows).toEqual([[committed.get(known ?? ""), String(owner)]]);
        break;
      }
      case 4: {
        const rows = await driver.query(`SELECT $1::text, ${port}`, [payload], prepared("echo"));
        expect(rows[0]?.[0]).toBe(payload);
        expect(placeOf(rows[0]?.[1])).toBe("0 replica");
        break;
      }
      case 5:
        expect(await codeOf(driver.query(random(2) === 0 ? "DELETE FROM plugins_partitioned" : "SELECT * FROM plugins_secrets"))).toBe(
          "42501",
        );
        expect(await codeOf(driver.query("SELECT * FROM plugins_users", []))).not.toBe("no error");
        break;
    }
  }
}

test("a hundred clients on a pool of ten", async () => {
  const kinds = [nodePostgres, postgresJs, raw];
  const all = await Promise.all(
    Array.from({ length: clientCount }, async (_, owner) => {
      const committed: Committed = new Map();
      const driver = await (kinds[owner % kinds.length] as (typeof kinds)[0])();
      await live(driver, owner, committed).finally(() => driver.end());
      return committed;
    }),
  );

  const found = new Map<string, string>();
  for (const shard of [0, 1]) {
    const client = await direct(shard);
    const rows = rowsOf(await client.query("SELECT id, payload FROM plugins_users"));
    const elsewhere = `SELECT id FROM plugins_users WHERE NOT satisfies_hash_partition('plugins_partitioned'::regclass, 2, ${shard}, id)`;
    expect(rowsOf(await client.query(elsewhere))).toEqual([]);
    client.end();
    expect(rows.length).toBeGreaterThan(100);
    for (const [id, payload] of rows) {
      expect(found.has(id ?? "")).toBe(false);
      found.set(id ?? "", payload ?? "");
    }
  }
  const expected = new Map(all.flatMap((committed) => [...committed]));
  expect(found).toEqual(expected);

  const pools = (await rig.console("SHOW POOLS")).filter((pool) => pool["database"] === "app");
  expect(pools.reduce((sum, pool) => sum + Number(pool["cl_waiting"]), 0)).toBe(0);
  for (const server of ["sv_active", "sv_idle"]) for (const pool of pools) expect(Number(pool[server])).toBeLessThanOrEqual(10);
  const plugins = await rig.console("SHOW PLUGINS");
  expect(plugins.map(({ errors }) => errors)).toEqual(["0", "0", "0"]);
});

test("a key that cannot be found is refused, and nothing is written", async () => {
  const client = await rig.client();
  expect(errorIn(await client.query("UPDATE plugins_users SET payload = 'all' WHERE owner = 1"))?.["C"]).toBeDefined();
  expect(errorIn(await client.query("INSERT INTO plugins_users SELECT 1, 1, 'x'"))).not.toEqual(undefined);
  expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 replica");
});
