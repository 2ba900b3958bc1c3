// Writes src/builtin_functions.txt: every function name of pg_catalog with the worst volatility of its overloads, over all
// PostgreSQL versions that we can start. Run it after a new major version: `node rust-plugins/parse-tree/tools/builtin-functions.mjs`
// (needs a build of tools/embedded-cluster). It only writes down what the catalogs say; what is harmless is judged in functions.rs.
import { writeFileSync } from "node:fs";

const { query, startCluster, supportedVersions } = await import("../../../tools/embedded-cluster/dist/index.js");

const sql = `SELECT proname AS name, max(CASE provolatile WHEN 'i' THEN 0 WHEN 's' THEN 1 ELSE 2 END) AS volatility
  FROM pg_catalog.pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY proname`;

/** @type {Map<string, number>} */
const worst = new Map();
for (const version of supportedVersions) {
  const cluster = await startCluster({ version });
  try {
    for (const row of await query(cluster.shards[0].primary.url, sql)) {
      worst.set(row.name, Math.max(worst.get(row.name) ?? 0, Number(row.volatility)));
    }
  } finally {
    await cluster.stop();
  }
  process.stdout.write(`PostgreSQL ${version}: ${worst.size} names so far\n`);
}

const lines = [...worst].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, volatility]) => `${"isv"[volatility]} ${name}`);
const header = `# Functions of pg_catalog: i immutable, s stable, v volatile (the worst of all overloads and of PostgreSQL ${supportedVersions.join(", ")}).
# Written by tools/builtin-functions.mjs.
`;
writeFileSync(new URL("../src/builtin_functions.txt", import.meta.url), `${header}${lines.join("\n")}\n`);
