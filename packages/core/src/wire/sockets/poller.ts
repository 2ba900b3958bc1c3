// One epoll descriptor for all sockets of the process, itself watched by Node's loop: nothing spins, nothing blocks, and timers and
// IPC live on. Hands events to whoever owns a descriptor. Knows nothing of what is read. Hot: nothing is allocated per event.
//
//   uv loop ──readable──▶ turn: ┌─▶ epoll_wait ─▶ events, one after the other ─▶ what was put off ─┐ ──▶ microtasks, timers, IPC
//                               └──────── while events come thick and fast, a few ms ────────────┘
//
// The way through Node's loop and back costs as much as a query. While one turn follows the other at once, a turn waits for further
// events itself; timers and IPC are late by no more than a turn and such a wait.
//
// A descriptor that is closed within a batch of events may come back in the same batch as another socket: each event carries
// the generation that its descriptor had, and a stale one is dropped.
import { createClock, type TurnClock } from "../../base/clock.js";
import type { Logger } from "../../base/logger.js";
import type { Deferred } from "../wire.js";
import { addressOfBuffer, EpollControl, Errno, type System, systemError } from "./system.js";

/** Owner of a descriptor. */
export interface Pollable {
  /** Set by the poller. */
  generation: number;
  /** Epoll bits. An exception ends in onBug(). */
  onEvents(events: number): void;
  /** Something threw on its behalf: a bug. Must not throw. */
  onBug(error: unknown): void;
}

export interface Poller {
  add(fd: number, events: number, owner: Pollable): void;
  modify(fd: number, events: number, owner: Pollable): void;
  /** Before the descriptor is closed. */
  remove(fd: number): void;
  /** No events for now, not even a hang-up; add() again to go on. The descriptor keeps its owner. */
  mute(fd: number): void;
  unmute(fd: number, events: number, owner: Pollable): void;
  /** Call onDeferred() soon: at the end of this batch of events, or of this turn of Node's loop. */
  defer(what: Deferred): void;
  /** The clock that stands still from one round of a turn to the next. */
  keepTime(clock: TurnClock): void;
  /** See WireEngine. */
  lookElsewhere(isExpected: () => boolean): void;
}

const mostEvents = 256;
/** Then Node's loop has its turn: timers and IPC must not starve. */
const longestTurnMs = 4;
/**
 * How long a turn waits for the next event, and how soon a turn must follow the one before for that to be worth while. No shorter
 * than the kernel's tick (4 ms where it ticks 250 times a second): an earlier end has to be set at the hardware's timer and
 * taken back again, which costs a virtual machine more than all that JavaScript does for a query.
 */
const lingerMs = 5;

export function createPoller(system: System, log: Logger): Poller {
  return new EpollPoller(system, log);
}

class EpollPoller implements Poller {
  readonly #system: System;
  readonly #log: Logger;
  readonly #epoll: number;
  /** struct epoll_event: events (32 bits), data (64 bits); packed on x86-64 alone. */
  readonly #stride = process.arch === "x64" ? 3 : 4;
  readonly #dataAt = process.arch === "x64" ? 1 : 2;
  readonly #events: Int32Array;
  readonly #eventsAddress: number;
  readonly #control = Buffer.alloc(16);
  readonly #controlWords = new Int32Array(this.#control.buffer, this.#control.byteOffset, 4);
  readonly #owners: (Pollable | undefined)[] = [];
  readonly #hold: (on: boolean) => void;
  #generation = 0;
  #open = 0;
  #deferred: Deferred[] = [];
  #inTurn = false;
  #turnComes = false;
  #turnEndedAtMs = 0;
  #clock = createClock();
  #isExpectedElsewhere: (() => boolean) | null = null;

  constructor(system: System, log: Logger) {
    this.#system = system;
    this.#log = log;
    this.#epoll = system.epollCreate();
    if (this.#epoll < 0) throw systemError("epoll_create1", system.errno());
    const memory = Buffer.allocUnsafeSlow(mostEvents * this.#stride * 4);
    this.#events = new Int32Array(memory.buffer, memory.byteOffset, mostEvents * this.#stride);
    this.#eventsAddress = addressOfBuffer(memory);
    const watch = system.watchFromLoop(this.#epoll, () => this.#turn());
    this.#hold = (on) => watch.hold(on);
  }

  add(fd: number, events: number, owner: Pollable): void {
    owner.generation = this.#generation = (this.#generation + 1) | 0;
    this.#owners[fd] = owner;
    if (this.#open++ === 0) this.#hold(true);
    this.#set(EpollControl.ADD, fd, events, owner.generation);
  }

  modify(fd: number, events: number, owner: Pollable): void {
    this.#set(EpollControl.MODIFY, fd, events, owner.generation);
  }

  remove(fd: number): void {
    this.#owners[fd] = undefined;
    // Explicitly: another process may hold the same listening socket, and closing ours would not take it out.
    this.#set(EpollControl.DELETE, fd, 0, 0);
    if (--this.#open === 0) this.#hold(false);
  }

  mute(fd: number): void {
    this.#set(EpollControl.DELETE, fd, 0, 0);
  }

  unmute(fd: number, events: number, owner: Pollable): void {
    this.#set(EpollControl.ADD, fd, events, owner.generation);
  }

  defer(what: Deferred): void {
    this.#deferred.push(what);
    if (!this.#inTurn) this.#callTurn();
  }

  keepTime(clock: TurnClock): void {
    this.#clock = clock;
  }

  lookElsewhere(isExpected: () => boolean): void {
    this.#isExpectedElsewhere = isExpected;
  }

  #set(operation: number, fd: number, events: number, generation: number): void {
    const words = this.#controlWords;
    words[0] = events;
    words[this.#dataAt] = fd;
    words[this.#dataAt + 1] = generation;
    this.#system.epollControl(this.#epoll, operation, fd, this.#control);
  }

  #callTurn(): void {
    if (this.#turnComes) return;
    this.#turnComes = true;
    setImmediate(() => {
      this.#turnComes = false;
      this.#turn();
    });
  }

  #turn(): void {
    this.#inTurn = true;
    const clock = this.#clock;
    let nowMs = clock.stand();
    const endsAtMs = nowMs + longestTurnMs;
    const follows = nowMs - this.#turnEndedAtMs < lingerMs;
    for (let lingers = false; ; ) {
      const waitMs = lingers && this.#deferred.length === 0 ? lingerMs : 0;
      const count = this.#system.epollWait(this.#epoll, this.#eventsAddress, mostEvents, waitMs);
      if (count < 0 && this.#system.errno() !== Errno.EINTR) {
        this.#log.error({ error: systemError("epoll_wait", this.#system.errno()) }, "events of sockets cannot be read");
        break;
      }
      nowMs = clock.stand();
      if (count > 0) this.#dispatch(count);
      const putOff = this.#deferred.length > 0;
      if (putOff) this.#runDeferred();
      // What there may be now is told by Node's loop, unless it is expected here.
      lingers = follows && this.#isExpectedElsewhere?.() !== true;
      if (nowMs >= endsAtMs || (!putOff && (count <= 0 || !lingers))) break;
    }
    clock.goOn();
    this.#turnEndedAtMs = clock.nowMs();
    this.#inTurn = false;
    if (this.#deferred.length > 0) this.#callTurn();
    // libuv called, not Node: what reactions and microtasks were queued would wait for whatever Node does next.
    setImmediate(nothing);
  }

  #dispatch(count: number): void {
    const events = this.#events;
    const owners = this.#owners;
    const stride = this.#stride;
    for (let i = 0, at = 0; i < count; i++, at += stride) {
      const data = at + this.#dataAt;
      const owner = owners[events[data] as number];
      if (owner === undefined || owner.generation !== events[data + 1]) continue;
      try {
        owner.onEvents(events[at] as number);
      } catch (error) {
        owner.onBug(error);
      }
    }
  }

  #runDeferred(): void {
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const each of deferred) {
      try {
        each.onDeferred();
      } catch (error) {
        each.onBug(error);
      }
    }
  }
}

function nothing(): void {}
