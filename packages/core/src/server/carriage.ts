// A server that several clients' statements share: written one behind the other, answered one after the other, each answer to the one
// who asked. Holds the lease; knows those who ride on it by an interface, and nothing of pools and sessions.
//
//   empty ──take──▶ [preparing ──settings are made──▶] riding: head … last ──last answer──▶ empty ──release──▶ (the server is the pool's)
//
// Whatever shows that a statement was not what it seemed (a transaction is open, a setting has changed) ends the connection: what was
// answered behind it is not to be trusted, so nobody gets it.
import { PoolerError } from "../base/errors.js";
import type { ReadError } from "../protocol/backend.js";
import { Frontend, TransactionStatus } from "../protocol/codes.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { type Settings, sameSettings, settingsDifference } from "../session/settings.js";
import { Expect, Hide } from "./reply-queue.js";
import type { Lessee, Server } from "./server.js";
import type { StatementKind } from "./statement-kind.js";

/** How a ride ended without its answer. */
export type LostHow =
  /** It was the one that ran. */
  | "running"
  /** Nothing of its answer has come; it may have run. */
  | "unanswered"
  /** Nothing of it took effect. */
  | "undone";

/** One statement (or batch with one) of one client. */
export interface Rider {
  /** The client's. */
  readonly id: number;
  readonly kind: StatementKind;
  readonly settings: Settings;
  /** The client wants it cancelled. */
  cancelWanted: boolean;
  /** Bytes of its answer that the client has not taken. */
  readonly queuedBytes: number;
  carriage: Carriage | null;
  /** It reads only, and may be sent to another server as well: its answer from this one is for nobody. */
  readonly movable: boolean;
  /** It is on a server; written when the turn ends. */
  onBoard(nowMs: number): void;
  /** Write its messages; what they are owed goes into the server's replies, with one ReadyForQuery. */
  board(server: Server, out: MessageWriter): void;
  /** Bytes for the client; false when it reads too slowly. */
  deliver(buffer: Buffer, start: number, end: number): boolean;
  onAnswered(status: number, failed: boolean, nowMs: number): void;
  /** Nothing of it has taken effect and nothing was shown: it is to run again, by itself. */
  onAgain(): void;
  /** It is to go elsewhere. Returns who takes its answer here. */
  onMoved(): Rider;
  /** `broken`: the client has the beginning of a message whose end will not come. */
  onLost(error: PoolerError, how: LostHow, broken: boolean): void;
  /** The client is too slow for those behind it. */
  onTooSlow(): void;
  /** Nobody else can be hit by a cancel request. */
  sendCancel(server: Server): void;
  statementName(global: string): string | null;
  /** Does the error say that a prepared statement of it is of no use on this server? Then it is prepared anew next time. */
  markStale(server: Server, error: ReadError): boolean;
  /** The server has something to say of its statement while it is prepared or bound. True: it is to run once more, as it came. */
  onNotice?(): boolean;
}

export interface CarriageOwner {
  /** How long a statement may take before it counts as slow. */
  readonly slowMs: number;
  nowMs(): number;
  /** The last answer came. */
  onEmpty(carriage: Carriage): void;
  onTakenOut(carriage: Carriage, why: string): void;
  /** The connection is gone. */
  onLost(carriage: Carriage): void;
}

/** Larger answers are kept from sharing. */
const largeBytes = 64 * 1024;
/** With others behind it so much of an answer is kept for a client that reads slowly; beyond it all wait, for a while. */
const patienceBytes = 1024 * 1024;

export class Carriage implements Lessee {
  readonly server: Server;
  /** Takes nobody before it is empty. */
  closed = false;
  /** The pool wants the server for somebody who does not share. */
  reserved = false;
  /** It was lent in this turn. */
  fresh = false;
  /** Since when the one at the head does not take its answer while others wait; 0: it does. */
  stalledAtMs = 0;
  readonly passesNotifications = false;
  readonly hidesParameters = true;
  readonly #owner: CarriageOwner;
  readonly #out = new MessageWriter(1_024);
  #riders: Rider[] = [];
  #head = 0;
  #preparing: Settings | null = null;
  /** When the one at the head began to run, as far as can be told. */
  #startedAtMs = 0;
  /** Bytes of the answer at the head. */
  #bytes = 0;
  #spoiledBy: string | null = null;
  /** The one at the head failed in a way that it is to run again. */
  #again = false;
  /** The connection was given up, and so how those behind are lost. */
  #lost: LostHow | null = null;

  constructor(owner: CarriageOwner, server: Server) {
    this.#owner = owner;
    this.server = server;
  }

  get id(): number {
    return this.head?.id ?? 0;
  }

  get head(): Rider | null {
    return this.#riders[this.#head] ?? null;
  }

  /** Riders that are not answered. */
  get count(): number {
    return this.#riders.length - this.#head;
  }

  /** Nothing is under way on the server. */
  get isEmpty(): boolean {
    return this.count === 0 && this.#preparing === null;
  }

  get changesSettings(): boolean {
    return this.#preparing !== null;
  }

  get settings(): Settings {
    return this.#preparing ?? this.server.settings;
  }

  takes(rider: Rider, depth: number): boolean {
    if (this.closed || this.count >= depth || this.server.cancelling || this.server.wire.congested) return false;
    if (rider.kind.runsAlone && this.count > 0) return false;
    return sameSettings(this.settings, rider.settings);
  }

  /** It is empty and the server still lent: it may go on. */
  reopen(): void {
    this.closed = false;
    this.reserved = false;
    this.fresh = true;
  }

  /** The server is lent to it, for riders with these settings. */
  open(settings: Settings): void {
    this.server.lease(this);
    this.closed = false;
    this.reserved = false;
    this.fresh = true;
    if (sameSettings(this.server.settings, settings)) return;
    // In a round trip of its own: a statement must not run with the settings of others.
    this.#preparing = settings;
    const statements = settingsDifference(this.server.settings, settings);
    this.#out
      .begin(Frontend.QUERY)
      .bytes(Buffer.from(statements.join("; "), "latin1"))
      .byte(0)
      .end();
    this.server.replies.push(Expect.QUERY, Hide.ALL);
  }

  /** What it writes goes out with flush(). */
  take(rider: Rider, nowMs: number): void {
    if (rider.kind.runsAlone) this.closed = true;
    rider.carriage = this;
    this.#riders.push(rider);
    rider.onBoard(nowMs);
    if (this.#preparing === null) rider.board(this.server, this.#out);
  }

  /** One write for all that came. */
  flush(): void {
    const out = this.#out;
    if (out.length === 0) return;
    if (this.#startedAtMs === 0) this.#begin();
    this.server.send(out.buffer, 0, out.length);
    out.reset();
  }

  /** The pool gets its server back. */
  release(): void {
    this.#startedAtMs = 0;
    this.server.release(this.#owner.nowMs(), false);
  }

  /** The rider's client wants it to stop. True: nothing of it was sent, and it is on board no more. */
  cancel(rider: Rider): boolean {
    if (this.#preparing !== null) {
      this.#riders.splice(this.#riders.indexOf(rider, this.#head), 1);
      rider.carriage = null;
      return true;
    }
    this.closed = true;
    rider.cancelWanted = true;
    this.#sendCancelOfHead();
    return false;
  }

  /** Nobody else may be hit: those behind go elsewhere, or it has to wait until they are done. */
  #sendCancelOfHead(): void {
    const rider = this.head;
    if (rider === null || !rider.cancelWanted || !this.moveOthers()) return;
    rider.cancelWanted = false;
    rider.sendCancel(this.server);
  }

  /** Those behind the one at the head go to other servers. True: none is left that is somebody's, or that writes. */
  moveOthers(): boolean {
    let isFree = true;
    const moving: Rider[] = [];
    for (let i = this.#head + 1; i < this.#riders.length; i++) {
      const rider = this.#riders[i] as Rider;
      if (rider.movable) moving.push(rider);
      else if (rider.id !== 0 || rider.kind.certainty.writes) isFree = false;
    }
    if (moving.length > 0) this.closed = true;
    for (const rider of moving) {
      const at = this.#riders.indexOf(rider, this.#head);
      rider.carriage = null;
      const nobody = rider.onMoved();
      nobody.carriage = this;
      this.#riders[at] = nobody;
    }
    return isFree;
  }

  /** How long the one at the head has run. */
  runsForMs(nowMs: number): number {
    return this.#startedAtMs > 0 ? nowMs - this.#startedAtMs : 0;
  }

  /** The rider's client is gone: its answer is for nobody. True: it was alone. */
  replace(rider: Rider, by: Rider): boolean {
    for (let i = this.#head; i < this.#riders.length; i++) if (this.#riders[i] === rider) this.#riders[i] = by;
    rider.carriage = null;
    by.carriage = this;
    if (this.head === by) this.#goOn();
    return this.count === 1;
  }

  /** Is this the one whose answer is coming, in the middle of a message? */
  isInside(rider: Rider): boolean {
    return this.head === rider && this.server.insideMessage;
  }

  /** The client of the one at the head takes bytes again. */
  resume(rider: Rider): void {
    if (this.head === rider) this.#goOn();
  }

  /** Whoever kept the server from being read does so no more; without others behind it that is not a stall. */
  #goOn(): void {
    this.stalledAtMs = 0;
    this.server.resumeReading();
  }

  #begin(): void {
    const nowMs = this.#owner.nowMs();
    this.#startedAtMs = nowMs;
    this.#bytes = 0;
    this.server.beginUnit(nowMs);
  }

  // --- Lessee

  deliver(buffer: Buffer, start: number, end: number): boolean {
    const rider = this.head;
    if (rider === null) return true;
    this.#bytes += end - start;
    if (this.#bytes > largeBytes) this.closed = true;
    if (rider.deliver(buffer, start, end)) return true;
    this.closed = true;
    if (this.count === 1) return false;
    if (rider.queuedBytes <= patienceBytes) return true;
    this.stalledAtMs = this.#owner.nowMs();
    return false;
  }

  onReady(status: number, failed: boolean): void {
    if (this.#preparing !== null) {
      this.#prepared(failed);
      return;
    }
    const rider = this.head as Rider;
    const nowMs = this.#owner.nowMs();
    const again = this.#again;
    if (!again) rider.kind.ran(nowMs - this.#startedAtMs > this.#owner.slowMs, this.#bytes > largeBytes);
    this.#again = false;
    this.#leaveHead(rider);
    this.#startedAtMs = nowMs;
    this.#bytes = 0;
    this.server.beginUnit(nowMs);
    this.#goOn();
    const spoiledBy = status === TransactionStatus.IDLE ? this.#spoiledBy : "left a transaction open";
    if (spoiledBy !== null) {
      this.#giveUp(spoiledBy, status === TransactionStatus.IDLE ? "unanswered" : "undone");
      rider.onAnswered(status, failed, nowMs);
      return;
    }
    const next = this.head;
    if (next === null) this.#startedAtMs = 0;
    else if (next.cancelWanted) this.#sendCancelOfHead();
    if (again) rider.onAgain();
    else rider.onAnswered(status, failed, nowMs);
    if (this.count === 0 && this.server.lessee === this) this.#owner.onEmpty(this);
  }

  runsAgain(error: ReadError): boolean {
    const rider = this.head;
    if (rider === null || !rider.markStale(this.server, error) || this.server.visible) return false;
    this.#again = true;
    return true;
  }

  noticed(): boolean {
    if (this.head?.onNotice?.() !== true || this.server.visible) return false;
    this.#again = true;
    return true;
  }

  onParameter(name: string): void {
    if (this.#preparing === null && name !== "in_hot_standby") this.#spoiledBy ??= `changed the setting "${name}"`;
  }

  onSkipping(): void {}

  onCopyIn(): void {
    throw new PoolerError("PROTOCOL_VIOLATION", "a statement that shares a server asked for COPY data");
  }

  onServerDrain(): void {}

  statementName(global: string): string | null {
    return this.head?.statementName(global) ?? null;
  }

  onServerLost(error: PoolerError, broken: boolean): void {
    const riders = this.#riders.slice(this.#head);
    const wasPreparing = this.#preparing !== null;
    this.#riders = [];
    this.#head = 0;
    this.#preparing = null;
    this.#owner.onLost(this);
    riders.forEach((rider, i) => {
      rider.carriage = null;
      if (wasPreparing) rider.onAgain();
      else if (this.#lost !== null) rider.onLost(error, this.#lost, false);
      else rider.onLost(error, i === 0 ? "running" : "unanswered", i === 0 && broken);
    });
  }

  // --- Inside

  #prepared(failed: boolean): void {
    const settings = this.#preparing as Settings;
    this.#preparing = null;
    if (!failed) {
      this.server.settings = settings;
      // Whose client has left meanwhile, or who was moved, has nothing to write: no answer would ever come.
      this.#riders = this.#riders.slice(this.#head).filter(({ id }) => id !== 0);
      this.#head = 0;
      for (const rider of this.#riders) rider.board(this.server, this.#out);
      this.#startedAtMs = 0;
      this.flush();
    } else {
      // What is wrong shows when each of them makes its settings itself.
      this.server.unknownState = true;
      const riders = this.#riders.slice(this.#head);
      this.#riders.length = 0;
      this.#head = 0;
      for (const rider of riders) {
        rider.carriage = null;
        rider.onAgain();
      }
    }
    if (this.count === 0) this.#owner.onEmpty(this);
  }

  #leaveHead(rider: Rider): void {
    rider.carriage = null;
    this.#head++;
    if (this.#head === this.#riders.length) {
      this.#riders.length = 0;
      this.#head = 0;
    } else if (this.#head >= 256) {
      this.#riders.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** Nobody may have this connection any more; what is behind is not answered from it. */
  #giveUp(why: string, lost: LostHow): void {
    this.#lost = lost;
    this.#owner.onTakenOut(this, why);
    this.server.close(
      new PoolerError("SERVER_LOST", `the connection was given up: a statement before this one on the same server ${why}`, {
        hint: "Exclude it with multiplex_never, or take the function out of multiplex_functions.",
      }),
    );
  }
}
