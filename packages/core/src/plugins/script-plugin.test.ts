import { constants } from "@pooler/plugin-abi";
import { definePlugin, forward, intercept, type PluginDefinition, type RouteInput, refuse, rewrite, skip } from "@pooler/plugin-abi/js";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { createFacts, createRig, createSession, parametersOf, type Rig, type RigPlugin } from "../../fixtures/chain-rig.js";
import { createPluginCompiler } from "../../fixtures/compile-plugin.js";
import { PoolerError } from "../base/errors.js";

const compiler = createPluginCompiler();
afterAll(() => compiler.dispose());

const rigs: Rig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.dispose();
});

function script<S, L>(definition: PluginDefinition<S, L>, more: Partial<RigPlugin> = {}): RigPlugin {
  const name = more.name ?? "script";
  return { name, library: `/nowhere/${name}.mjs`, ...more, definition: definePlugin(definition) as PluginDefinition<unknown, unknown> };
}

function rigOf(...plugins: readonly RigPlugin[]): Rig {
  const rig = createRig(plugins, (sql) =>
    createFacts({
      kind: constants.POOLER_STATEMENT_UPDATE,
      facts: constants.POOLER_FACT_PARSED | constants.POOLER_FACT_WRITES,
      tables: [{ catalog: null, schema: "app", name: sql.length > 40 ? "long" : "users", use: constants.POOLER_TABLE_WRITE }],
      functions: [{ schema: null, name: "now" }],
    }),
  );
  rigs.push(rig);
  return rig;
}

/** What route() throws or answers, given as a function of the input. */
const routing = (route: (input: RouteInput) => unknown, more: Partial<RigPlugin> = {}): RigPlugin =>
  script({ route: route as PluginDefinition["route"] & object }, more);

function caught(read: () => unknown): string {
  try {
    return `nothing, it was ${String(read())}`;
  } catch (error) {
    return String(error);
  }
}

describe("what it sees", () => {
  it("is the statement with its facts, parameters, session and cluster", () => {
    let seen: unknown;
    const rig = rigOf(
      script({
        capabilities: ["facts"],
        route(input) {
          const { statement, session, cluster } = input;
          seen = {
            flags: [input.protocol, input.inTransaction, input.readOnly, input.firstStatement, input.prepareOnly, input.severalStatements],
            decided: [input.role, input.shard, input.msSinceWrite],
            statement: [statement.id, statement.sql, statement.kind, statement.parsed, statement.writes, statement.locksRows],
            tables: statement.tables,
            functions: statement.functions,
            parameters: input.parameters,
            session: [session.id, session.user, session.database, session.clientAddress, session.clientEncoding, session.tls],
            cluster: [cluster.name, cluster.shards, cluster.generation, cluster.hosts],
          };
          return undefined;
        },
      }),
    );
    rig.ask("UPDATE users", {
      parameters: parametersOf([{ value: "42", typeOid: 20 }, { value: null }, { value: Buffer.from([0, 255]), format: 1 }, { value: "" }]),
      extended: true,
      inTransaction: true,
      msSinceWrite: 17,
    });
    expect(seen).toEqual({
      flags: ["extended", true, false, true, false, false],
      decided: [null, null, 17],
      statement: [1, "UPDATE users", "update", true, true, false],
      tables: [{ catalog: null, schema: "app", name: "users", read: false, written: true, locked: false }],
      functions: [{ schema: null, name: "now" }],
      parameters: [
        { bytes: Buffer.from("42"), text: "42", format: "text", typeOid: 20, isLiteral: false },
        { bytes: null, text: null, format: "text", typeOid: 0, isLiteral: false },
        { bytes: Buffer.from([0, 255]), text: null, format: "binary", typeOid: 0, isLiteral: false },
        { bytes: Buffer.from(""), text: "", format: "text", typeOid: 0, isLiteral: false },
      ],
      session: [11, "alice", "app", "127.0.0.1", "UTF8", true],
      cluster: [
        "app",
        2,
        7,
        [
          { shard: 0, role: "primary", up: true, lagMs: null, address: "db1:5432" },
          { shard: 1, role: "replica", up: false, lagMs: 12, address: "db2:5433" },
        ],
      ],
    });
  });

  it("is what was decided before, by a library in the same chain", () => {
    const seen: unknown[] = [];
    const see = (input: RouteInput): undefined => {
      seen.push([input.role, input.shard]);
    };
    const rig = rigOf({ name: "c", library: compiler.compile("by-customer") }, routing(see));
    const parameters = parametersOf([{ value: "4711" }]);
    expect(rig.ask("SELECT $1", { parameters })).toMatchObject({ shard: 1, plugin: "c" });
    expect(seen).toEqual([[null, 1]]);
  });

  it("is the text in the client's encoding, decoded", () => {
    let seen = "";
    const rig = rigOf(
      routing((input) => {
        seen = input.statement.sql;
      }),
    );
    const statement = rig.statement(Buffer.from("SELECT 'caf\xe9'", "latin1"));
    rig.ask("", { statement, session: createSession({ clientEncoding: "LATIN1" }) });
    expect(seen).toBe("SELECT 'café'");
  });

  it("is large, too, and frames that have moved are read where they are", () => {
    const lengths: number[] = [];
    const rig = rigOf(
      routing((input) => {
        lengths.push(input.statement.sqlBytes.length, input.parameters[0]?.bytes?.length ?? -1);
      }),
    );
    for (const size of [10, 3_000_000, 20, 200_000, 30]) {
      rig.ask(`SELECT '${"x".repeat(size)}'`, { parameters: parametersOf([{ value: "y".repeat(size) }]) });
    }
    expect(lengths).toEqual([10, 3_000_000, 20, 200_000, 30].flatMap((size) => [size + 9, size]));
  });

  it("is the plugin's to keep", () => {
    const kept: Buffer[] = [];
    const rig = rigOf(
      routing((input) => {
        kept.push(input.statement.sqlBytes, input.parameters[0]?.bytes ?? Buffer.alloc(0));
      }),
    );
    rig.ask("SELECT 1", { parameters: parametersOf([{ value: "one" }]) });
    rig.ask("SELECT 2", { parameters: parametersOf([{ value: "two" }]) });
    expect(kept.map(String)).toEqual(["SELECT 1", "one", "SELECT 2", "two"]);
  });

  it("cannot be read when its call is over, and not as another call's", () => {
    const kept: RouteInput[] = [];
    const late: unknown[] = [];
    const rig = rigOf(
      routing((input) => {
        const [before] = kept;
        kept.push(input);
        if (before !== undefined) for (const read of [() => before.session, () => before.statement.sql]) late.push(caught(read));
      }),
    );
    rig.ask("SELECT 1");
    rig.ask("SELECT 2");
    late.push(caught(() => kept[1]?.parameters));
    expect(late).toHaveLength(3);
    for (const error of late) expect(error).toMatch(/^TypeError: what a hook is given can be read during its call only/);
  });

  it("cannot be changed for those behind", () => {
    const seen: unknown[] = [];
    const rig = rigOf(
      routing((input) => {
        input.statement.sqlBytes.fill(0);
        input.parameters[0]?.bytes?.fill(0);
        expect(() => Object.assign(input, { shard: 1 })).toThrow(TypeError);
        expect(() => Object.assign(input.statement, { sql: "DROP TABLE users" })).toThrow(TypeError);
      }),
      routing(
        ({ statement, parameters, shard }) => {
          seen.push(statement.sql, parameters[0]?.text, shard);
        },
        { name: "behind" },
      ),
    );
    expect(rig.ask("SELECT 1", { parameters: parametersOf([{ value: "one" }]) }).outcome).toBe("route");
    expect(seen).toEqual(["SELECT 1", "one", null]);
  });

  it("calls kinds as the header does", () => {
    const names = Object.entries(constants).filter(([name]) => name.startsWith("POOLER_STATEMENT_"));
    expect(names.length).toBeGreaterThan(15);
    for (const [name, kind] of names) {
      let seen = "";
      const plugin = script({
        capabilities: ["facts"],
        route: ({ statement }) => {
          seen = statement.kind;
          return undefined;
        },
      });
      const rig = createRig([plugin], () => createFacts({ kind }));
      rig.ask("SELECT 1");
      rig.dispose();
      expect(`POOLER_STATEMENT_${seen.toUpperCase()}`).toBe(name);
    }
  });
});

describe("what it answers", () => {
  it("nothing, skip", () => {
    expect(rigOf(routing(() => undefined)).ask("SELECT 1")).toMatchObject({ outcome: "route", plugin: "" });
    expect(rigOf(routing(() => skip())).ask("SELECT 1")).toMatchObject({ outcome: "route", plugin: "" });
  });

  it.each([
    [{ role: "write", shard: 1 }, constants.POOLER_ROLE_WRITE, 1],
    [{ shard: "all" }, constants.POOLER_ROLE_OPEN, constants.POOLER_SHARD_ALL],
    [{ role: "read" }, constants.POOLER_ROLE_READ, constants.POOLER_SHARD_OPEN],
  ] as const)("forward %j", (route, role, shard) => {
    expect(rigOf(routing(() => forward(route))).ask("SELECT 1")).toMatchObject({ outcome: "route", role, shard, plugin: "script" });
  });

  it("error, in full and in short", () => {
    const full = rigOf(routing(() => refuse("no", { sqlstate: "22023", detail: "d ü", hint: "h" })));
    expect(full.ask("SELECT 1").error).toEqual({ sqlstate: "22023", message: "no", detail: "d ü", hint: "h", failed: false });
    expect(rigOf(routing(() => refuse("no"))).ask("SELECT 1").error).toMatchObject({ sqlstate: "42501", message: "no", failed: false });
  });

  it("rewrite, which libraries of the chain are asked about", () => {
    const rig = rigOf(
      routing(() => rewrite("SELECT $1, $2, $3", [null, Buffer.from([1]), { value: "x", typeOid: 25 }])),
      { name: "c", library: compiler.compile("by-customer") },
    );
    expect(rig.ask("SELECT 1", { parameters: parametersOf([]) })).toMatchObject({
      plugin: "script",
      rewritten: rig.statement("SELECT $1, $2, $3"),
      rewrittenParameters: { values: [null, Buffer.from([1]), Buffer.from("x")], formats: [0, 1, 0], typeOids: [0, 0, 25] },
    });
  });

  it("intercept, of any size", () => {
    const rows = Array.from({ length: 5000 }, (_, id) => [id, `name ${id}`, id % 2 === 0 ? null : true]);
    const columns = [{ name: "id", typeOid: 23, typeSize: 4 }, "name", { name: "odd", typeOid: 16, typeSize: 1 }];
    const { intercept: answer } = rigOf(routing(() => intercept({ columns, rows, commandTag: "SHOW" }))).ask("SELECT 1");
    expect(answer).toMatchObject({ rowCount: 5000, commandTag: "SHOW" });
    expect(answer?.columns[1]).toEqual({ name: "name", typeOid: 25, typeModifier: -1, typeSize: -1, format: 0 });
    expect(answer?.values.slice(-3)).toEqual([Buffer.from("4999"), Buffer.from("name 4999"), Buffer.from("t")]);
    expect(rigOf(routing(() => intercept({ commandTag: "CREATE TABLE" }))).ask("SELECT 1").intercept).toMatchObject({ rowCount: 0 });
  });
});

describe("a failure names the plugin", () => {
  it.each([
    [() => ({ verdict: "forwrd" }), 'its answer is malformed: verdict is "forwrd", which is none'],
    [() => "skip", 'its answer is malformed: it is "skip", not an object with a verdict'],
    [() => null, "its answer is malformed: it is null, not an object with a verdict"],
    [() => forward({ shard: 2 }), "its answer is malformed: shard is 2, the cluster has 2"],
    [() => ({ verdict: "forward", shard: -1 }), 'its answer is malformed: shard is -1, neither a number from 0 nor "all"'],
    [() => ({ verdict: "forward", shard: "1" }), 'its answer is malformed: shard is "1", neither a number from 0 nor "all"'],
    [() => ({ verdict: "forward", role: "primary" }), 'its answer is malformed: role is "primary", neither "read" nor "write"'],
    [() => ({ verdict: "error" }), "its answer is malformed: message is undefined, not a text"],
    [() => refuse("no", { sqlstate: "nope" }), 'its answer is malformed: sqlstate is "nope", not five of 0-9 and A-Z'],
    [() => ({ verdict: "rewrite", sql: 1 }), "its answer is malformed: sql is 1, neither a text nor a Buffer"],
    [() => rewrite("SELECT 1\0"), "its answer is malformed: sql has a NUL byte"],
    [() => rewrite("SELECT 1&&SELECT 2"), "its answer is malformed: its rewrite holds 2 statements instead of one"],
    [() => ({ verdict: "rewrite", sql: "SELECT $1", parameters: [{}] }), "its answer is malformed: parameter $1 is undefined: values are"],
    [() => intercept({ columns: ["a", "b"], rows: [["1"]] }), 'its answer is malformed: row 0 is ["1"], not a list of 2 values'],
    [() => intercept({ columns: [{ name: "a", format: "binary" }], rows: [["1"]] }), 'value 0 of row 0 is "1", its column is binary'],
    [() => ({ verdict: "intercept", columns: [{}] }), "its answer is malformed: column 0 is {}: it has no name"],
    [async () => skip(), "its answer is malformed: it is a promise: plugins answer at once"],
    [() => Promise.reject(new Error("late")), "its answer is malformed: it is a promise: plugins answer at once"],
  ])("%s", (route, message) => {
    const { error } = rigOf(routing(route)).ask("SELECT 1");
    expect(error).toMatchObject({ sqlstate: "XX000", failed: true });
    expect(error?.message).toContain('plugin "script" failed: ');
    expect(error?.message).toContain(message);
  });

  it("an exception, with its words and where it was", () => {
    const rig = rigOf(
      routing(() => {
        throw new RangeError("out of cheese");
      }),
    );
    expect(rig.ask("SELECT 1").error?.message).toMatch(
      /^plugin "script" failed: RangeError: out of cheese \(at .*script-plugin\.test\.ts:\d+:\d+\)$/,
    );
    expect(rig.lines.join()).toContain("out of cheese");
  });

  it("what is thrown and no error, and an error that cannot be shown", () => {
    const thrown = (value: unknown) =>
      rigOf(
        routing(() => {
          throw value;
        }),
      ).ask("SELECT 1").error?.message;
    expect(thrown("text")).toBe('plugin "script" failed: it threw "text"');
    expect(thrown(undefined)).toBe('plugin "script" failed: it threw undefined');
    expect(thrown(Symbol("s"))).toBe('plugin "script" failed: it threw symbol');
  });

  it("and with on_error skip the chain goes on", () => {
    const failing = routing(
      () => {
        throw new Error("no");
      },
      { onError: "skip" },
    );
    const rig = rigOf(
      failing,
      routing(() => forward({ shard: 1 }), { name: "second" }),
    );
    expect(rig.ask("SELECT 1")).toMatchObject({ outcome: "route", shard: 1, plugin: "second" });
    expect(rig.chain.stats()[0]).toMatchObject({ calls: 1, errors: 1 });
  });

  it("a rewrite with more than ASCII for a client of another encoding, unless it is a Buffer", () => {
    const session = createSession({ clientEncoding: "LATIN1" });
    expect(rigOf(routing(() => rewrite("SELECT 'é'"))).ask("SELECT 1", { session }).error?.message).toContain(
      "give a Buffer in that encoding",
    );
    const rig = rigOf(routing(() => rewrite(Buffer.from("SELECT 2"))));
    expect(rig.ask("SELECT 1", { session }).rewritten?.sql).toEqual(Buffer.from("SELECT 2"));
  });
});

describe("state and learning", () => {
  it("create gets configuration and host, every hook its state, destroy ends it", () => {
    const calls: unknown[] = [];
    const plugin = script(
      {
        create: (config, host) => {
          calls.push(["create", config, host]);
          return { shard: Number(config["shard"]) };
        },
        route: (_, state) => forward({ shard: state.shard }),
        destroy: (state) => calls.push(["destroy", state]),
      },
      { config: { shard: 1 } },
    );
    const rig = createRig([plugin]);
    expect(rig.ask("SELECT 1")).toMatchObject({ shard: 1 });
    rig.dispose();
    rig.dispose();
    expect(calls).toEqual([
      ["create", { shard: 1 }, { name: "script", worker: 0, grammar: 18 }],
      ["destroy", { shard: 1 }],
    ]);
  });

  it("what destroy throws keeps nobody else from being destroyed", async () => {
    const destroyed: string[] = [];
    const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
    const rig = createRig([
      script({ route: () => undefined, destroy: () => destroyed.push("one") }, { name: "one" }),
      script(
        {
          route: () => undefined,
          destroy: () => {
            throw new Error("stuck");
          },
        },
        { name: "two" },
      ),
      script({ route: () => undefined, destroy: () => destroyed.push("three") }, { name: "three" }),
    ]);
    rig.dispose();
    expect(destroyed).toEqual(["one", "three"]);
    expect((await warned).message).toMatch(/^plugin "two" failed in destroy: Error: stuck/);
  });

  it("what create throws, and a promise, stop the start in its words", () => {
    const refusing = (create: () => unknown) => () => createRig([script({ create, route: () => undefined })]);
    expect(
      refusing(() => {
        throw new Error("prefix: must not be empty");
      }),
    ).toThrow(PoolerError);
    expect(
      refusing(() => {
        throw new Error("prefix: must not be empty");
      }),
    ).toThrow(/plugin "script" \(.*\) cannot be used: prefix: must not be empty/);
    expect(refusing(async () => 1)).toThrow(/create\(\) returned a promise/);
    expect(refusing(() => Promise.reject(new Error("late")))).toThrow(/create\(\) returned a promise/);
  });

  it("a text is learned once, until it is forgotten", () => {
    const learned: string[] = [];
    const rig = rigOf(
      script({
        capabilities: ["parse_tree"],
        learn: (statement) => {
          learned.push(`${statement.id} ${statement.parseTree}`);
          return statement.sql.length % 2;
        },
        route: (input) => forward({ shard: input.learned }),
      }),
    );
    expect(rig.ask("SELECT 10")).toMatchObject({ shard: 1 });
    expect(rig.ask("SELECT 10")).toMatchObject({ shard: 1 });
    expect(rig.ask("SELECT 1")).toMatchObject({ shard: 0 });
    rig.chain.forget(rig.statement("SELECT 10"));
    rig.ask("SELECT 10");
    const tree = '{"version":180000,"stmts":[{}]}';
    expect(learned).toEqual([`1 ${tree}`, `2 ${tree}`, `1 ${tree}`]);
  });

  it("what learn throws fails the query, and it is learned again", () => {
    let times = 0;
    const rig = rigOf(
      script({
        learn: () => {
          times += 1;
          if (times === 1) throw new Error("not today");
          return 0;
        },
        route: (input) => forward({ shard: input.learned }),
      }),
    );
    expect(rig.ask("SELECT 1").error?.message).toMatch(/plugin "script" failed: it could not learn the statement: Error: not today/);
    expect(rig.ask("SELECT 1")).toMatchObject({ shard: 0 });
  });

  it("it says what it is", () => {
    const { description } = rigOf(
      script({ name: "own", version: "1.2.3", capabilities: ["inspect", "facts"], route: () => undefined, queryEnd: () => {} }),
    ).plugins[0] as Rig["plugins"][0];
    expect(description).toMatchObject({
      pluginName: "own",
      version: "1.2.3",
      abi: "1.1",
      sdk: "javascript",
      hooks: ["route_query", "query_end"],
      capabilities: ["inspect", "facts"],
      capabilityBits: constants.POOLER_CAP_INSPECT | constants.POOLER_CAP_FACTS,
    });
  });
});

describe("definePlugin refuses", () => {
  it.each([
    [{}, /there is no hook; a plugin has at least one of route/],
    [{ rout: () => {} }, /there is no hook or field "rout"/],
    [{ route: 1 }, /route is no function/],
    [{ route: () => {}, capabilities: ["everything"] }, /there is no capability "everything"/],
    [{ route: () => {}, capabilities: ["parse_tree"] }, /there is no learn/],
    [{ route: () => {}, name: 1 }, /name is no text/],
  ])("%j", (definition, message) => {
    expect(() => definePlugin(definition as never)).toThrow(message);
  });
});
