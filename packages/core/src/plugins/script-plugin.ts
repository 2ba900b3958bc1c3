// A plugin that is a JavaScript module, with the same exports as a library: the chain and the other hooks call both alike, and read
// and judge their answers alike. An exception is the plugin's failure; what is no answer is a malformed one.
import { constants, structs } from "@pooler/plugin-abi";
import type { PluginDefinition, PluginHost } from "@pooler/plugin-abi/js";
import type { HookFunction, PluginExports, SideHook } from "./chain-plugin.js";
import { connectInputOf, disconnectInputOf, endInputOf, rowInputOf, serverInputOf } from "./script-hook-inputs.js";
import { clientEncodingOf, Record, ScriptRouteInput, ScriptSession, ScriptStatement, statementIdOf } from "./script-input.js";
import { type FrameBytes, FrameMemory } from "./script-memory.js";
import { type Fields, isFields, OutputWriter, shown, WrongAnswer } from "./script-output.js";

const { fields: outputFields } = structs.pooler_output;
const { POOLER_OK, POOLER_SKIP, POOLER_FAILED, POOLER_ACCEPT, POOLER_NEEDS_SPACE, POOLER_ERROR } = constants;

type Definition = PluginDefinition<unknown, unknown>;

/** `state`: what create() returned. */
export function scriptExports(definition: Definition, state: unknown, host: PluginHost): PluginExports {
  return new ScriptPlugin(definition, state, host).exports();
}

class ScriptPlugin {
  readonly #definition: Definition;
  readonly #state: unknown;
  readonly #host: PluginHost;
  readonly #memory = new FrameMemory();
  readonly #writer = new OutputWriter();
  readonly #learned = new Map<number, unknown>();
  /** Of an answer that did not fit, until it is fetched. */
  #keptStatus: number = POOLER_FAILED;

  constructor(definition: Definition, state: unknown, host: PluginHost) {
    this.#definition = definition;
    this.#state = state;
    this.#host = host;
  }

  exports(): PluginExports {
    const { learn, route } = this.#definition;
    return {
      routeQuery: route === undefined ? null : this.#hook((input) => this.#route(input)),
      learnStatement: learn === undefined ? null : this.#hook((input) => this.#learn(input)),
      forgetStatement: learn === undefined ? null : (_, statementId) => this.#learned.delete(statementId),
      fetchOutput: (_, output, capacity) => this.#give(this.#keptStatus, output, capacity),
      hooks: this.#sideHooks(),
    };
  }

  #sideHooks(): Readonly<globalThis.Record<SideHook, HookFunction | null>> {
    const { clientConnect, clientDisconnect, serverConnect, queryEnd, resultRow, reload } = this.#definition;
    const state = this.#state;
    const definition = this.#definition;
    return {
      client_connect:
        clientConnect === undefined
          ? null
          : this.#hook((input) => this.#connected(clientConnect.call(definition, connectInputOf(input), state), connectTexts)),
      client_disconnect:
        clientDisconnect === undefined
          ? null
          : this.#hook((input) => done(clientDisconnect.call(definition, disconnectInputOf(input), state))),
      server_connect:
        serverConnect === undefined
          ? null
          : this.#hook((input) => this.#connected(serverConnect.call(definition, serverInputOf(input), state), serverTexts)),
      query_end: queryEnd === undefined ? null : this.#hook((input) => done(queryEnd.call(definition, endInputOf(input), state))),
      result_row:
        resultRow === undefined
          ? null
          : this.#hook((input) => {
              const given = rowInputOf(input);
              return this.#row(resultRow.call(definition, given, state), given.columns.length);
            }),
      reload:
        reload === undefined
          ? null
          : this.#hook((input) => {
              const text = new Record(input, 0).text(structs.pooler_create_input.fields.config) ?? "{}";
              return done(reload.call(definition, JSON.parse(text) as Fields, state, this.#host));
            }),
    };
  }

  /** A hook as the chain calls it: `answer` writes into the writer and returns the status. */
  #hook(answer: (input: FrameBytes) => number): HookFunction {
    return (_, input, length, output, capacity) => {
      this.#writer.begin();
      const frame = this.#memory.at(input, length);
      let status: number;
      try {
        status = answer(frame);
      } catch (error) {
        status = POOLER_FAILED;
        this.#writer.begin().failure(messageOf(error));
      } finally {
        frame.epoch++;
      }
      return this.#give(status, output, capacity);
    };
  }

  #give(status: number, output: bigint, capacity: number): number {
    const frame = this.#memory.at(output, capacity);
    if (this.#writer.length > capacity) {
      frame.words[outputFields.needed / 4] = this.#writer.length;
      this.#keptStatus = status;
      return POOLER_NEEDS_SPACE;
    }
    this.#writer.copyTo(frame.bytes);
    return status;
  }

  #route(frame: FrameBytes): number {
    const input = new ScriptRouteInput(frame);
    if (this.#definition.learn !== undefined) input.learned = this.#learned.get(statementIdOf(frame));
    const answer = this.#definition.route?.(input, this.#state) as unknown;
    if (answer === undefined) return POOLER_SKIP;
    const given = answerOf(answer);
    switch (given["verdict"]) {
      case "skip":
        this.#rows(given);
        return POOLER_SKIP;
      case "forward":
        this.#rows(given);
        this.#writer.route(given);
        return constants.POOLER_FORWARD;
      case "error":
        this.#writer.refuse(given);
        return POOLER_ERROR;
      case "rewrite":
        this.#rows(given);
        this.#writer.rewrite(given, clientEncodingOf(frame));
        this.#writer.route(given);
        if (given["role"] !== undefined || given["shard"] !== undefined) this.#writer.flags(constants.POOLER_OUT_ROUTE);
        return constants.POOLER_REWRITE;
      case "intercept":
        this.#writer.intercept(given);
        return constants.POOLER_INTERCEPT;
      default:
        throw new WrongAnswer(`verdict is ${shown(given["verdict"])}, which is none`);
    }
  }

  #rows({ showRows, cookie }: Fields): void {
    if (showRows === undefined || showRows === false) return;
    if (showRows !== true) throw new WrongAnswer(`showRows is ${shown(showRows)}, neither true nor false`);
    this.#writer.askForRows(cookie);
  }

  #learn(frame: FrameBytes): number {
    const record = new Record(frame, 0);
    const session = record.struct(structs.pooler_input.fields.session);
    const statement = new ScriptStatement(record.struct(structs.pooler_input.fields.statement), session);
    const learned = this.#definition.learn?.(statement, this.#state, new ScriptSession(session));
    refusePromise(learned);
    this.#learned.set(statement.id, learned);
    return POOLER_OK;
  }

  #connected(answer: unknown, texts: Readonly<globalThis.Record<string, number>>): number {
    if (answer === undefined) return POOLER_SKIP;
    const given = answerOf(answer);
    switch (given["verdict"]) {
      case "skip":
        return POOLER_SKIP;
      case "accept":
        this.#writer.texts(given, texts);
        return POOLER_ACCEPT;
      case "error":
        this.#writer.refuse(given);
        return POOLER_ERROR;
      default:
        throw new WrongAnswer(`verdict is ${shown(given["verdict"])}, which is none of this hook`);
    }
  }

  #row(answer: unknown, columns: number): number {
    refusePromise(answer);
    if (answer === undefined || answer === "keep") return constants.POOLER_ROW_KEEP;
    if (answer === "drop") return constants.POOLER_ROW_DROP;
    if (!Array.isArray(answer)) throw new WrongAnswer(`it is ${shown(answer)}: "keep", "drop" or a list of values`);
    this.#writer.row(answer, columns);
    return constants.POOLER_ROW_CHANGE;
  }
}

const connectTexts = {
  user: outputFields.user,
  database: outputFields.database,
  serverUser: outputFields.server_user,
  serverPassword: outputFields.server_password,
};
const serverTexts = { sql: outputFields.sql, onceSql: outputFields.once_sql };

function answerOf(answer: unknown): Fields {
  refusePromise(answer);
  if (!isFields(answer)) throw new WrongAnswer(`it is ${shown(answer)}, not an object with a verdict`);
  return answer;
}

function done(answer: unknown): number {
  refusePromise(answer);
  return POOLER_OK;
}

/** Nobody waits for it: the statement would go on before it is there. */
function refusePromise(answer: unknown): void {
  if (forsakePromise(answer)) throw new WrongAnswer("it is a promise: plugins answer at once");
}

/** Whether it is a promise. What becomes of it is nobody's business then; it must not end the worker. */
export function forsakePromise(answer: unknown): boolean {
  if (!isFields(answer) || typeof answer["then"] !== "function") return false;
  (answer as unknown as Promise<unknown>).then(undefined, () => {});
  return true;
}

function messageOf(error: unknown): string {
  if (error instanceof WrongAnswer) return `its answer is malformed: ${error.message}`;
  if (!(error instanceof Error)) return `it threw ${shown(error)}`;
  const where = /\n +at .*?\(?((?:file:\/\/)?[^()\s]+:\d+:\d+)\)?/.exec(error.stack ?? "")?.[1];
  return `${error.name}: ${error.message}${where === undefined ? "" : ` (at ${where})`}`;
}
