// Batch runners for whoever needs one now, and a look at those who have one: at rest a session has none, so that nothing that has
// to be done for sessions in the middle of something costs anything for all the others.
import { BatchRunner } from "./batch-runner.js";
import type { Session } from "./session.js";

/** So many are kept though nobody uses them. */
const mostFree = 256;

export class RunnerStock {
  readonly #free: BatchRunner[] = [];
  /** Lent and free ones, and those of sessions that have ended since the last tick. */
  #all: BatchRunner[] = [];

  take(session: Session): BatchRunner {
    const free = this.#free.pop();
    if (free !== undefined) {
      free.begin(session);
      return free;
    }
    const made = new BatchRunner(session);
    this.#all.push(made);
    return made;
  }

  /** Not for sessions that end: whoever is running then may still be in the middle of a call. */
  giveBack(runner: BatchRunner): void {
    runner.end();
    this.#free.push(runner);
  }

  /** Every so often: has any session been in the middle of something for too long? */
  tick(nowMs: number): void {
    const lent = this.#all.filter((runner) => runner.lent && runner.session.state !== "closed");
    if (this.#free.length > mostFree) this.#free.length = mostFree;
    this.#all = [...lent, ...this.#free];
    for (const runner of lent) if (runner.lent) runner.session.tick(nowMs, runner.sinceMs);
  }
}
