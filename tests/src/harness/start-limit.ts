// How long a worker may take to be there, on a machine that may be busy with something else.
import { spawn } from "node:child_process";
import { once } from "node:events";

/** A second; more only where Node itself takes more than a tenth of one to run an empty program now. Milliseconds. */
export async function startLimitMs(): Promise<number> {
  const from = performance.now();
  await once(spawn(process.execPath, ["-e", ""], { stdio: "ignore" }), "exit");
  return Math.max(1_000, 10 * (performance.now() - from));
}
