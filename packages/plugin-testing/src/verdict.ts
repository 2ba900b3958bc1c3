// A plugin's answer as a test compares it: what was not decided is not there.
import type { BenchQuestion, ChainDecision } from "@pooler/core/plugin-tools";
import { constants } from "@pooler/plugin-abi";

export type Question = BenchQuestion;

type Value = Buffer | string | null;

export type Verdict =
  | { readonly verdict: "skip" }
  | { readonly verdict: "forward"; readonly role?: "read" | "write"; readonly shard?: number | "all" }
  | {
      readonly verdict: "error";
      readonly sqlstate: string;
      readonly message: string;
      readonly detail?: string;
      readonly hint?: string;
    }
  | {
      readonly verdict: "rewrite";
      readonly sql: string;
      /** Binary values as Buffers. */
      readonly parameters?: readonly Value[];
      readonly role?: "read" | "write";
      readonly shard?: number | "all";
    }
  | {
      readonly verdict: "intercept";
      readonly columns: readonly { readonly name: string; readonly typeOid: number }[];
      /** Values of binary columns as Buffers. */
      readonly rows: readonly (readonly Value[])[];
      readonly commandTag: string;
    };

/** Throws what a plugin that failed said: that is no verdict. */
export function verdictOf(decision: ChainDecision, question: Question): Verdict {
  const { error, intercept, rewritten, rewrittenParameters } = decision;
  if (error !== null) {
    if (error.failed) throw new Error(error.message);
    const { sqlstate, message, detail, hint } = error;
    return { verdict: "error", sqlstate, message, ...(detail === null ? {} : { detail }), ...(hint === null ? {} : { hint }) };
  }
  if (intercept !== null) {
    const { columns, values, rowCount, commandTag } = intercept;
    const texts = values.map((value, index) => shown(value, columns[index % columns.length]?.format ?? 0));
    return {
      verdict: "intercept",
      columns: columns.map(({ name, typeOid }) => ({ name, typeOid })),
      rows: Array.from({ length: rowCount }, (_, row) => texts.slice(row * columns.length, (row + 1) * columns.length)),
      commandTag,
    };
  }
  const route = routeOf(decision, question);
  if (rewritten !== null) {
    const parameters = rewrittenParameters?.values.map((value, index) => shown(value, rewrittenParameters.formats[index] ?? 0));
    return { verdict: "rewrite", sql: rewritten.sql.toString(), ...(parameters === undefined ? {} : { parameters }), ...route };
  }
  return Object.keys(route).length === 0 ? { verdict: "skip" } : { verdict: "forward", ...route };
}

function shown(value: Buffer | null, format: number): Value {
  return value === null || format === 1 ? value : value.toString();
}

/** What the plugin decided, not what the question had decided for it. */
function routeOf(
  { role, shard }: ChainDecision,
  question: Question,
): { readonly role?: "read" | "write"; readonly shard?: number | "all" } {
  const hasRole = role !== constants.POOLER_ROLE_OPEN && question.role === undefined;
  const hasShard = shard !== constants.POOLER_SHARD_OPEN && question.shard === undefined;
  return {
    ...(hasRole ? { role: role === constants.POOLER_ROLE_READ ? ("read" as const) : ("write" as const) } : {}),
    ...(hasShard ? { shard: shard === constants.POOLER_SHARD_ALL ? ("all" as const) : shard } : {}),
  };
}
