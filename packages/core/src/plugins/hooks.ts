// The hooks beside route_query: asks the plugins that have one, in the order of the configuration, and makes one answer of
// theirs. What a failure means is decided here: it refuses a client and a server, and is only counted where plugins observe.
import { constants, structs } from "@pooler/plugin-abi";
import { PoolerError } from "../base/errors.js";
import type { PluginConfig } from "../config/types.js";
import type { BlockingCall } from "./blocking-pool.js";
import { readRefusal } from "./chain-verdicts.js";
import { sessionBlock } from "./frames.js";
import { HookFrame } from "./frames-hook.js";
import type { StatementBlock } from "./frames-input.js";
import { malformed, OutputFrame } from "./frames-output.js";
import { type HookCaller, type HookIndex, hookFailed, hookIndex } from "./hook-caller.js";
import { failureOf } from "./plugin-failure.js";
import type {
  ChainSession,
  ClientQuestion,
  ClientVerdict,
  ConnectedServer,
  ConnectingClient,
  EndedStatement,
  PluginHooks,
  ReloadingHost,
  ServerLogin,
  ServerQuestion,
  ServerVerdict,
} from "./types-hooks.js";

const clientConnect = hookIndex("client_connect");
const clientDisconnect = hookIndex("client_disconnect");
const serverConnect = hookIndex("server_connect");
const queryEnd = hookIndex("query_end");
const reload = hookIndex("reload");
const connectStruct = structs.pooler_connect_input;
const disconnectStruct = structs.pooler_disconnect_input;
const serverStruct = structs.pooler_server_input;
const endStruct = structs.pooler_end_input;
const { POOLER_OK, POOLER_ACCEPT, POOLER_ERROR } = constants;

/** `callers`: of all plugins of the chain, in its order. `statementBlock`: the chain's encoded form of a statement. */
export function createPluginHooks(
  callers: readonly HookCaller[],
  statementBlock: (statement: EndedStatement["statement"]) => StatementBlock,
): PluginHooks {
  return new Hooks(callers, statementBlock);
}

/** What becomes of the answers of one round of questions. */
interface Visit {
  /** Built anew for each plugin. */
  frame(): HookFrame;
  /** One without the hook. */
  passedOver(caller: HookCaller): void;
  /** The answer is in the output frame. False: nobody else is asked. Throws PLUGIN_FAILED when it is malformed. */
  hear(caller: HookCaller, status: number): boolean;
  failed(error: PoolerError): void;
  over(): void;
}

class Round implements BlockingCall {
  /** The call that is waited for. */
  call: BlockingCall | null = null;

  drop(): void {
    this.call?.drop();
  }
}

class Hooks implements PluginHooks {
  readonly seesClients: boolean;
  readonly seesServers: boolean;
  readonly seesEnds: boolean;
  readonly #callers: readonly HookCaller[];
  readonly #endCallers: readonly HookCaller[];
  readonly #statementBlock: (statement: EndedStatement["statement"]) => StatementBlock;
  readonly #input = new HookFrame();
  readonly #output = new OutputFrame();

  constructor(callers: readonly HookCaller[], statementBlock: (statement: EndedStatement["statement"]) => StatementBlock) {
    this.#callers = callers;
    this.#statementBlock = statementBlock;
    this.#endCallers = this.#having(queryEnd);
    this.seesClients = this.#having(clientConnect).length > 0 || this.#having(clientDisconnect).length > 0;
    this.seesServers = this.#having(serverConnect).length > 0;
    this.seesEnds = this.#endCallers.length > 0;
  }

  clientConnect(client: ConnectingClient, done: (verdict: ClientVerdict) => void): ClientQuestion | null {
    const verdict: { -readonly [Key in keyof ClientVerdict]: ClientVerdict[Key] } = {
      refusal: null,
      letIn: 0,
      session: client.session,
      login: null,
    };
    const round = this.#askAll(clientConnect, {
      frame: () => this.#connectFrame(client, verdict.session),
      // Who does not want to be asked has let everybody in.
      passedOver: (caller) => {
        verdict.letIn |= caller.bit;
      },
      hear: (caller, status) => {
        if (status === POOLER_ERROR) {
          verdict.refusal = this.#refusal(caller, "the connection");
          return false;
        }
        verdict.letIn |= caller.bit;
        if (status === POOLER_ACCEPT) this.#takeClient(verdict);
        return true;
      },
      failed: (error) => {
        verdict.refusal = error;
      },
      over: () => done(verdict),
    });
    if (round === null) return null;
    return {
      drop() {
        round.drop();
        return verdict;
      },
    };
  }

  clientDisconnect(session: ChainSession, durationMs: number, loggedIn: boolean, letIn: number): void {
    for (const caller of this.#callers) {
      if (!caller.has(clientDisconnect) || (letIn & caller.bit) === 0) continue;
      const input = this.#input
        .begin(disconnectStruct.size)
        .u32(disconnectStruct.fields.flags, loggedIn ? constants.POOLER_DISCONNECT_LOGGED_IN : 0)
        .u64(disconnectStruct.fields.duration_us, Math.round(durationMs * 1000))
        .block(disconnectStruct.fields.session, sessionBlock(session));
      this.#observe(caller, clientDisconnect, input);
    }
  }

  serverConnect(server: ConnectedServer, done: (verdict: ServerVerdict) => void): ServerQuestion | null {
    const always: Buffer[] = [];
    const once: Buffer[] = [];
    let refusal: PoolerError | null = null;
    return this.#askAll(serverConnect, {
      frame: () => this.#serverFrame(server),
      passedOver: () => {},
      hear: (caller, status) => {
        if (status === POOLER_ERROR) {
          const { sqlstate, message, detail, hint } = readRefusal(this.#output, caller.name, "the server");
          refusal = new PoolerError("SERVER_LOGIN_FAILED", `plugin "${caller.name}" refuses ${server.address}: ${message}`, {
            sqlstate,
            ...(detail === null ? {} : { detail }),
            ...(hint === null ? {} : { hint }),
          });
          return false;
        }
        if (status !== POOLER_ACCEPT) return true;
        this.#output.checkHeader();
        this.#takeSql("sql", always);
        this.#takeSql("once_sql", once);
        return true;
      },
      failed: (error) => {
        refusal = error;
      },
      over: () => done(refusal === null ? { refusal, always, once } : { refusal, always: [], once: [] }),
    });
  }

  queryEnd(end: EndedStatement): void {
    const { fields } = endStruct;
    const failed = end.sqlstate !== null;
    const input = this.#input
      .begin(endStruct.size)
      .u32(
        fields.flags,
        (failed ? constants.POOLER_END_FAILED : 0) |
          (end.route === null ? constants.POOLER_END_LOCAL : 0) |
          (end.suspended ? constants.POOLER_END_SUSPENDED : 0) |
          (end.rewritten ? constants.POOLER_END_REWRITTEN : 0),
      )
      .u64(fields.query_id, end.queryId)
      .u64(fields.duration_us, Math.max(0, Math.round(end.durationMs * 1000)))
      .u64(fields.rows, end.rows)
      .u32(fields.protocol, end.extended ? constants.POOLER_PROTOCOL_EXTENDED : constants.POOLER_PROTOCOL_SIMPLE)
      .u32(fields.shard, end.route?.shard ?? constants.POOLER_SHARD_OPEN);
    if (end.route !== null) {
      input.u32(fields.role, end.route.role === "primary" ? constants.POOLER_ROLE_WRITE : constants.POOLER_ROLE_READ);
      input.text(fields.address, end.address);
    }
    input.block(fields.session, sessionBlock(end.session));
    const block = this.#statementBlock(end.statement);
    const at = input.block(fields.statement, block).length - block.words.byteLength;
    if (block.sqlFollows) input.bytes(at + structs.pooler_statement.fields.sql, end.sql, 0, end.sql.length);
    input.text(fields.command_tag, end.tag).text(fields.sqlstate, end.sqlstate).text(fields.message, end.message);
    for (const caller of this.#endCallers) if (caller.inService) this.#observe(caller, queryEnd, input);
  }

  reload(before: readonly PluginConfig[], after: readonly PluginConfig[], host: ReloadingHost): string | null {
    const taken: HookCaller[] = [];
    const give = (caller: HookCaller, config: PluginConfig): boolean => {
      const status = caller.call(reload, this.#reloadFrame(config, host), this.#output, POOLER_OK);
      if (status === hookFailed) caller.noteFailure(reload);
      return status !== hookFailed;
    };
    for (const [position, caller] of this.#callers.entries()) {
      const config = after[position];
      if (!caller.has(reload) || config === undefined) continue;
      if (give(caller, config)) {
        taken.push(caller);
        continue;
      }
      const refusal = `plugin "${caller.name}" refused it: ${caller.failure}`;
      // What a plugin had before it takes again; if it does not, its failure is in the log.
      for (const other of taken.reverse()) give(other, before[this.#callers.indexOf(other)] as PluginConfig);
      return refusal;
    }
    return null;
  }

  #reloadFrame(config: PluginConfig, host: ReloadingHost): HookFrame {
    const { fields, size } = structs.pooler_create_input;
    return this.#input
      .begin(size)
      .u32(fields.host_minor, constants.POOLER_ABI_MINOR)
      .text(fields.config, JSON.stringify(config.config))
      .text(fields.name, config.name)
      .u32(fields.worker, host.worker)
      .u32(fields.grammar, host.grammar);
  }

  /** One plugin after the other, until `hear` says that it is enough. Null: it is over. */
  #askAll(hook: HookIndex, visit: Visit): BlockingCall | null {
    const round = new Round();
    this.#askFrom(0, hook, visit, round);
    return round.call === null ? null : round;
  }

  #askFrom(first: number, hook: HookIndex, visit: Visit, round: Round): void {
    round.call = null;
    for (let i = first; i < this.#callers.length; i++) {
      const caller = this.#callers[i] as HookCaller;
      if (!caller.has(hook)) {
        visit.passedOver(caller);
        continue;
      }
      this.#output.trim();
      const input = visit.frame();
      if (caller.pool !== null) {
        round.call = caller.begin(hook, input, this.#output, POOLER_ERROR, (status) => {
          if (this.#hear(caller, hook, status, visit)) this.#askFrom(i + 1, hook, visit, round);
          else visit.over();
        });
        if (round.call !== null) return;
      }
      const status = caller.pool === null ? caller.call(hook, input, this.#output, POOLER_ERROR) : hookFailed;
      if (!this.#hear(caller, hook, status, visit)) break;
    }
    visit.over();
  }

  /** False: nobody else is asked. */
  #hear(caller: HookCaller, hook: HookIndex, status: number, visit: Visit): boolean {
    if (status !== hookFailed) {
      try {
        return visit.hear(caller, status);
      } catch (error) {
        if (!(error instanceof PoolerError)) throw error;
        caller.failure = error.message;
        caller.failureCode = "PLUGIN_FAILED";
      }
    }
    caller.noteFailure(hook);
    visit.failed(failureOf(caller.failureCode, caller.name, caller.failure));
    return false;
  }

  #takeClient(verdict: { session: ClientVerdict["session"]; login: ServerLogin | null }): void {
    this.#output.checkHeader();
    const user = this.#name("user");
    const database = this.#name("database");
    const { session } = verdict;
    if (user !== null || database !== null) {
      verdict.session = {
        ...session,
        user: user ?? session.user,
        database: database ?? session.database,
        generation: session.generation + 1,
        encoded: null,
      };
    }
    verdict.login = this.#serverLogin() ?? verdict.login;
  }

  #having(hook: HookIndex): readonly HookCaller[] {
    return this.#callers.filter((caller) => caller.has(hook));
  }

  /** Plugins that only look on hurt nobody when they fail. */
  #observe(caller: HookCaller, hook: HookIndex, input: HookFrame): void {
    this.#output.trim();
    if (caller.call(hook, input, this.#output, POOLER_OK) === hookFailed) caller.noteFailure(hook);
  }

  #refusal(caller: HookCaller, what: string): PoolerError {
    const { sqlstate, message, detail, hint } = readRefusal(this.#output, caller.name, what);
    return new PoolerError("PLUGIN_REFUSED", message, {
      sqlstate,
      ...(detail === null ? {} : { detail }),
      ...(hint === null ? {} : { hint }),
    });
  }

  #name(field: "user" | "database" | "server_user"): string | null {
    const name = this.#output.text(field);
    if (name === "") throw malformed(`${field} is empty`);
    return name;
  }

  #serverLogin(): ServerLogin | null {
    const user = this.#name("server_user");
    const password = this.#output.text("server_password");
    if (user === null && password !== null) throw malformed("server_password without server_user");
    return user === null ? null : { user, password };
  }

  #takeSql(field: "sql" | "once_sql", to: Buffer[]): void {
    const sql = this.#output.slice(field);
    if (sql === null || sql.length === 0) return;
    if (sql.includes(0)) throw malformed(`${field} has a NUL byte`);
    to.push(Buffer.from(sql));
  }

  #connectFrame(client: ConnectingClient, session: ChainSession): HookFrame {
    const { fields } = connectStruct;
    return this.#input
      .begin(connectStruct.size)
      .block(fields.session, sessionBlock(session))
      .text(fields.asked_user, client.askedUser)
      .text(fields.asked_database, client.askedDatabase)
      .text(fields.peer_name, client.peerName)
      .pairs(fields.parameters, client.parameters);
  }

  #serverFrame(server: ConnectedServer): HookFrame {
    const { fields } = serverStruct;
    return this.#input
      .begin(serverStruct.size)
      .u32(fields.flags, server.tls ? constants.POOLER_SERVER_TLS : 0)
      .u64(fields.id, server.id)
      .u32(fields.shard, server.shard)
      .u32(fields.role, server.role === "primary" ? constants.POOLER_ROLE_WRITE : constants.POOLER_ROLE_READ)
      .u32(fields.process_id, server.processId)
      .text(fields.database, server.database)
      .text(fields.server_database, server.serverDatabase)
      .text(fields.user, server.user)
      .text(fields.address, server.address)
      .pairs(fields.parameters, server.parameters);
  }
}
