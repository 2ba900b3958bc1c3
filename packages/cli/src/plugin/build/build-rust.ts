// Builds a plugin's crate: with cargo for this machine, with cargo-zigbuild (which links with zig) or a GNU linker for others.
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { currentPlatform } from "@pooler/core/plugin-tools";
import type { Platform } from "../platforms.js";
import { refusal } from "../refusal.js";
import { hasTool, runTool } from "../run-tool.js";
import { type BuildOptions, deploymentTarget } from "./build-plugin.js";
import { findZig, zigHint } from "./toolchain.js";

/** Resolves with the library where cargo has put it. */
export async function buildRust(manifest: string, { project, platform, portable }: BuildOptions): Promise<string> {
  const cwd = dirname(manifest);
  if (!hasTool("cargo")) {
    throw refusal(
      "there is no Rust toolchain (cargo) here",
      "This gets one: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh",
    );
  }
  const isHere = platform.name === currentPlatform() && (!portable || platform.os === "darwin");
  const how = isHere ? { verb: "build", args: [], env: {} } : crossBuild(project.folder, platform, portable);
  const args = [how.verb, "--release", "--message-format=json-render-diagnostics", ...how.args];
  const output = await runTool("cargo", args, { cwd, env: { ...deploymentTarget(platform), ...how.env }, capture: true });
  const library = libraryIn(output, manifest);
  if (library === null)
    throw refusal(`cargo built no shared library from ${manifest}`, 'Its Cargo.toml wants [lib] with crate-type = ["cdylib"].');
  return library;
}

interface CargoCall {
  readonly verb: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

function crossBuild(folder: string, platform: Platform, portable: boolean): CargoCall {
  const target = platform.rustTarget;
  requireTarget(target);
  // A plugin is loaded by a process that has its C library already.
  const shared = platform.libc === "musl" ? ["--config", `target.${target}.rustflags=["-Ctarget-feature=-crt-static"]`] : [];
  if (platform.os === "darwin" && process.platform === "darwin") return { verb: "build", args: ["--target", target], env: {} };
  const zig = findZig(folder);
  if (zig !== null && hasTool("cargo", ["zigbuild", "--help"])) {
    const versioned = platform.libc === "glibc" ? platform.zigTarget.replace(/^[^.]*/, target) : target;
    return { verb: "zigbuild", args: ["--target", versioned, ...shared], env: zigEnvironment(zig) };
  }
  const linker = platform.gnuPrefix === null ? null : `${platform.gnuPrefix}gcc`;
  if (linker !== null && hasTool(linker)) {
    const variable = `CARGO_TARGET_${target.toUpperCase().replaceAll("-", "_")}_LINKER`;
    return { verb: "build", args: ["--target", target, ...shared], env: { [variable]: linker } };
  }
  if (platform.name === currentPlatform() && portable) return { verb: "build", args: [], env: {} };
  throw refusal(
    `a Rust plugin for ${platform.name} cannot be built here: ${zig === null ? "there is no zig" : "there is no cargo-zigbuild"}`,
    zig === null ? `${zigHint} Then "cargo install --locked cargo-zigbuild".` : '"cargo install --locked cargo-zigbuild" gets it.',
  );
}

/** The same zig for cargo-zigbuild: a program, or a module of Python. */
function zigEnvironment([command = "zig", ...args]: readonly string[]): Readonly<Record<string, string>> {
  return args.length === 0 ? { CARGO_ZIGBUILD_ZIG_PATH: command } : { CARGO_ZIGBUILD_PYTHON_PATH: command };
}

function requireTarget(target: string): void {
  const { status, stdout } = spawnSync("rustup", ["target", "list", "--installed"], { encoding: "utf8" });
  // Without rustup there is no telling: cargo will say it.
  if (status !== 0 || stdout.split("\n").includes(target)) return;
  throw refusal(`Rust has no standard library for ${target} here`, `"rustup target add ${target}" gets it.`);
}

interface Artifact {
  readonly reason: string;
  readonly manifest_path?: string;
  readonly target?: { readonly crate_types: readonly string[] };
  readonly filenames?: readonly string[];
}

function libraryIn(output: string, manifest: string): string | null {
  const artifacts = output
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Artifact)
    .filter(({ reason, target }) => reason === "compiler-artifact" && target?.crate_types.includes("cdylib") === true);
  // Of a workspace, the one that was asked for; the manifest's path may have been a link.
  const own = artifacts.find(({ manifest_path }) => manifest_path === manifest) ?? artifacts.at(-1);
  return own?.filenames?.find((path) => /\.(?:so|dylib)$/.test(path)) ?? null;
}
