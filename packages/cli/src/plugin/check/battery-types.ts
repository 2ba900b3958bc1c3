// What a case of the battery is, and what it is given.
import type { StatementParser } from "@pooler/core/plugin-tools";
import type { StatementSpec } from "./frame-builder.js";
import type { PluginUnderCheck } from "./plugin-under-check.js";

export const groups = [
  "handshake",
  "create",
  "questions",
  "learn",
  "other hooks",
  "space",
  "damaged frames",
  "later versions",
  "threads",
  "memory",
] as const;
export type Group = (typeof groups)[number];

export interface BatteryCase {
  readonly group: Group;
  /** "asked about SELECT 1". */
  readonly title: string;
  /** Throws a Breach, or rejects with one. */
  run(context: CaseContext): void | Promise<void>;
}

export interface CaseContext {
  readonly plugin: PluginUnderCheck;
  readonly parser: StatementParser;
  /** JSON of [plugins.config]. */
  readonly config: string;
  readonly learns: boolean;
  /** The author's statements first. */
  readonly texts: readonly string[];
  /** A word that is no breach. */
  note(text: string): void;
  /** With an id that stays the same for the text; facts as far as the plugin wants them. */
  statement(sql: string | Buffer): StatementSpec;
  /** A state that lives as long as `use` runs, or until what it returned has settled. */
  withState<T>(use: (state: bigint) => T, config?: string): T;
}
