import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { PoolerError } from "../base/errors.js";
import { createConfig, loadConfig, minimalConfig, parseConfig } from "./load-config.js";

const here = fileURLToPath(new URL("fixtures", import.meta.url));
const file = join(here, "pooler.toml");
const app = '[databases.app]\nurl = "postgres://db/app"\n[users.app]\npassword = "x"\n';

const env = { APP_PASSWORD: "from the environment", DATABASE_URL: "postgres://u:p@env-host:6000/envdb", EMPTY: "" };

function read(text: string) {
  const warnings: string[] = [];
  const config = parseConfig(text, file, { env, onWarning: (warning) => warnings.push(warning) });
  return { config, warnings };
}

describe("a minimal file", () => {
  test("is enough, and gets the defaults", () => {
    const { config, warnings } = read(minimalConfig);
    expect(warnings).toEqual([]);
    expect(config).toEqual({
      file,
      listen: {
        host: "127.0.0.1",
        port: 6432,
        backlog: 4096,
        auth: "scram-sha-256",
        tls: { mode: "disable", cert: null, key: null, ca: null },
      },
      workers: 1,
      io: "auto",
      log: { level: "info", format: process.stderr.isTTY ? "pretty" : "json" },
      metrics: null,
      limits: {
        maxClients: 1000,
        maxMessageBytes: 67_108_864,
        maxBufferedBytes: 268_435_456,
        maxClientStatements: 5000,
        maxServerStatements: 200,
        maxCachedStatements: 10_000,
      },
      timeouts: {
        clientLoginMs: 60_000,
        serverConnectMs: 15_000,
        queryWaitMs: 120_000,
        clientIdleInTransactionMs: 0,
        serverIdleMs: 600_000,
        serverLifetimeMs: 3_600_000,
        hostRetryMs: 5_000,
        drainMs: 30_000,
        pluginCallMs: 5_000,
        retireMs: 0,
      },
      databases: [
        {
          name: "app",
          poolMode: "transaction",
          poolSize: 20,
          maxWaiting: 0,
          onSessionState: "error",
          onUnrouted: "first",
          multiplex: null,
          shards: [
            {
              primary: { host: "127.0.0.1", port: 5432, database: "app", user: null, password: null, tls: { mode: "disable", ca: null } },
              replicas: [],
            },
          ],
        },
      ],
      users: [
        {
          name: "app",
          password: env.APP_PASSWORD,
          verifier: null,
          serverPassword: null,
          serverUser: null,
          console: "none",
          databases: null,
        },
      ],
      plugins: [],
    });
  });

  test("is frozen through and through, and can be sent to another process", () => {
    const { config } = read(app);
    expect(Object.isFrozen(config.databases[0]?.shards[0]?.primary.tls)).toBe(true);
    expect(structuredClone(config)).toEqual(config);
  });
});

describe("what a file may say", () => {
  test("everything at once", () => {
    const { config, warnings } = read(`
workers = "auto"
io = "sockets"
[listen]
host = "0.0.0.0"
port = 0
tls = { mode = "verify-full", cert = "server.cert.pem", key = "server.key.pem", ca = "server.cert.pem" }
[log]
level = "debug"
format = "pretty"
[metrics]
[limits]
max_message_bytes = "1MB"
max_buffered_bytes = "2GB"
[timeouts]
query_wait = 2500
drain = "1.5s"
[databases.app]
pool_mode = "session"
pool_size = 3
max_waiting = 7
on_session_state = "pin"
on_unrouted = "error"
user = "pool"
password = "env:APP_PASSWORD"
shards = [
  "postgres://one/a",
  { primary = "postgres://me:mine@two:6000", replicas = ["postgres://three?sslmode=verify-full&sslrootcert=server.cert.pem"], user = "special" },
]
[databases."with url"]
url = "env:DATABASE_URL"
replicas = ["postgres://other/envdb"]
[users.admin]
password = "plain"
server_user = "postgres"
server_password = "env:APP_PASSWORD"
console = "admin"
databases = ["app", "pooler"]
`);
    expect(warnings).toEqual([]);
    const cert = readFileSync(join(here, "server.cert.pem"), "utf8");
    const key = readFileSync(join(here, "server.key.pem"), "utf8");
    expect(config).toMatchObject({
      workers: availableParallelism(),
      io: "sockets",
      listen: { host: "0.0.0.0", port: 0, tls: { mode: "verify-full", cert, key, ca: cert } },
      log: { level: "debug", format: "pretty" },
      metrics: { host: "127.0.0.1", port: 9930 },
      limits: { maxMessageBytes: 1_048_576, maxBufferedBytes: 2_147_483_648 },
      timeouts: { queryWaitMs: 2500, drainMs: 1500 },
      users: [{ name: "admin", serverUser: "postgres", serverPassword: env.APP_PASSWORD, console: "admin", databases: ["app", "pooler"] }],
    });
    const disabled = { mode: "disable", ca: null };
    expect(config.databases).toEqual([
      {
        name: "app",
        poolMode: "session",
        poolSize: 3,
        maxWaiting: 7,
        onSessionState: "pin",
        onUnrouted: "error",
        multiplex: null,
        shards: [
          { primary: { host: "one", port: 5432, database: "a", user: "pool", password: env.APP_PASSWORD, tls: disabled }, replicas: [] },
          {
            primary: { host: "two", port: 6000, database: "app", user: "me", password: "mine", tls: disabled },
            replicas: [
              {
                host: "three",
                port: 5432,
                database: "app",
                user: "special",
                password: env.APP_PASSWORD,
                tls: { mode: "verify-full", ca: cert },
              },
            ],
          },
        ],
      },
      expect.objectContaining({
        name: "with url",
        shards: [
          {
            primary: { host: "env-host", port: 6000, database: "envdb", user: "u", password: "p", tls: disabled },
            replicas: [{ host: "other", port: 5432, database: "envdb", user: null, password: null, tls: disabled }],
          },
        ],
      }),
    ]);
  });

  test.each(["127.0.0.1", "127.8.9.1", "::1", "localhost", "/run/pooler"])("trust on %s", (host) => {
    expect(read(`[listen]\nhost = "${host}"\nauth = "trust"\n[databases.app]\nurl = "postgres://db"`).config.listen.auth).toBe("trust");
  });

  test.each([
    `SCRAM-SHA-256$4096:${"A".repeat(22)}==$${"b".repeat(43)}=:${"c".repeat(43)}=`,
    `SCRAM-SHA-256$1:AA==$${"+".repeat(43)}=:${"/".repeat(43)}=`,
  ])("a verifier as PostgreSQL stores it", (verifier) => {
    expect(read(`[databases.app]\nurl = "postgres://u:p@db"\n[users.u]\nverifier = "${verifier}"`).config.users[0]?.verifier).toBe(
      verifier,
    );
  });
});

describe("warnings", () => {
  const verifier = `SCRAM-SHA-256$1:AA==$${"A".repeat(43)}=:${"A".repeat(43)}=`;
  test.each([
    [
      '[databases.app]\nurl = "postgres://db"',
      'pooler.toml:1:1: users: there is no user, so nobody can log in; add [users.NAME] with password = "env:NAME"',
    ],
    [
      '[databases.app]\nurl = "postgres://db"\n[users.b]',
      'pooler.toml:3:1: users.b: has neither password nor verifier and cannot log in with listen.auth = "scram-sha-256"',
    ],
    [
      `[databases.app]\nurl = "postgres://u:p@db"\nreplicas = ["postgres://r/app"]\n[users.b]\nverifier = "${verifier}"`,
      "pooler.toml:4:1: users.b: has only a verifier, with which the pooler cannot log in at servers that want a password and do not store the very same one (r:5432/app); set server_password, or user and password in the servers' URLs",
    ],
    [
      `${app}[listen.tls]\ncert = "server.cert.pem"`,
      'pooler.toml:5:1: listen.tls.mode: certificate and key are not used while mode is "disable"',
    ],
    [
      `${app}[listen.tls]\nmode = "require"\ncert = "expired.cert.pem"\nkey = "server.key.pem"`,
      "pooler.toml:7:1: listen.tls.cert: this certificate was valid until Feb  1 00:00:00 2020 GMT",
    ],
    [
      `${app}[listen.tls]\nmode = "require"\nca = "server.cert.pem"\ncert = "server.cert.pem"\nkey = "server.key.pem"`,
      'listen.tls.ca: is not used; only mode = "verify-full"',
    ],
  ])("%s", (text, expected) => {
    const { warnings } = read(text);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(expected);
  });

  test.each([
    `[databases.app]\nurl = "postgres://u:p@db"\n[users.b]\nverifier = "${verifier}"`,
    `[databases.app]\nurl = "postgres://db"\n[users.b]\nverifier = "${verifier}"\nserver_password = "x"`,
    `[listen]\nauth = "md5"\n[databases.app]\nurl = "postgres://u:p@db"\n[users.b]\nverifier = "${verifier}"`,
    `[listen]\nauth = "md5"\n[databases.app]\nurl = "postgres://u:p@db"\n[users.b]\nverifier = "md5${"a".repeat(32)}"`,
    `[databases.app]\nurl = "postgres://db"\n[databases.other]\nurl = "postgres://u:p@db"\n[users.b]\nverifier = "${verifier}"\ndatabases = ["other"]`,
    '[listen]\nauth = "trust"\n[databases.app]\nurl = "postgres://db"',
    app,
  ])("none where all is well: %s", (text) => {
    expect(read(text).warnings).toEqual([]);
  });
});

describe("files", () => {
  const directory = mkdtempSync(join(tmpdir(), "pooler-config-"));
  afterAll(() => rmSync(directory, { recursive: true }));

  test("secrets stand in files beside the configuration, without the line feed that ends them", () => {
    writeFileSync(join(directory, "password"), "from a file\n");
    writeFileSync(join(directory, "url"), "postgres://u@db:7000\n");
    writeFileSync(join(directory, "pooler.toml"), '[databases.app]\nurl = "file:url"\n[users.app]\npassword = "file:password"\n');
    const config = loadConfig(join(directory, "pooler.toml"));
    expect(config.users[0]?.password).toBe("from a file");
    expect(config.databases[0]?.shards[0]?.primary).toMatchObject({ host: "db", port: 7000, database: "app", user: "u" });
    expect(config.file).toBe(join(directory, "pooler.toml"));
  });

  test("an empty secret file is an error", () => {
    writeFileSync(join(directory, "empty"), "\n");
    writeFileSync(join(directory, "pooler.toml"), `${app}[users.b]\npassword = "file:empty"\n`);
    expect(() => loadConfig(join(directory, "pooler.toml"))).toThrow(
      `pooler.toml:6:12: users.b.password: the file ${join(directory, "empty")} is empty`,
    );
  });

  test("a missing configuration says what to do, and the file that it shows is one that works", () => {
    const missing = join(directory, "none.toml");
    let error: unknown;
    try {
      loadConfig(missing);
    } catch (cause) {
      error = cause;
    }
    expect(error).toBeInstanceOf(PoolerError);
    expect(error).toMatchObject({
      code: "CONFIG_INVALID",
      message: `there is no configuration file ${missing}`,
      hint: expect.stringContaining(minimalConfig),
    });
  });

  test("a directory is not a configuration", () => {
    expect(() => loadConfig(directory)).toThrow("it is a directory");
  });
});

test("a configuration can be built in code, without a file", () => {
  const config = createConfig({ databases: { app: { url: "postgres://db" } }, users: { app: { password: "x" } } });
  expect(config.file).toBe(null);
  expect(config.databases[0]?.shards[0]?.primary.host).toBe("db");
  expect(() => createConfig({ databases: { app: { url: "postgres://db" } }, workers: 0 })).toThrow(/^workers: 0 is not allowed/);
});
