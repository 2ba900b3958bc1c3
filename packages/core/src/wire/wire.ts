// One connection as session and server see it: bytes in, bytes out, backpressure. Two engines may stand behind it.
// Knows nothing of the PostgreSQL protocol.
import type { TurnClock } from "../base/clock.js";

/** Who reads a connection. Called by the engine, never from within a call of Wire's own methods. */
export interface WireReader {
  /**
   * Bytes [start, end) of `chunk` have come. The view is valid during the call only: who must keep bytes copies them.
   * What it throws is logged and closes this connection.
   */
  onBytes(chunk: Buffer, start: number, end: number): void;
  /** What write() had to queue has gone out; called only after `congested` was true. */
  onDrain(): void;
  /** The peer closed, or the connection broke (then with the error). Called once; nothing is called afterwards. */
  onClosed(error: Error | null): void;
}

export interface Wire {
  reader: WireReader;
  /** Bytes that write() could not hand to the system yet. */
  readonly queuedBytes: number;
  /** queuedBytes is above the high mark: stop reading whoever feeds this wire until onDrain. */
  readonly congested: boolean;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly tls: boolean;
  /** Common name of the peer's certificate that was verified, or null. */
  readonly peerName: string | null;
  /**
   * Send bytes [start, end) of `buffer`; what the system does not take at once is copied. Returns !congested.
   * After the wire was closed it does nothing.
   */
  write(buffer: Buffer, start: number, end: number): boolean;
  /** Stop and go on reading. */
  pause(): void;
  resume(): void;
  /** Write what is queued, then close. onClosed follows. */
  end(): void;
  /** Close at once; queued bytes are lost. onClosed(null) follows, not within this call. */
  destroy(): void;
  /** Go on under TLS: what was queued goes out first in the clear. onSecure when the handshake is done; failures reach onClosed. */
  startTls(tls: TlsUpgrade, onSecure: () => void): void;
}

export type TlsUpgrade =
  | {
      readonly side: "server";
      readonly cert: string;
      readonly key: string;
      /** Ask for a certificate and refuse a client without a valid one. */
      readonly clientCa: string | null;
    }
  | {
      readonly side: "client";
      /** The name that the server's certificate must carry, checked with verify-full only. */
      readonly host: string;
      readonly verify: boolean;
      /** PEM; null: the well-known authorities. */
      readonly ca: string | null;
    };

export interface Listener {
  /** Stop accepting; connections that wait stay with the descriptor's other owners. */
  close(): void;
}

export interface DialTarget {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
}

/** Something that must not happen within the call that asked for it. */
export interface Deferred {
  onDeferred(): void;
  /** It threw. Must not throw. */
  onBug(error: unknown): void;
}

/** Makes wires out of an inherited listening descriptor, and to servers. */
export interface WireEngine {
  readonly name: "streams" | "sockets";
  /**
   * `leavesToOthers` is asked before a connection is taken when other processes accept from the same descriptor: true leaves it to
   * them for a moment. It waits no longer than a tenth of a second, whatever becomes of them. Streams cannot wait, and do not ask.
   */
  listen(descriptor: number, onAccept: (wire: Wire) => void, leavesToOthers?: () => boolean): Listener;
  /** `onDialed` gets the wire or the error, once, not within this call. */
  dial(target: DialTarget, reader: WireReader, onDialed: (error: Error | null, wire: Wire | null) => void): void;
  /**
   * Call onDeferred() soon, not within this call: when what has come on other connections by now has been read, and before
   * timers. Microtasks may have to wait for several such rounds.
   */
  defer(what: Deferred): void;
  /** From now on this clock stands still while a batch of events is dealt with, where the engine has such batches. */
  keepTime(clock: TurnClock): void;
  /** While this says so, something is under way that Node's loop will tell, threads at work: it must not wait for sockets. */
  lookElsewhere(isExpected: () => boolean): void;
}
