// The shard that hash-sharding gives to a key, against PostgreSQL's own satisfies_hash_partition, for thousands of values of
// each type. The Rust side is the crate's example shard_of; nothing of the pooler runs here.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { query } from "@pooler/embedded-cluster";
import { beforeAll, describe, expect, test } from "vitest";
import { sharedShards } from "./harness/shared-cluster.js";

const rustPlugins = resolve(import.meta.dirname, "../../rust-plugins");
const moduli = [1, 2, 3, 4, 7, 16];
const valuesOfEachType = 2_000;

/** Bytes that look random and are the same in every run. */
function bytesOf(seed: string, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let index = 0; blocks.length * 32 < length; index += 1) {
    blocks.push(createHash("sha256").update(`${seed}:${index}`).digest());
  }
  return Buffer.concat(blocks).subarray(0, length);
}

const texts = [
  "",
  " ",
  "a",
  "A",
  "NULL",
  "\\x00",
  "'quoted'",
  "line\nbreak\ttab\u0001",
  "äöü",
  "año",
  "e\u0301",
  "日本語",
  "🐘",
  "\u{10ffff}",
  "ÿ".repeat(12),
  "x".repeat(100_000),
];

function textAt(index: number): string {
  // Every length around the hash's blocks of twelve bytes, with characters of one to four bytes.
  const alphabet = [..."abcXYZ 09_-ñß€🐘日\u0100\u07ff"];
  const bytes = bytesOf(`text ${index}`, index % 53);
  return Array.from(bytes, (byte) => alphabet[byte % alphabet.length]).join("");
}

function integers(bits: number): (index: number) => string {
  const boundaries = [0n, 1n, -1n, 2n ** BigInt(bits - 1) - 1n, -(2n ** BigInt(bits - 1)), 1n - 2n ** BigInt(bits - 1)];
  for (const power of [7, 8, 15, 16, 31, 32, 33, 62].filter((exponent) => exponent < bits - 1)) {
    boundaries.push(2n ** BigInt(power), -(2n ** BigInt(power)), 2n ** BigInt(power) - 1n, -(2n ** BigInt(power)) - 1n);
  }
  return (index) => {
    const boundary = boundaries[index];
    if (boundary !== undefined) {
      return String(boundary);
    }
    // Half of them small, since keys come from sequences.
    return String(index % 2 === 0 ? index : BigInt.asIntN(bits, bytesOf(`integer ${index}`, 8).readBigInt64LE()));
  };
}

const typesAndValues: readonly [type: string, value: (index: number) => string][] = [
  ["smallint", integers(16)],
  ["integer", integers(32)],
  ["bigint", integers(64)],
  [
    "uuid",
    (index) =>
      bytesOf(`uuid ${index}`, 16)
        .fill(index % 3 === 0 ? 0 : 255, 0, index % 5 === 0 ? 16 : 0)
        .toString("hex"),
  ],
  ["text", (index) => texts[index] ?? textAt(index)],
  ["varchar", (index) => texts[index] ?? textAt(index)],
  ["varchar(20)", (index) => `${textAt(index % 20)}${" ".repeat(index % 7)}`],
  ["bytea", (index) => `\\x${bytesOf(`bytea ${index}`, index % 64).toString("hex")}`],
];

function shardsByPlugin(type: string, values: readonly unknown[]): Promise<string[]> {
  const args = ["run", "--quiet", "--locked", "-p", "pooler-hash-sharding", "--example", "shard_of", "--", type, moduli.join(",")];
  return new Promise((done, failed) => {
    const child = execFile("cargo", args, { cwd: rustPlugins, maxBuffer: 1 << 26 }, (error, stdout) => {
      if (error === null) {
        done(stdout.trimEnd().split("\n"));
      } else {
        failed(error);
      }
    });
    child.stdin?.end(values.map((value) => `${JSON.stringify(value)}\n`).join(""));
  });
}

/** One "0,1,2,…" for each value: its remainder for each modulus, and its bytes in binary form. */
async function shardsByPostgres(url: string, type: string, values: readonly (string | null)[]) {
  const remainders = moduli.map(
    (modulus) =>
      `(SELECT string_agg(r::text, '+') FROM generate_series(0, ${modulus - 1}) r
         WHERE satisfies_hash_partition('hash_oracle.parent'::regclass, ${modulus}, r, value))`,
  );
  const send: Record<string, string> = {
    smallint: "int2send",
    integer: "int4send",
    bigint: "int8send",
    uuid: "uuid_send",
    bytea: "byteasend",
  };
  const sql = `
    SELECT concat_ws(',', ${remainders.join(", ")}) AS shards, encode(${send[type] ?? "textsend"}(value), 'hex') AS sent
    FROM (SELECT given::${type} AS value, ordinality FROM unnest($1::text[]) WITH ORDINALITY AS given(given, ordinality)) AS all_values
    ORDER BY ordinality`;
  await query(url, `DROP TABLE IF EXISTS hash_oracle.parent`);
  await query(url, `CREATE TABLE hash_oracle.parent (key ${type}) PARTITION BY HASH (key)`);
  const rows = await query(url, sql, [values]);
  return rows.map((row) => ({ shards: String(row["shards"]), sent: row["sent"] === null ? null : String(row["sent"]) }));
}

describe.sequential("hash-sharding gives a key the shard that PostgreSQL's PARTITION BY HASH gives it", () => {
  const url = sharedShards()[0]?.primary ?? "";

  beforeAll(async () => {
    await query(url, "CREATE SCHEMA hash_oracle");
    // Compiles the example, so that no test pays for it.
    await shardsByPlugin("bigint", ["1"]);
    return async () => {
      await query(url, "DROP SCHEMA hash_oracle CASCADE");
    };
  }, 600_000);

  test.each(typesAndValues)("%s, in text and in binary form, NULL included", async (type, valueAt) => {
    const values = [null, ...Array.from({ length: valuesOfEachType }, (_, index) => valueAt(index))];
    const expected = await shardsByPostgres(url, type, values);
    const everyRemainder = new Set(expected.map(({ shards }) => shards));

    expect(await shardsByPlugin(type, values)).toEqual(expected.map(({ shards }) => shards));
    const binary = expected.map(({ sent }) => (sent === null ? null : { binary: sent }));
    expect(await shardsByPlugin(type, binary)).toEqual(expected.map(({ shards }) => shards));
    // The values must reach every shard, or the comparison says little.
    expect(everyRemainder.size).toBeGreaterThan(Math.max(...moduli));
  });

  test("equal numbers share a shard whatever their type", async () => {
    const values = ["0", "-1", "5", "-32768", "32767"];
    const shards = await Promise.all(["smallint", "integer", "bigint"].map((type) => shardsByPlugin(type, values)));
    expect(shards[1]).toEqual(shards[0]);
    expect(shards[2]).toEqual(shards[0]);
  });
});
