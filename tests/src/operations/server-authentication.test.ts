// How the pooler proves itself at servers: with the URL's password, the user's, or the keys that a client's own login has shown.
import { type Cluster, query, startCluster } from "@pooler/embedded-cluster";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { openConsole } from "./support/console.js";

let cluster: Cluster;
/** What PostgreSQL keeps of the password of "passed". */
let verifier: string;

const address = (): string => new URL(cluster.shards[0]?.primary.url ?? "").host;
const server = (credentials: string): string => `postgres://${credentials}${address()}/postgres`;

beforeAll(async () => {
  cluster = await startCluster({
    hba: ["scram-sha-256", "md5", "password"]
      .map((method) => `host all by_${method.slice(0, 3)} 127.0.0.1/32 ${method}`)
      .concat("host all passed,moved 127.0.0.1/32 scram-sha-256"),
  });
  await query(
    server("postgres@"),
    `SET password_encryption = 'md5'; CREATE ROLE by_md5 LOGIN PASSWORD 'right';
     SET password_encryption = 'scram-sha-256'; CREATE ROLE by_scr LOGIN PASSWORD 'right'; CREATE ROLE by_pas LOGIN PASSWORD 'right';
     CREATE ROLE passed LOGIN PASSWORD 'right'; CREATE ROLE moved LOGIN PASSWORD 'right'; CREATE ROLE anyone LOGIN`,
  );
  const [row] = await query(server("postgres@"), "SELECT rolpassword FROM pg_authid WHERE rolname = 'passed'");
  verifier = String(row?.["rolpassword"]);
});

afterAll(() => cluster.stop());

interface Login {
  readonly user: string;
  readonly password?: string;
  readonly database?: string;
}

/** The name under which a client ends up at the server, or what it is told instead. */
async function serverUser(pooler: Pooler, login: Login): Promise<unknown> {
  const client = new pg.Client({ connectionString: pooler.url(login) });
  try {
    await client.connect();
    return (await client.query<{ me: string }>("SELECT current_user AS me")).rows[0]?.me;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return { code, message };
  } finally {
    await client.end();
  }
}

describe("with passwords of the configuration", () => {
  let pooler: Pooler;

  beforeAll(async () => {
    const byUrl = (name: string, password: string): object => ({ url: server(`${name}:${password}@`) });
    pooler = await startPooler({
      config: {
        listen: { auth: "trust" },
        timeouts: { host_retry: "200ms" },
        databases: {
          scram: byUrl("by_scr", "right"),
          md5: byUrl("by_md5", "right"),
          password: byUrl("by_pas", "right"),
          trust: { url: server("anyone@") },
          wrong: byUrl("by_scr", "wrong"),
          wrongMd5: byUrl("by_md5", "wrong"),
          own: { url: server("") },
        },
        users: {
          app: {},
          by_scr: { server_password: "right" },
          by_md5: { password: "right" },
          renamed: { server_user: "by_pas", server_password: "right" },
          admin: { console: "admin" },
        },
      },
    });
  });

  afterAll(() => pooler.stop());

  test.each([
    ["scram", "by_scr"],
    ["md5", "by_md5"],
    ["password", "by_pas"],
    ["trust", "anyone"],
  ])("the URL's user and password log in by %s", async (database, user) => {
    expect(await serverUser(pooler, { user: "app", database })).toBe(user);
  });

  test("without a user in the URL the client's own goes on, or the one that the configuration names for it", async () => {
    expect(await serverUser(pooler, { user: "by_scr", database: "own" })).toBe("by_scr");
    expect(await serverUser(pooler, { user: "by_md5", database: "own" })).toBe("by_md5");
    expect(await serverUser(pooler, { user: "renamed", database: "own" })).toBe("by_pas");
  });

  test("a wrong password at the server is told to the client, without the password", async () => {
    for (const [database, user] of [
      ["wrong", "by_scr"],
      ["wrongMd5", "by_md5"],
    ]) {
      expect(await serverUser(pooler, { user: "app", ...(database === undefined ? {} : { database }) })).toEqual({
        code: "08006",
        message: `server ${address()} refused the connection: password authentication failed for user "${user}"`,
      });
    }
    expect(JSON.stringify(pooler.log)).not.toContain("wrong@");
  });

  test("a server that wants a password where there is none: the error says what to do", async () => {
    const client = new pg.Client({ connectionString: pooler.url({ user: "app", database: "own" }) });
    const error = await client.connect().catch((reason: unknown) => reason);
    await client.end();
    expect(error).toMatchObject({ code: "08006", message: expect.stringContaining('role "app" does not exist') });
  });
});

describe("with keys from the clients' own logins", () => {
  const config = (more: object = {}): object => ({
    listen: { auth: "scram-sha-256" },
    workers: 2,
    timeouts: { host_retry: "200ms" },
    databases: { app: { url: server(""), pool_size: 3 } },
    users: { passed: { verifier }, moved: { verifier }, admin: { password: "right", console: "admin" } },
    ...more,
  });

  test("a user with nothing but a SCRAM verifier is passed through, on every worker", async () => {
    const pooler = await startPooler({ config: config() as Readonly<Record<string, unknown>> });
    const clients = Array.from({ length: 6 }, () => serverUser(pooler, { user: "passed", password: "right", database: "app" }));
    expect(await Promise.all(clients)).toEqual(Array.from({ length: 6 }, () => "passed"));
    expect(await serverUser(pooler, { user: "passed", password: "wrong", database: "app" })).toMatchObject({ code: "28P01" });
    expect(await pooler.stop()).toBe(0);
  });

  test("keys that the server has another verifier for: the error says so", async () => {
    const pooler = await startPooler({ config: config() as Readonly<Record<string, unknown>> });
    expect(await serverUser(pooler, { user: "moved", password: "right", database: "app" })).toEqual({
      code: "08006",
      message: expect.stringContaining("its verifier of the user is not the one that the pooler has"),
    });
    await pooler.stop();
  });

  test("without a login by SCRAM there are no keys: the error says so", async () => {
    const pooler = await startPooler({ config: config({ listen: { auth: "trust" } }) as Readonly<Record<string, unknown>> });
    expect(await serverUser(pooler, { user: "passed", database: "app" })).toEqual({
      code: "08006",
      message: expect.stringContaining("it asks for a password and there is none"),
    });
    await pooler.stop();
  });
});

test("a reload brings a new password for servers", async () => {
  const config = (password: string): Readonly<Record<string, unknown>> => ({
    listen: { auth: "trust" },
    databases: { app: { url: server("") } },
    users: { by_scr: { server_password: password }, admin: { console: "admin" } },
  });
  const pooler = await startPooler({ config: config("wrong") });
  const login = { user: "by_scr", database: "app" };
  expect(await serverUser(pooler, login)).toMatchObject({ code: "08006" });
  const console = await openConsole(pooler);
  pooler.writeConfig(config("right"));
  await console.run("RELOAD");
  console.end();
  expect(await serverUser(pooler, login)).toBe("by_scr");
  await pooler.stop();
});
