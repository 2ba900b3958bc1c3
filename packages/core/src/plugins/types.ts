// What the router asks the plugin chain and what it is told. Hot: the same request and decision objects serve every call.
import type { LiftedStatement, Statement } from "../sql/statement.js";
import type { ChainAnswers } from "./chain-answers.js";
import type { FailureCode } from "./plugin-failure.js";
import type { RowsWish } from "./row-hook.js";
import type { PluginHooks } from "./types-hooks.js";

/** Parameter values of a Bind message, as views into a buffer that is valid during the call only. */
export interface ParameterView {
  readonly count: number;
  readonly buffer: Buffer;
  /** Start of each value in `buffer`. */
  readonly offsets: Int32Array;
  /** Length of each value, -1 for NULL. */
  readonly lengths: Int32Array;
  /** 0 text, 1 binary, one for each parameter. */
  readonly formats: Int32Array;
  /** Type OIDs, 0 unknown; may be shorter than count. */
  readonly typeOids: readonly number[];
}

export interface ChainSession {
  /** Unique in this worker. */
  readonly id: number;
  readonly user: string;
  readonly database: string;
  readonly applicationName: string;
  readonly clientAddress: string;
  /** PostgreSQL's name, e.g. "UTF8". */
  readonly clientEncoding: string;
  readonly tls: boolean;
  /** Changes when any of the above does; the chain encodes the session again then. */
  readonly generation: number;
  /** The chain's encoded form of it, kept here between calls. */
  encoded: unknown;
}

export interface ClusterHost {
  readonly shard: number;
  readonly role: "primary" | "replica";
  readonly address: string;
  readonly up: boolean;
  /** null: unknown. */
  readonly lagMs: number | null;
}

/** Immutable: a new one is made when anything in it changes. */
export interface ClusterView {
  readonly name: string;
  readonly shards: number;
  readonly generation: number;
  readonly hosts: readonly ClusterHost[];
}

/** Filled by the router before each call of PluginChain.ask(). */
export interface ChainRequest {
  statement: Statement;
  session: ChainSession;
  cluster: ClusterView;
  parameters: ParameterView | null;
  /** The statement is shared by many texts: the one at hand. `parameters` are its literals. */
  lifted: LiftedStatement | null;
  extended: boolean;
  inTransaction: boolean;
  readOnly: boolean;
  /** This decides where the transaction goes; false: the route is made, only plugins that want every statement are asked. */
  firstStatement: boolean;
  /** false: transaction control, SET and the like, which run anywhere. Only plugins that want every statement are asked, and routes do not count. */
  routable: boolean;
  prepareOnly: boolean;
  severalStatements: boolean;
  /** standard_conforming_strings of the session: how the text of a rewrite is read. */
  standardStrings: boolean;
  /** Decided already (POOLER_ROLE_*, POOLER_SHARD_*), or open. */
  role: number;
  shard: number;
  /** POOLER_NEVER when it never wrote. */
  msSinceWrite: number;
  /** What was answered about the batch so far; null unless the chain waits. */
  answers: ChainAnswers | null;
}

/** A question that is under way. */
export interface PendingQuestion {
  /** Who is asked: the entry's name. */
  readonly plugin: string;
  /** Called once, when the answer is there, or the deadline. To be set before anything else happens. */
  onAnswer: (() => void) | null;
  /** Nobody waits any more: onAnswer is not called. */
  drop(): void;
}

export interface InterceptColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly typeModifier: number;
  readonly typeSize: number;
  /** Of the values below: 0 text, 1 binary. */
  readonly format: number;
}

/** Filled by PluginChain.ask(); everything in it is the caller's to keep (copied out of the frames). */
export interface ChainDecision {
  outcome: "route" | "error" | "intercept" | "pending";
  /** POOLER_ROLE_*: OPEN when nobody decided. */
  role: number;
  /** POOLER_SHARD_OPEN when nobody decided, POOLER_SHARD_ALL, or a shard below cluster.shards. */
  shard: number;
  /** Who decided, refused, rewrote last or intercepted: the entry's name; "" when nobody. */
  plugin: string;
  /** The text that replaces the statement, in the client's encoding; null when nobody rewrote. */
  rewritten: Statement | null;
  /** With a rewrite that gave parameters: all of them. */
  rewrittenParameters: {
    readonly values: readonly (Buffer | null)[];
    readonly formats: readonly number[];
    readonly typeOids: readonly number[];
  } | null;
  /** With outcome "error"; `failed` tells a plugin's failure (XX000, PLUGIN_FAILED) from a refusal. */
  error: {
    readonly sqlstate: string;
    readonly message: string;
    readonly detail: string | null;
    readonly hint: string | null;
    readonly failed: boolean;
    /** Of a failure; absent: PLUGIN_FAILED. */
    readonly code?: FailureCode;
  } | null;
  /** With outcome "pending": the statement has to be asked about again, with the same answers, when this one has come. */
  pending: PendingQuestion | null;
  /** pooler_input.query_id of the question. */
  queryId: number;
  /** Who wants to see the rows of this execution; null: nobody. */
  rows: RowsWish | null;
  intercept: {
    readonly columns: readonly InterceptColumn[];
    /** rows × columns, null for NULL. */
    readonly values: readonly (Buffer | null)[];
    readonly rowCount: number;
    readonly commandTag: string;
  } | null;
}

export interface PluginChain {
  readonly size: number;
  /** Some plugin reads facts or parse trees: the statement cache must parse. */
  readonly wantsFacts: boolean;
  /** Some plugin wants every statement, so that statements of a transaction under way must be shown, too. */
  readonly wantsEveryStatement: boolean;
  readonly inspects: boolean;
  /** Some plugin that is asked about statements may wait: requests must have `answers`. */
  readonly waits: boolean;
  /**
   * Ask the plugins in chain order. A plugin that only routes is asked while role or shard is open (and
   * firstStatement, unless it wants every statement); one that inspects is always asked, again after a rewrite.
   * Never throws for what a plugin does.
   */
  ask(request: ChainRequest, decision: ChainDecision): void;
  /** The hooks beside route_query; null when no plugin has any. */
  readonly hooks: PluginHooks | null;
  /** Some plugin is asked about statements. */
  readonly routes: boolean;
  /** Those that are not in service are passed over from now on. Rows that one has asked for before are still shown to it. */
  serve(inService: (position: number) => boolean): void;
  /** The statement cache dropped it. */
  forget(statement: Statement): void;
  stats(): readonly import("../supervisor/ipc.js").PluginStats[];
  /** Some plugin has hooks that run on threads. */
  readonly usesThreads: boolean;
  /** Calls that run there, */
  readonly running: number;
  /** ... of the plugin at this position. */
  runningOf(position: number): number;
  /** Plugins all of whose places have been taken by calls beyond their deadline for so long. `plugin`: position in the configuration. */
  stuckFor(limitMs: number): readonly StuckPlugin[];
}

export interface StuckPlugin {
  readonly plugin: number;
  readonly hook: string;
}
