// [[plugins]] of the file → the chain. Finds each plugin and checks its settings against the JSON Schema that it
// brings, before any library is loaded.
import { statSync } from "node:fs";
import { createRequire } from "node:module";
import type { ErrorObject, ValidateFunction } from "ajv";
import { PoolerError } from "../base/errors.js";
import type { ResolvedPlugin } from "../plugins/loader-resolve-plugin.js";
import { isScript } from "../plugins/loader-scripts.js";
import { allowedText, knownNames, type SchemaNode } from "./allowed.js";
import type { KeyPath } from "./positions.js";
import { type Problems, showValue } from "./problems.js";
import type { FilePlugin } from "./schema.js";
import { closest } from "./suggest.js";
import type { CrashPolicy, PluginConfig } from "./types.js";

/** `configDir`: the folder of the configuration file. Throws a PoolerError PLUGIN_UNUSABLE that says what to do. */
export type ResolvePlugin = (name: string, configDir: string) => ResolvedPlugin;

export function buildPlugins(
  plugins: ReadonlyMap<number, FilePlugin>,
  configDir: string,
  resolvePlugin: ResolvePlugin,
  problems: Problems,
): PluginConfig[] {
  return [...plugins].flatMap(([index, plugin]) => {
    const path = ["plugins", index];
    const config = plainTable([...path, "config"], plugin.config, problems);
    const resolved = resolve(path, plugin.name, configDir, resolvePlugin, problems);
    if (resolved === null) return [];
    if (resolved.schema !== null) checkSettings([...path, "config"], plugin.name, config, resolved.schema, problems);
    const { library, source, packageVersion } = resolved;
    return [
      {
        name: plugin.name,
        library,
        source,
        packageVersion,
        libraryStamp: stampOf(library),
        config,
        onError: plugin.on_error,
        crash: crashPolicy(plugin),
        ...blockingOf(path, plugin, library, problems),
      },
    ];
  });
}

/** Who replaces a library, in whatever way, changes one of these. */
function stampOf(library: string): string | null {
  const found = statSync(library, { throwIfNoEntry: false });
  return found === undefined ? null : `${found.ino}:${found.size}:${found.mtimeMs}`;
}

/** Whether the library may wait is known when it is loaded: what was not given says nothing. */
function blockingOf(path: KeyPath, plugin: FilePlugin, library: string, problems: Problems): Pick<PluginConfig, "blocking"> {
  const { max_concurrent: maxConcurrent, deadline: deadlineMs } = plugin;
  if (maxConcurrent === undefined && deadlineMs === undefined) return {};
  if (isScript(library)) {
    const key = maxConcurrent === undefined ? "deadline" : "max_concurrent";
    problems.key([...path, key], "is for plugins that may wait, which one that is JavaScript cannot: its hooks answer at once");
  }
  return { blocking: { ...(maxConcurrent === undefined ? {} : { maxConcurrent }), ...(deadlineMs === undefined ? {} : { deadlineMs }) } };
}

function crashPolicy(plugin: FilePlugin): CrashPolicy {
  return { action: plugin.on_crash, limit: plugin.crash_limit, windowMs: plugin.crash_window };
}

function resolve(path: KeyPath, name: string, configDir: string, resolvePlugin: ResolvePlugin, problems: Problems): ResolvedPlugin | null {
  try {
    return resolvePlugin(name, configDir);
  } catch (cause) {
    if (!(cause instanceof PoolerError)) throw cause;
    problems.value([...path, "name"], [cause.message, cause.detail, cause.hint].filter((part) => part !== undefined).join(". "));
    return null;
  }
}

/** The settings as JSON has them: what has no form there (dates become texts) is refused. */
function plainTable(path: KeyPath, table: Readonly<Record<string, unknown>>, problems: Problems): Record<string, unknown> {
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [name, plain([...path, name], value, problems)]));
}

function plain(path: KeyPath, value: unknown, problems: Problems): unknown {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((item, index) => plain([...path, index], item, problems));
  if (typeof value === "object" && value !== null) return plainTable(path, value as Record<string, unknown>, problems);
  if (typeof value === "number" && !Number.isFinite(value))
    problems.value(path, `${value} cannot be given to a plugin; expected a finite number`);
  return value;
}

function checkSettings(path: KeyPath, plugin: string, config: unknown, schema: object, problems: Problems): void {
  let validate: ValidateFunction;
  try {
    validate = compile(schema);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    problems.key(path, `the JSON Schema that ${plugin} brings for its settings is wrong: ${reason}; this is an error of the plugin`);
    return;
  }
  if (validate(config)) return;
  for (const error of withoutNoise(validate.errors ?? [])) report(path, config, error, problems);
}

function compile(schema: object): ValidateFunction {
  // Plugins are written by others: keywords that this pooler does not know must not stop them.
  const options = { allErrors: true, verbose: true, strict: false, validateFormats: false, logger: false } as const;
  const draft = "$schema" in schema && typeof schema.$schema === "string" ? schema.$schema : "";
  // Loaded here: without plugins nobody waits for it.
  const load = createRequire(import.meta.url);
  if (draft.includes("2020-12") || draft.includes("2019-09")) {
    const { Ajv2020 } = load("ajv/dist/2020.js") as typeof import("ajv/dist/2020.js");
    return new Ajv2020(options).compile(schema);
  }
  const { Ajv } = load("ajv") as typeof import("ajv");
  return new Ajv(options).compile(schema);
}

/** Of the forms that a value may take, speak of the one that was meant: whose inside is wrong, not its type. */
function withoutNoise(errors: readonly ErrorObject[]): ErrorObject[] {
  const forms = errors.filter((error) => error.keyword === "anyOf" || error.keyword === "oneOf");
  const isInside = (error: ErrorObject, form: ErrorObject): boolean => error.schemaPath.startsWith(`${form.schemaPath}/`);
  const isDeeper = (error: ErrorObject, form: ErrorObject): boolean =>
    isInside(error, form) &&
    (error.instancePath.length > form.instancePath.length || error.keyword === "additionalProperties" || error.keyword === "required");
  return errors.filter((error) => {
    if (error.keyword === "if") return false;
    if (forms.includes(error)) return !errors.some((other) => isDeeper(other, error));
    return forms.every((form) => !isInside(error, form) || isDeeper(error, form));
  });
}

function report(base: KeyPath, config: unknown, error: ErrorObject, problems: Problems): void {
  const pointer = error.instancePath
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  const local: (string | number)[] = [];
  let value = config;
  for (const part of pointer) {
    local.push(Array.isArray(value) ? Number(part) : part);
    value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[part] : undefined;
  }
  const path = [...base, ...local];
  const params = error.params as Readonly<Record<string, unknown>>;
  const parent = (error.parentSchema ?? {}) as SchemaNode;
  switch (error.keyword) {
    case "additionalProperties":
    case "unevaluatedProperties": {
      const name = String(params["additionalProperty"] ?? params["unevaluatedProperty"]);
      const known = knownNames(parent);
      const near = closest(name, known);
      problems.key(
        [...path, name],
        `unknown key; ${near === null ? `allowed here: ${known.join(", ") || "nothing"}` : `did you mean ${near}?`}`,
      );
      return;
    }
    case "required": {
      const name = String(params["missingProperty"]);
      const node = parent.properties?.[name];
      problems.key([...path, name], `is missing; expected ${node === undefined ? "a value" : allowedText(node)}`);
      return;
    }
    case "type":
    case "enum":
    case "const":
    case "minimum":
    case "maximum":
    case "pattern":
    case "anyOf":
    case "oneOf":
      problems.value(path, `${showValue(path, value)} is not allowed; expected ${allowedText(parent)}`);
      return;
    case "minItems":
    case "minLength":
      problems.value(
        path,
        `${showValue(path, value)} is not allowed; expected ${error.keyword === "minItems" ? "entries" : "characters"}: at least ${String(params["limit"])}`,
      );
      return;
    default:
      problems.value(path, `${showValue(path, value)} ${error.message ?? "is not allowed"}`);
  }
}
