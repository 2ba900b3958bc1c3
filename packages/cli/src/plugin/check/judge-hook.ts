// Whether an answer of a hook beside pooler_route_query keeps the contract, read as strictly as the pooler reads it.

import { type OutputFrame, readRefusal } from "@pooler/core/plugin-tools";
import { constants, structs } from "@pooler/plugin-abi";
import { breach } from "./breach.js";
import { type Answer, checkTexts, judgeDone, judgeFailure } from "./judge-answer.js";

export const sideHooks = ["client_connect", "client_disconnect", "server_connect", "query_end", "result_row", "reload"] as const;
export type SideHook = (typeof sideHooks)[number];

export const hookBits: Readonly<Record<SideHook, number>> = {
  client_connect: constants.POOLER_HOOK_CLIENT_CONNECT,
  client_disconnect: constants.POOLER_HOOK_CLIENT_DISCONNECT,
  server_connect: constants.POOLER_HOOK_SERVER_CONNECT,
  query_end: constants.POOLER_HOOK_QUERY_END,
  result_row: constants.POOLER_HOOK_RESULT_ROW,
  reload: constants.POOLER_HOOK_RELOAD,
};

export interface HookExpectations {
  /** The frame was in order: it could be read. */
  readonly wellFormed: boolean;
  /** Of the row that was shown; null when nobody can know. */
  readonly columns?: number | null;
}

/** Throws a Breach; not for POOLER_NEEDS_SPACE. */
export function judgeHook(hook: SideHook, status: number, out: OutputFrame, expectations: HookExpectations): Answer {
  if (hook === "client_disconnect" || hook === "query_end" || hook === "reload") return judgeDone(status, out, expectations.wellFormed);
  checkTexts(out);
  let digest: string | null;
  try {
    out.checkHeader();
    digest = hook === "result_row" ? rowVerdict(status, out, expectations.columns ?? null) : verdict(hook, status, out);
  } catch (cause) {
    throw cause instanceof Error && cause.name === "PoolerError" ? breach(cause.message) : cause;
  }
  return digest === null ? judgeFailure(status, out, expectations.wellFormed) : { status, digest, message: null };
}

function verdict(hook: "client_connect" | "server_connect", status: number, out: OutputFrame): string | null {
  switch (status) {
    case constants.POOLER_SKIP:
      return "skip";
    case constants.POOLER_ERROR:
      return `error ${JSON.stringify(readRefusal(out, ""))}`;
    case constants.POOLER_ACCEPT:
      return `accept ${JSON.stringify(hook === "client_connect" ? acceptedClient(out) : acceptedServer(out))}`;
    default:
      return null;
  }
}

function acceptedClient(out: OutputFrame): readonly (string | null)[] {
  const names = (["user", "database", "server_user"] as const).map((field) => {
    const name = out.text(field);
    if (name === "") throw breach(`${field} is empty`);
    if (name?.includes("\0") === true) throw breach(`${field} has a NUL byte`);
    return name;
  });
  const password = out.text("server_password");
  if (password !== null && names[2] === null) throw breach("it gave a server_password without a server_user");
  return [...names, password];
}

function acceptedServer(out: OutputFrame): readonly (string | null)[] {
  return (["sql", "once_sql"] as const).map((field) => {
    const sql = out.slice(field);
    if (sql?.includes(0) === true) throw breach(`${field} has a NUL byte`);
    return sql?.toString("latin1") ?? null;
  });
}

function rowVerdict(status: number, out: OutputFrame, columns: number | null): string | null {
  switch (status) {
    case constants.POOLER_ROW_KEEP:
      return "keep";
    case constants.POOLER_ROW_DROP:
      return "drop";
    case constants.POOLER_ROW_CHANGE:
      return `change ${JSON.stringify(changedRow(out, columns))}`;
    default:
      return null;
  }
}

function changedRow(out: OutputFrame, columns: number | null): readonly (string | null)[] {
  const { size, fields } = structs.pooler_value;
  const elements = out.elements("values", size, 0xffff);
  if (columns !== null && elements.count !== columns) throw breach(`the row has ${columns} values, it answered ${elements.count}`);
  return Array.from({ length: elements.count }, (_, index) => {
    const word = elements.firstWord + index * elements.strideWords;
    const flags = out.word(word + fields.flags / 4);
    if ((flags & constants.POOLER_VALUE_KEEP) !== 0) return "kept";
    if ((flags & constants.POOLER_VALUE_NULL) !== 0) return null;
    const value = out.sliceAt(word, `value ${index}`);
    if (value === null) throw breach(`value ${index} is neither a value nor NULL`);
    return value.toString("latin1");
  });
}
