import { constants, structs } from "@pooler/plugin-abi";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createRig as createAnyRig, createFacts, parametersOf, type Rig } from "../../fixtures/chain-rig.js";
import { createPluginCompiler } from "../../fixtures/compile-plugin.js";
import { PoolerError } from "../base/errors.js";
import type { OnPluginError } from "../config/types.js";
import type { StatementFacts } from "../sql/types.js";

const { POOLER_ROLE_OPEN: open, POOLER_ROLE_WRITE: write, POOLER_ROLE_READ: read } = constants;
const { POOLER_SHARD_OPEN: anyShard, POOLER_SHARD_ALL: allShards } = constants;
const kinds = { route: 0, inspect: constants.POOLER_CAP_INSPECT, every: constants.POOLER_CAP_EVERY_STATEMENT } as const;
type Kind = keyof typeof kinds;

const compiler = createPluginCompiler();
const rigs: Rig[] = [];
/** The text of an open shard, as the puppet reads it. */
const none = "ffffffff";

beforeAll(() => {
  for (const kind of ["route", "inspect", "every"] as const) puppet(kind);
});
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.dispose();
});
afterAll(() => compiler.dispose());

function puppet(kind: Kind, more: Readonly<Record<string, string>> = {}): string {
  return compiler.compile("puppet", { CAPABILITIES: String(kinds[kind]), ...more });
}

/** A chain of puppets: { a: "route", b: "inspect" }. */
function createRig(
  plugins: Readonly<Record<string, Kind | { kind: Kind; onError: OnPluginError }>>,
  facts?: (sql: string) => StatementFacts,
): Rig {
  const entries = Object.entries(plugins).map(([name, what]) =>
    typeof what === "string" ? { name, library: puppet(what) } : { name, library: puppet(what.kind), onError: what.onError },
  );
  const rig = createAnyRig(entries, facts);
  rigs.push(rig);
  return rig;
}

/** What the puppet was called for. */
const logOf = (rig: Rig, name: string) => rig.ask(`${name}:log`).error?.message;
const callsOf = (rig: Rig) => Object.fromEntries(rig.chain.stats().map((stats) => [stats.name, stats.calls]));

describe("merging routes", () => {
  it("asks in chain order and keeps what the first one decided", () => {
    const sql = "a:forward 2 1;b:forward 1 0";
    expect(createRig({ a: "route", b: "route" }).ask(sql)).toMatchObject({ outcome: "route", role: read, shard: 1, plugin: "a" });
    expect(createRig({ b: "route", a: "route" }).ask(sql)).toMatchObject({ outcome: "route", role: write, shard: 0, plugin: "b" });
  });

  it("takes the role of one plugin and the shard of another", () => {
    const rig = createRig({ a: "route", b: "route" });
    expect(rig.ask(`a:forward 2 ${none};b:forward 1 1`)).toMatchObject({ role: read, shard: 1, plugin: "b" });
    expect(rig.ask("a:forward 0 1;b:forward 2 0")).toMatchObject({ role: read, shard: 1 });
  });

  it("leaves open what nobody decides, and hands on all shards", () => {
    const rig = createRig({ a: "route" });
    expect(rig.ask("a:skip")).toMatchObject({ outcome: "route", role: open, shard: anyShard, plugin: "" });
    expect(rig.ask("a:forward 1 fffffffe")).toMatchObject({ role: write, shard: allShards });
  });

  it("does not ask a plugin that only routes when role and shard are decided", () => {
    const rig = createRig({ a: "route", b: "route", c: "inspect", d: "every" });
    rig.ask("a:forward 1 0");
    expect(callsOf(rig)).toEqual({ a: 1, b: 0, c: 1, d: 0 });
    rig.ask("nothing", { role: write, shard: 1 });
    expect(callsOf(rig)).toEqual({ a: 1, b: 0, c: 2, d: 0 });
    rig.ask("nothing", { role: write });
    expect(callsOf(rig)).toEqual({ a: 2, b: 1, c: 3, d: 1 });
  });

  it("does not let a plugin move a role that the transaction has", () => {
    expect(createRig({ a: "route" }).ask("a:forward 2 1", { role: write })).toMatchObject({ outcome: "route", role: write, shard: 1 });
  });

  it("answers with what the request said when there are no plugins", () => {
    const rig = createRig({});
    expect(rig.chain).toMatchObject({ size: 0, wantsFacts: false, wantsEveryStatement: false, inspects: false });
    expect(rig.ask("SELECT 1", { role: write })).toMatchObject({ outcome: "route", role: write, shard: anyShard });
  });

  it("says what the plugins want to see", () => {
    expect(createRig({ a: "route" }).chain).toMatchObject({ wantsFacts: false, wantsEveryStatement: false, inspects: false });
    expect(createRig({ a: "every" }).chain).toMatchObject({ wantsFacts: false, wantsEveryStatement: true, inspects: false });
    expect(createRig({ a: "inspect" }).chain).toMatchObject({ wantsFacts: false, wantsEveryStatement: true, inspects: true });
  });
});

describe("a transaction under way", () => {
  const underWay = { firstStatement: false, inTransaction: true, role: write, shard: 1 } as const;

  it("asks only those who want every statement", () => {
    const rig = createRig({ a: "route", b: "every", c: "inspect" });
    rig.ask("nothing", underWay);
    expect(callsOf(rig)).toEqual({ a: 0, b: 1, c: 1 });
  });

  it("takes a forward to where it is, or to anywhere", () => {
    const rig = createRig({ a: "every" });
    for (const sql of ["a:forward 1 1", `a:forward 0 ${none}`, `a:forward 1 ${none}`, "a:forward 0 1"]) {
      expect(rig.ask(sql, underWay), sql).toMatchObject({ outcome: "route", role: write, shard: 1 });
    }
  });

  it.each([["a:forward 2 1"], ["a:forward 1 0"], ["a:forward 1 fffffffe"]])("refuses to move it: %s", (sql) => {
    const { outcome, error, plugin } = createRig({ a: "every" }).ask(sql, underWay);
    expect({ outcome, plugin }).toEqual({ outcome: "error", plugin: "a" });
    expect(error).toMatchObject({ sqlstate: "25001", failed: false });
    expect(error?.message).toContain('plugin "a"');
    expect(error?.detail).toContain("the primary of shard 1");
  });

  it("lets them reject, rewrite and intercept", () => {
    const rig = createRig({ a: "every" });
    expect(rig.ask("a:error 42501 no", underWay)).toMatchObject({
      outcome: "error",
      error: { sqlstate: "42501", message: "no", failed: false },
    });
    expect(rig.ask("a:rewrite[SELECT 2]", underWay).rewritten?.sql.toString()).toBe("SELECT 2");
    expect(rig.ask("a:intercept SHOW", underWay)).toMatchObject({ outcome: "intercept", intercept: { commandTag: "SHOW" } });
  });
});

describe("a driver that only prepares", () => {
  const prepareOnly = { prepareOnly: true, extended: true } as const;

  it("ignores routes, and gives no parameters", () => {
    const rig = createRig({ a: "route", b: "route" });
    const parameters = parametersOf([{ value: "1" }]);
    const asked = rig.ask("a:forward 2 1;b:echo", { ...prepareOnly, parameters });
    expect(asked).toMatchObject({ outcome: "route", role: open, shard: anyShard, plugin: "" });
    expect(callsOf(rig)).toEqual({ a: 1, b: 1 });
  });

  it("takes an error only from a plugin that inspects", () => {
    const rig = createRig({ a: "route", b: "inspect" });
    expect(rig.ask("a:error 22023 no key", prepareOnly).outcome).toBe("route");
    expect(rig.ask("a:error 22023 no key;b:error 42501 never", prepareOnly)).toMatchObject({ outcome: "error", plugin: "b" });
  });

  it("takes rewrites, intercepts and failures", () => {
    const rig = createRig({ a: "route" });
    expect(rig.ask("a:rewrite[SELECT 2]", prepareOnly).rewritten?.sql.toString()).toBe("SELECT 2");
    expect(rig.ask("a:intercept SHOW", prepareOnly).outcome).toBe("intercept");
    expect(rig.ask("a:status -1", prepareOnly)).toMatchObject({ outcome: "error", error: { failed: true } });
  });
});

describe("a refusal", () => {
  it("ends the asking", () => {
    const rig = createRig({ a: "route", b: "inspect" });
    expect(rig.ask("a:error 42P01 not here;b:error 42501 never")).toMatchObject({
      outcome: "error",
      plugin: "a",
      error: { sqlstate: "42P01", message: "not here", detail: null, hint: null, failed: false },
    });
    expect(callsOf(rig)).toEqual({ a: 1, b: 0 });
  });
});

describe("a rewrite", () => {
  it("is what later plugins see, with a flag, and what the decision carries", () => {
    const rig = createRig({ a: "route", b: "route" });
    const asked = rig.ask("a:rewrite[b:echo]");
    expect(asked.rewritten).toBe(rig.statement("b:echo"));
    expect(asked.error?.message).toContain("flags=0x44");
    expect(asked.error?.message).toContain("sql='b:echo'");
  });

  it("keeps the client's parameters unless it gives all of them", () => {
    const rig = createRig({ a: "route", b: "route" });
    const parameters = parametersOf([{ value: "client's", typeOid: 20 }]);
    const kept = rig.ask("a:rewrite[b:echo]", { parameters });
    expect(kept.rewrittenParameters).toBeNull();
    expect(kept.error?.message).toContain("parameter format=0 oid=20 flags=0 'client's'");
    const given = rig.ask("a:rewrite with parameters[b:echo]", { parameters });
    expect(given.rewrittenParameters).toEqual({ values: [Buffer.from("new value"), null], formats: [0, 1], typeOids: [25, 0] });
    expect(given.error?.message).toContain("parameter format=0 oid=25 flags=0 'new value'\nparameter format=1 oid=0 flags=1 -\n");
    expect(given.error?.message).not.toContain("client's");
  });

  it("is shown to inspecting plugins that were asked before, and to no other", () => {
    const rig = createRig({ i: "inspect", a: "route", b: "route", j: "inspect" });
    rig.ask("b:rewrite[SELECT 2]");
    expect(callsOf(rig)).toEqual({ i: 2, a: 1, b: 1, j: 1 });
    expect(logOf(rig, "i")).toContain("route 1, ");
    expect(logOf(rig, "i")).toContain("route rewritten 2");
  });

  it("can be refused by an inspecting plugin that stands earlier", () => {
    const rig = createRig({ i: "inspect", a: "route" });
    expect(rig.ask("a:rewrite[i:error 42501 not this either]")).toMatchObject({
      outcome: "error",
      plugin: "i",
      error: { message: "not this either" },
    });
  });

  it("is not shown to the plugin that made it", () => {
    const rig = createRig({ a: "inspect" });
    rig.ask("a:rewrite[a:rewrite[SELECT 3]]");
    expect(callsOf(rig)).toEqual({ a: 1 });
  });

  it("lets plugins that were not asked yet route what it made", () => {
    const rig = createRig({ a: "route", b: "route" });
    expect(rig.ask("a:rewrite[b:forward 2 1]")).toMatchObject({ outcome: "route", role: read, shard: 1, plugin: "b" });
  });

  it("that changes nothing is none", () => {
    const rig = createRig({ a: "inspect", b: "inspect" });
    expect(rig.ask("a:same;b:same")).toMatchObject({ outcome: "route", rewritten: null, plugin: "" });
    expect(callsOf(rig)).toEqual({ a: 1, b: 1 });
  });

  it("that never ends is the failure of those who make it", () => {
    const rig = createRig({ a: "inspect", b: "inspect" });
    // "again" makes another text each time, for both.
    const { error } = rig.ask("a:again;b:again");
    expect(error).toMatchObject({ sqlstate: "XX000", failed: true });
    expect(error?.message).toMatch(/rewritten more than 8 times, by "a", "b"/);
    const calls = callsOf(rig);
    expect((calls["a"] ?? 0) + (calls["b"] ?? 0)).toBeLessThan(20);
  });

  it.each([
    ["a:rewrite[one&&two]", "holds 2 statements"],
    ["a:rewrite[&&]", "holds 0 statements"],
    ["a:rewrite[unparsable]", "cannot be parsed"],
  ])("must be one statement: %s", (sql, problem) => {
    const { error } = createRig({ a: "route" }).ask(sql);
    expect(error).toMatchObject({ sqlstate: "XX000", failed: true });
    expect(error?.message).toContain(problem);
  });
});

describe("an intercept", () => {
  it("is still shown to plugins that inspect, and to no other", () => {
    const rig = createRig({ a: "route", b: "route", i: "inspect" });
    expect(rig.ask("a:intercept SHOW")).toMatchObject({ outcome: "intercept", plugin: "a" });
    expect(callsOf(rig)).toEqual({ a: 1, b: 0, i: 1 });
    expect(rig.ask("a:intercept SHOW;i:error 42501 no")).toMatchObject({ outcome: "error", plugin: "i" });
  });

  it("of the first plugin counts", () => {
    const rig = createRig({ a: "route", i: "inspect" });
    expect(rig.ask("a:intercept 1;i:intercept 2")).toMatchObject({ plugin: "a", intercept: { commandTag: "1" } });
  });

  it("falls when an inspecting plugin rewrites the statement that it answers", () => {
    const rig = createRig({ a: "route", b: "route", i: "inspect" });
    const asked = rig.ask("a:intercept 1;i:rewrite[b:forward 1 1]");
    expect(asked).toMatchObject({ outcome: "route", intercept: null, shard: 1 });
    expect(asked.rewritten?.sql.toString()).toBe("b:forward 1 1");
    expect(callsOf(rig)).toEqual({ a: 1, b: 1, i: 1 });
  });
});

describe("a plugin that fails", () => {
  it.each([
    ["a:status -1", 'plugin "a" failed: boom'],
    ["a:status -2", 'plugin "a" failed: it panicked: boom'],
    ["a:status -3", 'plugin "a" failed: it could not read its input: boom'],
    ["a:silent -1", 'plugin "a" failed: it gave no reason'],
    ["a:silent -2", 'plugin "a" failed: it panicked'],
    ["a:status 77", 'plugin "a" failed: it returned 77, which is no status of the contract'],
    ["a:status -99", 'plugin "a" failed: it returned -99, which is no status of the contract'],
    ["a:forward 3 0", 'plugin "a" failed: its answer is malformed: role is 3'],
    ["a:forward 1 2", 'plugin "a" failed: its answer is malformed: shard is 2, the cluster has 2'],
    ["a:error 4250 short", 'plugin "a" failed: its answer is malformed: sqlstate is "4250", not five of 0-9 and A-Z'],
    ["a:error 4250a low", 'plugin "a" failed: its answer is malformed: sqlstate is "4250a", not five of 0-9 and A-Z'],
  ])("fails the query and is named: %s", (sql, message) => {
    const rig = createRig({ a: "route", b: "route" });
    expect(rig.ask(sql)).toMatchObject({
      outcome: "error",
      plugin: "a",
      error: { sqlstate: "XX000", message, detail: null, hint: null, failed: true },
    });
    expect(callsOf(rig)).toEqual({ a: 1, b: 0 });
    expect(rig.chain.stats()[0]?.errors).toBe(1);
  });

  it("is passed over when its entry says so", () => {
    const rig = createRig({ a: { kind: "route", onError: "skip" }, b: "route" });
    expect(rig.ask("a:status -2;b:forward 1 1")).toMatchObject({ outcome: "route", plugin: "b", shard: 1, error: null });
    expect(rig.ask("a:forward 9 9;b:forward 1 1")).toMatchObject({ outcome: "route", plugin: "b" });
    expect(rig.chain.stats()[0]).toMatchObject({ calls: 2, errors: 2 });
  });

  it("writes one line a second at most, and says how many it left out", () => {
    const rig = createRig({ a: "route" });
    for (let i = 0; i < 5; i++) rig.ask("a:status -1");
    expect(rig.lines).toHaveLength(1);
    rig.clock.advance(1001);
    rig.ask("a:status -1");
    expect(rig.lines).toHaveLength(2);
    expect(JSON.parse(String(rig.lines[1]))).toMatchObject({ level: "error", plugin: "a", failuresNotLogged: 4 });
  });
});

describe("an answer that does not fit", () => {
  it("is fetched with a larger frame, without asking again", () => {
    const rig = createRig({ a: "route" });
    expect(rig.ask("a:needs 5000000").error?.message).toHaveLength(5000000 - structs.pooler_output.size);
    expect(rig.chain.stats()[0]).toMatchObject({ calls: 1, verdicts: [0, 0, 1, 0, 0] });
    expect(rig.ask("a:needs 100000").error?.message).toHaveLength(100000 - structs.pooler_output.size);
  });

  it.each([
    ["a:needs 67108865", "wants 67108865 bytes, the limit is 67108864"],
    ["a:needs 100", "wants 100 bytes, it had 65536"],
    ["a:needs 70001", "still does not fit"],
  ])("has limits: %s", (sql, problem) => {
    expect(createRig({ a: "route" }).ask(sql).error).toMatchObject({ failed: true, message: expect.stringContaining(problem) });
  });

  it("needs the export that fetches it", () => {
    const rig = createAnyRig([{ name: "a", library: puppet("route", { NO_FETCH: "1" }) }]);
    rigs.push(rig);
    expect(rig.ask("a:needs 100000").error?.message).toContain("does not export pooler_fetch_output");
  });
});

describe("learning statements", () => {
  it("comes once before the first question, and is undone when the statement is forgotten", () => {
    const rig = createRig({ a: "route" });
    rig.ask("SELECT 1");
    rig.ask("SELECT 1");
    rig.chain.forget(rig.statement("SELECT 1"));
    rig.chain.forget(rig.statement("SELECT 1"));
    rig.ask("SELECT 1");
    expect(logOf(rig, "a")).toBe("learn 1, route 1, route 1, forget 1, learn 1, route 1, learn 2, route 2");
  });

  it("is done by each plugin on its own, when it is asked first", () => {
    const rig = createRig({ a: "route", b: "route" });
    rig.ask("a:forward 1 1");
    rig.ask("SELECT 2");
    rig.chain.forget(rig.statement("a:forward 1 1"));
    expect(logOf(rig, "b")).toBe("learn 2, route 2, learn 3, route 3");
  });

  it("that says that the statement is not the plugin's ends the questions about it", () => {
    const rig = createRig({ a: "route", b: "every" });
    for (const _ of [1, 2]) expect(rig.ask("not mine; a:forward 1 1")).toMatchObject({ outcome: "route", role: open, shard: anyShard });
    expect(callsOf(rig)).toEqual({ a: 0, b: 0 });
    rig.chain.forget(rig.statement("not mine; a:forward 1 1"));
    rig.ask("a:forward 1 1");
    expect(logOf(rig, "a")).toBe("learn 1, forget 1, learn 2, route 2, learn 3, route 3");
  });

  it("brings the parse tree to those who ask for it", () => {
    const library = compiler.compile("puppet", { CAPABILITIES: String(constants.POOLER_CAP_PARSE_TREE) });
    let trees = 0;
    const facts = createFacts({ parseTree: () => `{"made":${++trees}}` });
    const rig = createAnyRig(
      [
        { name: "a", library },
        { name: "p", library: puppet("route") },
        { name: "b", library },
      ],
      () => facts,
    );
    rigs.push(rig);
    expect(rig.chain.wantsFacts).toBe(true);
    rig.ask("SELECT 1");
    rig.ask("SELECT 1");
    expect(trees).toBeLessThanOrEqual(2);
    expect(logOf(rig, "b")).toMatch(/^learn with tree 1, route 1, route 1,/);
    expect(logOf(rig, "p")).toMatch(/^learn 1, route 1, route 1,/);
  });

  it("that fails fails the query, and is tried again", () => {
    const library = compiler.compile("puppet", { CAPABILITIES: String(constants.POOLER_CAP_PARSE_TREE) });
    const trees = ["refuse to learn this", "fine"];
    const rig = createAnyRig([{ name: "a", library }], () => createFacts({ parseTree: () => trees.shift() ?? "" }));
    rigs.push(rig);
    expect(rig.ask("SELECT 1").error?.message).toBe('plugin "a" failed: it could not learn the statement: refuse to learn this');
    expect(rig.ask("SELECT 1").outcome).toBe("route");
    expect(rig.chain.stats()[0]).toMatchObject({ calls: 1, errors: 1 });
  });

  it("fails the query when the parser gives up", () => {
    const library = compiler.compile("puppet", { CAPABILITIES: String(constants.POOLER_CAP_PARSE_TREE) });
    const giveUp = () => {
      throw new PoolerError("FACTS_UNAVAILABLE", "too deep");
    };
    const rig = createAnyRig([{ name: "a", library }], () => createFacts({ parseTree: giveUp }));
    rigs.push(rig);
    expect(rig.ask("SELECT 1").error).toMatchObject({ failed: true, message: expect.stringContaining("too deep") });
  });

  it("binds nobody at the same place of a chain that is made later, also not who learns nothing", () => {
    const first = createRig({ a: "route" });
    const second = createAnyRig([{ name: "a", library: puppet("route", { NO_LEARN: "1" }) }]);
    rigs.push(second);
    const sql = "not mine; a:forward 1 1";
    const statement = first.statement(sql);
    first.ask(sql);
    second.ask("", { statement });
    expect([callsOf(first), callsOf(second)]).toEqual([{ a: 0 }, { a: 1 }]);
  });

  it("begins anew for a chain that is made later over the same statements", () => {
    const first = createRig({ a: "route" });
    const second = createRig({ a: "route" });
    const statement = first.statement("SELECT 1");
    first.ask("SELECT 1");
    second.ask("", { statement });
    expect(logOf(second, "a")).toContain("learn 1, route 1");
    first.chain.forget(statement);
    expect(logOf(first, "a")).not.toContain("forget");
    second.chain.forget(statement);
    expect(logOf(second, "a")).toContain("forget 1");
  });
});

describe("counters", () => {
  it("hold calls, verdicts and failures of each plugin", () => {
    const rig = createRig({ a: "route" });
    for (const sql of ["a:skip", "a:forward 1 0", "a:error 42501 no", "a:rewrite[x]", "a:intercept 1", "a:skip", "a:status -1"])
      rig.ask(sql);
    const [stats] = rig.chain.stats();
    expect(stats).toMatchObject({
      name: "a",
      pluginName: "puppet",
      version: "1.2.3",
      abi: "1.1",
      sdk: "c",
      library: puppet("route"),
      hooks: ["route_query"],
      capabilities: [],
      calls: 7,
      errors: 1,
      verdicts: [2, 1, 1, 1, 1],
    });
    expect(stats?.latency).toHaveLength(11);
    expect(stats?.latency.reduce((sum, count) => sum + count)).toBe(7);
  });
});
