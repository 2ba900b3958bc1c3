// Several plugins: asked in the order of the configuration, once each; the first that decides a role or a shard decides it.
import { createServer } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { commandTags, errorIn, rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { createCallLog } from "./call-log.js";
import { cargoLibrary, recorder, script, verdicts } from "./plugin-libraries.js";
import { again, batch, placeIn, port, prepare, type Rig, type RigOptions, run, shortly, startRig } from "./rig.js";

/** A pooler for one test. */
async function withRig(options: RigOptions, use: (rig: Rig) => Promise<void>): Promise<void> {
  const rig = await startRig(options);
  try {
    await use(rig);
  } finally {
    await rig.disconnectAll();
    await rig.stop();
  }
}

/** A pooler for all tests of a group. */
function shareRig(options: () => RigOptions): Pick<Rig, "client" | "console"> {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startRig(options());
  });
  afterEach(() => rig.disconnectAll());
  afterAll(() => rig.stop());
  return { client: (parameters) => rig.client(parameters), console: (command) => rig.console(command) };
}

const log = createCallLog();
afterAll(() => log.remove());
const scripts = (...names: readonly string[]) => names.map((name) => ({ as: name, library: script(), config: { name, file: log.file } }));

describe("the order of the calls is the order of the configuration", () => {
  const permutations = [
    ["a", "b", "c"],
    ["a", "c", "b"],
    ["b", "a", "c"],
    ["b", "c", "a"],
    ["c", "a", "b"],
    ["c", "b", "a"],
  ];

  test.each(permutations.map((order) => [order.join(" "), order] as const))("%s", (_, order) =>
    withRig({ plugins: order.map((name) => ({ as: name, library: recorder(), config: { name } })) }, async ({ client, console }) => {
      const one = await client();
      await one.query("SELECT 'simple'");
      await batch(one, run("SELECT 'extended', $1", { values: ["x"] }));
      await one.query("BEGIN");
      await one.query("SELECT 'in a transaction'");
      await one.query("COMMIT");
      const rows = rowsOf(await one.query("SELECT 'recorder'")).filter((row) => row[1] === "route");
      const calls = rows.map(([name, , , , sql]) => `${name}: ${sql}`);
      const statements = ["SELECT 'simple'", "SELECT 'extended', $1", "BEGIN", "SELECT 'in a transaction'", "COMMIT"];
      expect(calls).toEqual(statements.flatMap((sql) => order.map((name) => `${name}: ${sql}`)));
      const shown = await console("SHOW PLUGINS");
      expect(shown.map(({ position, name, plugin }) => [position, name, plugin])).toEqual(
        order.map((name, index) => [String(index + 1), `./${name}`, "fixture-recorder"]),
      );
      // The first one also answered the question itself.
      expect(shown.map(({ calls: count }) => count)).toEqual(["6", "5", "5"]);
    }),
  );
});

test("SHOW PLUGINS counts calls, verdicts, errors and time of each", async () => {
  const plugins = [
    { as: "verdicts", library: verdicts(), onError: "skip" },
    { as: "panic", library: cargoLibrary("fixture_panic") },
  ] as const;
  await withRig({ plugins }, async ({ client, console }) => {
    const one = await client();
    await one.query("SELECT 1");
    await one.query("SELECT /* verdict: forward write 1 */ 1");
    await one.query("SELECT /* verdict: forward open 1 */ 1");
    await one.query("SELECT /* verdict: error 22023 no */ 1");
    await one.query("SELECT /* verdict: rewrite SELECT 2 */ 1");
    await one.query("SELECT /* verdict: intercept */ 1");
    await one.query("SELECT /* verdict: fail broken */ 1");
    await one.query("SELECT 'panic'");
    const [first, second] = await console("SHOW PLUGINS");
    expect(first).toMatchObject({
      position: "1",
      name: "./verdicts",
      plugin: "fixture-verdicts",
      abi: expect.stringMatching(/^1\.\d$/) as unknown as string,
      hooks: "route_query",
      capabilities: "every_statement",
      on_error: "skip",
      calls: "8",
      errors: "1",
      verdict_skip: "2",
      verdict_forward: "2",
      verdict_error: "1",
      verdict_rewrite: "1",
      verdict_intercept: "1",
    });
    // Not asked about what was refused, answered, or decided altogether.
    expect(second).toMatchObject({ position: "2", name: "./panic", on_error: "fail", calls: "5", errors: "1", verdict_skip: "4" });
    expect(Number(first?.["total_time"])).toBeGreaterThan(0);
    expect(Number(first?.["avg_time"])).toBeGreaterThan(0);
  });
});

describe("the first that decides", () => {
  const rig = shareRig(() => ({ plugins: scripts("a", "b", "c") }));
  const decide = (what: string, sql = `SELECT ${port}`): string => sql.replace(" ", ` ${what} `);
  const open = 0;
  const write = 1;
  const read = 2;
  const anyShard = 0xffff_ffff;

  test("role and shard are decided apart, by whoever says them first", async () => {
    const one = await rig.client();
    const cases: readonly (readonly [string, string, readonly string[]])[] = [
      [`/*a: forward ${read} ${anyShard}*/ /*b: forward ${open} 1*/`, "1 replica", ["a", "b"]],
      [`/*a: forward ${open} 1*/ /*b: forward ${read} 0*/`, "1 replica", ["a", "b"]],
      [`/*a: forward ${write} ${anyShard}*/ /*b: forward ${read} 1*/`, "1 primary", ["a", "b"]],
      [`/*a: forward ${read} 1*/ /*b: forward ${write} 0*/`, "1 replica", ["a"]],
      [`/*b: forward ${read} 1*/ /*c: forward ${write} 0*/`, "1 replica", ["a", "b"]],
      [`/*a: forward ${open} ${anyShard}*/ /*c: forward ${read} 1*/`, "1 replica", ["a", "b", "c"]],
      [`/*a: forward ${open} 0*/ /*b: forward ${open} 1*/ /*c: forward ${read} 1*/`, "0 replica", ["a", "b", "c"]],
    ];
    for (const [verdicts, place, asked] of cases) {
      for (const ask of [(sql: string) => one.query(sql), (sql: string) => batch(one, run(sql))]) {
        log.clear();
        expect(placeIn(await ask(decide(verdicts))), verdicts).toBe(place);
        expect(log.calls().map((call) => call.slice(0, 1))).toEqual(asked);
      }
    }
  });

  test("a plugin that only routes is asked about the first statement of a transaction and no other", async () => {
    const one = await rig.client();
    log.clear();
    await one.query("BEGIN");
    await one.query("SAVEPOINT s");
    await one.query("SELECT 1");
    await one.query("SELECT 2");
    await batch(one, run("SELECT 3"));
    await one.query("COMMIT");
    expect(log.calls()).toEqual(["a: SELECT 1", "b: SELECT 1", "c: SELECT 1"]);
  });

  test("a primary of an explicit transaction is decided, the shard is not", async () => {
    const one = await rig.client();
    await one.query("BEGIN");
    expect(placeIn(await one.query(decide(`/*a: forward ${read} 1*/ /*b: forward ${read} 0*/`)))).toBe("1 primary");
    await one.query("COMMIT");
  });
});

describe("each statement is asked about once", () => {
  const primary = sharedShards()[0]?.primary ?? "";
  let unreachable = "";
  beforeAll(async () => {
    const nobody = createServer();
    await new Promise<void>((listening) => nobody.listen(0, "127.0.0.1", listening));
    const url = new URL(primary);
    url.port = String((nobody.address() as { port: number }).port);
    unreachable = url.href;
    await new Promise((closed) => nobody.close(closed));
  });
  const rig = shareRig(() => ({
    plugins: scripts("a"),
    databases: {
      app: { shards: sharedShards(), pool_size: 2 },
      narrow: { url: primary, pool_size: 1 },
      halved: { url: primary, replicas: [unreachable], pool_size: 2 },
    },
  }));

  test("whatever way it is run", async () => {
    const one = await rig.client();
    log.clear();
    await one.query("SELECT 1; SELECT 2; SELECT 3");
    await batch(one, run("SELECT 4"), run("SELECT 5"));
    await prepare(one, "p", "SELECT 6");
    await batch(one, again({ name: "p", describe: "portal" }), again({ name: "p" }));
    const asked = [1, 2, 3, 4, 5].map((n) => `a: SELECT ${n}`);
    expect(log.calls()).toEqual([...asked, "a prepare: SELECT 6", "a: SELECT 6", "a: SELECT 6"]);
  });

  test("when it has to wait for a server", async () => {
    const [holder, waiter, other] = await Promise.all([1, 2, 3].map(() => rig.client({ database: "narrow" })));
    if (holder === undefined || waiter === undefined || other === undefined) throw new Error("three clients");
    await holder.query("BEGIN; SELECT 1");
    log.clear();
    const answers = [waiter.query("SELECT 'waited'"), batch(other, run("SELECT 'waited, too'"))];
    for (;;) {
      const pools = await rig.console("SHOW POOLS");
      if (pools.reduce((sum, pool) => sum + Number(pool["cl_waiting"]), 0) === 2) break;
    }
    await holder.query("COMMIT");
    for (const answer of await Promise.all(answers)) expect(commandTags(answer)).toEqual(["SELECT 1"]);
    expect(log.calls().sort()).toEqual(["a: SELECT 'waited'", "a: SELECT 'waited, too'"]);
  });

  test("when the replica that it goes to is down and the primary serves it", async () => {
    const one = await rig.client({ database: "halved" });
    log.clear();
    const sql = `SELECT /*a: forward 2 0*/ ${port}`;
    expect(placeIn(await one.query(sql))).toBe("0 primary");
    expect(placeIn(await batch(one, run(sql)))).toBe("0 primary");
    expect(log.calls()).toEqual([`a: ${sql}`, `a: ${sql}`]);
  });

  test("when its plan no longer fits and it is sent again", async () => {
    const one = await rig.client();
    await one.query("CREATE TABLE IF NOT EXISTS plugins_replan (a int)");
    const sql = "SELECT * FROM plugins_replan";
    await prepare(one, "p", sql);
    await batch(one, again({ name: "p" }));
    await one.query("ALTER TABLE plugins_replan ADD COLUMN b int");
    log.clear();
    expect(shortly(await batch(one, again({ name: "p" })))).toBe("2 C(SELECT 0) Z(I)");
    expect(log.calls()).toEqual([`a: ${sql}`]);
    expect(errorIn(await one.query("DROP TABLE plugins_replan"))).toBeUndefined();
  });
});
