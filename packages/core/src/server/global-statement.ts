// A prepared statement as servers know it: one for each distinct (text, parameter types), under a name of the pooler's, shared
// by all clients. A server prepares it when it is first used there.
import { Frontend } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import type { SharedText } from "../session/shared-texts.js";
import type { StatementText } from "../sql/statement.js";
import type { StatementKind } from "./statement-kind.js";

export interface GlobalStatement {
  /** "pooler_17" */
  readonly name: string;
  readonly nameBytes: Buffer;
  readonly sql: Buffer;
  readonly typeOids: readonly number[];
  /** A whole Parse message under the global name. */
  readonly parseMessage: Buffer;
  /** What it returns, by columnsOf(), once a server has said so. */
  columns: string | null;
  /** Its text was read with standard_conforming_strings = on. */
  readonly standardStrings: boolean;
  /** What kind of statement it is, by the table of kinds that was asked last. */
  kind: StatementKind | null;
  kindBy: object | null;
  /** As plugins were shown it last. */
  shown: StatementText | null;
  /** For those who bring the text along each time and share servers: as the table of such texts has it that was asked last. */
  shared: SharedText | null;
}

let lastNumber = 0;

/** The global name that a server's message speaks of. */
export function globalNameIn(message: string): string | null {
  return /"(pooler_\d+)"/.exec(message)?.[1] ?? null;
}

/** `sql` and `typeOids` are kept. Names are never used again within a process. */
export function createGlobalStatement(sql: Buffer, typeOids: readonly number[], standardStrings = true): GlobalStatement {
  const name = `pooler_${++lastNumber}`;
  return {
    name,
    nameBytes: Buffer.from(name),
    sql,
    typeOids,
    parseMessage: parseMessage(name, sql, typeOids),
    columns: null,
    standardStrings,
    kind: null,
    kindBy: null,
    shown: null,
    shared: null,
  };
}

export function parseMessage(name: string, sql: Buffer, typeOids: readonly number[]): Buffer {
  const writer = new MessageWriter(64 + sql.length + 4 * typeOids.length);
  writer.begin(Frontend.PARSE).cstring(name).bytes(sql).byte(0).int16(typeOids.length);
  for (const oid of typeOids) writer.int32(oid);
  return writer.end().toBuffer();
}

/** "stale": the server has something under the name that is of no use. */
type PreparedState = "pending" | "prepared" | "stale";

interface Prepared {
  readonly statement: GlobalStatement;
  state: PreparedState;
  newer: Prepared | null;
  older: Prepared | null;
}

/**
 * The statements that one server has prepared, linked by when they were used last. A statement counts as prepared once its
 * ParseComplete came; until then it is `pending` and good for the batch that it was sent in.
 */
export class PreparedStatements {
  readonly #entries = new Map<GlobalStatement, Prepared>();
  readonly #limit: number;
  #newest: Prepared | null = null;
  #oldest: Prepared | null = null;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** There are more than the server may have. */
  get overfull(): boolean {
    return this.#entries.size > this.#limit;
  }

  /** May a Bind name it? Marks it as used. */
  use(statement: GlobalStatement): boolean {
    const entry = this.#newest?.statement === statement ? this.#newest : this.#entries.get(statement);
    if (entry === undefined || entry.state === "stale") return false;
    this.#touch(entry);
    return true;
  }

  /** Has its ParseComplete come? */
  knows(statement: GlobalStatement): boolean {
    return this.#entries.get(statement)?.state === "prepared";
  }

  /** Its Parse is about to be sent. True: what the server has under the name must be closed before. */
  add(statement: GlobalStatement): boolean {
    const known = this.#entries.get(statement);
    if (known !== undefined) {
      const stale = known.state === "stale";
      known.state = "pending";
      this.#touch(known);
      return stale;
    }
    const entry: Prepared = { statement, state: "pending", newer: null, older: null };
    this.#entries.set(statement, entry);
    this.#link(entry);
    return false;
  }

  markStale(statement: GlobalStatement): void {
    const entry = this.#entries.get(statement);
    if (entry !== undefined) entry.state = "stale";
  }

  confirm(statement: GlobalStatement): void {
    const entry = this.#entries.get(statement);
    if (entry !== undefined) entry.state = "prepared";
  }

  remove(statement: GlobalStatement): void {
    const entry = this.#entries.get(statement);
    if (entry === undefined) return;
    this.#entries.delete(statement);
    this.#unlink(entry);
  }

  clear(): void {
    this.#entries.clear();
    this.#newest = null;
    this.#oldest = null;
  }

  /** Take out the least recently used ones above the limit; the caller closes them on the server before anything else. */
  evict(onEvicted: (statement: GlobalStatement) => void): void {
    while (this.#oldest !== null && this.#entries.size > this.#limit) {
      const { statement } = this.#oldest;
      this.remove(statement);
      onEvicted(statement);
    }
  }

  #touch(entry: Prepared): void {
    if (entry === this.#newest) return;
    this.#unlink(entry);
    this.#link(entry);
  }

  #link(entry: Prepared): void {
    entry.older = this.#newest;
    entry.newer = null;
    if (this.#newest === null) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
  }

  #unlink({ newer, older }: Prepared): void {
    if (newer === null) this.#newest = older;
    else newer.older = older;
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
  }
}

export function writeClose(to: MessageWriter, statement: GlobalStatement): void {
  to.begin(Frontend.CLOSE).byte(0x53 /* S: a statement */).bytes(statement.nameBytes).byte(0).end();
}
