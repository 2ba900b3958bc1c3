// `pooler plugin build`: from the sources that package.json names to prebuilds/<platform>/plugin.so. Knows how each language
// is built, not what is in it.
import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { currentPlatform } from "@pooler/core/plugin-tools";
import { macosBaseline, type Platform, platformNames } from "../platforms.js";
import { headerFolder, type PluginProject, platformOf, prebuildOf, type Source, shown } from "../project.js";
import { refusal } from "../refusal.js";
import { runTool } from "../run-tool.js";
import { buildRust } from "./build-rust.js";
import { findCompiler } from "./toolchain.js";

type ScriptSource = Extract<Source, { readonly lang: "js" }>;

export interface BuildOptions {
  readonly project: PluginProject;
  readonly platform: Platform;
  /** For the oldest C library that the pooler runs with, not for that of this machine. */
  readonly portable: boolean;
  /** Further flags of the C or C++ compiler. */
  readonly flags?: readonly string[];
  /** Instead of prebuilds/. */
  readonly output?: string;
}

/** The platform of this machine. Throws where the pooler has none. */
export function thisPlatform(): Platform {
  return platformOf(currentPlatform(), "this machine is");
}

/** `names`: as given with --platform, "all" among them. */
export function platformsOf(project: PluginProject, names: readonly string[]): readonly Platform[] {
  if (names.includes("all")) return project.platforms;
  return names.flatMap((name) => name.split(",")).map((name) => platformOf(name, "--platform names"));
}

export const platformHelp = `${platformNames.join(", ")}, or all`;

/** Resolves with the path of the library. */
export async function buildPlugin(options: BuildOptions): Promise<string> {
  const { project, platform } = options;
  if (project.source?.lang === "js") return buildScript(project, project.source);
  const library = options.output ?? prebuildOf(project, platform);
  mkdirSync(dirname(library), { recursive: true });
  // Renamed into place: a running pooler has the old file mapped, and writing into it would crash it.
  const unfinished = `${library}.${process.pid}`;
  try {
    await build(options, unfinished);
    chmodSync(unfinished, 0o755);
    renameSync(unfinished, library);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return library;
}

/** The same file runs on every platform. */
async function buildScript({ folder }: PluginProject, source: ScriptSource): Promise<string> {
  if (source.compiled) await runTool(process.execPath, [findTypeScript(folder), "-p", "tsconfig.json"], { cwd: folder });
  if (!existsSync(source.module)) {
    throw refusal(
      `there is no ${shown(source.module)}, which "pooler.module" of package.json names`,
      "Does tsconfig.json put it elsewhere?",
    );
  }
  return source.module;
}

/** The compiler that the package depends on. */
function findTypeScript(folder: string): string {
  try {
    return createRequire(join(folder, "package.json")).resolve("typescript/bin/tsc");
  } catch (cause) {
    throw refusal(`there is no TypeScript compiler for ${shown(folder)}`, 'Run "npm install" there first.', cause);
  }
}

async function build(options: BuildOptions, to: string): Promise<void> {
  const { source, folder } = options.project;
  if (source === null) {
    throw refusal(
      `package.json in ${shown(folder)} does not say what the plugin is built from`,
      'Add "source" to its "pooler": "./Cargo.toml", "./src/plugin.c", or a list of C or C++ files. For other languages, "build" is a command line.',
    );
  }
  switch (source.lang) {
    case "rust":
      copyFileSync(await buildRust(source.manifest, options), to);
      return;
    case "c":
    case "c++":
      await buildC(source.lang, source.files, options, to);
      return;
    case "js":
      return;
    case "command":
      await buildByCommand(source.command, options, to);
      return;
  }
}

async function buildC(lang: "c" | "c++", files: readonly string[], options: BuildOptions, to: string): Promise<void> {
  const { project, platform, portable, flags = [] } = options;
  const compiler = findCompiler(project.folder, lang, platform, portable);
  const args = [
    ...compiler.args,
    ...(lang === "c" ? ["-std=c11"] : ["-std=c++17"]),
    ...["-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden"],
    ...(lang === "c++" && platform.os === "linux" && !compiler.name.startsWith("zig") ? ["-static-libstdc++", "-static-libgcc"] : []),
    // The plugin's own symbols win over those of the process that loads it, which exports OpenSSL and more.
    ...(platform.os === "linux" ? ["-Wl,-Bsymbolic"] : []),
    `-DPLUGIN_VERSION="${project.version}"`,
    ...["-I", headerFolder(project)],
    ...(process.env[lang === "c" ? "CFLAGS" : "CXXFLAGS"] ?? "").split(/\s+/).filter((flag) => flag !== ""),
    ...files,
    ...["-o", to],
    ...project.libraries.map((name) => `-l${name}`),
    ...flags,
  ];
  await runTool(compiler.command, args, { cwd: project.folder, env: deploymentTarget(platform) });
}

/** The oldest macOS that a library may want; without it, it would be the one that it was built on. */
export function deploymentTarget({ os }: Platform): Readonly<Record<string, string>> {
  return os === "darwin" ? { MACOSX_DEPLOYMENT_TARGET: macosBaseline } : {};
}

async function buildByCommand(command: string, { project, platform }: BuildOptions, to: string): Promise<void> {
  await runTool("sh", ["-c", command], {
    cwd: project.folder,
    env: {
      PATH: [join(project.folder, "node_modules", ".bin"), process.env["PATH"] ?? ""].join(":"),
      POOLER_OUTPUT: to,
      POOLER_INCLUDE: headerFolder(project),
      POOLER_PLATFORM: platform.name,
      POOLER_ZIG_TARGET: platform.zigTarget,
      POOLER_PLUGIN_VERSION: project.version,
    },
  });
}
