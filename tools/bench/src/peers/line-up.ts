// Who takes part: PostgreSQL itself, PgBouncer and others where they are found, and this pooler in each variant that was asked for.
import { maxServerConnections } from "../grounds.js";
import type { BenchOptions } from "../options.js";
import { createDirectPeer } from "./direct-peer.js";
import { createOtherPeer, findOther } from "./other-peer.js";
import type { Peer } from "./peer.js";
import { createPgbouncerPeer, findPgbouncer } from "./pgbouncer-peer.js";
import { createPoolerPeer, findPooler, type PoolerVariant } from "./pooler-peer.js";

export interface LineUp {
  readonly peers: readonly Peer[];
  readonly versions: Readonly<Record<string, string>>;
  /** What the reader should know, such as a peer that is not there. */
  readonly notes: readonly string[];
}

const multiplexDepth = 16;

export function findLineUp(options: BenchOptions): LineUp {
  const isWanted = ({ name }: { readonly name: string }): boolean => options.peers.length === 0 || options.peers.includes(name);
  const pooler = findPooler();
  const pgbouncer = findPgbouncer(options.pgbouncer);
  const others = options.otherPeers
    .filter(isWanted)
    .map(({ name, path }) => findOther(name, path, options.peerConfigs.find((config) => config.name === name)?.path));
  const notes =
    pgbouncer === undefined
      ? ["PgBouncer is not here (apt-get install pgbouncer, or --pgbouncer PATH): there are no ratios to it, and its rows are missing."]
      : [];
  const peers = [
    createDirectPeer(maxServerConnections),
    ...(pgbouncer === undefined ? [] : [createPgbouncerPeer(pgbouncer, options.poolSize)]),
    ...variants(options).map((variant) => createPoolerPeer(pooler, variant)),
    ...others.map((other) => createOtherPeer(other, options.poolSize)),
  ].filter(isWanted);
  return {
    peers,
    notes,
    versions: {
      pooler: pooler.version,
      node: process.versions.node,
      ...(pgbouncer === undefined ? {} : { pgbouncer: pgbouncer.version }),
      ...Object.fromEntries(others.map(({ name, version }) => [name, version])),
    },
  };
}

function variants({ workers, io, poolSize, multiplexPoolSize, peers }: BenchOptions): readonly PoolerVariant[] {
  const engines = new Set([...io, ...["streams", "sockets"].filter((engine) => peers.includes(`pooler-${engine}`))]);
  const single = workers.slice(0, 1);
  return [
    ...[...engines].flatMap((engine) =>
      engine === "auto"
        ? workers.map((count) => ({ name: "pooler", io: engine, poolSize, workers: count }))
        : single.map((count) => ({ name: `pooler-${engine}`, io: engine, poolSize, workers: count })),
    ),
    ...[false, true].flatMap((prepare) =>
      workers.map((count) => ({
        name: prepare ? "pooler-multiplex-prepare" : "pooler-multiplex",
        io: "auto",
        poolSize: multiplexPoolSize,
        multiplex: { depth: multiplexDepth, prepare },
        workers: count,
      })),
    ),
    ...single.map((count) => ({ name: "pooler-plugins", io: "auto", poolSize, hasPlugins: true, workers: count })),
  ];
}
