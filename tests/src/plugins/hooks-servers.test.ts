// server_connect: what is run before anybody uses a connection, whose effect outlives every client, and servers that are refused.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { createHookLog, refusalOf } from "./hook-rig.js";
import { hooks } from "./plugin-libraries.js";
import { direct, onAllShards, placeIn, port, type Rig, startRig } from "./rig.js";

const [first] = sharedShards();
const log = createHookLog();
beforeAll(() =>
  onAllShards(
    "DROP TABLE IF EXISTS warmed; CREATE TABLE warmed (at timestamptz DEFAULT now()); DROP ROLE IF EXISTS reporting; CREATE ROLE reporting",
  ),
);
beforeEach(() => log.clear());
afterAll(() => log.remove());

describe("with statements to run first", () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startRig({
      plugins: [
        {
          as: "hooks",
          library: hooks(),
          config: {
            file: log.file,
            session_sql: "SET ROLE reporting; SET TimeZone = 'Asia/Tokyo'",
            once_sql: "RESET ROLE; INSERT INTO warmed DEFAULT VALUES; SET ROLE reporting",
          },
        },
      ],
      databases: { app: { shards: [first], pool_size: 1 }, held: { shards: [first], pool_size: 1, pool_mode: "session" } },
    });
  });
  afterEach(() => rig.disconnectAll());
  afterAll(() => rig.stop());

  async function roleOf(client: Awaited<ReturnType<Rig["client"]>>): Promise<string | null | undefined> {
    return rowsOf(await client.query("SELECT current_user"))[0]?.[0];
  }

  test("clients find the session as the plugin made it, and are greeted so", async () => {
    const client = await rig.client();
    expect(await roleOf(client)).toBe("reporting");
    const greeted = await rig.client();
    expect(rowsOf(await greeted.query("SHOW TimeZone"))).toEqual([["Asia/Tokyo"]]);
    expect(log.calls("server_connect").length).toBeLessThanOrEqual(1);
    const superuser = await direct(0);
    expect(rowsOf(await superuser.query("SELECT count(*) FROM warmed"))).toEqual([["1"]]);
    superuser.end();
  });

  test.each([
    "RESET ROLE",
    "SET ROLE postgres",
    "RESET ALL",
    "DISCARD ALL",
    "DO $$ BEGIN PERFORM set_config('role', 'none', false); END $$",
  ])("the next client finds it again after %s", async (sql) => {
    const one = await rig.client();
    const other = await rig.client();
    expect(errorIn(await one.query(sql))).toBeUndefined();
    expect(await roleOf(other)).toBe("reporting");
    expect(rowsOf(await other.query("SHOW TimeZone"))).toEqual([["Asia/Tokyo"]]);
  });

  test("a setting of one client is taken back to what the plugin made of it", async () => {
    const one = await rig.client();
    const other = await rig.client();
    await one.query("SET TimeZone = 'UTC'");
    expect(rowsOf(await one.query("SHOW TimeZone"))).toEqual([["UTC"]]);
    expect(rowsOf(await other.query("SHOW TimeZone"))).toEqual([["Asia/Tokyo"]]);
    expect(rowsOf(await one.query("SHOW TimeZone"))).toEqual([["UTC"]]);
    expect(await roleOf(one)).toBe("reporting");
  });

  test("what is run once is not run again by a reset", async () => {
    const superuser = await direct(0);
    const before = rowsOf(await superuser.query("SELECT count(*) FROM warmed"));
    const client = await rig.client();
    await client.query("DISCARD ALL");
    expect(await roleOf(client)).toBe("reporting");
    expect(rowsOf(await superuser.query("SELECT count(*) FROM warmed"))).toEqual(before);
    superuser.end();
  });

  test("in session mode the next client finds it, too", async () => {
    const one = await rig.client({ database: "held" });
    await one.query("RESET ROLE");
    expect(await roleOf(one)).toBe("postgres");
    one.end();
    await one.closed;
    const other = await rig.client({ database: "held" });
    expect(await roleOf(other)).toBe("reporting");
  });
});

test("a plugin hears of every connection: where it goes, as whom, and what the server reports", async () => {
  const rig = await startRig({ plugins: [{ as: "hooks", library: hooks(), config: { file: log.file } }], app: { shards: [first] } });
  const client = await rig.client();
  expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 primary");
  const { port: primaryPort } = new URL(first?.primary ?? "");
  expect(log.calls("server_connect")).toEqual([
    ["primary", "0", "postgres", "app", `127.0.0.1:${primaryPort}`, expect.stringMatching(/^\d+/)],
  ]);
  const [row] = await rig.console("SHOW PLUGINS");
  expect(row).toMatchObject({ calls_server_connect: "1", errors_server_connect: "0" });
  await rig.disconnectAll();
  await rig.stop();
});

describe("a connection is not used", () => {
  async function refusalWith(config: Readonly<Record<string, string>>): Promise<Record<string, string> | undefined> {
    const rig = await startRig({ plugins: [{ as: "hooks", library: hooks(), config, onError: "skip" }], app: { shards: [first] } });
    const refusal = await refusalOf(rig.pooler, { user: "app", database: "app" });
    const servers = await rig.console("SHOW SERVERS");
    expect(servers).toEqual([]);
    await rig.stop();
    return refusal;
  }

  test("when the plugin refuses the server", async () => {
    expect(await refusalWith({ refuse_server: "primary" })).toMatchObject({
      S: "FATAL",
      C: "57P03",
      M: expect.stringMatching(/^plugin "\.\/hooks" refuses 127\.0\.0\.1:\d+: no primarys today$/) as string,
    });
  });

  test.each(["fail", "panic"])("when the plugin %ss", async (how) => {
    expect(await refusalWith({ [how]: "server_connect" })).toMatchObject({
      C: "XX000",
      M: expect.stringMatching(/^plugin "\.\/hooks" failed: .*asked to/) as string,
    });
  });

  test("when a statement that it runs first fails, leaves a transaction open, or wants data", async () => {
    for (const [sql, words] of [
      ["SELECT 1/0", "failed: division by zero (SQLSTATE 22012)"],
      ["BEGIN", "leave a transaction open"],
      ["COPY warmed FROM STDIN", "want to be sent data"],
    ] as const)
      expect(await refusalWith({ session_sql: sql })).toMatchObject({ C: "08006", M: expect.stringContaining(words) as string });
  });
});

test("reads go elsewhere when replicas are refused", async () => {
  const rig = await startRig({
    plugins: [{ as: "hooks", library: hooks(), config: { refuse_server: "replica" } }, { package: "@pooler/plugin-read-write-split" }],
    app: { shards: [first] },
  });
  const client = await rig.client();
  expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 primary");
  await rig.disconnectAll();
  await rig.stop();
});
