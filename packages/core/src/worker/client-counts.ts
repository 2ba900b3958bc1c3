// How many clients the whole pooler has, without asking anybody: each worker keeps its own number in a page that all of
// them see. The supervisor sets the number of a worker that died to 0.
import { writeSync } from "node:fs";
import { mapSharedPage, sharedPageBytes } from "../base/shared-page.js";

const places = sharedPageBytes / 4;

export interface ClientCounts {
  /** Clients of all workers. */
  readonly total: number;
  add(): void;
  remove(): void;
}

/** `fd` null: there is no other worker. `worker`: its number. */
export function openClientCounts(fd: number | null, worker: number): ClientCounts {
  const counts = new Int32Array(fd === null ? new ArrayBuffer(sharedPageBytes) : mapSharedPage(fd));
  const place = worker % places;
  counts[place] = 0;
  return {
    get total() {
      let sum = 0;
      for (let i = 0; i < places; i++) sum += counts[i] as number;
      return sum;
    },
    add() {
      counts[place] = (counts[place] as number) + 1;
    },
    remove() {
      counts[place] = (counts[place] as number) - 1;
    },
  };
}

/** For the supervisor: the worker is gone, and its clients with it. */
export function clearClientCount(fd: number, worker: number): void {
  writeSync(fd, Buffer.alloc(4), 0, 4, (worker % places) * 4);
}
