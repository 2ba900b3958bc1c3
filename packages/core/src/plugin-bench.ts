// A chain of plugins without sockets, pools and servers: asked one statement at a time, as a worker would ask. For tests of plugins.
import { constants } from "@pooler/plugin-abi";
import { createClock } from "./base/clock.js";
import { createLogger } from "./base/logger.js";
import { describeHost } from "./config/build-databases.js";
import type { PoolerConfig } from "./config/types.js";
import { ChainAnswers } from "./plugins/chain-answers.js";
import { createChainDecision } from "./plugins/chain-calls.js";
import type { ChainDecision, ChainRequest, ClusterView, ParameterView } from "./plugins/types.js";
import { createWorkerPlugins } from "./worker/plugins.js";

export interface BenchQuestion {
  /** One statement; a Buffer in another encoding than UTF-8. */
  readonly sql: string | Buffer;
  /** Buffers are binary, null is NULL, everything else goes as text. */
  readonly parameters?: readonly (Buffer | string | number | bigint | boolean | null)[];
  /** Extended when there are parameters. */
  readonly protocol?: "simple" | "extended";
  readonly inTransaction?: boolean;
  readonly readOnly?: boolean;
  readonly firstStatement?: boolean;
  readonly prepareOnly?: boolean;
  readonly severalStatements?: boolean;
  /** Null: it never wrote. */
  readonly msSinceWrite?: number | null;
  /** What was decided before. */
  readonly role?: "read" | "write";
  readonly shard?: number | "all";
  readonly user?: string;
  readonly database?: string;
  readonly applicationName?: string;
  readonly clientAddress?: string;
  readonly clientEncoding?: string;
  readonly tls?: boolean;
}

export interface PluginBench {
  /** What the plugins made of it, as the router would get it. */
  ask(question: BenchQuestion): ChainDecision;
  /** The same as a session does it: plugins that may wait are called on threads, and this process goes on meanwhile. */
  askLater(question: BenchQuestion): Promise<ChainDecision>;
  close(): void;
}

/** The cluster is that of the first database of the configuration. Rejects with PLUGIN_UNUSABLE. */
export async function createPluginBench(config: PoolerConfig): Promise<PluginBench> {
  const plugins = await createWorkerPlugins(config, 0, null, createClock(), createLogger({ level: "error", format: "pretty" }));
  const cluster = clusterOf(config);
  let sessions = 0;
  const requestOf = (question: BenchQuestion, answers: ChainAnswers | null): ChainRequest => {
    const { sql, parameters, clientEncoding = "UTF8" } = question;
    const bytes = Buffer.from(sql);
    const { statements } = plugins.statements.statementsOf(bytes, 0, bytes.length, clientEncoding, true);
    const [statement] = statements;
    if (statement === undefined || statements.length > 1) {
      throw new TypeError(`a question holds one statement, this one ${statements.length}: ${bytes.toString()}`);
    }
    sessions += 1;
    return {
      statement,
      session: {
        id: sessions,
        user: question.user ?? "app",
        database: question.database ?? cluster.name,
        applicationName: question.applicationName ?? "",
        clientAddress: question.clientAddress ?? "127.0.0.1",
        clientEncoding,
        tls: question.tls ?? false,
        generation: 1,
        encoded: null,
      },
      cluster,
      parameters: parameters === undefined ? null : viewOf(parameters),
      lifted: null,
      extended: (question.protocol ?? (parameters === undefined ? "simple" : "extended")) === "extended",
      inTransaction: question.inTransaction ?? false,
      readOnly: question.readOnly ?? false,
      firstStatement: question.firstStatement ?? true,
      routable: true,
      prepareOnly: question.prepareOnly ?? false,
      severalStatements: question.severalStatements ?? false,
      standardStrings: true,
      role: roleOf(question.role),
      shard:
        question.shard === undefined ? constants.POOLER_SHARD_OPEN : question.shard === "all" ? constants.POOLER_SHARD_ALL : question.shard,
      answers,
      msSinceWrite: question.msSinceWrite ?? constants.POOLER_NEVER,
    };
  };
  return {
    ask(question) {
      const decision = createChainDecision();
      plugins.chain.ask(requestOf(question, null), decision);
      return decision;
    },
    async askLater(question) {
      const answers = new ChainAnswers();
      const request = requestOf(question, answers);
      const decision = createChainDecision();
      for (;;) {
        answers.rewind();
        plugins.chain.ask(request, decision);
        const { pending } = decision;
        if (pending === null) return decision;
        await new Promise<void>((resolve) => {
          pending.onAnswer = resolve;
        });
      }
    },
    close: () => plugins.destroy(),
  };
}

function roleOf(role: "read" | "write" | undefined): number {
  if (role === undefined) return constants.POOLER_ROLE_OPEN;
  return role === "read" ? constants.POOLER_ROLE_READ : constants.POOLER_ROLE_WRITE;
}

function clusterOf({ databases }: PoolerConfig): ClusterView {
  const [database] = databases;
  const shards = database?.shards ?? [];
  return {
    name: database?.name ?? "app",
    shards: Math.max(shards.length, 1),
    generation: 1,
    hosts: shards.flatMap(({ primary, replicas }, shard) => [
      { shard, role: "primary" as const, address: describeHost(primary), up: true, lagMs: null },
      ...replicas.map((replica) => ({ shard, role: "replica" as const, address: describeHost(replica), up: true, lagMs: 0 })),
    ]),
  };
}

function viewOf(parameters: NonNullable<BenchQuestion["parameters"]>): ParameterView {
  const values = parameters.map((value) => (value === null ? null : Buffer.isBuffer(value) ? value : Buffer.from(String(value))));
  const offsets = new Int32Array(values.length);
  let end = 0;
  values.forEach((value, index) => {
    offsets[index] = end;
    end += value?.length ?? 0;
  });
  return {
    count: values.length,
    buffer: Buffer.concat(values.filter((value) => value !== null)),
    offsets,
    lengths: Int32Array.from(values, (value) => value?.length ?? -1),
    formats: Int32Array.from(parameters, (value) => (Buffer.isBuffer(value) ? 1 : 0)),
    typeOids: [],
  };
}
