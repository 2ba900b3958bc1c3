// From the name of a plugin in the configuration to its shared library: a path, or an npm package with prebuilt binaries,
// found with Node's own resolution. Reads files, loads nothing.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { constants } from "@pooler/plugin-abi";
import { PoolerError } from "../base/errors.js";

export interface ResolvedPlugin {
  /** Absolute path of the shared library. */
  readonly library: string;
  readonly source: "package" | "path";
  readonly packageVersion: string | null;
  /** JSON Schema of [plugins.config]; null when the plugin ships none. */
  readonly schema: Readonly<Record<string, unknown>> | null;
}

export interface ResolveOptions {
  /** Files or folders to resolve packages from when the configuration's folder has them not, e.g. the CLI's own. */
  readonly alsoFrom?: readonly string[];
  /** "linux-x64", "linux-arm64-musl", …: this machine's by default. */
  readonly platform?: string;
}

/** `name` as the configuration has it, `configDir`: the folder of the configuration file. Throws PLUGIN_UNUSABLE. */
export function resolvePlugin(name: string, configDir: string, options: ResolveOptions = {}): ResolvedPlugin {
  if (isPath(name)) return resolvePath(name, configDir);
  checkPackageName(name);
  const places = [configDir, ...(options.alsoFrom ?? []), dirname(fileURLToPath(import.meta.url))];
  const manifestFile = findManifest(name, places);
  if (manifestFile === null) {
    throw refusal(
      name,
      `the package is not installed (looked from ${configDir} upwards)`,
      `Run "npm install ${name}" there, or give the path of a library ("./…").`,
    );
  }
  const manifest = readJson(name, manifestFile, "package.json");
  const folder = dirname(manifestFile);
  const pooler = manifest["pooler"];
  if (!isRecord(pooler)) {
    throw refusal(name, `the package in ${folder} is no pooler plugin: its package.json has no "pooler" field`, "Check the name.");
  }
  checkAbi(name, pooler["abi"]);
  return {
    library:
      pooler["module"] === undefined
        ? findPrebuild(name, folder, options.platform ?? currentPlatform())
        : findModule(name, folder, pooler["module"]),
    source: "package",
    packageVersion: typeof manifest["version"] === "string" ? manifest["version"] : null,
    schema: readSchema(name, folder, pooler["config"]),
  };
}

/** "<platform>-<arch>", with "-musl" on Linux where the C library is musl. */
export function currentPlatform(): string {
  return `${process.platform}-${process.arch}${process.platform === "linux" && isMusl() ? "-musl" : ""}`;
}

function isMusl(): boolean {
  // Node says it nowhere else. Without excludeNetwork the report asks name servers; the types do not know it yet.
  const report: NodeJS.ProcessReport & { excludeNetwork?: boolean } = process.report;
  const excluded = report.excludeNetwork ?? false;
  report.excludeNetwork = true;
  const made: unknown = report.getReport();
  report.excludeNetwork = excluded;
  const header = isRecord(made) ? made["header"] : undefined;
  return !isRecord(header) || header["glibcVersionRuntime"] === undefined;
}

function isPath(name: string): boolean {
  return name.startsWith("./") || name.startsWith("../") || isAbsolute(name);
}

function resolvePath(name: string, configDir: string): ResolvedPlugin {
  const library = resolve(configDir, name);
  const found = statSync(library, { throwIfNoEntry: false });
  if (found === undefined)
    throw refusal(name, `there is no file ${library}`, "Paths are taken from the folder of the configuration file. Was the plugin built?");
  if (!found.isFile()) throw refusal(name, `${library} is no file`, "Give the path of the shared library itself.");
  return { library, source: "path", packageVersion: null, schema: null };
}

function checkPackageName(name: string): void {
  if (/^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-zA-Z0-9~-][a-zA-Z0-9._~-]*$/.test(name)) return;
  throw refusal(name, "this is neither the name of a package nor a path", 'Paths begin with "./", "../" or "/".');
}

function findManifest(name: string, places: readonly string[]): string | null {
  for (const place of places) {
    const require = createRequire(statSync(place, { throwIfNoEntry: false })?.isFile() === true ? place : join(place, "pooler.toml"));
    try {
      return require.resolve(`${name}/package.json`);
    } catch {
      // Not installed here, or its "exports" hide the manifest: then the folder itself is looked for.
      const folder = (require.resolve.paths(name) ?? [])
        .map((lookup) => join(lookup, name, "package.json"))
        .find((file) => existsSync(file));
      if (folder !== undefined) return folder;
    }
  }
  return null;
}

function checkAbi(name: string, abi: unknown): void {
  const ours = constants.POOLER_ABI_MAJOR;
  if (abi === ours) return;
  if (typeof abi !== "number")
    throw refusal(
      name,
      `"pooler.abi" in its package.json is ${JSON.stringify(abi) ?? "missing"}, not a number`,
      "Report it to the author of the package.",
    );
  const hint =
    abi > ours ? "Update the pooler, or install a version of the plugin for this ABI." : "Install a newer version of the plugin.";
  throw refusal(name, `it is built for ABI ${abi}, this pooler speaks ABI ${ours}`, hint);
}

function findPrebuild(name: string, folder: string, platform: string): string {
  const prebuilds = join(folder, "prebuilds");
  const library = join(prebuilds, platform, libraryFile(platform));
  if (existsSync(library)) return library;
  const there = existsSync(prebuilds)
    ? readdirSync(prebuilds).filter((other) => existsSync(join(prebuilds, other, libraryFile(other))))
    : [];
  const known = there.length === 0 ? "none" : there.sort().join(", ");
  throw refusal(
    name,
    `it has no binary for ${platform}; it has ${known}`,
    there.length === 0
      ? "The package was installed without its prebuilds: install it again, or build it from source and give the path of the library."
      : "Install a version of the plugin that has one, or build it from source and give the path of the library.",
  );
}

/** A plugin that is JavaScript: "pooler.module". */
function findModule(name: string, folder: string, module: unknown): string {
  const file = typeof module === "string" ? resolve(folder, module) : null;
  if (file === null || !`${file}/`.startsWith(`${folder}/`) || !/\.(?:js|mjs|cjs)$/.test(file)) {
    throw refusal(
      name,
      `"pooler.module" in its package.json is ${JSON.stringify(module)}, not the path of a .js, .mjs or .cjs file within the package`,
      "Report it to the author of the package.",
    );
  }
  if (!existsSync(file)) throw refusal(name, `its module ${file} is missing`, "Install it again; in a package of your own, build it.");
  return file;
}

function libraryFile(platform: string): string {
  return platform.startsWith("darwin") ? "plugin.dylib" : "plugin.so";
}

function readSchema(name: string, folder: string, config: unknown): ResolvedPlugin["schema"] {
  if (config === undefined || config === null) return null;
  const file = typeof config === "string" ? resolve(folder, config) : null;
  if (file === null || !`${file}/`.startsWith(`${folder}/`)) {
    throw refusal(
      name,
      `"pooler.config" in its package.json is ${JSON.stringify(config)}, not a path within the package`,
      "Report it to the author of the package.",
    );
  }
  return readJson(name, file, "config schema");
}

function readJson(name: string, file: string, what: string): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw refusal(
      name,
      `cannot read its ${what} (${file}): ${cause instanceof Error ? cause.message : String(cause)}`,
      "Install the package again.",
      cause,
    );
  }
  if (!isRecord(parsed)) throw refusal(name, `its ${what} (${file}) is no JSON object`, "Report it to the author of the package.");
  return parsed;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refusal(name: string, problem: string, hint: string, cause?: unknown): PoolerError {
  return new PoolerError("PLUGIN_UNUSABLE", `plugin "${name}" cannot be used: ${problem}`, {
    hint,
    ...(cause === undefined ? {} : { cause }),
  });
}
