// Reads files that --json wrote, and lays several over each other: of rows about the same, the later file's stays.
import { readFileSync } from "node:fs";
import { BenchError } from "./bench-error.js";
import type { BenchResult, MemoryRow, Row } from "./result.js";

export function readResults(files: readonly string[]): BenchResult {
  const results = files.map(readResult);
  const last = results.at(-1);
  if (last === undefined) throw new BenchError("--docs needs the name of a file that --json wrote.");
  return {
    ...last,
    isComplete: results.every(({ isComplete }) => isComplete),
    durationSeconds: results.reduce((sum, { durationSeconds }) => sum + durationSeconds, 0),
    versions: Object.assign({}, ...results.map(({ versions }) => versions)),
    rows: overlaid(
      results.flatMap(({ rows }) => rows),
      rowKey,
    ),
    memory: overlaid(
      results.flatMap(({ memory }) => memory),
      memoryKey,
    ),
    failures: results.flatMap(({ failures }) => failures),
  };
}

function readResult(file: string): BenchResult {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new BenchError(`${file} cannot be read as JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  if (!isResult(content)) {
    throw new BenchError(`${file} was not written by pnpm bench --json: it needs machine, versions, settings, rows, memory and failures.`);
  }
  return content;
}

function isResult(content: unknown): content is BenchResult {
  if (typeof content !== "object" || content === null) return false;
  const fields = new Map<string, unknown>(Object.entries(content));
  const isObject = (key: string): boolean => typeof fields.get(key) === "object" && fields.get(key) !== null;
  const isList = (key: string): boolean => Array.isArray(fields.get(key));
  return ["machine", "versions", "settings"].every(isObject) && ["rows", "memory", "failures"].every(isList);
}

function overlaid<T>(items: readonly T[], keyOf: (item: T) => string): readonly T[] {
  return [...new Map(items.map((item) => [keyOf(item), item])).values()];
}

function rowKey({ scenario, protocol, clients, size, peer, workers }: Row): string {
  return [scenario, protocol, clients, size, peer, workers].join(" ");
}

function memoryKey({ peer, workers }: MemoryRow): string {
  return `${peer} ${workers}`;
}
