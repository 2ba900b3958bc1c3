// The hooks beside route of plugins that are JavaScript, called as the pooler calls them.
import { accept, definePlugin, type PluginDefinition, type RowInput, type RowVerdict, refuse } from "@pooler/plugin-abi/js";
import { afterEach, describe, expect, it } from "vitest";
import { createFacts, createRig, createSession, type Rig, type RigPlugin } from "../../fixtures/chain-rig.js";
import type { PluginConfig } from "../config/types.js";
import { Backend, HEADER_BYTES } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { RowHook } from "./row-hook.js";
import type { ClientVerdict, EndedStatement } from "./types-hooks.js";

const rigs: Rig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.dispose();
});

function script<S, L>(definition: PluginDefinition<S, L>, name = "script"): RigPlugin {
  return { name, library: `/nowhere/${name}.mjs`, definition: definePlugin(definition) as PluginDefinition<unknown, unknown> };
}

function rigOf(...plugins: readonly RigPlugin[]): Rig {
  const rig = createRig(plugins, () => createFacts());
  rigs.push(rig);
  return rig;
}

function verdictOf(rig: Rig): ClientVerdict | undefined {
  let heard: ClientVerdict | undefined;
  rig.chain.hooks?.clientConnect(client, (verdict) => {
    heard = verdict;
  });
  return heard;
}

const client = {
  session: createSession({ user: "alice", database: "app" }),
  askedUser: "alice",
  askedDatabase: "app",
  peerName: null,
  parameters: new Map([["application_name", "psql"]]),
};

it("clientConnect sees the client, lets it in as somebody else, or refuses it", () => {
  const seen: unknown[] = [];
  const rig = rigOf(
    script({
      clientConnect: (input) => {
        seen.push([input.askedUser, input.askedDatabase, input.peerName, [...input.parameters], input.session.user]);
        return accept({ user: "bob", database: "other", serverUser: "s", serverPassword: "p" });
      },
    }),
  );
  expect(verdictOf(rig)).toMatchObject({
    refusal: null,
    session: { user: "bob", database: "other" },
    login: { user: "s", password: "p" },
  });
  expect(seen).toEqual([["alice", "app", null, [["application_name", "psql"]], "alice"]]);
  const refusing = rigOf(script({ clientConnect: () => refuse("not you", { sqlstate: "28000" }) }));
  expect(verdictOf(refusing)?.refusal).toMatchObject({ message: "not you", sqlstate: "28000" });
  const failing = rigOf(script({ clientConnect: () => ({ verdict: "forward" }) as never }));
  expect(verdictOf(failing)?.refusal?.message).toContain('verdict is "forward", which is none of this hook');
});

it("serverConnect gives statements, clientDisconnect hears of the end", () => {
  const left: unknown[] = [];
  const rig = rigOf(
    script({
      serverConnect: (server) => accept({ sql: `SET ROLE r${server.shard}`, onceSql: `-- ${server.parameters.get("server_version")}` }),
      clientDisconnect: (input) => left.push([input.session.user, input.loggedIn, input.durationMs]),
    }),
  );
  const server = {
    ...{
      id: 1,
      shard: 1,
      role: "primary" as const,
      processId: 7,
      database: "app",
      serverDatabase: "a",
      user: "u",
      address: "h:1",
      tls: false,
    },
    parameters: new Map([["server_version", "18.1"]]),
  };
  const heard: unknown[] = [];
  expect(rig.chain.hooks?.serverConnect(server, (verdict) => heard.push(verdict))).toBeNull();
  expect(heard).toMatchObject([{ always: [Buffer.from("SET ROLE r1")], once: [Buffer.from("-- 18.1")] }]);
  rig.chain.hooks?.clientDisconnect(client.session, 1500, true, 1);
  expect(left).toEqual([["alice", true, 1500]]);
});

describe("queryEnd", () => {
  const end = (rig: Rig, changes: Partial<EndedStatement> = {}): EndedStatement => ({
    statement: rig.statement("UPDATE users"),
    sql: Buffer.from("UPDATE users"),
    session: client.session,
    extended: true,
    queryId: 7,
    rewritten: false,
    durationMs: 1.5,
    rows: 3,
    suspended: false,
    tag: "UPDATE 3",
    sqlstate: null,
    message: null,
    route: { shard: 1, role: "primary" },
    address: "db:5432",
    ...changes,
  });

  it("hears how a statement ended, and what it throws is counted and logged", () => {
    const ends: unknown[] = [];
    const rig = rigOf(
      script({
        queryEnd: ({ statement, session, ...rest }) => {
          ends.push({ ...rest, sql: statement.sql, user: session.user });
          if (rest.failed) throw new Error("the log is full");
        },
      }),
    );
    rig.chain.hooks?.queryEnd(end(rig));
    rig.chain.hooks?.queryEnd(end(rig, { tag: null, sqlstate: "42P01", message: "no such table", route: null, address: null }));
    const common = { queryId: 7, durationMs: 1.5, rows: 3, protocol: "extended", suspended: false, rewritten: false };
    expect(ends).toEqual([
      {
        ...common,
        ...{ failed: false, local: false, role: "write", shard: 1, address: "db:5432", commandTag: "UPDATE 3" },
        ...{ sqlstate: null, message: null, sql: "UPDATE users", user: "alice" },
      },
      {
        ...common,
        ...{ failed: true, local: true, role: null, shard: null, address: null, commandTag: null },
        ...{ sqlstate: "42P01", message: "no such table", sql: "UPDATE users", user: "alice" },
      },
    ]);
    expect(rig.lines.join()).toContain("failed in query_end: Error: the log is full");
  });
});

describe("reload", () => {
  const entry = (name: string, config: Readonly<Record<string, unknown>>): PluginConfig => ({
    ...{ name, library: `/nowhere/${name}.mjs`, source: "path", packageVersion: null, onError: "fail" },
    config,
  });
  const host = { worker: 0, grammar: 18 };

  it("gives another configuration to the state that is there", () => {
    const rig = rigOf(
      script({
        create: () => ({ reason: "first" }),
        clientConnect: (_, state) => refuse(state.reason),
        reload: (config, state, { name, worker, grammar }) => {
          state.reason = `${config["reason"]} for ${name} in ${worker}, ${grammar}`;
        },
      }),
    );
    const { hooks } = rig.chain;
    expect(hooks?.reload([entry("script", {})], [entry("script", { reason: "second" })], host)).toBeNull();
    expect(verdictOf(rig)?.refusal?.message).toBe("second for script in 0, 18");
  });

  it.each([
    [
      () => {
        throw new Error("reason: must be short");
      },
      "Error: reason: must be short",
    ],
    [() => Promise.reject(new Error("late")), "its answer is malformed: it is a promise"],
  ])("that fails refuses it, and who had taken it gets back what it had: %#", (failing, message) => {
    const taken: unknown[] = [];
    const rig = rigOf(
      script({ reload: ({ label }) => void taken.push(label) }, "one"),
      script({ reload: failing as unknown as () => void }, "two"),
    );
    const configs = (label: string): PluginConfig[] => [entry("one", { label }), entry("two", {})];
    const refusal = rig.chain.hooks?.reload(configs("old"), configs("new"), host);
    expect(refusal).toContain(`plugin "two" refused it: ${message}`);
    expect(taken).toEqual(["new", "old"]);
  });
});

describe("resultRow", () => {
  const description = (columns: readonly (readonly [name: string, typeOid: number, format: 0 | 1])[]): Buffer => {
    const writer = new MessageWriter().begin(Backend.ROW_DESCRIPTION).int16(columns.length);
    for (const [name, typeOid, format] of columns) writer.cstring(name).int32(0).int16(0).int32(typeOid).int16(-1).int32(-1).int16(format);
    return writer.end().toBuffer();
  };
  const columns = description([
    ["id", 23, 1],
    ["secret", 25, 0],
    ["note", 25, 0],
  ]);
  const dataRow = (...values: readonly (Buffer | string | null)[]): Buffer => {
    const writer = new MessageWriter().begin(Backend.DATA_ROW).int16(values.length);
    for (const value of values) {
      if (value === null) writer.int32(-1);
      else writer.int32(Buffer.byteLength(value)).bytes(Buffer.from(value));
    }
    return writer.end().toBuffer();
  };
  const one = Buffer.from([0, 0, 0, 1]);
  const row = dataRow(one, "secret", null);

  /** The rows of a statement whose route() asked for them. */
  function rowsOf(resultRow: (input: RowInput) => unknown, cookie = 0): { readonly rig: Rig; readonly hook: RowHook } {
    const rig = rigOf(
      script({
        route: () => ({ verdict: "skip", showRows: true, cookie }),
        resultRow: resultRow as (input: RowInput) => RowVerdict,
      }),
    );
    const { rows } = rig.ask("SELECT 1");
    if (rows === null) throw new Error("nobody asked for the rows");
    const hook = new RowHook(rows);
    hook.describe(columns, HEADER_BYTES, columns.length);
    return { rig, hook };
  }

  /** What the client gets of a row; null: nothing. */
  function read(hook: RowHook, bytes = row): Buffer | null {
    const to = new MessageWriter();
    return hook.read(bytes, 0, bytes.length, to) ? to.toBuffer() : null;
  }

  it("sees columns, values, cookie and whose row it is", () => {
    const seen: unknown[] = [];
    const { hook } = rowsOf(({ session, ...rest }) => void seen.push({ ...rest, user: session.user }), 2 ** 40 + 5);
    expect(read(hook)).toEqual(row);
    expect(read(hook)).toEqual(row);
    const expected = {
      ...{ queryId: 1, statementId: 1, cookie: 2 ** 40 + 5, row: 0, user: "alice" },
      columns: [
        { name: "id", typeOid: 23, format: "binary" },
        { name: "secret", typeOid: 25, format: "text" },
        { name: "note", typeOid: 25, format: "text" },
      ],
      values: [one, Buffer.from("secret"), null],
    };
    expect(seen).toEqual([expected, { ...expected, row: 1 }]);
  });

  it.each([
    ["keeps a row", () => "keep", row],
    ["drops a row", () => "drop", null],
    ["changes values and keeps others", () => [undefined, "***", ""], dataRow(one, "***", "")],
    [
      "changes a value to NULL and to bytes",
      () => [Buffer.from([0, 0, 0, 9]), null, undefined],
      dataRow(Buffer.from([0, 0, 0, 9]), null, null),
    ],
    ["makes a row larger than any frame was", () => [undefined, "x".repeat(100_000), undefined], dataRow(one, "x".repeat(100_000), null)],
  ])("%s", (_, resultRow, expected) => {
    expect(read(rowsOf(resultRow).hook)?.toString("latin1")).toBe(expected?.toString("latin1"));
  });

  it.each([
    [() => ["x"], "its answer is malformed: it has 1 values for a row of 3 columns"],
    [() => [undefined, {}, undefined], "its answer is malformed: value 1 is {}: values are texts"],
    [() => "hide", 'its answer is malformed: it is "hide": "keep", "drop" or a list of values'],
    [() => ({ verdict: "drop" }), 'its answer is malformed: it is {"verdict":"drop"}'],
    [async () => "keep", "its answer is malformed: it is a promise"],
    [({ values }: RowInput) => [undefined, values[9]?.toString("hex").slice(1), (values[2] as Buffer).length], "TypeError: Cannot read"],
  ])("that fails lets no row through: %s", (resultRow, message) => {
    const { hook, rig } = rowsOf(resultRow);
    expect(() => read(hook)).toThrow(`plugin "script" failed: ${message}`);
    expect(rig.lines.join()).toContain("failed in result_row");
  });

  it("is asked only where route() said so, and only with what a cookie can be", () => {
    const asked = (verdict: unknown): Rig =>
      rigOf(script({ route: (() => verdict) as PluginDefinition["route"] & object, resultRow: () => "keep" }));
    expect(asked(undefined).ask("SELECT 1").rows).toBeNull();
    expect(asked({ verdict: "forward", shard: 1 }).ask("SELECT 1").rows).toBeNull();
    expect(asked({ verdict: "forward", shard: 1, showRows: true }).ask("SELECT 1")).toMatchObject({
      shard: 1,
      rows: { readers: [{ cookieLow: 0 }] },
    });
    expect(asked({ verdict: "skip", showRows: 1 }).ask("SELECT 1").error?.message).toContain("showRows is 1, neither true nor false");
    expect(asked({ verdict: "skip", showRows: true, cookie: -1 }).ask("SELECT 1").error?.message).toContain(
      "cookie is -1, not a whole number",
    );
  });
});
