// Accepts connections from an inherited listening descriptor. Other processes may hold the same one: whoever is ahead of them leaves
// connections to them for a moment, since the system would wake the same process again and again.
import type { Listener } from "../wire.js";
import { type AddressCodec, addressBytes } from "./address.js";
import type { Pollable } from "./poller.js";
import { SocketWire, type WireShared } from "./socket-wire.js";
import { Epoll, Errno, systemError } from "./system.js";

/** Then those who are connected already have their turn. */
const mostAtOnce = 64;
/** How long nobody is accepted after the system ran out of descriptors or memory. */
const restMs = 100;
/** How long a connection is left to other processes before it is looked at again … */
const yieldMs = 5;
/** … and how often: they may be stuck. Then so many are taken. */
const mostYields = 10;
const mostAfterYields = 16;

export function createAcceptor(
  shared: WireShared,
  addresses: AddressCodec,
  descriptor: number,
  onAccept: (wire: SocketWire) => void,
  leavesToOthers: () => boolean = () => false,
): Listener {
  return new Acceptor(shared, addresses, descriptor, onAccept, leavesToOthers);
}

class Acceptor implements Listener, Pollable {
  generation = 0;
  readonly #shared: WireShared;
  readonly #addresses: AddressCodec;
  readonly #descriptor: number;
  readonly #onAccept: (wire: SocketWire) => void;
  readonly #address = Buffer.alloc(addressBytes);
  readonly #addressLength = Buffer.alloc(4);
  readonly #leavesToOthers: () => boolean;
  /** Not in epoll until it fires. */
  #rest: NodeJS.Timeout | null = null;
  /** How often in a row connections were left to others, and until when that row goes on. */
  #yields = 0;
  #yieldsUntilMs = 0;
  /** The log has been told that accepting fails. */
  #told = false;
  #closed = false;

  constructor(
    shared: WireShared,
    addresses: AddressCodec,
    descriptor: number,
    onAccept: (wire: SocketWire) => void,
    leavesToOthers: () => boolean,
  ) {
    this.#leavesToOthers = leavesToOthers;
    this.#shared = shared;
    this.#addresses = addresses;
    this.#descriptor = descriptor;
    this.#onAccept = onAccept;
    shared.system.setNonBlocking(descriptor);
    // Linux hands them on to every connection that is accepted. A Unix-domain socket takes none of them, which is as well.
    shared.system.setTcpOptions(descriptor);
    // One of the processes that wait is woken, not all of them.
    shared.poller.add(descriptor, Epoll.IN | Epoll.EXCLUSIVE, this);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#rest !== null) clearTimeout(this.#rest);
    this.#shared.poller.remove(this.#descriptor);
    this.#shared.system.close(this.#descriptor);
  }

  onEvents(): void {
    const { system } = this.#shared;
    const patient = this.#yields < mostYields || performance.now() > this.#yieldsUntilMs;
    const most = patient ? mostAtOnce : mostAfterYields;
    for (let i = 0; i < most && !this.#closed; i++) {
      if (patient && this.#leavesToOthers()) {
        this.#yield();
        return;
      }
      this.#addressLength.writeInt32LE(addressBytes);
      this.#address.writeUInt16LE(0, 0);
      const fd = system.accept(this.#descriptor, this.#address, this.#addressLength);
      if (fd >= 0) {
        this.#accepted(fd);
        continue;
      }
      const errno = system.errno();
      switch (errno) {
        case Errno.EINTR:
        case Errno.ECONNABORTED: // it left while it waited
        case Errno.EPROTO:
          continue;
        case Errno.EAGAIN:
          return;
        default:
          this.#fail(errno);
          return;
      }
    }
    if (!patient) this.#yields = 0;
  }

  onBug(error: unknown): void {
    this.#shared.log.error({ error }, "a bug while a connection was accepted");
  }

  #accepted(fd: number): void {
    this.#told = false;
    const peer = this.#addresses.decode(this.#address);
    const wire = new SocketWire(this.#shared, fd, peer);
    try {
      this.#onAccept(wire);
    } catch (error) {
      wire.onBug(error);
    }
  }

  /** EMFILE, ENFILE and the like: the event would come again and again, and nothing could be done about it. */
  #fail(errno: number): void {
    if (!this.#told) {
      const error = systemError("accept", errno);
      this.#shared.log.error({ error }, "no connections can be accepted for now; it is tried again");
    }
    this.#told = true;
    this.#restFor(restMs);
  }

  /** Somebody else should take what waits. When nobody does, it is still there afterwards, and the event comes again. */
  #yield(): void {
    const nowMs = performance.now();
    this.#yields = nowMs > this.#yieldsUntilMs ? 1 : this.#yields + 1;
    this.#yieldsUntilMs = nowMs + 2 * yieldMs;
    this.#restFor(yieldMs);
  }

  #restFor(durationMs: number): void {
    const { poller } = this.#shared;
    poller.mute(this.#descriptor);
    this.#rest = setTimeout(() => {
      this.#rest = null;
      poller.unmute(this.#descriptor, Epoll.IN | Epoll.EXCLUSIVE, this);
    }, durationMs);
  }
}
