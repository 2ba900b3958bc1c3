// The platforms that a plugin can be built for, by the names of their folders in prebuilds/, and what tools call them.

export interface Platform {
  /** "linux-x64-musl": the name of the folder. */
  readonly name: string;
  readonly os: "linux" | "darwin";
  readonly arch: "x64" | "arm64";
  readonly libc: "glibc" | "musl" | null;
  /** For `zig cc -target`. */
  readonly zigTarget: string;
  readonly rustTarget: string;
  /** The prefix of a GNU compiler for it; null where nobody makes one. */
  readonly gnuPrefix: string | null;
  readonly libraryFile: string;
}

/** Node.js 20 itself wants this C library: a plugin that asks for no newer one loads wherever the pooler runs. */
export const glibcBaseline = "2.28";

/** The oldest macOS that Node.js 20 runs on, with both kinds of processors. */
export const macosBaseline = "11.0";

const linux = (arch: "x64" | "arm64", libc: "glibc" | "musl"): Platform => {
  const machine = arch === "x64" ? "x86_64" : "aarch64";
  const abi = libc === "glibc" ? "gnu" : "musl";
  return {
    name: `linux-${arch}${libc === "musl" ? "-musl" : ""}`,
    os: "linux",
    arch,
    libc,
    zigTarget: `${machine}-linux-${abi}${libc === "glibc" ? `.${glibcBaseline}` : ""}`,
    rustTarget: `${machine}-unknown-linux-${abi}`,
    gnuPrefix: `${machine}-linux-${abi}-`,
    libraryFile: "plugin.so",
  };
};

const darwin = (arch: "x64" | "arm64"): Platform => {
  const machine = arch === "x64" ? "x86_64" : "aarch64";
  return {
    name: `darwin-${arch}`,
    os: "darwin",
    arch,
    libc: null,
    zigTarget: `${machine}-macos.${macosBaseline}`,
    rustTarget: `${machine}-apple-darwin`,
    gnuPrefix: null,
    libraryFile: "plugin.dylib",
  };
};

export const platforms: readonly Platform[] = [
  linux("x64", "glibc"),
  linux("x64", "musl"),
  linux("arm64", "glibc"),
  linux("arm64", "musl"),
  darwin("x64"),
  darwin("arm64"),
];

export const platformNames: readonly string[] = platforms.map(({ name }) => name);

export function findPlatform(name: string): Platform | null {
  return platforms.find((platform) => platform.name === name) ?? null;
}
