// A page of memory that a worker shares with its supervisor. Before each call into a plugin the worker notes there which
// plugin and hook it is, so that the supervisor can say who was running when a worker died, and sees a call that does not
// return. Works with nobody listening.
//
//   place 0   the call of the event loop: while it does not return, nothing else happens in the worker
//   place 1…  one for each call on a thread
import { readSync, writeSync } from "node:fs";
import { createSharedPage, mapSharedPage, sharedPageBytes } from "../base/shared-page.js";

/** Position of the plugin + 1 or 0 while none runs, hook, number of the call, nothing. */
const placeBytes = 16;
const placeWords = placeBytes / 4;
/** For calls on threads. */
export const mostCrashPlaces = sharedPageBytes / placeBytes - 1;

/** Calls into a plugin's library, numbered for the page. */
export const crashHooks = {
  load: 1,
  info: 2,
  create: 3,
  destroy: 4,
  route_query: 5,
  fetch_output: 6,
  learn_statement: 7,
  forget_statement: 8,
  client_connect: 9,
  client_disconnect: 10,
  server_connect: 11,
  query_end: 12,
  result_row: 13,
  reload: 14,
} as const;

export type CrashHookName = keyof typeof crashHooks;
export type CrashHook = (typeof crashHooks)[CrashHookName];

/** The worker's side. */
export interface CrashPage {
  /** `plugin`: 0-based position in the configuration. */
  enter(plugin: number, hook: CrashHook): void;
  leave(): void;
  /** The same for a call on a thread. `place`: 1 to mostCrashPlaces. */
  enterPlace(place: number, plugin: number, hook: CrashHook): void;
  leavePlace(place: number): void;
  /** The process ends, and it is not for calls that still run on threads. */
  leaveAllPlaces(): void;
}

export interface CrashRecord {
  readonly plugin: number;
  readonly hook: CrashHookName;
  /** Number of the call: as long as it is the same, so is the call. */
  readonly call: number;
}

class MappedCrashPage implements CrashPage {
  readonly #words: Uint32Array;

  constructor(words: Uint32Array) {
    this.#words = words;
  }

  enter(plugin: number, hook: CrashHook): void {
    this.#words[2] = (this.#words[2] as number) + 1;
    this.#words[1] = hook;
    this.#words[0] = plugin + 1;
  }

  leave(): void {
    this.#words[0] = 0;
  }

  enterPlace(place: number, plugin: number, hook: CrashHook): void {
    const word = place * placeWords;
    this.#words[word + 2] = (this.#words[word + 2] as number) + 1;
    this.#words[word + 1] = hook;
    this.#words[word] = plugin + 1;
  }

  leavePlace(place: number): void {
    this.#words[place * placeWords] = 0;
  }

  leaveAllPlaces(): void {
    for (let place = 1; place <= mostCrashPlaces; place++) this.leavePlace(place);
  }
}

/** Map the page behind an inherited descriptor; with null it is memory that nobody else sees. */
export function openCrashPage(fd: number | null): CrashPage {
  return new MappedCrashPage(new Uint32Array(fd === null ? new ArrayBuffer(sharedPageBytes) : mapSharedPage(fd)));
}

/** The supervisor's side: a descriptor to give to one worker. Nothing of it stays in the file system. */
export const createCrashPage = createSharedPage;

/** Whom the event loop is running, or was when the worker died; null when it is not in a plugin. */
export function readCrashPage(fd: number): CrashRecord | null {
  const bytes = Buffer.alloc(placeBytes);
  return readSync(fd, bytes, 0, placeBytes, 0) === placeBytes ? recordAt(bytes, 0) : null;
}

/** Who is running on threads, or was when the worker died. */
export function readCrashPlaces(fd: number): readonly CrashRecord[] {
  const bytes = Buffer.alloc(sharedPageBytes);
  const records: CrashRecord[] = [];
  readSync(fd, bytes, 0, sharedPageBytes, 0);
  for (let at = placeBytes; at < sharedPageBytes; at += placeBytes) {
    const record = recordAt(bytes, at);
    if (record !== null) records.push(record);
  }
  return records;
}

function recordAt(bytes: Buffer, at: number): CrashRecord | null {
  const plugin = bytes.readUInt32LE(at);
  const hook = bytes.readUInt32LE(at + 4);
  if (plugin === 0) return null;
  const name = (Object.keys(crashHooks) as CrashHookName[]).find((candidate) => crashHooks[candidate] === hook);
  return name === undefined ? null : { plugin: plugin - 1, hook: name, call: bytes.readUInt32LE(at + 8) };
}

/** Before the page is given to the next worker. */
export function clearCrashPage(fd: number): void {
  writeSync(fd, Buffer.alloc(sharedPageBytes), 0, sharedPageBytes, 0);
}
