// What a client sent that is routed and run together: one simple query, or the extended messages up to Sync or Flush. Planned
// in place, in the buffer that the bytes came in; copied only when it has to wait for a server.
import { constants } from "@pooler/plugin-abi";
import { copyBytes } from "../base/copy-bytes.js";
import type { PoolerError } from "../base/errors.js";
import type { ChainAnswers } from "../plugins/chain-answers.js";
import type { RowHook } from "../plugins/row-hook.js";
import type { Route } from "../pool/database.js";
import { Frontend } from "../protocol/codes.js";
import { readInt32 } from "../protocol/message-writer.js";
import { RouteDraft } from "../router/router.js";
import type { GlobalStatement } from "../server/global-statement.js";
import type { StatementKind } from "../server/statement-kind.js";
import type { ClientStatement, StatementInfo } from "./client-statements.js";
import type { ColumnsPromise } from "./columns.js";
import type { Observed } from "./ending.js";
import { inboxBytes } from "./intake.js";
import type { LocalPortal } from "./local-portal.js";
import type { MessageMemory } from "./message-memory.js";
import { noEffects, type SessionEffect } from "./session-effects.js";
import type { SharedText } from "./shared-texts.js";

export interface ReplacedParameters {
  readonly values: readonly (Buffer | null)[];
  readonly formats: readonly number[];
  readonly typeOids: readonly number[];
}

/** Type of an op in place of a message that cannot be run: what stands before it runs, then the server is made to fail. */
export const REFUSED = 0;

/** One message of an extended batch. */
export class Op {
  type = 0;
  /** The message [start, end) in the batch's buffer, header included. */
  start = 0;
  end = 0;
  /** Parse, Bind, Describe and Close of a statement: the client's. */
  statement: ClientStatement | null = null;
  /** Parse, Close of a statement: what the client had under that name. */
  before: ClientStatement | undefined = undefined;
  /** It changed the client's statements, which is taken back when the server never gets to it. */
  changes = false;
  /** Bind: where the part begins that stays as it is under another statement name. Execute: where the row limit is. */
  restStart = 0;
  /** Bind, Describe and Execute of a portal: its name, byte for byte. */
  portal = "";
  /** Bind, Parse, Describe of a statement: what the server is asked with; differs from the client's after a rewrite. */
  global: GlobalStatement | null = null;
  /** What a plugin made of the statement. */
  rewritten: StatementInfo | null = null;
  /** Who decided about it, "" for nobody. */
  plugin = "";
  parameters: ReplacedParameters | null = null;
  /** Start of the result formats, with replaced parameters. */
  resultFormatsStart = 0;
  /** Bind, Describe, Execute, Close of a portal that a plugin answers. */
  localPortal: LocalPortal | null = null;
  /** What the client gets without a server, in place of the server's reply. */
  local: Buffer | null = null;
  /** Bind and Execute: plugins see the rows. */
  rows: RowHook | null = null;
  /** A statement that transaction control answers without a server. */
  held = false;

  clear(): void {
    this.statement = null;
    this.before = undefined;
    this.changes = false;
    this.portal = "";
    this.global = null;
    this.rewritten = null;
    this.plugin = "";
    this.parameters = null;
    this.localPortal = null;
    this.local = null;
    this.rows = null;
    this.held = false;
  }
}

export class Batch {
  buffer: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  /** A simple query (or function call), not extended messages. */
  simple = false;
  endsWithSync = false;
  readonly ops: Op[] = [];
  opCount = 0;
  readonly draft = new RouteDraft();
  route: Route | null = null;
  effects: readonly SessionEffect[] = noEffects.effects;
  /** Leaves something behind that nobody keeps account of: the server is cleaned before anyone else has it. */
  unclear = false;
  /** SET LOCAL and the like are among its statements. */
  setsLocally = false;
  /** The server stays with the client from now on. */
  pins = false;
  /** May write, as far as is known. */
  writes = false;
  /** Statements that plugins observe; null: none of them. */
  observed: Observed[] | null = null;
  /** What was bound last, in case it is refused. */
  lastBound: Observed | null = null;
  /** For each statement of a simple query whether plugins see its rows; null: none of them. */
  rows: (RowHook | null)[] | null = null;
  /** The simple query as plugins made it, without header and NUL. */
  rewritten: Buffer | null = null;
  /** Only Parse and Describe: goes to any primary and leaves a held transaction held. */
  prepareOnly = false;
  /** ... up to a Flush: where the statement runs is known when it is bound. A Sync that the client does not see ends it. */
  endsQuietly = false;
  /** Its statements are being run here: an error comes behind what the reply writer holds. */
  answering = false;
  /** What the client is told at the op REFUSED. */
  refusal: PoolerError | null = null;
  /** Statements that were described and whose columns, as they are now, no server has told yet. */
  readonly unverified: ColumnsPromise[] = [];
  /** The plugins have seen it. */
  shown = false;
  /** What they have answered so far; null: nobody of them waits. */
  answers: ChainAnswers | null = null;
  /** It may share a server with others. */
  kind: StatementKind | null = null;
  /** Its text has come before and is prepared where it shares a server, though the client does not ask for that. */
  text: SharedText | null = null;
  /** ... as this, on the server that it shares. */
  preparedAs: GlobalStatement | null = null;
  /** ... which it was the first to need: its Parse went with the batch. */
  preparedHere = false;
  /** Of a simple query whose text is prepared: where each value begins and ends behind the start of the batch, and its type. */
  values: Int32Array | null = null;
  /** Tables may be others afterwards. */
  changesSchema = false;
  /** Whether it may share was asked. */
  judged = false;
  /** It has shared a server, or tried to: it does not again. */
  rode = false;
  /** Counts for the statistics. */
  parses = 0;
  binds = 0;
  /** Bytes that count as taken from the memory for messages. */
  keptBytes = 0;
  #own: Buffer | null = null;

  begin(buffer: Buffer, start: number, end: number): void {
    this.buffer = buffer;
    this.start = start;
    this.end = end;
    this.simple = false;
    this.endsWithSync = false;
    for (let i = 0; i < this.opCount; i++) this.ops[i]?.clear();
    this.opCount = 0;
    this.draft.reset();
    this.route = null;
    this.effects = noEffects.effects;
    this.unclear = false;
    this.setsLocally = false;
    this.pins = false;
    this.writes = false;
    this.rewritten = null;
    this.rows = null;
    this.observed = null;
    this.lastBound = null;
    this.prepareOnly = false;
    this.endsQuietly = false;
    this.answering = false;
    this.refusal = null;
    if (this.unverified.length > 0) this.unverified.length = 0; // cutting an array costs, also where there is nothing
    this.shown = false;
    this.answers = null;
    this.kind = null;
    this.text = null;
    this.preparedAs = null;
    this.changesSchema = false;
    this.judged = false;
    this.rode = false;
    this.parses = 0;
    this.binds = 0;
  }

  /** Planned once more from the start, with the same answers. */
  beginAgain(): void {
    const { answers } = this;
    this.begin(this.buffer, this.start, this.end);
    this.answers = answers;
  }

  addOp(type: number, start: number, end: number): Op {
    let op = this.ops[this.opCount];
    if (op === undefined) {
      op = new Op();
      this.ops.push(op);
    }
    this.opCount++;
    op.type = type;
    op.start = start;
    op.end = end;
    return op;
  }

  /** The first `count` messages have been answered: the batch begins behind them. */
  dropOps(count: number): void {
    const dropped = this.ops.splice(0, count);
    for (const op of dropped) op.clear();
    this.ops.push(...dropped);
    this.opCount -= count;
    this.start = this.ops[0]?.start ?? this.end;
  }

  /** It has to wait: from now on its bytes are its own. `surrendered`: the buffer that they are in is, too. */
  keep(memory: MessageMemory, surrendered: boolean): void {
    const length = this.end - this.start;
    this.keptBytes = length;
    memory.take(length);
    if (surrendered && length > inboxBytes) {
      this.#own = this.buffer;
      return;
    }
    if (this.#own === null || this.#own.length < length) this.#own = Buffer.allocUnsafe(Math.max(length, 1024));
    copyBytes(this.buffer, this.start, this.end, this.#own, 0);
    const moved = this.start;
    for (let i = 0; i < this.opCount; i++) {
      const op = this.ops[i] as Op;
      op.start -= moved;
      op.end -= moved;
      op.restStart -= moved;
      op.resultFormatsStart -= moved;
    }
    this.buffer = this.#own;
    this.start = 0;
    this.end = length;
  }

  /** Large buffers and many ops are not kept for the next one. */
  get reusable(): boolean {
    return this.ops.length <= 64 && (this.#own === null || this.#own.length <= inboxBytes);
  }
}

/** Batches that nobody uses, for the next who has to wait. */
export class BatchStock {
  readonly #free: Batch[] = [];
  readonly #memory: MessageMemory;

  constructor(memory: MessageMemory) {
    this.#memory = memory;
  }

  take(): Batch {
    return this.#free.pop() ?? new Batch();
  }

  giveBack(batch: Batch): void {
    if (batch.keptBytes > 0) {
      this.#memory.release(batch.keptBytes);
      batch.keptBytes = 0;
    }
    if (batch.reusable && this.#free.length < 256) this.#free.push(batch);
  }
}

export const NEVER_WROTE: number = constants.POOLER_NEVER;

/** Is the last message of the unit a Sync (or a query, which brings its own)? */
export function endsWithSync(buffer: Buffer, start: number, end: number): boolean {
  if (buffer[start] === Frontend.QUERY || buffer[start] === Frontend.FUNCTION_CALL) return true;
  return end - start >= 5 && buffer[end - 5] === Frontend.SYNC && readInt32(buffer, end - 4) === 4;
}
