// What all sessions of a worker share.
import type { PassThroughKeys } from "../auth/scram.js";
import type { Clock } from "../base/clock.js";
import type { PoolerError } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import type { PoolerConfig, UserConfig } from "../config/types.js";
import type { StatementSource } from "../plugins/statements.js";
import type { PluginHooks } from "../plugins/types-hooks.js";
import type { Database } from "../pool/database.js";
import { BindMessage, ParseMessage } from "../protocol/frontend.js";
import { MessageWriter } from "../protocol/message-writer.js";
import type { Router } from "../router/router.js";
import { createLexed, type Lexed } from "../sql/lexer.js";
import type { WireEngine } from "../wire/wire.js";
import { BatchStock } from "./batch.js";
import type { ClientHooks } from "./client-hooks.js";
import { StatementRegistry } from "./client-statements.js";
import { IntakeStock } from "./intake.js";
import { KnownStartups } from "./known-startups.js";
import type { MessageMemory } from "./message-memory.js";
import { RideStock } from "./ride.js";
import { RunnerStock } from "./runner-stock.js";

export interface SessionTotals {
  clientsAccepted: number;
  clientsRefused: number;
  loginFailures: number;
  cancelsReceived: number;
  cancelsSent: number;
}

export interface SessionContext {
  config: PoolerConfig;
  readonly engine: WireEngine;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whoever begins something gets this instead: a plugin crashed too often that nobody may go past. */
  refusal: PoolerError | null;
  /** Null: no plugins. */
  readonly router: Router | null;
  /** Statements for the plugin chain; there is one whenever there is a router. */
  readonly statements: StatementSource | null;
  /** Null: no plugin has hooks beside route_query. */
  readonly hooks: PluginHooks | null;
  /** Null: no plugin wants to know who comes and goes. */
  readonly clientHooks: ClientHooks | null;
  readonly registry: StatementRegistry;
  readonly memory: MessageMemory;
  readonly batches: BatchStock;
  readonly runners: RunnerStock;
  readonly startups: KnownStartups;
  readonly intakes: IntakeStock;
  readonly rides: RideStock;
  /** For what the pooler says to clients itself: used and sent within one call. */
  readonly reply: MessageWriter;
  /** For what goes to servers: used and sent within one call. */
  readonly request: MessageWriter;
  readonly lexed: Lexed;
  readonly parse: ParseMessage;
  readonly bind: BindMessage;
  /** By user: keys that logins have shown and that open servers, for users with nothing but a verifier. */
  readonly passThroughKeys: Map<string, PassThroughKeys>;
  readonly totals: SessionTotals;
  database(name: string): Database | undefined;
  user(name: string): UserConfig | undefined;
}

export function createSessionScratch(
  config: PoolerConfig,
  memory: MessageMemory,
): Pick<
  SessionContext,
  "registry" | "memory" | "batches" | "rides" | "runners" | "startups" | "intakes" | "reply" | "request" | "lexed" | "parse" | "bind"
> {
  return {
    registry: new StatementRegistry(config.limits.maxCachedStatements),
    memory,
    batches: new BatchStock(memory),
    rides: new RideStock(),
    runners: new RunnerStock(),
    startups: new KnownStartups(),
    intakes: new IntakeStock(memory),
    reply: new MessageWriter(),
    request: new MessageWriter(),
    lexed: createLexed(),
    parse: new ParseMessage(),
    bind: new BindMessage(),
  };
}
