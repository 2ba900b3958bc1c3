import { describe, expect, test } from "vitest";
import { PoolerError } from "../base/errors.js";
import type { ResolvePlugin } from "./build-plugins.js";
import { parseConfig } from "./load-config.js";
import { ConfigInvalidError } from "./problems.js";

const head = '[databases.app]\nurl = "postgres://db"\n[users.app]\npassword = "x"\n';

const shardingSchema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  required: ["tables"],
  additionalProperties: false,
  properties: {
    tables: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        required: ["table", "column", "type"],
        additionalProperties: false,
        properties: { table: { type: "string" }, column: { type: "string" }, type: { enum: ["bigint", "uuid", "text"] } },
      },
    },
    window_ms: { type: "integer", minimum: 0 },
    api_token: { type: "string", pattern: "^t" },
    target: {
      anyOf: [
        { type: "string" },
        { type: "object", required: ["host"], additionalProperties: false, properties: { host: { type: "string" } } },
      ],
    },
  },
};

const schemas: Readonly<Record<string, Readonly<Record<string, unknown>> | null>> = {
  "@acme/sharding": shardingSchema,
  "@acme/draft-7": {
    $schema: "http://json-schema.org/draft-07/schema#",
    type: "object",
    properties: { on: { type: "boolean" } },
    additionalProperties: false,
  },
  "@acme/unknown-words": { "x-made-by": "acme", type: "object", properties: { when: { type: "string", format: "acme-time" } } },
  "@acme/broken": { type: "objekt" },
  "@acme/free": null,
};

const resolvePlugin: ResolvePlugin = (name, configDir) => {
  const schema = schemas[name];
  if (schema === undefined)
    throw new PoolerError("PLUGIN_UNUSABLE", `there is no package ${name} to be found from ${configDir}`, { hint: `npm install ${name}` });
  return { library: `/lib/${name}.so`, source: "package", packageVersion: "1.2.3", schema };
};

const read = (plugins: string) => parseConfig(head + plugins, "/etc/pooler.toml", { resolvePlugin });

function errorsOf(plugins: string): string[] {
  try {
    read(plugins);
  } catch (error) {
    if (!(error instanceof ConfigInvalidError)) throw error;
    // Lines count from the first of `plugins`.
    return error.problems.map(({ position, key, message }) => `${(position?.line ?? 0) - 4}:${position?.column} ${key}: ${message}`);
  }
  return [];
}

test("the chain has the order of the file, and settings that the plugins' schemas allow", () => {
  const { plugins } = read(`
[[plugins]]
name = "@acme/sharding"
on_error = "skip"
on_crash = "refuse"
crash_limit = 2
crash_window = "5m"
[plugins.config]
tables = [{ table = "users", column = "id", type = "bigint" }]
target = { host = "a" }
[[plugins]]
name = "@acme/free"
[plugins.config]
anything = [1, { since = 2024-01-02T03:04:05Z }]
[[plugins]]
name = "@acme/draft-7"
[[plugins]]
name = "@acme/unknown-words"
config.when = "now"
`);
  const crash = { action: "restart", limit: 3, windowMs: 60_000 };
  const found = { source: "package", packageVersion: "1.2.3", libraryStamp: null, crash };
  expect(plugins).toEqual([
    {
      ...found,
      name: "@acme/sharding",
      library: "/lib/@acme/sharding.so",
      onError: "skip",
      crash: { action: "refuse", limit: 2, windowMs: 300_000 },
      config: { tables: [{ table: "users", column: "id", type: "bigint" }], target: { host: "a" } },
    },
    {
      ...found,
      name: "@acme/free",
      library: "/lib/@acme/free.so",
      onError: "fail",
      config: { anything: [1, { since: "2024-01-02T03:04:05.000Z" }] },
    },
    { ...found, name: "@acme/draft-7", library: "/lib/@acme/draft-7.so", onError: "fail", config: {} },
    { ...found, name: "@acme/unknown-words", library: "/lib/@acme/unknown-words.so", onError: "fail", config: { when: "now" } },
  ]);
  expect(structuredClone(plugins)).toEqual(plugins);
});

describe("settings that a plugin's schema does not allow", () => {
  const good = 'tables = [{ table = "users", column = "id", type = "bigint" }]';
  const sharding = (config: string) => `[[plugins]]\nname = "@acme/sharding"\n[plugins.config]\n${config}`;
  test.each([
    [sharding(""), "3:1 plugins[0].config.tables: is missing; expected a list of: a table with table, column, type"],
    [
      '[[plugins]]\nname = "@acme/sharding"',
      "1:1 plugins[0].config.tables: is missing; expected a list of: a table with table, column, type",
    ],
    [sharding("tables = 3"), "4:10 plugins[0].config.tables: 3 is not allowed; expected a list of: a table with table, column, type"],
    [sharding("tables = []"), "4:10 plugins[0].config.tables: an empty list is not allowed; expected entries: at least 1"],
    [
      sharding('tables = [\n  { table = "a", column = "b", type = "uuid" },\n  { table = "a", column = "b", type = "int" },\n]'),
      '6:39 plugins[0].config.tables[1].type: "int" is not allowed; expected one of "bigint", "uuid", "text"',
    ],
    [
      sharding('tables = [{ table = "a", colum = "b", column = "b", type = "uuid" }]'),
      "4:26 plugins[0].config.tables[0].colum: unknown key; did you mean column?",
    ],
    [sharding('tables = [{ table = "a", type = "uuid" }]'), "4:11 plugins[0].config.tables[0].column: is missing; expected a text"],
    [sharding(`${good}\nwindow = 3`), "5:1 plugins[0].config.window: unknown key; did you mean window_ms?"],
    [sharding(`${good}\nzzz = 3`), "5:1 plugins[0].config.zzz: unknown key; allowed here: tables, window_ms, api_token, target"],
    [sharding(`${good}\nwindow_ms = -1`), "5:13 plugins[0].config.window_ms: -1 is not allowed; expected a whole number of at least 0"],
    [sharding(`${good}\napi_token = "hunter2"`), "5:13 plugins[0].config.api_token: [hidden] is not allowed; expected a text like /^t/"],
    [sharding(`${good}\ntarget = 3`), "5:10 plugins[0].config.target: 3 is not allowed; expected a text, or a table with host"],
    [sharding(`${good}\ntarget = { hots = "a" }`), "5:12 plugins[0].config.target.hots: unknown key; did you mean host?"],
    [sharding(`${good}\ntarget = { host = 1 }`), "5:19 plugins[0].config.target.host: 1 is not allowed; expected a text"],
    [
      sharding(`${good}\nwindow_ms = inf`),
      "5:13 plugins[0].config.window_ms: Infinity cannot be given to a plugin; expected a finite number",
    ],
    [
      '[[plugins]]\nname = "@acme/draft-7"\nconfig = { on = "yes" }',
      '3:17 plugins[0].config.on: "yes" is not allowed; expected true or false',
    ],
    [
      '[[plugins]]\nname = "@acme/free"\n[[plugins]]\nname = "@acme/draft-7"\n[plugins.config]\non = 1',
      "6:6 plugins[1].config.on: 1 is not allowed; expected true or false",
    ],
  ])("%s", (text, expected) => {
    const errors = errorsOf(text);
    expect(errors).toContain(expected);
    expect(errors.join()).not.toContain("hunter2");
  });

  test("one mistake makes one error, also where a value may take several forms", () => {
    expect(errorsOf(sharding(`${good}\ntarget = { hots = "a", host = "b" }`))).toHaveLength(1);
    expect(errorsOf(sharding(`${good}\ntarget = 3`))).toHaveLength(1);
  });
});

test("a plugin that is not there is an error at its name, beside all others", () => {
  expect(errorsOf('[[plugins]]\nname = "@acme/none"\n[[plugins]]\nname = "@acme/draft-7"\nconfig.of = true')).toEqual([
    "2:8 plugins[0].name: there is no package @acme/none to be found from /etc. npm install @acme/none",
    "5:8 plugins[1].config.of: unknown key; did you mean on?",
  ]);
});

test("a schema that is itself wrong is the plugin's error", () => {
  expect(errorsOf('[[plugins]]\nname = "@acme/broken"')).toEqual([
    expect.stringContaining("@acme/broken brings for its settings is wrong: "),
  ]);
});
