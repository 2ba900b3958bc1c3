// Example plugins that decide where connections and statements go.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { refusalOf } from "../plugins/hook-rig.js";
import { batch, onAllShards, placeIn, port, type Rig, run, startRig } from "../plugins/rig.js";
import { example } from "./example-plugins.js";

const [first, second] = sharedShards();
let rig: Rig;
afterEach(() => rig.disconnectAll());

describe("connections", () => {
  beforeAll(async () => {
    await onAllShards(`
      DROP TABLE IF EXISTS ex_warmed; CREATE TABLE ex_warmed (what text); DROP ROLE IF EXISTS svc_app;
      CREATE ROLE svc_app SUPERUSER LOGIN PASSWORD 'of the service'`);
    const shard = (url = ""): { readonly primary: string } => {
      const { host, pathname } = new URL(url);
      return { primary: `postgres://${host}${pathname}` };
    };
    rig = await startRig({
      plugins: [
        example("pick-cluster", {
          rules: [
            { database: "app", application: "report", to: "reporting" },
            { address: "10.", to: "nowhere" },
          ],
        }),
        example("remap-users", {
          users: { old_app: { user: "app" }, app: { server_user: "svc_app" }, intruder: { refuse: "this account is closed" } },
        }),
        example("prewarm", {
          rules: [
            {
              database: "reporting",
              once: ["INSERT INTO ex_warmed VALUES ('once')"],
              session: ["SET ex.kind = 'warm'", "SET ex.more = 'x'"],
            },
          ],
        }),
      ],
      databases: { app: { shards: [shard(first?.primary)] }, reporting: { shards: [shard(second?.primary)] } },
      rest: { users: { app: {}, other: { server_user: "postgres" }, admin: { console: "admin" } } },
    });
  });
  afterAll(async () => {
    await rig.stop();
    await onAllShards("DROP TABLE ex_warmed; DROP ROLE svc_app");
  });

  test("pick-cluster: by what an application calls itself", async () => {
    const usual = await rig.client();
    const report = await rig.client({ application_name: "report 7" });
    expect(placeIn(await usual.query(`SELECT ${port}`))).toBe("0 primary");
    expect(placeIn(await report.query(`SELECT ${port}`))).toBe("1 primary");
  });

  test("remap-users: other names, other logins at servers", async () => {
    for (const user of ["app", "old_app"]) {
      const client = await rig.client({ user });
      expect(rowsOf(await client.query("SELECT session_user"))).toEqual([["svc_app"]]);
    }
    const other = await rig.client({ user: "other" });
    expect(rowsOf(await other.query("SELECT session_user"))).toEqual([["postgres"]]);
    expect(await refusalOf(rig.pooler, { user: "intruder", database: "app" })).toMatchObject({ C: "28000", M: "this account is closed" });
  });

  test("prewarm: once for each connection, and again after a reset", async () => {
    const client = await rig.client({ application_name: "reports" });
    expect(rowsOf(await client.query("SELECT current_setting('ex.kind'), count(*) > 0 FROM ex_warmed"))).toEqual([["warm", "t"]]);
    await client.query("DISCARD ALL");
    expect(rowsOf(await client.query("SELECT current_setting('ex.kind') || current_setting('ex.more')"))).toEqual([["warmx"]]);
  });
});

describe("tenant-schema", () => {
  beforeAll(async () => {
    const create = (tenant: string): string =>
      `DROP SCHEMA IF EXISTS tenant_${tenant} CASCADE; CREATE SCHEMA tenant_${tenant}; CREATE TABLE tenant_${tenant}.orders (id int);`;
    await onAllShards(create("acme") + create("globex"));
    rig = await startRig({ plugins: [example("tenant-schema", { prefix: "tenant_", tenants: { acme: 0, globex: 1 } })] });
  });
  afterAll(async () => {
    await rig.stop();
    await onAllShards("DROP SCHEMA tenant_acme, tenant_globex CASCADE");
  });

  test("the schema decides the shard", async () => {
    const client = await rig.client();
    for (const [tenant, shard] of [
      ["acme", 0],
      ["globex", 1],
    ] as const) {
      const sql = `SELECT ${port} FROM pg_class LEFT JOIN tenant_${tenant}.orders ON false LIMIT 1`;
      expect(placeIn(await client.query(sql))).toBe(`${shard} primary`);
      expect(placeIn(await batch(client, run(sql)))).toBe(`${shard} primary`);
    }
    expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 primary");
  });

  test("a transaction stays with its tenant", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    expect(errorIn(await client.query("INSERT INTO tenant_globex.orders VALUES (1)"))).toBeUndefined();
    expect(errorIn(await client.query("SELECT * FROM tenant_acme.orders"))).toMatchObject({ C: "25001" });
  });

  test("unknown tenants, and two at once, are refused", async () => {
    const client = await rig.client();
    expect(errorIn(await client.query("SELECT * FROM tenant_hooli.orders"))).toMatchObject({ C: "3F000" });
    expect(errorIn(await client.query("SELECT * FROM tenant_acme.orders, tenant_globex.orders"))).toMatchObject({ C: "0A000" });
  });
});

describe.each(["l2", "cosine"])("vector-routing by %s", (distance) => {
  // pgvector does not come with these servers. What the plugin looks at is the text and its parameters: a type and an operator of
  // these names do for the rest.
  beforeAll(async () => {
    await onAllShards(`
      DROP SCHEMA IF EXISTS ex_vectors CASCADE; CREATE SCHEMA ex_vectors;
      CREATE FUNCTION ex_vectors.distance(bytea, bytea) RETURNS float8 IMMUTABLE LANGUAGE sql AS 'SELECT 0.0::float8';
      CREATE OPERATOR ex_vectors.<-> (leftarg = bytea, rightarg = bytea, function = ex_vectors.distance);
      CREATE TABLE ex_vectors.ex_items (id int, embedding bytea);
      INSERT INTO ex_vectors.ex_items VALUES (0, '')`);
    rig = await startRig({
      plugins: [
        example("vector-routing", {
          table: "ex_items",
          column: "embedding",
          distance,
          centroids: [
            { shard: 0, vector: [1, 0] },
            { shard: 1, vector: [10, 10] },
          ],
        }),
      ],
    });
  });
  afterAll(async () => {
    await rig.stop();
    await onAllShards("DROP SCHEMA ex_vectors CASCADE");
  });

  const start = async () => {
    const client = await rig.client();
    await client.query("SET search_path = ex_vectors, public");
    return client;
  };
  /** vector_send: dimensions, nothing, numbers. */
  const binary = (...numbers: readonly number[]): Buffer => {
    const bytes = Buffer.alloc(4 + 4 * numbers.length);
    bytes.writeInt16BE(numbers.length);
    for (const [index, number] of numbers.entries()) bytes.writeFloatBE(number, 4 + 4 * index);
    return bytes;
  };
  // By direction [1, 1] is the second's neighbour, by place the first's.
  const places: readonly (readonly [readonly [number, number], string])[] = [
    [[1, 1], distance === "l2" ? "0 primary" : "1 primary"],
    [[1000, 1], distance === "l2" ? "1 primary" : "0 primary"],
    [[9, 9.5], "1 primary"],
    [[2, 0.1], "0 primary"],
  ];

  test("a search goes to the nearest centroid's shard: text, binary, literal", async () => {
    const client = await start();
    const search = `SELECT ${port} FROM ex_items ORDER BY embedding <-> $1 LIMIT 1`;
    for (const [vector, place] of places) {
      const text = JSON.stringify(vector);
      expect(placeIn(await batch(client, run(search, { values: [text] })))).toBe(place);
      expect(placeIn(await batch(client, run(search, { values: [binary(...vector)] })))).toBe(place);
      expect(placeIn(await client.query(search.replace("$1", `'${text}'`)))).toBe(place);
    }
  });

  test("an insert goes where its searches go", async () => {
    const client = await start();
    const insert = `INSERT INTO ex_items (id, embedding) VALUES (1, $1) RETURNING ${port}`;
    for (const [vector, place] of places) {
      expect(placeIn(await batch(client, run(insert, { values: [JSON.stringify(vector)] })))).toBe(place);
    }
    const both = "INSERT INTO ex_items (id, embedding) VALUES (1, '[1,0]'), (2, '[10,10]')";
    expect(errorIn(await client.query(both))).toMatchObject({ C: "0A000", H: "Insert them one by one." });
    expect(errorIn(await client.query("UPDATE ex_items SET embedding = '[1,0]'"))).toMatchObject({ C: "0A000" });
  });

  test("what is no such vector is refused", async () => {
    const client = await start();
    const search = `SELECT ${port} FROM ex_items ORDER BY embedding <-> $1`;
    expect(errorIn(await batch(client, run(search, { values: ["[1,2,3]"] })))).toMatchObject({
      C: "22000",
      M: "expected 2 dimensions, not 3",
    });
    expect(errorIn(await batch(client, run(search, { values: [Buffer.from("nonsense")] })))).toMatchObject({ C: "22P02" });
  });
});
