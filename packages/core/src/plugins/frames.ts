// The frames of one chain, and the encoded blocks that go into them: cluster, session and statement are encoded once and kept
// with the object they come from. Hot: a call that meets nothing new allocates nothing.
import type { LiftedStatement, Statement } from "../sql/statement.js";
import { type Block, encodeCluster, encodeSession, encodeStatement } from "./frames-block.js";
import { InputFrame, type StatementBlock } from "./frames-input.js";
import { OutputFrame } from "./frames-output.js";
import type { ChainRequest, ChainSession, ClusterView, ParameterView } from "./types.js";

/** Larger texts are copied from the statement at each call instead of being kept twice. */
const keptSqlBytes = 4096;

class EncodedSession implements Block {
  readonly generation: number;
  readonly words: Uint32Array;
  readonly offsets: Uint32Array;

  constructor(generation: number, block: Block) {
    this.generation = generation;
    this.words = block.words;
    this.offsets = block.offsets;
  }
}

class EncodedStatement implements StatementBlock {
  /** Whose plugins `learnedBy` speaks of: a chain that was made later has taught its own plugins nothing. */
  readonly owner: Frames;
  readonly words: Uint32Array;
  readonly offsets: Uint32Array;
  readonly sqlFollows: boolean;

  constructor(owner: Frames, block: Block, sqlFollows: boolean) {
    this.owner = owner;
    this.words = block.words;
    this.offsets = block.offsets;
    this.sqlFollows = sqlFollows;
  }
}

export class Frames {
  readonly input = new InputFrame();
  readonly output = new OutputFrame();
  readonly #wantsFingerprint: boolean;
  readonly #clusters = new WeakMap<ClusterView, Block>();
  #lastCluster: ClusterView | null = null;
  #lastClusterBlock: Block | null = null;
  /** Made when a plugin learns statements: the input frame must stay as it is for route_query. */
  #learnInput: InputFrame | null = null;
  #taughtQueryId = 0;
  #taughtStatement: Statement | null = null;
  #taughtWithTree = false;

  constructor(wantsFingerprint: boolean) {
    this.#wantsFingerprint = wantsFingerprint;
  }

  /** `lifted`: the statement is shared by many texts, this is the one at hand, and `parameters` are its literals. */
  build(
    request: ChainRequest,
    queryId: number,
    statement: Statement,
    parameters: ParameterView | null,
    lifted: LiftedStatement | null,
  ): void {
    const cluster = this.#clusterBlock(request.cluster);
    const session = sessionBlock(request.session);
    this.input.build(request, queryId, cluster, session, statement, this.statementBlock(statement), parameters, lifted);
  }

  /** The frame for pooler_learn_statement. Throws what making the parse tree throws. */
  buildLearn(request: ChainRequest, queryId: number, statement: Statement, withTree: boolean): InputFrame {
    this.#learnInput ??= new InputFrame();
    if (this.#taughtQueryId === queryId && this.#taughtStatement === statement && this.#taughtWithTree === withTree)
      return this.#learnInput;
    const parseTree = withTree && statement.facts !== null ? statement.facts.parseTree() : null;
    const block = encodeStatement(statement, { sql: true, fingerprint: this.#wantsFingerprint, parseTree });
    const cluster = this.#clusterBlock(request.cluster);
    const session = sessionBlock(request.session);
    this.#learnInput.build(request, queryId, cluster, session, statement, new EncodedStatement(this, block, false), null, null);
    this.#taughtQueryId = queryId;
    this.#taughtStatement = statement;
    this.#taughtWithTree = withTree;
    return this.#learnInput;
  }

  /** After each statement: give back what unusual sizes took. */
  trim(): void {
    this.input.trim();
    this.output.trim();
    if (this.#taughtStatement !== null) {
      this.#taughtStatement = null;
      this.#learnInput?.trim();
    }
  }

  /** `learnedBy` of this statement speaks of the plugins of this chain. */
  owns(statement: Statement): boolean {
    return statement.encoded instanceof EncodedStatement && statement.encoded.owner === this;
  }

  #clusterBlock(cluster: ClusterView): Block {
    if (this.#lastCluster === cluster && this.#lastClusterBlock !== null) return this.#lastClusterBlock;
    let block = this.#clusters.get(cluster);
    if (block === undefined) {
      block = encodeCluster(cluster);
      this.#clusters.set(cluster, block);
    }
    this.#lastCluster = cluster;
    this.#lastClusterBlock = block;
    return block;
  }

  /** Kept with the statement. */
  statementBlock(statement: Statement): StatementBlock {
    const encoded = statement.encoded;
    if (encoded instanceof EncodedStatement && encoded.owner === this) return encoded;
    const sqlFollows = statement.shared || statement.sql.length > keptSqlBytes;
    const block = encodeStatement(statement, { sql: !sqlFollows, fingerprint: this.#wantsFingerprint, parseTree: null });
    const made = new EncodedStatement(this, block, sqlFollows);
    statement.encoded = made;
    statement.learnedBy = statement.notMineOf = 0;
    return made;
  }
}

/** Kept with the session until something in it changes. */
export function sessionBlock(session: ChainSession): Block {
  const encoded = session.encoded;
  if (encoded instanceof EncodedSession && encoded.generation === session.generation) return encoded;
  const made = new EncodedSession(session.generation, encodeSession(session));
  session.encoded = made;
  return made;
}
