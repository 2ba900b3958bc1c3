// Statements share a server only when every relation in them is what PostgreSQL reads or writes without running anything else: what the
// question to the catalog makes of each sort of relation.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type MultiplexRig, sharing, startMultiplexRig } from "./multiplex-rig.js";

let rig: MultiplexRig;
beforeAll(async () => {
  rig = await startMultiplexRig({ app: sharing({ multiplex_writes: true }) });
  await (await rig.direct()).query(`
    DROP SCHEMA IF EXISTS sorts CASCADE; DROP SCHEMA IF EXISTS more_sorts CASCADE; CREATE SCHEMA sorts; CREATE SCHEMA more_sorts; SET search_path = sorts;
    CREATE FUNCTION t_function() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE plain (id int);
    CREATE MATERIALIZED VIEW materialized AS SELECT 1 AS id;
    CREATE TABLE partitioned (id int) PARTITION BY RANGE (id); CREATE TABLE partition_1 PARTITION OF partitioned DEFAULT;
    CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent);
    CREATE TABLE grandparent (id int); CREATE TABLE between_them () INHERITS (grandparent); CREATE TABLE grandchild () INHERITS (between_them);
    CREATE VIEW seen AS SELECT * FROM plain;
    CREATE TABLE guarded (id int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    CREATE TABLE ruled (id int); CREATE RULE r AS ON INSERT TO ruled DO ALSO SELECT 1;
    CREATE TABLE triggered (id int); CREATE TRIGGER t BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION t_function();
    CREATE TABLE referred (id int PRIMARY KEY); CREATE TABLE referring (id int REFERENCES referred);
    CREATE TABLE parent_of_triggered (id int); CREATE TABLE triggered_child () INHERITS (parent_of_triggered);
    CREATE TRIGGER t BEFORE UPDATE ON triggered_child FOR EACH ROW EXECUTE FUNCTION t_function();
    CREATE TABLE of_triggered (id int, n int) PARTITION BY RANGE (id);
    CREATE TABLE of_triggered_1 PARTITION OF of_triggered DEFAULT PARTITION BY RANGE (n);
    CREATE TABLE of_triggered_2 PARTITION OF of_triggered_1 DEFAULT;
    CREATE TRIGGER t BEFORE INSERT ON of_triggered_2 FOR EACH ROW EXECUTE FUNCTION t_function();
    CREATE FOREIGN DATA WRAPPER sorts_wrapper; CREATE SERVER sorts_server FOREIGN DATA WRAPPER sorts_wrapper;
    CREATE FOREIGN TABLE far (id int) SERVER sorts_server;
    CREATE TABLE of_far (id int, n int) PARTITION BY RANGE (id);
    CREATE TABLE of_far_1 PARTITION OF of_far DEFAULT PARTITION BY RANGE (n);
    CREATE FOREIGN TABLE of_far_2 PARTITION OF of_far_1 FOR VALUES FROM (1) TO (2) SERVER sorts_server;
    CREATE TABLE parent_of_far (id int); CREATE FOREIGN TABLE far_child () INHERITS (parent_of_far) SERVER sorts_server;
    CREATE SEQUENCE numbered;
    CREATE TABLE twice (id int); CREATE VIEW more_sorts.twice AS SELECT 1 AS id;
    CREATE TABLE "Quoted" (id int)`);
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await (await rig.direct()).query(
    "DROP SCHEMA sorts CASCADE; DROP SCHEMA more_sorts CASCADE; DROP FOREIGN DATA WRAPPER sorts_wrapper CASCADE",
  );
  await rig.disconnectAll();
  await rig.stop();
});

/** What the counters say of a statement when its relations have been looked up. */
async function shares(sql: string): Promise<boolean> {
  const client = await rig.client("app");
  // The first time they are looked up, on the only connection.
  await client.query(sql);
  const before = await rig.counts("app");
  await client.query(sql);
  const after = await rig.counts("app");
  const grown = ["rides", "refused_relation"].filter((name) => (after[name] ?? 0) > (before[name] ?? 0));
  expect(grown).toHaveLength(1);
  return grown[0] === "rides";
}

describe("a statement shares, when it reads or writes", () => {
  test.each([
    ["plain", true, true],
    ["materialized", true, false],
    ["partitioned", true, true],
    ["parent", true, true],
    ["grandparent", false, false],
    ["seen", false, false],
    ["guarded", false, false],
    ["ruled", true, false],
    ["triggered", true, false],
    ["referring", true, false],
    ["parent_of_triggered", true, false],
    ["of_triggered", true, false],
    ["far", false, false],
    ["of_far", false, false],
    ["parent_of_far", false, false],
    ["numbered", false, false],
    ["missing", false, false],
    ['"Quoted"', true, true],
  ])("%s: %s, %s", async (relation, reads, writes) => {
    expect(await shares(`SELECT 1 FROM sorts.${relation} WHERE false`)).toBe(reads);
    expect(await shares(`DELETE FROM sorts.${relation} WHERE false`)).toBe(writes);
  });

  test("a name without its schema: whatever schemas have such a relation", async () => {
    const client = await rig.client("app");
    await client.query("SELECT 1");
    expect(await shares("SELECT 1 FROM sorts.twice WHERE false")).toBe(true);
    expect(await shares("SELECT 1 FROM twice WHERE false")).toBe(false);
  });

  test("the table behind a query of WITH that has its name", async () => {
    expect(await shares("WITH seen AS (SELECT * FROM seen) SELECT 1 FROM seen WHERE false")).toBe(false);
    expect(await shares("WITH seen AS (SELECT 1 AS id) SELECT 1 FROM seen WHERE false")).toBe(true);
  });
});
