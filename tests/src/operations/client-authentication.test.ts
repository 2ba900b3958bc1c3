// Who may log in at the pooler, and what those are told who may not.
import { query } from "@pooler/embedded-cluster";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorIn } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages } from "../harness/wire-client.js";

const url = (): string => sharedShards()[0]?.primary ?? "";

interface Login {
  readonly user: string;
  readonly password?: string;
  readonly database?: string;
}

/** The answer to one query, or what the login failed with. */
async function tryLogin(pooler: Pooler, login: Login): Promise<string | { code: string | undefined; message: string }> {
  const client = new pg.Client({ connectionString: pooler.url(login) });
  try {
    await client.connect();
    const { rows } = await client.query<{ one: number }>(login.database === "pooler" ? "SHOW VERSION" : "SELECT 1 AS one");
    return rows.length === 1 ? "in" : "no row";
  } catch (error) {
    return { code: (error as { code?: string }).code, message: (error as Error).message };
  } finally {
    await client.end();
  }
}

/** What PostgreSQL itself keeps of a password. */
async function verifierOf(encryption: "scram-sha-256" | "md5", role: string, password: string): Promise<string> {
  await query(
    url(),
    `DO $$ BEGIN PERFORM set_config('password_encryption', '${encryption}', true);
       CREATE ROLE ${role} PASSWORD '${password}'; END $$`,
  );
  const [row] = await query(url(), "SELECT rolpassword FROM pg_authid WHERE rolname = $1", [role]);
  return String(row?.["rolpassword"]);
}

const refused = (user: string): object => ({ code: "28P01", message: `password authentication failed for user "${user}"` });

describe.each(["scram-sha-256", "md5"] as const)("with auth = %s", (auth) => {
  let pooler: Pooler;
  const role = `ops_login_${auth.slice(0, 3)}`;

  beforeAll(async () => {
    const verifier = await verifierOf(auth, role, "right");
    pooler = await startPooler({
      config: {
        listen: { auth },
        databases: { app: { url: url() }, other: { url: url() } },
        users: {
          plain: { password: "right" },
          [role]: { verifier },
          nothing: {},
          here: { password: "right", databases: ["app"] },
          admin: { password: "right", console: "admin" },
          viewer: { password: "right", console: "stats" },
        },
      },
    });
  });

  afterAll(async () => {
    expect(await pooler.stop()).toBe(0);
    await query(url(), `DROP ROLE ${role}`);
  });

  test("a plain secret and a stored verifier let in whoever knows the password", async () => {
    expect(await tryLogin(pooler, { user: "plain", password: "right" })).toBe("in");
    expect(await tryLogin(pooler, { user: role, password: "right" })).toBe("in");
  });

  test("wrong password, unknown user and a user without a secret get one and the same error", async () => {
    for (const user of ["plain", role, "nothing", "nobody"]) {
      expect(await tryLogin(pooler, { user, password: "wrong" })).toEqual(refused(user));
    }
    expect(await tryLogin(pooler, { user: "nothing", password: "" })).toMatchObject({ message: expect.stringContaining("password") });
  });

  test("the log says why, and never with what", async () => {
    const from = pooler.log.length;
    await tryLogin(pooler, { user: "nobody", password: "sesame-open" });
    const line = await pooler.untilLog(({ msg }) => msg === "a login failed", from);
    expect(line).toMatchObject({
      level: "warn",
      user: "nobody",
      reason: "there is no such user",
      client: expect.stringContaining("127.0.0.1:"),
    });
    expect(JSON.stringify(pooler.log)).not.toContain("sesame");
  });

  test("a user is kept to the databases of the list", async () => {
    expect(await tryLogin(pooler, { user: "here", password: "right", database: "app" })).toBe("in");
    expect(await tryLogin(pooler, { user: "here", password: "right", database: "other" })).toEqual({
      code: "28000",
      message: 'permission denied for database "other"',
    });
    expect(await tryLogin(pooler, { user: "here", password: "right", database: "absent" })).toMatchObject({ code: "3D000" });
    // Who has not shown a password is not told which databases exist.
    expect(await tryLogin(pooler, { user: "here", password: "wrong", database: "absent" })).toEqual(refused("here"));
  });

  test("the console is for those who may, and its commands for administrators", async () => {
    expect(await tryLogin(pooler, { user: "plain", password: "right", database: "pooler" })).toMatchObject({ code: "28000" });
    expect(await tryLogin(pooler, { user: "admin", password: "wrong", database: "pooler" })).toEqual(refused("admin"));
    expect(await tryLogin(pooler, { user: "viewer", password: "right", database: "pooler" })).toBe("in");
    const viewer = new pg.Client({ connectionString: pooler.url({ user: "viewer", password: "right", database: "pooler" }) });
    await viewer.connect();
    await expect(viewer.query("RELOAD")).rejects.toMatchObject({ code: "42501" });
    await viewer.end();
  });
});

describe("with auth = trust", () => {
  let pooler: Pooler;

  beforeAll(async () => {
    pooler = await startPooler({ config: { listen: { auth: "trust" }, databases: { app: { url: url() } }, users: { app: {} } } });
  });

  afterAll(() => pooler.stop());

  test("a known user comes in without a password, an unknown one does not", async () => {
    expect(await tryLogin(pooler, { user: "app" })).toBe("in");
    expect(await tryLogin(pooler, { user: "nobody" })).toEqual(refused("nobody"));
  });

  test("a login that names no user, or asks for replication, is refused", async () => {
    for (const [parameters, sqlstate] of [
      [{ user: "", database: "app" }, "28000"],
      [{ user: "app", database: "app", replication: "database" }, "0A000"],
    ] as const) {
      const client = await connectWire({ port: pooler.port });
      client.send(messages.startup({ ...parameters }));
      expect(errorIn(await client.until("E"))).toMatchObject({ S: "FATAL", C: sqlstate });
      await client.closed;
    }
  });
});
