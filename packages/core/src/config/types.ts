// The configuration as everything else sees it: validated, defaults filled in, secrets resolved, plain data that can be
// sent to a worker process. Knows nothing of TOML.

export type PoolMode = "transaction" | "session";
export type OnSessionState = "error" | "pin";
export type OnUnrouted = "first" | "error";
export type OnPluginError = "fail" | "skip";
export type OnPluginCrash = "restart" | "disable" | "refuse";
export type IoEngine = "auto" | "streams" | "sockets";
export type AuthMethod = "scram-sha-256" | "md5" | "trust";
/** Clients' side: `require` wants TLS, `verify-full` also a certificate signed by `caFile` whose CN is the user; `prefer` takes both. */
export type ClientTlsMode = "disable" | "prefer" | "require" | "verify-full";
export type ServerTlsMode = "disable" | "require" | "verify-full";

export interface ListenConfig {
  /** Address to listen on, e.g. "127.0.0.1", "::1", "0.0.0.0", or a path of a Unix-domain socket directory starting with "/". */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly backlog: number;
  /** How clients prove who they are. `trust` is accepted from loopback addresses only. */
  readonly auth: AuthMethod;
  readonly tls: {
    readonly mode: ClientTlsMode;
    /** PEM texts, not paths: read when the configuration is loaded. */
    readonly cert: string | null;
    readonly key: string | null;
    readonly ca: string | null;
  };
}

export interface HostConfig {
  readonly host: string;
  readonly port: number;
  /** Name of the database on that server. */
  readonly database: string;
  /** From the URL; null: see UserConfig. */
  readonly user: string | null;
  readonly password: string | null;
  readonly tls: { readonly mode: ServerTlsMode; readonly ca: string | null };
}

export interface ShardConfig {
  readonly primary: HostConfig;
  readonly replicas: readonly HostConfig[];
}

/** How statements of several clients share server connections. Names are as PostgreSQL folds them. */
export interface MultiplexConfig {
  /** Statements in flight per server connection. */
  readonly depth: number;
  /** Functions, types and operators, beside PostgreSQL's own, that leave nothing behind. */
  readonly functions: readonly string[];
  /** Functions and relations whose statements do not share. */
  readonly never: readonly string[];
  /** INSERT, UPDATE, DELETE and MERGE share, too. */
  readonly writes: boolean;
  /** "plain": only tables without rules, triggers and policies, as the catalog says. */
  readonly relations: "plain" | "any";
  /** Statements that take longer neither wait behind others nor let others wait behind them. */
  readonly slowMs: number;
  /** Reads of which no byte was answered when their connection broke are sent again. */
  readonly retryReads: boolean;
  /** Texts that come again are prepared where they share servers. */
  readonly prepare: boolean;
}

export interface DatabaseConfig {
  /** What the client asks for. */
  readonly name: string;
  readonly poolMode: PoolMode;
  /** Server connections per user and host, of all workers together. */
  readonly poolSize: number;
  /** Clients that may wait for a connection of one pool, of all workers together; 0: no limit of its own. */
  readonly maxWaiting: number;
  readonly onSessionState: OnSessionState;
  /** When no plugin decided the shard and there is more than one. */
  readonly onUnrouted: OnUnrouted;
  /** Null: every statement has a server connection for itself. */
  readonly multiplex: MultiplexConfig | null;
  readonly shards: readonly ShardConfig[];
}

export interface UserConfig {
  readonly name: string;
  /** Plain secret, or null. */
  readonly password: string | null;
  /** "SCRAM-SHA-256$…" or "md5…", or null. A user with neither can come in by `trust` only. */
  readonly verifier: string | null;
  /** Password for servers when a server's URL has none; falls back to `password`. */
  readonly serverPassword: string | null;
  /** Name of the user on servers when the URL has none; falls back to `name`. */
  readonly serverUser: string | null;
  /** May use the console: "admin" every command, "stats" SHOW only. */
  readonly console: "none" | "stats" | "admin";
  /** Databases the user may connect to; null: all. */
  readonly databases: readonly string[] | null;
}

export interface PluginConfig {
  /** The name of the entry: package name or path, as the file has it. */
  readonly name: string;
  /** Absolute path of the shared library. */
  readonly library: string;
  /** Where it came from. */
  readonly source: "package" | "path";
  readonly packageVersion: string | null;
  /** Another one when the file is another one; absent or null: nobody knows. */
  readonly libraryStamp?: string | null;
  /** [plugins.config], checked against the plugin's own JSON Schema. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly onError: OnPluginError;
  /** Absent: workers are restarted, and that is all. */
  readonly crash?: CrashPolicy;
  /** Keys of the entry that only plugins that may wait take; a key that is absent was not given: see blockingDefaults of the chain. */
  readonly blocking?: Partial<BlockingConfig>;
}

export interface BlockingConfig {
  /** Calls at a time in each worker. */
  readonly maxConcurrent: number;
  readonly deadlineMs: number;
}

/** What becomes of a plugin that ends its workers. */
export interface CrashPolicy {
  readonly action: OnPluginCrash;
  /** So many crashes within the window. */
  readonly limit: number;
  readonly windowMs: number;
}

export interface LimitsConfig {
  readonly maxClients: number;
  /** Largest message of a client that is taken into memory, bytes. */
  readonly maxMessageBytes: number;
  /** Memory of a worker for messages that no server has got yet, bytes. */
  readonly maxBufferedBytes: number;
  /** Prepared statements that one client may hold. */
  readonly maxClientStatements: number;
  /** Prepared statements that one server keeps (LRU). */
  readonly maxServerStatements: number;
  /** Distinct statement texts whose facts a worker remembers (LRU). */
  readonly maxCachedStatements: number;
}

export interface TimeoutsConfig {
  /** All in milliseconds; 0: no limit. */
  readonly clientLoginMs: number;
  readonly serverConnectMs: number;
  /** How long a client waits for a server before its query fails. */
  readonly queryWaitMs: number;
  readonly clientIdleInTransactionMs: number;
  readonly serverIdleMs: number;
  readonly serverLifetimeMs: number;
  /** How long a host that is down is left alone before it is tried again. */
  readonly hostRetryMs: number;
  /** SIGTERM: how long clients may finish their transactions. */
  readonly drainMs: number;
  /** How long a call into a plugin may take before its worker is killed. */
  readonly pluginCallMs: number;
  /** How long clients of a worker that was replaced may stay. */
  readonly retireMs: number;
}

export interface PoolerConfig {
  /** Absolute path of the file it was read from, null when it was built in code. */
  readonly file: string | null;
  readonly listen: ListenConfig;
  /** 1 and up. */
  readonly workers: number;
  readonly io: IoEngine;
  readonly log: { readonly level: "trace" | "debug" | "info" | "warn" | "error"; readonly format: "json" | "pretty" };
  /** OpenMetrics over HTTP; null: off. Port 0 lets the system choose. */
  readonly metrics: { readonly host: string; readonly port: number } | null;
  readonly limits: LimitsConfig;
  readonly timeouts: TimeoutsConfig;
  readonly databases: readonly DatabaseConfig[];
  readonly users: readonly UserConfig[];
  /** Chain order. */
  readonly plugins: readonly PluginConfig[];
}
