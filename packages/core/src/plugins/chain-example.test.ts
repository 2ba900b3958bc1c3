import { constants } from "@pooler/plugin-abi";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createRig, parametersOf, type Rig, twoShards } from "../../fixtures/chain-rig.js";
import { createPluginCompiler } from "../../fixtures/compile-plugin.js";
import { PoolerError } from "../base/errors.js";

// The example that is shipped with the header, through the whole host: no SDK and no Rust is needed.

const compiler = createPluginCompiler();
let rig: Rig;
beforeAll(() => {
  rig = createRig([{ name: "by-customer", library: compiler.compile("by-customer") }]);
});
afterAll(() => {
  rig.dispose();
  compiler.dispose();
});

const binary = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};

it.each([
  ["42", 0, 0],
  ["4711", 0, 1],
  [binary(42n), 1, 0],
  [binary(2n ** 40n + 1n), 1, 1],
] as const)("routes by its first parameter, %s in format %i, to shard %i", (value, format, shard) => {
  const parameters = parametersOf([{ value, format }, { value: "1" }]);
  const decision = rig.ask("SELECT * FROM customers WHERE id = $1", { parameters, extended: true });
  expect(decision).toMatchObject({ outcome: "route", role: constants.POOLER_ROLE_OPEN, shard, plugin: "by-customer" });
});

it.each([[null], ["abc"], [""]])("skips what is no number: %j", (value) => {
  expect(rig.ask("SELECT $1", { parameters: parametersOf([{ value }]) })).toMatchObject({ outcome: "route", plugin: "" });
});

it("refuses with its own SQLSTATE and hint", () => {
  expect(rig.ask("DROP TABLE customers").error).toEqual({
    sqlstate: "42501",
    message: "nothing is dropped here",
    detail: null,
    hint: "Ask an administrator.",
    failed: false,
  });
});

it("rewrites, with and without parameters of its own", () => {
  expect(rig.ask("SELECT * FROM orders")).toMatchObject({
    outcome: "route",
    rewritten: rig.statement("SELECT * FROM orders LIMIT 100"),
    rewrittenParameters: null,
  });
  expect(rig.ask("SELECT * FROM my_orders")).toMatchObject({
    rewritten: rig.statement("SELECT * FROM orders WHERE owner = $1"),
    rewrittenParameters: { values: [Buffer.from("alice")], formats: [0], typeOids: [25] },
  });
});

it("intercepts with text, binary and NULL", () => {
  const { intercept } = rig.ask("SHOW shard_map");
  expect(intercept?.columns).toEqual([
    { name: "shard", typeOid: 23, typeModifier: -1, typeSize: 4, format: 1 },
    { name: "address", typeOid: 25, typeModifier: -1, typeSize: -1, format: 0 },
    { name: "lag_ms", typeOid: 25, typeModifier: -1, typeSize: -1, format: 0 },
  ]);
  expect(intercept?.values).toEqual([
    Buffer.from([0, 0, 0, 0]),
    Buffer.from("db1:5432"),
    null,
    Buffer.from([0, 0, 0, 1]),
    Buffer.from("db2:5433"),
    Buffer.from("some"),
  ]);
  expect(intercept).toMatchObject({ rowCount: 2, commandTag: "SHOW" });
});

it("keeps an answer that does not fit until it is fetched", () => {
  const hosts = Array.from(
    { length: 3000 },
    (_, shard) => ({ shard, role: "primary", address: `db${shard}:5432`, up: true, lagMs: null }) as const,
  );
  const { intercept } = rig.ask("SHOW shard_map", { cluster: { ...twoShards, shards: 3000, hosts } });
  expect(intercept?.rowCount).toBe(3000);
  expect(intercept?.values.at(-2)).toEqual(Buffer.from("db2999:5432"));
});

it("refuses a configuration in its own words", () => {
  const library = compiler.compile("by-customer");
  expect(() => createRig([{ name: "c", library, config: { a: 1 } }])).toThrow(PoolerError);
  expect(() => createRig([{ name: "c", library, config: { a: 1 } }])).toThrow("by-customer takes no configuration");
});
