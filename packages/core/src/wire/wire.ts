// One connection as session and server see it: bytes in, bytes out, backpressure. Two engines stand behind it.
// Knows nothing of the PostgreSQL protocol.

/** Who reads a connection. Called by the engine, never re-entered from within write(). */
export interface WireReader {
  /**
   * Bytes [start, end) of `chunk` have come. The view is valid during the call only: who must keep bytes copies them.
   * What it throws is logged and closes this connection.
   */
  onBytes(chunk: Buffer, start: number, end: number): void;
  /** What was queued by write() has gone out, after write() or queuedBytes said that the mark was passed. */
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
  /**
   * Send bytes [start, end) of `buffer`; what the system does not take is copied. Returns !congested.
   * After the wire was closed it does nothing.
   */
  write(buffer: Buffer, start: number, end: number): boolean;
  /** Stop and go on reading. Bytes that were already on their way may still come after pause(). */
  pause(): void;
  resume(): void;
  /** Write what is queued, then close. onClosed follows. */
  end(): void;
  /** Close at once; queued bytes are lost. onClosed(null) follows, not within this call. */
  destroy(): void;
}

/** Write several small pieces as one: the engine may send them in one system call at uncork(). */
export interface Corkable {
  cork(): void;
  uncork(): void;
}
