// A prepared statement as servers know it: one for each distinct (text, parameter types), under a name of the pooler's, shared
// by all clients. A server prepares it when it is first used there.
import { Frontend } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";

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
}

let lastNumber = 0;

/** The global name that a server's message speaks of. */
export function globalNameIn(message: string): string | null {
  return /"(pooler_\d+)"/.exec(message)?.[1] ?? null;
}

/** `sql` and `typeOids` are kept. Names are never used again within a process. */
export function createGlobalStatement(sql: Buffer, typeOids: readonly number[]): GlobalStatement {
  const name = `pooler_${++lastNumber}`;
  return { name, nameBytes: Buffer.from(name), sql, typeOids, parseMessage: parseMessage(name, sql, typeOids), columns: null };
}

export function parseMessage(name: string, sql: Buffer, typeOids: readonly number[]): Buffer {
  const writer = new MessageWriter(64 + sql.length + 4 * typeOids.length);
  writer.begin(Frontend.PARSE).cstring(name).bytes(sql).byte(0).int16(typeOids.length);
  for (const oid of typeOids) writer.int32(oid);
  return writer.end().toBuffer();
}

/**
 * The statements that one server has prepared, least recently used first. A statement counts as prepared once its
 * ParseComplete came; until then it is `pending` and good for the batch that it was sent in.
 */
export class PreparedStatements {
  /** "stale": the server has something under the name that is of no use. */
  readonly #state = new Map<GlobalStatement, "pending" | "prepared" | "stale">();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#state.size;
  }

  /** May a Bind name it? Marks it as used. */
  use(statement: GlobalStatement): boolean {
    const state = this.#state.get(statement);
    if (state === undefined || state === "stale") return false;
    this.#state.delete(statement);
    this.#state.set(statement, state);
    return true;
  }

  /** Its Parse is about to be sent. True: what the server has under the name must be closed before. */
  add(statement: GlobalStatement): boolean {
    const stale = this.#state.get(statement) === "stale";
    this.#state.delete(statement);
    this.#state.set(statement, "pending");
    return stale;
  }

  markStale(statement: GlobalStatement): void {
    if (this.#state.has(statement)) this.#state.set(statement, "stale");
  }

  confirm(statement: GlobalStatement): void {
    if (this.#state.has(statement)) this.#state.set(statement, "prepared");
  }

  remove(statement: GlobalStatement): void {
    this.#state.delete(statement);
  }

  clear(): void {
    this.#state.clear();
  }

  /** Take out the least recently used ones above the limit; the caller closes them on the server before anything else. */
  evict(onEvicted: (statement: GlobalStatement) => void): void {
    for (const statement of this.#state.keys()) {
      if (this.#state.size <= this.#limit) return;
      this.#state.delete(statement);
      onEvicted(statement);
    }
  }
}

export function writeClose(to: MessageWriter, statement: GlobalStatement): void {
  to.begin(Frontend.CLOSE).byte(0x53 /* S: a statement */).bytes(statement.nameBytes).byte(0).end();
}
