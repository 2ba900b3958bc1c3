// The texts of one database that are prepared where they share servers, though clients bring them along each time: simple queries
// by what is left of them without their values, and the texts of unnamed statements. Only what came before has a place, and a
// bounded number of them at a time. Hot: a text that is known costs one pass over it and one comparison; nothing is allocated.
//
//   first time ─▶ its hash is noted      again ─▶ it has a place      from then on ─▶ prepared on each server where it is missing
import { createGlobalStatement, type GlobalStatement } from "../server/global-statement.js";
import type { StatementKind } from "../server/statement-kind.js";
import { Doubt } from "../sql/certain.js";
import {
  createParameterized,
  keepsMeaning,
  keepsMeaningInBatch,
  mostValues,
  type Parameterized,
  parameterize,
} from "../sql/parameterize.js";
import type { Batch } from "./batch.js";
import type { KindTable } from "./kind-table.js";

/** A power of two. */
const places = 1_024;
/** So many hashes of texts that came once are remembered; a power of two. */
const mostNoted = 4_096;
/** When all places are taken, one in so many that find none is reason to look for those that are not in use. */
const turnedAwayPerSweep = 64;
/** Of one text, with different columns of its tables. */
const mostVersions = 4;
/** What is noted of a batch's value. */
export const valueFields = 3;

export class SharedText {
  readonly sql: Buffer;
  readonly hash: number;
  readonly typeOids: readonly number[];
  /** See Settings; null: the text of an unnamed statement, whose owner has looked at that. */
  readonly reading: string | null;
  readonly kind: StatementKind;
  /** The table's: texts with the same place. */
  next: SharedText | null = null;
  /** The table's: asked for since it was looked at last. */
  used = true;
  /** The table has it no more. */
  forgotten = false;
  /** It runs as it came, each time. */
  refused: boolean;
  /** By the columns of its tables: PostgreSQL finds the types of parameters when it prepares, and never again. */
  readonly #byColumns = new Map<string, GlobalStatement>();
  #last: GlobalStatement | null = null;
  #lastColumns = "";

  constructor(sql: Buffer, hash: number, typeOids: readonly number[], reading: string | null, kind: StatementKind) {
    this.sql = sql;
    this.hash = hash;
    this.typeOids = typeOids;
    this.reading = reading;
    this.kind = kind;
    const text = sql.latin1Slice();
    this.refused = kind.certainty.doubt !== Doubt.NONE || !keepsMeaning(text);
    // Without rows there would be one message more in the answer of one that writes.
    if (reading !== null && (kind.certainty.writes || !keepsMeaningInBatch(text))) this.refused = true;
  }

  isQuery({ bytes, length, count, typeOids }: Parameterized, reading: string): boolean {
    const own = this.typeOids;
    if (this.sql.length !== length || own.length !== count || this.reading !== reading) return false;
    for (let i = 0; i < count; i++) if (own[i] !== typeOids[i]) return false;
    for (let i = 0; i < length; i++) if (this.sql[i] !== bytes[i]) return false;
    return true;
  }

  /** To be prepared as this, with the tables as they are. */
  get statement(): GlobalStatement {
    const { columns } = this.kind;
    if (this.#last !== null && this.#lastColumns === columns) return this.#last;
    let statement = this.#byColumns.get(columns);
    if (statement === undefined) {
      if (this.#byColumns.size >= mostVersions) this.#byColumns.clear();
      statement = createGlobalStatement(this.sql, this.typeOids);
      this.#byColumns.set(columns, statement);
    }
    this.#last = statement;
    this.#lastColumns = columns;
    return statement;
  }
}

export class SharedTexts {
  readonly #kinds: KindTable;
  readonly #limit: number;
  readonly #parameterized = createParameterized();
  readonly #places: (SharedText | null)[] = new Array<SharedText | null>(places).fill(null);
  readonly #noted = new Int32Array(mostNoted);
  #count = 0;
  #hand = 0;
  #turnedAway = 0;

  constructor(kinds: KindTable, limit: number) {
    this.#kinds = kinds;
    this.#limit = limit;
  }

  get size(): number {
    return this.#count;
  }

  /**
   * The simple query buffer[start, end), with standard_conforming_strings on: null when it is not known. When it is to be prepared,
   * its values are noted in the batch.
   */
  findQuery(batch: Batch, start: number, end: number, reading: string): SharedText | null {
    const { buffer } = batch;
    const found = this.#parameterized;
    if (!parameterize(buffer, start, end, found)) return null;
    const { bytes, length, count, starts, ends, typeOids } = found;
    let hash = found.hash ^ count;
    for (let i = 0; i < count; i++) hash = Math.imul(hash ^ (typeOids[i] as number), 0x01000193);
    hash ^= hash >>> 15;
    let text = this.#places[hash & (places - 1)] as SharedText | null;
    while (text !== null && !(text.hash === hash && text.isQuery(found, reading))) text = text.next;
    if (text === null) {
      if (!this.#cameBefore(hash) || !this.#hasRoom()) return null;
      const kind = this.#kinds.find(buffer, start, end);
      text = this.#add(new SharedText(Buffer.from(bytes.subarray(0, length)), hash, [...typeOids.subarray(0, count)], reading, kind));
    }
    text.used = true;
    text.kind.used = true;
    if (text.refused) return text;
    batch.text = text;
    batch.values ??= new Int32Array(valueFields * mostValues);
    const { values } = batch;
    for (let i = 0, at = 0; i < count; i++, at += valueFields) {
      values[at] = (starts[i] as number) - batch.start;
      values[at + 1] = (ends[i] as number) - batch.start;
      values[at + 2] = typeOids[i] as number;
    }
    return text;
  }

  /** The text of an unnamed statement, which a batch brings along; null: it is not to be prepared, or not yet. */
  findStatement(global: GlobalStatement, kind: StatementKind): SharedText | null {
    let text = global.shared;
    if (text === null || text.forgotten || text.kind !== kind) {
      const hash = hashOfName(global.name);
      if (!this.#cameBefore(hash) || !this.#hasRoom()) return null;
      text = this.#add(new SharedText(global.sql, hash, global.typeOids, null, kind));
      global.shared = text;
    }
    text.used = true;
    return text.refused ? null : text;
  }

  /** Notes it, too. */
  #cameBefore(hash: number): boolean {
    const slot = hash & (mostNoted - 1);
    if (this.#noted[slot] === hash) return true;
    this.#noted[slot] = hash;
    return false;
  }

  /** Texts that are in use are not driven out by others as often as these come: there may be too many for all. */
  #hasRoom(): boolean {
    if (this.#count < this.#limit) return true;
    if (++this.#turnedAway % turnedAwayPerSweep === 0) this.#sweep();
    return this.#count < this.#limit;
  }

  #add(text: SharedText): SharedText {
    const place = text.hash & (places - 1);
    text.next = this.#places[place] as SharedText | null;
    this.#places[place] = text;
    this.#count++;
    return text;
  }

  /** On to the first that was not used since the last time round, once around at most. */
  #sweep(): void {
    for (let looked = 0; looked < places && this.#count >= this.#limit; looked++) {
      const place = this.#hand;
      this.#hand = (place + 1) & (places - 1);
      let kept: SharedText | null = null;
      for (let text = this.#places[place] as SharedText | null; text !== null; ) {
        const { next } = text;
        if (text.used) {
          text.used = false;
          text.next = kept;
          kept = text;
        } else {
          text.next = null;
          text.forgotten = true;
          this.#count--;
        }
        text = next;
      }
      this.#places[place] = kept;
    }
  }
}

function hashOfName(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}
