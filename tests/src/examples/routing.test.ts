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
