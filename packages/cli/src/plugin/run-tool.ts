// Runs compilers and the like: what they say goes to the terminal, and a tool that is missing is told in words.
import { spawn, spawnSync } from "node:child_process";
import { delimiter, join } from "node:path";
import { refusal } from "./refusal.js";

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Collect standard output instead of showing it. */
  readonly capture?: boolean;
}

/** Resolves with its standard output, if captured. Rejects when the tool is missing or fails. */
export async function runTool(command: string, args: readonly string[], options: RunOptions): Promise<string> {
  const { code, output } = await tryTool(command, args, options);
  if (code !== 0) throw refusal(`${[command, ...args].join(" ")} failed with ${typeof code === "number" ? `exit code ${code}` : code}`);
  return output;
}

export function tryTool(
  command: string,
  args: readonly string[],
  { cwd, env = {}, capture = false }: RunOptions,
): Promise<{ readonly code: number | string; readonly output: string }> {
  return new Promise((resolve, reject) => {
    // Standard output is for what the command itself answers.
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", capture ? "pipe" : 2, 2] });
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.once("error", (cause) => reject(refusal(`cannot run ${command}: ${cause.message}`, "Is it installed?", cause)));
    child.once("close", (code, signal) => resolve({ code: code ?? signal ?? "no exit code", output }));
  });
}

/** Whether the command is there and answers `args` without an error. */
export function hasTool(command: string, args: readonly string[] = ["--version"], env: Readonly<Record<string, string>> = {}): boolean {
  return spawnSync(command, args, { stdio: "ignore", env: { ...process.env, ...env } }).status === 0;
}

/** PATH with the commands that a package's dependencies bring. */
export function pathWithDependencies(folder: string): string {
  return `${join(folder, "node_modules", ".bin")}${delimiter}${process.env["PATH"] ?? ""}`;
}
