// For the tests of the hooks beside route_query: what the fixture has heard, and logins that are refused.
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errorIn } from "../harness/backend-message.js";
import type { Pooler } from "../harness/pooler.js";
import { connectWire, messages } from "../harness/wire-client.js";

export interface HookLog {
  /** For the fixture's configuration. */
  readonly file: string;
  /** What each call of a hook was told since the last clear(). */
  calls(hook: string): string[][];
  /** Resolves when the hook has been called so often. */
  until(hook: string, count: number): Promise<string[][]>;
  clear(): void;
  remove(): void;
}

export function createHookLog(): HookLog {
  const folder = mkdtempSync(join(tmpdir(), "pooler-hooks-"));
  const file = join(folder, "calls");
  writeFileSync(file, "");
  const calls = (hook: string): string[][] =>
    readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.split("\t"))
      .filter(([name]) => name === hook)
      .map(([, ...told]) => told);
  return {
    file,
    calls,
    async until(hook, count) {
      for (const limitMs = Date.now() + 10_000; ; ) {
        const found = calls(hook);
        if (found.length >= count) return found;
        if (Date.now() > limitMs) throw new Error(`${hook} was called ${found.length} times, not ${count}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    clear: () => truncateSync(file),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The error that a login gets; the connection must be closed then. */
export async function refusalOf(pooler: Pooler, parameters: Readonly<Record<string, string>>): Promise<Record<string, string> | undefined> {
  const client = await connectWire({ port: pooler.port });
  client.send(messages.startup({ ...parameters }));
  const answer = await client.until("E");
  await client.closed;
  return errorIn(answer);
}
