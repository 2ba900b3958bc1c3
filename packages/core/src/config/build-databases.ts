// [databases.NAME] of the file → clusters with their shards and servers. Reads URLs; connects to nothing.
import { readCertificate } from "./build-listen.js";
import type { KeyPath } from "./positions.js";
import { formatKey, type Problems } from "./problems.js";
import type { FileDatabase } from "./schema.js";
import type { References } from "./secrets.js";
import { parseServerUrl } from "./server-url.js";
import type { DatabaseConfig, HostConfig, MultiplexConfig, ShardConfig } from "./types.js";

/** The database name that leads to the console. */
export const consoleDatabase = "pooler";

// NAMEDATALEN - 1, and what a startup packet can carry.
const longestNameBytes = 63;

interface Context {
  readonly references: References;
  readonly problems: Problems;
}

interface Credentials {
  readonly user: string | undefined;
  readonly password: string | undefined;
}

export function buildDatabases(databases: ReadonlyMap<string, FileDatabase>, references: References, problems: Problems): DatabaseConfig[] {
  return [...databases].map(([name, database]) => buildDatabase(name, database, { references, problems }));
}

export function checkName(path: KeyPath, name: string, what: string, problems: Problems): void {
  if (name === "" || name.includes("\0")) problems.key(path, `a ${what} needs a name that is not empty`);
  else if (Buffer.byteLength(name) > longestNameBytes)
    problems.key(path, `the name of a ${what} has at most ${longestNameBytes} bytes in PostgreSQL`);
}

function buildDatabase(name: string, database: FileDatabase, context: Context): DatabaseConfig {
  const path = ["databases", name];
  checkName(path, name, "database", context.problems);
  if (name === consoleDatabase)
    context.problems.key(path, `the name "${consoleDatabase}" is taken by the console; call this database something else`);
  const shards = buildShards(name, database, context);
  checkServersDiffer(path, shards, context.problems);
  return {
    name,
    poolMode: database.pool_mode,
    poolSize: database.pool_size,
    maxWaiting: database.max_waiting,
    onSessionState: database.on_session_state,
    onUnrouted: database.on_unrouted,
    multiplex: buildMultiplex(path, database, context.problems),
    shards: shards.map(({ primary, replicas }) => ({ primary: primary.host, replicas: replicas.map((replica) => replica.host) })),
  };
}

function buildMultiplex(path: KeyPath, database: FileDatabase, problems: Problems): MultiplexConfig | null {
  if (database.multiplex === 0) return null;
  if (database.pool_mode === "session")
    problems.key([...path, "multiplex"], 'nothing can be shared with pool_mode = "session"; take it out, or use pool_mode = "transaction"');
  if (database.multiplex_prepare && database.multiplex_relations === "any")
    problems.key(
      [...path, "multiplex_prepare"],
      'the columns of tables have to be known; take it out, or use multiplex_relations = "plain"',
    );
  return {
    depth: database.multiplex,
    functions: database.multiplex_functions,
    never: database.multiplex_never,
    writes: database.multiplex_writes,
    relations: database.multiplex_relations,
    slowMs: database.multiplex_slow,
    retryReads: database.multiplex_retry_reads,
    prepare: database.multiplex_prepare,
  };
}

/** A server and the key that it was read from. */
interface PlacedHost {
  readonly host: HostConfig;
  readonly path: KeyPath;
}

interface PlacedShard {
  readonly primary: PlacedHost;
  readonly replicas: readonly PlacedHost[];
}

function buildShards(name: string, database: FileDatabase, context: Context): PlacedShard[] {
  const { problems } = context;
  const path = ["databases", name];
  const outer = resolveCredentials(path, database, context);
  if (database.url !== undefined && database.shards !== undefined) {
    problems.key([...path, "url"], "url and shards exclude each other; url is the short form for a database with one shard");
  }
  if (database.replicas !== undefined && database.shards !== undefined) {
    problems.key([...path, "replicas"], "replicas stand beside url; with shards, each shard lists its own");
  }
  if (database.shards === undefined) {
    if (database.url === undefined) {
      // A wrong url was reported already.
      if (!problems.touches([...path, "url"]) && !problems.touches([...path, "shards"])) {
        problems.key(path, 'has no server; expected url = "postgres://…" or shards = ["postgres://…", …]');
      }
      return [];
    }
    return placedShard(name, { path: [...path, "url"], url: database.url }, database.replicas ?? [], [...path, "replicas"], outer, context);
  }
  return database.shards.flatMap((shard, index) => {
    const shardPath = [...path, "shards", index];
    if (typeof shard === "string") return placedShard(name, { path: shardPath, url: shard }, [], shardPath, outer, context);
    const own = resolveCredentials(shardPath, shard, context);
    const credentials = { user: own.user ?? outer.user, password: own.password ?? outer.password };
    return placedShard(
      name,
      { path: [...shardPath, "primary"], url: shard.primary },
      shard.replicas,
      [...shardPath, "replicas"],
      credentials,
      context,
    );
  });
}

/** A list of one, or empty when the primary's URL is wrong. */
function placedShard(
  database: string,
  primary: { readonly path: KeyPath; readonly url: string },
  replicas: readonly string[],
  replicasPath: KeyPath,
  credentials: Credentials,
  context: Context,
): PlacedShard[] {
  const host = buildHost(primary.path, primary.url, database, credentials, context);
  const placedReplicas = replicas.flatMap((url, index) => {
    const path = [...replicasPath, index];
    const replica = buildHost(path, url, database, credentials, context);
    return replica === null ? [] : [{ host: replica, path }];
  });
  return host === null ? [] : [{ primary: { host, path: primary.path }, replicas: placedReplicas }];
}

function resolveCredentials(
  path: KeyPath,
  from: { readonly user?: string | undefined; readonly password?: string | undefined },
  { references }: Context,
): Credentials {
  const password = from.password === undefined ? null : references.text([...path, "password"], from.password);
  return { user: from.user, password: password ?? undefined };
}

function buildHost(
  path: KeyPath,
  value: string,
  database: string,
  credentials: Credentials,
  { references, problems }: Context,
): HostConfig | null {
  const text = references.text(path, value);
  if (text === null) return null;
  const result = parseServerUrl(text);
  if (!result.ok) {
    const where = text === value ? "the URL" : `the URL that ${value} gives`;
    problems.value(path, `${where} ${result.message}`);
    return null;
  }
  const { url } = result;
  const ca = url.sslrootcert === null ? null : readCertificate(path, url.sslrootcert, references, problems);
  return {
    host: url.host,
    port: url.port,
    database: url.database ?? database,
    user: url.user ?? credentials.user ?? null,
    password: url.password ?? credentials.password ?? null,
    tls: { mode: url.sslmode, ca: ca?.pem ?? null },
  };
}

/** One server listed twice would be counted, and written to, as two. */
function checkServersDiffer(path: KeyPath, shards: readonly PlacedShard[], problems: Problems): void {
  const seen = new Map<string, KeyPath>();
  for (const { primary, replicas } of shards) {
    for (const { host, path: own } of [primary, ...replicas]) {
      const id = JSON.stringify([host.host, host.port, host.database]);
      const other = seen.get(id);
      if (other === undefined) seen.set(id, own);
      else problems.value(own, `is the same server and database (${describeHost(host)}) as ${formatKey(other.slice(path.length))}`);
    }
  }
}

export function describeHost(host: Pick<HostConfig, "host" | "port" | "database">): string {
  return `${host.host.includes(":") ? `[${host.host}]` : host.host}:${host.port}/${host.database}`;
}

/** Every server of a database, primaries first within their shards. */
export function hostsOf(shards: readonly ShardConfig[]): HostConfig[] {
  return shards.flatMap((shard) => [shard.primary, ...shard.replicas]);
}
