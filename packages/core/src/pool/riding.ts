// Lets statements that are certain share the servers of one pool: who waits is put behind others when no server is idle, all that came in
// one turn of the event loop in one write for each server. The pool's queue stays the only one; nobody in it is passed over for long.
//
//   the pool's waiters:   S  r  r  X  r      S, X: want a server for themselves     r: may share
//   at the end of a turn: idle servers go to whoever is first; riders fill up those that are lent to riders; for each waiter that wants
//   a server for itself one of them takes nobody more until it is empty
import type { Clock } from "../base/clock.js";
import type { Logger } from "../base/logger.js";
import { Carriage, type CarriageOwner, type Rider } from "../server/carriage.js";
import type { Server } from "../server/server.js";
import type { StatementKind } from "../server/statement-kind.js";
import { type Settings, sameSettings } from "../session/settings.js";
import type { Deferred, WireEngine } from "../wire/wire.js";
import type { Waiter } from "./host-pool.js";
import type { Multiplex } from "./multiplex.js";
import { type CatalogPool, RelationCatalog } from "./relation-catalog.js";
import type { WaitQueue } from "./wait-queue.js";

export type WaitingRider = Waiter & Rider;

/** What it needs of its pool. */
export interface RidingPool extends CatalogPool {
  readonly waiters: WaitQueue<Waiter>;
  readonly idle: readonly Server[];
  readonly paused: boolean;
  /** An idle server, with these settings if there is one. */
  takeIdle(settings: Settings): Server | null;
  /** Idle servers go to those who wait, as far as these do not share. */
  serveWaiters(): void;
  /** It waits no more. */
  boarded(rider: Waiter): void;
  /** Riders have to share though the pool may have more servers. */
  openMore(): void;
  /** Servers that another worker waits for with more right. */
  readonly wantedElsewhere: number;
  /** The server should go as soon as it is idle. */
  isSpent(server: Server, nowMs: number): boolean;
}

/** So many of those who wait are looked at for some that may share. */
const searchDepth = 256;
/** So many of those who wait are looked at for some that want a server for themselves. */
const othersDepth = 64;
/** A client that does not take its answer while others wait behind it is given up after this long. */
const stallLimitMs = 2_000;
/** Reads leave a server whose statement at the head takes longer; see also multiplex_slow. */
const holdUpMs = 100;

export class Riding implements CarriageOwner, Deferred {
  multiplex: Multiplex;
  readonly #pool: RidingPool;
  readonly #engine: WireEngine;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Servers that are lent to riders. */
  readonly #carriages: Carriage[] = [];
  readonly #catalog: RelationCatalog;
  /** A carriage belongs to its server for good. */
  readonly #known = new WeakMap<Server, Carriage>();
  #soon = false;

  constructor(multiplex: Multiplex, pool: RidingPool, engine: WireEngine, clock: Clock, log: Logger) {
    this.multiplex = multiplex;
    this.#pool = pool;
    this.#engine = engine;
    this.#clock = clock;
    this.#log = log;
    this.#catalog = new RelationCatalog(pool, clock, log);
  }

  /** May statements of this kind share servers of this pool? */
  allows(kind: StatementKind): boolean {
    const { config, schema } = this.multiplex;
    return config.relations === "any" || this.#catalog.allows(kind, schema);
  }

  get slowMs(): number {
    return this.multiplex.config.slowMs;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  /** Riders that share a server with one that came before them. */
  get behind(): number {
    let behind = 0;
    for (const { count } of this.#carriages) if (count > 1) behind += count - 1;
    return behind;
  }

  /** Riders that could be taken now. */
  get room(): number {
    const { depth } = this.multiplex.config;
    let room = this.#pool.idle.length * depth;
    for (const { closed, reserved, count, isEmpty } of this.#carriages) if (isEmpty || (!closed && !reserved)) room += depth - count;
    return room;
  }

  /** Riders in flight. */
  get inFlight(): number {
    let inFlight = 0;
    for (const { count } of this.#carriages) inFlight += count;
    return inFlight;
  }

  /** See to those who wait, at the end of this turn: what comes until then is sent together. */
  soon(): void {
    if (this.#soon) return;
    this.#soon = true;
    this.#engine.defer(this);
  }

  onDeferred(): void {
    this.#soon = false;
    const nowMs = this.nowMs();
    this.#releaseEmpty(nowMs);
    if (!this.#pool.paused) {
      this.#openIdle(nowMs);
      this.#fill(nowMs);
    }
    for (const carriage of this.#carriages) carriage.flush();
    this.#pool.openMore();
  }

  onBug(error: unknown): void {
    this.#log.error({ error }, "statements that share servers could not be sent because of a bug");
  }

  /** Every so often: servers that should go, clients that hold up others. */
  tick(nowMs: number): void {
    if (this.multiplex.config.relations === "plain") this.#catalog.tick(nowMs);
    for (const carriage of [...this.#carriages]) {
      if (this.#pool.isSpent(carriage.server, nowMs)) carriage.closed = true;
      // Something is the matter with the statement that runs.
      const hasOthers = this.#carriages.length > 1 || this.#pool.idle.length > 0;
      if (hasOthers && carriage.runsForMs(nowMs) > Math.max(this.slowMs, holdUpMs)) carriage.moveOthers();
      if (carriage.stalledAtMs !== 0 && nowMs - carriage.stalledAtMs >= stallLimitMs) carriage.head?.onTooSlow();
    }
  }

  // --- CarriageOwner

  onEmpty(carriage: Carriage): void {
    const { server } = carriage;
    const first = this.#pool.waiters.first;
    const isWanted = first !== null && first.kind === null;
    // All else that keeps it from going on is looked at when the turn ends.
    if (isWanted || server.unknownState) this.#release(carriage);
    else this.soon();
  }

  onTakenOut(carriage: Carriage, why: string): void {
    this.multiplex.counters.takenOut++;
    this.#log.error({ server: carriage.server.id }, `a server that statements shared was given up: one of them ${why}`);
  }

  onLost(carriage: Carriage): void {
    this.#forget(carriage);
  }

  // --- Inside

  #forget(carriage: Carriage): void {
    const at = this.#carriages.indexOf(carriage);
    if (at >= 0) this.#carriages.splice(at, 1);
  }

  #release(carriage: Carriage): void {
    this.#forget(carriage);
    carriage.release();
  }

  /** Those that the next rider cannot go on with. */
  #releaseEmpty(nowMs: number): void {
    const first = this.#pool.waiters.first;
    for (let i = this.#carriages.length - 1; i >= 0; i--) {
      const carriage = this.#carriages[i] as Carriage;
      if (!carriage.isEmpty) continue;
      const isNeeded = first !== null && !this.#pool.paused && this.#pool.wantedElsewhere === 0;
      if (isNeeded && !this.#pool.isSpent(carriage.server, nowMs)) carriage.reopen();
      else this.#release(carriage);
    }
  }

  /** Idle servers, and those that riders have just left, go to whoever waits longest. */
  #openIdle(nowMs: number): void {
    const { waiters } = this.#pool;
    for (let first = waiters.first; first !== null; first = waiters.first) {
      if (!isRider(first)) {
        if (this.#pool.idle.length === 0) {
          const empty = this.#carriages.find(({ isEmpty }) => isEmpty);
          if (empty === undefined) return;
          this.#release(empty);
        }
        this.#pool.serveWaiters();
        if (waiters.first === first) return;
        continue;
      }
      let carriage = this.#carriages.find((each) => each.isEmpty && each.takes(first, 1)) ?? null;
      if (carriage === null) {
        if (this.#pool.idle.length === 0) {
          // Others' settings: made anew on a server that is idle.
          const empty = this.#carriages.find(({ isEmpty }) => isEmpty);
          if (empty === undefined) return;
          this.#release(empty);
        }
        const server = this.#pool.takeIdle(first.settings);
        if (server === null) return;
        carriage = this.#carriageOf(server);
        carriage.open(first.settings);
        this.#carriages.push(carriage);
      }
      this.#board(carriage, first, nowMs);
    }
    this.#releaseEmpty(nowMs); // nobody is left who needs them
  }

  #carriageOf(server: Server): Carriage {
    let carriage = this.#known.get(server);
    if (carriage === undefined) {
      carriage = new Carriage(this, server);
      this.#known.set(server, carriage);
    }
    return carriage;
  }

  /** No server is idle: riders go behind others. */
  #fill(nowMs: number): void {
    const { waiters } = this.#pool;
    const { depth } = this.multiplex.config;
    const others = this.#countOthers();
    // A server that was lent just now takes as many as fit, whoever else waits: then it takes nobody before those had their turn.
    this.#reserve(others, false);
    let looked = 0;
    for (let waiter = waiters.first; waiter !== null && looked < searchDepth && this.#hasRoom(depth); looked++) {
      const next: Waiter | null = waiter.nextWaiter;
      const carriage = isRider(waiter) ? this.#leastLoaded(waiter, depth) : null;
      if (carriage !== null) this.#board(carriage, waiter as WaitingRider, nowMs);
      waiter = next;
    }
    for (const carriage of this.#carriages) carriage.fresh = false;
    this.#reserve(others, true);
  }

  /** Those who wait for a server that is empty; the first one also when it has settings that no server in use has. */
  #countOthers(): number {
    const { first } = this.#pool.waiters;
    let others = this.#pool.wantedElsewhere;
    let looked = 0;
    for (let waiter = first; waiter !== null && looked < othersDepth; waiter = waiter.nextWaiter, looked++) {
      if (!isRider(waiter) || waiter.kind.runsAlone) others++;
      else if (waiter === first && !this.#carriages.some(({ settings }) => sameSettings(settings, first.settings))) others++;
    }
    return others;
  }

  /** So many of the servers take nobody more: those with the fewest to wait for. */
  #reserve(wanted: number, freshToo: boolean): void {
    let reserved = 0;
    for (const carriage of this.#carriages) if (carriage.reserved) reserved++;
    for (; reserved < wanted; reserved++) {
      let chosen: Carriage | null = null;
      for (const each of this.#carriages)
        if (!each.reserved && (freshToo || !each.fresh) && (chosen === null || each.count < chosen.count)) chosen = each;
      if (chosen === null) return;
      chosen.reserved = true;
    }
    for (const each of this.#carriages) {
      if (reserved <= wanted) return;
      if (!each.reserved) continue;
      each.reserved = false;
      reserved--;
    }
  }

  #leastLoaded(rider: WaitingRider, depth: number): Carriage | null {
    let chosen: Carriage | null = null;
    for (const each of this.#carriages) {
      if (!each.reserved && each.takes(rider, depth) && (chosen === null || each.count < chosen.count)) chosen = each;
    }
    return chosen;
  }

  #hasRoom(depth: number): boolean {
    for (const each of this.#carriages) if (!each.closed && !each.reserved && each.count < depth) return true;
    return false;
  }

  #board(carriage: Carriage, rider: WaitingRider, nowMs: number): void {
    const { counters } = this.multiplex;
    if (carriage.count > 0) counters.behind++;
    this.#pool.boarded(rider);
    carriage.take(rider, nowMs);
  }
}

function isRider(waiter: Waiter): waiter is WaitingRider {
  return waiter.kind !== null;
}
