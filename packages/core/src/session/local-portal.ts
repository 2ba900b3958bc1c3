// A portal that lives in the pooler: the rows that a plugin answered a statement with, in the client's formats, given out
// as Execute asks for them. Also the answer to a simple query.
import { PoolerError } from "../base/errors.js";
import type { ChainDecision, InterceptColumn } from "../plugins/types.js";
import { writeCommandComplete, writeEmpty } from "../protocol/backend.js";
import { Backend } from "../protocol/codes.js";
import type { MessageWriter } from "../protocol/message-writer.js";
import { encodeText } from "./client-encoding.js";
import { convertValue } from "./convert-value.js";

type Intercept = NonNullable<ChainDecision["intercept"]>;

export class LocalPortal {
  readonly #columns: readonly InterceptColumn[];
  readonly #encoding: string;
  readonly #values: readonly (Buffer | null)[];
  readonly #formats: readonly number[];
  readonly #rowCount: number;
  readonly #tag: string;
  /** Rows that were given out. */
  position = 0;

  /** `formats`: none (text), one for all, or one for each column, as Bind says. `plugin` is named in errors; `encoding`: the client's. */
  constructor(intercept: Intercept, formats: readonly number[], plugin: string, encoding: string) {
    const { columns, values, rowCount } = intercept;
    if (formats.length > 1 && formats.length !== columns.length) {
      throw new PoolerError(
        "PROTOCOL_VIOLATION",
        `bind message has ${formats.length} result formats but query has ${columns.length} columns`,
      );
    }
    this.#columns = columns;
    this.#encoding = encoding;
    this.#formats = columns.map((_, i) => formats[formats.length === 1 ? 0 : i] ?? 0);
    this.#rowCount = rowCount;
    this.#tag = intercept.commandTag;
    const same = columns.every((column, i) => column.format === this.#formats[i]);
    this.#values = same
      ? values
      : values.map((value, i) => {
          const column = columns[i % columns.length] as InterceptColumn;
          return value === null ? null : convertValue(value, column, this.#formats[i % columns.length] as number, plugin);
        });
  }

  get hasColumns(): boolean {
    return this.#columns.length > 0;
  }

  /** RowDescription, or NoData for a statement without columns. */
  describe(to: MessageWriter): void {
    describeColumns(to, this.#columns, this.#formats, this.#encoding);
  }

  /** DataRows up to `limit` (0: all), then CommandComplete or PortalSuspended. */
  execute(to: MessageWriter, limit: number): void {
    const width = this.#columns.length;
    const stop = limit === 0 ? this.#rowCount : Math.min(this.#rowCount, this.position + limit);
    for (; this.position < stop; this.position++) {
      to.begin(Backend.DATA_ROW).int16(width);
      for (let i = 0; i < width; i++) {
        const value = this.#values[this.position * width + i] ?? null;
        if (value === null) to.int32(-1);
        else to.int32(value.length).bytes(value);
      }
      to.end();
    }
    if (limit !== 0 && stop < this.#rowCount) writeEmpty(to, Backend.PORTAL_SUSPENDED);
    else writeCommandComplete(to, this.#tag);
  }
}

export function describeColumns(
  to: MessageWriter,
  columns: readonly InterceptColumn[],
  formats: readonly number[],
  encoding: string,
): void {
  if (columns.length === 0) {
    writeEmpty(to, Backend.NO_DATA);
    return;
  }
  to.begin(Backend.ROW_DESCRIPTION).int16(columns.length);
  columns.forEach((column, i) => {
    to.bytes(encodeText(column.name, encoding))
      .byte(0)
      .int32(0)
      .int16(0)
      .int32(column.typeOid)
      .int16(column.typeSize)
      .int32(column.typeModifier)
      .int16(formats[i] ?? 0);
  });
  to.end();
}
