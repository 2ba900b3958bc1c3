// Messages of a server as they came over the wire: type letter and body, with readers for the few kinds that tests look into.
// https://www.postgresql.org/docs/current/protocol-message-formats.html

export interface BackendMessage {
  /** The type letter, e.g. "Z" for ReadyForQuery. */
  readonly type: string;
  /** Without type and length. */
  readonly body: Buffer;
  toString(): string;
}

export interface FrameSplitter {
  push(chunk: Buffer): BackendMessage[];
}

export function createFrameSplitter(): FrameSplitter {
  let chunks: Buffer[] = [];
  let bytes = 0;
  /** So many are needed before another look is worth it: a message of many megabytes is put together once. */
  let wanted = 5;
  return {
    push(chunk) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes < wanted) {
        return [];
      }
      let rest = chunks.length === 1 ? chunk : Buffer.concat(chunks);
      const found: BackendMessage[] = [];
      wanted = 5;
      while (rest.length >= 5) {
        const end = 1 + rest.readInt32BE(1);
        if (rest.length < end) {
          wanted = end;
          break;
        }
        found.push(createMessage(String.fromCharCode(rest[0] ?? 0), rest.subarray(5, end)));
        rest = rest.subarray(end);
      }
      chunks = [rest];
      bytes = rest.length;
      return found;
    },
  };
}

function createMessage(type: string, body: Buffer): BackendMessage {
  return {
    type,
    body,
    toString() {
      switch (type) {
        case "E":
        case "N":
          return `${type}(${errorFields(this)["C"]} ${errorFields(this)["M"]})`;
        case "C":
          return `C(${commandTag(this)})`;
        case "Z":
          return `Z(${transactionState(this)})`;
        case "D":
          return `D(${rowValues(this).map(String).join(", ")})`;
        default:
          return type;
      }
    },
  };
}

/** The type letters of a conversation in one string, e.g. "12TDCZ". */
export function typesOf(messages: readonly BackendMessage[]): string {
  return messages.map((message) => message.type).join("");
}

/** Fields of an ErrorResponse or NoticeResponse by their letter: C is the SQLSTATE, M the message, H the hint, D the detail. */
export function errorFields(message: BackendMessage): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  for (const field of message.body.toString("utf8").split("\0")) {
    if (field !== "") {
      fields[field.charAt(0)] = field.slice(1);
    }
  }
  return fields;
}

/** The fields of the first ErrorResponse; undefined when there is none. */
export function errorIn(messages: readonly BackendMessage[]): Readonly<Record<string, string>> | undefined {
  const message = messages.find(({ type }) => type === "E");
  return message === undefined ? undefined : errorFields(message);
}

export function commandTag(message: BackendMessage): string {
  return cString(message.body, 0);
}

export function commandTags(messages: readonly BackendMessage[]): string[] {
  return messages.filter(({ type }) => type === "C").map(commandTag);
}

/** Of a ReadyForQuery: "I" idle, "T" in a transaction, "E" in a failed one. */
export function transactionState(message: BackendMessage): string {
  return String.fromCharCode(message.body[0] ?? 0);
}

/** Values of a DataRow as text; null for NULL. */
export function rowValues(message: BackendMessage): (string | null)[] {
  return rowBytes(message).map((value) => value?.toString("utf8") ?? null);
}

export function rowBytes({ body }: BackendMessage): (Buffer | null)[] {
  const values: (Buffer | null)[] = [];
  let offset = 2;
  for (let left = body.readUInt16BE(0); left > 0; left--) {
    const length = body.readInt32BE(offset);
    offset += 4;
    values.push(length < 0 ? null : body.subarray(offset, offset + length));
    offset += Math.max(length, 0);
  }
  return values;
}

/** All rows of a conversation. */
export function rowsOf(messages: readonly BackendMessage[]): (string | null)[][] {
  return messages.filter(({ type }) => type === "D").map(rowValues);
}

export interface Column {
  readonly name: string;
  readonly typeOid: number;
  readonly format: number;
}

/** Of a RowDescription. */
export function columnsOf({ body }: BackendMessage): Column[] {
  const columns: Column[] = [];
  let offset = 2;
  for (let left = body.readUInt16BE(0); left > 0; left--) {
    const name = cString(body, offset);
    offset += Buffer.byteLength(name) + 1;
    columns.push({ name, typeOid: body.readUInt32BE(offset + 6), format: body.readUInt16BE(offset + 16) });
    offset += 18;
  }
  return columns;
}

/** Of a ParameterDescription. */
export function parameterTypesOf({ body }: BackendMessage): number[] {
  return Array.from({ length: body.readUInt16BE(0) }, (_, index) => body.readUInt32BE(2 + 4 * index));
}

/** What ParameterStatus messages said last, by name. */
export function parameterStatuses(messages: readonly BackendMessage[]): Readonly<Record<string, string>> {
  const statuses: Record<string, string> = {};
  for (const { body } of messages.filter(({ type }) => type === "S")) {
    const [name = "", value = ""] = body.toString("utf8").split("\0");
    statuses[name] = value;
  }
  return statuses;
}

export interface BackendKey {
  readonly processId: number;
  readonly secretKey: number;
}

/** Of the BackendKeyData in a login, with a key of four bytes (protocol 3.0). */
export function backendKeyIn(messages: readonly BackendMessage[]): BackendKey | undefined {
  const message = messages.find(({ type }) => type === "K");
  return message === undefined ? undefined : { processId: message.body.readInt32BE(0), secretKey: message.body.readInt32BE(4) };
}

function cString(bytes: Buffer, start: number): string {
  return bytes.toString("utf8", start, bytes.indexOf(0, start));
}
