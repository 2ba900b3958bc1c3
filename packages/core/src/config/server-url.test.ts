import { describe, expect, test } from "vitest";
import { parseServerUrl, type ServerUrl } from "./server-url.js";

const plain: ServerUrl = { host: "db", port: 5432, database: null, user: null, password: null, sslmode: "disable", sslrootcert: null };

test.each<[string, Partial<ServerUrl>]>([
  ["postgres://db", {}],
  ["postgresql://db/", {}],
  ["postgres://db/app", { database: "app" }],
  ["postgres://db:6000/app", { port: 6000, database: "app" }],
  ["postgres://me@db", { user: "me" }],
  ["postgres://me:secret@db/app", { user: "me", password: "secret", database: "app" }],
  ["postgres://me:@db/app", { user: "me", database: "app" }],
  ["postgres://m%40e:a%2Fb%23c%3A%25%40@db/my%20app", { user: "m@e", password: "a/b#c:%@", database: "my app" }],
  ["postgres://me:p@ss:w0rd@db", { user: "me", password: "p@ss:w0rd" }],
  ["postgres://[::1]/app", { host: "::1", database: "app" }],
  ["postgres://me@[fe80::1%eth0]:5433/app", { host: "fe80::1%eth0", port: 5433, user: "me", database: "app" }],
  ["postgres://10.0.0.1/app?sslmode=require", { host: "10.0.0.1", database: "app", sslmode: "require" }],
  [
    "postgres://db/app?sslmode=verify-full&sslrootcert=certs%2Fca.pem",
    { database: "app", sslmode: "verify-full", sslrootcert: "certs/ca.pem" },
  ],
  ["postgres://db/app?sslmode=verify-full&sslrootcert=system", { database: "app", sslmode: "verify-full" }],
  ["postgres:///app?host=/var/run/postgresql", { host: "/var/run/postgresql", database: "app" }],
  ["postgres://me@:5433/app?host=/tmp", { host: "/tmp", port: 5433, user: "me", database: "app" }],
])("%s is read", (text, expected) => {
  expect(parseServerUrl(text)).toEqual({ ok: true, url: { ...plain, ...expected } });
});

describe("what cannot be a server is refused with the reason", () => {
  test.each([
    ["", "is not the URL of a server"],
    ["db1", "is not the URL of a server"],
    ["mysql://db/app", "is not the URL of a server"],
    ["postgres:db", "is not the URL of a server"],
    [" postgres://db", "begins or ends with a blank"],
    ["postgres:///app", "has no host"],
    ["postgres://me:hunter2@/app", "has no host"],
    ["postgres://db:0/app", "port that is not"],
    ["postgres://db:65536/app", "port that is not"],
    ["postgres://db:http/app", "port that is not"],
    ["postgres://app:hunter2/app", "port that is not"],
    ["postgres://a,b/app", "several hosts"],
    ["postgres://::1/app", "IPv6 addresses go in brackets"],
    ["postgres://fe80::1:5432/app", "IPv6 addresses go in brackets"],
    ["postgres://[db]/app", "not an IPv6 address"],
    ["postgres://me:hun/ter2@db/app", "percent-encoded"],
    ["postgres://me:hun#ter2@db/app", "percent-encoded"],
    ["postgres://me:hun?ter2@db/app", "percent-encoded"],
    ["postgres://me:hunter2%@db/app", "wrong percent-encoding in its password"],
    ["postgres://me:%ff@db/app", "wrong percent-encoding in its password"],
    ["postgres://me:%00@db/app", "zero byte in its password"],
    ["postgres://:hunter2@db/app", "a password but no user"],
    ["postgres://db/app/other", "more than one path element"],
    ["postgres://db name/app", "a character that hosts cannot have"],
    ["postgres://db/app?sslmode=prefer", "sslmode=prefer, which is not supported; expected one of disable, require, verify-full"],
    ["postgres://db/app?sslrootcert=ca.pem", "needs sslmode=verify-full"],
    ["postgres://db/app?sslmode=require&sslrootcert=ca.pem", "needs sslmode=verify-full"],
    ["postgres://db/app?connect_timeout=3", "connect_timeout, which does not belong there: set timeouts.server_connect"],
    ["postgres://db/app?password=hunter2", "password, which does not belong there"],
    ["postgres://db/app?colour=red", "colour, which is not supported"],
    ["postgres://db/app?constructor=red", "constructor, which is not supported"],
    ["postgres://db/app?host=/tmp", "names a host twice"],
    ["postgres:///app?host=db", "host, which is not supported"],
    ["postgres:///app?host=/tmp&sslmode=require", "TLS over a Unix-domain socket"],
  ])("%s", (text, message) => {
    const result = parseServerUrl(text);
    expect(result).toEqual({ ok: false, message: expect.stringContaining(message) });
    expect(JSON.stringify(result)).not.toContain("hunter2");
  });
});
