// Which databases are paused, and who waits for them to come to rest. Knows nothing of workers.
import { PoolerError } from "../base/errors.js";

export class Pauses {
  /** null among them: all. */
  readonly databases: ReadonlySet<string | null>;
  readonly #paused = new Set<string | null>();
  /** Told when a pause ends before everything came to rest. */
  readonly #ended = new Map<string | null, Set<() => void>>();

  constructor() {
    this.databases = this.#paused;
  }

  /** Resolves when `rest` does; rejects when the pause ends before. */
  async begin(database: string | null, rest: () => Promise<unknown>): Promise<void> {
    // A pause of everything takes the place of those of single databases: one RESUME must not undo half of it.
    if (database === null) this.#paused.clear();
    this.#paused.add(database);
    let ended: (() => void) | null = null;
    const lifted = new Promise<never>((_, reject) => {
      ended = () => reject(new PoolerError("PAUSED", "RESUME came before everything was at rest"));
      const waiting = this.#ended.get(database) ?? new Set();
      this.#ended.set(database, waiting.add(ended));
    });
    try {
      await Promise.race([rest(), lifted]);
    } finally {
      if (ended !== null) this.#ended.get(database)?.delete(ended);
    }
  }

  /** null: all of them. */
  end(database: string | null): void {
    const lifted = database === null ? [...this.#paused, ...this.#ended.keys()] : [database];
    for (const name of lifted) {
      this.#paused.delete(name);
      for (const ended of this.#ended.get(name) ?? []) ended();
      this.#ended.delete(name);
    }
  }
}
