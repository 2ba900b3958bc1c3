// Memory of a worker for what clients have sent and no server has got yet. A large message takes its place before it is read to
// its end; who finds none waits unread, in the order in which they came. Knows nothing of what the messages are.

/** Somebody with a large message of which the rest is not read yet. */
export interface MemoryTaker {
  /** What it waits for is its own now. */
  onRoom(bytes: number): void;
  /** It waited for longer than anybody may. */
  onNoRoom(bytes: number): void;
}

interface Wish {
  readonly bytes: number;
  readonly sinceMs: number;
}

export interface MessageMemoryOptions {
  /** Bytes; may change. */
  readonly limit: () => number;
  readonly nowMs: () => number;
}

export class MessageMemory {
  usedBytes = 0;
  readonly #options: MessageMemoryOptions;
  readonly #wishes = new Map<MemoryTaker, Wish>();
  #serving = false;

  constructor(options: MessageMemoryOptions) {
    this.#options = options;
  }

  /** Those who are not read until there is room. */
  get waiting(): number {
    return this.#wishes.size;
  }

  /** False: it is called when there is room. Whoever comes alone gets what it wants, however large. */
  reserve(taker: MemoryTaker, bytes: number): boolean {
    if (this.#wishes.has(taker)) return false;
    if (this.#wishes.size === 0 && this.#fits(bytes)) {
      this.usedBytes += bytes;
      return true;
    }
    this.#wishes.set(taker, { bytes, sinceMs: this.#options.nowMs() });
    return false;
  }

  /** For what is here already. */
  take(bytes: number): void {
    this.usedBytes += bytes;
  }

  release(bytes: number): void {
    this.usedBytes -= bytes;
    this.#serveSoon();
  }

  /** It left. */
  forget(taker: MemoryTaker): void {
    if (this.#wishes.delete(taker)) this.#serveSoon();
  }

  /** Every so often; `limitMs` 0: they wait for as long as it takes. */
  tick(nowMs: number, limitMs: number): void {
    if (limitMs === 0) return;
    for (const [taker, { bytes, sinceMs }] of this.#wishes) {
      if (nowMs - sinceMs < limitMs) return;
      this.#wishes.delete(taker);
      taker.onNoRoom(bytes);
    }
  }

  #fits(bytes: number): boolean {
    return this.usedBytes === 0 || this.usedBytes + bytes <= this.#options.limit();
  }

  /** Not within the call that gave something back: somebody else's statement is being handled there. */
  #serveSoon(): void {
    if (this.#serving || this.#wishes.size === 0) return;
    this.#serving = true;
    queueMicrotask(() => {
      this.#serving = false;
      for (const [taker, { bytes }] of this.#wishes) {
        if (!this.#fits(bytes)) return;
        this.#wishes.delete(taker);
        this.usedBytes += bytes;
        taker.onRoom(bytes);
      }
    });
  }
}
