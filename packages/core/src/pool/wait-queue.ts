// Who waits, in the order in which they came. Everybody leaves it in the same time, from wherever they stand, and nothing is
// allocated: the links are in those who wait. Knows nothing of pools.

/** Somebody who may wait in one queue at a time. The links are the queue's. */
export interface Queued {
  nextWaiter: this | null;
  previousWaiter: this | null;
}

export class WaitQueue<Waiter extends Queued> implements Iterable<Waiter> {
  #first: Waiter | null = null;
  #last: Waiter | null = null;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Who waits longest. */
  get first(): Waiter | null {
    return this.#first;
  }

  push(waiter: Waiter): void {
    waiter.previousWaiter = this.#last;
    if (this.#last === null) this.#first = waiter;
    else this.#last.nextWaiter = waiter;
    this.#last = waiter;
    this.#length++;
  }

  shift(): Waiter | null {
    const first = this.#first;
    if (first !== null) this.#unlink(first);
    return first;
  }

  /** False: it does not wait here. It must not wait in another queue. */
  remove(waiter: Waiter): boolean {
    if (waiter.previousWaiter === null && this.#first !== waiter) return false;
    this.#unlink(waiter);
    return true;
  }

  /** Takes everybody who waits now: who comes back meanwhile waits anew. */
  takeAll(): Waiter[] {
    const all = [...this];
    for (const waiter of all) this.#unlink(waiter);
    return all;
  }

  *[Symbol.iterator](): Iterator<Waiter> {
    for (let waiter = this.#first; waiter !== null; waiter = waiter.nextWaiter) yield waiter;
  }

  #unlink(waiter: Waiter): void {
    const { nextWaiter: next, previousWaiter: previous } = waiter;
    if (previous === null) this.#first = next;
    else previous.nextWaiter = next;
    if (next === null) this.#last = previous;
    else next.previousWaiter = previous;
    waiter.nextWaiter = null;
    waiter.previousWaiter = null;
    this.#length--;
  }
}
