// definePlugin: says what a plugin is, with the types of its hooks, and refuses what cannot be one. The pooler takes the default export
// of a module.
import type {
  ConnectInput,
  DisconnectInput,
  EndInput,
  PluginHost,
  RouteInput,
  RowInput,
  ServerInput,
  Session,
  Statement,
} from "./inputs.js";
import type { ConnectVerdict, RowVerdict, ServerVerdict, Verdict } from "./verdicts.js";

export const capabilityNames = ["inspect", "every_statement", "facts", "parse_tree", "fingerprint", "literals"] as const;
export type CapabilityName = (typeof capabilityNames)[number];

/**
 * Hooks answer at once: a promise is a failure. An exception fails the query (or what else the hook is about) with the plugin's name. `State`
 * is what create() returns, `Learned` what learn() returns for a statement's text.
 */
export interface PluginDefinition<State = undefined, Learned = undefined> {
  /** Of the package when left out. */
  readonly name?: string;
  readonly version?: string;
  readonly capabilities?: readonly CapabilityName[];
  /** Makes the state, once per worker and entry of the configuration. What it throws stops the start. */
  create?(config: Readonly<Record<string, unknown>>, host: PluginHost): State;
  destroy?(state: State): void;
  /** A statement text is seen for the first time; it must depend on the text alone. */
  learn?(statement: Statement, state: State, session: Session): Learned;
  /** For the first statement of each transaction; for every one with "every_statement" or "inspect". undefined: not mine. */
  route?(input: RouteInput<Learned>, state: State): Verdict | undefined;
  clientConnect?(input: ConnectInput, state: State): ConnectVerdict | undefined;
  clientDisconnect?(input: DisconnectInput, state: State): void;
  serverConnect?(input: ServerInput, state: State): ServerVerdict | undefined;
  queryEnd?(input: EndInput, state: State): void;
  resultRow?(input: RowInput, state: State): RowVerdict;
  /** Another configuration; what it throws keeps the one before in force. */
  reload?(config: Readonly<Record<string, unknown>>, state: State, host: PluginHost): void;
}

export const hookMethods = ["route", "clientConnect", "clientDisconnect", "serverConnect", "queryEnd", "resultRow", "reload"] as const;

const methods = [...hookMethods, "create", "destroy", "learn"] as const;
const defined = Symbol.for("pooler.plugin.1");

/** Throws a TypeError that says what is wrong. */
export function definePlugin<State = undefined, Learned = undefined>(
  definition: PluginDefinition<State, Learned>,
): PluginDefinition<State, Learned> {
  const known = new Set<string>([...methods, "name", "version", "capabilities"]);
  const given = definition as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(given)) {
    if (!known.has(key)) throw new TypeError(`definePlugin: there is no hook or field "${key}"; there are ${[...known].join(", ")}`);
  }
  for (const method of methods) {
    if (given[method] !== undefined && typeof given[method] !== "function") throw new TypeError(`definePlugin: ${method} is no function`);
  }
  if (!hookMethods.some((hook) => given[hook] !== undefined)) {
    throw new TypeError(`definePlugin: there is no hook; a plugin has at least one of ${hookMethods.join(", ")}`);
  }
  for (const field of ["name", "version"] as const) {
    if (given[field] !== undefined && typeof given[field] !== "string") throw new TypeError(`definePlugin: ${field} is no text`);
  }
  for (const capability of definition.capabilities ?? []) {
    if (!capabilityNames.includes(capability)) {
      throw new TypeError(`definePlugin: there is no capability "${String(capability)}"; there are ${capabilityNames.join(", ")}`);
    }
  }
  if (definition.capabilities?.includes("parse_tree") === true && definition.learn === undefined) {
    throw new TypeError('definePlugin: the capability "parse_tree" gives learn() the parse tree, and there is no learn');
  }
  return Object.freeze(Object.defineProperty({ ...definition }, defined, { value: true }));
}

/** Whether definePlugin made it, in whatever copy of this package. */
export function isPluginDefinition(value: unknown): value is PluginDefinition<unknown, unknown> {
  return typeof value === "object" && value !== null && defined in value;
}
