// One connection to PostgreSQL after its handshake: who has it, what it still owes, what state it carries.
//
//   idle ──lease()──▶ leased ──release()──▶ idle
//                        │ unknown state, an open transaction, or a cancel on its way
//                        ▼
//                    resetting ──clean──▶ idle          any state ──lost, broken, retired──▶ closed
//
// Knows nothing of sessions beyond the Lessee interface, and of the pool beyond ServerOwner.
import { invariant, PoolerError } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import type { RowHook } from "../plugins/row-hook.js";
import { type ReadError, readError, readParameterStatus } from "../protocol/backend.js";
import { Frontend, HEADER_BYTES, TransactionStatus } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { noSettings, type Settings } from "../session/settings.js";
import type { Wire, WireReader } from "../wire/wire.js";
import { globalNameIn, PreparedStatements, writeClose } from "./global-statement.js";
import { Relay, type RelayTarget } from "./relay.js";
import { Expect, Hide, ReplyQueue } from "./reply-queue.js";
import { RetryUnit } from "./retry-unit.js";
import { RowFront } from "./row-front.js";
import { type FirstStatements, noFirstStatements } from "./set-up-server.js";
import type { UnitTap } from "./unit-tap.js";

/** Who has a server on lease. */
export interface Lessee {
  readonly id: number;
  /** Bytes for the client; the view is valid during the call only. Returns false when the client reads too slowly. */
  deliver(buffer: Buffer, start: number, end: number): boolean;
  /** A ReadyForQuery came. `owed`: more replies are expected. */
  onReady(status: number, failed: boolean, owed: boolean): void;
  /** After an error the server passes over what comes before the next Sync, and that was not sent yet. */
  onSkipping(): void;
  /** The server waits for COPY data. */
  onCopyIn(): void;
  /** What was queued for the server has gone out. */
  onServerDrain(): void;
  /** The server reports a setting of its session. */
  onParameter(name: string, value: string): void;
  /** The client's name (byte for byte) of what servers know as `global`. */
  statementName(global: string): string | null;
  /** The connection is gone; the lease is over. `broken`: in the middle of a message that the client has the beginning of. */
  onServerLost(error: PoolerError, broken: boolean): void;
  /** Are settings expected to change now (SET, or the end of a transaction with SET LOCAL)? */
  readonly changesSettings: boolean;
  readonly passesNotifications: boolean;
  /** Only whoever shares the server: what it reports of its settings is for nobody. */
  readonly hidesParameters?: boolean;
  /** Only whoever shares the server: an error came whose statement is sent again from elsewhere; its ReadyForQuery follows. */
  runsAgain?(error: ReadError): boolean;
  /** A notice came of a statement that is being prepared or bound. True: the statement is sent again, as runsAgain() has it. */
  noticed?(): boolean;
}

export interface ServerOwner {
  /** The server can be lent again, since `nowMs`; null: nobody has looked at the clock. */
  onIdle(server: Server, nowMs: number | null): void;
  onClosed(server: Server, error: PoolerError | null): void;
  /** Its connection is no more, at the other end either: another one may be opened in its place. After onClosed(). */
  onGone(server: Server): void;
  /** The server said something of itself while nobody asked, e.g. in_hot_standby. */
  onServerParameter(server: Server, name: string, value: string): void;
}

export type ServerState = "idle" | "leased" | "resetting" | "closed";

export interface ServerIdentity {
  readonly remoteProcessId: number;
  readonly remoteSecretKey: number;
}

const discardAll = (() => {
  const writer = new MessageWriter(64);
  return writer.begin(Frontend.QUERY).cstring("ROLLBACK").end().begin(Frontend.QUERY).cstring("DISCARD ALL").end().toBuffer();
})();
const rollback = new MessageWriter(32).begin(Frontend.QUERY).cstring("ROLLBACK").end().toBuffer();
const terminate = Buffer.from([Frontend.TERMINATE, 0, 0, 0, 4]);

/** How long a server may take to end its side of a connection; until then it counts as one of its. */
const farewellMs = 2_000;

export class Server implements WireReader, RelayTarget {
  readonly id: number;
  readonly wire: Wire;
  readonly owner: ServerOwner;
  readonly identity: ServerIdentity;
  readonly replies = new ReplyQueue();
  readonly prepared: PreparedStatements;
  readonly retry = new RetryUnit();
  readonly connectedAtMs: number;
  state: ServerState = "idle";
  lessee: Lessee | null = null;
  /** As the last ReadyForQuery said. */
  status: number = TransactionStatus.IDLE;
  /** What SETs have made of the session. */
  settings: Settings = noSettings;
  /** The client statement that the server's unnamed statement stands for, or null. */
  unnamed: object | null = null;
  /** Something may have been left in the session that nobody keeps account of. */
  unknownState = false;
  /** What plugins want to be run whenever the session was reset. */
  first: FirstStatements = noFirstStatements;
  /** In front of the relay while plugins see rows. */
  rows: RowFront | null = null;
  /** Listens while plugins observe. */
  tap: UnitTap | null = null;
  /** "host:port" */
  address = "";
  /** Close when it comes free. */
  retired = false;
  /** Bytes were delivered to the client since the current unit was sent. */
  visible = false;
  idleSinceMs: number;
  requestAtMs = 0;
  #farewell: NodeJS.Timeout | null = null;
  /** Cancel connections that have not ended yet. */
  #cancels = 0;
  #failed = false;
  #paused = false;
  /** The FATAL error that the server said before it closed. */
  #lastWords: PoolerError | null = null;
  /** The error that the client gets in place of the next one, as a whole message. */
  #substituteError: Buffer | null = null;
  /** The first error that was hidden since the last visible reply, as a whole message. */
  #hiddenError: Buffer | null = null;
  readonly #relay: Relay;
  readonly #log: Logger;
  readonly #writer = new MessageWriter(256);

  constructor(options: {
    id: number;
    wire: Wire;
    owner: ServerOwner;
    identity: ServerIdentity;
    statementLimit: number;
    nowMs: number;
    log: Logger;
  }) {
    this.id = options.id;
    this.wire = options.wire;
    this.owner = options.owner;
    this.identity = options.identity;
    this.prepared = new PreparedStatements(options.statementLimit);
    this.connectedAtMs = options.nowMs;
    this.idleSinceMs = options.nowMs;
    this.#relay = new Relay(this.replies, this);
    this.#log = options.log;
  }

  get hidesParameters(): boolean {
    return this.lessee?.hidesParameters === true;
  }

  get passesNotifications(): boolean {
    return this.lessee?.passesNotifications ?? false;
  }

  /** The client has got the beginning of a message whose end has not come. */
  get insideMessage(): boolean {
    return this.#relay.insideMessage;
  }

  get isClosed(): boolean {
    return this.state === "closed";
  }

  get cancelling(): boolean {
    return this.#cancels > 0;
  }

  lease(lessee: Lessee): void {
    invariant(this.state === "idle" && this.replies.empty, "only an idle server is lent");
    this.state = "leased";
    this.lessee = lessee;
    this.retry.forget();
  }

  /** An error came in the unit that runs. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Say something for the lessee. What is expected in return has been put into `replies`. */
  send(buffer: Buffer, start: number, end: number): boolean {
    return this.wire.write(buffer, start, end);
  }

  /** To the relay, past the tap. */
  pass(buffer: Buffer, start: number, end: number): void {
    let at = start;
    const { tap } = this;
    if (tap !== null) {
      // It may have come in the middle of what a server says at any time.
      if (!tap.aligned) while (at < end && !this.#relay.atBoundary) this.#relay.read(buffer, at, ++at);
      tap.aligned = true;
      tap.read(buffer, at, end);
    }
    this.#relay.read(buffer, at, end);
  }

  /** Plugins see rows of the unit at hand. `simple`: of which statements of a simple query; null for extended messages. */
  showRows(simple: readonly (RowHook | null)[] | null): void {
    this.rows ??= new RowFront(this.#relay, this.replies, this);
    this.rows.begin(simple);
  }

  /** Call before the messages of a new unit are sent. */
  beginUnit(nowMs: number): void {
    if (this.rows !== null) {
      if (this.rows.idle) this.rows = null;
      else this.rows.begin(null);
    }
    this.requestAtMs = nowMs;
    this.visible = false;
    this.#failed = false;
    this.#hiddenError = null;
    this.#substituteError = null;
  }

  /** Local replies that were put into the queue while nothing was owed before them. */
  deliverLocalReplies(): void {
    this.#relay.deliverLocal();
  }

  /** The next ErrorResponse reaches the client as this message. */
  substituteError(message: Buffer): void {
    this.#substituteError = message;
  }

  /** Text of the error that a hidden unit ended with, as a whole message; null when there was none. */
  takeHiddenError(): Buffer | null {
    const error = this.#hiddenError;
    this.#hiddenError = null;
    return error;
  }

  /** The client can take bytes again. */
  resumeReading(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.wire.resume();
  }

  /**
   * The lessee is done with it. What it left is cleared before anyone else has it. `halfway`: in the middle of a batch or
   * of a message, whose rest nobody will send.
   */
  release(nowMs: number, halfway: boolean): void {
    invariant(this.state === "leased", "only a leased server is released");
    this.lessee = null;
    this.idleSinceMs = nowMs;
    this.unnamed = null;
    this.resumeReading();
    if (halfway || !this.replies.empty) {
      this.close(null, halfway);
      return;
    }
    if (this.unknownState || this.status !== TransactionStatus.IDLE) {
      this.#reset();
      return;
    }
    this.#becomeIdle(nowMs);
  }

  cancelStarted(): void {
    this.#cancels++;
  }

  cancelEnded(): void {
    this.#cancels--;
    if (this.state === "resetting" && this.replies.empty) this.#becomeIdle(null);
  }

  /** `halfway`: the server waits for the rest of something, so that it would not understand a farewell. */
  close(error: PoolerError | null, halfway = false): void {
    if (this.state === "closed") return;
    this.#closed(error);
    if (error !== null) {
      this.wire.destroy();
    } else if (halfway) {
      this.wire.end();
    } else {
      this.wire.write(terminate, 0, terminate.length);
      this.#farewell = setTimeout(() => this.wire.destroy(), farewellMs);
    }
  }

  // --- Wire

  onBytes(chunk: Buffer, start: number, end: number): void {
    if (this.state === "closed") return;
    try {
      if (this.rows === null && this.tap === null) this.#relay.read(chunk, start, end);
      else if (this.rows === null) this.pass(chunk, start, end);
      else this.rows.read(chunk, start, end);
    } catch (error) {
      if (!(error instanceof PoolerError)) throw error;
      if (this.isClosed) return; // what stands behind the message that ended it is for nobody
      if (error === this.#lastWords) {
        this.close(error);
        return;
      }
      this.#log.error({ server: this.id, error }, "a server broke the protocol; its connection is closed");
      // Not the client's fault: to the client it is a connection that broke.
      this.close(new PoolerError("SERVER_LOST", `the connection to the server was closed: ${error.message}`, { cause: error }));
    }
  }

  onDrain(): void {
    this.lessee?.onServerDrain();
  }

  onClosed(error: Error | null): void {
    if (this.#farewell !== null) clearTimeout(this.#farewell);
    if (this.state !== "closed") {
      this.#closed(
        this.#lastWords ?? new PoolerError("SERVER_LOST", "server closed the connection unexpectedly", { cause: error ?? undefined }),
      );
    }
    this.owner.onGone(this);
  }

  // --- Relay

  deliver(buffer: Buffer, start: number, end: number): void {
    const { lessee } = this;
    if (lessee === null) return;
    this.visible = true;
    if (!lessee.deliver(buffer, start, end) && !this.#paused) {
      this.#paused = true;
      this.wire.pause();
    }
  }

  deliverLocal(reply: Buffer): void {
    const { visible } = this;
    this.deliver(reply, 0, reply.length);
    this.visible = visible; // shows nothing of what the server did
  }

  onReady(status: number): void {
    this.status = status;
    if (this.#failed) this.unnamed = null; // a Parse that was sent after the error was passed over
    if (this.retry.wanted) {
      this.tap?.begin(0);
      this.retry.send(this);
      return;
    }
    const { lessee } = this;
    if (lessee !== null) {
      lessee.onReady(status, this.#failed, !this.replies.empty);
    } else if (this.state === "resetting" && this.replies.empty) {
      if (this.#failed || status !== TransactionStatus.IDLE) {
        this.close(new PoolerError("SERVER_LOST", "the server connection could not be reset"));
        return;
      }
      if (this.unknownState) {
        this.unknownState = false;
        this.settings = noSettings;
        this.prepared.clear();
      }
      this.#becomeIdle(null);
    }
  }

  runsAgain(buffer: Buffer, start: number, end: number): boolean {
    const error = readError(buffer, start + HEADER_BYTES, end);
    if (!this.retry.considers(this, error) && this.lessee?.runsAgain?.(error) !== true) return false;
    this.unnamed = null;
    return true;
  }

  onNotice(): boolean {
    return this.lessee?.noticed?.() === true;
  }

  onError(buffer: Buffer, start: number, end: number, hidden: boolean): boolean {
    this.#failed = true;
    this.unnamed = null;
    if (this.replies.skipping) this.lessee?.onSkipping();
    const fields = readError(buffer, start + HEADER_BYTES, end);
    if (fields.severity === "FATAL" || fields.severity === "PANIC") {
      // Reaches the client through onServerLost. Nothing else will come, and nobody may be given this connection any more.
      this.#lastWords = new PoolerError("SERVER_LOST", fields.message, { sqlstate: fields.sqlstate });
      throw this.#lastWords;
    }
    if (hidden) {
      this.#hiddenError ??= Buffer.from(buffer.subarray(start, end));
      return false;
    }
    const substitute = this.#substituteError ?? this.#hiddenError;
    this.#substituteError = null;
    this.#hiddenError = null;
    if (substitute === null) return !this.#deliverRenamed(buffer, start, end, fields.message);
    this.deliver(substitute, 0, substitute.length);
    return false;
  }

  /** An error that names a statement: the client gave it another name. */
  #deliverRenamed(buffer: Buffer, start: number, end: number, message: string): boolean {
    const global = globalNameIn(message);
    const name = global === null ? null : (this.lessee?.statementName(global) ?? null);
    if (name === null) return false;
    const body = buffer.latin1Slice(start + HEADER_BYTES, end).replace(`"${global}"`, () => `"${name}"`);
    const renamed = Buffer.alloc(HEADER_BYTES + body.length);
    renamed[0] = buffer[start] as number;
    renamed.writeInt32BE(4 + body.length, 1);
    renamed.write(body, HEADER_BYTES, "latin1");
    this.deliver(renamed, 0, renamed.length);
    return true;
  }

  onParameterStatus(buffer: Buffer, start: number, end: number): void {
    const parameter = readParameterStatus(buffer, start + HEADER_BYTES, end);
    if (parameter === null) throw new PoolerError("PROTOCOL_VIOLATION", "the server sent a malformed ParameterStatus");
    this.owner.onServerParameter(this, parameter.name, parameter.value);
    this.lessee?.onParameter(parameter.name, parameter.value);
    // A setting that changes though no SET was seen: some function did it. Nobody else may inherit that.
    if (this.lessee !== null && !this.lessee.changesSettings && parameter.name !== "in_hot_standby") this.unknownState = true;
  }

  onCopyIn(): void {
    this.lessee?.onCopyIn();
  }

  // --- Inside

  #reset(): void {
    this.state = "resetting";
    this.#failed = false;
    if (this.unknownState) {
      this.replies.push(Expect.QUERY, Hide.ALL);
      this.replies.push(Expect.QUERY, Hide.ALL);
      for (const _ of this.first) this.replies.push(Expect.QUERY, Hide.ALL);
      this.send(discardAll, 0, discardAll.length);
      for (const query of this.first) this.send(query, 0, query.length);
    } else {
      this.replies.push(Expect.QUERY, Hide.ALL);
      this.send(rollback, 0, rollback.length);
    }
  }

  #becomeIdle(nowMs: number | null): void {
    if (this.#cancels > 0) {
      // A cancel that is still on its way would hit the next client.
      this.state = "resetting";
      return;
    }
    if (this.retired) {
      this.state = "idle";
      this.close(null);
      return;
    }
    this.state = "idle";
    this.#failed = false;
    this.owner.onIdle(this, nowMs);
  }

  #closed(error: PoolerError | null): void {
    const { lessee } = this;
    this.state = "closed";
    this.lessee = null;
    this.replies.abandon();
    this.owner.onClosed(this, error);
    lessee?.onServerLost(error ?? new PoolerError("SERVER_LOST", "the server connection was closed"), this.#relay.insideMessage);
  }

  /** Statements that must be closed on the server before anything else is sent: writes Close messages. */
  evictStatements(to: MessageWriter): void {
    if (!this.prepared.overfull) return;
    this.prepared.evict((statement) => {
      writeClose(to, statement);
      this.replies.push(Expect.CLOSE, Hide.ALL);
    });
  }

  get writer(): MessageWriter {
    return this.#writer;
  }
}
