// Reads SQL texts from stdin, one JSON string a line, and answers each with a line {"sql","tree"}, parsed as the pooler does it.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const core = createRequire(new URL("../../../packages/core/package.json", import.meta.url));
const { loadModule, parseSync } = core("libpg-query");

await loadModule();
for await (const line of createInterface({ input: process.stdin })) {
  const sql = JSON.parse(line);
  process.stdout.write(`${JSON.stringify({ sql, tree: parseSync(sql) })}\n`);
}
