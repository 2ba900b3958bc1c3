// What is measured: something that speaks PostgreSQL on a port. The scenarios know peers by this alone.
import type { RunDirectory } from "@pooler/embedded-cluster";
import type { CertificateFiles } from "../certificate.js";

/** How the peers of a group of measurements are configured. */
export interface Setup {
  /** Equal setups have equal keys. */
  readonly key: string;
  readonly auth: "trust" | "scram-sha-256";
  readonly tls: boolean;
  /** All of them are the same database of the server; the first is `bench`, the others are called bench_1, bench_2 … */
  readonly databases: number;
  /** Started anew for each measurement, one peer at a time. */
  readonly isExclusive: boolean;
}

export const plainSetup: Setup = { key: "plain", auth: "trust", tls: false, databases: 1, isExclusive: false };

/** Where a load generator connects. */
export interface Target {
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly tls: boolean;
  readonly password?: string;
}

export interface RunningPeer {
  readonly target: Target;
  /** Its processes descend from this one; undefined for PostgreSQL itself, whose processor time is not a pooler's. */
  readonly pid: number | undefined;
  /** From the start of the process to the first answer. */
  readonly startMs: number;
  stop(): Promise<void>;
}

export interface Peer {
  /** As in the results: direct, pgbouncer, pooler, pooler-multiplex … */
  readonly name: string;
  readonly kind: "direct" | "pooler" | "other";
  /** Worker processes; null where there is no such notion. */
  readonly workers: number | null;
  /** This pooler's way to read and write sockets; null for everybody else. */
  readonly io: string | null;
  /** Null for none. */
  readonly poolSize: number | null;
  /** Why it cannot take part, in words; undefined when it can. */
  objection(need: Need): string | undefined;
  start(setup: Setup, grounds: Grounds): Promise<RunningPeer>;
}

export interface Need {
  readonly setup: Setup;
  readonly protocol: string;
  readonly clients: number;
}

/** What every peer is started on. */
export interface Grounds {
  readonly runDirectory: RunDirectory;
  readonly server: ServerAddress;
  readonly accounts: Accounts;
  /** Present when a setup with TLS is to be measured. */
  readonly certificate: CertificateFiles | undefined;
  /** Whom programs run as that refuse root; empty when this process is not root. */
  readonly unprivileged: { readonly uid?: number; readonly gid?: number };
}

export interface ServerAddress {
  readonly port: number;
  readonly database: string;
}

export interface Accounts {
  /** Needs no password. */
  readonly plain: string;
  /** Has to prove itself with SCRAM when it comes to PostgreSQL directly. */
  readonly scram: { readonly name: string; readonly password: string; readonly verifier: string };
}

export function databaseNames(setup: Setup, first: string): readonly string[] {
  return Array.from({ length: setup.databases }, (_, index) => (index === 0 ? first : `${first}_${index}`));
}

/** What clients of a peer on this port use, by the setup. */
export function targetOn(port: number, setup: Setup, { server, accounts }: Grounds): Target {
  const { database } = server;
  return setup.auth === "trust"
    ? { port, database, tls: setup.tls, user: accounts.plain }
    : { port, database, tls: setup.tls, user: accounts.scram.name, password: accounts.scram.password };
}
