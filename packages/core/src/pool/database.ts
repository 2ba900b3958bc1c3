// One database as clients ask for it: its shards and hosts, the pools to them, and which pool serves a route.
import { PoolerError } from "../base/errors.js";
import type { DatabaseConfig, HostConfig, MultiplexConfig, UserConfig } from "../config/types.js";
import type { ClusterView } from "../plugins/types.js";
import type { ServerLogin } from "../plugins/types-hooks.js";
import { chooseReplica } from "../topology/choose-host.js";
import { createHostState, type HostState } from "../topology/host-state.js";
import { HostPool, type PoolContext, type ServerCredentials } from "./host-pool.js";
import { createMultiplexCounters, Multiplex, type MultiplexCounters } from "./multiplex.js";

/** Where a transaction goes. */
export interface Route {
  readonly shard: number;
  readonly role: "primary" | "replica";
}

/** A user as a client is one. */
export interface ClientUser extends UserConfig {
  /** A plugin said how to log in at servers for this client. */
  readonly serverLogin?: ServerLogin;
}

interface ShardHosts {
  readonly primary: HostState;
  readonly replicas: readonly HostState[];
}

export interface DatabaseCounters {
  transactions: number;
  queries: number;
  bytesFromClients: number;
  bytesToClients: number;
  transactionMs: number;
  queryMs: number;
  waitMs: number;
  serverAssignments: number;
  clientParses: number;
  serverParses: number;
  binds: number;
  errors: number;
}

export class Database {
  config: DatabaseConfig;
  /** Taken out of the configuration: no new transactions. */
  removed = false;
  paused = false;
  /** Texts that some server of this database has prepared without an error. */
  readonly knownStatements = new WeakSet<object>();
  readonly counters: DatabaseCounters = {
    transactions: 0,
    queries: 0,
    bytesFromClients: 0,
    bytesToClients: 0,
    transactionMs: 0,
    queryMs: 0,
    waitMs: 0,
    serverAssignments: 0,
    clientParses: 0,
    serverParses: 0,
    binds: 0,
    errors: 0,
  };
  /** Null: every statement has a server for itself. */
  multiplex: Multiplex | null = null;
  readonly multiplexCounters: MultiplexCounters = createMultiplexCounters();
  readonly #context: PoolContext;
  readonly #pools = new Map<string, HostPool>();
  /** The same by what sessions come with: no key is made for each query. Empty after a reload. */
  readonly #poolsOf = new Map<HostState, Map<UserConfig, HostPool>>();
  #shards: readonly ShardHosts[] = [];
  #view: ClusterView | null = null;
  #generation = 0;

  constructor(context: PoolContext, config: DatabaseConfig) {
    this.#context = context;
    this.config = config;
    this.configure(config);
  }

  get pools(): IterableIterator<HostPool> {
    return this.#pools.values();
  }

  get shards(): readonly ShardHosts[] {
    return this.#shards;
  }

  /** A single target: nothing to decide when there are no plugins. */
  get singleTarget(): boolean {
    return this.#shards.length === 1 && this.#shards[0]?.replicas.length === 0;
  }

  /** What plugins see of it; the same object until something changes. */
  get view(): ClusterView {
    this.#view ??= {
      name: this.config.name,
      shards: this.#shards.length,
      generation: this.#generation,
      hosts: this.#shards
        .flatMap(({ primary, replicas }) => [primary, ...replicas])
        .map(({ shard, role, address, up }) => ({ shard, role, address, up, lagMs: null })),
    };
    return this.#view;
  }

  /** A reload: hosts that stay as they were keep their connections. */
  configure(config: DatabaseConfig): void {
    const old = new Map(
      this.#shards
        .flatMap(({ primary, replicas }) => [primary, ...replicas])
        .map((host) => [hostKey(host.config, host.shard, host.role), host]),
    );
    const state = (host: HostConfig, shard: number, role: "primary" | "replica"): HostState =>
      old.get(hostKey(host, shard, role)) ?? createHostState(host, shard, role);
    this.config = config;
    this.#configureMultiplex(config.multiplex);
    this.#shards = config.shards.map(({ primary, replicas }, shard) => ({
      primary: state(primary, shard, "primary"),
      replicas: replicas.map((replica) => state(replica, shard, "replica")),
    }));
    this.#poolsOf.clear();
    const present = new Set(this.#shards.flatMap(({ primary, replicas }) => [primary, ...replicas]));
    for (const [key, pool] of this.#pools) {
      if (present.has(pool.options.host)) {
        pool.reconfigure(config.poolSize, this.#maxWaiting, this.multiplex);
      } else {
        this.#pools.delete(key); // first: its waiters go to the new one
        pool.retire();
      }
    }
    this.hostChanged();
  }

  #configureMultiplex(config: MultiplexConfig | null): void {
    if (config === null || this.config.poolMode === "session") this.multiplex = null;
    else if (JSON.stringify(config) !== JSON.stringify(this.multiplex?.config))
      this.multiplex = new Multiplex(config, this.multiplexCounters, this.#context.limits.maxServerStatements);
  }

  owns(host: HostState): boolean {
    return this.#shards.some(({ primary, replicas }) => primary === host || replicas.includes(host));
  }

  /** Something that plugins are told about hosts has changed. */
  hostChanged(): void {
    this.#generation++;
    this.#view = null;
  }

  /** The pool that serves a route for a user now, or why there is none. */
  poolFor(user: ClientUser, route: Route): HostPool | PoolerError {
    if (this.removed) return new PoolerError("UNKNOWN_DATABASE", `database "${this.config.name}" was taken out of the configuration`);
    const shard = this.#shards[route.shard];
    if (shard === undefined) return new PoolerError("UNROUTED", `database "${this.config.name}" has no shard ${route.shard}`);
    if (route.role === "primary" || shard.replicas.length === 0) return this.#pool(user, shard.primary);
    const pools = shard.replicas.map((replica) => this.#pool(user, replica));
    const chosen = chooseReplica(pools.map((pool) => ({ up: pool.options.host.up && pool.usable, load: pool.load })));
    return pools[chosen] ?? this.#pool(user, shard.primary);
  }

  poolByKey(key: string): HostPool | undefined {
    return this.#pools.get(key);
  }

  pause(): void {
    this.paused = true;
    for (const pool of this.pools) pool.pause();
  }

  resume(): void {
    this.paused = false;
    for (const pool of this.pools) pool.resume();
  }

  /** Servers that are lent. */
  get leased(): number {
    let count = 0;
    for (const pool of this.pools) for (const server of pool.servers) if (server.state === "leased") count++;
    return count;
  }

  tick(nowMs: number): void {
    for (const pool of this.pools) pool.tick(nowMs);
  }

  retire(): void {
    this.removed = true;
    this.#poolsOf.clear();
    for (const pool of this.pools) pool.retire();
    this.#pools.clear();
  }

  closeAll(): void {
    for (const pool of this.pools) pool.closeAll();
  }

  /** This worker's part of those who may wait. */
  get #maxWaiting(): number {
    return Math.ceil(this.config.maxWaiting / this.#context.workers);
  }

  #pool(user: ClientUser, host: HostState): HostPool {
    // One object for each client, which would never be met again.
    if (user.serverLogin !== undefined) return this.#poolByName(user, host);
    let byUser = this.#poolsOf.get(host);
    if (byUser === undefined) {
      byUser = new Map();
      this.#poolsOf.set(host, byUser);
    }
    let pool = byUser.get(user);
    if (pool === undefined) {
      pool = this.#poolByName(user, host);
      byUser.set(user, pool);
    }
    return pool;
  }

  #poolByName(user: ClientUser, host: HostState): HostPool {
    const { config } = host;
    const { serverLogin } = user;
    const serverUser = serverLogin?.user ?? config.user ?? user.serverUser ?? user.name;
    // What a plugin vouches for and what is configured do not share connections.
    const key = `${this.config.name}\0${serverUser}\0${host.shard}\0${host.role}\0${host.address}${serverLogin === undefined ? "" : "\0given"}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      const made: HostPool = new HostPool(this.#context, {
        key,
        database: this.config.name,
        user: serverUser,
        credentials: () => (made.login === null ? this.#credentials(user, host.config) : this.#given(user, made.login)),
        host,
        poolSize: this.config.poolSize,
        maxWaiting: this.#maxWaiting,
        multiplex: this.multiplex,
      });
      pool = made;
      if (this.paused) pool.pause();
      this.#pools.set(key, pool);
    }
    if (serverLogin !== undefined) pool.login = serverLogin;
    return pool;
  }

  /** As a plugin said. Without a password the user's own is tried. */
  #given(known: UserConfig, login: ServerLogin): ServerCredentials {
    const user = this.#context.user(known.name) ?? known;
    return { password: login.password ?? user.serverPassword ?? user.password, passThroughKeys: null };
  }

  /** Of the user as it is configured now; `known` serves when it is configured no more and its clients are still there. */
  #credentials(known: UserConfig, host: HostConfig): ServerCredentials {
    const user = this.#context.user(known.name) ?? known;
    return {
      password: host.password ?? user.serverPassword ?? user.password,
      passThroughKeys: this.#context.passThroughKeys.get(user.name) ?? null,
    };
  }
}

function hostKey(host: HostConfig, shard: number, role: string): string {
  return JSON.stringify([shard, role, host]);
}
