// TLS towards clients and towards servers: who is let in, who is believed, and what is never taken for encrypted.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cluster, startCluster } from "@pooler/embedded-cluster";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { backendKeyIn, errorIn } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages } from "../harness/wire-client.js";
import { type Authority, type Certificate, createAuthority } from "./support/certificates.js";
import { openConsole } from "./support/console.js";
import { type FakeServer, fake, startFakeServer } from "./support/fake-server.js";
import { connectRaw } from "./support/raw-socket.js";
import { until } from "./support/until.js";

let directory: string;
let authority: Authority;
let stranger: Authority;

const file = (name: string): string => join(directory, name);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "pooler-tls-"));
  authority = createAuthority("Test Authority");
  stranger = createAuthority("Another Authority");
  const server = authority.issue("pooler", ["localhost", "127.0.0.1"]);
  writeFileSync(file("cert.pem"), server.certificate);
  writeFileSync(file("key.pem"), server.privateKey);
  writeFileSync(file("ca.pem"), authority.certificate);
  writeFileSync(file("stranger.pem"), stranger.certificate);
});

afterAll(() => rmSync(directory, { recursive: true }));

describe("towards clients", () => {
  const modes = ["disable", "prefer", "require", "verify-full"] as const;
  const poolers = new Map<string, Pooler>();
  const pooler = (mode: string): Pooler => poolers.get(mode) as Pooler;

  beforeAll(async () => {
    await Promise.all(
      modes.map(async (mode) => {
        const tls = mode === "disable" ? { mode } : { mode, cert: file("cert.pem"), key: file("key.pem") };
        const config = {
          listen: { auth: "scram-sha-256", tls: mode === "verify-full" ? { ...tls, ca: file("ca.pem") } : tls },
          timeouts: { client_login: "400ms" },
          databases: { app: { url: sharedShards()[0]?.primary } },
          users: { app: { password: "right" }, admin: { password: "right", console: "admin" } },
        };
        poolers.set(mode, await startPooler({ config }));
      }),
    );
  });

  afterAll(async () => {
    expect(await Promise.all([...poolers.values()].map((each) => each.stop()))).toEqual([0, 0, 0, 0]);
  });

  async function login(mode: string, ssl: object | false, user = "app"): Promise<string> {
    const client = new pg.Client({ connectionString: pooler(mode).url({ user, password: "right" }), ssl });
    try {
      await client.connect();
      const answer = `${(await client.query<{ n: string }>("SELECT 'in' AS n")).rows[0]?.n}`;
      await client.end();
      return answer;
    } catch (error) {
      // No end(): after an alert of TLS it would wait for something that has happened already.
      return (error as Error).message;
    }
  }

  const verified = (): object => ({ ca: authority.certificate });
  const withCertificate = ({ certificate, privateKey }: Certificate): object => ({ ...verified(), cert: certificate, key: privateKey });

  test("disable answers N, and the client may go on in the clear", async () => {
    expect(await login("disable", false)).toBe("in");
    expect(await login("disable", verified())).toBe("The server does not support SSL connections");
    const client = await connectWire({ port: pooler("disable").port });
    expect(await client.startTls()).toBe("N");
    client.send(messages.startup({ user: "app", database: "app" }));
    expect((await client.next()).type).toBe("R");
    client.end();
  });

  test("prefer takes both", async () => {
    expect(await login("prefer", false)).toBe("in");
    expect(await login("prefer", verified())).toBe("in");
  });

  test("require refuses who does not ask for TLS, after which nothing else is said", async () => {
    expect(await login("require", verified())).toBe("in");
    const client = await connectWire({ port: pooler("require").port });
    client.send(messages.startup({ user: "app", database: "app" }));
    expect(errorIn([await client.next()])).toMatchObject({ S: "FATAL", C: "28000", H: "Connect with sslmode=require." });
    expect(await client.closed).toBeUndefined();
  });

  test("verify-full wants a certificate of the authority, in the name of the user, besides the password", async () => {
    expect(await login("verify-full", withCertificate(authority.issue("app")))).toBe("in");
    const from = pooler("verify-full").log.length;
    expect(await login("verify-full", withCertificate(authority.issue("somebody")))).toBe('password authentication failed for user "app"');
    const denied = await pooler("verify-full").untilLog(({ msg }) => msg === "a login failed", from);
    expect(denied["reason"]).toBe('the certificate is for "somebody"');
    expect(await login("verify-full", withCertificate(stranger.issue("app")))).not.toBe("in");
    expect(await login("verify-full", verified())).not.toBe("in");
    expect(await login("verify-full", false)).toBe("this pooler takes connections with TLS only");
  });

  test("the console says who came by TLS", async () => {
    const url = pooler("prefer").url({ password: "right" });
    const [plain, secure] = [new pg.Client(url), new pg.Client({ connectionString: url, ssl: verified() })];
    await Promise.all([plain.connect(), secure.connect()]);
    const admin = new pg.Client(pooler("prefer").url({ user: "admin", password: "right", database: "pooler" }));
    await admin.connect();
    const { rows } = await admin.query<Record<string, string>>("SHOW CLIENTS");
    expect(rows.map((row) => row["tls"] !== "").sort()).toEqual([false, true]);
    await Promise.all([plain.end(), secure.end(), admin.end()]);
  });

  test("bytes behind an SSLRequest are refused, not taken as if they had been encrypted", async () => {
    for (const mode of modes) {
      const client = await connectWire({ port: pooler(mode).port });
      client.send(messages.requestSsl(), messages.startup({ user: "app", database: "app" }));
      expect(errorIn([await client.next()])).toMatchObject({ S: "FATAL", C: "08P01", M: "received unencrypted data after SSL request" });
      await client.closed;
    }
  });

  test("who asks for TLS and then sends something else is closed, and the rest goes on", async () => {
    const raw = await connectRaw(pooler("prefer").port);
    raw.send(messages.requestSsl());
    expect((await raw.received(1)).toString()).toBe("S");
    raw.send(messages.startup({ user: "app", database: "app" }));
    await raw.closed;
    expect(await login("prefer", verified())).toBe("in");
  });

  test("a handshake that never comes ends with client_login", async () => {
    const raw = await connectRaw(pooler("prefer").port);
    raw.send(messages.requestSsl());
    expect((await raw.received(1)).toString()).toBe("S");
    await raw.closed;
  });
});

describe("towards servers", () => {
  let cluster: Cluster;
  let pooler: Pooler;
  const fakes: FakeServer[] = [];

  beforeAll(async () => {
    const { certificate, privateKey } = authority.issue("a server", ["localhost"]);
    cluster = await startCluster({
      tls: { certificate, privateKey },
      hba: ["hostssl all only_tls 127.0.0.1/32 trust", "host all only_tls 127.0.0.1/32 reject"],
    });
    const { port } = cluster.shards[0]?.primary ?? {};
    fakes.push(
      // One more byte than the answer to the TLS request.
      await startFakeServer({ onStartup: (connection) => connection.write(Buffer.from("S"), fake.authenticationOk) }),
      await startFakeServer({ onStartup: (connection) => connection.write(Buffer.from("E")) }),
      await startFakeServer({ onStartup: (connection) => connection.write(Buffer.from("S")) }),
    );
    const url = (host: string, query: string): object => ({ url: `postgres://postgres@${host}:${port}/postgres?${query}` });
    pooler = await startPooler({
      config: {
        listen: { auth: "trust" },
        timeouts: { server_connect: "500ms", host_retry: "100ms" },
        databases: {
          disable: url("127.0.0.1", "sslmode=disable"),
          require: url("127.0.0.1", "sslmode=require"),
          full: url("localhost", `sslmode=verify-full&sslrootcert=${file("ca.pem")}`),
          wrongAuthority: url("localhost", `sslmode=verify-full&sslrootcert=${file("stranger.pem")}`),
          wrongName: url("127.0.0.1", `sslmode=verify-full&sslrootcert=${file("ca.pem")}`),
          unwilling: { url: `${sharedShards()[0]?.primary}?sslmode=require` },
          smuggling: { url: `${fakes[0]?.url}?sslmode=require` },
          old: { url: `${fakes[1]?.url}?sslmode=require` },
          silent: { url: `${fakes[2]?.url}?sslmode=require` },
        },
        users: { app: {}, admin: { console: "admin" } },
      },
    });
  });

  afterAll(async () => {
    expect(await pooler.stop()).toBe(0);
    await Promise.all([cluster.stop(), ...fakes.map((each) => each.close())]);
  });

  async function isEncrypted(database: string): Promise<unknown> {
    const client = new pg.Client(pooler.url({ database }));
    try {
      await client.connect();
      return (await client.query<{ ssl: boolean }>("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).rows[0]?.ssl;
    } catch (error) {
      return { code: (error as { code?: string }).code, message: (error as Error).message };
    } finally {
      await client.end();
    }
  }

  test("sslmode says whether a connection is encrypted", async () => {
    expect(await isEncrypted("disable")).toBe(false);
    expect(await isEncrypted("require")).toBe(true);
    expect(await isEncrypted("full")).toBe(true);
  });

  test.each([
    ["wrongAuthority", /unable to (verify the first|get local issuer) certificate/],
    ["wrongName", /does not match certificate's altnames|is for another name than 127\.0\.0\.1/],
    ["unwilling", "does not support TLS, but sslmode=require wants it"],
    ["smuggling", "sent unencrypted data after its answer to the TLS request"],
    ["old", "answered the TLS request with neither S nor N"],
    ["silent", "did not finish its handshake within 500 ms"],
  ])("%s: no connection, and the client is told why", async (database, words) => {
    expect(await isEncrypted(database)).toMatchObject({ code: "08006", message: expect.stringMatching(words) });
  });

  test("the console says which connections to servers are encrypted", async () => {
    const console = await openConsole(pooler);
    const rows = await console.run("SHOW SERVERS");
    console.end();
    expect(Object.fromEntries(rows.map(({ database, tls }) => [database, tls !== ""]))).toEqual({
      disable: false,
      require: true,
      full: true,
    });
  });

  test("a cancel request goes out encrypted, too, and reaches its server", async () => {
    const client = await connectWire({ port: pooler.port });
    const key = backendKeyIn(await client.login({ user: "app", database: "full" }));
    client.send(messages.query("SELECT pg_sleep(30)"));
    const console = await openConsole(pooler);
    await until("the statement to run", async () =>
      (await console.run("SHOW SERVERS")).some(({ database, state }) => database === "full" && state === "active"),
    );
    const canceller = await connectRaw(pooler.port);
    canceller.send(messages.cancel(key?.processId ?? 0, key?.secretKey ?? 0));
    expect(errorIn(await client.until("Z"))).toMatchObject({ C: "57014" });
    client.end();
    console.end();
  });
});
