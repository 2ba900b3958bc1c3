// The cases of a check, in order. Each stands for itself, with plugin states of its own, so that after a crash the next one
// can go on in another process. Knows no processes.

import type { StatementParser } from "@pooler/core/plugin-tools";
import { constants } from "@pooler/plugin-abi";
import type { BatteryCase, CaseContext } from "./battery-types.js";
import { breach } from "./breach.js";
import { createCases } from "./cases-create.js";
import { damageCases } from "./cases-damage.js";
import { growthCases } from "./cases-growth.js";
import { handshakeCases } from "./cases-handshake.js";
import { hookCases } from "./cases-hooks.js";
import { learnCases } from "./cases-learn.js";
import { questionCases } from "./cases-questions.js";
import { spaceCases } from "./cases-space.js";
import { threadCases } from "./cases-threads.js";
import type { StatementSpec } from "./frame-builder.js";
import { buildCreateInput } from "./frame-builder.js";
import type { PluginUnderCheck } from "./plugin-under-check.js";
import { statementOf, statementTexts } from "./questions.js";

/** `statements`: of the author's own, beside those of the battery. */
export function batteryOf(plugin: PluginUnderCheck, statements: readonly string[]): readonly BatteryCase[] {
  const handshake = handshakeCases();
  if ((plugin.info.hooks & constants.POOLER_HOOK_ROUTE_QUERY) === 0) {
    return [...handshake, ...createCases(), ...hookCases(plugin), ...threadCases(plugin)];
  }
  return [
    ...handshake,
    ...createCases(),
    ...questionCases([...statements, ...statementTexts]),
    ...learnCases(plugin),
    ...spaceCases(),
    // The pooler's own code reads the frames of a script.
    ...(plugin.info.sdk === "javascript" ? [] : damageCases(plugin)),
    ...growthCases(),
    ...hookCases(plugin),
    ...threadCases(plugin),
  ];
}

export interface ContextOptions {
  readonly plugin: PluginUnderCheck;
  readonly config: string;
  readonly parser: StatementParser;
  /** Of the author's own, beside those of the battery. */
  readonly statements: readonly string[];
  readonly note: (text: string) => void;
}

export function createCaseContext({ plugin, config, parser, statements, note }: ContextOptions): CaseContext {
  const { capabilities } = plugin.info;
  const has = (bits: number): boolean => (capabilities & bits) !== 0;
  const wanted = {
    facts: has(constants.POOLER_CAP_FACTS | constants.POOLER_CAP_PARSE_TREE | constants.POOLER_CAP_FINGERPRINT),
    tree: has(constants.POOLER_CAP_PARSE_TREE),
    fingerprint: has(constants.POOLER_CAP_FINGERPRINT),
  };
  const known = new Map<string, StatementSpec>();
  const context: CaseContext = {
    plugin,
    parser,
    config,
    learns: plugin.exports("pooler_learn_statement"),
    texts: [...statements, ...statementTexts],
    note,
    statement(sql) {
      const key = typeof sql === "string" ? sql : sql.toString("latin1");
      const made = known.get(key) ?? statementOf(known.size + 1, sql, parser, wanted);
      known.set(key, made);
      return made;
    },
    withState(use, ownConfig = config) {
      const { answer, state } = plugin.create(buildCreateInput(ownConfig, parser.grammar).bytes, { wellFormed: true });
      if (state === null) throw breach(`pooler_create refused the configuration ${ownConfig}: ${answer.message ?? answer.digest}`);
      let isLate = false;
      try {
        const used = use(state);
        if (!(used instanceof Promise)) return used;
        isLate = true;
        return used.finally(() => plugin.destroy(state)) as typeof used;
      } finally {
        if (!isLate) plugin.destroy(state);
      }
    },
  };
  return context;
}
