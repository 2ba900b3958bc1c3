// How many clients the whole pooler has, without asking anybody: each worker keeps its own numbers in a page that all of
// them see. The supervisor sets the numbers of a worker that died to 0.
import { writeSync } from "node:fs";
import { mapSharedPage, sharedPageBytes } from "../base/shared-page.js";

/** First half of the page: clients that were admitted, by worker. Second half: connections plus 1 of workers that accept. */
const places = sharedPageBytes / 8;

/** How far a worker may be ahead of the others: so many connections, and an eighth of what they have. */
const leastLead = 2;
const leadPart = 1 / 8;

export interface ClientCounts {
  /** Clients of all workers. */
  readonly total: number;
  /** One more, unless that makes more than `most`. Two workers that take the last place at the same moment may both be refused. */
  add(most: number): boolean;
  remove(): void;
  /** Tells the others how many connections this worker has, logged in or not; null: it accepts no more. */
  tell(connections: number | null): void;
  /** A worker with so many connections has clearly more than its share: another one should take the next. */
  isAhead(connections: number): boolean;
}

/** `fd` null: there is no other worker. `worker`: its number. */
export function openClientCounts(fd: number | null, worker: number): ClientCounts {
  const counts = new Int32Array(fd === null ? new ArrayBuffer(sharedPageBytes) : mapSharedPage(fd));
  const place = worker % places;
  counts[place] = 0;
  counts[places + place] = 0;
  const total = (): number => {
    let sum = 0;
    for (let i = 0; i < places; i++) sum += counts[i] as number;
    return sum;
  };
  return {
    get total() {
      return total();
    },
    add(most) {
      // First the own number, then a look at the others': whoever looks later sees it.
      Atomics.add(counts, place, 1);
      if (total() <= most) return true;
      Atomics.sub(counts, place, 1);
      return false;
    },
    remove() {
      Atomics.sub(counts, place, 1);
    },
    tell(connections) {
      Atomics.store(counts, places + place, connections === null ? 0 : connections + 1);
    },
    isAhead(connections) {
      let others = 0;
      let sum = 0;
      for (let i = places; i < 2 * places; i++) {
        const count = counts[i] as number;
        if (count === 0 || i === places + place) continue;
        others++;
        sum += count - 1;
      }
      if (others === 0) return false;
      const mean = (sum + connections) / (others + 1);
      return connections > mean * (1 + leadPart) + leastLead;
    },
  };
}

/** For the supervisor: the worker is gone, and its clients with it. */
export function clearClientCount(fd: number, worker: number): void {
  for (const half of [0, places]) writeSync(fd, Buffer.alloc(4), 0, 4, (half + (worker % places)) * 4);
}
