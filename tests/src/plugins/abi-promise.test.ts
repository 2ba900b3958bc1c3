// The promise of the contract: a library that was compiled against ABI 1.0, kept as it was, is loaded by this build and gives every
// answer. Its source, compiled against the header of today, does the same.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { constants } from "@pooler/plugin-abi";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import type { WireClient } from "../harness/wire-client.js";
import { refusalOf } from "./hook-rig.js";
import { compilePlugin, platform } from "./plugin-libraries.js";
import { batch, onAllShards, placeIn, port, type Rig, run, startRig } from "./rig.js";

const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/abi-1.0/${name}`, import.meta.url));
const kept = fixture("linux-x64.so");

const libraries: readonly { readonly what: string; readonly library: () => string }[] = [
  // It is machine code of one platform; elsewhere its source has to do.
  ...(platform === "linux-x64" ? [{ what: "the library of 1.0", library: () => kept }] : []),
  { what: "its source, compiled now", library: () => compilePlugin(fixture("plugin.c")) },
];

test("the library is the one that was compiled against ABI 1.0", () => {
  const digest = createHash("sha256").update(readFileSync(kept)).digest("hex");
  expect(digest).toBe("01774785c09279405b0a969c5eb9012cd1bfbe34dacdbafba0c75047917ad5cc");
});

describe.each(libraries)("$what", ({ library }) => {
  let rig: Rig;
  beforeAll(async () => {
    await onAllShards("DROP TABLE IF EXISTS abi_once; CREATE TABLE abi_once (at timestamptz DEFAULT now())");
    rig = await startRig({ plugins: [{ as: "abi", library: library(), config: { label: "first" } }] });
  });
  afterEach(() => rig.disconnectAll());
  afterAll(async () => {
    await rig.stop();
    await onAllShards("DROP TABLE abi_once");
  });

  /** What the plugin was told, by name. */
  async function told(client: WireClient, ...message: readonly Buffer[]): Promise<Record<string, string | null | undefined>> {
    const answer = message.length === 0 ? await client.query("SELECT /* abi: told */ 1") : await batch(client, ...message);
    expect(errorIn(answer)).toBeUndefined();
    return Object.fromEntries(rowsOf(answer).map(([name, value]) => [name, value]));
  }

  test("is listed with its version, ABI and hooks", async () => {
    const [plugin] = await rig.console("SHOW PLUGINS");
    expect(plugin).toMatchObject({ version: "1.0.0" });
    expect(Object.values(plugin ?? {}).join(" ")).toContain("result_row");
  });

  test("skip and forward", async () => {
    const client = await rig.client();
    expect(placeIn(await client.query(`SELECT /* abi: skip */ ${port}`))).toBe("0 primary");
    expect(placeIn(await client.query(`SELECT /* abi: forward */ ${port}`))).toBe("1 replica");
  });

  test("error and failure", async () => {
    const client = await rig.client();
    expect(errorIn(await client.query("SELECT /* abi: error */ 1"))).toMatchObject({
      C: "28A11",
      M: "an error of the plugin",
      D: "It asked for it.",
      H: "Ask for something else.",
    });
    expect(errorIn(await client.query("SELECT /* abi: fail */ 1"))).toMatchObject({
      C: "XX000",
      M: expect.stringContaining("asked to fail"),
    });
  });

  test("rewrite, with a parameter", async () => {
    const client = await rig.client();
    expect(rowsOf(await batch(client, run("SELECT /* abi: rewrite */ 1")))).toEqual([["app"]]);
  });

  test("intercept, also one that does not fit", async () => {
    const client = await rig.client();
    const [[large]] = rowsOf(await client.query("SELECT /* abi: large */ 1")) as [[string]];
    expect(large === "x".repeat(100_000)).toBe(true);
  });

  test("it reads statement, parameters, session and cluster as they are", async () => {
    const client = await rig.client({ application_name: "abi test" });
    const sql = "SELECT /* abi: told */ lower(name) FROM public.users WHERE id = $1";
    const shards = sharedShards();
    expect(await told(client, run(sql, { values: ["42"], types: [20] }))).toMatchObject({
      protocol: String(constants.POOLER_PROTOCOL_EXTENDED),
      role: String(constants.POOLER_ROLE_OPEN),
      shard: String(constants.POOLER_SHARD_OPEN),
      kind: String(constants.POOLER_STATEMENT_SELECT),
      facts: String(constants.POOLER_FACT_PARSED),
      tables: "1",
      schema: "public",
      table: "users",
      use: String(constants.POOLER_TABLE_READ),
      function: "lower",
      parameters: "1",
      $1: "42",
      "$1 format": "0",
      "$1 type": "20",
      "$1 flags": "0",
      user: "app",
      database: "app",
      application_name: "abi test",
      client_address: "127.0.0.1",
      client_encoding: "UTF8",
      shards: String(shards.length),
      hosts: String(shards.flatMap(({ replicas }) => [1, ...replicas]).length),
      host: new URL(shards[0]?.primary ?? "").host,
    });
  });

  test("rows: kept, changed, dropped", async () => {
    const client = await rig.client();
    const sql = "SELECT /* abi: rows */ * FROM (VALUES ('keep', 1), ('mask', 2), ('drop', 3), ('keep', 4)) AS t (a, b)";
    const left = [
      ["keep", "1"],
      ["***", "2"],
      ["keep", "4"],
    ];
    expect(rowsOf(await client.query(sql))).toEqual(left);
    expect(rowsOf(await batch(client, run(sql)))).toEqual(left);
  });

  test("clients: remapped, refused, heard of when they leave", async () => {
    const before = await told(await rig.client());
    const client = await rig.client({ user: "old" });
    expect((await told(client))["user"]).toBe("app");
    expect(await refusalOf(rig.pooler, { user: "evil", database: "app" })).toMatchObject({
      C: "28A10",
      M: "evil stays outside",
      H: "Be good.",
    });
    await rig.disconnectAll();
    const after = await told(await rig.client());
    expect(Number(after["connected"])).toBeGreaterThanOrEqual(Number(before["connected"]) + 3);
    await expect.poll(async () => Number((await told(await rig.client()))["disconnected"])).toBeGreaterThanOrEqual(2);
  });

  test("servers: what it runs first and once", async () => {
    const client = await rig.client();
    expect(rowsOf(await client.query("SELECT current_setting('abi.shard'), count(*) > 0 FROM abi_once"))).toEqual([["0", "t"]]);
    await client.query("DISCARD ALL");
    expect(rowsOf(await client.query("SHOW abi.shard"))).toEqual([["0"]]);
    expect(Number((await told(client))["servers"])).toBeGreaterThanOrEqual(1);
  });

  test("ends: with a command tag, with an SQLSTATE", async () => {
    const client = await rig.client();
    await client.query("SELECT 1 UNION SELECT 2");
    expect((await told(client))["last"]).toBe("SELECT 2");
    await client.query("SELECT 1 / 0");
    expect((await told(client))["last"]).toBe("22012");
  });

  test("reload: taken, and refused", async () => {
    const client = await rig.client();
    const withLabel = (label: string) => ({ ...rig.config, plugins: [{ name: "./abi", config: { label } }] });
    rig.pooler.writeConfig(withLabel("second"));
    await rig.console("RELOAD");
    expect((await told(client))["config"]).toBe('{"label":"second"}');
    rig.pooler.writeConfig(withLabel("bad"));
    await expect(rig.console("RELOAD")).rejects.toThrow("that label is bad");
    expect(await told(client)).toMatchObject({ config: '{"label":"second"}', parameters: "0" });
  });

  test("statements are learned once", async () => {
    const client = await rig.client();
    const sql = `SELECT 'learned ${library().length}'`;
    await client.query(sql);
    const before = Number((await told(client))["learned"]);
    await client.query(sql);
    expect(Number((await told(client))["learned"])).toBe(before);
  });
});
