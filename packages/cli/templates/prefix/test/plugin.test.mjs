// The built plugin: alone, and in a real pooler before a real PostgreSQL. `pooler plugin test` builds it and runs this.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { loadPlugin, startPooler } from "@pooler/plugin-testing";

const refusal = {
  verdict: "error",
  sqlstate: "42501",
  message: 'table "archive_2020" is an archive',
  hint: "Archives can be read. To change one, go past the pooler.",
};

test("a write to an archive is refused, in whatever form", async () => {
  const plugin = await loadPlugin();
  for (const sql of [
    "DELETE FROM archive_2020",
    "DELETE FROM public.archive_2020 WHERE id = 1",
    "WITH gone AS (DELETE FROM archive_2020 RETURNING *) SELECT * FROM gone",
    "TRUNCATE orders, archive_2020",
    "EXPLAIN ANALYZE UPDATE archive_2020 SET id = 2",
  ]) {
    assert.deepEqual(plugin.route(sql), refusal, sql);
  }
  plugin.close();
});

test("reading an archive and writing elsewhere is not its business", async () => {
  const plugin = await loadPlugin();
  for (const sql of ["SELECT * FROM archive_2020", "INSERT INTO orders SELECT * FROM archive_2020", "DELETE FROM orders"]) {
    assert.deepEqual(plugin.route(sql), { verdict: "skip" }, sql);
  }
  plugin.close();
});

test("the prefix comes from the configuration", async () => {
  const plugin = await loadPlugin({ config: { prefix: "old_" } });
  assert.equal(plugin.route("TRUNCATE old_orders").verdict, "error");
  assert.deepEqual(plugin.route("DELETE FROM archive_2020"), { verdict: "skip" });
  plugin.close();
  await assert.rejects(loadPlugin({ config: { perfix: "old_" } }), /perfix/);
});

let pooler;
before(async () => {
  pooler = await startPooler({ setup: "CREATE TABLE archive_2020 (id int); INSERT INTO archive_2020 VALUES (1)" });
});
after(() => pooler?.stop());

test("the pooler lets reads through and refuses writes", async () => {
  const client = await pooler.connect();
  assert.deepEqual((await client.query("SELECT id FROM archive_2020")).rows, [{ id: 1 }]);
  await assert.rejects(client.query("DELETE FROM archive_2020"), { code: "42501", message: refusal.message, hint: refusal.hint });
  await assert.rejects(client.query("DELETE FROM archive_2020 WHERE id = $1", [1]), { code: "42501" });
  assert.deepEqual((await client.query("SELECT count(*)::int AS n FROM archive_2020")).rows, [{ n: 1 }]);
});
