// What is known of all statements that differ in nothing but values: whether they may share a server with others, how long they take
// and how much they answer. Knows no texts but as bytes, and nothing of sessions. Hot: nothing is allocated per run.
import type { Certainty } from "../sql/certain.js";

/** So often a kind runs with nobody behind it before it is known. */
const unknownRuns = 3;
/** Of so many recent runs a tenth may be slow or large. */
const memoryRuns = 16;
const mostSlow = 0.1;

export class StatementKind {
  /** The normalized text. */
  readonly key: Uint8Array;
  readonly hash: number;
  readonly certainty: Certainty;
  /** The table's: kinds with the same place. */
  next: StatementKind | null = null;
  /** The table's: asked for since it was looked at last. */
  used = true;
  /** Whoever checked its relations, and when; the pool's. */
  checkedBy: object | null = null;
  checkedAs = 0;
  /** What came of it. */
  isPlain = false;
  /** The columns of its relations then: equal as long as they are. */
  columns = "";
  #runs = 0;
  #slow = 0;
  #large = 0;

  constructor(key: Uint8Array, hash: number, certainty: Certainty) {
    this.key = key;
    this.hash = hash;
    this.certainty = certainty;
  }

  get isUnknown(): boolean {
    return this.#runs < unknownRuns;
  }

  /** More than a tenth of the recent runs were slow. */
  get isSlow(): boolean {
    return this.#slow > mostSlow;
  }

  get isLarge(): boolean {
    return this.#large > mostSlow;
  }

  /** Nobody may be behind it, and it waits behind nobody. */
  get runsAlone(): boolean {
    return this.#runs < unknownRuns || this.#slow > mostSlow || this.#large > mostSlow;
  }

  ran(slow: boolean, large: boolean): void {
    if (this.#runs < unknownRuns) this.#runs++;
    // A running share of the last runs: above a tenth, the nine fastest of ten are not all fast.
    this.#slow += ((slow ? 1 : 0) - this.#slow) / memoryRuns;
    this.#large += ((large ? 1 : 0) - this.#large) / memoryRuns;
  }
}
