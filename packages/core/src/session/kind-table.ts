// Kinds of statements by normalized text, of one database. Bounded: what was not asked for lately goes. Hot: a hit costs one pass over
// the text, one look-up and one comparison; nothing is allocated.
import { StatementKind } from "../server/statement-kind.js";
import { type CertaintyRules, certaintyOf, Doubt } from "../sql/certain.js";
import { createNormalized, normalize } from "../sql/normalize.js";

const places = 8_192;

/** For texts that are not one statement, or too long. */
const noStatement = new StatementKind(new Uint8Array(0), 0, { doubt: Doubt.KIND, writes: true, relations: null });

export class KindTable {
  readonly #rules: CertaintyRules;
  readonly #limit: number;
  readonly #normalized = createNormalized();
  readonly #places: (StatementKind | null)[] = new Array<StatementKind | null>(places).fill(null);
  #count = 0;
  #hand = 0;

  constructor(rules: CertaintyRules, limit = 4_096) {
    this.#rules = rules;
    this.#limit = limit;
  }

  get size(): number {
    return this.#count;
  }

  /** The kind of the text buffer[start, end), read with standard_conforming_strings = on. */
  find(buffer: Uint8Array, start: number, end: number): StatementKind {
    const normalized = this.#normalized;
    if (!normalize(buffer, start, end, normalized)) return noStatement;
    const { bytes, length, hash } = normalized;
    const place = hash & (places - 1);
    for (let kind = this.#places[place] as StatementKind | null; kind !== null; kind = kind.next) {
      if (kind.hash !== hash || !isSame(kind.key, bytes, length)) continue;
      kind.used = true;
      return kind;
    }
    return this.#add(Buffer.from(bytes.subarray(0, length)), hash, place);
  }

  #add(key: Buffer, hash: number, place: number): StatementKind {
    while (this.#count >= this.#limit) this.#sweep();
    const kind = new StatementKind(key, hash, certaintyOf(key.latin1Slice(), this.#rules));
    kind.next = this.#places[place] as StatementKind | null;
    this.#places[place] = kind;
    this.#count++;
    return kind;
  }

  /** One place further: what was not used since the last time round goes. */
  #sweep(): void {
    const place = this.#hand;
    this.#hand = (place + 1) & (places - 1);
    let kept: StatementKind | null = null;
    for (let kind = this.#places[place] as StatementKind | null; kind !== null; ) {
      const { next } = kind;
      if (kind.used) {
        kind.used = false;
        kind.next = kept;
        kept = kind;
      } else {
        kind.next = null;
        this.#count--;
      }
      kind = next;
    }
    this.#places[place] = kept;
  }
}

function isSame(key: Uint8Array, bytes: Uint8Array, length: number): boolean {
  if (key.length !== length) return false;
  for (let i = 0; i < length; i++) if (key[i] !== bytes[i]) return false;
  return true;
}
