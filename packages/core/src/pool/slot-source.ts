// Permission to open server connections. A limit counts for the whole pooler: a worker that is alone owns every slot, one of
// several borrows them from the supervisor.
import type { PoolKey } from "../supervisor/ipc.js";

export interface SlotSource {
  /** One more connection under `key`? False: the slot was asked for, and the pool's onSlots() is called when it comes. */
  take(key: PoolKey, limit: number): boolean;
  /** A connection under `key` is gone. */
  giveBack(key: PoolKey): void;
  /** Slots that nobody here uses go back to where they came from. */
  returnFree(key: PoolKey): void;
}

/** For the only worker. */
export function createLocalSlots(): SlotSource {
  const used = new Map<PoolKey, number>();
  return {
    take(key, limit) {
      const count = used.get(key) ?? 0;
      if (count >= limit) return false;
      used.set(key, count + 1);
      return true;
    },
    giveBack(key) {
      used.set(key, (used.get(key) ?? 1) - 1);
    },
    returnFree() {},
  };
}

export interface BorrowedSlots extends SlotSource {
  /** The supervisor lends `count` more. */
  lent(key: PoolKey, count: number): void;
}

/** For one of several workers: `want` and `giveBack` reach the supervisor. */
export function createBorrowedSlots(channel: {
  want(key: PoolKey, limit: number): void;
  giveBack(key: PoolKey, count: number): void;
}): BorrowedSlots {
  const free = new Map<PoolKey, number>();
  /** Slots that were asked for and have not come. */
  const wanted = new Map<PoolKey, number>();
  return {
    take(key, limit) {
      const count = free.get(key) ?? 0;
      if (count === 0) {
        // One request at a time for each pool: when it comes, the pool asks again.
        if ((wanted.get(key) ?? 0) === 0) {
          wanted.set(key, 1);
          channel.want(key, limit);
        }
        return false;
      }
      free.set(key, count - 1);
      return true;
    },
    giveBack(key) {
      channel.giveBack(key, 1);
    },
    lent(key, count) {
      wanted.set(key, Math.max(0, (wanted.get(key) ?? 0) - count));
      free.set(key, (free.get(key) ?? 0) + count);
    },
    returnFree(key) {
      const count = free.get(key) ?? 0;
      free.delete(key);
      if (count > 0) channel.giveBack(key, count);
    },
  };
}
