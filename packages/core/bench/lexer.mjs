// What a scan by the lexer costs: `pnpm build && node bench/lexer.mjs`. Budget: 200 ns for the point SELECT.
// Plain JavaScript on the built files, because a test runner's module wrappers cost more than the scan.
import { createLexed, lex } from "../dist/sql/lexer.js";

const columns = Array.from({ length: 30 }, (_, n) => `t${n}.column_${n} AS "Column ${n}"`).join(", ");
const joins = Array.from({ length: 29 }, (_, n) => `JOIN t${n + 1} ON t${n}.id = t${n + 1}.parent_id`).join(" ");
const texts = {
  "point SELECT": "SELECT abalance FROM pgbench_accounts WHERE aid = 123",
  BEGIN: "BEGIN",
  "UPDATE with a string": "UPDATE users SET email = 'somebody@example.org', updated_at = now() WHERE id = $1",
  "SET LOCAL": "SET LOCAL statement_timeout = '5s'",
  "2 kB of joins": `SELECT ${columns} FROM t0 ${joins} WHERE t0.id = 1`,
};

const out = createLexed();
const rounds = 5;
const best = new Map();
for (let round = 0; round < rounds; round++) {
  for (const [name, text] of Object.entries(texts)) {
    const buffer = Buffer.from(text);
    const calls = Math.ceil(2e7 / buffer.length);
    const begun = process.hrtime.bigint();
    for (let call = 0; call < calls; call++) lex(buffer, 0, buffer.length, true, out);
    const ns = Number(process.hrtime.bigint() - begun) / calls;
    best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, ns));
  }
}
for (const [name, ns] of best) console.log(`${name}, ${texts[name].length} bytes: ${ns.toFixed(0)} ns`);
