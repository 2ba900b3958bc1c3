// query_end: what plugins hear of statements that have ended, whoever answered them and however they ended; and that nobody is hurt by one
// that fails.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import { createHookLog } from "./hook-rig.js";
import { hooks, verdicts } from "./plugin-libraries.js";
import { again, batch, flush, onAllShards, prepare, type Rig, run, startRig, sync } from "./rig.js";

const log = createHookLog();
let rig: Rig;
beforeAll(async () => {
  await onAllShards("DROP TABLE IF EXISTS ended; CREATE TABLE ended (id int4)");
  rig = await startRig({
    plugins: [
      { as: "verdicts", library: verdicts() },
      { as: "hooks", library: hooks(), config: { file: log.file } },
    ],
  });
});
beforeEach(() => log.clear());
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await rig.stop();
  log.remove();
});

/** Without duration and user: SQL, protocol, rows, tag, SQLSTATE, message, route, flags. */
async function ends(count: number): Promise<string[][]> {
  const calls = await log.until("query_end", count);
  expect(calls).toHaveLength(count);
  for (const call of calls) expect(Number(call[8])).toBeGreaterThanOrEqual(0);
  for (const call of calls) expect(call[9]).toBe("app");
  return calls.map((call) => call.slice(0, 8));
}

test("a simple query: text, rows, tag and route", async () => {
  const client = await rig.client();
  await client.query("SELECT i FROM generate_series(1, 7) i");
  await client.query("SELECT /* verdict: forward read 1 */ 1");
  await client.query("INSERT INTO ended VALUES (1), (2)");
  expect(await ends(3)).toEqual([
    ["SELECT i FROM generate_series(1, 7) i", "Simple", "7", "SELECT 7", "", "", "primary 0", ""],
    ["SELECT /* verdict: forward read 1 */ 1", "Simple", "1", "SELECT 1", "", "", "replica 1", ""],
    ["INSERT INTO ended VALUES (1), (2)", "Simple", "2", "INSERT 0 2", "", "", "primary 0", ""],
  ]);
});

test("durations are those of the statements", async () => {
  const client = await rig.client();
  await client.query("SELECT pg_sleep(0.2)");
  await client.query("SELECT pg_sleep(0.1); SELECT 1");
  await ends(3);
  const durations = log.calls("query_end").map((call) => Number(call[8]));
  expect(durations[0]).toBeGreaterThan(195_000);
  expect(durations[0]).toBeLessThan(2_000_000);
  expect(durations[1]).toBeGreaterThan(95_000);
});

test("each statement of a string, up to the one that fails", async () => {
  const client = await rig.client();
  await client.query("SELECT 1; SELECT 1/0; SELECT 3");
  expect(await ends(2)).toEqual([
    ["SELECT 1", "Simple", "1", "SELECT 1", "", "", "primary 0", ""],
    ["SELECT 1/0", "Simple", "0", "", "22012", "division by zero", "primary 0", ""],
  ]);
});

test("extended batches: each execution, suspended ones, failed ones", async () => {
  const client = await rig.client();
  await prepare(client, "p", "SELECT i FROM generate_series(1, $1::int4) i");
  await client.query("BEGIN");
  log.clear();
  await batch(client, again({ name: "p", values: ["5"], rows: 2, portal: "c" }), again({ name: "p", values: ["3"] }));
  await batch(client, messages.execute({ portal: "c", rows: 10 }));
  await batch(client, run("SELECT 1/$1::int4", { values: ["0"] }));
  await client.query("ROLLBACK");
  const sql = "SELECT i FROM generate_series(1, $1::int4) i";
  expect(await ends(5)).toEqual([
    [sql, "Extended", "2", "", "", "", "primary 0", "suspended"],
    [sql, "Extended", "3", "SELECT 3", "", "", "primary 0", ""],
    [sql, "Extended", "3", "SELECT 3", "", "", "primary 0", ""],
    ["SELECT 1/$1::int4", "Extended", "0", "", "22012", "division by zero", "primary 0", ""],
    ["ROLLBACK", "Simple", "0", "ROLLBACK", "", "", "primary 0", ""],
  ]);
});

test("a batch in parts, and one whose text the server refuses", async () => {
  const client = await rig.client();
  client.send(run("SELECT 1"), flush);
  await client.until("C");
  client.send(run("SELECT 2"), sync);
  await client.until("Z");
  await batch(client, run("SELECT nonsense"));
  expect((await ends(3)).map(([sql, , rows, , state]) => [sql, rows, state])).toEqual([
    ["SELECT 1", "1", ""],
    ["SELECT 2", "1", ""],
    ["SELECT nonsense", "0", "42703"],
  ]);
});

describe("without a server", () => {
  test("a plugin refuses, intercepts and rewrites", async () => {
    const client = await rig.client();
    for (const verdict of ["error 22023 no", "intercept", "rewrite SELECT 42"]) await client.query(`SELECT /* verdict: ${verdict} */ 1`);
    await batch(client, run("SELECT /* verdict: error 22023 no */ $1::text", { values: ["1"] }));
    const said = (await ends(4)).map((call) => call.slice(2));
    expect(said).toEqual([
      ["0", "", "22023", "no", "local", ""],
      ["2", "SELECT 2", "", "", "local", ""],
      ["1", "SELECT 1", "", "", "primary 0", "rewritten"],
      ["0", "", "22023", "no", "local", ""],
    ]);
  });

  test("transaction control is held, and heard of once", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    await client.query("SELECT 1");
    await client.query("COMMIT");
    expect((await ends(3)).map(([sql, , , tag, , , route]) => [sql, tag, route])).toEqual([
      ["BEGIN", "", "local"],
      ["SELECT 1", "SELECT 1", "primary 0"],
      ["COMMIT", "COMMIT", "primary 0"],
    ]);
  });
});

test("a server that goes is how the statement ended", async () => {
  const client = await rig.client();
  expect(errorIn(await client.query("SELECT pg_terminate_backend(pg_backend_pid())"))).toBeDefined();
  expect((await ends(1)).map(([, , , , state]) => state)).toEqual(["57P01"]);
});

describe.each(["fail", "panic"])("a plugin that %ss in query_end", (how) => {
  test("hurts nobody, is counted, and does not flood the log", async () => {
    const failing = await startRig({ plugins: [{ as: "hooks", library: hooks(), config: { [how]: "query_end" } }] });
    const client = await failing.client();
    for (let i = 0; i < 100; i++) expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    const [row] = await failing.console("SHOW PLUGINS");
    expect(row).toMatchObject({ calls_query_end: "100", errors_query_end: "100", errors: "0" });
    expect(failing.pooler.log.filter(({ msg }) => msg?.includes('plugin "./hooks" failed in query_end')).length).toBeLessThan(10);
    await failing.disconnectAll();
    await failing.stop();
  });
});
