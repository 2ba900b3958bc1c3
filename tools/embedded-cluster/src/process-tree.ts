// The children of a process. PostgreSQL's backends leave the process group of their postmaster, so the group does not name them.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { runCommand } from "./run-command.js";

export async function childrenOf(pid: number): Promise<readonly number[]> {
  const parents = existsSync("/proc/self/stat") ? parentsFromProc() : await parentsFromPs();
  return parents.filter(([, parent]) => parent === pid).map(([child]) => child);
}

/** A zombie counts as ended: in a container whose first process reaps nobody it would stay for ever. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
  return statOf(pid)?.state !== "Z";
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

interface ProcessStat {
  readonly state: string;
  readonly parent: number;
}

/** From /proc; undefined when the process is gone or the system has no /proc. */
function statOf(pid: number): ProcessStat | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // "pid (name) state ppid …", and the name may hold spaces and parentheses.
    const [state = "", parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state, parent: Number(parent) };
  } catch {
    return undefined;
  }
}

function parentsFromProc(): [child: number, parent: number][] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => [Number(entry), statOf(Number(entry))?.parent ?? 0]);
}

async function parentsFromPs(): Promise<[child: number, parent: number][]> {
  const listing = await runCommand("ps", ["-A", "-o", "pid=,ppid="]);
  return listing
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([child = 0, parent = 0]) => [child, parent]);
}
