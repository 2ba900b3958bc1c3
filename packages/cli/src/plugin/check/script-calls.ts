// A plugin that is a JavaScript module with the functions of a library, so that the battery can ask it as the pooler does.

import { importScript, type LoadedPlugin, loadScript, native, type PluginInfo } from "@pooler/core/plugin-tools";
import { constants, structs } from "@pooler/plugin-abi";
import type { PluginDefinition } from "@pooler/plugin-abi/js";
import { hookBits, type SideHook, sideHooks } from "./judge-hook.js";
import type { Calls } from "./plugin-under-check.js";

const config = (library: string, values: Readonly<Record<string, unknown>>) =>
  ({ name: "plugin-under-check", library, source: "path", packageVersion: null, config: values, onError: "fail" }) as const;

export async function openScript(library: string, grammar: number): Promise<Calls> {
  return new ScriptCalls(library, await importScript(config(library, {})), grammar);
}

/** Which method of the definition stands behind a hook. */
const methods = {
  client_connect: "clientConnect",
  client_disconnect: "clientDisconnect",
  server_connect: "serverConnect",
  query_end: "queryEnd",
  result_row: "resultRow",
  reload: "reload",
} as const satisfies Readonly<Record<SideHook, keyof PluginDefinition<unknown, unknown>>>;

type Frames = readonly [input: bigint, length: number, output: bigint, capacity: number];

class ScriptCalls implements Calls {
  readonly info: PluginInfo;
  readonly #library: string;
  readonly #definition: PluginDefinition<unknown, unknown>;
  readonly #grammar: number;
  readonly #states = new Map<bigint, LoadedPlugin>();
  #last = 0n;

  constructor(library: string, definition: PluginDefinition<unknown, unknown>, grammar: number) {
    this.#library = library;
    this.#definition = definition;
    this.#grammar = grammar;
    const has = (name: string): boolean => definition.capabilities?.some((each) => each === name) === true;
    const bits = (names: Readonly<Record<string, number>>): number =>
      Object.entries(names).reduce((sum, [name, bit]) => sum | (has(name) ? bit : 0), 0);
    this.info = {
      size: structs.pooler_plugin_info.size,
      abiMajor: constants.POOLER_ABI_MAJOR,
      abiMinor: constants.POOLER_ABI_MINOR,
      minHostMinor: 0,
      hooks: sideHooks.reduce(
        (sum, hook) => sum | (definition[methods[hook]] === undefined ? 0 : hookBits[hook]),
        definition.route === undefined ? 0 : constants.POOLER_HOOK_ROUTE_QUERY,
      ),
      capabilities: bits({
        facts: constants.POOLER_CAP_FACTS,
        parse_tree: constants.POOLER_CAP_PARSE_TREE,
        fingerprint: constants.POOLER_CAP_FINGERPRINT,
      }),
      grammarMin: 0,
      grammarMax: 0,
      name: "script",
      version: "1",
      sdk: "javascript",
    };
  }

  has(symbol: string): boolean {
    const learns = this.#definition.learn !== undefined;
    return symbol === "pooler_fetch_output" || (learns && (symbol === "pooler_learn_statement" || symbol === "pooler_forget_statement"));
  }

  bind(symbol: string): (...args: readonly unknown[]) => unknown {
    switch (symbol) {
      case "pooler_create":
        return (...args) => this.#create(...(args as unknown as [...Frames, bigint]));
      case "pooler_destroy":
        return (state) => {
          this.#states.get(state as bigint)?.destroy();
          this.#states.delete(state as bigint);
        };
      case "pooler_plugin_info_v1":
        return () => 1n;
      default:
        return (...args) => this.#hook(symbol, args as [bigint, ...unknown[]]);
    }
  }

  #create(...[input, length, output, capacity, place]: [...Frames, bigint]): number {
    try {
      const own = config(this.#library, configIn(input, length));
      const plugin = loadScript(own, this.#definition, { grammar: this.#grammar, worker: 0 });
      this.#last += 1n;
      this.#states.set(this.#last, plugin);
      new BigUint64Array(native().view(place, 8))[0] = this.#last;
      return constants.POOLER_OK;
    } catch (cause) {
      return fail(cause, output, capacity);
    }
  }

  #hook(symbol: string, [state, ...args]: [bigint, ...unknown[]]): unknown {
    const exports = this.#states.get(state)?.exports;
    const hooks: Readonly<Record<string, unknown>> = {
      pooler_route_query: exports?.routeQuery,
      pooler_learn_statement: exports?.learnStatement,
      pooler_forget_statement: exports?.forgetStatement,
      pooler_fetch_output: exports?.fetchOutput,
      ...Object.fromEntries(sideHooks.map((hook) => [`pooler_${hook}`, exports?.hooks[hook]])),
    };
    if (symbol === "pooler_reload") {
      const [input, length, output, capacity] = args as unknown as Frames;
      try {
        configIn(input, length);
      } catch (cause) {
        return fail(cause, output, capacity);
      }
    }
    const call = hooks[symbol] as ((...given: readonly unknown[]) => unknown) | null | undefined;
    return call?.(0n, ...args);
  }
}

/** Throws when it is none: the pooler gives objects only. */
function configIn(input: bigint, length: number): Readonly<Record<string, unknown>> {
  const { config: field } = structs.pooler_create_input.fields;
  const frame = Buffer.from(native().view(input, length));
  const offset = frame.readUInt32LE(field);
  const values: unknown = JSON.parse(offset === 0 ? "{}" : frame.toString("utf8", offset, offset + frame.readUInt32LE(field + 4)));
  if (typeof values !== "object" || values === null || Array.isArray(values)) throw new TypeError("the configuration is no object");
  return values as Readonly<Record<string, unknown>>;
}

/** As much of the message as there is room for. */
function fail(cause: unknown, output: bigint, capacity: number): number {
  const message = Buffer.from(cause instanceof Error ? cause.message : String(cause));
  const out = Buffer.from(native().view(output, capacity));
  const at = structs.pooler_output.size;
  const room = Math.max(0, Math.min(message.length, capacity - at));
  message.copy(out, at, 0, room);
  out.writeUInt32LE(at + room, structs.pooler_output.fields.used);
  if (room === message.length) {
    out.writeUInt32LE(at, structs.pooler_output.fields.message);
    out.writeUInt32LE(room, structs.pooler_output.fields.message + 4);
  }
  return constants.POOLER_FAILED;
}
