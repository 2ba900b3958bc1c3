// A plugin that ends its worker in one of its hooks: the log names the plugin and the hook, and a new worker serves.
import { expect, test } from "vitest";
import { rowsOf } from "../harness/backend-message.js";
import { connectWire, messages } from "../harness/wire-client.js";
import { hooks } from "./plugin-libraries.js";
import { startRig } from "./rig.js";

/** Brings a hook about; what becomes of the client says nothing. */
const ways: Readonly<Record<string, string>> = {
  client_connect: "SELECT 1",
  client_disconnect: "SELECT 1",
  server_connect: "SELECT 1",
  query_end: "SELECT 1",
  result_row: "SELECT /* rows: keep */ 1",
  reload: "SELECT 1",
};

test.each(Object.keys(ways))("in %s", async (hook) => {
  const rig = await startRig({ plugins: [{ as: "hooks", library: hooks(), config: { abort: hook } }] });
  const client = await connectWire({ port: rig.pooler.port });
  client.send(messages.startup({ user: "app", database: "app" }));
  if (hook !== "client_connect" && hook !== "server_connect") {
    await client.until("Z");
    if (hook === "client_disconnect") client.reset();
    else if (hook === "reload") rig.pooler.signal("SIGHUP");
    else client.send(messages.query(ways[hook] as string));
  }
  const line = await rig.pooler.untilLog(({ event }) => event === "worker gone");
  expect(line).toMatchObject({ plugin: "./hooks", hook });
  await rig.pooler.untilLog(({ event }) => event === "worker ready", rig.pooler.log.indexOf(line));
  expect(await rig.console("SHOW VERSION")).toHaveLength(1);
  if (hook === "reload") expect(rowsOf(await (await rig.client()).query("SELECT 1"))).toEqual([["1"]]);
  await rig.disconnectAll();
  await rig.stop();
});
