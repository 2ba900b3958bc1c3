// Asks the plugins about one statement, in the order of the configuration, and makes one decision of what they answer. Hot:
// skip and forward allocate nothing. Must not know how plugins are found and loaded, nor what becomes of the decision.
//
//   ask ──▶ plugin 0 ──▶ plugin 1 ──▶ … ──▶ decision
//             ├ skip, forward    the next plugin
//             ├ intercept        only those that inspect are still asked
//             ├ rewrite          once more from the start: those that inspect see the new text, others if they saw none yet
//             ├ error, failure   the end
//             └ (may wait)       pending: asked again from the start when its answer is there, where all answers are remembered
import { constants } from "@pooler/plugin-abi";
import type { Clock } from "../base/clock.js";
import { invariant, PoolerError } from "../base/errors.js";
import type { Logger } from "../base/logger.js";
import type { LiftedStatement, Statement } from "../sql/statement.js";
import type { PluginStats } from "../supervisor/ipc.js";
import { type BlockingPool, createBlockingPool } from "./blocking-pool.js";
import type { AnswerRecord, ChainAnswer } from "./chain-answers.js";
import { ChainMember, memberAsked, memberFailed } from "./chain-member.js";
import { factCapabilities, type LoadedPlugin, mostPlugins } from "./chain-plugin.js";
import { type Rewrite, readInterception, readRefusal, readRewrite } from "./chain-verdicts.js";
import type { CrashPage } from "./crash-page.js";
import { Frames } from "./frames.js";
import { malformed } from "./frames-output.js";
import { HookCaller } from "./hook-caller.js";
import { createPluginHooks } from "./hooks.js";
import { type FailureCode, failureOf } from "./plugin-failure.js";
import type { RowsWish } from "./row-hook.js";
import type { StatementSource } from "./statements.js";
import type { ChainDecision, ChainRequest, ParameterView, PendingQuestion, PluginChain, StuckPlugin } from "./types.js";
import type { PluginHooks } from "./types-hooks.js";

const roleOpen = constants.POOLER_ROLE_OPEN;
const shardOpen = constants.POOLER_SHARD_OPEN;
const mostRewrites = 8;

export interface PluginChainOptions {
  /** Chain order. */
  readonly plugins: readonly LoadedPlugin[];
  readonly statements: StatementSource;
  readonly crashPage: CrashPage;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createPluginChain(options: PluginChainOptions): PluginChain {
  invariant(options.plugins.length <= mostPlugins, `a chain has at most ${mostPlugins} plugins`);
  return new Chain(options);
}

class Chain implements PluginChain {
  readonly size: number;
  readonly wantsFacts: boolean;
  readonly wantsEveryStatement: boolean;
  readonly inspects: boolean;
  readonly routes: boolean;
  readonly waits: boolean;
  readonly usesThreads: boolean;
  readonly hooks: PluginHooks | null;
  readonly #callers: readonly HookCaller[];
  /** Those that have route_query. */
  readonly #members: readonly ChainMember[];
  readonly #everyone: readonly ChainMember[];
  /** Of those that may wait, by position. */
  readonly #pools: readonly (BlockingPool | null)[];
  readonly #frames: Frames;
  readonly #statements: StatementSource;
  readonly #clock: Clock;
  #lastQueryId = 0;
  #queryId = 0;
  // What the statement at hand has come to. Fields, not locals, so that the verdicts can be handled by methods.
  #statement: Statement | null = null;
  #parameters: ParameterView | null = null;
  #lifted: LiftedStatement | null = null;
  #role: number = roleOpen;
  #shard: number = shardOpen;
  #flags = 0;
  /** Bit n: member n was asked about this statement in any of its texts. */
  #asked = 0;
  /** ... about the text that it has now, or made that text. */
  #askedAboutText = 0;
  #rewriters = 0;
  #rewrites = 0;
  #frameIsBuilt = false;
  /** What is remembered of the statement; null: nobody waits in this chain. */
  #record: AnswerRecord | null = null;
  /** The answer at hand was dealt with before. */
  #again = false;
  #failureCode: FailureCode = "PLUGIN_FAILED";
  /** Who wants to see the rows. */
  #rows: RowsWish | null = null;

  constructor(options: PluginChainOptions) {
    const { plugins, crashPage, clock, log } = options;
    const has = (bits: number) => plugins.some((plugin) => (plugin.description.capabilityBits & bits) !== 0);
    this.size = plugins.length;
    this.wantsFacts = has(factCapabilities);
    const pools = plugins.map((plugin, position) => {
      const limits = plugin.blocking;
      return limits === null ? null : createBlockingPool({ plugin, limits, position, page: crashPage, clock });
    });
    this.#pools = pools;
    this.#everyone = plugins.map(
      (plugin, position) => new ChainMember(plugin, position, crashPage, clock, log, pools[position] as BlockingPool | null),
    );
    this.#members = this.#everyone.filter(({ routes }) => routes);
    this.routes = this.#members.length > 0;
    this.waits = this.#members.some(({ pool }) => pool !== null);
    this.usesThreads = pools.some((pool) => pool !== null);
    this.inspects = this.#members.some(({ inspects }) => inspects);
    this.wantsEveryStatement = this.#members.some(({ everyStatement }) => everyStatement);
    const frames = new Frames(has(constants.POOLER_CAP_FINGERPRINT));
    this.#frames = frames;
    this.#callers = plugins.map(
      (plugin, position) => new HookCaller(plugin, position, crashPage, clock, log, pools[position] as BlockingPool | null),
    );
    const hasHooks = plugins.some(({ exports }) => Object.values(exports.hooks).some((hook) => hook !== null));
    this.hooks = hasHooks ? createPluginHooks(this.#callers, (statement) => frames.statementBlock(statement)) : null;
    this.#statements = options.statements;
    this.#clock = clock;
  }

  ask(request: ChainRequest, decision: ChainDecision): void {
    this.#begin(request, decision);
    const members = this.#members;
    let nowMs = 0;
    for (let i = 0; i < members.length; i++) {
      const member = members[i] as ChainMember;
      const statement = this.#statement as Statement;
      if (!this.#isWanted(member, request, decision)) continue;
      if (!this.#frameIsBuilt) {
        this.#frames.build(request, this.#queryId, statement, this.#parameters, this.#lifted);
        this.#frameIsBuilt = true;
        nowMs = this.#clock.nowMs();
      }
      this.#asked |= member.bit;
      this.#askedAboutText |= member.bit;
      const decided =
        (this.#role === roleOpen ? 0 : constants.POOLER_ROLE_DECIDED) | (this.#shard === shardOpen ? 0 : constants.POOLER_SHARD_DECIDED);
      this.#frames.input.decided(this.#flags | decided, this.#role, this.#shard);
      const verdict =
        this.#record === null
          ? member.ask(this.#frames, request, statement, this.#queryId, nowMs)
          : this.#askOnce(this.#record, member, request, decision, nowMs);
      if (verdict === memberAsked) break;
      nowMs = member.endedMs;
      if (member.seesRows && verdict >= constants.POOLER_SKIP) this.#noteRows(member, statement, request);
      if (verdict === constants.POOLER_SKIP) continue;
      this.#hear(member, verdict, request, decision);
      if (decision.error !== null) break;
      // A rewrite: the text is another one now.
      if (!this.#frameIsBuilt) i = -1;
    }
    this.#end(decision);
  }

  runningOf(position: number): number {
    return this.#pools[position]?.running ?? 0;
  }

  get running(): number {
    let sum = 0;
    for (const pool of this.#pools) if (pool !== null) sum += pool.running;
    return sum;
  }

  stuckFor(limitMs: number): readonly StuckPlugin[] {
    const nowMs = this.#clock.nowMs();
    return this.#pools.flatMap((pool, plugin) => {
      const since = pool?.stuckSince ?? null;
      return since === null || nowMs - since.atMs < limitMs ? [] : [{ plugin, hook: since.hook }];
    });
  }

  forget(statement: Statement): void {
    const learnedBy = statement.learnedBy;
    if (learnedBy === 0 || !this.#frames.owns(statement)) return;
    statement.learnedBy = 0;
    for (const member of this.#everyone) {
      if ((learnedBy & member.bit) !== 0) member.forget(statement.id);
    }
  }

  serve(inService: (position: number) => boolean): void {
    for (const [position, member] of this.#everyone.entries()) {
      member.inService = inService(position);
      (this.#callers[position] as HookCaller).inService = member.inService;
    }
  }

  stats(): readonly PluginStats[] {
    return this.#everyone.map((member, position) => ({
      ...member.stats(),
      hookCalls: (this.#callers[position] as HookCaller).stats(),
    }));
  }

  #begin(request: ChainRequest, decision: ChainDecision): void {
    decision.outcome = "route";
    decision.plugin = "";
    decision.rewritten = null;
    decision.rewrittenParameters = null;
    decision.error = null;
    decision.intercept = null;
    decision.pending = null;
    if (request.answers === null) this.#queryId = ++this.#lastQueryId;
    else this.#open(request.answers.open(request.statement));
    this.#statement = request.statement;
    this.#parameters = request.prepareOnly ? null : request.parameters;
    this.#lifted = request.lifted;
    this.#role = request.role;
    this.#shard = request.shard;
    this.#flags = flagsOf(request);
    this.#asked = 0;
    this.#askedAboutText = 0;
    this.#rewriters = 0;
    this.#rewrites = 0;
    this.#frameIsBuilt = false;
    this.#rows = null;
  }

  #end(decision: ChainDecision): void {
    decision.queryId = this.#queryId;
    decision.rows = this.#rows;
    this.#rows = null;
    decision.outcome = decision.error !== null ? "error" : decision.intercept !== null ? "intercept" : "route";
    if (decision.pending !== null) decision.outcome = "pending";
    this.#record = null;
    decision.role = this.#role;
    decision.shard = this.#shard;
    this.#frames.trim();
    this.#statement = null;
    this.#parameters = null;
    this.#lifted = null;
  }

  #open(record: AnswerRecord): void {
    if (record.queryId === 0) record.queryId = ++this.#lastQueryId;
    this.#queryId = record.queryId;
    this.#record = record;
    this.#again = false;
    this.#failureCode = "PLUGIN_FAILED";
  }

  /** What the member has answered before, or answers now, or will: then `decision` has the question. */
  #askOnce(record: AnswerRecord, member: ChainMember, request: ChainRequest, decision: ChainDecision, nowMs: number): number {
    const statement = this.#statement as Statement;
    const known = record.take(member.bit);
    if (known !== null) return this.#recall(member, known);
    if (member.pool === null) {
      this.#again = false;
      this.#failureCode = "PLUGIN_FAILED";
      const verdict = member.ask(this.#frames, request, statement, this.#queryId, nowMs);
      const output = verdict === memberFailed ? null : this.#frames.output.copy();
      const failure = verdict === memberFailed ? member.failure : "its answer is malformed";
      const { bit } = member;
      record.add({ bit, verdict: output === null ? memberFailed : verdict, output, failure, failureCode: "PLUGIN_FAILED", heard: true });
      return verdict;
    }
    const question = new Question(member.name);
    const begun = member.begin(this.#frames, request, statement, this.#queryId, nowMs, (answer) => {
      record.add(answer);
      question.onAnswer?.();
    });
    if ("verdict" in begun) {
      record.add(begun);
      return this.#recall(member, begun);
    }
    question.drop = () => begun.drop();
    decision.pending = question;
    return memberAsked;
  }

  /** As if it had just answered. */
  #recall(member: ChainMember, answer: ChainAnswer): number {
    this.#again = answer.heard;
    this.#failureCode = answer.failureCode;
    answer.heard = true;
    member.failure = answer.failure;
    member.endedMs = this.#clock.nowMs();
    if (answer.output !== null) this.#frames.output.load(answer.output);
    return answer.verdict;
  }

  #isWanted(member: ChainMember, request: ChainRequest, decision: ChainDecision): boolean {
    if ((this.#askedAboutText & member.bit) !== 0 || !member.inService) return false;
    if (member.inspects) return true;
    if ((this.#asked & member.bit) !== 0 || decision.intercept !== null) return false;
    return request.firstStatement ? this.#role === roleOpen || this.#shard === shardOpen : member.everyStatement;
  }

  /** Whoever has asked for the rows once sees them, whatever becomes of the statement. */
  #noteRows(member: ChainMember, statement: Statement, request: ChainRequest): void {
    const { flags, cookieLow, cookieHigh } = this.#frames.output;
    if ((flags & constants.POOLER_OUT_ROWS) === 0) return;
    const caller = this.#callers.find(({ bit }) => bit === member.bit) as HookCaller;
    const readers = (this.#rows?.readers ?? []).filter((reader) => reader.caller !== caller);
    readers.push({ caller, cookieLow, cookieHigh, statementId: statement.id });
    readers.sort((left, right) => left.caller.bit - right.caller.bit);
    this.#rows = { queryId: this.#queryId, session: request.session, readers };
  }

  #hear(member: ChainMember, verdict: number, request: ChainRequest, decision: ChainDecision): void {
    if (verdict === memberFailed) {
      this.#fail(member, decision);
      return;
    }
    try {
      switch (verdict) {
        case constants.POOLER_FORWARD:
          this.#forward(member, request, decision);
          break;
        case constants.POOLER_ERROR:
          this.#refuse(member, request, decision);
          break;
        case constants.POOLER_REWRITE:
          this.#rewrite(member, request, decision);
          break;
        case constants.POOLER_INTERCEPT:
          this.#intercept(member, decision);
          break;
        default:
          invariant(false, `verdict ${verdict}`);
      }
    } catch (cause) {
      if (!(cause instanceof PoolerError)) throw cause;
      member.failure = cause.message;
      this.#failureCode = "PLUGIN_FAILED";
      this.#fail(member, decision);
    }
  }

  #fail(member: ChainMember, decision: ChainDecision): void {
    const code = this.#failureCode;
    if (!this.#again) member.noteFailure(code !== "PLUGIN_BUSY");
    if (member.passedOver) return;
    const { sqlstate, message, hint = null } = failureOf(code, member.name, member.failure);
    decision.plugin = member.name;
    decision.error = { sqlstate, message, detail: null, hint, failed: true, ...(code === "PLUGIN_FAILED" ? {} : { code }) };
  }

  #forward(member: ChainMember, request: ChainRequest, decision: ChainDecision): void {
    const { output } = this.#frames;
    output.checkHeader();
    const { role, shard } = output;
    if (role > constants.POOLER_ROLE_READ) throw malformed(`role is ${role}`);
    if (shard >= request.cluster.shards && shard < constants.POOLER_SHARD_ALL) {
      throw malformed(`shard is ${shard}, the cluster has ${request.cluster.shards}`);
    }
    if (request.prepareOnly || !request.routable) return;
    if (!request.firstStatement && moves(request, role, shard)) {
      decision.plugin = member.name;
      decision.error = refusalToMove(member.name, request, role, shard);
      return;
    }
    if (this.#role === roleOpen && role !== roleOpen) {
      this.#role = role;
      decision.plugin = member.name;
    }
    if (this.#shard === shardOpen && shard !== shardOpen) {
      this.#shard = shard;
      decision.plugin = member.name;
    }
  }

  #refuse(member: ChainMember, request: ChainRequest, decision: ChainDecision): void {
    const refusal = readRefusal(this.#frames.output, member.name);
    // A driver prepares: without parameters a plugin may miss its key, and only a plugin that inspects means the text itself.
    if (request.prepareOnly && !member.inspects) return;
    decision.plugin = member.name;
    decision.error = refusal;
  }

  #rewrite(member: ChainMember, request: ChainRequest, decision: ChainDecision): void {
    const rewrite = readRewrite(this.#frames.output);
    const statement = this.#statementOf(rewrite, request);
    if (statement === this.#statement && rewrite.parameters === null) return;
    this.#rewriters |= member.bit;
    this.#rewrites++;
    if (this.#rewrites > mostRewrites) {
      const names = this.#members.filter((other) => (this.#rewriters & other.bit) !== 0).map((other) => `"${other.name}"`);
      throw new PoolerError("PLUGIN_FAILED", `the statement was rewritten more than ${mostRewrites} times, by ${names.join(", ")}`);
    }
    if ((this.#frames.output.flags & constants.POOLER_OUT_ROUTE) !== 0) {
      this.#forward(member, request, decision);
      if (decision.error !== null) return;
    }
    this.#statement = statement;
    this.#flags |= constants.POOLER_REWRITTEN;
    this.#askedAboutText = member.bit;
    this.#frameIsBuilt = false;
    decision.plugin = member.name;
    decision.rewritten = statement;
    decision.intercept = null;
    // The literals were those of the text that was replaced.
    if (this.#lifted !== null) this.#parameters = null;
    this.#lifted = null;
    if (rewrite.parameters !== null) {
      decision.rewrittenParameters = rewrite.parameters.kept;
      if (!request.prepareOnly) this.#parameters = rewrite.parameters.view;
    }
  }

  #statementOf(rewrite: Rewrite, request: ChainRequest): Statement {
    const { sql } = rewrite;
    const text = this.#statements.statementsOf(sql, 0, sql.length, request.session.clientEncoding, request.standardStrings);
    if (text.unparsed) throw malformed("its rewrite cannot be parsed, so it cannot be known to be one statement");
    const [statement] = text.statements;
    if (statement === undefined || text.statements.length > 1) {
      throw malformed(`its rewrite holds ${text.statements.length} statements instead of one`);
    }
    return statement;
  }

  #intercept(member: ChainMember, decision: ChainDecision): void {
    const interception = readInterception(this.#frames.output);
    // The first one answers; a later one was asked because it inspects.
    if (decision.intercept !== null) return;
    decision.plugin = member.name;
    decision.intercept = interception;
  }
}

class Question implements PendingQuestion {
  readonly plugin: string;
  onAnswer: (() => void) | null = null;
  drop: () => void = () => {};

  constructor(plugin: string) {
    this.plugin = plugin;
  }
}

function flagsOf(request: ChainRequest): number {
  return (
    (request.inTransaction ? constants.POOLER_IN_TRANSACTION : 0) |
    (request.readOnly ? constants.POOLER_READ_ONLY : 0) |
    (request.firstStatement ? constants.POOLER_FIRST_STATEMENT : 0) |
    (request.prepareOnly ? constants.POOLER_PREPARE_ONLY : 0) |
    (request.severalStatements ? constants.POOLER_SEVERAL_STATEMENTS : 0)
  );
}

function moves(request: ChainRequest, role: number, shard: number): boolean {
  return (
    (role !== roleOpen && request.role !== roleOpen && role !== request.role) ||
    (shard !== shardOpen && request.shard !== shardOpen && shard !== request.shard)
  );
}

function refusalToMove(plugin: string, request: ChainRequest, role: number, shard: number): NonNullable<ChainDecision["error"]> {
  return {
    // active_sql_transaction
    sqlstate: "25001",
    message: `plugin "${plugin}" sends this statement elsewhere than the transaction it belongs to`,
    detail: `The transaction is on ${describeRoute(request.role, request.shard)}; the plugin wants ${describeRoute(role, shard)}.`,
    hint: "Begin another transaction for what belongs on another server.",
    failed: false,
  };
}

const roleNames = ["any role", "the primary", "a replica"];

function describeRoute(role: number, shard: number): string {
  const where = shard === shardOpen ? "any shard" : shard === constants.POOLER_SHARD_ALL ? "all shards" : `shard ${shard}`;
  return `${roleNames[role] ?? role} of ${where}`;
}
