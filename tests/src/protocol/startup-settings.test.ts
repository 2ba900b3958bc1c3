// Settings that a client brings along in its startup packet: on every server that it gets, and under the eyes of plugins that inspect.
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";

let pooler: Pooler;

beforeAll(async () => {
  const url = sharedShards()[0]?.primary ?? "";
  pooler = await startPooler({
    config: {
      listen: { auth: "trust" },
      databases: { app: { url, pool_size: 2 } },
      users: { app: {} },
      plugins: [{ name: "@pooler/plugin-validator", config: { rules: [{ type: "deny_tables", tables: ["private.*"] }] } }],
    },
  });
});

afterAll(() => pooler.stop());

async function ask(options: string, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: pooler.url(), options });
  try {
    await client.connect();
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return Object.values(rows[0] ?? {})[0];
  } catch (error) {
    return { code: (error as { code?: string }).code, message: (error as Error).message };
  } finally {
    await client.end();
  }
}

test("a setting that is a list stays a list", async () => {
  expect(await ask("-c datestyle=iso,dmy", "SELECT '02/01/2026'::date::text")).toBe("2026-01-02");
});

test("a value with quotes and backslashes arrives as it is", async () => {
  expect(await ask("-c app.note=it\\'s\\ a\\ \\\\", "SELECT current_setting('app.note')")).toBe("it's a \\");
});

test("the next client on the same server does not have them", async () => {
  expect(await ask("-c work_mem=5MB", "SHOW work_mem")).toBe("5MB");
  expect(await ask("", "SHOW work_mem")).toBe("4MB");
});

test("a plugin that inspects sees them: search_path is no way around its rules", async () => {
  expect(await ask("-c search_path=private", "SELECT 1")).toMatchObject({ code: "42501", message: expect.stringContaining("search_path") });
  expect(await ask("-c search_path=public", "SHOW search_path")).toBe("public");
});
