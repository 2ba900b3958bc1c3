// Brings a plugin that is a JavaScript module into the process and makes its state. Control plane; refuses with PLUGIN_UNUSABLE, as the
// loader of libraries does.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { constants } from "@pooler/plugin-abi";
import { hookMethods, isPluginDefinition, type PluginDefinition } from "@pooler/plugin-abi/js";
import type { PluginConfig } from "../config/types.js";
import type { LoadedPlugin, PluginDescription } from "./chain-plugin.js";
import { unusable } from "./loader-handshake.js";
import { forsakePromise, scriptExports } from "./script-plugin.js";

export type Definition = PluginDefinition<unknown, unknown>;

export interface ScriptOptions {
  readonly grammar: number;
  /** 0-based. */
  readonly worker: number;
}

/** What its default export is. Rejects with PLUGIN_UNUSABLE. */
export async function importScript(config: PluginConfig): Promise<Definition> {
  let made: { readonly default?: unknown };
  try {
    made = (await import(pathToFileURL(config.library).href)) as { readonly default?: unknown };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw unusable(config, `its module cannot be loaded: ${reason}`, "Was it built, and are its dependencies installed?", cause);
  }
  // A CommonJS module that was written as an ES module has its default one deeper.
  const outer = made.default;
  const definition = isPluginDefinition(outer) ? outer : (outer as { readonly default?: unknown } | undefined)?.default;
  if (!isPluginDefinition(definition)) {
    throw unusable(
      config,
      "the default export of its module is no plugin",
      'A plugin says "export default definePlugin({ route(input) { … } })", with definePlugin of "@pooler/plugin-abi/js".',
    );
  }
  return definition;
}

/** Makes the state of a plugin. Throws PLUGIN_UNUSABLE. */
export function loadScript(config: PluginConfig, definition: Definition | undefined, { grammar, worker }: ScriptOptions): LoadedPlugin {
  if (definition === undefined) throw unusable(config, "its module was not imported", "Report it: this is an error of the pooler.");
  const host = { name: config.name, worker, grammar };
  let state: unknown;
  try {
    state = definition.create?.(structuredClone(config.config), host);
  } catch (cause) {
    throw unusable(
      config,
      cause instanceof Error ? cause.message : String(cause),
      "The plugin refused to start with these words; most often the cause is in its [plugins.config].",
      cause,
    );
  }
  if (forsakePromise(state)) {
    throw unusable(config, "create() returned a promise: plugins are made at once", "Do without waiting in create().");
  }
  let destroyed = false;
  return {
    description: describeScript(config, definition),
    onError: config.onError,
    exports: scriptExports(definition, state, host),
    state: 0n,
    blocking: null,
    destroy() {
      if (destroyed) return;
      destroyed = true;
      try {
        forsakePromise(definition.destroy?.(state));
      } catch (cause) {
        // Others are yet to be destroyed, and the worker ends as it would have.
        process.emitWarning(`plugin "${config.name}" failed in destroy: ${cause instanceof Error ? cause.stack : String(cause)}`);
      }
    },
  };
}

const hookNames: Readonly<Record<(typeof hookMethods)[number], string>> = {
  route: "route_query",
  clientConnect: "client_connect",
  clientDisconnect: "client_disconnect",
  serverConnect: "server_connect",
  queryEnd: "query_end",
  resultRow: "result_row",
  reload: "reload",
};

const capabilityBits = {
  inspect: constants.POOLER_CAP_INSPECT,
  every_statement: constants.POOLER_CAP_EVERY_STATEMENT,
  facts: constants.POOLER_CAP_FACTS,
  parse_tree: constants.POOLER_CAP_PARSE_TREE,
  fingerprint: constants.POOLER_CAP_FINGERPRINT,
  literals: constants.POOLER_CAP_LITERALS,
} as const;

function describeScript(config: PluginConfig, definition: Definition): PluginDescription {
  const { name, version } = manifestAround(config.library);
  const capabilities = definition.capabilities ?? [];
  return {
    name: config.name,
    library: config.library,
    pluginName: definition.name ?? name ?? config.name,
    version: definition.version ?? version ?? "",
    abi: `${constants.POOLER_ABI_MAJOR}.${constants.POOLER_ABI_MINOR}`,
    minHostMinor: 0,
    sdk: "javascript",
    hooks: hookMethods.filter((hook) => definition[hook] !== undefined).map((hook) => hookNames[hook]),
    capabilities,
    capabilityBits: capabilities.reduce((bits, capability) => bits | capabilityBits[capability], 0),
    grammar: { min: 0, max: 0 },
  };
}

/** Name and version of the package that the module lies in. */
function manifestAround(library: string): { readonly name: string | null; readonly version: string | null } {
  for (let folder = dirname(library); ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file)) {
      const { name, version } = JSON.parse(readFileSync(file, "utf8")) as { readonly name?: unknown; readonly version?: unknown };
      return { name: typeof name === "string" ? name : null, version: typeof version === "string" ? version : null };
    }
    if (folder === dirname(folder)) return { name: null, version: null };
  }
}
