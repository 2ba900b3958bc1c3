// read-write-split's window: who has just written reads from the primary.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { errorIn } from "../harness/backend-message.js";
import type { WireClient } from "../harness/wire-client.js";
import { cargoLibrary } from "./plugin-libraries.js";
import { again, batch, onAllShards, placeIn, port, prepare, type Rig, run, startRig } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  await onAllShards("DROP TABLE IF EXISTS plugins_written; CREATE TABLE plugins_written (id int)");
  rig = await startRig({
    plugins: [{ as: "split", library: cargoLibrary("read_write_split"), config: { read_your_writes: "1h" } }],
  });
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await rig.stop();
  await onAllShards("DROP TABLE plugins_written");
});

const read = `SELECT ${port}`;
const write = "INSERT INTO plugins_written VALUES (1)";

test.each<[string, (client: WireClient) => Promise<unknown>]>([
  ["a statement", (client) => client.query(write)],
  ["a batch", (client) => batch(client, run(write))],
  [
    "a prepared statement",
    async (client) => {
      await prepare(client, "w", write);
      await batch(client, again({ name: "w" }));
    },
  ],
  ["a string", (client) => client.query(`SELECT 1; ${write}`)],
  [
    "a transaction",
    async (client) => {
      for (const sql of ["BEGIN", "SELECT 1", write, "COMMIT"]) await client.query(sql);
    },
  ],
  ["a function that nobody knows to read only", (client) => client.query("SELECT nextval('pg_catalog.none')")],
])("after %s that may have written reads go to the primary, those of others do not", async (_, act) => {
  const [client, other] = [await rig.client(), await rig.client()];
  expect(placeIn(await client.query(read))).toBe("0 replica");
  await act(client);
  expect(placeIn(await client.query(read))).toBe("0 primary");
  expect(placeIn(await batch(client, run(read)))).toBe("0 primary");
  expect(placeIn(await other.query(read))).toBe("0 replica");
});

test.each<[string, (client: WireClient) => Promise<unknown>]>([
  ["a read", (client) => client.query("SELECT count(*) FROM plugins_written")],
  ["SET and SHOW", (client) => client.query("SET work_mem = '8MB'; SHOW work_mem")],
  ["preparing a write", (client) => prepare(client, "w", write)],
  [
    "a transaction that only reads",
    async (client) => {
      for (const sql of ["BEGIN READ ONLY", "SELECT 1", "COMMIT"]) await client.query(sql);
    },
  ],
  [
    "a transaction in which nothing ran",
    async (client) => {
      for (const sql of ["BEGIN", "COMMIT"]) await client.query(sql);
    },
  ],
])("after %s they go to the replica", async (_, act) => {
  const client = await rig.client();
  await act(client);
  expect(placeIn(await client.query(read))).toBe("0 replica");
});

test("inside the transaction that writes everything is at the primary", async () => {
  const client = await rig.client();
  await client.query("BEGIN");
  expect(placeIn(await client.query(read))).toBe("0 primary");
  expect(errorIn(await client.query(write))).toBeUndefined();
  expect(placeIn(await client.query(read))).toBe("0 primary");
  await client.query("ROLLBACK");
});
