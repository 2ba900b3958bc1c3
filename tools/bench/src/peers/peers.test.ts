import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { fill, findOther } from "./other-peer.js";
import { plainSetup, type Setup } from "./peer.js";
import { createPgbouncerPeer, keepsPreparedStatements, pgbouncerIni } from "./pgbouncer-peer.js";
import { poolerToml } from "./pooler-peer.js";

const templates = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "peers");
const grounds = {
  server: { port: 5433, database: "bench" },
  accounts: { plain: "bench", scram: { name: "bench_scram", password: "secret", verifier: "SCRAM-SHA-256$4096:a$b:c" } },
  certificate: { certificateFile: "/c.pem", keyFile: "/k.pem", certificate: "", privateKey: "" },
};
const scramSetup: Setup = { ...plainSetup, key: "scram", auth: "scram-sha-256" };
const tlsSetup: Setup = { ...plainSetup, key: "tls", tls: true };
const variant = { name: "pooler", workers: 2, io: "auto", poolSize: 10 };

describe("PgBouncer", () => {
  test("keeps prepared statements from 1.21 on, and is not measured with them before", () => {
    expect(["1.18.0", "1.20.1", "1.21.0", "1.25.2", "2.0"].map(keepsPreparedStatements)).toEqual([false, false, true, true, true]);
    const old = createPgbouncerPeer({ path: "pgbouncer", version: "1.18.0" }, 10);
    expect(old.objection({ setup: plainSetup, protocol: "prepared", clients: 1 })).toContain("1.21");
    expect(old.objection({ setup: plainSetup, protocol: "extended", clients: 1 })).toBeUndefined();
    expect(pgbouncerIni({ port: 1, usersFile: "u", poolSize: 3, keepsPrepared: false, setup: plainSetup, grounds })).not.toContain(
      "max_prepared",
    );
  });

  test("gets the pool, the databases and the kind of login that the setup asks for", () => {
    const ini = pgbouncerIni({
      port: 6000,
      usersFile: "/users.txt",
      poolSize: 3,
      keepsPrepared: true,
      setup: { ...scramSetup, databases: 3 },
      grounds,
    });
    expect(ini.match(/^bench(_\d)? = host=127.0.0.1 port=5433 dbname=bench user=bench$/gm)).toHaveLength(3);
    expect(ini).toContain("auth_type = scram-sha-256\n");
    expect(ini).toContain("default_pool_size = 3\n");
    expect(ini).not.toContain("tls");
    const withTls = pgbouncerIni({ port: 1, usersFile: "u", poolSize: 3, keepsPrepared: true, setup: tlsSetup, grounds });
    expect(withTls).toContain("client_tls_cert_file = /c.pem\n");
  });
});

describe("this pooler", () => {
  test("gets workers, engine, pool and multiplexing of its variant", () => {
    expect(poolerToml(6000, variant, plainSetup, grounds)).toContain('workers = 2\nio = "auto"\n');
    expect(poolerToml(6000, variant, plainSetup, grounds)).not.toContain("multiplex");
    const multiplexed = (prepare: boolean): string =>
      poolerToml(6000, { ...variant, poolSize: 4, multiplex: { depth: 16, prepare } }, plainSetup, grounds);
    expect(multiplexed(false)).toContain("pool_size = 4\nmultiplex = 16\n");
    expect([multiplexed(false), multiplexed(true)].map((toml) => toml.includes("multiplex_prepare = true\n"))).toEqual([false, true]);
    expect(poolerToml(6000, { ...variant, hasPlugins: true }, plainSetup, grounds).match(/\[\[plugins\]\]/g)).toHaveLength(2);
  });

  test("logs clients in as the setup asks for, and itself in without a password", () => {
    const toml = poolerToml(6000, variant, scramSetup, grounds);
    expect(toml).toContain('auth = "scram-sha-256"\n');
    expect(toml).toContain('[users.bench_scram]\nverifier = "SCRAM-SHA-256$4096:a$b:c"\nserver_user = "bench"\n');
    expect(toml).toContain('url = "postgres://bench@127.0.0.1:5433/bench"\n');
    expect(poolerToml(6000, variant, tlsSetup, grounds)).toContain('[listen.tls]\nmode = "prefer"\ncert = "/c.pem"\n');
  });
});

describe("other poolers", () => {
  test("every placeholder of the templates that come along is known", () => {
    const known = ["port", "directory", "poolSize", "workers", "serverHost", "serverPort", "database", "serverUser", "user", "password"];
    const values = new Map(known.map((name) => [name, name]));
    for (const peer of readdirSync(templates)) {
      expect(existsSync(join(templates, peer, "peer.json"))).toBe(true);
      for (const file of readdirSync(join(templates, peer))) {
        expect(fill(readFileSync(join(templates, peer, file), "utf8"), values, file)).not.toMatch(/\{\{|\}\}/);
      }
    }
  });

  test("an unknown placeholder is refused with those that exist", () => {
    expect(() => fill("port = {{prot}}", new Map([["port", "1"]]), "x.toml")).toThrow(
      "x.toml: there is no placeholder {{prot}}; there are port.",
    );
  });

  test("a peer without templates, or that cannot be run, is refused with what to do", () => {
    expect(() => findOther("nobody", "/bin/true", undefined)).toThrow("--peer-config nobody=DIRECTORY");
    expect(() => findOther("pgcat", "/nowhere/pgcat", undefined)).toThrow("--peer pgcat=/nowhere/pgcat: this cannot be run");
  });
});
