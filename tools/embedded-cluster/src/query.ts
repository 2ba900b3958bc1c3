// One statement on a connection of its own. For set-up and checks, not for load.
import pg from "pg";
import type { Row } from "./types.js";

export async function query(url: string, sql: string, values: readonly unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  // A server that is killed between two statements says so on the idle connection; the statement itself reports what matters.
  client.on("error", () => {});
  await client.connect();
  try {
    const result = await client.query<Row>(sql, values.length === 0 ? undefined : [...values]);
    return result.rows;
  } finally {
    await client.end();
  }
}
