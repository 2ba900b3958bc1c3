// A plugin as the chain calls it: bound exports and what its handshake said. The loader makes it; nothing here knows how.
import { constants } from "@pooler/plugin-abi";
import type { OnPluginError } from "../config/types.js";

/** A plugin with one of these bits reads what the grammar knows of a statement. */
export const factCapabilities = constants.POOLER_CAP_FACTS | constants.POOLER_CAP_PARSE_TREE | constants.POOLER_CAP_FINGERPRINT;

/** Exports of the library. Addresses are of the state and of frames. */
export interface PluginExports {
  readonly routeQuery: (state: bigint, input: bigint, inputLength: number, output: bigint, outputCapacity: number) => number;
  readonly fetchOutput: ((state: bigint, output: bigint, outputCapacity: number) => number) | null;
  readonly learnStatement: ((state: bigint, input: bigint, inputLength: number, output: bigint, outputCapacity: number) => number) | null;
  readonly forgetStatement: ((state: bigint, statementId: number) => void) | null;
}

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
  /** At the worker's end; the library stays loaded. */
  destroy(): void;
}

/** The chain keeps a bit for each plugin in a statement. */
export const mostPlugins = 31;
