// The libraries that these tests put into chains: plugins of the Rust workspace as cargo built them, and C sources compiled here.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { constants, includeDir } from "@pooler/plugin-abi";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const suffix = process.platform === "darwin" ? "dylib" : "so";

/** Where a package has the library of this machine: prebuilds/<platform>/<libraryFile>. The servers of these tests run on glibc only. */
export const platform = `${process.platform}-${process.arch}`;
export const libraryFile = `plugin.${suffix}`;

/** "fixture_verdicts", "hash_sharding": the crate's name as cargo writes it. */
export function cargoLibrary(crate: string): string {
  const library = join(repository, "rust-plugins", "target", "release", `lib${crate}.${suffix}`);
  if (!existsSync(library)) throw new Error(`${library} is missing: node scripts/build-plugins.mjs --fixtures builds it.`);
  return library;
}

export const verdicts = (): string => cargoLibrary("fixture_verdicts");
export const recorder = (): string => cargoLibrary("fixture_recorder");

let folder: string | undefined;
const compiled = new Map<string, string>();

/** Compile a C file with nothing but the header. `defines`: { CAPABILITIES: "1" }. */
export function compilePlugin(source: string, defines: Readonly<Record<string, string>> = {}): string {
  const flags = Object.entries(defines).map(([name, value]) => `-D${name}=${value}`);
  const key = [source, ...flags].join(" ");
  const known = compiled.get(key);
  if (known !== undefined) return known;
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), "pooler-c-plugins-"));
    process.once("exit", () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  const library = join(folder, `plugin-${compiled.size}.${suffix}`);
  const strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-fvisibility=hidden"];
  execFileSync("cc", [...strict, ...flags, "-I", includeDir, source, "-o", library], { stdio: ["ignore", "ignore", "inherit"] });
  compiled.set(key, library);
  return library;
}

/** The example of the contract: a whole plugin in C. */
export const byCustomer = (): string => compilePlugin(join(repository, "packages/plugin-abi/examples/c/by-customer.c"));

/** Does what comments tell the entry of its name, and writes down what it is asked: see its source. */
export const script = (capabilities = 0): string =>
  compilePlugin(fileURLToPath(new URL("fixtures/script.c", import.meta.url)), { CAPABILITIES: String(capabilities) });

/** Aborts or refuses to be created when its configuration says so (see its source). */
export const puppet = (): string => compilePlugin(join(repository, "packages/core/fixtures/plugins/puppet.c"));

const { POOLER_CAP_INSPECT, POOLER_CAP_EVERY_STATEMENT, POOLER_CAP_FACTS } = constants;
export const capability = { inspect: POOLER_CAP_INSPECT, everyStatement: POOLER_CAP_EVERY_STATEMENT, facts: POOLER_CAP_FACTS } as const;

/** Has every hook: see its source for what its configuration makes it do. */
export const hooks = (): string => cargoLibrary("fixture_hooks");
