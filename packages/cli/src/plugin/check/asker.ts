// Asks one state of a plugin as the pooler does: a statement is learned before it is first asked about.
import { constants } from "@pooler/plugin-abi";
import type { CaseContext } from "./battery-types.js";
import { buildInput, type InputSpec } from "./frame-builder.js";
import type { Answer } from "./judge-answer.js";

export interface AskOptions {
  readonly capacity?: number;
  /** How much longer structs are than this version's: see FrameBuilder. */
  readonly growth?: number;
  /** The same for the output's struct. */
  readonly outputGrowth?: number;
}

export interface Asker {
  /** Throws a Breach. An answer with a negative status is the plugin's failure, in order as such. */
  ask(input: InputSpec, options?: AskOptions): Answer;
  learn(input: InputSpec, options?: AskOptions): Answer;
  forget(statementId: number): void;
}

export function createAsker({ plugin, parser, learns }: CaseContext, state: bigint): Asker {
  const learned = new Set<number>();
  /** What the plugin does not want to be asked about. */
  const notMine = new Set<number>();
  const asker: Asker = {
    learn(input, { growth, ...options } = {}) {
      const frame = buildInput(learnInput(input), growth);
      const answer = plugin.learn(state, frame.bytes, { ...options, wellFormed: true });
      if (answer.status === constants.POOLER_NOT_MINE) notMine.add(input.statement.id);
      else notMine.delete(input.statement.id);
      if (answer.status >= constants.POOLER_OK) learned.add(input.statement.id);
      return answer;
    },
    ask(input, options = {}) {
      if (learns && !learned.has(input.statement.id)) {
        const answer = asker.learn(input, options);
        if (answer.status < constants.POOLER_OK) return { ...answer, digest: `learn: ${answer.digest}` };
      }
      if (notMine.has(input.statement.id)) return { status: constants.POOLER_SKIP, digest: "skip", message: null };
      const { growth, ...call } = options;
      return plugin.route(state, buildInput(routeInput(input), growth).bytes, {
        ...call,
        wellFormed: true,
        shards: input.cluster.shards,
        parser: input.session.clientEncoding === "UTF8" ? parser : null,
      });
    },
    forget(statementId) {
      if (learned.delete(statementId)) plugin.forget(state, statementId);
    },
  };
  return asker;
}

/** A statement is learned without parameters and without what else is decided. */
export function learnInput(input: InputSpec): InputSpec {
  return { ...input, flags: 0, role: constants.POOLER_ROLE_OPEN, shard: constants.POOLER_SHARD_OPEN, parameters: [] };
}

/** The parse tree is shown once, when the statement is learned. */
export function routeInput(input: InputSpec): InputSpec {
  return { ...input, statement: { ...input.statement, parseTree: null } };
}
