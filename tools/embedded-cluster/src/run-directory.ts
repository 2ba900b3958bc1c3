// One directory below the system's temporary one for files that must not outlive this process. A reaper process ends the watched
// processes and deletes it when this process ends in whatever way, SIGKILL included: it waits for the end of a pipe that only we hold.
import { spawn } from "node:child_process";
import { chmod, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClusterError } from "./cluster-error.js";
import { packageRoot } from "./installation.js";
import { canReach, findServerUser, type ServerUser } from "./server-user.js";

export interface RunDirectory {
  readonly path: string;
  /** When this process is gone, the reaper sends that one the signal, ten seconds later SIGKILL. */
  watch(pid: number, signal: "QUIT" | "TERM"): void;
  unwatch(pid: number): void;
  /** Deletes the directory and ends the reaper. What was watched must have ended. */
  remove(): Promise<void>;
}

/** `user` is who else must be able to pass through it: the one that servers run as. */
export async function createRunDirectory(user: ServerUser = findServerUser()): Promise<RunDirectory> {
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
    watch(pid, signal) {
      reaper.stdin.write(`${signal} ${pid}\n`);
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
