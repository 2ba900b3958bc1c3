// A plugin as the chain calls it: bound exports and what its handshake said. The loader makes it; nothing here knows how.
import { constants } from "@pooler/plugin-abi";
import type { OnPluginError, PluginConfig } from "../config/types.js";

/** A plugin with one of these bits reads what the grammar knows of a statement. */
export const factCapabilities = constants.POOLER_CAP_FACTS | constants.POOLER_CAP_PARSE_TREE | constants.POOLER_CAP_FINGERPRINT;

/** A hook: addresses of the state and of frames in, a status out. */
export type HookFunction = (state: bigint, input: bigint, inputLength: number, output: bigint, outputCapacity: number) => number;

/** A hook that may also be called on a thread: `done` is called in the event loop. */
export interface WaitingFunction extends HookFunction {
  async(
    state: bigint,
    input: bigint,
    inputLength: number,
    output: bigint,
    outputCapacity: number,
    done: (error: Error | null, status: number) => void,
  ): void;
}

/** Hooks that may wait, in a plugin that says so. */
export type WaitingHook = "route_query" | "client_connect" | "server_connect";

/** What the entry of a plugin that may wait does not say. */
export const blockingDefaults = { maxConcurrent: 4, deadlineMs: 2_000 } as const;

/** How a plugin that may wait is called. */
export interface BlockingLimits {
  /** Calls at a time. */
  readonly maxConcurrent: number;
  readonly deadlineMs: number;
  /** Its places on the crash page begin here, one for each call. */
  readonly firstPlace: number;
}

/** Exports of the library; null where its info does not name the hook. */
export interface PluginExports {
  readonly routeQuery: HookFunction | null;
  readonly fetchOutput: ((state: bigint, output: bigint, outputCapacity: number) => number) | null;
  readonly learnStatement: HookFunction | null;
  readonly forgetStatement: ((state: bigint, statementId: number) => void) | null;
  /** The hooks beside route_query. */
  readonly hooks: Readonly<Record<SideHook, HookFunction | null>>;
}

/** Hooks that are no part of deciding about a statement, with their bits; SHOW PLUGINS has them in this order. */
export const sideHooks = {
  client_connect: constants.POOLER_HOOK_CLIENT_CONNECT,
  client_disconnect: constants.POOLER_HOOK_CLIENT_DISCONNECT,
  server_connect: constants.POOLER_HOOK_SERVER_CONNECT,
  query_end: constants.POOLER_HOOK_QUERY_END,
  result_row: constants.POOLER_HOOK_RESULT_ROW,
  reload: constants.POOLER_HOOK_RELOAD,
} as const;

export type SideHook = keyof typeof sideHooks;
export const sideHookNames = Object.keys(sideHooks) as readonly SideHook[];

/** What a library says of itself. */
export interface PluginDescription {
  /** The name of the entry in the configuration. */
  readonly name: string;
  readonly library: string;
  readonly pluginName: string;
  readonly version: string;
  /** "1.0": what it was built with. */
  readonly abi: string;
  readonly minHostMinor: number;
  readonly sdk: string;
  readonly hooks: readonly string[];
  readonly capabilities: readonly string[];
  /** POOLER_CAP_* bits that this host knows. */
  readonly capabilityBits: number;
  /** PostgreSQL majors whose parse trees it reads; 0: no limit. */
  readonly grammar: { readonly min: number; readonly max: number };
}

export interface LoadedPlugin {
  readonly description: PluginDescription;
  readonly onError: OnPluginError;
  readonly exports: PluginExports;
  readonly state: bigint;
  /** Not null: route_query, client_connect and server_connect are WaitingFunctions, and may wait. */
  readonly blocking: BlockingLimits | null;
  /** At the worker's end; the library stays loaded. */
  destroy(): void;
}

/** In the place of a plugin that is out of service: it has no hooks, and stands in nobody's way. */
export function createStandIn(config: PluginConfig): LoadedPlugin {
  const { name, library, packageVersion } = config;
  return {
    description: {
      name,
      library,
      pluginName: name,
      version: packageVersion ?? "",
      abi: "",
      minHostMinor: 0,
      sdk: "",
      hooks: [],
      capabilities: [],
      capabilityBits: constants.POOLER_CAP_LITERALS,
      grammar: { min: 0, max: 0 },
    },
    onError: config.onError,
    exports: {
      routeQuery: null,
      fetchOutput: null,
      learnStatement: null,
      forgetStatement: null,
      hooks: Object.fromEntries(sideHookNames.map((hook) => [hook, null])) as Record<SideHook, null>,
    },
    state: 0n,
    blocking: null,
    destroy() {},
  };
}

/** The chain keeps a bit for each plugin in a statement. */
export const mostPlugins = 31;
