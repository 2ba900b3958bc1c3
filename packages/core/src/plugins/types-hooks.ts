// What the hooks beside route_query are asked with, and what they answer. Types only, for hot and control folders alike.
import type { PoolerError } from "../base/errors.js";
import type { PluginConfig } from "../config/types.js";
import type { Statement } from "../sql/statement.js";
import type { ChainSession } from "./types.js";

export type { ChainSession } from "./types.js";

/** A client whose startup packet has come. */
export interface ConnectingClient {
  /** Its user and database are those that the client asked for. */
  readonly session: ChainSession;
  readonly askedUser: string;
  readonly askedDatabase: string;
  /** Common name of a certificate that was verified; null: none. */
  readonly peerName: string | null;
  readonly parameters: ReadonlyMap<string, string>;
}

/** In place of what the configuration says. */
export interface ServerLogin {
  readonly user: string;
  readonly password: string | null;
}

export interface ClientVerdict {
  /** Not null: the client is told this and goes. */
  readonly refusal: PoolerError | null;
  /** Bit n: plugin n has let it in, and hears when it leaves. */
  readonly letIn: number;
  /** With user and database as the plugins made them. */
  readonly session: ChainSession;
  readonly login: ServerLogin | null;
}

/** A server connection after its handshake. */
export interface ConnectedServer {
  readonly id: number;
  readonly shard: number;
  readonly role: "primary" | "replica";
  readonly processId: number;
  readonly database: string;
  readonly serverDatabase: string;
  readonly user: string;
  readonly address: string;
  readonly tls: boolean;
  /** What the server reported, kept up to date while it is set up. */
  readonly parameters: Map<string, string>;
}

export interface ServerVerdict {
  /** Not null: the connection is not used. */
  readonly refusal: PoolerError | null;
  /** Query strings to run first, and again whenever the session was reset. */
  readonly always: readonly Buffer[];
  /** To run once, after those. */
  readonly once: readonly Buffer[];
}

export interface ReloadingHost {
  readonly worker: number;
  /** PostgreSQL major of the host's grammar. */
  readonly grammar: number;
}

/** A statement whose answer the client has been sent. */
export interface EndedStatement {
  readonly statement: Statement;
  /** Its text as the client sent it. */
  readonly sql: Buffer;
  readonly session: ChainSession;
  readonly extended: boolean;
  /** 0: the chain was not asked about it. */
  readonly queryId: number;
  readonly rewritten: boolean;
  readonly durationMs: number;
  readonly rows: number;
  /** The row limit was reached. */
  readonly suspended: boolean;
  /** null: it failed, or there is none. */
  readonly tag: string | null;
  /** null: it did not fail. */
  readonly sqlstate: string | null;
  readonly message: string | null;
  /** null: no server was asked. */
  readonly route: { readonly shard: number; readonly role: "primary" | "replica" } | null;
  readonly address: string | null;
}

/** A hook that is still being asked. */
export interface ClientQuestion {
  /** Nobody waits any more. Answers what plugins have said so far. */
  drop(): ClientVerdict;
}

export interface ServerQuestion {
  drop(): void;
}

export interface PluginHooks {
  /** Some plugin has client_connect or client_disconnect. */
  readonly seesClients: boolean;
  readonly seesServers: boolean;
  readonly seesEnds: boolean;
  /**
   * Never throws for what a plugin does, nor do the others. `done` is called once: within this call, which answers null then, or later,
   * when a plugin waits.
   */
  clientConnect(client: ConnectingClient, done: (verdict: ClientVerdict) => void): ClientQuestion | null;
  /** Once for each client that was let in. `letIn`: of its ClientVerdict. */
  clientDisconnect(session: ChainSession, durationMs: number, loggedIn: boolean, letIn: number): void;
  /** `done`: as of clientConnect(). */
  serverConnect(server: ConnectedServer, done: (verdict: ServerVerdict) => void): ServerQuestion | null;
  /**
   * The configuration was read again. Null: everybody took it. Else who refused it, in words, and those who had taken it are
   * given what was in force.
   */
  reload(before: readonly PluginConfig[], after: readonly PluginConfig[], host: ReloadingHost): string | null;
  queryEnd(end: EndedStatement): void;
}
