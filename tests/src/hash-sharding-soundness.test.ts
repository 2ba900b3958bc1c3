// Where hash-sharding sends a statement, its answer must be what one database with all rows would answer: thousands of random
// statements, each run on the shard that the plugin chose and on all rows at once. The plugin is the crate's example routes.
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sharedShards } from "./harness/shared-cluster.js";
import { createRandom, createStatements } from "./hash-sharding/random-statements.js";

const rustPlugins = resolve(import.meta.dirname, "../../rust-plugins");
const shards = 3;
const statementsOfEachKind = Number(process.env["POOLER_SOUNDNESS_STATEMENTS"] ?? 3_000);
const seed = Number(process.env["POOLER_SOUNDNESS_SEED"] ?? 1);

const config = {
  tables: [
    { table: "users", column: "id", type: "bigint" },
    { table: "posts", column: "user_id", type: "bigint" },
  ],
};

// Rows without a key are there, too: PostgreSQL keeps them in remainder 0.
const schema = `
  CREATE TABLE users (id bigint, boss bigint, x int);
  CREATE TABLE posts (user_id bigint, n bigint, x int);
  CREATE TABLE accounts (id bigint, uid bigint, x int);
  CREATE TABLE parent (key bigint) PARTITION BY HASH (key);
  INSERT INTO accounts VALUES (1, 1, 1), (2, 3, 2), (5, 1, 3), (NULL, 2, 4);
  INSERT INTO users SELECT CASE WHEN i < 7 THEN i END, i % 4, i % 3 FROM generate_series(1, 8) i;
  INSERT INTO posts SELECT CASE WHEN i % 9 < 7 THEN i % 9 END, i % 5, i % 3 FROM generate_series(1, 20) i;`;
const keyed = [
  ["users", "id"],
  ["posts", "user_id"],
] as const;

interface Answer {
  readonly shard?: number;
  readonly skip?: boolean;
  readonly error?: string;
}

interface LibpgQuery {
  loadModule(): Promise<void>;
  parseSync(sql: string): unknown;
}

function routes(statements: readonly { readonly sql: string; readonly tree: unknown }[]): Promise<Answer[]> {
  const args = [
    "run",
    "--quiet",
    "--locked",
    "-p",
    "pooler-hash-sharding",
    "--example",
    "routes",
    "--",
    JSON.stringify(config),
    String(shards),
  ];
  return new Promise((done, failed) => {
    const child = execFile("cargo", args, { cwd: rustPlugins, maxBuffer: 1 << 28 }, (error, stdout) => {
      if (error === null) {
        const lines = stdout.split("\n").filter((line) => line !== "");
        done(lines.map((line) => JSON.parse(line) as Answer));
      } else {
        failed(error);
      }
    });
    child.stdin?.end(statements.map((statement) => `${JSON.stringify(statement)}\n`).join(""));
  });
}

const rowsOf = (rows: readonly unknown[][]) => rows.map((row) => JSON.stringify(row)).sort();

describe.sequential("a statement that hash-sharding routes has the answer that all rows together would give", () => {
  const admin = new URL(sharedShards()[0]?.primary ?? "");
  const names = ["hash_soundness_all", ...Array.from({ length: shards }, (_, index) => `hash_soundness_${index}`)];
  const random = createRandom(seed);
  let parser: LibpgQuery;
  let clients: pg.Client[] = [];

  beforeAll(async () => {
    parser = createRequire(resolve(import.meta.dirname, "../../packages/core/package.json"))("libpg-query") as LibpgQuery;
    await parser.loadModule();
    const creator = new pg.Client({ connectionString: admin.href });
    await creator.connect();
    for (const name of names) {
      await creator.query(`DROP DATABASE IF EXISTS ${name}`);
      await creator.query(`CREATE DATABASE ${name}`);
    }
    await creator.end();
    clients = names.map((name) => new pg.Client({ connectionString: Object.assign(new URL(admin), { pathname: `/${name}` }).href }));
    for (const [index, client] of clients.entries()) {
      await client.connect();
      await client.query(schema);
      for (const [table, column] of index === 0 ? [] : keyed) {
        await client.query(
          `DELETE FROM ${table} WHERE NOT satisfies_hash_partition('parent'::regclass, ${shards}, ${index - 1}, ${column})`,
        );
      }
    }
    // Compiles the example.
    await routes([]);
  }, 600_000);

  afterAll(async () => {
    await Promise.all(clients.map((client) => client.end()));
    const dropper = new pg.Client({ connectionString: admin.href });
    await dropper.connect();
    for (const name of names) {
      await dropper.query(`DROP DATABASE IF EXISTS ${name}`);
    }
    await dropper.end();
  });

  function routable(make: () => string) {
    const statements: { sql: string; tree: unknown }[] = [];
    while (statements.length < statementsOfEachKind) {
      const sql = make();
      try {
        statements.push({ sql, tree: parser.parseSync(sql) });
      } catch {
        // Not even grammatical: the generator may do that.
      }
    }
    return statements;
  }

  async function attempt(client: pg.Client | undefined, sql: string) {
    try {
      const result = await client?.query({ text: sql, rowMode: "array" });
      return { rows: rowsOf(result?.rows ?? []), error: undefined };
    } catch (error) {
      return { rows: [], error: error as pg.DatabaseError };
    }
  }

  test("reads", async () => {
    const statements = routable(() => createStatements(random).read());
    const answers = await routes(statements);
    let compared = 0;
    const wrong: unknown[] = [];
    for (const [index, { sql }] of statements.entries()) {
      const shard = answers[index]?.shard;
      if (shard === undefined) {
        continue;
      }
      const expected = await attempt(clients[0], sql);
      if (expected.error === undefined) {
        const found = await attempt(clients[shard + 1], sql);
        compared += 1;
        if (found.error !== undefined || JSON.stringify(found.rows) !== JSON.stringify(expected.rows)) {
          wrong.push({ sql, shard, expected: expected.rows, found: found.error?.message ?? found.rows });
        }
      }
    }
    expect(wrong.slice(0, 3)).toEqual([]);
    // A plugin that refuses everything would pass otherwise.
    expect(compared).toBeGreaterThan(statements.length / 8);
  }, 300_000);

  test("writes", async () => {
    const statements = routable(() => createStatements(random).write());
    const answers = await routes(statements);
    const contents = async (client: pg.Client | undefined, where: (column: string) => string) => {
      const tables = await Promise.all(
        keyed.map(([table, column]) => client?.query({ text: `SELECT * FROM ${table} WHERE ${where(column)}`, rowMode: "array" })),
      );
      return tables.map((result) => rowsOf(result?.rows ?? []));
    };
    let compared = 0;
    const wrong: unknown[] = [];
    for (const [index, { sql }] of statements.entries()) {
      const shard = answers[index]?.shard;
      if (shard === undefined) {
        continue;
      }
      const [all, own] = [clients[0], clients[shard + 1]];
      const belongs = (column: string) => `satisfies_hash_partition('parent'::regclass, ${shards}, ${shard}, ${column})`;
      const elsewhere = (column: string) => `NOT ${belongs(column)}`;
      const before = await contents(all, elsewhere);
      await Promise.all([all?.query("BEGIN"), own?.query("BEGIN")]);
      const expected = await attempt(all, sql);
      if (expected.error === undefined) {
        const found = await attempt(own, sql);
        compared += 1;
        const problem =
          found.error !== undefined
            ? found.error.message
            : JSON.stringify(await contents(all, belongs)) !== JSON.stringify(await contents(own, () => "true"))
              ? "the shard has other rows than it should"
              : JSON.stringify(await contents(all, elsewhere)) !== JSON.stringify(before)
                ? "rows of other shards change"
                : undefined;
        if (problem !== undefined) {
          wrong.push({ sql, shard, problem });
        }
      }
      await Promise.all([all?.query("ROLLBACK"), own?.query("ROLLBACK")]);
    }
    expect(wrong.slice(0, 3)).toEqual([]);
    expect(compared).toBeGreaterThan(statements.length / 8);
  }, 300_000);
});
