// Reads what a Mach-O library is built for and what it wants of the macOS that loads it. 64 bits, one architecture.
import { refusal } from "../refusal.js";

export interface MachLibrary {
  readonly arch: string;
  readonly needed: readonly string[];
  /** The oldest macOS that takes it, "11.0"; null when it does not say. */
  readonly macos: string | null;
}

const processors: Readonly<Record<number, string>> = { 16777223: "x64", 16777228: "arm64" };
const commands = { loadLibrary: 0xc, minimumVersion: 0x24, buildVersion: 0x32 } as const;

export function readMachO(bytes: Buffer, file: string): MachLibrary {
  try {
    return read(bytes);
  } catch (cause) {
    if (cause instanceof RangeError) throw refusal(`${file} is damaged: ${cause.message}`, "Build it again.", cause);
    throw cause;
  }
}

function read(bytes: Buffer): MachLibrary {
  const processor = bytes.readUInt32LE(4);
  const needed: string[] = [];
  let macos: string | null = null;
  let at = 32;
  for (let left = bytes.readUInt32LE(16); left > 0; left--) {
    const command = bytes.readUInt32LE(at) & 0x7fff_ffff;
    const size = bytes.readUInt32LE(at + 4);
    if (command === commands.loadLibrary) needed.push(textAt(bytes, at + bytes.readUInt32LE(at + 8), at + size));
    if (command === commands.minimumVersion) macos = versionOf(bytes.readUInt32LE(at + 8));
    if (command === commands.buildVersion) macos = versionOf(bytes.readUInt32LE(at + 12));
    at += Math.max(size, 8);
  }
  return { arch: processors[processor] ?? `processor ${processor}`, needed, macos };
}

function versionOf(packed: number): string {
  return `${packed >>> 16}.${(packed >>> 8) & 0xff}`;
}

function textAt(bytes: Buffer, start: number, end: number): string {
  return (bytes.toString("latin1", start, end).split("\0")[0] ?? "").trimEnd();
}
