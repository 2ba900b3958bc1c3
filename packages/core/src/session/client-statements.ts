// The prepared statements of clients: a client's name stands for a text and parameter types that all clients share.

import { HEADER_BYTES } from "../protocol/codes.js";
import type { ParseMessage } from "../protocol/frontend.js";
import { createGlobalStatement, type GlobalStatement } from "../server/global-statement.js";
import { createLexed, lex } from "../sql/lexer.js";
import { effectsOf, type SessionEffects } from "./session-effects.js";

/** What is known of the text of a Parse message, found once for all clients that send it. */
export interface StatementInfo {
  readonly global: GlobalStatement;
  /** Command.* of the statement; of the first one where there are several. */
  readonly command: number;
  /** Statements in the text: PostgreSQL refuses more than one. */
  readonly count: number;
  readonly hazards: number;
  readonly flags: number;
  readonly effects: SessionEffects;
}

export interface ToldColumns {
  /** By columnsOf(); null: `global` is being asked. */
  readonly columns: string | null;
  /** What a server described; null: a plugin did. */
  readonly global: GlobalStatement | null;
  /** Who rewrote the statement or answered in its place, "" for nobody. */
  readonly plugin: string;
}

/** One client's statement. */
export interface ClientStatement {
  readonly name: string;
  readonly info: StatementInfo;
  /** The columns that the client was told; null: it did not ask. */
  told: ToldColumns | null;
  /** What a plugin made of it last. */
  standIn: GlobalStatement | null;
  /** Its Parse was answered here; in session mode the server has yet to be told of the name. */
  unsent: boolean;
}

/**
 * A client's statements by their names: the map is there for those who name any. The unnamed one comes
 * and goes with every query of many clients.
 */
export class ClientStatements {
  #unnamed: ClientStatement | undefined = undefined;
  #byName: Map<string, ClientStatement> | null = null;

  get size(): number {
    return (this.#byName === null ? 0 : this.#byName.size) + (this.#unnamed === undefined ? 0 : 1);
  }

  get(name: string): ClientStatement | undefined {
    return name === "" ? this.#unnamed : this.#byName?.get(name);
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  set(name: string, statement: ClientStatement): void {
    if (name === "") {
      this.#unnamed = statement;
      return;
    }
    this.#byName ??= new Map();
    this.#byName.set(name, statement);
  }

  /** Was there one? */
  delete(name: string): boolean {
    if (name !== "") return this.#byName?.delete(name) === true;
    const known = this.#unnamed !== undefined;
    this.#unnamed = undefined;
    return known;
  }

  clear(): void {
    this.#unnamed = undefined;
    this.#byName = null;
  }

  /** The client's name of the statement that servers know as `global`; null when it has none. */
  nameOf(global: string): string | null {
    if (this.#unnamed !== undefined && isKnownAs(this.#unnamed, global)) return "";
    if (this.#byName === null) return null;
    for (const [name, statement] of this.#byName) if (isKnownAs(statement, global)) return name;
    return null;
  }
}

function isKnownAs({ info, standIn }: ClientStatement, global: string): boolean {
  return info.global.name === global || standIn?.name === global;
}

/** A text of a Parse message that came not long ago. */
interface RecentText {
  readonly info: StatementInfo;
  readonly reading: string;
  readonly standardStrings: boolean;
}

/** At most so many slots for recent texts; a power of two. */
const mostRecentSlots = 4096;
/** Longer ones take none: whatever is in a slot stays there until another comes. */
const longestRecentBytes = 4096;
/** Texts that are remembered have so many bytes together, however few they are. */
const mostTextBytes = 32 << 20;
/** Of a longer text only its beginning and its end find the slot. */
const hashedBytes = 256;

export class StatementRegistry {
  readonly #byText = new Map<string, StatementInfo>();
  readonly #limit: number;
  readonly #lexed = createLexed();
  /** By a hash of the bytes, the last one that fell into each slot: found without making a string of the text. */
  readonly #recent: (RecentText | undefined)[];
  /** Of the texts in #byText. */
  #textBytes = 0;
  #readings = 0;

  /** `limit`: texts that are remembered though nobody may use them any more. */
  constructor(limit: number) {
    this.#limit = limit;
    const slots = Math.min(mostRecentSlots, 2 ** Math.ceil(Math.log2(limit)));
    this.#recent = new Array<RecentText | undefined>(slots).fill(undefined);
  }

  get size(): number {
    return this.#byText.size;
  }

  /** A `reading` (see Settings) that nobody else has. */
  uniqueReading(): string {
    return `\0${++this.#readings}`;
  }

  /** `parse` has been read from `buffer`; its body ends at `end`. `reading`: see Settings. */
  intern(buffer: Buffer, parse: ParseMessage, end: number, reading: string, standardStrings: boolean): StatementInfo {
    // Text, NUL, count and type OIDs stand side by side in the message: together they are the key.
    if (end - parse.sqlStart > longestRecentBytes) return this.#internText(buffer, parse, end, reading, standardStrings);
    const slot = hashOf(buffer, parse.sqlStart, end) & (this.#recent.length - 1);
    const recent = this.#recent[slot];
    if (
      recent !== undefined &&
      recent.standardStrings === standardStrings &&
      recent.reading === reading &&
      isText(recent.info.global, buffer, parse.sqlStart, end)
    )
      return recent.info;
    const info = this.#internText(buffer, parse, end, reading, standardStrings);
    this.#recent[slot] = { info, reading, standardStrings };
    return info;
  }

  #internText(buffer: Buffer, parse: ParseMessage, end: number, reading: string, standardStrings: boolean): StatementInfo {
    const key = `${standardStrings ? "s" : "b"}${reading}\0${buffer.latin1Slice(parse.sqlStart, end)}`;
    const known = this.#byText.get(key);
    if (known !== undefined) return known;
    const sql = Buffer.from(buffer.subarray(parse.sqlStart, parse.sqlEnd));
    return this.#add(key, sql, parse.typeOids(buffer), standardStrings);
  }

  /** A text that a plugin made. */
  internText(sql: Buffer, typeOids: readonly number[], reading: string, standardStrings: boolean): StatementInfo {
    const key = `${standardStrings ? "S" : "B"}${reading}\0${typeOids.join()}\0${sql.latin1Slice()}`;
    return this.#byText.get(key) ?? this.#add(key, sql, typeOids, standardStrings);
  }

  #add(key: string, sql: Buffer, typeOids: readonly number[], standardStrings: boolean): StatementInfo {
    const lexed = this.#lexed;
    lex(sql, 0, sql.length, standardStrings, lexed);
    const info: StatementInfo = {
      global: createGlobalStatement(sql, typeOids, standardStrings),
      command: lexed.count === 0 ? 0 : (lexed.commands[0] as number),
      count: lexed.count,
      hazards: lexed.hazards,
      flags: lexed.flags,
      effects: effectsOf(sql, lexed),
    };
    this.#textBytes += key.length;
    // The oldest go; clients and servers that use them keep them.
    while (this.#byText.size > 0 && (this.#byText.size >= this.#limit || this.#textBytes > mostTextBytes)) {
      const [oldest] = this.#byText.keys();
      this.#byText.delete(oldest as string);
      this.#textBytes -= (oldest as string).length;
    }
    this.#byText.set(key, info);
    return info;
  }
}

function hashOf(buffer: Buffer, start: number, end: number): number {
  let hash = end - start;
  const long = end - start > 2 * hashedBytes;
  for (let i = start, stop = long ? start + hashedBytes : end; i < stop; i++) hash = Math.imul(hash ^ (buffer[i] as number), 0x01000193);
  if (long) for (let i = end - hashedBytes; i < end; i++) hash = Math.imul(hash ^ (buffer[i] as number), 0x01000193);
  return hash ^ (hash >>> 15);
}

/** Is what stands behind the name in the statement's Parse message the same as these bytes? */
function isText({ parseMessage, nameBytes }: GlobalStatement, buffer: Buffer, start: number, end: number): boolean {
  const from = HEADER_BYTES + nameBytes.length + 1;
  const length = end - start;
  if (parseMessage.length - from !== length) return false;
  if (length > hashedBytes) return buffer.compare(parseMessage, from, parseMessage.length, start, end) === 0;
  for (let i = 0; i < length; i++) if (parseMessage[from + i] !== buffer[start + i]) return false;
  return true;
}
