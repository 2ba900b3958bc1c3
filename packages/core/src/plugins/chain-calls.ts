// What PluginChain.ask() is given and what it fills: made once, used for every call.
import { constants } from "@pooler/plugin-abi";
import type { ChainDecision, ChainRequest } from "./types.js";

/** The first statement of a transaction, nothing decided. Statement, session and cluster are the caller's to set. */
export function createChainRequest(given: Partial<ChainRequest> = {}): ChainRequest {
  return {
    parameters: null,
    lifted: null,
    extended: false,
    inTransaction: false,
    readOnly: false,
    firstStatement: true,
    routable: true,
    prepareOnly: false,
    severalStatements: false,
    standardStrings: true,
    role: constants.POOLER_ROLE_OPEN,
    shard: constants.POOLER_SHARD_OPEN,
    msSinceWrite: constants.POOLER_NEVER,
    answers: null,
    ...given,
  } as ChainRequest;
}

export function createChainDecision(): ChainDecision {
  return {
    outcome: "route",
    role: constants.POOLER_ROLE_OPEN,
    shard: constants.POOLER_SHARD_OPEN,
    plugin: "",
    rewritten: null,
    rewrittenParameters: null,
    error: null,
    pending: null,
    queryId: 0,
    rows: null,
    intercept: null,
  };
}
