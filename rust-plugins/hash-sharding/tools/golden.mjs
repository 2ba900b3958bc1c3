// Writes tests/golden.jsonl: what a PostgreSQL server makes of some key values, for tests that have no server at hand.
//   node tools/golden.mjs postgres://user@host/database
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const core = createRequire(new URL("../../../packages/core/package.json", import.meta.url));
const pg = core("pg");

const texts = ["", "a", "abcdefghijk", "abcdefghijkl", "abcdefghijklm", "año", "日本語", "🐘", "trailing  ", "x".repeat(1000)];
// Function names of bytea's hash differ between versions: its shards must do.
const hashes = {
  smallint: "hashint2extended",
  integer: "hashint4extended",
  bigint: "hashint8extended",
  uuid: "uuid_hash_extended",
  text: "hashtextextended",
  varchar: "hashtextextended",
};
const values = {
  smallint: ["0", "1", "-1", "32767", "-32768"],
  integer: ["0", "1", "-1", "32767", "65536", "2147483647", "-2147483648"],
  bigint: ["0", "1", "-1", "5", "2147483648", "-2147483649", "4294967296", "9223372036854775807", "-9223372036854775808"],
  uuid: ["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
  text: texts,
  varchar: texts,
  bytea: ["\\x", "\\x00", "\\xff", "\\xdeadbeef", `\\x${"0123456789ab".repeat(4)}`],
};
const moduli = [2, 3, 7, 16];

const client = new pg.Client({ connectionString: process.argv[2] });
await client.connect();
const lines = [];
for (const [type, given] of Object.entries(values)) {
  await client.query(`CREATE TEMP TABLE golden (key ${type}) PARTITION BY HASH (key)`);
  for (const value of [null, ...given]) {
    const row = moduli.map(
      (modulus) =>
        `(SELECT r FROM generate_series(0, ${modulus - 1}) r WHERE satisfies_hash_partition('golden'::regclass, ${modulus}, r, $1::${type}))`,
    );
    // The seed of partition keys, 0x7A5B22367996DCFD.
    const hashed = hashes[type] === undefined ? "NULL" : `${hashes[type]}($1::${type}, 8816678312871386365)`;
    const { rows } = await client.query({ text: `SELECT ${row.join(", ")}, (${hashed})::text`, values: [value], rowMode: "array" });
    const shards = Object.fromEntries(moduli.map((modulus, index) => [modulus, rows[0][index]]));
    lines.push(JSON.stringify({ type, value, hash: rows[0][moduli.length], shards }));
  }
  await client.query("DROP TABLE golden");
}
await client.end();
writeFileSync(new URL("../tests/golden.jsonl", import.meta.url), `${lines.join("\n")}\n`);
