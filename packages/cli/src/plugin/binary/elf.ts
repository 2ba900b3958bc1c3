// Reads what an ELF library is built for and what it wants of the system that loads it. Little-endian, 64 bits: what the
// pooler runs on. Believes no offset.
import { refusal } from "../refusal.js";

export interface ElfLibrary {
  /** "x64", "arm64", or "machine 40". */
  readonly arch: string;
  /** DT_NEEDED, in order. */
  readonly needed: readonly string[];
  /** Versions of symbols that it wants, "GLIBC_2.17". */
  readonly versions: readonly string[];
  /** Names that it exports. */
  readonly exports: readonly string[];
}

const machines: Readonly<Record<number, string>> = { 62: "x64", 183: "arm64" };

const sectionTypes = { dynamic: 6, dynamicSymbols: 11, versionsNeeded: 0x6fff_fffe } as const;
const dynamicNeeded = 1;

interface Section {
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  /** The section with its names. */
  readonly link: number;
}

export function readElf(bytes: Buffer, file: string): ElfLibrary {
  try {
    return read(bytes);
  } catch (cause) {
    if (cause instanceof RangeError) throw refusal(`${file} is damaged: ${cause.message}`, "Build it again.", cause);
    throw cause;
  }
}

function read(bytes: Buffer): ElfLibrary {
  const machine = bytes.readUInt16LE(18);
  const sections = sectionsOf(bytes);
  const namesOf = (section: Section): ((offset: number) => string) => {
    const names = sections[section.link];
    return (offset) => (names === undefined ? "" : textAt(bytes, names.offset + offset));
  };
  const each = (type: number): readonly Section[] => sections.filter((section) => section.type === type);
  return {
    arch: machines[machine] ?? `machine ${machine}`,
    needed: each(sectionTypes.dynamic).flatMap((section) => neededOf(bytes, section, namesOf(section))),
    versions: each(sectionTypes.versionsNeeded).flatMap((section) => versionsOf(bytes, section, namesOf(section))),
    exports: each(sectionTypes.dynamicSymbols).flatMap((section) => exportsOf(bytes, section, namesOf(section))),
  };
}

function sectionsOf(bytes: Buffer): readonly Section[] {
  const start = Number(bytes.readBigUInt64LE(40));
  const entry = bytes.readUInt16LE(58);
  const count = bytes.readUInt16LE(60);
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * entry;
    return {
      type: bytes.readUInt32LE(at + 4),
      offset: Number(bytes.readBigUInt64LE(at + 24)),
      size: Number(bytes.readBigUInt64LE(at + 32)),
      link: bytes.readUInt32LE(at + 40),
    };
  });
}

function neededOf(bytes: Buffer, { offset, size }: Section, name: (at: number) => string): string[] {
  const needed: string[] = [];
  for (let at = offset; at < offset + size; at += 16) {
    if (bytes.readBigUInt64LE(at) === BigInt(dynamicNeeded)) needed.push(name(Number(bytes.readBigUInt64LE(at + 8))));
  }
  return needed;
}

/** Elf64_Verneed, each with its chain of Elf64_Vernaux. */
function versionsOf(bytes: Buffer, { offset, size }: Section, name: (at: number) => string): string[] {
  const versions: string[] = [];
  for (let at = offset; at < offset + size; ) {
    let aux = at + bytes.readUInt32LE(at + 8);
    for (let left = bytes.readUInt16LE(at + 2); left > 0; left--) {
      versions.push(name(bytes.readUInt32LE(aux + 8)));
      aux += bytes.readUInt32LE(aux + 12);
    }
    const next = bytes.readUInt32LE(at + 12);
    if (next === 0) break;
    at += next;
  }
  return versions;
}

function exportsOf(bytes: Buffer, { offset, size }: Section, name: (at: number) => string): string[] {
  const exported: string[] = [];
  for (let at = offset; at < offset + size; at += 24) {
    const binding = bytes.readUInt8(at + 4) >> 4;
    const visibility = bytes.readUInt8(at + 5) & 3;
    const isDefined = bytes.readUInt16LE(at + 6) !== 0;
    // Global or weak, default or protected.
    if (isDefined && (binding === 1 || binding === 2) && (visibility === 0 || visibility === 3))
      exported.push(name(bytes.readUInt32LE(at)));
  }
  return exported;
}

function textAt(bytes: Buffer, at: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString("latin1", at, end === -1 ? bytes.length : end);
}
