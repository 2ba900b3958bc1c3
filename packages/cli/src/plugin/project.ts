// The npm package of a plugin as its author has it: what package.json says of it. Reads files, builds nothing.
import { existsSync, readFileSync } from "node:fs";
import { dirname, extname, join, relative, resolve } from "node:path";
import { includeDir } from "@pooler/plugin-abi";
import { findPlatform, type Platform, platformNames, platforms } from "./platforms.js";
import { refusal } from "./refusal.js";

export type Source =
  /** `manifest`: absolute path of Cargo.toml. */
  | { readonly lang: "rust"; readonly manifest: string }
  /** Absolute paths. */
  | { readonly lang: "c" | "c++"; readonly files: readonly string[] }
  /** A JavaScript module, absolute path; `compiled`: from TypeScript. */
  | { readonly lang: "js"; readonly module: string; readonly compiled: boolean }
  /** A command line of the author's, for any other language. */
  | { readonly lang: "command"; readonly command: string };

export interface PluginProject {
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  /** Null: the package has prebuilt libraries only. */
  readonly source: Source | null;
  /** "pooler.libraries": linked into C and C++ plugins, "m" for libm. */
  readonly libraries: readonly string[];
  /** The platforms that a package of it must have. */
  readonly platforms: readonly Platform[];
  /** JSON Schema of [plugins.config]. */
  readonly schema: Readonly<Record<string, unknown>> | null;
  readonly manifest: Readonly<Record<string, unknown>>;
}

type JsonObject = Readonly<Record<string, unknown>>;

/** Throws what is wrong with package.json. */
export function readProject(folder: string): PluginProject {
  const file = join(folder, "package.json");
  if (!existsSync(file)) {
    throw refusal(
      `there is no package.json in ${folder}`,
      'Run this in the folder of a plugin, or make one: "pooler plugin new NAME --lang rust".',
    );
  }
  const manifest = readObject(file);
  const { name, version, pooler } = manifest as { name?: unknown; version?: unknown; pooler?: unknown };
  if (!isObject(pooler)) {
    throw refusal(
      `${file} has no "pooler" field, so it is no package of a plugin`,
      'A plugin has at least "pooler": { "abi": 1, "source": … }.',
    );
  }
  if (typeof name !== "string" || typeof version !== "string") throw refusal(`${file} has no name or no version`);
  return {
    folder,
    name,
    version,
    source: readSource(folder, file, pooler),
    libraries: readLibraries(file, pooler["libraries"]),
    platforms: readPlatforms(file, pooler["platforms"]),
    schema: readSchema(folder, file, pooler["config"]),
    manifest,
  };
}

/** What the pooler loads on this platform, built or not. */
export function libraryOf(project: PluginProject, platform: Platform): string {
  return project.source?.lang === "js" ? project.source.module : prebuildOf(project, platform);
}

/** Where `pooler plugin build` puts the library, and the pooler looks for it. */
export function prebuildOf(project: Pick<PluginProject, "folder">, platform: Platform): string {
  return join(project.folder, "prebuilds", platform.name, platform.libraryFile);
}

/** As the author sees it. */
export function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short === "" ? "." : short.startsWith("..") ? path : short;
}

/** The folder of pooler_plugin.h: of the package that the project depends on, else the one of this command. */
export function headerFolder(project: PluginProject): string {
  for (let folder = project.folder; ; folder = dirname(folder)) {
    const include = join(folder, "node_modules", "@pooler", "plugin-abi", "include");
    if (existsSync(join(include, "pooler_plugin.h"))) return include;
    if (folder === dirname(folder)) return includeDir;
  }
}

function readSource(folder: string, file: string, pooler: JsonObject): Source | null {
  const { source, build, module } = pooler;
  if (module !== undefined) {
    if (typeof module !== "string" || !/\.(?:js|mjs|cjs)$/.test(module)) {
      throw refusal(`"pooler.module" in ${file} is ${JSON.stringify(module)}, not the path of a .js, .mjs or .cjs file`);
    }
    const compiled = existsSync(join(folder, "tsconfig.json"));
    return { lang: "js", module: resolve(folder, module), compiled };
  }
  if (build !== undefined) {
    if (typeof build !== "string" || build.trim() === "") throw refusal(`"pooler.build" in ${file} is no command line`);
    return { lang: "command", command: build };
  }
  if (source === undefined) {
    const cargo = join(folder, "Cargo.toml");
    if (existsSync(cargo)) return { lang: "rust", manifest: cargo };
    return null;
  }
  const paths = (Array.isArray(source) ? source : [source]).map((path: unknown) => {
    if (typeof path !== "string")
      throw refusal(`"pooler.source" in ${file} is ${JSON.stringify(source)}, neither a path nor a list of paths`);
    const absolute = resolve(folder, path);
    if (!existsSync(absolute)) throw refusal(`"pooler.source" in ${file} names ${path}, and there is no such file`);
    return absolute;
  });
  const [first] = paths;
  if (first === undefined) throw refusal(`"pooler.source" in ${file} is empty`);
  if (first.endsWith("Cargo.toml")) return { lang: "rust", manifest: first };
  const languages = new Set(paths.map((path) => languageOf(path)));
  if (languages.has(null)) {
    throw refusal(
      `"pooler.source" in ${file} names ${shown(paths.find((path) => languageOf(path) === null) ?? first)}, which is in no language that "build" knows`,
      'It knows Cargo.toml, .c, .cc, .cpp and .cxx. For other languages, "pooler.build" is a command line.',
    );
  }
  return { lang: languages.has("c++") ? "c++" : "c", files: paths };
}

function languageOf(path: string): "c" | "c++" | null {
  const extension = extname(path);
  if (extension === ".c") return "c";
  return [".cc", ".cpp", ".cxx"].includes(extension) ? "c++" : null;
}

function readLibraries(file: string, value: unknown): readonly string[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((name): name is string => typeof name === "string")) return value;
  throw refusal(`"pooler.libraries" in ${file} is no list of names`);
}

function readPlatforms(file: string, value: unknown): readonly Platform[] {
  if (value === undefined) return platforms;
  if (!Array.isArray(value) || value.length === 0) throw refusal(`"pooler.platforms" in ${file} is no list of platforms`, knownPlatforms);
  return value.map((name: unknown) => platformOf(name, `"pooler.platforms" in ${file} names`));
}

const knownPlatforms = `The platforms are ${platformNames.join(", ")}.`;

/** `what`: who names it, for the message. */
export function platformOf(name: unknown, what: string): Platform {
  const platform = typeof name === "string" ? findPlatform(name) : null;
  if (platform === null) throw refusal(`${what} ${JSON.stringify(name)}, which is no platform of the pooler`, knownPlatforms);
  return platform;
}

function readSchema(folder: string, file: string, config: unknown): JsonObject | null {
  if (config === undefined || config === null) return null;
  if (typeof config !== "string") throw refusal(`"pooler.config" in ${file} is no path`);
  const schema = resolve(folder, config);
  if (!existsSync(schema)) throw refusal(`"pooler.config" in ${file} names ${config}, and there is no such file`);
  return readObject(schema);
}

function readObject(file: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw refusal(`cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`, undefined, cause);
  }
  if (!isObject(value)) throw refusal(`${file} is no JSON object`);
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
