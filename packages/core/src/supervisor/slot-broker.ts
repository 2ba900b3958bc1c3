// Lends server-connection slots to workers, so that a pool's size is the size of the whole pooler. Pure bookkeeping: time
// and messages come in and go out as arguments. Knows nothing of processes.
//
// A slot is a permission to have one server connection open. Giving one back means closing a connection, so slots move
// only when somebody waits, from those who have most, and not in circles (minimumHoldMs).
import type { PoolKey, ToWorker } from "./ipc.js";

export type SlotMessage = Extract<ToWorker, { kind: "slots" | "slotsWanted" }>;

export interface SlotBroker {
  /** Somebody waits for a slot: call tick() now and then. */
  readonly waiting: boolean;
  /** The worker wants one more slot. */
  wanted(worker: number, key: PoolKey, limit: number, nowMs: number): void;
  returned(worker: number, key: PoolKey, count: number, nowMs: number): void;
  /** The worker is gone: its slots are free again, its wishes forgotten. */
  gone(worker: number, nowMs: number): void;
  /** A reload: the pools' sizes by key, null for keys that are no more. */
  resize(limitOf: (key: PoolKey) => number | null, nowMs: number): void;
  tick(nowMs: number): void;
  /** How many slots of the key are lent, to whom. */
  lent(key: PoolKey): ReadonlyMap<number, number>;
}

/** A slot that moved stays where it is for this long, even when the pool is smaller than the number of workers. */
export const minimumHoldMs = 250;

export function createSlotBroker(send: (worker: number, message: SlotMessage) => void): SlotBroker {
  return new Broker(send);
}

interface Holding {
  readonly worker: number;
  lent: number;
  /** Wishes not yet granted. */
  wishes: number;
  /** When the first of them came: who waits longest is served first. */
  waitingSinceMs: number;
  /** When a slot was last lent. */
  grantedAtMs: number;
  /** What this worker was last asked to give back, less what it gave. */
  askedCount: number;
  askedUrgent: boolean;
}

interface Pool {
  limit: number;
  readonly holdings: Map<number, Holding>;
}

class Broker implements SlotBroker {
  readonly #send: (worker: number, message: SlotMessage) => void;
  readonly #pools = new Map<PoolKey, Pool>();

  constructor(send: (worker: number, message: SlotMessage) => void) {
    this.#send = send;
  }

  get waiting(): boolean {
    for (const pool of this.#pools.values()) {
      if (wishesTotal(pool) > 0 || lentTotal(pool) > pool.limit) return true;
    }
    return false;
  }

  wanted(worker: number, key: PoolKey, limit: number, nowMs: number): void {
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = { limit, holdings: new Map() };
      this.#pools.set(key, pool);
    }
    pool.limit = limit;
    let holding = pool.holdings.get(worker);
    if (holding === undefined) {
      holding = { worker, lent: 0, wishes: 0, waitingSinceMs: nowMs, grantedAtMs: nowMs, askedCount: 0, askedUrgent: false };
      pool.holdings.set(worker, holding);
    }
    if (holding.wishes === 0) holding.waitingSinceMs = nowMs;
    holding.wishes += 1;
    this.#settle(key, pool, nowMs);
  }

  returned(worker: number, key: PoolKey, count: number, nowMs: number): void {
    const pool = this.#pools.get(key);
    const holding = pool?.holdings.get(worker);
    if (pool === undefined || holding === undefined) return;
    // More than was lent can only be a worker's mistake; it must not make the pool larger.
    const taken = Math.min(count, holding.lent);
    holding.lent -= taken;
    holding.askedCount = Math.max(0, holding.askedCount - taken);
    this.#settle(key, pool, nowMs);
  }

  gone(worker: number, nowMs: number): void {
    for (const [key, pool] of this.#pools) {
      if (pool.holdings.delete(worker)) this.#settle(key, pool, nowMs);
    }
  }

  resize(limitOf: (key: PoolKey) => number | null, nowMs: number): void {
    for (const [key, pool] of this.#pools) {
      pool.limit = limitOf(key) ?? 0;
      this.#settle(key, pool, nowMs);
    }
  }

  tick(nowMs: number): void {
    for (const [key, pool] of this.#pools) this.#settle(key, pool, nowMs);
  }

  lent(key: PoolKey): ReadonlyMap<number, number> {
    const holdings = this.#pools.get(key)?.holdings ?? new Map<number, Holding>();
    return new Map([...holdings].filter(([, holding]) => holding.lent > 0).map(([worker, holding]) => [worker, holding.lent]));
  }

  /** Lend what is free, then ask for what is missing. */
  #settle(key: PoolKey, pool: Pool, nowMs: number): void {
    for (let free = pool.limit - lentTotal(pool); free > 0; free -= 1) {
      const next = neediest(pool);
      if (next === null) break;
      next.wishes -= 1;
      next.lent += 1;
      next.grantedAtMs = nowMs;
      next.waitingSinceMs = nowMs;
      this.#send(next.worker, { kind: "slots", key, count: 1 });
    }
    const wishes = wishesTotal(pool);
    const excess = lentTotal(pool) - pool.limit;
    const shares = fairShares(pool, nowMs);
    for (const holding of pool.holdings.values()) {
      const share = shares.get(holding.worker) ?? 0;
      if (holding.lent > share && (wishes > 0 || excess > 0)) {
        this.#request(key, holding, holding.lent - share, true);
      } else {
        // Its share is its own, but what lies idle there helps those who wait.
        this.#request(key, holding, Math.min(holding.lent, wishes - holding.wishes), false);
      }
      if (holding.lent === 0 && holding.wishes === 0) pool.holdings.delete(holding.worker);
    }
    if (pool.holdings.size === 0) this.#pools.delete(key);
  }

  #request(key: PoolKey, holding: Holding, count: number, urgent: boolean): void {
    if (holding.askedCount === count && (count === 0 || holding.askedUrgent === urgent)) return;
    holding.askedCount = count;
    holding.askedUrgent = urgent;
    this.#send(holding.worker, { kind: "slotsWanted", key, count, urgent });
  }
}

function lentTotal(pool: Pool): number {
  let total = 0;
  for (const holding of pool.holdings.values()) total += holding.lent;
  return total;
}

function wishesTotal(pool: Pool): number {
  let total = 0;
  for (const holding of pool.holdings.values()) total += holding.wishes;
  return total;
}

/** Who has least comes first; among equals, who waits longest. */
function neediest(pool: Pool): Holding | null {
  let best: Holding | null = null;
  for (const holding of pool.holdings.values()) {
    if (holding.wishes === 0) continue;
    if (best === null || holding.lent < best.lent || (holding.lent === best.lent && holding.waitingSinceMs < best.waitingSinceMs))
      best = holding;
  }
  return best;
}

/**
 * Slots are dealt in rounds, one to everybody who wants that many, until none is left. In the round where they run out,
 * they stay with those who have them: moving one costs a connection. Only in the first round a waiter who has none comes
 * before a holder who has rested on his: with fewer slots than workers they go round.
 */
function fairShares(pool: Pool, nowMs: number): Map<number, number> {
  const shares = new Map<number, number>();
  let left = pool.limit;
  for (let round = 1; left > 0; round += 1) {
    const takers = [...pool.holdings.values()].filter((holding) => holding.lent + holding.wishes >= round);
    if (takers.length === 0) break;
    const rank = (holding: Holding): number => {
      if (holding.lent < round) return 1;
      return round === 1 && nowMs - holding.grantedAtMs >= minimumHoldMs ? 2 : 0;
    };
    takers.sort((a, b) => rank(a) - rank(b) || a.waitingSinceMs - b.waitingSinceMs);
    for (const holding of takers.slice(0, left)) shares.set(holding.worker, round);
    left -= Math.min(left, takers.length);
  }
  return shares;
}
