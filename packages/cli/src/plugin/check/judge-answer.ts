// Whether an answer keeps the contract, read as strictly as the pooler reads it, and what it says, to be compared with others.

import {
  largestOutputBytes,
  type OutputFrame,
  readInterception,
  readRefusal,
  readRewrite,
  type StatementParser,
} from "@pooler/core/plugin-tools";
import { constants, structs } from "@pooler/plugin-abi";
import { breach } from "./breach.js";

export interface Answer {
  readonly status: number;
  /** Everything that the answer says. */
  readonly digest: string;
  /** A failure's own words. */
  readonly message: string | null;
  /** It asked for the rows of the statement, with this cookie. */
  readonly cookie?: bigint;
}

export interface Expectations {
  /** Shards of the cluster that was shown; Infinity when the frame was damaged. */
  readonly shards: number;
  /** The frame was in order: it could be read. */
  readonly wellFormed: boolean;
  /** Null: a rewrite is not parsed. */
  readonly parser: StatementParser | null;
}

const failures: Readonly<Record<number, string>> = {
  [constants.POOLER_FAILED]: "POOLER_FAILED",
  [constants.POOLER_PANICKED]: "POOLER_PANICKED",
  [constants.POOLER_BAD_INPUT]: "POOLER_BAD_INPUT",
};

/** An answer to pooler_route_query; not POOLER_NEEDS_SPACE. Throws a Breach. */
export function judgeRoute(status: number, out: OutputFrame, expectations: Expectations): Answer {
  const answer = judgeVerdict(status, out, expectations);
  const wantsRows = status >= 0 && status !== constants.POOLER_ERROR && (out.flags & constants.POOLER_OUT_ROWS) !== 0;
  return wantsRows ? { ...answer, cookie: (BigInt(out.cookieHigh) << 32n) | BigInt(out.cookieLow) } : answer;
}

function judgeVerdict(status: number, out: OutputFrame, expectations: Expectations): Answer {
  checkTexts(out);
  try {
    out.checkHeader();
    switch (status) {
      case constants.POOLER_SKIP:
        return { status, digest: "skip", message: null };
      case constants.POOLER_FORWARD:
        checkRoute(out, expectations.shards);
        return { status, digest: `forward ${out.role} ${out.shard}`, message: null };
      case constants.POOLER_ERROR:
        return { status, digest: `error ${JSON.stringify(readRefusal(out, ""))}`, message: null };
      case constants.POOLER_REWRITE: {
        const { sql, parameters } = readRewrite(out);
        checkRewrite(sql, expectations.parser);
        return { status, digest: `rewrite ${sql.toString("latin1")} ${JSON.stringify(parameters?.kept ?? null)}`, message: null };
      }
      case constants.POOLER_INTERCEPT:
        return { status, digest: `intercept ${JSON.stringify(readInterception(out))}`, message: null };
    }
  } catch (cause) {
    throw cause instanceof Error && cause.name === "PoolerError" ? breach(cause.message) : cause;
  }
  return judgeFailure(status, out, expectations.wellFormed);
}

/** Of a hook that answers POOLER_OK or a failure. */
export function judgeDone(status: number, out: OutputFrame, wellFormed: boolean): Answer {
  checkTexts(out);
  if (status === constants.POOLER_OK) {
    try {
      out.checkHeader();
    } catch (cause) {
      throw cause instanceof Error ? breach(cause.message) : cause;
    }
    return { status, digest: "ok", message: null };
  }
  return judgeFailure(status, out, wellFormed);
}

export function judgeFailure(status: number, out: OutputFrame, wellFormed: boolean): Answer {
  const name = failures[status];
  if (name === undefined) throw breach(`it returned ${status}, which is no status of the contract`);
  const message = out.textOfFailure("message");
  const words = message === null || message === "" ? "" : `: ${message}`;
  if (status === constants.POOLER_PANICKED && wellFormed) throw breach(`it panicked${words}`);
  if (status === constants.POOLER_BAD_INPUT && wellFormed)
    throw breach(`it could not read a frame that is in order (POOLER_BAD_INPUT)${words}`);
  // A message that does not fit is left out.
  if (status === constants.POOLER_FAILED && wellFormed && words === "" && out.capacity >= 4096)
    throw breach("it failed without a message (POOLER_FAILED)");
  return { status, digest: `${name}${words}`, message };
}

/** What a plugin wants that needs more space; a Breach when that cannot be. */
export function judgeNeeded(out: OutputFrame, hasFetch: boolean): number {
  const { needed, capacity } = out;
  if (!hasFetch) throw breach("it answered POOLER_NEEDS_SPACE and does not export pooler_fetch_output");
  if (needed <= capacity) throw breach(`it answered POOLER_NEEDS_SPACE and needs ${needed} bytes, it had ${capacity}`);
  if (needed > largestOutputBytes)
    throw breach(`it answered POOLER_NEEDS_SPACE and needs ${needed} bytes, the limit is ${largestOutputBytes}`);
  return needed;
}

/** What was fetched; a Breach when that failed. */
export function judgeFetched(status: number, out: OutputFrame): void {
  if (status >= 0 || status === constants.POOLER_NEEDS_SPACE) return;
  const message = out.textOfFailure("message") ?? "";
  throw breach(
    `pooler_fetch_output failed (${failures[status] ?? status}${message === "" ? "" : `: ${message}`}): it is given in out->cookie what the call that answered POOLER_NEEDS_SPACE put there`,
  );
}

const outputReferences = (["sqlstate", "message", "detail", "hint", "sql", "parameters", "columns", "values", "command_tag"] as const).map(
  (field) => ({ field, at: structs.pooler_output.fields[field] }),
);

/** With a struct of `size` bytes, which is longer than this version's: what the answer refers to lies behind it. Then it is made this version's. */
export function judgeGrownOutput(bytes: Buffer, size: number): void {
  const said = bytes.readUInt32LE();
  if (said !== size) throw breach(`it changed the output's size from ${size} to ${said}`);
  for (const { field, at } of outputReferences) {
    const offset = bytes.readUInt32LE(at);
    if (offset !== 0 && offset < size) {
      throw breach(
        `its ${field} begins at byte ${offset}, inside the output's struct, whose size says ${size}: a later host's is longer than the header's`,
      );
    }
  }
  bytes.writeUInt32LE(structs.pooler_output.size);
}

function checkRoute(out: OutputFrame, shards: number): void {
  if (out.role > constants.POOLER_ROLE_READ) throw breach(`its role is ${out.role}, which is none`);
  if (out.shard >= shards && out.shard < constants.POOLER_SHARD_ALL) throw breach(`its shard is ${out.shard}, the cluster has ${shards}`);
}

function checkRewrite(sql: Buffer, parser: StatementParser | null): void {
  const facts = parser?.parse(sql.toString("utf8"));
  if (facts === null || facts === undefined) return;
  const shown = JSON.stringify(sql.toString("utf8", 0, 200));
  const [first] = facts;
  if (facts.length !== 1) throw breach(`its rewrite holds ${facts.length} statements instead of one: ${shown}`);
  if (first?.parseError != null) throw breach(`PostgreSQL's grammar refuses its rewrite ${shown}: ${first.parseError}`);
}

/** Messages are UTF-8 without NUL; what cannot be located is judged elsewhere. */
export function checkTexts(out: OutputFrame): void {
  for (const field of ["message", "detail", "hint"] as const) {
    let bytes: Buffer | null;
    try {
      out.checkHeader();
      bytes = out.slice(field);
    } catch {
      continue;
    }
    if (bytes === null) continue;
    if (bytes.includes(0)) throw breach(`its ${field} has a NUL byte: ${JSON.stringify(bytes.toString("latin1", 0, 100))}`);
    if (!isUtf8(bytes)) throw breach(`its ${field} is not UTF-8: ${JSON.stringify(bytes.toString("latin1", 0, 100))}`);
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function isUtf8(bytes: Buffer): boolean {
  try {
    decoder.decode(bytes);
    return true;
  } catch {
    return false;
  }
}
