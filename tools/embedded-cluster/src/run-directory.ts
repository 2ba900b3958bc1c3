// One directory below the system's temporary one holds all that a cluster writes, and a reaper process deletes it, servers first,
// when this process ends in whatever way, SIGKILL included: it waits for the end of a pipe that only we hold.
import { spawn } from "node:child_process";
import { chmod, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClusterError } from "./cluster-error.js";
import { packageRoot } from "./installation.js";
import { canReach, type ServerUser } from "./server-user.js";

export interface RunDirectory {
  readonly path: string;
  /** The reaper ends this process, too. */
  watch(pid: number): void;
  unwatch(pid: number): void;
  /** Deletes the directory and ends the reaper. All servers must have stopped. */
  remove(): Promise<void>;
}

export async function createRunDirectory(user: ServerUser): Promise<RunDirectory> {
  const base = [tmpdir(), "/tmp", "/var/tmp"].find((path) => canReach(user, path));
  if (base === undefined) {
    throw new ClusterError(`The user with id ${user.uid} can read no temporary directory; set TMPDIR to one it can.`);
  }
  const path = await mkdtemp(join(await realpath(base), "pooler-cluster-"));
  if (user.isOther) {
    await chmod(path, 0o711);
  }
  const reaper = spawn("/bin/sh", [join(packageRoot, "reaper.sh"), path], {
    // A session of its own, so that Ctrl-C in a terminal does not reach it.
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    cwd: "/",
  });
  // Should the reaper be gone, stop() still cleans up; only the death of this process would not be noticed any more.
  reaper.on("error", () => {});
  reaper.stdin.on("error", () => {});
  reaper.unref();
  const ended = new Promise<void>((resolve) => {
    reaper.once("exit", () => resolve());
    reaper.once("error", () => resolve());
  });

  return {
    path,
    watch(pid) {
      reaper.stdin.write(`+ ${pid}\n`);
    },
    unwatch(pid) {
      reaper.stdin.write(`- ${pid}\n`);
    },
    async remove() {
      await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
      reaper.ref();
      reaper.stdin.end();
      await ended;
    },
  };
}
