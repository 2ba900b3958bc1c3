// client_connect and client_disconnect: who comes in as whom, who does not, and who hears that somebody has left.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { createHookLog, refusalOf } from "./hook-rig.js";
import { hooks, puppet } from "./plugin-libraries.js";
import { onAllShards, placeIn, port, type Rig, startRig } from "./rig.js";

const [first, second] = sharedShards();
const log = createHookLog();
let rig: Rig;
beforeAll(async () => {
  await onAllShards(
    "DROP ROLE IF EXISTS hooked; CREATE ROLE hooked LOGIN PASSWORD 'of the server'; DROP ROLE IF EXISTS hooked_too; CREATE ROLE hooked_too LOGIN",
  );
  rig = await startRig({
    plugins: [
      { as: "first", library: puppet() },
      {
        as: "hooks",
        library: hooks(),
        config: {
          file: log.file,
          deny: "evil",
          users: { old: "app", ghost: "nobody" },
          databases: { moved: "second", gone: "nowhere", admin: "pooler" },
        },
      },
    ],
    databases: { app: { shards: [first] }, second: { shards: [second] } },
    rest: {
      users: {
        app: { server_user: "postgres" },
        narrow: { server_user: "postgres", databases: ["app"] },
        admin: { console: "admin" },
        evil: { console: "admin" },
      },
    },
  });
});
beforeEach(() => log.clear());
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await rig.stop();
  log.remove();
});

test("a client is refused in the plugin's words", async () => {
  expect(await refusalOf(rig.pooler, { user: "evil", database: "app" })).toMatchObject({
    S: "FATAL",
    C: "28P99",
    M: "evil may not come in",
    D: "by the fixture",
    H: "Be another.",
  });
  expect(log.calls("client_connect")).toHaveLength(1);
  // It has not let it in.
  expect(log.calls("client_disconnect")).toEqual([]);
});

test("a plugin hears who asks for what, and that it has left", async () => {
  const client = await rig.client({ application_name: "a test" });
  const [[id, ...told] = []] = log.calls("client_connect");
  expect(told).toEqual(["app", "app", "app", "app", "a test"]);
  expect(log.calls("client_disconnect")).toEqual([]);
  client.end();
  expect(await log.until("client_disconnect", 1)).toEqual([[id, "app", "true"]]);
});

test("a user is another one from then on", async () => {
  const client = await rig.client({ user: "old" });
  expect(rowsOf(await client.query("SELECT current_user"))).toEqual([["postgres"]]);
  expect((await rig.console("SHOW CLIENTS")).map(({ user }) => user)).toContain("app");
  client.end();
  expect(await log.until("client_disconnect", 1)).toEqual([[expect.any(String), "app", "true"]]);
});

test("a database is another one, and so another cluster", async () => {
  const client = await rig.client({ database: "moved" });
  expect(placeIn(await client.query(`SELECT ${port}`))).toBe("1 primary");
  const home = await rig.client();
  expect(placeIn(await home.query(`SELECT ${port}`))).toBe("0 primary");
});

test("what a client becomes must exist, and may do what it may do", async () => {
  expect(await refusalOf(rig.pooler, { user: "ghost", database: "app" })).toMatchObject({ C: "28P01" });
  expect(await refusalOf(rig.pooler, { user: "app", database: "gone" })).toMatchObject({ C: "3D000" });
  expect(await refusalOf(rig.pooler, { user: "narrow", database: "moved" })).toMatchObject({ C: "28000" });
  // Nobody gets to the console by way of a plugin.
  expect(await refusalOf(rig.pooler, { user: "admin", database: "admin" })).toMatchObject({ C: "3D000" });
  // They were let in by the plugin, and hear of their end.
  const ids = log.calls("client_connect").map(([id]) => id);
  const left = (await log.until("client_disconnect", 4)).filter(([id]) => ids.includes(id));
  expect(left.map(([, , loggedIn]) => loggedIn)).toEqual(["false", "false", "false", "false"]);
});

test("the console does not ask plugins", async () => {
  await rig.console("SHOW VERSION");
  expect(log.calls("client_connect")).toEqual([]);
  const evil = await rig.client({ user: "evil", database: "pooler" });
  expect(errorIn(await evil.query("SHOW VERSION"))).toBeUndefined();
});

test("calls are counted by hook", async () => {
  const before = (await rig.console("SHOW PLUGINS"))[1];
  await rig.client();
  await refusalOf(rig.pooler, { user: "evil", database: "app" });
  const after = (await rig.console("SHOW PLUGINS"))[1];
  expect(Number(after?.["calls_client_connect"]) - Number(before?.["calls_client_connect"])).toBe(2);
  expect(after?.["hooks"]).toContain("client_connect");
});

describe("credentials for servers", () => {
  test("are those that a plugin gives", async () => {
    const given = await startRig({
      plugins: [{ as: "hooks", library: hooks(), config: { server_user: "hooked", server_password: "of the server" } }],
      databases: { app: { shards: [withoutUser(first?.primary ?? "")] } },
    });
    const client = await given.client();
    expect(rowsOf(await client.query("SELECT session_user"))).toEqual([["hooked"]]);
    await given.disconnectAll();
    await given.stop();
  });

  test("win over those of the configuration", async () => {
    const given = await startRig({
      plugins: [{ as: "hooks", library: hooks(), config: { server_user: "hooked_too" } }],
      databases: { app: { shards: [first] } },
    });
    const client = await given.client();
    expect(rowsOf(await client.query("SELECT session_user"))).toEqual([["hooked_too"]]);
    await given.disconnectAll();
    await given.stop();
  });
});

describe.each(["fail", "panic"])("a plugin that %ss", (how) => {
  test("in client_connect lets nobody in", async () => {
    const failing = await startRig({
      // Passing over a plugin that guards the door would open it.
      plugins: [{ as: "hooks", library: hooks(), config: { [how]: "client_connect" }, onError: "skip" }],
    });
    expect(await refusalOf(failing.pooler, { user: "app", database: "app" })).toMatchObject({
      C: "XX000",
      M: expect.stringMatching(/^plugin "\.\/hooks" failed: .*asked to (fail|panic) in client_connect/) as string,
    });
    const [row] = await failing.console("SHOW PLUGINS");
    expect(row?.["errors_client_connect"]).toBe("1");
    await failing.stop();
  });

  test("in client_disconnect hurts nobody", async () => {
    const failing = await startRig({ plugins: [{ as: "hooks", library: hooks(), config: { [how]: "client_disconnect" } }] });
    for (let i = 0; i < 20; i++) {
      const client = await failing.client();
      expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
      client.end();
      await client.closed;
    }
    await failing.pooler.untilLog(({ msg }) => msg?.includes('plugin "./hooks" failed in client_disconnect') === true);
    expect(failing.pooler.log.filter(({ msg }) => msg?.includes("client_disconnect")).length).toBeLessThan(5);
    await failing.stop();
  });
});

test("the last clients are reported before the plugins end", async () => {
  const ending = await startRig({ plugins: [{ as: "hooks", library: hooks(), config: { file: log.file } }] });
  await ending.client();
  await ending.client();
  await ending.stop();
  expect(log.calls("client_disconnect")).toHaveLength(2);
});

function withoutUser(url: string): { readonly primary: string } {
  const stripped = new URL(url);
  stripped.username = "";
  return { primary: stripped.href };
}
