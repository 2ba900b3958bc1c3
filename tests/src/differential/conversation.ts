// Runs a sequence on a connection and writes down what was answered, without what differs from connection to connection.
import { createHash } from "node:crypto";
import { type BackendMessage, commandTag, errorFields, parameterTypesOf, rowBytes, transactionState } from "../harness/backend-message.js";
import type { WireClient } from "../harness/wire-client.js";
import { AwaitedReplies } from "./awaited-replies.js";
import { bytesOf, type ClientSequence } from "./client-messages.js";

/** What each step was answered, a line a message. */
export type Transcript = readonly (readonly string[])[];

const answerLimitMs = 4_000;

export interface ConversationOptions {
  /** Called before each step: others take servers and give them back meanwhile. */
  readonly beforeStep?: () => void;
}

export async function converse(
  client: WireClient,
  greeting: readonly BackendMessage[],
  sequence: ClientSequence,
  { beforeStep }: ConversationOptions = {},
): Promise<Transcript> {
  const awaited = new AwaitedReplies();
  const parameters = new Map<string, string>();
  for (const message of greeting) takeParameter(parameters, message);
  const transcript: string[][] = [];
  let isIdle = false;
  for (const step of sequence) {
    beforeStep?.();
    const answer: string[] = [];
    transcript.push(answer);
    client.send(bytesOf(step));
    awaited.sent(step);
    while (!awaited.allThere) {
      const message = await nextOf(client);
      if (typeof message === "string") {
        answer.push(message);
        return transcript;
      }
      awaited.received(message);
      if (message.type === "S") {
        takeParameter(parameters, message);
        continue;
      }
      // A held SET is reported with the statement that takes a server, and what RESET goes back to behind ReadyForQuery: what counts
      // is what the client knows when it goes on.
      if (isIdle) answer.push(`knew ${[...parameters].join(" ")}`);
      answer.push(lineOf(message));
      isIdle = message.type === "Z" && transactionState(message) === "I";
    }
  }
  return transcript;
}

async function nextOf(client: WireClient): Promise<BackendMessage | string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve("nothing more came"), answerLimitMs);
  });
  try {
    return await Promise.race([client.next().catch((error: Error) => `no answer: ${error.message}`), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What clients hear of in their greeting and behind SET. */
function takeParameter(parameters: Map<string, string>, { type, body }: BackendMessage): void {
  if (type !== "S") return;
  const [name = "", value = ""] = body.toString("latin1").split("\0");
  parameters.delete(name);
  parameters.set(name, value);
  const sorted = [...parameters].sort(([a], [b]) => (a < b ? -1 : 1));
  parameters.clear();
  for (const [key, kept] of sorted) parameters.set(key, kept);
}

function lineOf(message: BackendMessage): string {
  switch (message.type) {
    case "E":
    case "N":
      return `${message.type} ${spokenFields(message)}`;
    case "C":
      return `C ${commandTag(message)}`;
    case "Z":
      return `Z ${transactionState(message)}`;
    case "D":
      return `D ${rowBytes(message)
        .map((value) => (value === null ? "NULL" : JSON.stringify(shortened(value))))
        .join(", ")}`;
    case "d":
      return `d ${JSON.stringify(shortened(message.body))}`;
    case "T":
      return `T ${describedColumns(message)}`;
    case "t":
      return `t ${parameterTypesOf(message).join(", ")}`;
    default:
      return message.body.length === 0 ? message.type : `${message.type} ${message.body.toString("hex")}`;
  }
}

/** Where in PostgreSQL's sources a message was raised is no part of what it says: file, line, routine. */
function spokenFields(message: BackendMessage): string {
  const { F: _file, L: _line, R: _routine, ...spoken } = errorFields(message);
  return Object.entries(spoken)
    .map(([letter, value]) => `${letter}:${value.length > 300 ? shortened(Buffer.from(value)) : value}`)
    .sort()
    .join(" | ");
}

function shortened(bytes: Buffer): string {
  if (bytes.length <= 200) return bytes.toString("latin1");
  return `${bytes.length} bytes, sha1 ${createHash("sha1").update(bytes).digest("hex")}`;
}

/** Names, column numbers, types, sizes, modifiers, formats; of the table only whether there is one: its OID is another in every database. */
function describedColumns({ body }: BackendMessage): string {
  const columns: string[] = [];
  let offset = 2;
  for (let left = body.readUInt16BE(0); left > 0; left--) {
    const end = body.indexOf(0, offset);
    const name = body.toString("latin1", offset, end);
    const fields = [
      body.readUInt32BE(end + 1) === 0 ? 0 : "table",
      body.readUInt16BE(end + 5),
      body.readUInt32BE(end + 7),
      body.readInt16BE(end + 11),
      body.readInt32BE(end + 13),
      body.readUInt16BE(end + 17),
    ];
    columns.push(`${name}:${fields.join("/")}`);
    offset = end + 19;
  }
  return columns.join(", ");
}
