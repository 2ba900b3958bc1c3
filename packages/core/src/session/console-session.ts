// A client of the console: simple queries only, each run by the supervisor, which knows all workers.
import { PoolerError } from "../base/errors.js";
import type { UserConfig } from "../config/types.js";
import {
  writeCommandComplete,
  writeEmpty,
  writeError,
  writeParameterStatus,
  writePoolerError,
  writeReadyForQuery,
} from "../protocol/backend.js";
import { Backend, Frontend, HEADER_BYTES, TransactionStatus } from "../protocol/codes.js";
import { consoleTypes } from "../protocol/console-types.js";
import { MessageWriter, readInt32 } from "../protocol/message-writer.js";
import type { ConsoleResult } from "../supervisor/ipc.js";
import type { Wire, WireReader } from "../wire/wire.js";

export interface ConsoleOptions {
  readonly wire: Wire;
  readonly user: UserConfig;
  readonly version: string;
  readonly run: (sql: string) => Promise<ConsoleResult>;
  readonly onEnd: (session: ConsoleSession) => void;
}

const largestCommandBytes = 64 * 1024;

export class ConsoleSession implements WireReader {
  readonly #options: ConsoleOptions;
  readonly #writer = new MessageWriter(4096);
  #kept: Buffer = Buffer.alloc(0);
  #busy = false;
  #full = false;
  #ended = false;
  /** After an extended message: nothing is taken until Sync. */
  #skipping = false;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    options.wire.reader = this;
    const hello = this.#writer.reset();
    const parameters = {
      server_version: `${options.version}/pooler`,
      server_encoding: "UTF8",
      client_encoding: "UTF8",
      DateStyle: "ISO, MDY",
      TimeZone: "UTC",
      standard_conforming_strings: "on",
      integer_datetimes: "on",
      is_superuser: "off",
    };
    for (const [name, value] of Object.entries(parameters)) writeParameterStatus(hello, name, value);
    hello.begin(Backend.BACKEND_KEY_DATA).int32(0).int32(0).end();
    writeReadyForQuery(hello, TransactionStatus.IDLE);
    this.#send();
  }

  onBytes(chunk: Buffer, start: number, end: number): void {
    this.#kept = Buffer.concat([this.#kept, chunk.subarray(start, end)]);
    this.#read();
  }

  onDrain(): void {
    this.#read();
  }

  onClosed(): void {
    this.#end();
  }

  close(): void {
    if (this.#ended) return;
    this.#refuse(new PoolerError("SHUTTING_DOWN", "the pooler is stopping"));
  }

  #read(): void {
    this.#take();
    // Who sends commands faster than they are answered, or reads no answers, waits.
    const full = !this.#ended && this.#kept.length > largestCommandBytes;
    if (full === this.#full) return;
    this.#full = full;
    if (full) this.#options.wire.pause();
    else this.#options.wire.resume();
  }

  #take(): void {
    while (!this.#busy && !this.#ended && !this.#options.wire.congested && this.#kept.length >= HEADER_BYTES) {
      const type = this.#kept[0] as number;
      const length = readInt32(this.#kept, 1);
      if (length < 4 || length > largestCommandBytes) {
        this.#refuse(new PoolerError("PROTOCOL_VIOLATION", `invalid message length ${length}`));
        return;
      }
      if (this.#kept.length < 1 + length) return;
      const body = this.#kept.subarray(HEADER_BYTES, 1 + length);
      this.#kept = this.#kept.subarray(1 + length);
      this.#handle(type, body);
    }
  }

  #handle(type: number, body: Buffer): void {
    switch (type) {
      case Frontend.QUERY:
        if (!this.#skipping) this.#run(body.toString("utf8", 0, Math.max(0, body.length - 1)));
        return;
      case Frontend.TERMINATE:
        this.#end();
        this.#options.wire.destroy();
        return;
      case Frontend.SYNC:
        this.#skipping = false;
        writeReadyForQuery(this.#writer.reset(), TransactionStatus.IDLE);
        this.#send();
        return;
      case Frontend.PARSE:
      case Frontend.BIND:
      case Frontend.DESCRIBE:
      case Frontend.EXECUTE:
      case Frontend.CLOSE:
        if (this.#skipping) return;
        this.#skipping = true;
        writePoolerError(this.#writer.reset(), new PoolerError("NOT_SUPPORTED", "the console takes simple queries only"));
        this.#send();
        return;
      case Frontend.FLUSH:
        return;
      default:
        this.#refuse(new PoolerError("PROTOCOL_VIOLATION", `unexpected message type 0x${type.toString(16)}`));
    }
  }

  #run(sql: string): void {
    this.#busy = true;
    void this.#options.run(sql).then((result) => {
      this.#busy = false;
      if (this.#ended) return;
      this.#answer(result);
      this.#read();
    });
  }

  #answer(result: ConsoleResult): void {
    const to = this.#writer.reset();
    if (result.ok) {
      for (const message of result.notices) writeError(to, { severity: "NOTICE", sqlstate: "00000", message });
      if (result.columns.length > 0) {
        to.begin(Backend.ROW_DESCRIPTION).int16(result.columns.length);
        for (const { name, type } of result.columns)
          to.cstring(name).int32(0).int16(0).int32(consoleTypes[type].oid).int16(consoleTypes[type].size).int32(-1).int16(0);
        to.end();
        for (const row of result.rows) {
          to.begin(Backend.DATA_ROW).int16(row.length);
          for (const value of row) {
            if (value === null) to.int32(-1);
            else to.int32(Buffer.byteLength(value)).text(value);
          }
          to.end();
        }
      }
      if (result.tag === "") writeEmpty(to, Backend.EMPTY_QUERY_RESPONSE);
      else writeCommandComplete(to, result.tag);
    } else {
      writeError(to, { severity: "ERROR", sqlstate: result.sqlstate, message: result.message, hint: result.hint });
    }
    writeReadyForQuery(to, TransactionStatus.IDLE);
    this.#send();
  }

  #refuse(error: PoolerError): void {
    writePoolerError(this.#writer.reset(), error, "FATAL");
    this.#send();
    this.#options.wire.end();
    this.#end();
  }

  #send(): void {
    this.#options.wire.write(this.#writer.buffer, 0, this.#writer.length);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onEnd(this);
  }
}
