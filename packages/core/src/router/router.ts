// The only place where a Route is made: asks the plugin chain, brings the answers for the statements of one batch together,
// fills in the defaults. Never guesses: what contradicts itself or stays open against the configuration is refused.
import { constants } from "@pooler/plugin-abi";
import { PoolerError } from "../base/errors.js";
import type { ChainAnswers } from "../plugins/chain-answers.js";
import { createChainDecision, createChainRequest } from "../plugins/chain-calls.js";
import type { ChainDecision, ChainRequest, ChainSession, ClusterView, ParameterView, PluginChain } from "../plugins/types.js";
import type { Database, Route } from "../pool/database.js";
import type { LiftedStatement, Statement } from "../sql/statement.js";

const {
  POOLER_ROLE_OPEN,
  POOLER_ROLE_READ,
  POOLER_ROLE_WRITE,
  POOLER_SHARD_ALL,
  POOLER_SHARD_OPEN,
  POOLER_FACT_PARSED,
  POOLER_FACT_UNKNOWN_FUNCTION,
  POOLER_FACT_WRITES,
  POOLER_FACT_LOCKS_ROWS,
  POOLER_FACT_MODIFYING_CTE,
} = constants;

const WRITING = POOLER_FACT_WRITES | POOLER_FACT_LOCKS_ROWS | POOLER_FACT_MODIFYING_CTE;

/** What is known so far of where a batch goes. */
export class RouteDraft {
  role: number = POOLER_ROLE_OPEN;
  shard: number = POOLER_SHARD_OPEN;
  /** Who decided the shard, for the error when another one differs. */
  shardPlugin = "";
  /** Some statement certainly writes, or an explicit transaction is open that is not READ ONLY. */
  needsPrimary = false;
  /** Some statement may write, as far as is known: what read-your-writes counts from. */
  mayWrite = false;

  reset(): void {
    this.role = POOLER_ROLE_OPEN;
    this.shard = POOLER_SHARD_OPEN;
    this.shardPlugin = "";
    this.needsPrimary = false;
    this.mayWrite = false;
  }
}

/** The circumstances that are the same for all statements of a batch. */
export interface AskContext {
  readonly session: ChainSession;
  readonly cluster: ClusterView;
  readonly extended: boolean;
  readonly inTransaction: boolean;
  readonly readOnly: boolean;
  /** The route that the transaction has, null while it has none. */
  readonly current: Route | null;
  readonly severalStatements: boolean;
  /** What is shown as one statement holds several. */
  readonly unsplit: boolean;
  /** standard_conforming_strings of the session. */
  readonly standardStrings: boolean;
  readonly msSinceWrite: number;
}

export class Router {
  readonly chain: PluginChain;
  /** Statement, session and cluster are set before every use. */
  readonly #request: ChainRequest = createChainRequest();
  readonly #decision: ChainDecision = createChainDecision();

  constructor(chain: PluginChain) {
    this.chain = chain;
  }

  /**
   * Ask about one statement. `routable`: it says something about where it belongs. The decision is valid until the next
   * call; what it refers to may be kept. `answers`: of the batch, where a plugin may wait.
   */
  ask(
    context: AskContext,
    statement: Statement,
    parameters: ParameterView | null,
    routable: boolean,
    prepareOnly: boolean,
    lifted: LiftedStatement | null = null,
    answers: ChainAnswers | null = null,
  ): ChainDecision {
    const request = this.#request;
    const { current } = context;
    request.statement = statement;
    request.session = context.session;
    request.cluster = context.cluster;
    request.parameters = parameters;
    request.lifted = lifted;
    request.extended = context.extended;
    request.inTransaction = context.inTransaction;
    request.readOnly = context.readOnly;
    request.firstStatement = current === null && routable;
    request.routable = routable;
    request.prepareOnly = prepareOnly;
    request.severalStatements = context.severalStatements;
    request.standardStrings = context.standardStrings;
    if (current !== null) {
      request.role = current.role === "primary" ? POOLER_ROLE_WRITE : POOLER_ROLE_READ;
      request.shard = current.shard;
    } else {
      request.role = context.inTransaction && !context.readOnly ? POOLER_ROLE_WRITE : POOLER_ROLE_OPEN;
      request.shard = POOLER_SHARD_OPEN;
    }
    request.msSinceWrite = context.msSinceWrite;
    request.answers = answers;
    this.chain.ask(request, this.#decision);
    return this.#decision;
  }

  /** Take a decision into the draft. Two shards in one batch are refused. */
  merge(draft: RouteDraft, decision: ChainDecision, statement: Statement, unsplit: boolean): PoolerError | null {
    if (decision.shard === POOLER_SHARD_ALL) {
      return new PoolerError("NOT_SUPPORTED", `plugin "${decision.plugin}" sends the statement to all shards, which is not supported`, {
        hint: "Run it on each shard by itself.",
      });
    }
    if (decision.shard !== POOLER_SHARD_OPEN) {
      if (draft.shard !== POOLER_SHARD_OPEN && draft.shard !== decision.shard) {
        return new PoolerError("ROUTES_DIFFER", "statements of one batch belong on different shards", {
          detail: `"${draft.shardPlugin}" sends one to shard ${draft.shard}, "${decision.plugin}" sends another to shard ${decision.shard}.`,
          hint: "Send them one by one, each in its own transaction.",
        });
      }
      draft.shard = decision.shard;
      draft.shardPlugin = decision.plugin;
    }
    if (decision.role === POOLER_ROLE_WRITE || (decision.role === POOLER_ROLE_READ && draft.role === POOLER_ROLE_OPEN))
      draft.role = decision.role;
    else if (decision.role === POOLER_ROLE_OPEN) draft.needsPrimary = true; // nobody said that it may be read elsewhere
    const facts = statement.facts?.facts ?? 0;
    const parsed = (facts & POOLER_FACT_PARSED) !== 0;
    if (parsed ? (facts & WRITING) !== 0 : unsplit) draft.needsPrimary = true;
    if (parsed ? (facts & (WRITING | POOLER_FACT_UNKNOWN_FUNCTION)) !== 0 : decision.role !== POOLER_ROLE_READ) draft.mayWrite = true;
    return null;
  }

  /** Defaults for what is open. `routable`: false for SET, SHOW and the like, which any shard answers. */
  resolve(draft: RouteDraft, database: Database, routable: boolean): Route | PoolerError {
    return resolveRoute(draft, database, routable);
  }
}

export function resolveRoute(draft: RouteDraft, database: Database, routable: boolean): Route | PoolerError {
  let { shard } = draft;
  if (shard === POOLER_SHARD_OPEN) {
    if (routable && database.shards.length > 1 && database.config.onUnrouted === "error") {
      return new PoolerError("UNROUTED", "no plugin decided which shard the statement goes to", {
        hint: `Database "${database.config.name}" has on_unrouted = "error". Name the sharding key in the statement, or set on_unrouted = "first".`,
      });
    }
    shard = 0;
  }
  return { shard, role: draft.role === POOLER_ROLE_READ && !draft.needsPrimary ? "replica" : "primary" };
}
