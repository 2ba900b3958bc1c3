// Plugins in JavaScript in the running pooler, mixed with native ones in one chain: every verdict in both protocols, and failures that
// carry the plugin's name.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { errorIn, rowsOf, typesOf } from "../harness/backend-message.js";
import { runPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { messages } from "../harness/wire-client.js";
import { byCustomer, hooks } from "./plugin-libraries.js";
import { batch, int8, placeIn, port, type Rig, run, startRig } from "./rig.js";

const js = fileURLToPath(new URL("../../../packages/plugin-abi/dist/js/index.js", import.meta.url));

const source = `
import { accept, definePlugin, forward, intercept, refuse, rewrite } from ${JSON.stringify(js)};

let ends = 0;
export default definePlugin({
  name: "switchboard",
  version: "3.2.1",
  capabilities: ["every_statement", "facts"],
  create: (config) => {
    if (config.refuse) throw new Error("config: refuse: as you like");
    return { shard: config.shard ?? 1, mask: "***" };
  },
  route({ statement, session, parameters }, state) {
    const { sql } = statement;
    if (sql.includes("'to the state'")) return forward({ shard: state.shard });
    if (sql.includes("'by parameter'")) return forward({ shard: Number(parameters[0]?.text ?? 0) });
    if (sql.includes("'read'")) return forward({ role: "read", shard: 0 });
    if (sql.includes("'refuse'")) return refuse("no, " + session.user, { sqlstate: "42501", hint: "Ask." });
    if (sql.includes("'masked'")) return { verdict: "skip", showRows: true };
    if (sql.includes("'later'")) setTimeout(() => { throw new Error("nobody catches this") }, 0);
    if (sql.includes("'throw'")) throw new Error("as asked: ü");
    if (sql.includes("'promise'")) return Promise.resolve(undefined);
    if (sql.includes("'nonsense'")) return { verdict: "forward", shard: 99 };
    if (sql === "SELECT * FROM elsewhere") return rewrite("SELECT 'from here' AS place");
    if (sql === "SELECT $1::int8 AS doubled") return rewrite("SELECT $1::int8 * 2 AS doubled", parameters.map(({ bytes, text }) => text ?? bytes));
    if (sql === "SHOW ends") return intercept({ columns: ["ends", { name: "none", typeOid: 23 }], rows: [[ends, null]], commandTag: "SHOW" });
    if (sql === "SHOW much") return intercept({ columns: ["n"], rows: Array.from({ length: 20000 }, (_, n) => [n]) });
    return undefined;
  },
  queryEnd: () => { ends += 1; },
  resultRow({ columns, values }, state) {
    if (values[0]?.toString() === "2") return "drop";
    if (values[0]?.toString() === "9") throw new Error("not this row");
    return columns.map(({ name }) => (name === "secret" ? state.mask : undefined));
  },
  reload(config, state) {
    if (config.refuse) throw new Error("config: refuse: not now");
    Object.assign(state, config);
  },
  clientConnect: ({ askedUser }) => (askedUser === "stranger" ? refuse("strangers stay out", { sqlstate: "28000" }) : accept({})),
});
`;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    plugins: [
      { package: "./switchboard.mjs", config: { shard: 1 } },
      { as: "by-customer", library: byCustomer() },
      { as: "hooks", library: hooks() },
    ],
    prepare: (folder) => writeFileSync(join(folder, "switchboard.mjs"), source),
  });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

test("forward, by state, text and binary parameter, also to a replica", async () => {
  const client = await rig.client();
  expect(placeIn(await client.query(`SELECT ${port}, 'to the state'`))).toBe("1 primary");
  expect(placeIn(await client.query(`SELECT ${port}, 'read'`))).toBe("0 replica");
  expect(placeIn(await batch(client, run(`SELECT ${port}, $1::int8, 'by parameter'`, { values: ["1"] })))).toBe("1 primary");
  expect(placeIn(await batch(client, run(`SELECT ${port}, $1::int8, 'by parameter'`, { values: ["0"] })))).toBe("0 primary");
});

test("what it leaves open the native plugin behind it decides", async () => {
  const client = await rig.client();
  expect(placeIn(await batch(client, run(`SELECT ${port}, $1::int8`, { values: [int8(3)] })))).toBe("1 primary");
  expect(errorIn(await client.query("DROP TABLE nothing"))).toMatchObject({ M: "nothing is dropped here" });
});

test("error, in both protocols", async () => {
  const client = await rig.client();
  const refusal = { C: "42501", M: "no, app", H: "Ask." };
  expect(errorIn(await client.query("SELECT 'refuse'"))).toMatchObject(refusal);
  expect(errorIn(await batch(client, run("SELECT 'refuse'")))).toMatchObject(refusal);
});

test("rewrite, with and without parameters", async () => {
  const client = await rig.client();
  expect(rowsOf(await client.query("SELECT * FROM elsewhere"))).toEqual([["from here"]]);
  expect(rowsOf(await batch(client, run("SELECT $1::int8 AS doubled", { values: ["21"], describe: "statement" })))).toEqual([["42"]]);
});

test("intercept, small and larger than any frame was", async () => {
  const client = await rig.client();
  await client.query("SELECT 1");
  const shown = await client.query("SHOW ends");
  expect(Number(rowsOf(shown)[0]?.[0])).toBeGreaterThan(0);
  expect(shown.at(-2)?.toString()).toBe("C(SHOW)");
  const much = rowsOf(await batch(client, run("SHOW much", { describe: "statement" })));
  expect(much).toHaveLength(20_000);
  expect(much.at(-1)).toEqual(["19999"]);
});

test.each([
  ["throw", /^plugin ".\/switchboard.mjs" failed: Error: as asked: ü \(at .*switchboard\.mjs:\d+:\d+\)$/],
  ["promise", /failed: its answer is malformed: it is a promise: plugins answer at once$/],
  ["nonsense", /failed: its answer is malformed: shard is 99, the cluster has 2$/],
])("a failure (%s) fails the query, and nothing else", async (what, message) => {
  const client = await rig.client();
  const failed = await client.query(`SELECT '${what}'`);
  expect(errorIn(failed)).toMatchObject({ C: "XX000", M: expect.stringMatching(message) });
  expect(typesOf(failed)).toBe("EZ");
  expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
});

const secrets = "SELECT id, 'secret ' || id AS secret, id * 10 AS n, 'masked' FROM generate_series(1, 3) id";

test("rows are masked and dropped, in both protocols, and a native plugin sees what is left", async () => {
  const client = await rig.client();
  const masked = [
    ["1", "***", "10", "masked"],
    ["3", "***", "30", "masked"],
  ];
  expect(rowsOf(await client.query(secrets))).toEqual(masked);
  expect(rowsOf(await batch(client, run(secrets)))).toEqual(masked);
  // The library is the third of the chain, and looks at rows after the module.
  const both = await client.query(secrets.replace("SELECT", "SELECT /* rows: drop 3 */"));
  expect(rowsOf(both)).toEqual(masked.slice(0, 1));
  expect(both.at(-2)?.toString()).toBe("C(SELECT 1)");
});

test("a row that it fails at does not reach the client, nor does any behind it", async () => {
  const client = await rig.client();
  const failed = await client.query(secrets.replace("(1, 3)", "(7, 11)"));
  expect(rowsOf(failed).map(([id]) => id)).toEqual(["7", "8"]);
  expect(errorIn(failed)).toMatchObject({ C: "XX000", M: expect.stringMatching(/failed: Error: not this row/) });
  expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
});

test("reload takes another configuration, or refuses it and keeps the one before", async () => {
  const client = await rig.client();
  const reload = async (config: Readonly<Record<string, unknown>>): Promise<string> => {
    const [module, ...others] = rig.config["plugins"] as readonly Record<string, unknown>[];
    rig.pooler.writeConfig({ ...rig.config, plugins: [{ ...module, config }, ...others] });
    const admin = await rig.client({ user: "admin", database: "pooler" });
    const answer = await admin.query("RELOAD");
    return errorIn(answer)?.["M"] ?? "taken";
  };
  const mask = async (): Promise<unknown> => rowsOf(await client.query(secrets))[0]?.[1];
  expect(await reload({ shard: 1, mask: "---" })).toBe("taken");
  expect(await mask()).toBe("---");
  expect(await reload({ shard: 1, mask: "+++", refuse: true })).toMatch(
    /"\.\/switchboard\.mjs" refused it: Error: config: refuse: not now/,
  );
  expect(await mask()).toBe("---");
  expect(await reload({ shard: 1, mask: "***" })).toBe("taken");
});

test("the console shows it like any other", async () => {
  const shown = await rig.console("SHOW PLUGINS");
  expect(shown[0]).toMatchObject({ name: "./switchboard.mjs", plugin: "switchboard", version: "3.2.1" });
});

test("clientConnect refuses", async () => {
  await expect(rig.client({ user: "stranger" })).rejects.toThrow(/strangers stay out/);
});

test("what it throws when no hook is running ends its worker, and the next one serves", async () => {
  const [before] = await rig.console("SHOW WORKERS");
  const client = await rig.client();
  client.send(messages.query("SELECT 'later'"));
  await client.closed;
  const told = await rig.pooler.untilLog(({ event }) => event === "worker gone");
  expect(told["msg"]).toMatch(/ended with exit code 1; a new one is started/);
  expect(rig.pooler.log.some(({ msg }) => msg?.includes("nobody catches this"))).toBe(true);
  const next = await rig.client();
  expect(rowsOf(await next.query("SELECT 1"))).toEqual([["1"]]);
  const [after] = await rig.console("SHOW WORKERS");
  expect(after?.["pid"]).not.toBe(before?.["pid"]);
});

test.each([
  ["export default {};", /the default export of its module is no plugin/],
  ["export default definePlugin;", /its module cannot be loaded: definePlugin is not defined/],
  [`${source.replace("config.refuse", "true")}`, /cannot be used: config: refuse: as you like/],
])("a module that is no plugin, or refuses, stops the start: %#", async (text, message) => {
  const finished = await runPooler(["start"], {
    config: {
      listen: { auth: "trust" },
      users: { app: { server_user: "postgres" } },
      databases: { app: { shards: sharedShards() } },
      plugins: [{ name: "./wrong.mjs" }],
    },
    prepare: (folder) => writeFileSync(join(folder, "wrong.mjs"), text),
  });
  expect(finished.code).toBe(1);
  expect(finished.stderr + finished.stdout).toMatch(message);
});
