// From a file, a text or an object to the configuration that everything else sees. Collects all errors before it throws.
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import { PoolerError } from "../base/errors.js";
import { resolvePlugin } from "../plugins/loader-resolve-plugin.js";
import { buildDatabases } from "./build-databases.js";
import { buildListen, buildMetrics } from "./build-listen.js";
import { buildPlugins, type ResolvePlugin } from "./build-plugins.js";
import { buildUsers } from "./build-users.js";
import { indexPositions, type PositionIndex } from "./positions.js";
import { ConfigInvalidError, createProblems, type Problems, shortPath } from "./problems.js";
import type { FileConfig } from "./schema.js";
import { createReferences } from "./secrets.js";
import type { LimitsConfig, PoolerConfig, TimeoutsConfig } from "./types.js";
import { isTable, validateFile } from "./validate.js";

export interface LoadOptions {
  /** Looks from the folder of the configuration file by default. */
  readonly resolvePlugin?: ResolvePlugin;
  /** What env:NAME refers to; the process's own environment by default. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Takes what works, but hardly as meant; with file, line and key, like the errors. */
  readonly onWarning?: (warning: string) => void;
}

/** The smallest file that starts a pooler. */
export const minimalConfig = `[databases.app]                          # the name that clients ask for
url = "postgres://127.0.0.1:5432/app"    # where it is

[users.app]
password = "env:APP_PASSWORD"            # for clients at the pooler, and for the pooler at the server
`;

/** Throws a PoolerError CONFIG_INVALID that names every error of the file. */
export function loadConfig(file: string, options: LoadOptions = {}): PoolerConfig {
  const absolute = resolve(file);
  let text: string;
  try {
    text = readFileSync(absolute, "utf8");
  } catch (cause) {
    throw unreadable(absolute, cause);
  }
  return parseConfig(text, absolute, options);
}

/** `file` names the text in errors; paths in it are relative to the directory of `file`. */
export function parseConfig(text: string, file: string, options: LoadOptions = {}): PoolerConfig {
  let raw: Readonly<Record<string, unknown>>;
  try {
    raw = parse(text, { maxDepth: 32, unsafeKeyBehaviour: "throw" });
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    // The rest of the message quotes the line, which may hold a password.
    const reason = cause.message.split("\n")[0]?.replace(/^Invalid TOML document: /, "") ?? "";
    const position = { line: cause.line, column: cause.column };
    throw new ConfigInvalidError(file, [{ key: "", message: `this is not TOML: ${reason}`, position }]);
  }
  return build(raw, resolve(file), indexPositions(text), options);
}

/** The same from an object of the file's form, for those who embed the pooler. Paths are relative to the working directory. */
export function createConfig(raw: Readonly<Record<string, unknown>>, options: LoadOptions = {}): PoolerConfig {
  return build(raw, null, null, options);
}

function build(
  raw: Readonly<Record<string, unknown>>,
  file: string | null,
  positions: PositionIndex | null,
  options: LoadOptions,
): PoolerConfig {
  const problems = createProblems(file, positions);
  const references = createReferences({ file, env: options.env ?? process.env, problems });
  const { settings, databases, users, plugins } = validateFile(raw, problems);
  const databaseNames = isTable(raw["databases"]) ? Object.keys(raw["databases"]) : [];
  if (databaseNames.length === 0 && !problems.touches(["databases"])) {
    problems.key(["databases"], 'there is no database; expected at least [databases.NAME] with url = "postgres://…"');
  }

  const listen = buildListen(settings.listen, references, problems);
  const metrics = buildMetrics(settings, problems);
  const builtDatabases = buildDatabases(databases, references, problems);
  const builtUsers = buildUsers(users, { auth: listen.auth, databases: builtDatabases, databaseNames, references, problems });
  const builtPlugins = buildPlugins(
    plugins,
    file === null ? process.cwd() : dirname(file),
    options.resolvePlugin ?? resolvePlugin,
    problems,
  );
  finish(problems, options);

  return deepFreeze({
    file,
    listen,
    workers: settings.workers === "auto" ? availableParallelism() : settings.workers,
    io: settings.io,
    log: { level: settings.log.level, format: settings.log.format ?? (process.stderr.isTTY ? "pretty" : "json") },
    metrics,
    limits: buildLimits(settings.limits),
    timeouts: buildTimeouts(settings.timeouts),
    databases: builtDatabases,
    users: builtUsers,
    plugins: builtPlugins,
  });
}

function finish(problems: Problems, options: LoadOptions): void {
  for (const warning of problems.warnings) options.onWarning?.(warning);
  problems.throwIfAny();
}

function buildLimits(limits: FileConfig["limits"]): LimitsConfig {
  return {
    maxClients: limits.max_clients,
    maxMessageBytes: limits.max_message_bytes,
    maxBufferedBytes: limits.max_buffered_bytes,
    maxClientStatements: limits.max_client_statements,
    maxServerStatements: limits.max_server_statements,
    maxCachedStatements: limits.max_cached_statements,
  };
}

function buildTimeouts(timeouts: FileConfig["timeouts"]): TimeoutsConfig {
  return {
    clientLoginMs: timeouts.client_login,
    serverConnectMs: timeouts.server_connect,
    queryWaitMs: timeouts.query_wait,
    clientIdleInTransactionMs: timeouts.client_idle_in_transaction,
    serverIdleMs: timeouts.server_idle,
    serverLifetimeMs: timeouts.server_lifetime,
    hostRetryMs: timeouts.host_retry,
    drainMs: timeouts.drain,
    pluginCallMs: timeouts.plugin_call,
    retireMs: timeouts.retire,
  };
}

function unreadable(file: string, cause: unknown): PoolerError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const path = shortPath(file);
  if (code === "ENOENT") {
    return new PoolerError("CONFIG_INVALID", `there is no configuration file ${path}`, {
      hint: `name another one with --config, or write this into ${path}:\n\n${minimalConfig}`,
      cause,
    });
  }
  const reason =
    code === "EACCES"
      ? "this user may not read it"
      : code === "EISDIR"
        ? "it is a directory"
        : cause instanceof Error
          ? cause.message
          : String(cause);
  return new PoolerError("CONFIG_INVALID", `cannot read the configuration file ${path}: ${reason}`, { cause });
}

/** Snapshots are shared by everyone who holds them. */
function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
