// set_config() for the session is how some drivers and every dump say SET: asyncpg around its introspection, Django for the time zone,
// pg_dump for the search path.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn } from "../harness/backend-message.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { oneTarget, type Rig, settingsOf, startRig, twoShards, valueIn } from "../protocol/rig.js";

const { parse, bind, execute, sync } = messages;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ databases: { one: oneTarget({ pool_size: 2 }), two: twoShards({ pool_size: 2 }) } });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

/** Other clients come and go on all servers, so that the client meets one that had somebody else. */
async function shuffle(database: string): Promise<void> {
  const others = [await rig.client(database), await rig.client(database)];
  for (const other of others) await other.query("BEGIN; SELECT 1");
  for (const other of others) {
    expect(await settingsOf(other)).toEqual([]);
    await other.query("COMMIT");
  }
}

async function run(client: WireClient, text: string, parameters: readonly (string | null)[]): Promise<void> {
  client.send(parse({ text }), bind({ values: [...parameters] }), execute(), sync());
  expect(errorIn(await client.until("Z"))).toBeUndefined();
}

describe.each(["one", "two"])("database %s", (database) => {
  test.each([
    ["SELECT set_config('TimeZone', 'Europe/Rome', false)", "TimeZone", "Europe/Rome"],
    ["SELECT pg_catalog.set_config('search_path', '', false);", "search_path", ""],
    ["SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new", "jit", "off"],
    ["BEGIN; SELECT set_config('app.tenant', 'it''s é', false); COMMIT", "app.tenant", "it's é"],
  ])("%s goes with the client, and with it only", async (sql, name, value) => {
    const client = await rig.client(database);
    expect(errorIn(await client.query(sql))).toBeUndefined();
    await shuffle(database);
    expect(await valueIn(client, `SHOW ${name}`)).toBe(value);
    await client.query(`RESET ${name}`);
    expect(await settingsOf(client)).toEqual([]);
  });

  test("so does what a parameter says", async () => {
    const client = await rig.client(database);
    await run(client, "SELECT set_config($1, $2, false)", ["app.tenant", "é's"]);
    await run(client, "SELECT set_config('work_mem', $1, false)", ["3MB"]);
    await shuffle(database);
    expect(await valueIn(client, "SHOW app.tenant")).toBe("é's");
    expect(await valueIn(client, "SHOW work_mem")).toBe("3MB");
    await run(client, "SELECT set_config('work_mem', $1, false)", [null]);
    await shuffle(database);
    expect(await valueIn(client, "SHOW work_mem")).toBe("4MB");
  });

  test("a transaction that is rolled back takes it back", async () => {
    const client = await rig.client(database);
    for (const sql of ["BEGIN", "SELECT set_config('work_mem', '3MB', false)", "ROLLBACK"]) await client.query(sql);
    expect(await valueIn(client, "SHOW work_mem")).toBe("4MB");
    expect(await settingsOf(client)).toEqual([]);
  });

  test("a value that cannot be known is refused", async () => {
    const client = await rig.client(database);
    expect(errorIn(await client.query("SELECT set_config('work_mem', min(name), false) FROM pg_settings"))).toMatchObject({ C: "0A000" });
  });
});
