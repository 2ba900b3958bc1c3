// Loads a plugin's library, shakes hands, binds its exports and creates its state. Control plane: slow and careful, and
// everything it refuses is a PLUGIN_UNUSABLE that names plugin, file, what is wrong and what to do. Must not know packages.
import { constants } from "@pooler/plugin-abi";
import { PoolerError } from "../base/errors.js";
import { addressOf, type NativeLibrary, native } from "../base/native.js";
import type { PluginConfig } from "../config/types.js";
import {
  type BlockingLimits,
  blockingDefaults,
  createStandIn,
  type HookFunction,
  type LoadedPlugin,
  mostPlugins,
  type PluginDescription,
  type PluginExports,
  type SideHook,
  sideHooks,
} from "./chain-plugin.js";
import { type CrashHookName, type CrashPage, crashHooks, mostCrashPlaces, openCrashPage } from "./crash-page.js";
import { encodeCreateInput } from "./frames-block.js";
import { OutputFrame } from "./frames-output.js";
import { readBinaryTarget, whyUnloadable } from "./loader-binary.js";
import { checkPluginInfo, describePlugin, type PluginInfo, readPluginInfo, unusable } from "./loader-handshake.js";
import { isScript, type LoadScript } from "./loader-scripts.js";

const inPointer = ["void *", "uint32_t"] as const;
const outPointer = inPointer;

export interface LoadPluginsOptions {
  /** PostgreSQL major of the host's grammar: StatementParser.grammar. */
  readonly grammar: number;
  /** 0-based number of the worker. */
  readonly worker: number;
  readonly crashPage: CrashPage;
  /** For plugins that are JavaScript: see importScripts(). */
  readonly loadScript?: LoadScript | null;
  /** Positions of plugins that are out of service: they are not loaded. */
  readonly without?: ReadonlySet<number>;
}

/** Load and create all plugins, in order. What was created is destroyed again when a later one is refused. */
export function loadPlugins(configs: readonly PluginConfig[], options: LoadPluginsOptions): readonly LoadedPlugin[] {
  const excess = configs[mostPlugins];
  if (excess !== undefined) {
    throw unusable(excess, `it is plugin ${mostPlugins + 1}, a chain has at most ${mostPlugins}`, "Remove plugins from the configuration.");
  }
  const loaded: LoadedPlugin[] = [];
  try {
    let place = 1;
    configs.forEach((config, position) => {
      const plugin = options.without?.has(position) === true ? createStandIn(config) : loadPlugin(config, position, options, place);
      place += plugin.blocking?.maxConcurrent ?? 0;
      loaded.push(plugin);
    });
  } catch (cause) {
    for (const plugin of loaded.reverse()) plugin.destroy();
    throw cause;
  }
  return loaded;
}

/** `position`: 0-based, in the configuration. `firstPlace`: from there on, places of the crash page are free. */
export function loadPlugin(config: PluginConfig, position: number, options: LoadPluginsOptions, firstPlace = 1): LoadedPlugin {
  const guarded = guard(position, options.crashPage);
  const { loadScript = null } = options;
  if (loadScript !== null && isScript(config.library)) return guarded("create", () => loadScript(config, options));
  const { library, info } = openPlugin(config, options.grammar, guarded);
  const blocking = blockingLimits(config, info, firstPlace);
  const exports = bindExports(config, library, info);
  const create = bind(config, library, "pooler_create", "int32_t", [...inPointer, ...outPointer, "void *"]);
  const destroy = bind(config, library, "pooler_destroy", "void", ["void *"]);
  const state = createState(config, options, (...args) => guarded("create", () => Number(create(...args))));
  let destroyed = false;
  return {
    description: describePlugin(config, info),
    onError: config.onError,
    exports,
    state,
    blocking,
    destroy() {
      if (destroyed) return;
      destroyed = true;
      guarded("destroy", () => destroy(state));
    },
  };
}

/** Null: it does not wait. */
function blockingLimits(config: PluginConfig, info: PluginInfo, firstPlace: number): BlockingLimits | null {
  const { maxConcurrent, deadlineMs } = { ...blockingDefaults, ...config.blocking };
  if ((info.capabilities & constants.POOLER_CAP_BLOCKING) !== 0) {
    if (firstPlace + maxConcurrent - 1 <= mostCrashPlaces) return { maxConcurrent, deadlineMs, firstPlace };
    throw unusable(
      config,
      `with its max_concurrent of ${maxConcurrent}, plugins of the chain would make more than ${mostCrashPlaces} calls at a time`,
      "Lower max_concurrent of the plugins.",
    );
  }
  const given = Object.keys(config.blocking ?? {}).map((key) => (key === "deadlineMs" ? "deadline" : "max_concurrent"));
  if (given.length === 0) return null;
  throw unusable(
    config,
    `its entry has ${given.join(" and ")}, and it is not blocking (POOLER_CAP_BLOCKING): it answers at once`,
    "Take these keys out of the entry.",
  );
}

/** What a library says of itself, without creating anything. Throws PLUGIN_UNUSABLE as loading it would. */
export function inspectPlugin(config: PluginConfig, grammar: number): PluginDescription {
  const { library, info } = openPlugin(config, grammar, guard(0, openCrashPage(null)));
  bindExports(config, library, info);
  bind(config, library, "pooler_create", "int32_t", []);
  bind(config, library, "pooler_destroy", "void", []);
  blockingLimits(config, info, 1);
  return describePlugin(config, info);
}

type Guarded = <T>(hook: CrashHookName, call: () => T) => T;

/** Notes on the crash page who runs. */
function guard(position: number, page: CrashPage): Guarded {
  return (hook, call) => {
    page.enter(position, crashHooks[hook]);
    try {
      return call();
    } finally {
      page.leave();
    }
  };
}

function openPlugin(config: PluginConfig, grammar: number, guarded: Guarded): { library: NativeLibrary; info: PluginInfo } {
  checkPlatform(config);
  const library = openLibrary(config, guarded);
  const infoFunction = findInfo(config, library);
  const address: unknown = guarded("info", () => infoFunction());
  if (typeof address !== "bigint" || address === 0n) {
    throw unusable(config, "pooler_plugin_info_v1 returned NULL", "Let it return the address of a static pooler_plugin_info.");
  }
  const info = readPluginInfo(address);
  checkPluginInfo(config, info, grammar);
  return { library, info };
}

function checkPlatform(config: PluginConfig): void {
  let problem: string | null;
  try {
    problem = whyUnloadable(readBinaryTarget(config.library), process.platform, process.arch);
  } catch (cause) {
    if (!(cause instanceof PoolerError)) throw cause;
    throw unusable(config, cause.message, "Check the path, and that the user who runs the pooler may read the file.", cause.cause);
  }
  if (problem !== null) throw unusable(config, problem, "Build the plugin for this platform, or install a version that has it.");
}

function openLibrary(config: PluginConfig, guarded: Guarded): NativeLibrary {
  const koffi = native();
  try {
    return guarded("load", () => {
      // RTLD_NOW and RTLD_LOCAL.
      const library = koffi.load(config.library);
      // A second reference that is never given back: koffi closes a library when it collects its handle, but threads
      // and exit handlers of a plugin must never find their code gone.
      koffi.load(null).func("dlopen", "void *", ["str", "int"])(config.library, rtldNow);
      return library;
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replace(/^Failed to load shared library: /, "") : String(cause);
    throw unusable(
      config,
      `the system cannot load it: ${reason}`,
      "A missing symbol or library means that it was built against another C library (glibc, musl) or a newer one, or that something it needs is not installed.",
      cause,
    );
  }
}

/** The same on Linux and macOS. */
const rtldNow = 2;

function findInfo(config: PluginConfig, library: NativeLibrary): () => unknown {
  if (hasSymbol(library, "pooler_plugin_info_v1")) return library.func("pooler_plugin_info_v1", "void *", []);
  for (let major = 2; major < 10; major++) {
    if (!hasSymbol(library, `pooler_plugin_info_v${major}`)) continue;
    const problem = `it is built for ABI ${major}, this pooler speaks ABI ${constants.POOLER_ABI_MAJOR}`;
    throw unusable(config, problem, "Update the pooler, or install a version of the plugin that is built for this ABI.");
  }
  throw unusable(
    config,
    "it does not export pooler_plugin_info_v1, so it is no pooler plugin",
    "Check the path. A plugin of one's own must export the symbol: see ABI.md of @pooler/plugin-abi.",
  );
}

function hasSymbol(library: NativeLibrary, symbol: string): boolean {
  try {
    library.symbol(symbol);
    return true;
  } catch {
    return false;
  }
}

function bind(
  config: PluginConfig,
  library: NativeLibrary,
  symbol: string,
  result: string,
  parameters: readonly string[],
): NativeLibraryFunction {
  if (!hasSymbol(library, symbol)) {
    throw unusable(
      config,
      `it does not export ${symbol}`,
      "Export every function that pooler_plugin.h says is required for the hooks and capabilities in its info.",
    );
  }
  return library.func(symbol, result, [...parameters]);
}

type NativeLibraryFunction = (...args: readonly unknown[]) => unknown;

function bindExports(config: PluginConfig, library: NativeLibrary, info: PluginInfo): PluginExports {
  const required = (symbol: string, result: string, parameters: readonly string[]) => bind(config, library, symbol, result, parameters);
  const optional = (symbol: string, result: string, parameters: readonly string[]) =>
    hasSymbol(library, symbol) ? required(symbol, result, parameters) : null;
  const learns = (info.capabilities & constants.POOLER_CAP_PARSE_TREE) !== 0 || hasSymbol(library, "pooler_learn_statement");
  const hook = (name: string, bit: number): HookFunction | null =>
    (info.hooks & bit) === 0 ? null : (required(`pooler_${name}`, "int32_t", ["void *", ...inPointer, ...outPointer]) as HookFunction);
  return {
    routeQuery: hook("route_query", constants.POOLER_HOOK_ROUTE_QUERY),
    fetchOutput: optional("pooler_fetch_output", "int32_t", ["void *", ...outPointer]) as PluginExports["fetchOutput"],
    learnStatement: (learns
      ? required("pooler_learn_statement", "int32_t", ["void *", ...inPointer, ...outPointer])
      : null) as PluginExports["learnStatement"],
    forgetStatement: (learns
      ? required("pooler_forget_statement", "void", ["void *", "uint64_t"])
      : null) as PluginExports["forgetStatement"],
    hooks: Object.fromEntries(Object.entries(sideHooks).map(([name, bit]) => [name, hook(name, bit)])) as Record<
      SideHook,
      HookFunction | null
    >,
  };
}

type Create = (input: bigint, inputLength: number, output: bigint, outputCapacity: number, state: bigint) => number;

function createState(config: PluginConfig, options: LoadPluginsOptions, create: Create): bigint {
  const input = encodeCreateInput(JSON.stringify(config.config), config.name, options.worker, options.grammar);
  const inputBytes = input.words.buffer as ArrayBuffer;
  const output = new OutputFrame();
  output.clear();
  const state = new BigUint64Array(1);
  const status = create(addressOf(inputBytes), inputBytes.byteLength, output.address, output.capacity, addressOf(state.buffer));
  if (status === constants.POOLER_OK) return state[0] ?? 0n;
  const message = output.textOfFailure("message");
  const problem = message ?? `pooler_create returned ${status} and no message`;
  throw unusable(
    config,
    status === constants.POOLER_PANICKED ? `it panicked: ${problem}` : problem,
    "The plugin refused to start with these words; most often the cause is in its [plugins.config].",
  );
}
