// Reads the first bytes of a shared library to say what it was built for, before the dynamic linker is asked: it calls a
// library of another architecture "no such file". Reads files, loads nothing.
import { closeSync, openSync, readSync } from "node:fs";
import { PoolerError } from "../base/errors.js";

export interface BinaryTarget {
  readonly format: "ELF" | "Mach-O" | "PE" | "unknown";
  /** Node's names where it has one; several for a universal Mach-O file. */
  readonly architectures: readonly string[];
  /** null: it is a library; else what it is. */
  readonly notALibrary: string | null;
}

const elfMachines: Readonly<Record<number, string>> = { 3: "ia32", 40: "arm", 62: "x64", 183: "arm64", 243: "riscv64", 258: "loong64" };
const machTypes: Readonly<Record<number, string>> = { 16777223: "x64", 16777228: "arm64", 7: "ia32", 12: "arm" };
const elfTypes: Readonly<Record<number, string>> = { 1: "an object file", 2: "a program", 4: "a core dump" };

/** Throws IO when the file cannot be read. */
export function readBinaryTarget(library: string): BinaryTarget {
  const head = Buffer.alloc(4096);
  let length: number;
  try {
    const fd = openSync(library, "r");
    try {
      length = readSync(fd, head, 0, head.length, 0);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw new PoolerError("IO", `cannot read ${library}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  return targetOf(head.subarray(0, length));
}

export function targetOf(head: Buffer): BinaryTarget {
  if (head.length < 32) return { format: "unknown", architectures: [], notALibrary: `a file of ${head.length} bytes` };
  if (head.readUInt32BE(0) === 0x7f45_4c46) return elfTarget(head);
  if (head.readUInt32LE(0) === 0xfeed_facf || head.readUInt32LE(0) === 0xfeed_face) {
    // MH_DYLIB and MH_BUNDLE
    const isLibrary = head.readUInt32LE(12) === 6 || head.readUInt32LE(12) === 8;
    return { format: "Mach-O", architectures: [machName(head.readUInt32LE(4))], notALibrary: isLibrary ? null : "no dynamic library" };
  }
  if (head.readUInt32BE(0) === 0xcafe_babe) {
    const count = Math.min(head.readUInt32BE(4), Math.floor((head.length - 8) / 20));
    return {
      format: "Mach-O",
      architectures: Array.from({ length: count }, (_, i) => machName(head.readUInt32BE(8 + 20 * i))),
      notALibrary: null,
    };
  }
  if (head.toString("latin1", 0, 2) === "MZ") return { format: "PE", architectures: [], notALibrary: null };
  return { format: "unknown", architectures: [], notALibrary: "no shared library" };
}

function elfTarget(head: Buffer): BinaryTarget {
  const littleEndian = head[5] === 1;
  const type = littleEndian ? head.readUInt16LE(16) : head.readUInt16BE(16);
  const machine = littleEndian ? head.readUInt16LE(18) : head.readUInt16BE(18);
  const bits = head[4] === 2 ? "" : " (32 bits)";
  const name = elfMachines[machine] ?? `machine ${machine}`;
  return {
    format: "ELF",
    architectures: [littleEndian ? `${name}${machine === 62 || machine === 183 ? bits : ""}` : `${name} (big-endian)`],
    notALibrary: type === 3 ? null : (elfTypes[type] ?? `an ELF file of type ${type}`),
  };
}

function machName(type: number): string {
  return machTypes[type] ?? `CPU type ${type}`;
}

/** Why a library cannot be loaded here, or null. */
export function whyUnloadable(target: BinaryTarget, platform: string, arch: string): string | null {
  if (target.notALibrary !== null) return `it is ${target.notALibrary}`;
  const wanted = platform === "darwin" ? "Mach-O" : "ELF";
  if (target.format !== wanted) return `it is built for ${systemOf(target)}, this is ${platform}-${arch}`;
  if (!target.architectures.includes(arch)) return `it is built for ${target.architectures.join(" and ")}, this is ${platform}-${arch}`;
  return null;
}

function systemOf(target: BinaryTarget): string {
  if (target.format === "Mach-O") return "macOS";
  return target.format === "PE" ? "Windows" : "Linux";
}
