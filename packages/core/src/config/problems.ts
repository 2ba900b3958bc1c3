// Collects everything that is wrong with a configuration and makes one error of it. Shows values, never secrets.
import { isAbsolute, relative } from "node:path";
import { PoolerError } from "../base/errors.js";
import { hideInText, isSecretName } from "../base/logger.js";
import type { KeyPath, Position, PositionIndex } from "./positions.js";

export interface ConfigProblem {
  /** `databases.app.shards[1].primary`; "" for the file as a whole. */
  readonly key: string;
  readonly message: string;
  /** null when the configuration did not come from a text. */
  readonly position: Position | null;
}

/** What CONFIG_INVALID means in detail. */
export class ConfigInvalidError extends PoolerError {
  readonly problems: readonly ConfigProblem[];

  constructor(file: string | null, problems: readonly ConfigProblem[]) {
    const name = file === null ? "the configuration" : shortPath(file);
    const lines = problems.map((problem) => formatProblem(file, problem));
    super("CONFIG_INVALID", lines.length === 1 ? (lines[0] ?? "") : `${name} has ${lines.length} errors:\n  ${lines.join("\n  ")}`);
    this.problems = problems;
  }
}

export interface Problems {
  /** Points at the value. */
  value(path: KeyPath, message: string): void;
  /** Points at the key, or at what encloses it when it is missing. */
  key(path: KeyPath, message: string): void;
  /** Something that works, but hardly as meant. */
  warn(path: KeyPath, message: string): void;
  readonly warnings: readonly string[];
  /** Some problem lies at this path or below. */
  touches(path: KeyPath): boolean;
  throwIfAny(): void;
}

export function createProblems(file: string | null, positions: PositionIndex | null): Problems {
  const found: { readonly path: KeyPath; readonly problem: ConfigProblem }[] = [];
  const warnings: string[] = [];
  const add = (path: KeyPath, message: string, position: Position | null): void => {
    found.push({ path, problem: { key: formatKey(path), message, position } });
  };
  return {
    value: (path, message) => add(path, message, positions?.valueAt(path) ?? null),
    key: (path, message) => add(path, message, positions?.keyAt(path) ?? null),
    warn: (path, message) => {
      warnings.push(formatProblem(file, { key: formatKey(path), message, position: positions?.keyAt(path) ?? null }));
    },
    warnings,
    touches: (path) => found.some((one) => path.every((part, index) => String(one.path[index]) === String(part))),
    throwIfAny() {
      if (found.length === 0) return;
      const inOrder = found.map((one) => one.problem).sort(byPosition);
      throw new ConfigInvalidError(file, inOrder);
    },
  };
}

const byPosition = (a: ConfigProblem, b: ConfigProblem): number =>
  (a.position?.line ?? 0) - (b.position?.line ?? 0) || (a.position?.column ?? 0) - (b.position?.column ?? 0);

function formatProblem(file: string | null, problem: ConfigProblem): string {
  const place = problem.position === null ? [] : [String(problem.position.line), String(problem.position.column)];
  return [[...(file === null ? [] : [shortPath(file)]), ...place].join(":"), problem.key, problem.message]
    .filter((part) => part !== "")
    .join(": ");
}

/** Relative to where the user is, as long as that is shorter to read. */
export function shortPath(file: string): string {
  const path = isAbsolute(file) ? relative(process.cwd(), file) : file;
  return path.startsWith("..") || path === "" ? file : path;
}

/** `databases."my db".shards[0]` */
export function formatKey(path: KeyPath): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += (text === "" ? "" : ".") + (/^[\w@/-]+$/.test(part) ? part : JSON.stringify(part));
  }
  return text;
}

/** For messages: short, and without what must not be seen. */
export function showValue(path: KeyPath, value: unknown): string {
  if (path.some((part) => typeof part === "string" && isSecretName(part))) return "[hidden]";
  if (typeof value === "string") {
    const text = hideInText(value).replace(/\/\/.*@/, "//[hidden]@");
    return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
  }
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object" && value !== null) return value instanceof Date ? "a date" : "a table";
  return String(value);
}
