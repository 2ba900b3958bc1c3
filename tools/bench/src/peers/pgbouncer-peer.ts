// PgBouncer: one process, configured as its documentation recommends for transaction pooling.
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BenchError } from "../bench-error.js";
import { launch } from "./launch.js";
import { databaseNames, type Grounds, type Peer, type Setup } from "./peer.js";

export interface PgbouncerProgram {
  readonly path: string;
  readonly version: string;
}

/** Debian has it in sbin, which is not on everybody's PATH. */
const places = ["pgbouncer", "/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer", "/usr/local/bin/pgbouncer"];

/** undefined when none was named and none is found. */
export function findPgbouncer(chosen: string | undefined): PgbouncerProgram | undefined {
  for (const path of chosen === undefined ? places : [chosen]) {
    const { status, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
    const version = status === 0 ? /^PgBouncer (\S+)/m.exec(stdout)?.[1] : undefined;
    if (version !== undefined) return { path, version };
  }
  if (chosen !== undefined) {
    throw new BenchError(`--pgbouncer ${chosen}: this cannot be run, or is no PgBouncer.`);
  }
  return undefined;
}

/** Prepared statements in transaction mode came with 1.21. */
export function keepsPreparedStatements(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  return major > 1 || (major === 1 && minor >= 21);
}

export function createPgbouncerPeer({ path, version }: PgbouncerProgram, poolSize: number): Peer {
  const keepsPrepared = keepsPreparedStatements(version);
  return {
    name: "pgbouncer",
    kind: "other",
    workers: 1,
    io: null,
    poolSize,
    objection: ({ protocol }) =>
      protocol === "prepared" && !keepsPrepared
        ? `PgBouncer ${version} has no prepared statements in transaction mode (1.21 has)`
        : undefined,
    start: (setup, grounds) =>
      launch(
        {
          name: "pgbouncer",
          async prepare({ port, directory }) {
            const configFile = join(directory, "pgbouncer.ini");
            const usersFile = join(directory, "users.txt");
            await writeFile(configFile, pgbouncerIni({ port, usersFile, poolSize, keepsPrepared, setup, grounds }));
            await writeFile(usersFile, usersTxt(grounds));
            return { command: path, args: [configFile], ids: grounds.unprivileged };
          },
        },
        setup,
        grounds,
      ),
  };
}

interface IniOptions {
  readonly port: number;
  readonly usersFile: string;
  readonly poolSize: number;
  readonly keepsPrepared: boolean;
  readonly setup: Setup;
  readonly grounds: Pick<Grounds, "server" | "accounts" | "certificate">;
}

export function pgbouncerIni({ port, usersFile, poolSize, keepsPrepared, setup, grounds }: IniOptions): string {
  const { server, accounts, certificate } = grounds;
  const databases = databaseNames(setup, server.database).map(
    (name) => `${name} = host=127.0.0.1 port=${server.port} dbname=${server.database} user=${accounts.plain}`,
  );
  const tls =
    setup.tls && certificate !== undefined
      ? [
          "client_tls_sslmode = allow",
          `client_tls_cert_file = ${certificate.certificateFile}`,
          `client_tls_key_file = ${certificate.keyFile}`,
        ]
      : [];
  return `${[
    "[databases]",
    ...databases,
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    `listen_port = ${port}`,
    "unix_socket_dir =",
    `auth_type = ${setup.auth}`,
    `auth_file = ${usersFile}`,
    "pool_mode = transaction",
    `default_pool_size = ${poolSize}`,
    "max_client_conn = 20000",
    ...(keepsPrepared ? ["max_prepared_statements = 200"] : []),
    "ignore_startup_parameters = extra_float_digits",
    "log_connections = 0",
    "log_disconnections = 0",
    ...tls,
  ].join("\n")}\n`;
}

function usersTxt({ accounts }: Grounds): string {
  return `"${accounts.plain}" ""\n"${accounts.scram.name}" "${accounts.scram.verifier}"\n`;
}
