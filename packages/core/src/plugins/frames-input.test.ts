import { constants } from "@pooler/plugin-abi";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { createRig as createAnyRig, createFacts, createSession, parametersOf, type Rig, twoShards } from "../../fixtures/chain-rig.js";
import { createPluginCompiler } from "../../fixtures/compile-plugin.js";
import type { StatementFacts } from "../sql/types.js";
import type { ChainRequest } from "./types.js";

const compiler = createPluginCompiler();
const rigs: Rig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.dispose();
});
afterAll(() => compiler.dispose());

/** `a` inspects and answers "a:echo" with all that it was given. */
function createRig(facts?: (sql: string) => StatementFacts | null, capabilities: number = constants.POOLER_CAP_INSPECT): Rig {
  const rig = createAnyRig([{ name: "a", library: compiler.compile("puppet", { CAPABILITIES: String(capabilities) }) }], facts);
  rigs.push(rig);
  return rig;
}

const echo = (rig: Rig, changes: Partial<ChainRequest> = {}, sql = "a:echo") => {
  const { error } = rig.ask(sql, changes);
  expect(error?.failed, error?.message).toBe(false);
  return (error?.message ?? "").split("\n");
};

describe("what a plugin reads", () => {
  it("is the request, the statement, the session and the cluster", () => {
    expect(echo(createRig())).toEqual([
      "input size=64 protocol=0 flags=0x4 role=0 shard=ffffffff ms=4294967295 query=1",
      "statement size=88 id=1 kind=0 facts=0x0 grammar=0 fingerprint=0000000000000000 sql='a:echo' error=-",
      "session size=56 id=11 flags=1 'alice''app''''127.0.0.1''UTF8'",
      "cluster size=40 shards=2 generation=7 'app'",
      "host shard=0 role=1 flags=1 lag=ffffffff 'db1:5432'",
      "host shard=1 role=2 flags=0 lag=c 'db2:5433'",
      "",
    ]);
  });

  it.each<[Partial<ChainRequest>, string]>([
    [{ extended: true, msSinceWrite: 250 }, "protocol=1 flags=0x4 role=0 shard=ffffffff ms=250"],
    [{ inTransaction: true, readOnly: true }, "flags=0x7 "],
    [{ firstStatement: false, inTransaction: true, role: 1, shard: 0 }, "flags=0x31 role=1 shard=0 "],
    [{ prepareOnly: true }, "flags=0xc "],
    [{ severalStatements: true, role: 2 }, "flags=0x94 role=2 shard=ffffffff"],
  ])("has the flags of %j", (changes, text) => {
    expect(echo(createRig(), changes)[0]).toContain(text);
  });

  it("has tables, functions and facts, names in UTF-8", () => {
    const facts = createFacts({
      kind: constants.POOLER_STATEMENT_INSERT,
      facts: constants.POOLER_FACT_PARSED | constants.POOLER_FACT_WRITES,
      tables: [
        { catalog: null, schema: null, name: "users", use: constants.POOLER_TABLE_WRITE },
        { catalog: "db", schema: "größe", name: "b", use: constants.POOLER_TABLE_READ },
      ],
      functions: [{ schema: null, name: "now" }],
    });
    const lines = echo(createRig(() => facts));
    expect(lines[1]).toContain("kind=2 facts=0x3 grammar=18 fingerprint=0000000000000000");
    expect(lines.slice(2, 5)).toEqual(["table - - 'users' use=2", "table 'db' 'größe' 'b' use=1", "function - 'now'"]);
  });

  it("has the fingerprint only when it asks for it", () => {
    const facts = () => createFacts();
    expect(echo(createRig(facts, constants.POOLER_CAP_FACTS))[1]).toContain("fingerprint=0000000000000000");
    expect(echo(createRig(facts, constants.POOLER_CAP_FINGERPRINT))[1]).toContain("fingerprint=00112233445566ff");
  });

  it("has what the grammar said of a text that it refuses", () => {
    const facts = createFacts({ facts: constants.POOLER_FACT_SYNTAX_ERROR, grammar: 0, parseError: 'syntax error at or near "x"' });
    expect(echo(createRig(() => facts))[1]).toContain(
      `facts=0x20 grammar=0 fingerprint=0000000000000000 sql='a:echo' error='syntax error at or near "x"'`,
    );
  });

  it("has parameters with format, type and NULL, which is not the empty string", () => {
    const parameters = parametersOf([
      { value: "seven", typeOid: 25 },
      { value: null },
      { value: "", format: 1, typeOid: 17 },
      { value: "x".repeat(300) },
      { value: null },
    ]);
    expect(echo(createRig(), { parameters }).slice(-6)).toEqual([
      "parameter format=0 oid=25 flags=0 'seven'",
      "parameter format=0 oid=0 flags=1 -",
      "parameter format=1 oid=17 flags=0 ''",
      "parameter format=0 oid=0 flags=0 300 bytes",
      "parameter format=0 oid=0 flags=1 -",
      "",
    ]);
  });

  it("has parameters that are all NULL, all empty, or without types", () => {
    const rig = createRig();
    expect(echo(rig, { parameters: parametersOf([{ value: null }]) }).at(-2)).toBe("parameter format=0 oid=0 flags=1 -");
    expect(echo(rig, { parameters: parametersOf([{ value: "" }]) }).at(-2)).toBe("parameter format=0 oid=0 flags=0 ''");
    expect(echo(rig, { parameters: parametersOf([]) }).at(-2)).toContain("host");
    const untyped = { ...parametersOf([{ value: "1", typeOid: 20 }]), typeOids: [] };
    expect(echo(rig, { parameters: untyped }).at(-2)).toBe("parameter format=0 oid=0 flags=0 '1'");
  });

  it("has 64-bit numbers whole", () => {
    const cluster = { ...twoShards, generation: 2 ** 40 + 5 };
    const lines = echo(createRig(), { session: createSession({ id: 2 ** 33 + 1 }), cluster });
    expect(lines[2]).toContain("id=8589934593 ");
    expect(lines[3]).toContain("generation=1099511627781 ");
  });
});

describe("the reused frame", () => {
  it("follows changes of session, cluster and statement, in whatever order they come", () => {
    const rig = createRig();
    const alice = createSession();
    const bob = createSession({ id: 12, user: "bob with a much longer name", tls: false });
    const other = { ...twoShards, name: "another cluster", generation: 8, hosts: [] };
    const seen = [
      { session: alice, cluster: twoShards },
      { session: bob, cluster: twoShards },
      { session: bob, cluster: other },
      { session: alice, cluster: other },
      { session: alice, cluster: twoShards },
    ].flatMap(({ session, cluster }) =>
      ["a:echo", "a:echo of something longer"].map((sql) => {
        const lines = echo(rig, { session, cluster, parameters: parametersOf([{ value: sql }]) }, sql);
        expect(lines.find((line) => line.startsWith("session"))).toContain(`'${session.user}'`);
        expect(lines.find((line) => line.startsWith("cluster"))).toContain(`'${cluster.name}'`);
        expect(lines[1]).toContain(`sql='${sql}'`);
        expect(lines.at(-2)).toBe(`parameter format=0 oid=0 flags=0 '${sql}'`);
        return lines.filter((line) => line.startsWith("host")).length;
      }),
    );
    expect(seen).toEqual([2, 2, 2, 2, 0, 0, 0, 0, 2, 2]);
  });

  it("has room for sessions of any length that take turns with one statement", () => {
    const rig = createRig();
    const sessions = [1, 700, 2, 90, 701, 3].map((length, id) => createSession({ id, applicationName: "x".repeat(length) }));
    for (const session of [...sessions, ...sessions]) {
      const lines = echo(rig, { session, parameters: parametersOf([{ value: "here" }]) }, "a:echo");
      expect(lines.find((line) => line.startsWith("session"))).toContain(`'${session.applicationName}'`);
      expect(lines[1]).toContain("sql='a:echo'");
      expect(lines.at(-2)).toBe("parameter format=0 oid=0 flags=0 'here'");
    }
  });

  it("encodes a session again when its generation changed", () => {
    const rig = createRig();
    const session = createSession();
    expect(echo(rig, { session })[2]).toContain("'alice''app'''");
    const renamed = { ...session, applicationName: "psql", generation: 2 };
    expect(echo(rig, { session: renamed })[2]).toContain("'alice''app''psql'");
  });

  it("takes texts and parameters of any size, and small ones again afterwards", () => {
    const rig = createRig();
    for (const bytes of [10, 4096, 5000, 100_000, 3_000_000, 20]) {
      const sql = `a:echo;${"x".repeat(bytes)}`;
      const lines = echo(rig, { parameters: parametersOf([{ value: "first" }, { value: "y".repeat(bytes * 2) }]) }, sql);
      const cut = lines[1]?.length ?? 0;
      expect(cut, `${bytes}`).toBeGreaterThan(Math.min(bytes, 50_000));
      if (bytes < 50_000) expect(lines.at(-3)).toBe("parameter format=0 oid=0 flags=0 'first'");
    }
  });
});
