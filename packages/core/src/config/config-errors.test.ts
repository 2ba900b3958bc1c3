import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parseConfig } from "./load-config.js";
import { ConfigInvalidError } from "./problems.js";

const here = fileURLToPath(new URL("fixtures", import.meta.url));
const file = join(here, "pooler.toml");
const app = '[databases.app]\nurl = "postgres://db/app"\n[users.app]\npassword = "x"\n';
const env = { APP_PASSWORD: "from the environment", EMPTY: "" };

/** `line:column key: message` of each error. */
function errorsOf(text: string): string[] {
  try {
    parseConfig(text, file, { env });
  } catch (error) {
    if (!(error instanceof ConfigInvalidError)) throw error;
    expect(error.code).toBe("CONFIG_INVALID");
    return error.problems.map(({ position, key, message }) => `${position?.line}:${position?.column} ${key}: ${message}`);
  }
  return [];
}

describe("every error has its place, the key, the value and what is allowed", () => {
  test.each<[string, string]>([
    // Values.
    ["[listen]\nport = 70000", "2:8 listen.port: 70000 is not allowed; expected a whole number from 0 to 65535"],
    ["[listen]\nport = 6432.5", "2:8 listen.port: 6432.5 is not allowed; expected a whole number from 0 to 65535"],
    ['[listen]\nport = "6432"', '2:8 listen.port: "6432" is not allowed; expected a whole number from 0 to 65535'],
    ['[listen]\nauth = "scram"', '2:8 listen.auth: "scram" is not allowed; expected one of "scram-sha-256", "md5", "trust"'],
    [
      "[listen]\nhost = true",
      '2:8 listen.host: true is not allowed; expected an address such as "127.0.0.1", "0.0.0.0", "::1", or an absolute directory',
    ],
    ["listen = 6432", "1:10 listen: 6432 is not allowed; expected a table with host, port, backlog, auth, tls"],
    ["workers = 0", '1:11 workers: 0 is not allowed; expected a whole number from 1 to 256, or "auto"'],
    ['workers = "all"', '1:11 workers: "all" is not allowed; expected a whole number from 1 to 256, or "auto"'],
    [
      '[timeouts]\ndrain = "5 minutes"',
      '2:9 timeouts.drain: "5 minutes" is not allowed; expected a duration such as "250ms", "5s", "2m", "1h", or whole milliseconds',
    ],
    [
      "[timeouts]\ndrain = -1",
      '2:9 timeouts.drain: -1 is not allowed; expected a duration such as "250ms", "5s", "2m", "1h", or whole milliseconds',
    ],
    [
      "[timeouts]\ndrain = 1979-05-27",
      '2:9 timeouts.drain: a date is not allowed; expected a duration such as "250ms", "5s", "2m", "1h", or whole milliseconds',
    ],
    ['[timeouts]\ndrain = "25d"', '2:9 timeouts.drain: "25d" is longer than 24 days'],
    [
      '[limits]\nmax_message_bytes = "64mb"',
      '2:21 limits.max_message_bytes: "64mb" is not allowed; expected a size such as "64MB", "512kB", or whole bytes',
    ],
    ['[limits]\nmax_message_bytes = "1B"', '2:21 limits.max_message_bytes: "1B" must be from 16384 to 1073741823 bytes'],
    ["[log]\nlevel = []", '2:9 log.level: an empty list is not allowed; expected one of "trace", "debug", "info", "warn", "error"'],
    // Unknown keys.
    ["[listen]\nprot = 1", "2:1 listen.prot: unknown key; did you mean port?"],
    [
      "[listen]\nworkers = 2",
      "2:1 listen.workers: unknown key here; did you mean workers at the top of the file, before the first [table]?",
    ],
    ["port = 1", "1:1 port: unknown key here; did you mean listen.port or metrics.port?"],
    ["pool_mode = 1", "1:1 pool_mode: unknown key here; did you mean databases.NAME.pool_mode?"],
    ['[log]\ncolour = "red"', "2:1 log.colour: unknown key; allowed here: level, format"],
    ['[databse.app]\nurl = "postgres://x"', "1:2 databse: unknown key; did you mean databases?"],
    ['[databases.b]\nurl = "postgres://x"\npoolSize = 1', "3:1 databases.b.poolSize: unknown key; did you mean pool_size?"],
    [
      '[databases.b]\nshards = [\n { primry = "postgres://x" }]',
      "3:2 databases.b.shards[0].primary: is missing; expected postgres://user:password@host:port/database, env:NAME or file:PATH",
    ],
    [
      '[databases.b]\nshards = [{ primary = "postgres://x", pasword = "hunter2" }]',
      "2:39 databases.b.shards[0].pasword: unknown key; did you mean password?",
    ],
    // Tables where they do not belong.
    ["databases = []", "1:13 databases: an empty list is not allowed here; expected [databases.NAME] tables"],
    ["[[databases]]", "1:1 databases: a list is not allowed here; expected [databases.NAME] tables"],
    ["[plugins]\nname = 1", "1:1 plugins: a table is not allowed here; write [[plugins]], with two brackets, for each plugin"],
    [
      "[users]\nbob = 1",
      "2:7 users.bob: 1 is not allowed; expected a table with password, verifier, server_user, server_password, console, databases",
    ],
    ["[[plugins]]\non_error = 'no'", '2:12 plugins[0].on_error: "no" is not allowed; expected one of "fail", "skip"'],
    ["[[plugins]]\nname = '@a/b'\nconfig = 3", "3:10 plugins[0].config: 3 is not allowed; expected a table"],
    // Listening.
    ['[listen]\nhost = "*"', '2:8 listen.host: "*" is not an address; "0.0.0.0" listens on every IPv4 address, "::" on IPv6 ones too'],
    [
      '[listen]\nhost = "127.0.0.300"',
      '2:8 listen.host: "127.0.0.300" is not an address; expected one such as "127.0.0.1", "0.0.0.0", "::1", or an absolute directory',
    ],
    [
      `[listen]\nhost = "/${"d".repeat(120)}"`,
      "2:8 listen.host: the path of the socket in this directory is longer than 103 bytes, which the system does not take",
    ],
    [
      '[listen]\nhost = "0.0.0.0"\nauth = "trust"',
      '3:8 listen.auth: "trust" lets everyone in without a password and is allowed only when listen.host is a loopback address; it is "0.0.0.0". Use "scram-sha-256", or host = "127.0.0.1"',
    ],
    ["[metrics]\nport = 6432", "2:8 metrics.port: 6432 is the port that clients connect to; the metrics need their own"],
    // TLS.
    ['[listen.tls]\nmode = "require"\ncert = "server.cert.pem"', '1:1 listen.tls.key: is missing; mode = "require" needs cert and key'],
    [
      '[listen.tls]\nmode = "require"\ncert = "server.cert.pem"\nkey = "other.key.pem"',
      "4:7 listen.tls.key: this is not the key of the certificate in listen.tls.cert",
    ],
    [
      '[listen.tls]\nmode = "require"\ncert = "server.cert.pem"\nkey = "encrypted.key.pem"',
      '4:7 listen.tls.key: the file "encrypted.key.pem" is encrypted; a key without passphrase is needed',
    ],
    [
      '[listen.tls]\nmode = "require"\ncert = "server.key.pem"\nkey = "server.key.pem"',
      '3:8 listen.tls.cert: the file "server.key.pem" holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)',
    ],
    [
      '[listen.tls]\nmode = "require"\ncert = "server.cert.pem"\nkey = "server.cert.pem"',
      '4:7 listen.tls.key: the file "server.cert.pem" holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)',
    ],
    [
      '[listen.tls]\nmode = "require"\ncert = "none.pem"\nkey = "server.key.pem"',
      `3:8 listen.tls.cert: cannot read the file ${join(here, "none.pem")}: it does not exist`,
    ],
    [
      '[listen.tls]\nmode = "verify-full"\ncert = "server.cert.pem"\nkey = "server.key.pem"',
      '1:1 listen.tls.ca: is missing; mode = "verify-full" needs the authorities that sign clients\' certificates',
    ],
    // Databases.
    ["[databases.b]", '1:1 databases.b: has no server; expected url = "postgres://…" or shards = ["postgres://…", …]'],
    [
      "[databases.b]\nshards = []",
      "2:10 databases.b.shards: an empty list is not allowed; expected a list of: postgres://user:password@host:port/database, env:NAME or file:PATH, or a table with primary, replicas, user, password",
    ],
    [
      '[databases.pooler]\nurl = "postgres://x"',
      '1:1 databases.pooler: the name "pooler" is taken by the console; call this database something else',
    ],
    ['[databases.""]\nurl = "postgres://x"', '1:1 databases."": a database needs a name that is not empty'],
    [
      `[databases.${"d".repeat(64)}]\nurl = "postgres://x"`,
      `1:1 databases.${"d".repeat(64)}: the name of a database has at most 63 bytes in PostgreSQL`,
    ],
    [
      '[databases.b]\nurl = "postgres://x"\nshards = ["postgres://y"]',
      "2:1 databases.b.url: url and shards exclude each other; url is the short form for a database with one shard",
    ],
    [
      '[databases.b]\nreplicas = ["postgres://x"]\nshards = ["postgres://y"]',
      "2:1 databases.b.replicas: replicas stand beside url; with shards, each shard lists its own",
    ],
    [
      '[databases.b]\nurl = "mysql://me:hunter2@x"',
      "2:7 databases.b.url: the URL is not the URL of a server; expected postgres://user:password@host:port/database",
    ],
    [
      '[databases.b]\nshards = ["postgres://x", "postgres://me:hunter2@x:y"]',
      "2:27 databases.b.shards[1]: the URL has a port that is not a whole number from 1 to 65535",
    ],
    [
      '[databases.b]\nurl = "env:APP_PASSWORD"',
      "2:7 databases.b.url: the URL that env:APP_PASSWORD gives is not the URL of a server; expected postgres://user:password@host:port/database",
    ],
    [
      '[databases.b]\nurl = "postgres://x?sslmode=verify-full&sslrootcert=server.key.pem"',
      '2:7 databases.b.url: the file "server.key.pem" holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)',
    ],
    [
      '[databases.b]\nurl = "postgres://x"\nreplicas = ["postgres://x:5432/b"]',
      "3:13 databases.b.replicas[0]: is the same server and database (x:5432/b) as url",
    ],
    [
      '[databases.b]\nshards = [\n  { primary = "postgres://x" },\n  { primary = "postgres://y", replicas = ["postgres://u@x/b"] },\n]',
      "4:43 databases.b.shards[1].replicas[0]: is the same server and database (x:5432/b) as shards[0].primary",
    ],
    // Users.
    [
      "[users.b]\npassword = 1",
      "2:12 users.b.password: [hidden] is not allowed; expected the text itself, env:NAME (environment variable) or file:PATH (relative to this file)",
    ],
    ['[users.b]\npassword = "env:NOBODY_SETS_THIS"', '2:12 users.b.password: the environment variable "NOBODY_SETS_THIS" is not set'],
    ['[users.b]\npassword = "env:EMPTY"', '2:12 users.b.password: the environment variable "EMPTY" is empty'],
    ['[users.b]\npassword = "file:none"', `2:12 users.b.password: cannot read the file ${join(here, "none")}: it does not exist`],
    ['[users.b]\npassword = "file:."', `2:12 users.b.password: cannot read the file ${here}: it is a directory`],
    [
      '[users.b]\nverifier = "hunter2"',
      "2:12 users.b.verifier: is not a verifier; expected SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key> or md5 and 32 hexadecimal digits, as in pg_authid.rolpassword",
    ],
    [
      `[users.b]\nverifier = "md5${"0".repeat(32)}"`,
      '2:12 users.b.verifier: is made for md5, and listen.auth is "scram-sha-256": this user could never log in',
    ],
    [
      `[users.b]\npassword = "x"\nverifier = "SCRAM-SHA-256$1:AA==$${"A".repeat(43)}=:${"A".repeat(43)}="`,
      "3:1 users.b.verifier: password and verifier exclude each other; to give servers another password use server_password",
    ],
    ['[users.b]\npassword = "x"\ndatabases = ["ap"]', '3:14 users.b.databases[0]: there is no database "ap"; did you mean "app"?'],
    ['[users.b]\npassword = "x"\ndatabases = ["nothing"]', '3:14 users.b.databases[0]: there is no database "nothing"; there are: app'],
    [
      '[users.b]\npassword = "x"\ndatabases = ["pooler"]',
      '3:14 users.b.databases[0]: "pooler" is the console; console = "stats" or "admin" lets this user in',
    ],
  ])("%s", (text, expected) => {
    const errors = errorsOf(/^databases|^\[\[databases/.test(text) ? text : `${text}\n${app}`);
    expect(errors).toContain(expected);
    expect(errors.join()).not.toContain("hunter2");
  });

  test("a file without databases says so beside its other errors", () => {
    expect(errorsOf("workers = 0").map((error) => error.split(": ")[0])).toEqual(["1:1 databases", "1:11 workers"]);
  });

  test("an empty file has no database", () => {
    expect(errorsOf("")).toEqual(['1:1 databases: there is no database; expected at least [databases.NAME] with url = "postgres://…"']);
  });
});

describe("all errors are reported at once", () => {
  const text = `workers = "many"
[listen]
port = -1
prot = 3
[listen.tls]
mode = "on"
[databases.one]
url = "postgres://one/app?colour=red"
pool_size = 0
replicas = ["nonsense"]
[databases.two]
[users.app]
password = "env:NOBODY_SETS_THIS"
console = "root"
databases = ["three", "one", "two"]
`;

  test("in the order of the file, those of one table side by side", () => {
    expect(errorsOf(text).map((error) => error.split(": ")[0])).toEqual([
      "1:11 workers",
      "3:8 listen.port",
      "4:1 listen.prot",
      "6:8 listen.tls.mode",
      "8:7 databases.one.url",
      "9:13 databases.one.pool_size",
      "10:13 databases.one.replicas[0]",
      "11:1 databases.two",
      "13:12 users.app.password",
      "14:11 users.app.console",
      "15:14 users.app.databases[0]",
    ]);
  });

  test("in one readable message that names file, line and column", () => {
    expect(() => parseConfig(text, "conf/pooler.toml")).toThrow(
      /^conf\/pooler.toml has 11 errors:\n {2}conf\/pooler.toml:1:11: workers: "many" is not allowed/,
    );
    expect(() => parseConfig("workers = 0", "pooler.toml")).toThrow(/has 2 errors/);
    expect(() => parseConfig(`workers = 0\n${app}`, "pooler.toml")).toThrow(/^pooler.toml:1:11: workers: 0 is not allowed/);
  });
});

describe("what is not TOML", () => {
  test.each([
    ["[listen\nport = 1", /^pooler.toml:1:\d+: this is not TOML: /],
    ["[listen]\nport = ", /^pooler.toml:2:\d+: this is not TOML: /],
    ['[users.app]\npassword = "hunter2', /^pooler.toml:2:\d+: this is not TOML: /],
    ['[users.app]\npassword = "hunter2" x', /^pooler.toml:2:\d+: this is not TOML: /],
    ["[databases.a]\n[databases.a]", /^pooler.toml:2:\d+: this is not TOML: trying to redefine/],
    ["[users.__proto__]\npassword = 'hunter2'", /^pooler.toml:1:\d+: this is not TOML: document contains an unsafe property/],
    [`a = ${"[".repeat(100)}`, /this is not TOML: .*nested/],
    ["limits.max_clients = 99999999999999999999", /this is not TOML: integer value cannot be represented/],
  ])("%j", (text, message) => {
    expect(() => parseConfig(text, "pooler.toml")).toThrow(message);
    expect(() => parseConfig(text, "pooler.toml")).not.toThrow(/hunter2/);
  });
});
