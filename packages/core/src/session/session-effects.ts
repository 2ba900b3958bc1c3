// What statements do to the settings of a session, and when it counts: SETs take effect with their statement, inside a
// transaction with its COMMIT, and not at all when it, or a savepoint before them, is rolled back.
import { Command, Hazard, type Lexed, LexFlag } from "../sql/lexer.js";
import { parseDeallocate, parseDiscard, parseReset, parseSet } from "../sql/session-statements.js";
import { parseSetConfigs, type SetConfigArgument, type SetConfigCall } from "../sql/set-config.js";
import { foldName } from "../sql/tokens.js";
import { parseRelease, parseRollbackTo, parseSavepoint, parseSetCharacteristics } from "../sql/transaction-statements.js";
import { noSettings, type Settings, startupSetting, withoutSetting, withSetting } from "./settings.js";

export type SessionEffect =
  | { readonly kind: "set"; readonly name: string; readonly statement: string }
  | { readonly kind: "reset"; readonly name: string | null }
  /** DISCARD ALL, DEALLOCATE ALL: where the server itself runs them. */
  | { readonly kind: "discard" | "deallocate" }
  | { readonly kind: "savepoint" | "rollbackTo" | "release"; readonly name: string }
  | { readonly kind: "begin" | "commit" | "rollback" };

export interface SessionEffects {
  readonly effects: readonly SessionEffect[];
  /** Something changes settings in a way that is not understood; the server must not be lent on as it is. */
  readonly unclear: boolean;
  /** Calls of set_config() whose arguments are parameters: what they do is settled when these are bound. */
  readonly calls: readonly SetConfigCall[];
  /** Hazards of the statements that effects and calls account for. */
  readonly carried: number;
}

function effectsAre(effects: readonly SessionEffect[]): SessionEffects {
  return { effects, unclear: false, calls: [], carried: 0 };
}

export const noEffects = effectsAre([]);
const begin = effectsAre([{ kind: "begin" }]);
const commit = effectsAre([{ kind: "commit" }]);
const rollback = effectsAre([{ kind: "rollback" }]);

/** Is a transaction open when statements with these effects have run? `wasOpen`: one was, before. */
export function leavesOpen(effects: readonly SessionEffect[], wasOpen: boolean): boolean {
  let open = wasOpen;
  for (const { kind } of effects) {
    if (kind === "begin") open = true;
    else if (kind === "commit" || kind === "rollback") open = false;
  }
  return open;
}

/** Effects of the statements that were lexed in `buffer`. Allocates for SETs and savepoints only. */
export function effectsOf(buffer: Buffer, lexed: Lexed): SessionEffects {
  const setsByFunction = (lexed.hazards & Hazard.SET_CONFIG) !== 0;
  if (!setsByFunction && (lexed.flags & (LexFlag.HAS_SET | LexFlag.HAS_TRANSACTION_CONTROL | LexFlag.HAS_SQL_PREPARED)) === 0)
    return noEffects;
  if (lexed.overflow) return { effects: [], unclear: true, calls: [], carried: 0 };
  if (lexed.count === 1) {
    switch (lexed.commands[0]) {
      case Command.BEGIN:
        return begin;
      case Command.COMMIT:
      case Command.PREPARE_TRANSACTION:
        return commit;
      case Command.ROLLBACK:
        return rollback;
    }
  }
  const effects: SessionEffect[] = [];
  const unbound: SetConfigCall[] = [];
  let unclear = false;
  let carried: number = setsByFunction ? Hazard.SET_CONFIG : 0;
  for (let i = 0; i < lexed.count; i++) {
    const text = buffer.latin1Slice(lexed.starts[i] as number, lexed.ends[i] as number);
    const command = lexed.commands[i] as number;
    if (command === Command.SET_CHARACTERISTICS) {
      const made = effectsOfCharacteristics(text);
      if (made === null) unclear = true;
      else effects.push(...made);
      continue;
    }
    const effect = effectOf(command, text);
    if (effect === "unclear") unclear = true;
    else if (effect !== null) effects.push(effect);
    if (!setsByFunction || !/set_config/i.test(text)) continue;
    const calls = parseSetConfigs(text);
    const made = calls === null ? null : effectsOfCalls(calls, noParameters);
    if (made !== null) effects.push(...made);
    else if (calls !== null && lexed.count === 1) unbound.push(...calls);
    else carried = 0;
  }
  return { effects, unclear, calls: unbound, carried };
}

/** Values of parameters, from 0; undefined: not known. */
export type ParameterValues = (index: number) => string | null | undefined;

const noParameters: ParameterValues = () => undefined;

/** What calls of set_config() do to the session; null when that is not known. */
export function effectsOfCalls(calls: readonly SetConfigCall[], parameters: ParameterValues): SessionEffect[] | null {
  const effects: SessionEffect[] = [];
  const settled = (argument: SetConfigArgument): string | null | undefined =>
    "parameter" in argument ? parameters(argument.parameter - 1) : argument.value;
  for (const call of calls) {
    const name = settled(call.name);
    const value = settled(call.value);
    // Without a name the server refuses it; the transaction's own settings are none of the session.
    if (name === undefined || name === null || value === undefined || /^transaction_|^seed$/i.test(name)) return null;
    const key = foldName(name);
    effects.push(value === null ? { kind: "reset", name: key } : { kind: "set", name: key, statement: startupSetting(key, value) });
  }
  return effects;
}

/** SET SESSION CHARACTERISTICS AS TRANSACTION sets the defaults that it names. */
function effectsOfCharacteristics(text: string): SessionEffect[] | null {
  const modes = parseSetCharacteristics(text);
  if (modes === null) return null;
  const { isolation, readOnly, deferrable } = modes;
  const onOff = (value: boolean | null): string | null => (value === null ? null : value ? "on" : "off");
  const defaults = { isolation, read_only: onOff(readOnly), deferrable: onOff(deferrable) };
  return Object.entries(defaults).flatMap(([mode, value]) => {
    const name = `default_transaction_${mode}`;
    return value === null ? [] : [{ kind: "set" as const, name, statement: startupSetting(name, value) }];
  });
}

/** Text is held byte for byte (latin1), so that it can be said again in the encoding that it came in. */
function effectOf(command: number, text: string): SessionEffect | "unclear" | null {
  switch (command) {
    case Command.BEGIN:
      return { kind: "begin" };
    case Command.COMMIT:
    case Command.PREPARE_TRANSACTION:
      return { kind: "commit" };
    case Command.ROLLBACK:
      return { kind: "rollback" };
    case Command.SAVEPOINT:
      return named("savepoint", parseSavepoint(text));
    case Command.RELEASE:
      return named("release", parseRelease(text));
    case Command.ROLLBACK_TO:
      return named("rollbackTo", parseRollbackTo(text));
    case Command.SET: {
      const set = parseSet(text);
      if (set === null) return "unclear";
      return set.isDefault ? { kind: "reset", name: set.name } : { kind: "set", name: set.name, statement: text };
    }
    case Command.RESET: {
      const reset = parseReset(text);
      return reset === null ? "unclear" : { kind: "reset", name: reset.name };
    }
    case Command.DISCARD:
      return parseDiscard(text) === "all" ? { kind: "discard" } : null;
    case Command.DEALLOCATE:
      return parseDeallocate(text)?.name === null ? { kind: "deallocate" } : null;
    default:
      return null;
  }
}

/** The effect of one SET or RESET; null when it has none or is not understood. */
export function effectOfText(command: number, text: string): SessionEffect | null {
  const effect = effectOf(command, text);
  return effect === "unclear" ? null : effect;
}

function named(kind: "savepoint" | "release" | "rollbackTo", name: string | null): SessionEffect | "unclear" {
  return name === null ? "unclear" : { kind, name };
}

/** Whose settings they are. */
export interface SettingsOwner {
  /** What startup made of it: what RESET goes back to. */
  readonly initialSettings: Settings;
  settings: Settings;
}

/** What the transaction that is open would make of a session's settings. At rest no session has one. */
export class SettingsTracker {
  #owner: SettingsOwner;
  /** What the statements have made of the server that the session has now: there RESET goes back to the server's defaults. */
  applied: Settings = noSettings;
  /** Null: nothing, as in most sessions most of the time. */
  #pending: SessionEffect[] | null = null;

  constructor(owner: SettingsOwner) {
    this.#owner = owner;
  }

  /** Another's from now on. */
  begin(owner: SettingsOwner): void {
    this.#owner = owner;
    this.applied = noSettings;
    this.#pending = null;
  }

  /** A transaction is open in which settings were changed. */
  get pending(): boolean {
    return this.#pending !== null;
  }

  /** The statements of one batch, which are one transaction, have run without an error. `open`: it is open still. */
  succeeded(effects: readonly SessionEffect[], open: boolean): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "begin":
          break;
        case "commit":
          this.#apply();
          break;
        case "rollback":
          this.#pending = null;
          break;
        case "rollbackTo":
          this.#rollbackTo(effect.name);
          break;
        case "release":
          this.#release(effect.name);
          break;
        default:
          this.#pending ??= [];
          this.#pending.push(effect);
      }
    }
    if (!open) this.#apply();
  }

  /** The transaction is over, and came to nothing. */
  rolledBack(): void {
    this.#pending = null;
  }

  #apply(): void {
    if (this.#pending === null) return;
    const owner = this.#owner;
    for (const effect of this.#pending) {
      switch (effect.kind) {
        case "set":
          owner.settings = withSetting(owner.settings, effect.name, effect.statement);
          this.applied = withSetting(this.applied, effect.name, effect.statement);
          break;
        case "reset":
          owner.settings = reset(owner.settings, effect.name, owner.initialSettings);
          this.applied = reset(this.applied, effect.name, noSettings);
          break;
        case "discard":
          owner.settings = owner.initialSettings;
          this.applied = noSettings;
      }
    }
    this.#pending = null;
  }

  #rollbackTo(savepoint: string): void {
    const at = this.#find(savepoint);
    if (at >= 0) this.#pending = this.#pending?.slice(0, at + 1) ?? null;
  }

  /** The savepoint is gone, and those inside it; what they set stays. */
  #release(savepoint: string): void {
    const at = this.#find(savepoint);
    if (at < 0 || this.#pending === null) return;
    const left = this.#pending.filter(({ kind }, i) => i < at || kind !== "savepoint");
    this.#pending = left.length === 0 ? null : left;
  }

  #find(savepoint: string): number {
    return this.#pending?.findLastIndex((effect) => effect.kind === "savepoint" && effect.name === savepoint) ?? -1;
  }
}

function reset(settings: Settings, name: string | null, initial: Settings): Settings {
  if (name !== null) {
    const statement = initial.entries.get(name);
    return statement === undefined ? withoutSetting(settings, name) : withSetting(settings, name, statement);
  }
  // RESET ALL leaves role and session authorization alone.
  let rest = initial;
  for (const kept of ["role", "session_authorization"]) {
    const statement = settings.entries.get(kept);
    if (statement !== undefined) rest = withSetting(rest, kept, statement);
  }
  return rest;
}
