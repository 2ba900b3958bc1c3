// For the tests of plugins that may wait: the fixture that waits for files to go, and how many of its calls run.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compilePlugin } from "./plugin-libraries.js";
import type { PluginEntry, Rig } from "./rig.js";

export interface Waiter {
  /** Calls with "hold:<name>" do not return from now on; "server": of server_connect. */
  hold(name: string): void;
  release(name: string): void;
  /** All of them. */
  releaseAll(): void;
  /** What it wrote down. */
  logged(): readonly string[];
  /** `capabilities`, `hooks`: in the words of the header, where they are others than the fixture's. */
  entry(keys?: Readonly<Record<string, unknown>>, defines?: Readonly<Record<string, string>>): PluginEntry;
  remove(): void;
}

const source = fileURLToPath(new URL("../../../packages/core/fixtures/plugins/waiter.c", import.meta.url));

export function createWaiter(): Waiter {
  const folder = mkdtempSync(join(tmpdir(), "pooler-waiter-"));
  const held = new Set<string>();
  const release = (name: string): void => {
    held.delete(name);
    rmSync(join(folder, `hold-${name}`), { force: true });
  };
  return {
    hold(name) {
      held.add(name);
      writeFileSync(join(folder, `hold-${name}`), "");
    },
    release,
    releaseAll: () => {
      for (const name of [...held]) release(name);
    },
    logged: () => readFileSync(join(folder, "log"), "utf8").trim().split("\n"),
    entry: (keys = {}, defines = {}) => ({ as: "waiter", library: compilePlugin(source, defines), config: { folder }, entry: keys }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Resolves with the row of SHOW PLUGINS when these columns of it are so. */
export async function untilPlugin(rig: Rig, wanted: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string | null>>> {
  for (const limitMs = Date.now() + 20_000; ; ) {
    const [row] = await rig.console("SHOW PLUGINS");
    if (row !== undefined && Object.entries(wanted).every(([name, value]) => row[name] === value)) return row;
    if (Date.now() > limitMs) throw new Error(`SHOW PLUGINS has not come to ${JSON.stringify(wanted)}: ${JSON.stringify(row)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** So many calls run. */
export const untilRunning = (rig: Rig, count: number): Promise<unknown> => untilPlugin(rig, { running: String(count) });
