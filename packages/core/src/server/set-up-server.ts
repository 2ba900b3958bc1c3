// Between the handshake of a server connection and its first use: asks the plugins about it and runs what they want to be run
// first. An error there means that the connection is not used. Knows nothing of pools and sessions.
import { PoolerError } from "../base/errors.js";
import type { ConnectedServer, PluginHooks } from "../plugins/types-hooks.js";
import { readError, readParameterStatus } from "../protocol/backend.js";
import { Backend, Frontend, HEADER_BYTES, TransactionStatus } from "../protocol/codes.js";
import { MessageWriter, readInt32 } from "../protocol/message-writer.js";
import type { Wire, WireReader } from "../wire/wire.js";

/** Larger messages among the answers are skipped, or end the attempt where they must be read. */
const largestKeptBytes = 64 * 1024;

/** The queries, each as a whole message, that make a session what the plugins want it to be: for every reset. */
export type FirstStatements = readonly Buffer[];
export const noFirstStatements: FirstStatements = [];

type Done = (error: PoolerError | null, first: FirstStatements) => void;

/** `parameters` of the server are kept up to date. `done` is called once, also within this call; after an error the wire is closed. */
export function setUpServer(hooks: PluginHooks, wire: Wire, server: ConnectedServer, timeoutMs: number, done: Done): void {
  let first = noFirstStatements;
  /** Made when there is something to wait for. */
  let setUp: SetUp | null = null;
  const settled = (error: PoolerError | null): void => done(error, error === null ? first : noFirstStatements);
  const question = hooks.serverConnect(server, ({ refusal, always, once }) => {
    first = always.map(queryOf);
    const queries = [...first, ...once.map(queryOf)];
    if (setUp === null && queries.length > 0 && refusal === null) setUp = new SetUp(wire, server, timeoutMs, settled);
    if (setUp !== null) {
      setUp.run(refusal, queries);
      return;
    }
    if (refusal !== null) wire.destroy();
    settled(refusal);
  });
  if (question !== null)
    setUp = new SetUp(wire, server, timeoutMs, (error) => {
      question.drop();
      settled(error);
    });
}

function queryOf(sql: Buffer): Buffer {
  const writer = new MessageWriter(sql.length + 16);
  return writer.begin(Frontend.QUERY).bytes(sql).byte(0).end().toBuffer();
}

class SetUp implements WireReader {
  readonly #wire: Wire;
  readonly #server: ConnectedServer;
  #queries: readonly Buffer[] | null = null;
  readonly #done: (error: PoolerError | null) => void;
  readonly #timeout: NodeJS.Timeout | null;
  #sent = 0;
  #kept: Buffer = Buffer.alloc(0);
  /** Bytes of a message that is skipped. */
  #skip = 0;
  #failure: PoolerError | null = null;
  #settled = false;

  constructor(wire: Wire, server: ConnectedServer, timeoutMs: number, done: (error: PoolerError | null) => void) {
    this.#wire = wire;
    this.#server = server;
    this.#done = done;
    this.#timeout = timeoutMs === 0 ? null : setTimeout(() => this.#settle(this.#error(`did not end within ${timeoutMs} ms`)), timeoutMs);
    wire.reader = this;
  }

  /** What plugins have said at last. */
  run(refusal: PoolerError | null, queries: readonly Buffer[]): void {
    if (this.#settled) return;
    this.#queries = queries;
    if (refusal === null) this.#next();
    else this.#settle(refusal);
  }

  #next(): void {
    const query = this.#queries?.[this.#sent++];
    if (query === undefined) this.#settle(null);
    else this.#wire.write(query, 0, query.length);
  }

  onBytes(chunk: Buffer, start: number, end: number): void {
    if (this.#settled) return;
    const skipped = Math.min(this.#skip, end - start);
    this.#skip -= skipped;
    const bytes = chunk.subarray(start + skipped, end);
    this.#kept = this.#kept.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#kept, bytes]);
    while (!this.#settled && this.#kept.length >= HEADER_BYTES) {
      const length = readInt32(this.#kept, 1);
      if (length < 4) {
        this.#settle(this.#error("were answered with what is no message"));
        return;
      }
      const stop = 1 + length;
      if (stop > this.#kept.length) {
        if (length <= largestKeptBytes) return;
        this.#skip = stop - this.#kept.length;
        this.#kept = Buffer.alloc(0);
        return;
      }
      const message = this.#kept.subarray(0, stop);
      this.#kept = this.#kept.subarray(stop);
      this.#take(message);
    }
  }

  onDrain(): void {}

  onClosed(error: Error | null): void {
    this.#settle(this.#error(`did not end: the server closed the connection${error === null ? "" : ` (${error.message})`}`));
  }

  #take(message: Buffer): void {
    switch (message[0]) {
      case Backend.ERROR_RESPONSE: {
        const { message: text, sqlstate } = readError(message, HEADER_BYTES, message.length);
        this.#failure ??= this.#error(`failed: ${text} (SQLSTATE ${sqlstate})`);
        return;
      }
      case Backend.PARAMETER_STATUS: {
        const parameter = readParameterStatus(message, HEADER_BYTES, message.length);
        if (parameter !== null) this.#server.parameters.set(parameter.name, parameter.value);
        return;
      }
      case Backend.COPY_IN_RESPONSE:
      case Backend.COPY_BOTH_RESPONSE:
        this.#settle(this.#error("want to be sent data"));
        return;
      case Backend.READY_FOR_QUERY:
        if (this.#queries === null) return; // nobody has asked for it
        if (this.#failure !== null) this.#settle(this.#failure);
        else if (message[HEADER_BYTES] !== TransactionStatus.IDLE) this.#settle(this.#error("leave a transaction open"));
        else this.#next();
        return;
    }
  }

  #error(what: string): PoolerError {
    if (this.#queries === null)
      return new PoolerError("SERVER_LOGIN_FAILED", `the plugins that were asked about ${this.#server.address} ${what}`);
    return new PoolerError("SERVER_LOGIN_FAILED", `the statements that plugins run first on ${this.#server.address} ${what}`);
  }

  #settle(error: PoolerError | null): void {
    if (this.#settled) return;
    this.#settled = true;
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    if (error !== null) this.#wire.destroy();
    this.#done(error);
  }
}
