// What drivers send when a connection goes back to a pool of theirs: it leaves nothing in a session, and so it must be taken.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import { oneTarget, type Rig, settingsOf, startRig, twoShards, valueIn } from "../protocol/rig.js";

const { parse, bind, execute, sync } = messages;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ databases: { one: oneTarget(), two: twoShards() } });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

const resets: readonly (readonly [driver: string, sql: string])[] = [
  ["asyncpg", "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"],
  [
    "Npgsql, with prepared statements to keep",
    "SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP",
  ],
  ["Npgsql, otherwise, and PgBouncer's server_reset_query", "DISCARD ALL"],
  ["psycopg2, in one string", "ABORT; RESET ALL; SET SESSION AUTHORIZATION DEFAULT"],
];

describe.each(["one", "two"])("database %s", (database) => {
  test.each(resets)("the reset of %s is taken, and settings are gone", async (_, sql) => {
    const client = await rig.client(database);
    await client.query("SET work_mem = '3MB'");
    expect(errorIn(await client.query(sql))).toBeUndefined();
    expect(await valueIn(client, "SHOW work_mem")).toBe("4MB");
    expect(await settingsOf(client)).toEqual([]);
  });

  test("so is each of its statements in the extended protocol", async () => {
    const client = await rig.client(database);
    for (const text of ["SELECT pg_advisory_unlock_all()", "CLOSE ALL", "UNLISTEN *", "RESET ALL", "DISCARD SEQUENCES", "DISCARD TEMP"]) {
      client.send(parse({ text }), bind(), execute(), sync());
      expect(errorIn(await client.until("Z")), text).toBeUndefined();
    }
  });
});
