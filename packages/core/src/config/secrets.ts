// Reads what a configuration refers to: `env:NAME`, `file:PATH` and PEM files. What it reads never appears in a message.
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { KeyPath } from "./positions.js";
import type { Problems } from "./problems.js";

export interface References {
  /** The text that a secret or URL stands for; null (and a problem) when it cannot be had. */
  text(path: KeyPath, value: string): string | null;
  /** What a file holds. */
  file(path: KeyPath, relativePath: string): string | null;
}

export interface ReferenceContext {
  /** Absolute path of the configuration file, or null; paths are relative to its directory. */
  readonly file: string | null;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly problems: Problems;
}

export function createReferences({ file, env, problems }: ReferenceContext): References {
  const directory = file === null ? process.cwd() : dirname(file);

  const read = (path: KeyPath, relativePath: string): string | null => {
    const absolute = resolve(directory, relativePath);
    try {
      return readFileSync(absolute, "utf8");
    } catch (cause) {
      problems.value(path, `cannot read the file ${absolute}: ${reason(cause)}`);
      return null;
    }
  };

  const fromEnvironment = (path: KeyPath, name: string): string | null => {
    const value = env[name];
    if (value !== undefined && value !== "") return value;
    problems.value(path, `the environment variable ${JSON.stringify(name)} is ${value === undefined ? "not set" : "empty"}`);
    return null;
  };

  const fromFile = (path: KeyPath, name: string): string | null => {
    // Editors and `echo` end a file with a line feed that is not meant.
    const text = read(path, name)?.replace(/\r?\n$/, "");
    if (text !== "") return text ?? null;
    problems.value(path, `the file ${resolve(directory, name)} is empty`);
    return null;
  };

  return {
    file: read,
    text(path, value) {
      if (value.startsWith("env:")) return fromEnvironment(path, value.slice("env:".length));
      if (value.startsWith("file:")) return fromFile(path, value.slice("file:".length));
      return value;
    },
  };
}

function reason(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  switch (code) {
    case "ENOENT":
      return "it does not exist";
    case "EACCES":
      return "this user may not read it";
    case "EISDIR":
      return "it is a directory";
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}
