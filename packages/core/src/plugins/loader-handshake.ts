// Reads what a library says of itself (pooler_plugin_info_v1) and refuses what this host cannot work with, before anything
// else of it is called. Says which value differs, and what to do.
import { constants, structs } from "@pooler/plugin-abi";
import { PoolerError } from "../base/errors.js";
import { native } from "../base/native.js";
import { type PluginDescription, sideHooks } from "./chain-plugin.js";

const infoStruct = structs.pooler_plugin_info;

const hookNames: readonly (readonly [number, string])[] = [
  [constants.POOLER_HOOK_ROUTE_QUERY, "route_query"],
  ...Object.entries(sideHooks).map(([name, bit]) => [bit, name] as const),
];
const capabilityNames: readonly (readonly [number, string])[] = [
  [constants.POOLER_CAP_INSPECT, "inspect"],
  [constants.POOLER_CAP_EVERY_STATEMENT, "every_statement"],
  [constants.POOLER_CAP_FACTS, "facts"],
  [constants.POOLER_CAP_PARSE_TREE, "parse_tree"],
  [constants.POOLER_CAP_FINGERPRINT, "fingerprint"],
  [constants.POOLER_CAP_LITERALS, "literals"],
  [constants.POOLER_CAP_BLOCKING, "blocking"],
];

/** The numbers of pooler_plugin_info, as they are. */
export interface PluginInfo {
  readonly size: number;
  readonly abiMajor: number;
  readonly abiMinor: number;
  readonly minHostMinor: number;
  readonly hooks: number;
  readonly capabilities: number;
  readonly grammarMin: number;
  readonly grammarMax: number;
  readonly name: string | null;
  readonly version: string | null;
  readonly sdk: string | null;
}

/** Which plugin is spoken of in messages. */
export interface PluginOrigin {
  readonly name: string;
  readonly library: string;
}

export function unusable(origin: PluginOrigin, problem: string, hint: string, cause?: unknown): PoolerError {
  const message = `plugin "${origin.name}" (${origin.library}) cannot be used: ${problem}`;
  return new PoolerError("PLUGIN_UNUSABLE", message, { hint, ...(cause === undefined ? {} : { cause }) });
}

/** Read the struct at `address`, what of it there is: a plugin of another ABI may have less. */
export function readPluginInfo(address: bigint): PluginInfo {
  const koffi = native();
  const { fields } = infoStruct;
  const size = new DataView(koffi.view(address, 4)).getUint32(0, true);
  const known = Math.min(size, infoStruct.size);
  const bytes = Buffer.alloc(infoStruct.size);
  if (known > 0) bytes.set(new Uint8Array(koffi.view(address, known)));
  const text = (at: number): string | null => {
    const pointer = bytes.readBigUInt64LE(at);
    return pointer === 0n ? null : koffi.decode.string(pointer);
  };
  const complete = size >= infoStruct.size;
  return {
    size,
    abiMajor: bytes.readUInt32LE(fields.abi_major),
    abiMinor: bytes.readUInt32LE(fields.abi_minor),
    minHostMinor: bytes.readUInt32LE(fields.min_host_minor),
    hooks: bytes.readUInt32LE(fields.hooks),
    capabilities: bytes.readUInt32LE(fields.capabilities),
    grammarMin: bytes.readUInt32LE(fields.grammar_min),
    grammarMax: bytes.readUInt32LE(fields.grammar_max),
    name: complete ? text(fields.name) : null,
    version: complete ? text(fields.version) : null,
    sdk: complete ? text(fields.sdk) : null,
  };
}

/** Throws PLUGIN_UNUSABLE unless a host of this ABI and grammar can work with it. */
export function checkPluginInfo(origin: PluginOrigin, info: PluginInfo, hostGrammar: number): void {
  const major = constants.POOLER_ABI_MAJOR;
  const minor = constants.POOLER_ABI_MINOR;
  // The first two fields are where they are in every major version.
  if (info.abiMajor !== major) {
    const newer = info.abiMajor > major;
    throw unusable(
      origin,
      `abi_major is ${info.abiMajor}, this pooler speaks ABI ${major}`,
      newer
        ? "Update the pooler, or install a version of the plugin that is built for this ABI."
        : "Install a newer version of the plugin.",
    );
  }
  if (info.size < infoStruct.size) {
    throw unusable(
      origin,
      `pooler_plugin_info has size ${info.size}, ABI ${major} has ${infoStruct.size}`,
      "Build the plugin with the header as it is released.",
    );
  }
  if (info.minHostMinor > minor) {
    throw unusable(
      origin,
      `min_host_minor is ${info.minHostMinor}, this pooler speaks ABI ${major}.${minor}`,
      "Update the pooler, or install an older version of the plugin.",
    );
  }
  const isNewer = info.abiMinor > minor;
  checkBits(origin, "hooks", info.hooks, maskOf(hookNames), isNewer);
  checkBits(origin, "capabilities", info.capabilities, maskOf(capabilityNames), isNewer);
  if ((info.hooks & maskOf(hookNames)) === 0) {
    throw unusable(
      origin,
      `hooks is ${hex(info.hooks)}: it has no hook that ABI ${major}.${minor} calls`,
      "Set the bits of its hooks in the plugin's info: POOLER_HOOK_ROUTE_QUERY and the like.",
    );
  }
  if ((info.capabilities & constants.POOLER_CAP_PARSE_TREE) !== 0) checkGrammar(origin, info, hostGrammar);
  if ((info.capabilities & constants.POOLER_CAP_BLOCKING) !== 0) checkBlocking(origin, info);
}

/** A newer plugin may have bits that this host does not know; then min_host_minor has said that it can do without. */
function checkBits(origin: PluginOrigin, field: string, bits: number, known: number, isNewer: boolean): void {
  const unknown = (bits & ~known) >>> 0;
  if (unknown === 0 || isNewer) return;
  throw unusable(
    origin,
    `${field} is ${hex(bits)}, of which ABI ${constants.POOLER_ABI_MAJOR}.${constants.POOLER_ABI_MINOR} does not know ${hex(unknown)}`,
    "Build the plugin with the header as it is released, and set no bits that it does not name.",
  );
}

function checkGrammar(origin: PluginOrigin, info: PluginInfo, hostGrammar: number): void {
  const tooOld = info.grammarMax !== 0 && hostGrammar > info.grammarMax;
  if (hostGrammar >= info.grammarMin && !tooOld) return;
  const range = info.grammarMax === 0 ? `${info.grammarMin} and up` : `${info.grammarMin} to ${info.grammarMax}`;
  throw unusable(
    origin,
    `it reads parse trees of PostgreSQL ${range} (grammar_min, grammar_max), this pooler makes those of PostgreSQL ${hostGrammar}`,
    tooOld ? "Install a newer version of the plugin." : "Update the pooler, or install an older version of the plugin.",
  );
}

/** Hooks that follow what is being sent cannot wait. */
function checkBlocking(origin: PluginOrigin, info: PluginInfo): void {
  const synchronous = sideHooks.client_disconnect | sideHooks.query_end | sideHooks.result_row;
  const others = namesOf(hookNames, info.hooks & synchronous);
  if (others.length > 0) {
    throw unusable(
      origin,
      `it is blocking (POOLER_CAP_BLOCKING) and has ${others.join(" and ")}, which cannot wait`,
      "Leave out either the capability or these hooks; a second plugin may have them.",
    );
  }
  if (info.minHostMinor >= 1) return;
  throw unusable(
    origin,
    "it is blocking (POOLER_CAP_BLOCKING) and has a min_host_minor of 0: a pooler of ABI 1.0 would stand still while it waits",
    "Set min_host_minor to 1 in the plugin's info.",
  );
}

export function describePlugin(origin: PluginOrigin, info: PluginInfo): PluginDescription {
  return {
    name: origin.name,
    library: origin.library,
    pluginName: info.name ?? "",
    version: info.version ?? "",
    abi: `${info.abiMajor}.${info.abiMinor}`,
    minHostMinor: info.minHostMinor,
    sdk: info.sdk ?? "",
    hooks: namesOf(hookNames, info.hooks),
    capabilities: namesOf(capabilityNames, info.capabilities),
    capabilityBits: info.capabilities & maskOf(capabilityNames),
    grammar: { min: info.grammarMin, max: info.grammarMax },
  };
}

function maskOf(names: readonly (readonly [number, string])[]): number {
  return names.reduce((mask, [bit]) => mask | bit, 0);
}

function namesOf(names: readonly (readonly [number, string])[], bits: number): readonly string[] {
  return names.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);
}

function hex(bits: number): string {
  return `0x${bits.toString(16)}`;
}
