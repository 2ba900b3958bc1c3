// Connects to servers: name, addresses one after the other, time limit. Names stay with Node's resolver.
import { lookup } from "node:dns";
import { isIP } from "node:net";
import { invariant, PoolerError } from "../../base/errors.js";
import type { Deferred, DialTarget, Wire, WireReader } from "../wire.js";
import { type AddressCodec, type EncodedAddress, Family } from "./address.js";
import type { Pollable } from "./poller.js";
import { SocketWire, type WireShared } from "./socket-wire.js";
import { Epoll, Errno, systemError } from "./system.js";

/** How often a Unix-domain socket whose queue is full is tried again. */
const queueFullRetryMs = 20;

export type OnDialed = (error: Error | null, wire: Wire | null) => void;

export function dialSocket(shared: WireShared, addresses: AddressCodec, target: DialTarget, reader: WireReader, onDialed: OnDialed): void {
  new Dial(shared, addresses, target, reader, onDialed).start();
}

class Dial implements Pollable, Deferred {
  generation = 0;
  readonly #shared: WireShared;
  readonly #codec: AddressCodec;
  readonly #target: DialTarget;
  readonly #reader: WireReader;
  readonly #onDialed: OnDialed;
  readonly #timeout: NodeJS.Timeout | null;
  #share: NodeJS.Timeout | null = null;
  #addresses: readonly EncodedAddress[] = [];
  #next = 0;
  #fd = -1;
  #settled = false;
  #error: Error | null = null;

  constructor(shared: WireShared, codec: AddressCodec, target: DialTarget, reader: WireReader, onDialed: OnDialed) {
    this.#shared = shared;
    this.#codec = codec;
    this.#target = target;
    this.#reader = reader;
    this.#onDialed = onDialed;
    const { host, port, timeoutMs } = target;
    this.#timeout =
      timeoutMs === 0
        ? null
        : setTimeout(() => this.#fail(new PoolerError("HOST_DOWN", `no answer from ${host}:${port} within ${timeoutMs} ms`)), timeoutMs);
  }

  start(): void {
    const { host, port } = this.#target;
    if (host.startsWith("/")) this.#take(() => [this.#codec.encodePath(`${host}/.s.PGSQL.${port}`)]);
    else if (isIP(host) !== 0) this.#take(() => [this.#codec.encode(host, port)]);
    else {
      lookup(host, { all: true }, (error, found) => {
        if (this.#settled) return;
        if (error !== null) this.#fail(error);
        else this.#take(() => found.map(({ address }) => this.#codec.encode(address, port)));
      });
    }
  }

  #take(encode: () => readonly EncodedAddress[]): void {
    try {
      this.#addresses = encode();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new PoolerError("IO", String(error)));
      return;
    }
    this.#tryNext(new PoolerError("HOST_DOWN", `"${this.#target.host}" has no address`));
  }

  /** `before`: why the address before did not work. */
  #tryNext(before: Error): void {
    const { system, poller } = this.#shared;
    this.#letGo();
    const address = this.#addresses[this.#next++];
    if (address === undefined) {
      this.#fail(before);
      return;
    }
    const fd = system.socket(address.family);
    if (fd < 0) {
      this.#tryNext(systemError("socket", system.errno(), address.text));
      return;
    }
    const errno = system.connect(fd, address.bytes, address.bytes.length) === 0 ? 0 : system.errno();
    if (errno !== 0 && errno !== Errno.EINPROGRESS && errno !== Errno.EINTR) {
      system.close(fd);
      if (errno === Errno.EAGAIN && address.family === Family.UNIX) this.#tryAgain();
      else this.#tryNext(systemError("connect", errno, address.text));
      return;
    }
    this.#fd = fd;
    // A connection that stands already is told as an event, too: not within the caller's call.
    poller.add(fd, Epoll.OUT, this);
    this.#limitAttempt(address);
  }

  /** The queue of a Unix-domain socket is full: connect() does not wait there. */
  #tryAgain(): void {
    this.#next--;
    this.#share = setTimeout(() => this.#tryNext(systemError("connect", Errno.EAGAIN)), queueFullRetryMs);
  }

  /** An address that does not answer leaves the others their share of the time. */
  #limitAttempt(address: EncodedAddress): void {
    const { timeoutMs } = this.#target;
    if (timeoutMs === 0 || this.#next >= this.#addresses.length) return;
    this.#share = setTimeout(
      () => this.#tryNext(systemError("connect", Errno.ETIMEDOUT, address.text)),
      timeoutMs / this.#addresses.length,
    );
  }

  onEvents(): void {
    const { system, poller } = this.#shared;
    const address = this.#addresses[this.#next - 1];
    invariant(address !== undefined, "an address was tried");
    const errno = system.takeError(this.#fd);
    if (errno !== 0) {
      this.#tryNext(systemError("connect", errno, address.text));
      return;
    }
    const fd = this.#fd;
    this.#fd = -1;
    this.#settle();
    poller.remove(fd);
    if (address.family !== Family.UNIX) system.setTcpOptions(fd);
    const wire = new SocketWire(this.#shared, fd, address.peer);
    wire.reader = this.#reader;
    try {
      this.#onDialed(null, wire);
    } catch (error) {
      wire.onBug(error);
    }
  }

  onDeferred(): void {
    this.#onDialed(this.#error, null);
  }

  onBug(error: unknown): void {
    this.#shared.log.error({ error, host: this.#target.host }, "a bug while a server was dialed");
  }

  #fail(error: Error): void {
    if (this.#settled) return;
    this.#error = error;
    this.#letGo();
    this.#settle();
    this.#shared.poller.defer(this);
  }

  #settle(): void {
    this.#settled = true;
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    if (this.#share !== null) clearTimeout(this.#share);
  }

  #letGo(): void {
    if (this.#share !== null) clearTimeout(this.#share);
    this.#share = null;
    if (this.#fd < 0) return;
    this.#shared.poller.remove(this.#fd);
    this.#shared.system.close(this.#fd);
    this.#fd = -1;
  }
}
