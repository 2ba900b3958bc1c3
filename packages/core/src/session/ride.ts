// A batch that may share a server with others', from its place in the pool's queue to its answer. Decides which batches may, by what is
// known of the session and the statement; how servers are shared is riding.ts and carriage.ts.
import { invariant, PoolerError } from "../base/errors.js";
import type { HostPool, NoServerCause } from "../pool/host-pool.js";
import { type Multiplex, Refusal } from "../pool/multiplex.js";
import type { WaitingRider } from "../pool/riding.js";
import type { ReadError } from "../protocol/backend.js";
import { Frontend, HEADER_BYTES } from "../protocol/codes.js";
import { type MessageWriter, readInt32 } from "../protocol/message-writer.js";
import type { Carriage, LostHow, Rider } from "../server/carriage.js";
import type { Server } from "../server/server.js";
import type { StatementKind } from "../server/statement-kind.js";
import { Doubt } from "../sql/certain.js";
import type { Batch, Op } from "./batch.js";
import type { BatchRunner } from "./batch-runner.js";
import { parseComplete } from "./dispatch.js";
import { boardBatch, markStale } from "./ride-messages.js";
import type { Session } from "./session.js";
import { noSettings, type Settings } from "./settings.js";

/** The batch's statement may share a server; counts why not. `batch` is planned, or the beginning of one simple query. */
export function findKind(session: Session, batch: Batch, multiplex: Multiplex): StatementKind | null {
  if (session.pinned || session.held !== null || !session.standardStrings || !hasPlainEncoding(session))
    return multiplex.refuse(Refusal.SESSION);
  if (session.settings.limitsTime) return multiplex.refuse(Refusal.TIMEOUT);
  const kind = batch.simple ? queryKind(session, batch, multiplex) : extendedKind(session, batch, multiplex);
  if (kind === null) return multiplex.refuse(Refusal.BATCH);
  const { certainty } = kind;
  if (certainty.doubt !== Doubt.NONE) return multiplex.refuse(refusalOf[certainty.doubt] as number);
  if (certainty.writes && !multiplex.config.writes) return multiplex.refuse(Refusal.WRITE);
  if (kind.runsAlone) multiplex.refuse(kind.isUnknown ? Refusal.UNKNOWN : kind.isSlow ? Refusal.SLOW : Refusal.LARGE);
  return kind;
}

function queryKind({ settings }: Session, batch: Batch, { kinds, texts }: Multiplex): StatementKind {
  const start = batch.start + HEADER_BYTES;
  const end = batch.end - 1;
  // Serializable: what fails at its end would have told that it is complete, where a simple query has not.
  const mayPrepare = texts !== null && !settings.serializable && !speaksOfParameters(settings);
  const text = mayPrepare ? texts.findQuery(batch, start, end, settings.reading) : null;
  return text === null ? kinds.find(batch.buffer, start, end) : text.kind;
}

/** What the client hears has more in it, or less, than what another client has had prepared. */
function speaksOfParameters({ entries }: Settings): boolean {
  return entries.size > 0 && (entries.has("log_parameter_max_length_on_error") || entries.has("client_min_messages"));
}

const refusalOf: readonly number[] = [Refusal.KIND, Refusal.KIND, Refusal.INTO, Refusal.LOCKS, Refusal.FUNCTION, Refusal.EXCLUDED];

const plainEncodings = /^(UTF8|SQL_ASCII|LATIN\d+|WIN\d+|ISO_8859_\d+|KOI8[RU]|EUC_[A-Z]+)$/;

/** Bytes below 0x80 are ASCII wherever they stand. */
function hasPlainEncoding({ encoding }: Session): boolean {
  return encoding === "UTF8" || plainEncodings.test(encoding);
}

/**
 * [Parse] Bind [Describe] Execute Sync, in this order and nothing else: one statement, run once, to its end. Its bytes are checked
 * further than a server of one's own needs: a message that the server cannot read would cost others their connection.
 */
function extendedKind(session: Session, batch: Batch, multiplex: Multiplex): StatementKind | null {
  const { ops, opCount, buffer } = batch;
  if (opCount < 3 || !batch.endsWithSync || batch.refusal !== null || batch.prepareOnly || batch.unverified.length > 0) return null;
  let at = 0;
  let op = ops[at] as Op;
  let parsed: Op | null = null;
  if (op.type === Frontend.PARSE) {
    if (op.statement === null || op.statement.name !== "" || op.local !== null) return null;
    parsed = op;
    op = ops[++at] as Op;
  }
  const { statement } = op;
  if (op.type !== Frontend.BIND || op.portal !== "" || statement === null || !isAsSent(op) || !isWholeBind(session, batch, op)) return null;
  // The unnamed statement that is on a server is somebody else's.
  if (statement.name === "" ? parsed?.statement !== statement : parsed !== null) return null;
  op = ops[++at] as Op;
  if (op.type === Frontend.DESCRIBE) {
    // A plugin may want to know what the client was told.
    if (op.statement !== null ? op.statement !== statement || session.context.router !== null : op.portal !== "") return null;
    if (!isAsSent(op)) return null;
    op = ops[++at] as Op;
  }
  if (op?.type !== Frontend.EXECUTE || op.portal !== "" || op.local !== null || readInt32(buffer, op.restStart) !== 0) return null;
  op = ops[++at] as Op;
  if (op?.type !== Frontend.SYNC || op.end - op.start !== HEADER_BYTES || at !== opCount - 1) return null;
  const { global } = statement.info;
  if (!global.standardStrings) return null;
  if (global.kindBy !== multiplex.kinds || global.kind === null) {
    global.kindBy = multiplex.kinds;
    global.kind = multiplex.kinds.find(global.sql, 0, global.sql.length);
  }
  if (parsed !== null && multiplex.texts !== null && !speaksOfParameters(session.settings))
    batch.text = multiplex.texts.findStatement(global, global.kind);
  return global.kind;
}

/** No plugin made something else of it. */
function isAsSent(op: Op): boolean {
  return op.local === null && op.rewritten === null;
}

function isWholeBind(session: Session, batch: Batch, op: Op): boolean {
  const { bind } = session.context;
  bind.readNames(batch.buffer, op.start + HEADER_BYTES, op.end);
  try {
    bind.readParameters(batch.buffer, op.end, []);
  } catch (error) {
    if (!(error instanceof PoolerError)) throw error;
    return false; // PostgreSQL says what is wrong with it
  }
  return true;
}

export class Ride implements WaitingRider {
  nextWaiter: this | null = null;
  previousWaiter: this | null = null;
  waitingSinceMs = 0;
  carriage: Carriage | null = null;
  cancelWanted = false;
  #kind: StatementKind | null = null;
  #settings: Settings = noSettings;
  #session: Session | null = null;
  #runner: BatchRunner | null = null;
  #batch: Batch | null = null;
  #pool: HostPool | null = null;
  #boardedAtMs = 0;
  /** The client is owed the answer to a Parse that the server has not got. */
  #owesParse = false;

  /** `batch` keeps its own bytes. */
  begin(runner: BatchRunner, batch: Batch, pool: HostPool): void {
    this.#runner = runner;
    this.#session = runner.session;
    this.#batch = batch;
    this.#kind = batch.kind;
    this.#settings = runner.session.settings;
    this.#pool = pool;
    this.cancelWanted = false;
    this.#owesParse = false;
  }

  get kind(): StatementKind {
    return this.#kind as StatementKind;
  }

  get settings(): Settings {
    return this.#settings;
  }

  get id(): number {
    return this.#session?.id ?? 0;
  }

  get queuedBytes(): number {
    return this.#session?.wire.queuedBytes ?? 0;
  }

  get waits(): boolean {
    return this.carriage === null;
  }

  /** The client has the beginning of a message whose end has not come. */
  get insideMessage(): boolean {
    return this.carriage?.isInside(this) === true;
  }

  // --- The pool

  onServer(): void {
    invariant(false, "a rider gets no server for itself");
  }

  onNoServer(error: PoolerError, cause: NoServerCause): void {
    const { runner, session, batch } = this.#end();
    runner.rideRefused(batch, error, cause);
    session.onRideOver();
  }

  // --- The carriage

  onBoard(nowMs: number): void {
    const { counters } = (this.#session as Session).database;
    counters.waitMs += nowMs - this.waitingSinceMs;
    counters.serverAssignments++;
    this.#boardedAtMs = nowMs;
  }

  board(server: Server, out: MessageWriter): void {
    const batch = this.#batch as Batch;
    this.#owesParse = boardBatch(batch, server, out);
    if (batch.preparedAs !== null) (this.#session as Session).database.multiplexCounters.prepared++;
  }

  deliver(buffer: Buffer, start: number, end: number): boolean {
    const session = this.#session as Session;
    if (!this.#owesParse) return session.deliver(buffer, start, end);
    this.#owesParse = false;
    const { reply } = session.context;
    reply.reset().bytes(parseComplete).bytes(buffer, start, end);
    return session.deliver(reply.buffer, 0, reply.length);
  }

  onAnswered(status: number, failed: boolean, nowMs: number): void {
    const boardedAtMs = this.#boardedAtMs;
    const { runner, session, batch } = this.#end();
    runner.rideEnded(batch, status, failed, boardedAtMs, nowMs);
    session.onRideOver();
  }

  get movable(): boolean {
    return !this.kind.certainty.writes && (this.#session as Session).database.config.multiplex?.retryReads !== false;
  }

  onMoved(): Rider {
    const nobody = new Nobody(this.kind, this.#settings);
    const { runner, session, batch } = this.#end();
    runner.rideMoved(batch);
    session.onRideOver();
    return nobody;
  }

  onAgain(): void {
    const { runner, session, batch } = this.#end();
    runner.rideAgain(batch);
    session.onRideOver();
  }

  onLost(error: PoolerError, how: LostHow, broken: boolean): void {
    const { writes } = this.kind.certainty;
    const { runner, session, batch } = this.#end();
    runner.rideLost(batch, error, how, broken, writes);
    session.onRideOver();
  }

  onTooSlow(): void {
    this.#session?.fatal(
      new PoolerError("SERVER_LOST", "the answer was not read while other clients waited for theirs behind it", {
        hint: "Exclude the statement from sharing with multiplex_never.",
      }),
    );
  }

  sendCancel(server: Server): void {
    this.#runner?.sendCancel(server, this.#pool);
  }

  statementName(global: string): string | null {
    return this.#batch?.preparedAs?.name === global ? "" : (this.#session?.statementName(global) ?? null);
  }

  markStale(server: Server, error: ReadError): boolean {
    return markStale(this.#batch as Batch, server, error);
  }

  onNotice(): boolean {
    const { preparedAs, text, simple } = this.#batch as Batch;
    if (preparedAs === null || text === null) return false;
    text.refused = true;
    return simple;
  }

  // --- The client

  /** It wants the statement to stop. True: nothing of it is to come any more. */
  cancel(): boolean {
    if (this.carriage === null) {
      this.#pool?.forget(this);
      return true;
    }
    if (this.carriage.head !== this && this.movable) {
      // It reads, and what comes of it here is for nobody.
      this.carriage.replace(this, new Nobody(this.kind, this.#settings));
      return true;
    }
    return this.carriage.cancel(this);
  }

  /** It is gone. */
  leave(): void {
    const { carriage } = this;
    const pool = this.#pool as HostPool;
    if (carriage === null) {
      pool.forget(this);
    } else if (carriage.replace(this, new Nobody(this.kind, this.#settings)) && carriage.count === 1) {
      carriage.closed = true;
      this.sendCancel(carriage.server);
    }
    const { runner, batch } = this.#end();
    runner.giveBack(batch);
  }

  /** It can take bytes again. */
  resume(): void {
    this.carriage?.resume(this);
  }

  takeBatch(): Batch {
    return this.#end().batch;
  }

  #end(): { readonly runner: BatchRunner; readonly session: Session; readonly batch: Batch } {
    const runner = this.#runner as BatchRunner;
    const session = this.#session as Session;
    const batch = this.#batch as Batch;
    const { rides } = session.context;
    this.carriage = null;
    this.#runner = null;
    this.#session = null;
    this.#batch = null;
    this.#pool = null;
    runner.ride = null;
    rides.giveBack(this);
    return { runner, session, batch };
  }
}

/** For the answer of a client that is gone. */
class Nobody implements Rider {
  readonly id = 0;
  readonly kind: StatementKind;
  readonly settings: Settings;
  readonly queuedBytes = 0;
  cancelWanted = false;
  carriage: Carriage | null = null;

  constructor(kind: StatementKind, settings: Settings) {
    this.kind = kind;
    this.settings = settings;
  }

  readonly movable = false;

  onMoved(): Rider {
    return this;
  }

  onBoard(): void {}

  board(): void {}

  deliver(): boolean {
    return true;
  }

  onAnswered(): void {}

  onAgain(): void {}

  onLost(): void {}

  onTooSlow(): void {}

  sendCancel(): void {}

  statementName(): null {
    return null;
  }

  markStale(): boolean {
    return false;
  }
}

/** Rides that nobody uses. */
export class RideStock {
  readonly #free: Ride[] = [];

  take(): Ride {
    return this.#free.pop() ?? new Ride();
  }

  giveBack(ride: Ride): void {
    if (this.#free.length < 1_024) this.#free.push(ride);
  }
}
