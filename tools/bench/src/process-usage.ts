// What the operating system says a process and everything below it has used: processor time and memory. Linux alone has it in /proc.
import { readdirSync, readFileSync } from "node:fs";

/** The process and all that descend from it, the root first. */
export function processTree(root: number): readonly number[] {
  const childrenByParent = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = parentOf(entry);
    if (parent === undefined) continue;
    const siblings = childrenByParent.get(parent);
    if (siblings === undefined) childrenByParent.set(parent, [Number(entry)]);
    else siblings.push(Number(entry));
  }
  const tree = [root];
  for (const pid of tree) {
    tree.push(...(childrenByParent.get(pid) ?? []));
  }
  return tree;
}

function parentOf(pid: string): number | undefined {
  const fields = statFields(Number(pid));
  return fields === undefined ? undefined : Number(fields[1]);
}

/** Processor time of all threads that live, in microseconds. Nothing for a process that has gone. */
export function cpuUs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (scheduledUs(pid) ?? tickedUs(pid)), 0);
}

/** The scheduler counts nanoseconds for each thread; a kernel may be built without that. */
function scheduledUs(pid: number): number | undefined {
  try {
    let sumNs = 0;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const [running] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ");
      sumNs += Number(running);
    }
    return sumNs === 0 ? undefined : sumNs / 1000;
  } catch {
    return undefined;
  }
}

/** Linux counts in hundredths of a second for programs, whatever the kernel itself uses. */
const tickUs = 10_000;

function tickedUs(pid: number): number {
  const fields = statFields(pid);
  return fields === undefined ? 0 : (Number(fields[11]) + Number(fields[12])) * tickUs;
}

/** Resident memory of all of them together; pages that several share count for each. */
export function residentKb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + residentKbOf(pid), 0);
}

export function residentKbOf(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** The fields of /proc/PID/stat from the third, the state, on: the name before them may hold spaces and parentheses. */
function statFields(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
