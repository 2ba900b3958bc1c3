// Every failure that can be expected, in one table: its code, its SQLSTATE and whether a client may simply try again.
// docs/errors.md is compared with this table by a test.

export interface ErrorKind {
  readonly sqlstate: string;
  readonly retryable: boolean;
  readonly meaning: string;
}

const kind = (sqlstate: string, retryable: boolean, meaning: string): ErrorKind => ({ sqlstate, retryable, meaning });

export const errorKinds = {
  PROTOCOL_VIOLATION: kind("08P01", false, "A peer sent what the protocol does not allow."),
  MESSAGE_TOO_LARGE: kind("54000", false, "A message is larger than limits.max_message_bytes."),
  STARTUP_TOO_LONG: kind("08P01", false, "A startup packet is longer than PostgreSQL allows (10,000 bytes)."),
  LOGIN_TIMEOUT: kind("08P01", true, "The client did not finish its login in time."),
  TOO_MANY_CLIENTS: kind("53300", true, "limits.max_clients is reached."),
  TOO_MANY_STATEMENTS: kind("53400", false, "A client holds limits.max_client_statements prepared statements."),
  UNKNOWN_DATABASE: kind("3D000", false, "The configuration has no such database."),
  AUTH_FAILED: kind("28P01", false, "Wrong user or password; both look the same to the client."),
  AUTH_NOT_ALLOWED: kind("28000", false, "The user may not connect this way or to this database."),
  TLS_REQUIRED: kind("28000", false, "The pooler wants TLS and the client did not ask for it."),
  NOT_SUPPORTED: kind("0A000", false, "Something that a transaction pooler cannot carry, or that is not built."),
  SESSION_STATE: kind("0A000", false, "The statement would leave state in the session, which transaction pooling cannot carry."),
  ROUTES_DIFFER: kind("0A000", false, "Statements of one batch or transaction belong on different servers."),
  UNROUTED: kind("0A000", false, 'No plugin decided the shard and on_unrouted is "error".'),
  PLUGIN_REFUSED: kind("42501", false, "A plugin answered the statement with an error of its own."),
  PLUGIN_FAILED: kind("XX000", false, "A plugin failed: a panic, a malformed verdict, an answer that does not fit."),
  PLUGIN_TIMEOUT: kind("XX000", true, "A plugin that may wait did not answer within its deadline; what it asked for may yet happen."),
  PLUGIN_BUSY: kind("53300", true, "As many calls of a plugin that may wait run as its max_concurrent allows."),
  PLUGIN_OUT_OF_SERVICE: kind("57P03", true, 'A plugin ended its worker too often, and its on_crash is "refuse".'),
  FACTS_UNAVAILABLE: kind("0A000", false, "A plugin must see what a statement does, and it cannot be found out."),
  WAIT_TIMEOUT: kind("53300", true, "No server connection came free within timeouts.query_wait."),
  TOO_MANY_WAITING: kind("53300", true, "max_waiting is reached, or so many wait that timeouts.query_wait would pass first."),
  NO_MEMORY: kind("53200", true, "limits.max_buffered_bytes is taken by messages of clients that wait."),
  HOST_DOWN: kind("08006", true, "The server that a statement must go to cannot be reached."),
  SERVER_LOGIN_FAILED: kind("08006", false, "The pooler could not log in at a server."),
  SERVER_LOST: kind("08006", true, "The server connection broke while a statement ran; its outcome may be unknown."),
  IN_FAILED_TRANSACTION: kind("25P02", false, "The transaction has failed; only ROLLBACK or COMMIT is taken."),
  STATEMENT_MISSING: kind("26000", false, "The client has no prepared statement of that name."),
  STATEMENT_EXISTS: kind("42P05", false, "The client has a prepared statement of that name."),
  PORTAL_MISSING: kind("34000", false, "There is no portal of that name."),
  IDLE_IN_TRANSACTION: kind("25P03", false, "The client left a transaction open for longer than timeouts.client_idle_in_transaction."),
  SHUTTING_DOWN: kind("57P01", true, "The pooler is stopping."),
  PAUSED: kind("57P03", true, "The database is paused and the wait limit passed."),
  CONFIG_INVALID: kind("F0000", false, "The configuration has an error."),
  PLUGIN_UNUSABLE: kind("F0000", false, "A plugin cannot be loaded: missing, wrong platform, wrong ABI, bad configuration."),
  CONSOLE_COMMAND: kind("42601", false, "The console does not know the command."),
  IO: kind("58000", true, "The operating system refused an operation."),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorKinds;

export interface ErrorDetails {
  readonly detail?: string;
  readonly hint?: string;
  readonly cause?: unknown;
  /** Overrides the table's, e.g. with a plugin's own. */
  readonly sqlstate?: string;
}

export class PoolerError extends Error {
  readonly code: ErrorCode;
  readonly sqlstate: string;
  readonly retryable: boolean;
  readonly detail: string | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "PoolerError";
    this.code = code;
    this.sqlstate = details.sqlstate ?? errorKinds[code].sqlstate;
    this.retryable = errorKinds[code].retryable;
    this.detail = details.detail;
    this.hint = details.hint;
  }
}

/** A bug of ours if it does not hold. Kept in production: a broken invariant must not corrupt somebody's data. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant: ${message}`);
}
