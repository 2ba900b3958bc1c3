// Whether a library in prebuilds/ is what its folder says, and loads on the oldest system that the pooler runs on.
import { readFileSync, statSync } from "node:fs";
import { targetOf, whyUnloadable } from "@pooler/core/plugin-tools";
import { glibcBaseline, macosBaseline, type Platform } from "../platforms.js";
import { readElf } from "./elf.js";
import { readMachO } from "./mach-o.js";

export interface BinaryJudgement {
  readonly bytes: number;
  /** "glibc 2.17", "musl", "macOS 11.0": what it wants. */
  readonly wants: string;
  /** What keeps it from being loaded there, or from being loaded everywhere. */
  readonly problems: readonly string[];
}

/** Libraries that every system of the kind has. */
const system: Readonly<Record<"glibc" | "musl" | "darwin", RegExp>> = {
  glibc: /^(?:lib(?:c|m|dl|rt|pthread|util)\.so\.\d+|libgcc_s\.so\.1|ld-linux.*\.so\.\d+)$/,
  musl: /^(?:libc(?:\.musl-.*)?\.so(?:\.\d+)?|ld-musl-.*\.so\.\d+|libgcc_s\.so\.1)$/,
  darwin: /^(?:\/usr\/lib\/|\/System\/Library\/|@rpath\/|@loader_path\/)/,
};

export function judgeBinary(file: string, platform: Platform): BinaryJudgement {
  const bytes = readFileSync(file);
  const size = statSync(file).size;
  const mismatch = whyUnloadable(targetOf(bytes.subarray(0, 4096)), platform.os, platform.arch);
  if (mismatch !== null) return { bytes: size, wants: "", problems: [mismatch.replace(/, this is .*/, `, not for ${platform.name}`)] };
  return platform.os === "darwin" ? judgeMachO(bytes, file, size) : judgeElf(bytes, file, size, platform.libc === "musl");
}

function judgeElf(bytes: Buffer, file: string, size: number, isMusl: boolean): BinaryJudgement {
  const { needed, versions, exports } = readElf(bytes, file);
  const problems: string[] = [];
  const glibc = newest(versions.filter((version) => /^GLIBC_\d/.test(version)).map((version) => version.slice("GLIBC_".length)));
  if (isMusl && (glibc !== null || needed.includes("libc.so.6"))) problems.push("it is built for glibc, not for musl");
  else if (!isMusl && glibc === null && needed.some((name) => /musl|^libc\.so$/.test(name)))
    problems.push("it is built for musl, not for glibc");
  else if (glibc !== null && compare(glibc, glibcBaseline) > 0) {
    problems.push(`it wants glibc ${glibc}; ${glibcBaseline} is what Node.js itself wants, and all that every system of the pooler has`);
  }
  const strangers = needed.filter((name) => !system[isMusl ? "musl" : "glibc"].test(name));
  if (strangers.length > 0) problems.push(`it needs ${strangers.join(", ")}, which other systems may not have: link it in`);
  if (!exports.includes("pooler_plugin_info_v1")) problems.push("it does not export pooler_plugin_info_v1");
  return { bytes: size, wants: isMusl ? "musl" : `glibc${glibc === null ? "" : ` ${glibc}`}`, problems };
}

function judgeMachO(bytes: Buffer, file: string, size: number): BinaryJudgement {
  const { needed, macos } = readMachO(bytes, file);
  const strangers = needed.filter((name) => !system.darwin.test(name));
  const problems = strangers.length === 0 ? [] : [`it needs ${strangers.join(", ")}, which other systems may not have: link it in`];
  if (macos !== null && compare(macos, macosBaseline) > 0)
    problems.push(`it wants macOS ${macos}; the pooler runs on ${macosBaseline} and up`);
  return { bytes: size, wants: `macOS${macos === null ? "" : ` ${macos}`}`, problems };
}

function newest(versions: readonly string[]): string | null {
  return versions.reduce<string | null>((best, version) => (best === null || compare(version, best) > 0 ? version : best), null);
}

/** As numbers, part by part: 2.9 is older than 2.28. */
function compare(a: string, b: string): number {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
