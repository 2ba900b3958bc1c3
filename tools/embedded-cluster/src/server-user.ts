// Who the servers run as. PostgreSQL refuses to run as root, so root lends them to an unprivileged account that exists anyway.
import { readFileSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import { ClusterError } from "./cluster-error.js";

export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
  /** Whether it is somebody else than this process, so that files have to be handed over. */
  readonly isOther: boolean;
  readonly spawnOptions: { readonly uid?: number; readonly gid?: number };
}

const candidates = ["postgres", "_postgres", "nobody", "daemon"];

export function findServerUser(): ServerUser {
  const uid = process.getuid?.();
  const gid = process.getgid?.();
  if (uid === undefined || gid === undefined) {
    throw new ClusterError("Embedded PostgreSQL servers need Linux or macOS.");
  }
  if (uid !== 0) {
    return { uid, gid, isOther: false, spawnOptions: {} };
  }
  const accounts = new Map(
    readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => line.split(":"))
      .map((fields) => [fields[0] ?? "", { uid: Number(fields[2]), gid: Number(fields[3]) }]),
  );
  for (const name of candidates) {
    const account = accounts.get(name);
    // nobody is -2 on macOS, which setuid takes as an unsigned number.
    if (account !== undefined && Number.isInteger(account.uid) && account.uid !== 0) {
      const ids = { uid: account.uid >>> 0, gid: account.gid >>> 0 };
      return { ...ids, isOther: true, spawnOptions: ids };
    }
  }
  throw new ClusterError(
    `PostgreSQL does not run as root, and none of the accounts ${candidates.join(", ")} exists. Create one (useradd --system postgres) or run as another user.`,
  );
}

/** Whether the user may read the path and pass every directory above it. Access control lists are not looked at. */
export function canReach(user: ServerUser, path: string): boolean {
  if (!user.isOther) {
    return true;
  }
  if (!allows(user, statSync(path), 0o4)) {
    return false;
  }
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    if (!allows(user, statSync(directory), 0o1)) {
      return false;
    }
    if (directory === dirname(directory)) {
      return true;
    }
  }
}

function allows(user: ServerUser, stats: Stats, bits: number): boolean {
  const shift = stats.uid === user.uid ? 6 : stats.gid === user.gid ? 3 : 0;
  return ((stats.mode >> shift) & bits) === bits;
}
