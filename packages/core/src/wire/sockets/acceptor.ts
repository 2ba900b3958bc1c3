// Accepts connections from an inherited listening descriptor. Other processes may hold the same one.
import type { Listener } from "../wire.js";
import { type AddressCodec, addressBytes, Family } from "./address.js";
import type { Pollable } from "./poller.js";
import { SocketWire, type WireShared } from "./socket-wire.js";
import { Epoll, Errno, systemError } from "./system.js";

/** Then those who are connected already have their turn. */
const mostAtOnce = 64;
/** How long nobody is accepted after the system ran out of descriptors or memory. */
const restMs = 100;

export function createAcceptor(
  shared: WireShared,
  addresses: AddressCodec,
  descriptor: number,
  onAccept: (wire: SocketWire) => void,
): Listener {
  return new Acceptor(shared, addresses, descriptor, onAccept);
}

class Acceptor implements Listener, Pollable {
  generation = 0;
  readonly #shared: WireShared;
  readonly #addresses: AddressCodec;
  readonly #descriptor: number;
  readonly #onAccept: (wire: SocketWire) => void;
  readonly #address = Buffer.alloc(addressBytes);
  readonly #addressLength = Buffer.alloc(4);
  #rest: NodeJS.Timeout | null = null;
  /** The log has been told that accepting fails. */
  #told = false;
  #closed = false;

  constructor(shared: WireShared, addresses: AddressCodec, descriptor: number, onAccept: (wire: SocketWire) => void) {
    this.#shared = shared;
    this.#addresses = addresses;
    this.#descriptor = descriptor;
    this.#onAccept = onAccept;
    shared.system.setNonBlocking(descriptor);
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
    for (let i = 0; i < mostAtOnce && !this.#closed; i++) {
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
          this.#takeRest(errno);
          return;
      }
    }
  }

  onBug(error: unknown): void {
    this.#shared.log.error({ error }, "a bug while a connection was accepted");
  }

  #accepted(fd: number): void {
    this.#told = false;
    const peer = this.#addresses.decode(this.#address);
    if (this.#address.readUInt16LE(0) !== Family.UNIX) this.#shared.system.setTcpOptions(fd);
    const wire = new SocketWire(this.#shared, fd, peer);
    try {
      this.#onAccept(wire);
    } catch (error) {
      wire.onBug(error);
    }
  }

  /** EMFILE, ENFILE and the like: the event would come again and again, and nothing could be done about it. */
  #takeRest(errno: number): void {
    const { poller, log } = this.#shared;
    if (!this.#told) log.error({ error: systemError("accept", errno) }, "no connections can be accepted for now; it is tried again");
    this.#told = true;
    poller.mute(this.#descriptor);
    this.#rest = setTimeout(() => {
      this.#rest = null;
      poller.unmute(this.#descriptor, Epoll.IN | Epoll.EXCLUSIVE, this);
    }, restMs);
  }
}
