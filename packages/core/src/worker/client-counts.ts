// How many clients the whole pooler has, without asking anybody: each worker keeps its own number in a page that all of
// them see. The supervisor sets the number of a worker that died to 0.
import { writeSync } from "node:fs";
import { mapSharedPage, sharedPageBytes } from "../base/shared-page.js";

const places = sharedPageBytes / 4;

export interface ClientCounts {
  /** Clients of all workers. */
  readonly total: number;
  /** One more, unless that makes more than `most`. Two workers that take the last place at the same moment may both be refused. */
  add(most: number): boolean;
  remove(): void;
}

/** `fd` null: there is no other worker. `worker`: its number. */
export function openClientCounts(fd: number | null, worker: number): ClientCounts {
  const counts = new Int32Array(fd === null ? new ArrayBuffer(sharedPageBytes) : mapSharedPage(fd));
  const place = worker % places;
  counts[place] = 0;
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
  };
}

/** For the supervisor: the worker is gone, and its clients with it. */
export function clearClientCount(fd: number, worker: number): void {
  writeSync(fd, Buffer.alloc(4), 0, 4, (worker % places) * 4);
}
