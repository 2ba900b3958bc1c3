// The settings that a session made with SET or brought along in its startup packet, as an immutable value. A server carries
// the settings of whoever had it last; before a lease both are compared and the difference is run.
import { HEADER_BYTES } from "../protocol/codes.js";
import { quoteIdentifier, quoteLiteral } from "../sql/quoting.js";

export interface Settings {
  /** Equal for equal settings. */
  readonly key: string;
  /** Lower-case name → the statement that makes the setting. */
  readonly entries: ReadonlyMap<string, string>;
  /** Equal for settings by which a statement's text, when it is parsed, comes to mean the same, and is allowed to the same. */
  readonly reading: string;
  /** Statements have time limits of the session's own. */
  readonly limitsTime: boolean;
  /** Transactions that do not say otherwise are serializable: a hot standby refuses them. */
  readonly serializable: boolean;
}

export const noSettings: Settings = { key: "", entries: new Map(), reading: "", limitsTime: false, serializable: false };

/** Constants are read when a statement is parsed, not when it runs. */
const readingNames = new Set([
  "array_nulls",
  "backslash_quote",
  "client_encoding",
  "datestyle",
  "intervalstyle",
  "lc_monetary",
  "standard_conforming_strings",
  "timezone",
  "timezone_abbreviations",
  "transform_null_equals",
  "xmloption",
]);

/**
 * Those by which names are found. PostgreSQL looks for itself whether search_path is still the one that a statement was parsed with, but
 * keeps the types of its parameters; and whether a schema may be used at all is asked when a statement is parsed, and never again.
 */
const namingNames = new Set(["role", "search_path", "session_authorization"]);

/** Does the setting change how constants are read? `name` in lower case. */
export function changesReading(name: string): boolean {
  return readingNames.has(name);
}

function settingsOf(entries: ReadonlyMap<string, string>): Settings {
  if (entries.size === 0) return noSettings;
  const names = [...entries.keys()].sort();
  const keyOf = (chosen: readonly string[]): string => chosen.map((name) => `${name}\0${entries.get(name)}`).join("\0");
  const serializable = /serializable/i.test(entries.get("default_transaction_isolation") ?? "");
  const limitsTime = names.some((name) => name.endsWith("_timeout"));
  const reading = keyOf(names.filter((name) => changesReading(name) || namingNames.has(name)));
  return { key: keyOf(names), entries, limitsTime, reading, serializable };
}

export function withSetting(settings: Settings, name: string, statement: string): Settings {
  if (settings.entries.get(name) === statement) return settings;
  const entries = new Map(settings.entries);
  entries.delete(name); // the order of the SETs is kept: a later one may depend on an earlier one
  entries.set(name, statement);
  return settingsOf(entries);
}

export function withoutSetting(settings: Settings, name: string): Settings {
  if (!settings.entries.has(name)) return settings;
  const entries = new Map(settings.entries);
  entries.delete(name);
  return settingsOf(entries);
}

export function sameSettings(a: Settings, b: Settings): boolean {
  return a === b || a.key === b.key;
}

/** Statements that turn a session with `from` into one with `to`. `first`: queries by which plugins begin every session. */
export function settingsDifference(from: Settings, to: Settings, first: readonly Buffer[] = []): string[] {
  const statements: string[] = [];
  for (const name of from.entries.keys()) if (!to.entries.has(name)) statements.push(resetStatement(name));
  // RESET goes back to what the server has, not to what they made of it.
  if (statements.length > 0) for (const query of first) statements.push(query.latin1Slice(HEADER_BYTES, query.length - 1));
  for (const [name, statement] of to.entries) if (from.entries.get(name) !== statement) statements.push(statement);
  return statements;
}

function resetStatement(name: string): string {
  return name === "session_authorization" ? "RESET SESSION AUTHORIZATION" : `RESET ${settingName(name)}`;
}

/** A name such as `search_path` or `app.tenant`, quoted part by part. */
export function settingName(name: string): string {
  return name.split(".").map(quoteIdentifier).join(".");
}

/**
 * The statement for a setting that came in a startup packet. Not SET: that would take a list, such as a search_path of two
 * schemas, for one name.
 */
export function startupSetting(name: string, value: string): string {
  return `SELECT pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value)}, false)`;
}
