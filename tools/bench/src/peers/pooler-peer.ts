// This pooler as its users run it: the command, with a configuration file.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BenchError } from "../bench-error.js";
import { launch } from "./launch.js";
import { databaseNames, type Grounds, type Peer, type Setup } from "./peer.js";

const require = createRequire(import.meta.url);
const packageRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface PoolerVariant {
  readonly name: string;
  readonly workers: number;
  readonly io: string;
  readonly poolSize: number;
  /** Statements that may be on the way on one server connection, and whether they are prepared there; undefined: no multiplexing. */
  readonly multiplex?: { readonly depth: number; readonly prepare: boolean };
  /** With read-write-split and hash-sharding in front of one shard. */
  readonly hasPlugins?: boolean;
}

export interface PoolerProgram {
  readonly main: string;
  readonly version: string;
  /** Whether this build knows databases.NAME.multiplex. */
  readonly canMultiplex: boolean;
  readonly hasBuiltPlugins: boolean;
}

export function findPooler(): PoolerProgram {
  const main = join(dirname(require.resolve("@pooler/cli/package.json")), "bin", "pooler.js");
  const said = (command: string): string => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, command], { encoding: "utf8" });
    if (status !== 0) throw new BenchError(`The pooler cannot be run; is it built (npm run build)?\n${stderr}`);
    return stdout;
  };
  return {
    main,
    version: /^pooler (\S+)/.exec(said("version"))?.[1] ?? "unknown",
    canMultiplex: /"multiplex"/.test(said("config-schema")),
    hasBuiltPlugins: ["read-write-split", "hash-sharding"].every((name) =>
      existsSync(join(dirname(require.resolve(`@pooler/plugin-${name}/package.json`)), "prebuilds")),
    ),
  };
}

export function createPoolerPeer(program: PoolerProgram, variant: PoolerVariant): Peer {
  return {
    name: variant.name,
    kind: "pooler",
    workers: variant.workers,
    io: variant.io,
    poolSize: variant.poolSize,
    objection() {
      if (variant.multiplex !== undefined && !program.canMultiplex) return "this build of the pooler has no setting `multiplex`";
      if (variant.hasPlugins === true && !program.hasBuiltPlugins) return "the plugins are not built, which takes Rust";
      return undefined;
    },
    start: (setup, grounds) =>
      launch(
        {
          name: variant.name,
          async prepare({ port, directory }) {
            const file = join(directory, "pooler.toml");
            await writeFile(file, poolerToml(port, variant, setup, grounds));
            if (variant.hasPlugins === true) {
              // Plugins are looked for from the file's directory on: this package's dependencies stand in for an installation.
              await symlink(join(packageRoot, "node_modules"), join(directory, "node_modules"));
            }
            return { command: process.execPath, args: [program.main, "start", "--config", file] };
          },
        },
        setup,
        grounds,
      ),
  };
}

export function poolerToml(
  port: number,
  variant: PoolerVariant,
  setup: Setup,
  { server, accounts, certificate }: Pick<Grounds, "server" | "accounts" | "certificate">,
): string {
  const url = `postgres://${accounts.plain}@127.0.0.1:${server.port}/${server.database}`;
  const databases = databaseNames(setup, server.database).flatMap((name) => [
    `[databases.${name}]`,
    `url = "${url}"`,
    `pool_size = ${variant.poolSize}`,
    ...(variant.multiplex === undefined ? [] : [`multiplex = ${variant.multiplex.depth}`]),
    ...(variant.multiplex?.prepare === true ? ["multiplex_prepare = true"] : []),
  ]);
  const tls =
    setup.tls && certificate !== undefined
      ? ["[listen.tls]", 'mode = "prefer"', `cert = "${certificate.certificateFile}"`, `key = "${certificate.keyFile}"`]
      : [];
  const users =
    setup.auth === "trust"
      ? [`[users.${accounts.plain}]`]
      : [`[users.${accounts.scram.name}]`, `verifier = "${accounts.scram.verifier}"`, `server_user = "${accounts.plain}"`];
  return `${[
    `workers = ${variant.workers}`,
    `io = "${variant.io}"`,
    "[listen]",
    'host = "127.0.0.1"',
    `port = ${port}`,
    `auth = "${setup.auth}"`,
    ...tls,
    "[log]",
    'level = "warn"',
    "[limits]",
    "max_clients = 20000",
    "max_client_statements = 200000",
    ...databases,
    ...users,
    ...(variant.hasPlugins === true ? pluginLines : []),
  ].join("\n")}\n`;
}

const pluginLines = [
  "[[plugins]]",
  'name = "@pooler/plugin-read-write-split"',
  "[[plugins]]",
  'name = "@pooler/plugin-hash-sharding"',
  "[plugins.config]",
  "tables = [",
  '  { table = "pgbench_accounts", column = "aid", type = "integer" },',
  "]",
];
