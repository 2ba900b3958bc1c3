// One client of the randomized test: it knows what its own session must look like, and takes everything else for somebody else's. What it
// asks carries a word that nobody else uses, so that each answer proves whose it is.
import { connect } from "node:net";
import type { Random } from "../differential/random.js";
import { type BackendMessage, backendKeyIn, commandTags, errorIn, rowsOf, transactionState } from "../harness/backend-message.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";

export interface Ground {
  readonly port: number;
  readonly database: string;
  /** The server stays with a client that has made a temporary table. */
  readonly pins: boolean;
  /** How long a client waits for an answer. */
  readonly waitLimitMs: number;
  /** Its servers go away now and then: a connection or a statement may be lost, an answer may not be another's. */
  readonly losesServers: boolean;
  /** Rows that are in the table for certain, and those of clients that left before they heard. */
  readonly written: Set<string>;
  readonly perhapsWritten: Set<string>;
  /** How often each act came to its end. */
  readonly acts: Map<string, number>;
}

/** The pooler had no server in time, or lost it: that is to be expected, and nothing is wrong. */
export class Refused extends Error {}

/** What a client may be told when a server went away under it; 08007: behind others, and it may have written. */
const lost = /^(0800[67]|57P0[1-3])$/;

export class Player {
  readonly tag: string;
  readonly ground: Ground;
  readonly random: Random;
  /** By name, as SHOW has to answer. */
  readonly settings = new Map<string, string>();
  /** Statements that it has prepared: what stands in them. */
  readonly prepared = new Map<string, string>();
  /** Has no settings of its own. */
  readonly plain: boolean;
  readonly history: string[] = [];
  pinned = false;
  #client: WireClient | null = null;
  #key = { processId: 0, secretKey: 0 };
  #words = 0;

  constructor(ground: Ground, tag: string, random: Random) {
    this.ground = ground;
    this.tag = tag;
    this.random = random;
    // Statements share a server with those of sessions with the same settings: most have the server's own, and keep them.
    this.plain = random.percent(75);
    if (!this.plain) this.settings.set("application_name", tag);
  }

  get client(): WireClient {
    if (this.#client === null) throw new Error("not connected");
    return this.#client;
  }

  async connect(): Promise<void> {
    this.#client = await connectWire({ port: this.ground.port, waitLimitMs: this.ground.waitLimitMs });
    const greeting = await this.#client.login({ user: "app", database: this.ground.database, ...Object.fromEntries(this.settings) });
    this.#key = backendKeyIn(greeting) ?? this.#key;
  }

  /** A word that nobody else has used. */
  word(): string {
    return `${this.tag}.${++this.#words}`;
  }

  note(text: string): void {
    this.history.push(text.length > 200 ? `${text.slice(0, 200)}…` : text);
    if (this.history.length > 12) this.history.shift();
  }

  /** A simple query, all its messages; throws Refused when there was no server for it. */
  async ask(sql: string): Promise<BackendMessage[]> {
    this.note(sql);
    return this.checked(await this.client.query(sql));
  }

  send(...parts: readonly Uint8Array[]): void {
    this.client.send(...parts);
  }

  async answer(): Promise<BackendMessage[]> {
    return this.checked(await this.client.until("Z"));
  }

  checked(answer: BackendMessage[]): BackendMessage[] {
    const code = errorIn(answer)?.["C"];
    if (code === "53300" || (this.ground.losesServers && code !== undefined && lost.test(code))) throw new Refused();
    return answer;
  }

  /** The answer to sql has exactly these rows, and the session is in no transaction. */
  async expectRows(sql: string, rows: readonly (readonly (string | null)[])[], state = "I"): Promise<void> {
    this.expectAnswer(await this.ask(sql), rows, state);
  }

  expectAnswer(answer: readonly BackendMessage[], rows: readonly (readonly (string | null)[])[], state = "I"): void {
    const error = errorIn(answer);
    if (error !== undefined) throw new Error(`an error that is not ours: ${error["C"]} ${error["M"]}`);
    this.#expect("rows", JSON.stringify(rowsOf(answer)), JSON.stringify(rows));
    this.expectState(answer, state);
  }

  expectState(answer: readonly BackendMessage[], state: string): void {
    const last = answer.at(-1);
    this.#expect("transaction", last === undefined ? "nothing" : transactionState(last), state);
  }

  /** An error with this code, and this in its message. */
  expectError(answer: readonly BackendMessage[], code: string, part: string, state = "I"): void {
    const error = errorIn(answer);
    if (error?.["C"] !== code || error["M"]?.includes(part) !== true)
      throw new Error(`expected error ${code} with "${part}", got ${answer.map(String).join(" ").slice(0, 300)}`);
    this.expectState(answer, state);
  }

  async expectTag(sql: string, tag: string, state = "I"): Promise<void> {
    const answer = await this.ask(sql);
    if (errorIn(answer) !== undefined || commandTags(answer).at(-1) !== tag)
      throw new Error(`expected ${tag}, got ${answer.map(String).join(" ").slice(0, 300)}`);
    this.expectState(answer, state);
  }

  #expect(what: string, found: string, wanted: string): void {
    if (found !== wanted) throw new Error(`${what}: expected ${wanted.slice(0, 300)}, got ${found.slice(0, 300)}`);
  }

  /** Sends a cancel request for itself. */
  cancel(): Promise<void> {
    return sendCancel(this.ground.port, this.#key);
  }

  /** Gone, in one way or the other; what it was doing is left as it is. */
  leave(): void {
    const client = this.#client;
    this.#client = null;
    if (client === null) return;
    // What arrives after it is gone is nobody's concern.
    client.closed.catch(() => {});
    if (this.random.percent(40)) client.reset();
    else if (this.random.percent(50)) client.end();
    else {
      client.send(messages.end());
      client.end();
    }
  }
}

/** Sends a cancel request on a connection of its own; resolves when that is closed. */
export function sendCancel(port: number, key: { readonly processId: number; readonly secretKey: number }): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => {
      socket.write(messages.cancel(key.processId, key.secretKey));
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    socket.resume();
  });
}
