// Starts a pooler of whatever make on a free port and waits for its first answer.
import { chmod, mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { findFreePort, query } from "@pooler/embedded-cluster";
import { startProcess, untilServing } from "../managed-process.js";
import { isServed } from "../wire/raw-connection.js";
import { type Grounds, type RunningPeer, type Setup, type Target, targetOn } from "./peer.js";

export interface Launch {
  readonly name: string;
  /** Writes its configuration into the directory and says how to run it. */
  prepare(at: LaunchSite): Promise<LaunchCommand>;
}

export interface LaunchSite {
  readonly port: number;
  /** Of its own; everybody may pass and read. */
  readonly directory: string;
}

export interface LaunchCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly ids?: { readonly uid?: number; readonly gid?: number };
}

export async function launch({ name, prepare }: Launch, setup: Setup, grounds: Grounds): Promise<RunningPeer> {
  const { runDirectory } = grounds;
  const port = await findFreePort();
  const directory = await mkdtemp(join(runDirectory.path, `${name}-`));
  await chmod(directory, 0o755);
  const { command, args, ids } = await prepare({ port, directory });
  const startedMs = performance.now();
  const process = await startProcess({
    command,
    args,
    logFile: join(directory, "output.log"),
    runDirectory,
    ...(ids === undefined ? {} : { ids }),
  });
  const target = targetOn(port, setup, grounds);
  await untilServing(process, () => answers(target), name);
  return { target, pid: process.pid, startMs: performance.now() - startedMs, stop: () => process.stop() };
}

/** Without TLS, which every setup allows. */
async function answers({ port, user, database, password }: Target): Promise<boolean> {
  if (password === undefined) return isServed({ port, user, database });
  try {
    await query(`postgres://${user}:${password}@127.0.0.1:${port}/${database}`, "SELECT 1");
    return true;
  } catch {
    return false;
  }
}
