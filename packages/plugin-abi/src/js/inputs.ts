// What the hooks of a plugin in JavaScript are given. Objects are read from a frame when they are looked at: they are valid during the
// call only, but what was read out of them (strings, numbers, Buffers) is the plugin's to keep.

export type Role = "read" | "write";

export type StatementKind =
  | "other"
  | "select"
  | "insert"
  | "update"
  | "delete"
  | "merge"
  | "copy"
  | "explain"
  | "ddl"
  | "set"
  | "show"
  | "transaction"
  | "prepare"
  | "execute"
  | "call"
  | "cursor"
  | "listen"
  | "empty";

export interface Table {
  readonly catalog: string | null;
  readonly schema: string | null;
  readonly name: string;
  readonly read: boolean;
  /** The target of INSERT, UPDATE, DELETE, MERGE, COPY FROM or DDL. */
  readonly written: boolean;
  readonly locked: boolean;
}

export interface CalledFunction {
  readonly schema: string | null;
  readonly name: string;
}

/** One statement. All but the text wants the capability "facts". */
export interface Statement {
  /** Stable for the text within a worker until it is forgotten. */
  readonly id: number;
  /** Decoded from the client's encoding; byte for byte (LATIN1) where the bytes are none of it. */
  readonly sql: string;
  readonly sqlBytes: Buffer;
  readonly kind: StatementKind;
  /** Without it nothing of what follows is known. */
  readonly parsed: boolean;
  readonly writes: boolean;
  readonly locksRows: boolean;
  readonly modifyingCte: boolean;
  readonly unknownFunction: boolean;
  readonly syntaxError: boolean;
  /** What the grammar said with a syntax error. */
  readonly parseError: string | null;
  readonly tables: readonly Table[];
  readonly functions: readonly CalledFunction[];
  /** With the capability "fingerprint": sixteen hexadecimal digits. */
  readonly fingerprint: string | null;
  /** In learn() and with the capability "parse_tree": libpg_query's JSON, as text. */
  readonly parseTree: string | null;
}

export interface Parameter {
  /** null: NULL. */
  readonly bytes: Buffer | null;
  /** In text format and valid UTF-8; null otherwise. */
  readonly text: string | null;
  readonly format: "text" | "binary";
  /** 0: the client left it to the server. */
  readonly typeOid: number;
  /** With the capability "literals": it stood in the text of a simple query. */
  readonly isLiteral: boolean;
}

export interface Session {
  /** Unique in this worker. */
  readonly id: number;
  readonly user: string;
  readonly database: string;
  readonly applicationName: string;
  /** "127.0.0.1", "::1", "unix". */
  readonly clientAddress: string;
  /** PostgreSQL's name: "UTF8". */
  readonly clientEncoding: string;
  readonly tls: boolean;
}

export interface Host {
  readonly shard: number;
  readonly role: "primary" | "replica";
  readonly up: boolean;
  /** null: unknown. */
  readonly lagMs: number | null;
  /** "host:port". */
  readonly address: string;
}

export interface Cluster {
  readonly name: string;
  readonly shards: number;
  /** Changes whenever anything of the cluster does. */
  readonly generation: number;
  readonly hosts: readonly Host[];
}

export interface RouteInput<Learned = undefined> {
  readonly protocol: "simple" | "extended";
  readonly inTransaction: boolean;
  readonly readOnly: boolean;
  /** This decides where the transaction goes. */
  readonly firstStatement: boolean;
  /** A driver prepares or describes: no parameters, routes do not count. */
  readonly prepareOnly: boolean;
  /** The statement is what a plugin made of the client's. */
  readonly rewritten: boolean;
  readonly severalStatements: boolean;
  /** What is decided already; null: open. */
  readonly role: Role | null;
  readonly shard: number | "all" | null;
  /** Since the session's last transaction that may have written; null: it never did. */
  readonly msSinceWrite: number | null;
  /** Unique in this worker. */
  readonly queryId: number;
  readonly statement: Statement;
  readonly session: Session;
  readonly cluster: Cluster;
  /** Element 0 is $1. */
  readonly parameters: readonly Parameter[];
  /** What learn() returned for the statement's text. */
  readonly learned: Learned;
}

export interface PluginHost {
  /** The name of the entry in the configuration. */
  readonly name: string;
  /** 0-based number of the worker process. */
  readonly worker: number;
  /** PostgreSQL major of the pooler's grammar. */
  readonly grammar: number;
}

/** A client whose startup packet has come: nothing is proved yet. */
export interface ConnectInput {
  readonly session: Session;
  readonly askedUser: string;
  readonly askedDatabase: string;
  /** Common name of a client certificate that was verified. */
  readonly peerName: string | null;
  /** The startup packet. */
  readonly parameters: ReadonlyMap<string, string>;
}

export interface DisconnectInput {
  readonly session: Session;
  readonly loggedIn: boolean;
  readonly durationMs: number;
}

/** A new connection to a server after its login. */
export interface ServerInput {
  readonly id: number;
  readonly shard: number;
  readonly role: "primary" | "replica";
  readonly processId: number;
  /** By its name in the configuration. */
  readonly database: string;
  readonly serverDatabase: string;
  readonly user: string;
  readonly address: string;
  readonly tls: boolean;
  /** What the server reported, server_version among it. */
  readonly parameters: ReadonlyMap<string, string>;
}

export interface EndInput {
  /** Of the route() that was about it; 0 when there was none. */
  readonly queryId: number;
  readonly durationMs: number;
  readonly rows: number;
  readonly protocol: "simple" | "extended";
  readonly failed: boolean;
  /** No server was asked. */
  readonly local: boolean;
  readonly suspended: boolean;
  readonly rewritten: boolean;
  readonly role: Role | null;
  readonly shard: number | "all" | null;
  readonly address: string | null;
  readonly commandTag: string | null;
  readonly sqlstate: string | null;
  readonly message: string | null;
  readonly statement: Statement;
  readonly session: Session;
}

export interface RowInput {
  readonly queryId: number;
  readonly statementId: number;
  /** What the route() that asked for the rows gave. */
  readonly cookie: number;
  /** 0-based. */
  readonly row: number;
  readonly session: Session;
  readonly columns: readonly { readonly name: string; readonly typeOid: number; readonly format: "text" | "binary" }[];
  /** null: NULL. */
  readonly values: readonly (Buffer | null)[];
}
