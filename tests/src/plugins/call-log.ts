// The file that a script plugin writes its calls to: who was asked about what, in the order of the calls, over all workers.
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { constants } from "@pooler/plugin-abi";

export interface CallLog {
  /** For the plugin's configuration. */
  readonly file: string;
  /** "name: SQL" of each call since the last clear(), with the word "prepare" behind the name where a driver prepares. */
  calls(): string[];
  /** The same with all flags: "name [in_transaction,first_statement]: SQL". */
  callsWithFlags(): string[];
  clear(): void;
  remove(): void;
}

const flagNames: readonly (readonly [number, string])[] = [
  [constants.POOLER_IN_TRANSACTION, "in_transaction"],
  [constants.POOLER_READ_ONLY, "read_only"],
  [constants.POOLER_FIRST_STATEMENT, "first_statement"],
  [constants.POOLER_PREPARE_ONLY, "prepare_only"],
  [constants.POOLER_REWRITTEN, "rewritten"],
  [constants.POOLER_SEVERAL_STATEMENTS, "several_statements"],
];

export function createCallLog(): CallLog {
  const folder = mkdtempSync(join(tmpdir(), "pooler-calls-"));
  const file = join(folder, "calls");
  writeFileSync(file, "");
  const lines = (): { name: string; flags: number; sql: string }[] =>
    readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const [name = "", flags = "", ...sql] = line.split("\t");
        return { name, flags: Number.parseInt(flags, 16), sql: sql.join("\t") };
      });
  return {
    file,
    calls: () => lines().map(({ name, flags, sql }) => `${name}${flags & constants.POOLER_PREPARE_ONLY ? " prepare" : ""}: ${sql}`),
    callsWithFlags: () =>
      lines().map(
        ({ name, flags, sql }) =>
          `${name} [${flagNames
            .filter(([bit]) => (flags & bit) !== 0)
            .map(([, flag]) => flag)
            .join(",")}]: ${sql}`,
      ),
    clear: () => truncateSync(file),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
