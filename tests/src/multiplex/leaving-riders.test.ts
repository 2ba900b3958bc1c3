// Clients that leave while a connection that they would share is being given their settings.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { rowsOf } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import { openConsole } from "../operations/support/console.js";
import { until } from "../operations/support/until.js";
import { oneTarget, type Rig, startRig, valueIn } from "../protocol/rig.js";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    databases: { shared: oneTarget({ multiplex: 16 }) },
    rest: { users: { app: { server_user: "postgres" }, admin: { console: "admin" } } },
  });
  await (await rig.direct()).query("DROP ROLE IF EXISTS rider_role; CREATE ROLE rider_role; GRANT rider_role TO postgres");
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await (await rig.direct()).query("DROP ROLE rider_role");
  await rig.disconnectAll();
  await rig.stop();
});

test("those who share it with a client that has left get their own answers, and it is idle when nobody wants it", async () => {
  const [leaver, stayer, other, direct] = await Promise.all([
    rig.client("shared"),
    rig.client("shared"),
    rig.client("shared"),
    rig.direct(),
  ]);
  for (const client of [leaver, stayer]) await client.query("SET ROLE rider_role");
  // Their kind is known to be quick by now, so that they may share; the connection has the other's settings.
  for (let i = 0; i < 20; i++) await valueIn(other, "SELECT 1");
  // The server has to look the role up, and cannot.
  await direct.query("BEGIN; LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE");
  leaver.send(messages.query("SELECT 1"));
  stayer.send(messages.query("SELECT 2"));
  // The pooler answers this login behind them.
  await rig.client("shared");
  leaver.reset();
  await leaver.closed;
  await rig.client("shared");
  await direct.query("COMMIT");
  expect(rowsOf(await stayer.until("Z"))).toEqual([["2"]]);
  expect(await valueIn(other, "SELECT 3")).toBe("3");
  const console = await openConsole(rig.pooler);
  await until("the connection to be idle", async () => (await console.run("SHOW POOLS")).every((pool) => pool["sv_active"] === "0"));
  console.end();
});
