// The plugin side of a worker: the chain, the statements that it is shown, and the grammar when a plugin asks for facts.

import { constants } from "@pooler/plugin-abi";
import type { Clock } from "../base/clock.js";
import type { Logger } from "../base/logger.js";
import { exitNow } from "../base/native.js";
import type { PoolerConfig } from "../config/types.js";
import { createPluginChain } from "../plugins/chain.js";
import { openCrashPage } from "../plugins/crash-page.js";
import { loadPlugins } from "../plugins/loader.js";
import { importScripts } from "../plugins/loader-scripts.js";
import type { StatementSource } from "../plugins/statements.js";
import type { PluginChain } from "../plugins/types.js";
import { createStatementParser, grammarMajor } from "../sql/parser.js";
import { createStatementCache } from "../sql/statement-cache.js";

export interface WorkerPlugins {
  readonly chain: PluginChain;
  readonly statements: StatementSource;
  /** A reload. Null: all took it; else who refused it, in words. */
  reload(before: PoolerConfig, after: PoolerConfig): string | null;
  /** All but those with a call that has not returned. */
  destroy(): void;
  /** The process ends in an orderly way. */
  onExit(code: number): void;
}

/** Throws PLUGIN_UNUSABLE. `without`: positions of plugins that are not loaded. The grammar is loaded only when a plugin reads facts: it takes some 100 MB. */
export async function createWorkerPlugins(
  config: PoolerConfig,
  worker: number,
  crashPageFd: number | null,
  clock: Clock,
  log: Logger,
  without: ReadonlySet<number> = new Set(),
): Promise<WorkerPlugins> {
  const crashPage = openCrashPage(crashPageFd);
  const loadScript = await importScripts(config.plugins, crashPage, without);
  const plugins = loadPlugins(config.plugins, { grammar: grammarMajor, worker, crashPage, loadScript, without });
  const wantsFacts = plugins.some(
    ({ description }) => (description.capabilityBits & (constants.POOLER_CAP_FACTS | constants.POOLER_CAP_PARSE_TREE)) !== 0,
  );
  const parser = wantsFacts ? await createStatementParser() : null;
  let chain: PluginChain | null = null;
  const statements = createStatementCache({
    maxTexts: config.limits.maxCachedStatements,
    maxBytes: 64 << 20,
    parser,
    liftsLiterals: plugins.every(({ description }) => (description.capabilityBits & constants.POOLER_CAP_LITERALS) !== 0),
    onForget: (statement) => chain?.forget(statement),
  });
  const made = createPluginChain({ plugins, statements, crashPage, clock, log });
  chain = made;
  return {
    chain: made,
    statements,
    reload: (before, after) => made.hooks?.reload(before.plugins, after.plugins, { worker, grammar: grammarMajor }) ?? null,
    destroy: () => {
      for (const [position, plugin] of [...plugins.entries()].reverse()) if (made.runningOf(position) === 0) plugin.destroy();
    },
    onExit: (code) => {
      crashPage.leaveAllPlaces();
      if (made.running > 0) exitNow(code);
    },
  };
}
