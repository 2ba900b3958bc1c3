// Loads a plugin in a process of its own, as a worker would: a library that crashes takes only that process with it.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { PluginConfig, PluginDescription } from "@pooler/core";

export type PluginVerdict =
  | { readonly ok: true; readonly description: PluginDescription }
  | { readonly ok: false; readonly message: string; readonly hint: string | null };

export interface CheckPluginOptions {
  /** The program that the process runs; src/check/plugin-process.ts by default. */
  readonly program?: string;
  readonly timeoutMs?: number;
}

export function checkPlugin(plugin: PluginConfig, options: CheckPluginOptions = {}): Promise<PluginVerdict> {
  const program = options.program ?? fileURLToPath(new URL("./plugin-process.js", import.meta.url));
  const timeoutMs = options.timeoutMs ?? 15_000;
  // What a library prints while it loads belongs to no answer of ours.
  const child = fork(program, [], { stdio: ["ignore", "ignore", "inherit", "ipc"], execArgv: [] });
  return new Promise((resolve) => {
    let verdict: PluginVerdict | null = null;
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    child.once("message", (message) => {
      verdict = message as PluginVerdict;
    });
    child.once("error", (cause) => {
      verdict ??= failed(plugin, `the process that loads it cannot be started: ${cause.message}`, null);
    });
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      if (isLate)
        resolve(failed(plugin, `loading it took longer than ${timeoutMs} ms`, "A plugin must not wait for anything while it is created."));
      else if (verdict?.ok === true && code !== 0) resolve(died(plugin, "ended", code, signal));
      else resolve(verdict ?? died(plugin, "was loaded", code, signal));
    });
    child.send(plugin);
  });
}

function died(plugin: PluginConfig, when: string, code: number | null, signal: string | null): PluginVerdict {
  const how = signal === null ? `exit code ${code}` : signal;
  return failed(
    plugin,
    `it crashed its process (${how}) when it ${when}`,
    `Report it to whoever made it; the library is ${plugin.library}.`,
  );
}

function failed(plugin: PluginConfig, problem: string, hint: string | null): PluginVerdict {
  return { ok: false, message: `plugin "${plugin.name}" cannot be used: ${problem}`, hint };
}
