// The composition root of the data plane: one process that accepts clients and owns its server connections.
import type { PassThroughKeys } from "../auth/scram.js";
import { createSecretCache, type SecretCache } from "../auth/secret-cache.js";
import { createClock } from "../base/clock.js";
import { PoolerError } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import type { PoolerConfig, UserConfig } from "../config/types.js";
import { Database } from "../pool/database.js";
import type { PoolContext } from "../pool/host-pool.js";
import { type BorrowedSlots, createBorrowedSlots, createLocalSlots } from "../pool/slot-source.js";
import { Router } from "../router/router.js";
import { ClientHooks } from "../session/client-hooks.js";
import { createSessionScratch, type SessionContext } from "../session/context.js";
import { MessageMemory } from "../session/message-memory.js";
import { inheritedFds, type OutOfService, type WorkerBoot } from "../supervisor/ipc.js";
import { poolerVersion } from "../supervisor/version.js";
import { createWireEngine } from "../wire/engine.js";
import type { Listener, WireEngine } from "../wire/wire.js";
import { type ClientCounts, openClientCounts } from "./client-counts.js";
import { Clients } from "./clients.js";
import type { WorkerLink } from "./link.js";
import type { WorkerPlugins } from "./plugins.js";
import { startedAtMs, takeSnapshot } from "./snapshot.js";

/** How often timeouts are looked at. */
const tickMs = 100;

export async function startWorker(boot: WorkerBoot, link: WorkerLink, log: Logger, exit: (code: number) => void): Promise<void> {
  const clock = createClock();
  const plugins =
    boot.config.plugins.length === 0
      ? null
      : await (await import("./plugins.js")).createWorkerPlugins(
          boot.config,
          boot.worker,
          inheritedFds.crashPage,
          clock,
          log,
          new Set(boot.outOfService.map(({ plugin }) => plugin)),
        );
  if (plugins !== null) {
    process.once("exit", (code) => plugins.onExit(code));
    process.once("uncaughtExceptionMonitor", (error) => {
      // What Node says of it comes after "exit".
      if (plugins.chain.running > 0) log.error({ error }, "the worker ends because of a bug");
    });
  }
  const worker = new Worker(boot, link, log, plugins, exit);
  worker.listen();
  link.onOrders(worker.orders);
  link.onDisconnect(() => worker.drain());
  link.send({ kind: "ready", io: worker.io });
}

class Worker {
  readonly #boot: WorkerBoot;
  readonly #link: WorkerLink;
  readonly #log: Logger;
  readonly #plugins: WorkerPlugins | null;
  readonly #exit: (code: number) => void;
  readonly #databases = new Map<string, Database>();
  readonly #context: SessionContext;
  readonly #pools: PoolContext;
  readonly #clients: Clients;
  readonly #counts: ClientCounts;
  readonly #borrowed: BorrowedSlots | null;
  readonly #secrets: SecretCache = createSecretCache();
  readonly #totals = { serversOpened: 0, serversLost: 0 };
  #users: ReadonlyMap<string, UserConfig>;
  #listeners: Listener[] = [];
  #lastServer = 0;
  #pausedAll = false;
  #exiting = false;
  /** The supervisor knows that a plugin answers nobody any more. */
  #exhausted = false;

  constructor(boot: WorkerBoot, link: WorkerLink, log: Logger, plugins: WorkerPlugins | null, exit: (code: number) => void) {
    const { config } = boot;
    this.#boot = boot;
    this.#link = link;
    this.#log = log;
    this.#plugins = plugins;
    this.#exit = exit;
    const clock = createClock();
    const engine = createWireEngine(config.io, log);
    engine.keepTime(clock);
    if (plugins?.chain.usesThreads === true) engine.lookElsewhere(() => plugins.chain.running > 0);
    const passThroughKeys = new Map<string, PassThroughKeys>();
    const hooks = plugins?.chain.hooks ?? null;
    this.#borrowed = !boot.shares
      ? null
      : createBorrowedSlots({
          want: (key, limit) => link.send({ kind: "slotsWanted", key, limit }),
          giveBack: (key, count) => link.send({ kind: "slotsReturned", key, count }),
        });
    this.#pools = {
      workers: config.workers,
      engine,
      clock,
      log,
      slots: this.#borrowed ?? createLocalSlots(),
      secrets: this.#secrets,
      passThroughKeys,
      hooks: hooks?.seesServers ? hooks : null,
      user: (name) => this.#users.get(name),
      limits: config.limits,
      timeouts: config.timeouts,
      nextServerId: () => ++this.#lastServer,
      onHostChanged: (host) => {
        for (const database of this.#databases.values()) if (database.owns(host)) database.hostChanged();
      },
      totals: this.#totals,
    };
    this.#users = usersByName(config);
    this.#secrets.prepare(config.users);
    this.#context = {
      config,
      engine,
      clock,
      log,
      refusal: refusalOf(config, boot.outOfService),
      // Who only watches statements end must know them, too.
      router: plugins !== null && (plugins.chain.routes || hooks?.seesEnds) ? new Router(plugins.chain) : null,
      statements: plugins?.statements ?? null,
      hooks,
      clientHooks: hooks?.seesClients ? new ClientHooks(hooks, clock) : null,
      ...createSessionScratch(
        config,
        new MessageMemory({ limit: () => this.#context.config.limits.maxBufferedBytes, nowMs: () => clock.nowMs() }),
      ),
      passThroughKeys,
      totals: { clientsAccepted: 0, clientsRefused: 0, loginFailures: 0, cancelsReceived: 0, cancelsSent: 0 },
      database: (name) => this.#databases.get(name),
      user: (name) => this.#users.get(name),
    };
    for (const database of config.databases) this.#databases.set(database.name, new Database(this.#pools, database));
    this.#counts = openClientCounts(boot.shares ? inheritedFds.firstListener + boot.listeners : null, boot.worker);
    this.#clients = new Clients({
      context: this.#context,
      worker: boot.worker,
      counts: this.#counts,
      version: poolerVersion(),
      secrets: this.#secrets,
      runConsole: (user, sql) => link.requestConsole(user.name, user.console === "admin", sql),
      onForeignCancel: (processId, secretKey) => (boot.shares ? link.requestCancel(processId, secretKey) : null),
    });
    const tick = (): void => {
      const nowMs = clock.nowMs();
      for (const database of this.#databases.values()) database.tick(nowMs);
      this.#context.runners.tick(nowMs);
      this.#clients.tick(nowMs);
      this.#lookForExhausted();
      this.#context.memory.tick(nowMs, this.#context.config.timeouts.queryWaitMs);
      if (this.#listeners.length > 0) this.#counts.tell(this.#clients.connections);
      clock.setTimer(tickMs, tick).unref();
    };
    clock.setTimer(tickMs, tick).unref();
  }

  get io(): WireEngine["name"] {
    return this.#context.engine.name;
  }

  listen(): void {
    this.#counts.tell(0);
    for (let i = 0; i < this.#boot.listeners; i++) {
      this.#listeners.push(
        this.#context.engine.listen(inheritedFds.firstListener + i, (wire) => this.#clients.accept(wire), this.#leavesToOthers),
      );
    }
  }

  /** Does another worker with fewer connections accept? */
  readonly #leavesToOthers = (): boolean => {
    if (!this.#boot.shares) return false;
    const { connections } = this.#clients;
    this.#counts.tell(connections);
    return this.#counts.isAhead(connections);
  };

  get orders(): Parameters<WorkerLink["onOrders"]>[0] {
    return {
      configure: ({ id, config }) => {
        const refusal = this.#plugins?.reload(this.#context.config, config) ?? null;
        if (refusal === null) this.#configure(config);
        this.#link.send({ kind: "configured", id, error: refusal });
      },
      snapshot: ({ id, detail }) => {
        const snapshot = takeSnapshot(
          {
            worker: this.#boot.worker,
            startedAtMs,
            context: this.#context,
            clients: this.#clients,
            databases: this.#databases.values(),
            chain: this.#plugins?.chain ?? null,
            poolTotals: this.#totals,
          },
          detail,
        );
        this.#link.send({ kind: "snapshot", id, snapshot });
      },
      pause: ({ id, database }) => this.#pause(id, database),
      resume: ({ id, database }) => {
        if (database === null) this.#pausedAll = false;
        for (const each of this.#named(database)) each.resume();
        this.#link.send({ kind: "done", id });
      },
      retire: ({ id }) => this.#retire(id),
      drain: ({ deadlineMs }) => this.drain(deadlineMs),
      outOfService: ({ plugins }) => {
        // What was never loaded cannot be put in service again.
        const out = [...this.#boot.outOfService, ...plugins];
        this.#context.refusal = refusalOf(this.#context.config, out);
        this.#plugins?.chain.serve((position) => !out.some(({ plugin, action }) => plugin === position && action === "disable"));
      },
      cancel: ({ id, processId, secretKey }) => {
        const over = this.#clients.cancelHere(processId, secretKey) ?? Promise.resolve();
        void over.then(() => this.#link.send({ kind: "done", id }));
      },
      slots: ({ key, count }) => {
        this.#borrowed?.lent(key, count);
        const pool = this.#pool(key);
        if (pool === undefined) this.#borrowed?.returnFree(key);
        else pool.onSlots();
      },
      slotsWanted: ({ key, count, urgent }) => this.#pool(key)?.giveUp(count, urgent),
    };
  }

  /** A plugin whose calls all hang answers nobody any more; another worker has threads of its own. */
  #lookForExhausted(): void {
    const { pluginCallMs } = this.#context.config.timeouts;
    if (this.#plugins === null || this.#exhausted || pluginCallMs === 0) return;
    for (const { plugin, hook } of this.#plugins.chain.stuckFor(pluginCallMs)) {
      this.#exhausted = true;
      this.#link.send({ kind: "exhausted", plugin, hook });
      return;
    }
  }

  /** Stop accepting, serve who is there for as long as they stay, then exit. */
  #retire(id: number): void {
    this.#stopAccepting();
    this.#link.send({ kind: "done", id });
    this.#clients.onEmpty = () => this.#end();
    this.#clients.retire();
  }

  #stopAccepting(): void {
    for (const listener of this.#listeners.splice(0)) listener.close();
    this.#counts.tell(null);
  }

  /** Stop accepting, let transactions end, then exit; at the deadline (0: none) whoever is left is closed. */
  drain(deadlineMs = this.#context.config.timeouts.drainMs): void {
    this.#stopAccepting();
    this.#clients.onEmpty = () => this.#end();
    this.#clients.drain();
    if (deadlineMs > 0) this.#context.clock.setTimer(deadlineMs, () => this.#end());
  }

  #end(): void {
    if (this.#exiting) return;
    this.#exiting = true;
    this.#clients.closeAll();
    for (const database of this.#databases.values()) database.closeAll();
    this.#plugins?.destroy();
    this.#link.close();
    // What was written last, farewells to servers among it, goes out first.
    setImmediate(() => setImmediate(() => this.#exit(0)));
  }

  #configure(config: PoolerConfig): void {
    this.#context.config = config;
    this.#pools.limits = config.limits;
    this.#pools.timeouts = config.timeouts;
    this.#users = usersByName(config);
    this.#secrets.prepare(config.users);
    const names = new Set(config.databases.map(({ name }) => name));
    for (const [name, database] of this.#databases) {
      if (names.has(name)) continue;
      database.retire();
      this.#databases.delete(name);
    }
    for (const database of config.databases) {
      const known = this.#databases.get(database.name);
      if (known !== undefined) known.configure(database);
      else {
        const added = new Database(this.#pools, database);
        if (this.#pausedAll) added.pause();
        this.#databases.set(database.name, added);
      }
    }
    this.#log.setLevel(config.log.level);
  }

  #pause(id: number, name: string | null): void {
    if (name === null) this.#pausedAll = true;
    const databases = this.#named(name);
    for (const database of databases) database.pause();
    const check = (): void => {
      if (databases.every((database) => database.leased === 0 || !database.paused)) this.#link.send({ kind: "done", id });
      else this.#context.clock.setTimer(20, check);
    };
    check();
  }

  #named(name: string | null): Database[] {
    if (name === null) return [...this.#databases.values()];
    const database = this.#databases.get(name);
    return database === undefined ? [] : [database];
  }

  #pool(key: string): ReturnType<Database["poolByKey"]> {
    for (const database of this.#databases.values()) {
      const pool = database.poolByKey(key);
      if (pool !== undefined) return pool;
    }
    return undefined;
  }
}

/** What clients are told instead of going past a plugin that must be asked. */
function refusalOf(config: PoolerConfig, out: readonly OutOfService[]): PoolerError | null {
  const guard = out.find(({ action }) => action === "refuse");
  if (guard === undefined) return null;
  const name = config.plugins[guard.plugin]?.name ?? "";
  return new PoolerError("PLUGIN_OUT_OF_SERVICE", `plugin "${name}" is out of service: ${guard.reason}`, {
    hint: "The pooler goes on when its administrator has mended the plugin and reloads the configuration.",
  });
}

function usersByName(config: PoolerConfig): ReadonlyMap<string, UserConfig> {
  return new Map(config.users.map((user) => [user.name, user]));
}
