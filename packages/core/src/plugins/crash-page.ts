// A page of memory that a worker shares with its supervisor. Before each call into a plugin the worker notes there which
// plugin and hook it is, so that the supervisor can say who was running when a worker died, and sees a call that does not
// return. Works with nobody listening.
import { readSync, writeSync } from "node:fs";
import { createSharedPage, mapSharedPage, sharedPageBytes } from "../base/shared-page.js";

const usedBytes = 12;

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
}

export interface CrashRecord {
  readonly plugin: number;
  readonly hook: CrashHookName;
  /** Number of the call: as long as it is the same, so is the call. */
  readonly call: number;
}

class MappedCrashPage implements CrashPage {
  /** 0: position of the plugin + 1, or 0 while none runs. 1: hook. 2: number of the call. */
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
}

/** Map the page behind an inherited descriptor; with null it is memory that nobody else sees. */
export function openCrashPage(fd: number | null): CrashPage {
  return new MappedCrashPage(new Uint32Array(fd === null ? new ArrayBuffer(sharedPageBytes) : mapSharedPage(fd)));
}

/** The supervisor's side: a descriptor to give to one worker. Nothing of it stays in the file system. */
export const createCrashPage = createSharedPage;

/** Who is running, or was when the worker died; null when it is not in a plugin. */
export function readCrashPage(fd: number): CrashRecord | null {
  const bytes = Buffer.alloc(usedBytes);
  if (readSync(fd, bytes, 0, usedBytes, 0) !== usedBytes) return null;
  const plugin = bytes.readUInt32LE(0);
  const hook = bytes.readUInt32LE(4);
  if (plugin === 0) return null;
  const name = (Object.keys(crashHooks) as CrashHookName[]).find((candidate) => crashHooks[candidate] === hook);
  return name === undefined ? null : { plugin: plugin - 1, hook: name, call: bytes.readUInt32LE(8) };
}

/** Before the page is given to the next worker. */
export function clearCrashPage(fd: number): void {
  writeSync(fd, Buffer.alloc(usedBytes), 0, usedBytes, 0);
}
