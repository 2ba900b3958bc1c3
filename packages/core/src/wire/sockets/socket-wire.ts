// A wire on a non-blocking socket. Hot: a message that comes and goes costs one recv() and one send(), no object, no closure and no
// copy; what the system does not take is copied into a queue of the connection's own. Knows nothing of how sockets come to be.
//
//   open ──end()──▶ ending ──queue is empty──▶ closed          any ──peer closed, broken, destroy()──▶ closed
//
// Closing frees the descriptor at once and tells the reader later (see Poller.defer), so that nobody hears of it within his own call.
// A loss that an event tells is passed on at once: what others say later must not find a client that is gone.
// A write that fails does not close: what the peer said before it went away is read first, its last words among it.
import { copyBytes } from "../../base/copy-bytes.js";
import { invariant, PoolerError } from "../../base/errors.js";
import type { Logger } from "../../base/logger.js";
import type { Deferred, TlsUpgrade, Wire, WireReader } from "../wire.js";
import type { PeerAddress } from "./address.js";
import { OutputQueue } from "./output-queue.js";
import type { Pollable, Poller } from "./poller.js";
import { addressOfBuffer, Epoll, Errno, noSignal, type System, systemError } from "./system.js";
import type { TlsContexts } from "./tls-contexts.js";
import { createTlsSession, type TlsSession, TlsStep } from "./tls-session.js";

/** Above this many queued bytes whoever feeds a wire is no longer read. */
const highMarkBytes = 128 * 1024;
/** Every recv() lands here; what one connection has to say beyond it waits for the next round, behind the others. */
const chunkBytes = 64 * 1024;
/** As much as is copied rather than asked where it is. */
const deskBytes = 1024;
/** How long a peer may take to read what was queued when end() was called. */
const lingerMs = 10_000;

const deaf: WireReader = { onBytes() {}, onDrain() {}, onClosed() {} };

/** What all wires of an engine share. */
export interface WireShared {
  readonly system: System;
  readonly poller: Poller;
  readonly log: Logger;
  readonly tls: TlsContexts;
  readonly chunk: Buffer;
  readonly chunkAddress: number;
  /** For bytes that nobody wants: a reader further up may still look at the chunk. */
  readonly wasteAddress: number;
  readonly waste: Buffer;
  /** A buffer that was written from twice in a row, beside the chunk: mostly it is one and the same. Kept, so that its address stays its own. */
  source: Buffer;
  sourceAddress: number;
  /** The buffer that the last write came from which was neither of them. */
  stranger: Buffer;
  /** Short writes of strangers go out from here: to ask for an address takes longer than to copy. */
  readonly desk: Buffer;
  readonly deskAddress: number;
  /** The last queue that was emptied: a peer that is a little slow needs one again and again. */
  spareQueue: OutputQueue | null;
}

export function createWireShared(parts: Pick<WireShared, "system" | "poller" | "log" | "tls">): WireShared {
  const chunk = Buffer.allocUnsafeSlow(chunkBytes);
  const waste = Buffer.allocUnsafeSlow(chunkBytes);
  const desk = Buffer.allocUnsafeSlow(deskBytes);
  const chunkAddress = addressOfBuffer(chunk);
  return {
    ...parts,
    chunk,
    chunkAddress,
    waste,
    wasteAddress: addressOfBuffer(waste),
    source: chunk,
    sourceAddress: chunkAddress,
    stranger: chunk,
    desk,
    deskAddress: addressOfBuffer(desk),
    spareQueue: null,
  };
}

/** Where in memory buffer[start, end), or a copy of it, begins. Until the next call. */
function addressIn(shared: WireShared, buffer: Buffer, start: number, end: number): number {
  if (buffer === shared.chunk) return shared.chunkAddress + start;
  if (buffer !== shared.source) {
    if (buffer !== shared.stranger && end - start <= deskBytes) {
      shared.stranger = buffer;
      copyBytes(buffer, start, end, shared.desk, 0);
      return shared.deskAddress;
    }
    shared.source = buffer;
    shared.sourceAddress = addressOfBuffer(buffer);
  }
  return shared.sourceAddress + start;
}

const State = { OPEN: 0, ENDING: 1, CLOSED: 2 } as const;

/** What startTls() was called with. */
interface Securing {
  readonly upgrade: TlsUpgrade;
  onSecure(): void;
}

/** Thousands of them do nothing most of the time: what few need, or none for long, takes as few fields as it can. */
export class SocketWire implements Wire, Pollable, Deferred {
  reader: WireReader = deaf;
  generation = 0;
  congested = false;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly #shared: WireShared;
  #fd: number;
  #state: number = State.OPEN;
  /** Without IN while it is paused. */
  #interest: number = Epoll.IN;
  /** Out of epoll while paused: a peer that hung up would be reported over and over. */
  #muted = false;
  #queue: OutputQueue | null = null;
  /** Why nothing can be sent any more; of a closed one: what the reader is told. */
  #broken: Error | null = null;
  #deferredPending = false;
  #linger: NodeJS.Timeout | null = null;
  #tls: TlsSession | null = null;
  /** From startTls() until the handshake is done: nothing can be said. */
  #securing: Securing | null = null;

  /** Takes over a connected, non-blocking descriptor. */
  constructor(shared: WireShared, fd: number, peer: PeerAddress) {
    this.#shared = shared;
    this.#fd = fd;
    this.remoteAddress = peer.host;
    this.remotePort = peer.port;
    shared.poller.add(fd, Epoll.IN, this);
  }

  get queuedBytes(): number {
    return this.#queue === null ? 0 : this.#queue.length;
  }

  get tls(): boolean {
    return this.#tls?.secure === true;
  }

  get peerName(): string | null {
    return this.#tls === null ? null : this.#tls.peerName;
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    if (this.#state !== State.OPEN || this.#broken !== null || this.#securing !== null || start >= end) return true;
    let at = start;
    if (this.#queue === null) {
      at += this.#tls === null ? this.#send(buffer, start, end) : this.#sendTls(buffer, start, end);
      if (at === end || this.#broken !== null) return true;
    }
    this.#enqueue(buffer, at, end);
    return !this.congested;
  }

  pause(): void {
    if (this.#state !== State.OPEN) return;
    this.#setInterest(this.#interest & ~Epoll.IN);
  }

  resume(): void {
    if ((this.#interest & Epoll.IN) !== 0 || this.#state !== State.OPEN) return;
    if (this.#muted) {
      this.#muted = false;
      this.#interest |= Epoll.IN;
      this.#shared.poller.unmute(this.#fd, this.#interest, this);
    } else {
      this.#setInterest(this.#interest | Epoll.IN);
    }
    // What TLS has decrypted already raises no event.
    if (this.#tls?.pending === true) this.#defer();
  }

  end(): void {
    if (this.#state !== State.OPEN) return;
    if (this.#queue === null || this.#broken !== null || this.#securing !== null) {
      this.#finish();
      return;
    }
    this.#state = State.ENDING;
    this.#linger = setTimeout(() => this.#close(null), lingerMs);
    this.#linger.unref();
    if (!this.#muted) this.#setInterest(this.#interest & ~Epoll.IN);
  }

  destroy(): void {
    this.#close(null);
  }

  startTls(upgrade: TlsUpgrade, onSecure: () => void): void {
    if (this.#state !== State.OPEN) return;
    invariant(this.#securing === null && this.#tls === null, "TLS is started once");
    this.#securing = { upgrade, onSecure };
    if (this.#queue === null) this.#beginTls(upgrade);
  }

  // --- Events

  onEvents(events: number): void {
    if ((events & Epoll.OUT) !== 0) this.#writable();
    if (this.#state === State.CLOSED || (events & (Epoll.IN | Epoll.HUP | Epoll.ERR)) === 0) return;
    if (this.#state === State.ENDING) {
      // A peer that hung up will not read what is queued.
      if ((events & (Epoll.HUP | Epoll.ERR)) !== 0) this.#lose(this.#pendingError());
    } else if ((this.#interest & Epoll.IN) !== 0) {
      this.#readable();
    } else if ((events & (Epoll.HUP | Epoll.ERR)) !== 0) {
      if (this.#broken !== null) this.#lose(this.#broken);
      else this.#mute();
    }
  }

  onDeferred(): void {
    this.#deferredPending = false;
    if (this.#state === State.CLOSED) this.#tellClosed();
    else if (this.#state === State.OPEN && (this.#interest & Epoll.IN) !== 0 && this.#tls?.pending === true) this.#readable();
  }

  onBug(error: unknown): void {
    this.#shared.log.error({ error, peer: `${this.remoteAddress}:${this.remotePort}` }, "a connection was closed because of a bug");
    this.#close(null);
  }

  // --- Reading

  #readable(): void {
    const { system, chunk, chunkAddress } = this.#shared;
    if (this.#tls !== null) {
      this.#readTls(this.#tls);
      return;
    }
    const count = system.recv(this.#fd, chunkAddress, chunkBytes, 0);
    if (count > 0) {
      this.reader.onBytes(chunk, 0, count);
      return;
    }
    if (count === 0) {
      // A half-closed peer cannot say anything more: PostgreSQL takes that as the end of the connection, too.
      this.#lose(this.#broken);
      return;
    }
    const errno = system.errno();
    if (!isTransient(errno)) this.#lose(this.#broken ?? systemError("read", errno));
  }

  #readTls(tls: TlsSession): void {
    if (!tls.secure) {
      this.#handshake(tls);
      return;
    }
    const { chunk, chunkAddress } = this.#shared;
    const count = tls.read(chunkAddress, chunkBytes);
    switch (count) {
      case TlsStep.NOTHING:
        return;
      case TlsStep.WANTS_WRITE:
        this.#wantWritable();
        return;
      case TlsStep.CLOSED:
        this.#lose(this.#broken);
        return;
      case TlsStep.FAILED:
        this.#lose(this.#broken ?? tls.failure("read"));
        return;
      default:
        this.reader.onBytes(chunk, 0, count);
        // What is decrypted or buffered already raises no event.
        if (this.#state === State.OPEN && (this.#interest & Epoll.IN) !== 0 && tls.pending) this.#defer();
    }
  }

  // --- Writing

  /** How many bytes the system took; 0 with #broken set when it never will. */
  #send(buffer: Buffer, start: number, end: number): number {
    const { system } = this.#shared;
    const address = addressIn(this.#shared, buffer, start, end);
    for (;;) {
      const count = system.send(this.#fd, address, end - start, noSignal);
      if (count >= 0) return count;
      const errno = system.errno();
      if (errno === Errno.EINTR) continue;
      if (!isTransient(errno)) this.#break(systemError("write", errno));
      return 0;
    }
  }

  #sendTls(buffer: Buffer, start: number, end: number): number {
    const tls = this.#tls as TlsSession;
    const address = addressIn(this.#shared, buffer, start, end);
    let taken = 0;
    while (taken < end - start) {
      const count = tls.write(address + taken, end - start - taken);
      if (count < 0) this.#break(tls.failure("write"));
      if (count <= 0) break;
      taken += count;
    }
    return taken;
  }

  #enqueue(buffer: Buffer, start: number, end: number): void {
    const queue = this.#queue ?? this.#shared.spareQueue ?? new OutputQueue(end - start);
    if (queue === this.#shared.spareQueue) this.#shared.spareQueue = null;
    this.#queue = queue;
    queue.push(buffer, start, end);
    if (queue.length > highMarkBytes) this.congested = true;
    this.#wantWritable();
  }

  #wantWritable(): void {
    this.#setInterest(this.#interest | Epoll.OUT);
  }

  #writable(): void {
    if (this.#tls !== null && this.#securing !== null) {
      this.#handshake(this.#tls);
      return;
    }
    if (this.#queue !== null && !this.#flush(this.#queue)) return;
    if (this.#isClosed()) return;
    this.#setInterest(this.#interest & ~Epoll.OUT);
    if (this.#tls?.readAfterWrite === true) {
      this.#readable();
      if (this.#isClosed()) return;
    }
    if (this.#securing !== null && this.#tls === null) this.#beginTls(this.#securing.upgrade);
    else if (this.#state === State.ENDING) this.#finish();
    else if (this.congested) {
      this.congested = false;
      this.reader.onDrain();
    }
  }

  /** Is there nothing left to send? */
  #flush(queue: OutputQueue): boolean {
    const { system } = this.#shared;
    while (queue.length > 0) {
      const { length } = queue;
      const count = this.#tls === null ? system.send(this.#fd, queue.address, length, noSignal) : this.#tls.write(queue.address, length);
      if (count < 0) {
        if (this.#tls !== null) {
          this.#break(this.#tls.failure("write"));
          return true;
        }
        const errno = system.errno();
        if (errno === Errno.EINTR) continue;
        if (isTransient(errno)) return false;
        this.#break(systemError("write", errno));
        return true;
      }
      if (count === 0) return false;
      queue.shift(count);
    }
    this.#queue = null;
    if (queue.clear()) this.#shared.spareQueue = queue;
    return true;
  }

  /** Nothing can be sent any more. Whoever waits for onDrain hears of the end instead, once everything has been read. */
  #break(error: Error): void {
    this.#broken = error;
    this.#queue = null;
    this.congested = false;
    if (this.#state === State.ENDING) this.#close(error);
    else this.#setInterest(this.#interest & ~Epoll.OUT);
  }

  // --- TLS

  #beginTls(upgrade: TlsUpgrade): void {
    const { tls, system } = this.#shared;
    try {
      this.#tls = createTlsSession(tls, system, upgrade, this.#fd);
    } catch (error) {
      this.#close(error instanceof Error ? error : new PoolerError("IO", String(error)));
      return;
    }
    // A server waits for the client's first word, and nothing is done with one flight: onSecure cannot come within this call.
    if (upgrade.side === "client") this.#handshake(this.#tls);
  }

  #handshake(tls: TlsSession): void {
    switch (tls.handshake()) {
      case TlsStep.NOTHING:
        this.#setInterest(this.#interest & ~Epoll.OUT);
        return;
      case TlsStep.WANTS_WRITE:
        this.#wantWritable();
        return;
      case TlsStep.FAILED:
        this.#close(tls.failure("TLS handshake"));
        return;
    }
    const securing = this.#securing;
    this.#securing = null;
    this.#setInterest(this.#interest & ~Epoll.OUT);
    securing?.onSecure();
    if (tls.pending) this.#defer();
  }

  // --- The end

  #setInterest(interest: number): void {
    if (interest === this.#interest) return;
    this.#interest = interest;
    if (this.#muted) {
      this.#muted = false;
      this.#shared.poller.unmute(this.#fd, interest, this);
    } else {
      this.#shared.poller.modify(this.#fd, interest, this);
    }
  }

  #mute(): void {
    this.#muted = true;
    this.#shared.poller.mute(this.#fd);
  }

  #pendingError(): Error | null {
    const errno = this.#shared.system.takeError(this.#fd);
    return errno === 0 ? null : systemError("read", errno);
  }

  /** Everything has been sent. */
  #finish(): void {
    this.#tls?.sayGoodbye();
    // Closing with bytes unread makes the system answer with a reset, which may overtake what was sent last.
    const { system, wasteAddress } = this.#shared;
    for (let i = 0; i < 4 && system.recv(this.#fd, wasteAddress, chunkBytes, 0) > 0; i++);
    this.#close(this.#broken);
  }

  #isClosed(): boolean {
    return this.#state === State.CLOSED;
  }

  #close(error: Error | null): void {
    if (this.#isClosed()) return;
    this.#shut(error);
    this.#defer();
  }

  /** Not within a call of the reader's. */
  #lose(error: Error | null): void {
    if (this.#isClosed()) return;
    this.#shut(error);
    this.#tellClosed();
  }

  #tellClosed(): void {
    const { reader } = this;
    this.reader = deaf;
    reader.onClosed(this.#broken);
  }

  #shut(error: Error | null): void {
    this.#state = State.CLOSED;
    this.#broken = error;
    this.#queue = null;
    this.congested = false;
    this.#securing = null;
    if (this.#linger !== null) clearTimeout(this.#linger);
    this.#tls?.free();
    this.#shared.poller.remove(this.#fd);
    this.#shared.system.close(this.#fd);
    this.#fd = -1;
  }

  #defer(): void {
    if (this.#deferredPending) return;
    this.#deferredPending = true;
    this.#shared.poller.defer(this);
  }
}

/** The system may take or give bytes later. */
function isTransient(errno: number): boolean {
  return errno === Errno.EAGAIN || errno === Errno.EINTR || errno === Errno.ENOBUFS || errno === Errno.ENOMEM;
}
