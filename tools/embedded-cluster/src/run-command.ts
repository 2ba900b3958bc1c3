// Runs one program to its end and keeps what it wrote. Not for servers.
import { spawn } from "node:child_process";
import { ClusterError } from "./cluster-error.js";
import type { ServerUser } from "./server-user.js";

export interface CommandOptions {
  readonly as?: ServerUser;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export function runCommand(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
      ...options.as?.spawnOptions,
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on("error", (cause) => {
      reject(new ClusterError(`${command} could not be run: ${cause.message}`, { cause }));
    });
    child.on("close", (code, signal) => {
      if (code === 0) {
        resolve(output);
      } else {
        reject(new ClusterError(`${command} ${args.join(" ")} ended with ${signal ?? `code ${code}`}:\n${output.trim()}`));
      }
    });
  });
}
