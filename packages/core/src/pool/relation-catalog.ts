// What a server's catalog says of the relations that statements name: plain tables, or something that runs code of its own (views, rules,
// triggers, policies, foreign tables). Asks over a connection of the pool when a name is new, again from time to time, and when the
// schema may have changed. Names without a schema mean every relation of that name, whatever the search_path.
import type { Clock } from "../base/clock.js";
import type { Logger } from "../base/logger.js";
import { Backend, Frontend, HEADER_BYTES } from "../protocol/codes.js";
import { MessageWriter, readInt32, readUint16 } from "../protocol/message-writer.js";
import { Expect } from "../server/reply-queue.js";
import type { Lessee, Server } from "../server/server.js";
import type { StatementKind } from "../server/statement-kind.js";
import { noSettings } from "../session/settings.js";
import type { Waiter } from "./host-pool.js";

/** What other workers and other ways to the server do to the schema is noticed after this long at most. */
const recheckMs = 10_000;
/** After a question that failed. */
const retryMs = 1_000;
const mostNames = 2_000;

interface Relation {
  readonly reads: boolean;
  readonly writes: boolean;
  /** Equal as long as its columns are. */
  readonly columns: string;
}

/** PostgreSQL's own names need no more; others may be of another encoding, or hold quotes. */
const plainName = /^[ -&(-[\]-~]+$/;

export interface CatalogPool {
  acquire(waiter: Waiter): Server | Error | null;
}

export class RelationCatalog {
  readonly #pool: CatalogPool;
  readonly #clock: Clock;
  readonly #log: Logger;
  #known = new Map<string, Relation>();
  /** Asked for, and not known. */
  #wanted = new Set<string>();
  /** Changes whenever an answer may have. */
  #version = 1;
  /** Of the schema, as far as this worker saw it change; see Multiplex. */
  #schema = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #question: Question | null = null;
  /** Since it was asked last somebody wanted to know. */
  #used = false;

  constructor(pool: CatalogPool, clock: Clock, log: Logger) {
    this.#pool = pool;
    this.#clock = clock;
    this.#log = log;
  }

  /** Are all relations of the statement plain ones? False as long as that is not known; then it is found out. */
  allows(kind: StatementKind, schema: number): boolean {
    if (schema !== this.#schema) this.#forget(schema);
    this.#used = true;
    if (kind.checkedBy === this && kind.checkedAs === this.#version) return kind.isPlain;
    const { relations, writes } = kind.certainty;
    if (relations === null) return false;
    let plain = true;
    let columns = "";
    for (const name of relations) {
      const relation = this.#known.get(name);
      if (relation === undefined) {
        if (!plainName.test(name)) return false;
        this.#wanted.add(name);
        this.#ask();
        return false;
      }
      if (!relation.reads || (writes && !relation.writes)) plain = false;
      columns += `${relation.columns} `;
    }
    kind.checkedBy = this;
    kind.checkedAs = this.#version;
    kind.isPlain = plain;
    kind.columns = columns;
    return plain;
  }

  /** Every so often. */
  tick(nowMs: number): void {
    if (this.#known.size === 0 || nowMs - this.#askedAtMs < recheckMs) return;
    if (this.#used) {
      this.#askAll(nowMs);
    } else if (this.#question === null) {
      // Nobody wants to know: who does later must not be told what was true today.
      this.#known.clear();
      this.#version++;
    }
  }

  #forget(schema: number): void {
    this.#schema = schema;
    for (const name of this.#known.keys()) this.#wanted.add(name);
    this.#known.clear();
    this.#version++;
    this.#askedAtMs = Number.NEGATIVE_INFINITY;
  }

  #ask(): void {
    const nowMs = this.#clock.nowMs();
    if (this.#question !== null || (this.#known.size === 0 && nowMs - this.#askedAtMs < retryMs)) return;
    this.#askAll(nowMs);
  }

  /** One question about everything: what was known before may have changed as well. */
  #askAll(nowMs: number): void {
    if (this.#question !== null) return;
    if (this.#known.size + this.#wanted.size > mostNames) this.#known.clear();
    this.#used = false;
    this.#askedAtMs = nowMs;
    const schema = this.#schema;
    const names = [...new Set([...this.#known.keys(), ...this.#wanted])].slice(0, mostNames);
    this.#wanted.clear();
    const question = new Question(names, (rows) => {
      this.#question = null;
      // Whatever was found is of before.
      if (schema !== this.#schema) return;
      if (rows === null) {
        this.#known.clear();
        this.#version++;
        this.#log.warn({}, "the relations of statements that may share servers could not be looked up; they do not share for now");
        return;
      }
      this.#learn(names, rows);
    });
    this.#question = question;
    const found = this.#pool.acquire(question);
    if (found instanceof Error) question.fail();
    else if (found !== null) question.onServer(found);
  }

  #learn(names: readonly string[], rows: readonly CatalogRow[]): void {
    const known = new Map<string, Relation>();
    for (const name of names) {
      const all = rows.filter(({ relation, schema }) => relation === name || `${schema}.${relation}` === name);
      known.set(name, {
        reads: all.length > 0 && all.every(({ reads }) => reads),
        writes: all.length > 0 && all.every(({ writes }) => writes),
        columns: all
          .map(({ schema, columns }) => `${schema}:${columns}`)
          .sort()
          .join(),
      });
    }
    const isOther = (name: string, { reads, writes, columns }: Relation): boolean => {
      const before = this.#known.get(name);
      return before?.reads !== reads || before.writes !== writes || before.columns !== columns;
    };
    const changed = known.size !== this.#known.size || [...known].some(([name, relation]) => isOther(name, relation));
    this.#known = known;
    if (changed) this.#version++;
  }
}

interface CatalogRow {
  readonly schema: string;
  readonly relation: string;
  readonly reads: boolean;
  readonly writes: boolean;
  readonly columns: string;
}

/** Waits for a server, asks, and lets it go. */
class Question implements Waiter, Lessee {
  nextWaiter: this | null = null;
  previousWaiter: this | null = null;
  waitingSinceMs = 0;
  readonly id = 0;
  readonly kind = null;
  readonly settings = noSettings;
  readonly changesSettings = true;
  readonly passesNotifications = false;
  readonly #names: readonly string[];
  readonly #onAnswer: (rows: readonly CatalogRow[] | null) => void;
  readonly #parts: Buffer[] = [];
  #server: Server | null = null;

  constructor(names: readonly string[], onAnswer: (rows: readonly CatalogRow[] | null) => void) {
    this.#names = names;
    this.#onAnswer = onAnswer;
  }

  fail(): void {
    this.#onAnswer(null);
  }

  onServer(server: Server): void {
    this.#server = server;
    server.lease(this);
    const out = new MessageWriter(1_024).begin(Frontend.QUERY).cstring(questionText(this.#names)).end();
    server.beginUnit(performance.now());
    server.replies.push(Expect.QUERY);
    server.send(out.buffer, 0, out.length);
  }

  onNoServer(): void {
    this.fail();
  }

  deliver(buffer: Buffer, start: number, end: number): boolean {
    this.#parts.push(Buffer.from(buffer.subarray(start, end)));
    return true;
  }

  onReady(_status: number, failed: boolean): void {
    this.#server?.release(performance.now(), false);
    this.#onAnswer(failed ? null : rowsOf(Buffer.concat(this.#parts)));
  }

  onServerLost(): void {
    this.fail();
  }

  onSkipping(): void {}

  onCopyIn(): void {}

  onServerDrain(): void {}

  onParameter(): void {}

  statementName(): null {
    return null;
  }
}

/** The transaction is for the search_path: whoever had the server before may have set another one. */
function questionText(names: readonly string[]): string {
  const list = names.map((name) => `'${name.slice(name.lastIndexOf(".") + 1)}'`).join(",");
  return `BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; SELECT n.nspname, c.relname,
  c.relkind IN ('r','p','m') AND NOT c.relrowsecurity AND NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid
    WHERE i.inhparent = c.oid AND (k.relkind NOT IN ('r','p') OR (k.relkind = 'r' AND k.relhassubclass)))
  AND NOT EXISTS (SELECT FROM pg_partition_tree(c.oid) t JOIN pg_class k ON k.oid = t.relid WHERE k.relkind = 'f'),
  NOT c.relhasrules AND NOT c.relhastriggers
  AND NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid WHERE i.inhparent = c.oid AND (k.relhasrules OR k.relhastriggers))
  AND NOT EXISTS (SELECT FROM pg_partition_tree(c.oid) t JOIN pg_class k ON k.oid = t.relid WHERE k.relhasrules OR k.relhastriggers),
  (SELECT md5(string_agg(concat_ws(' ', a.attname, a.atttypid, a.atttypmod, a.attcollation,
    (SELECT string_agg(e.enumlabel, ' ' ORDER BY e.oid) FROM pg_enum e WHERE e.enumtypid = a.atttypid)), ',' ORDER BY a.attnum))
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind NOT IN ('i','I','S','c','t') AND c.relname IN (${list}); COMMIT`;
}

/** The rows of a simple query's answer, all columns as text. */
function rowsOf(answer: Buffer): CatalogRow[] {
  const rows: CatalogRow[] = [];
  for (let at = 0; at + HEADER_BYTES <= answer.length; at += 1 + readInt32(answer, at + 1)) {
    if (answer[at] !== Backend.DATA_ROW) continue;
    const values: string[] = [];
    let from = at + HEADER_BYTES + 2;
    for (let n = readUint16(answer, at + HEADER_BYTES); n > 0; n--) {
      const length = readInt32(answer, from);
      values.push(length < 0 ? "" : answer.toString("latin1", from + 4, from + 4 + length));
      from += 4 + Math.max(length, 0);
    }
    const [schema = "", relation = "", reads, writes, columns = ""] = values;
    rows.push({ schema, relation, reads: reads === "t", writes: reads === "t" && writes === "t", columns });
  }
  return rows;
}
