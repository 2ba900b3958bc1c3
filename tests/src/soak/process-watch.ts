// Memory and descriptors of the pooler's processes over time, as the system tells them.
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessWatch {
  /** Resident bytes of a process, as often as they were looked at. */
  readonly samples: ReadonlyMap<number, readonly number[]>;
  stop(): void;
}

export function watchMemory(pids: readonly number[], everyMs: number): ProcessWatch {
  const samples = new Map<number, number[]>(pids.map((pid) => [pid, []]));
  const timer = setInterval(() => {
    for (const [pid, list] of samples) {
      const bytes = residentBytes(pid);
      if (bytes !== null) list.push(bytes);
    }
  }, everyMs);
  return { samples, stop: () => clearInterval(timer) };
}

export function residentBytes(pid: number): number | null {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kilobytes === undefined ? null : Number(kilobytes) * 1024;
  } catch {
    return null; // it is gone: the verdict says so
  }
}

export function openDescriptors(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return -1;
  }
}

/** The middle value of the part [from, to) of the samples, as fractions. */
export function medianOf(samples: readonly number[], from: number, to: number): number {
  const part = samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to)).sort((a, b) => a - b);
  return part[part.length >> 1] ?? 0;
}
