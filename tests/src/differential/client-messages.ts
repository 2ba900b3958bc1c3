// What a client sends, as data: printed in a failure, shrunk, and pasted into a test. Knows how each message is written, not what
// is answered.
import { messages as write } from "../harness/wire-client.js";

/** A number stands for so many "x". */
export type ParameterValue = string | null | number;

export type ClientMessage =
  | readonly ["Query", sql: string]
  | readonly ["Parse", statement: string, sql: string]
  | readonly ["Bind", portal: string, statement: string, values: readonly ParameterValue[], results?: "text" | "binary"]
  | readonly ["Describe", what: "S" | "P", name: string]
  | readonly ["Execute", portal: string, rows: number]
  | readonly ["Close", what: "S" | "P", name: string]
  | readonly ["Flush"]
  | readonly ["Sync"]
  | readonly ["CopyData", text: string]
  | readonly ["CopyDone"]
  | readonly ["CopyFail", reason: string];

/** One write. The next one follows when everything that it makes PostgreSQL answer has come. */
export type ClientStep = readonly ClientMessage[];

export type ClientSequence = readonly ClientStep[];

export function bytesOf(step: ClientStep): Uint8Array {
  return Buffer.concat(step.map(bytesOfMessage));
}

function bytesOfMessage(message: ClientMessage): Uint8Array {
  switch (message[0]) {
    case "Query":
      return write.query(message[1]);
    case "Parse":
      return write.parse({ name: message[1], text: message[2] });
    case "Bind": {
      const values = message[3].map((value) => (typeof value === "number" ? "x".repeat(value) : value));
      return write.bind({ portal: message[1], statement: message[2], values, binary: message[4] === "binary" });
    }
    case "Describe":
      return write.describe({ type: message[1], name: message[2] });
    case "Execute":
      return write.execute({ portal: message[1], rows: message[2] });
    case "Close":
      return write.close({ type: message[1], name: message[2] });
    case "Flush":
      return write.flush();
    case "Sync":
      return write.sync();
    case "CopyData":
      return write.copyData(Buffer.from(message[1]));
    case "CopyDone":
      return write.copyDone();
    case "CopyFail":
      return write.copyFail(message[1]);
  }
}

/** One line a step, as it would stand in a test. */
export function printed(sequence: ClientSequence): string {
  return sequence.map((step) => `  [${step.map((message) => JSON.stringify(message)).join(", ")}],`).join("\n");
}
