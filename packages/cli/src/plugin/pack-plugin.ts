// `pooler plugin pack`: collects what was built for all platforms into one npm package, and says what is missing or would not
// load everywhere.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import type { Terminal } from "../terminal.js";
import { judgeBinary } from "./binary/judge-binary.js";
import type { Platform } from "./platforms.js";
import { platforms } from "./platforms.js";
import { type PluginProject, prebuildOf, shown } from "./project.js";
import { refusal } from "./refusal.js";
import { runTool } from "./run-tool.js";

export interface PackOptions {
  readonly project: PluginProject;
  /** Folders with what other machines built. */
  readonly from: readonly string[];
  /** Look only: make no package. */
  readonly verify: boolean;
  readonly allowMissing: boolean;
  readonly terminal: Terminal;
}

/** Resolves with the exit code. */
export async function packPlugin(options: PackOptions): Promise<number> {
  const { project, from, verify, allowMissing, terminal } = options;
  if (project.source?.lang === "js") return packScript(project, project.source.module, verify, terminal);
  for (const folder of from) collect(project, resolve(folder), terminal);
  const missing: string[] = [];
  const present: string[] = [];
  let wrong = 0;
  terminal.out(`${project.name} ${project.version}`);
  for (const platform of project.platforms) {
    const library = prebuildOf(project, platform);
    if (!existsSync(library)) {
      missing.push(platform.name);
      terminal.out(`  ${platform.name.padEnd(18)}missing`);
      continue;
    }
    present.push(relative(project.folder, library));
    const { bytes, wants, problems } = judgeBinary(library, platform);
    wrong += problems.length;
    terminal.out(
      `  ${platform.name.padEnd(18)}${problems.length === 0 ? "ok" : "WRONG"}   ${Math.ceil(bytes / 1024)} KiB${wants === "" ? "" : `, ${wants}`}`,
    );
    for (const problem of problems) terminal.out(`    - ${problem}`);
  }
  const others = strangers(project);
  if (others.length > 0) terminal.err(`warning: prebuilds/ has also ${others.join(", ")}, which the package will hold`);
  if (missing.length > 0) {
    const text = `there is no library for ${missing.join(", ")}`;
    if (!allowMissing) {
      terminal.err(
        `error: ${text}\nhint: "pooler plugin build --platform ${missing.join(" ")}" builds them, or their machines do, see --from. A plugin for some platforms only names them in "pooler.platforms" of its package.json.`,
      );
    } else terminal.err(`warning: ${text}`);
  }
  if (wrong > 0) terminal.err(`error: ${wrong === 1 ? "a library" : `${wrong} libraries`} would not load where it is meant to`);
  if (wrong > 0 || (missing.length > 0 && !allowMissing)) return 1;
  if (!verify) terminal.out(`\npacked ${shown(await pack(project, present))}`);
  return 0;
}

/** One file for every platform. */
async function packScript(project: PluginProject, module: string, verify: boolean, terminal: Terminal): Promise<number> {
  terminal.out(`${project.name} ${project.version}`);
  if (!existsSync(module)) {
    terminal.out("  every platform    missing");
    terminal.err(`error: there is no ${shown(module)}\nhint: "pooler plugin build" makes it.`);
    return 1;
  }
  terminal.out(`  every platform    ok   ${Math.ceil(statSync(module).size / 1024)} KiB, ${shown(module)}`);
  if (!verify) terminal.out(`\npacked ${shown(await pack(project, [relative(project.folder, module)]))}`);
  return 0;
}

/** Copies each library of `folder` that lies under the name of its platform: "linux-x64/plugin.so", "prebuild-linux-x64/plugin.so". */
function collect(project: PluginProject, folder: string, terminal: Terminal): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw refusal(`there is no folder ${folder}`, "--from names a folder with libraries.");
  for (const entry of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const platform = platformOfPath(entry);
    if (platform === null) continue;
    const to = prebuildOf(project, platform);
    const source = join(folder, entry);
    if (resolve(source) === resolve(to)) continue;
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(source, to);
    chmodSync(to, 0o755);
    terminal.out(`took ${shown(source)}`);
  }
}

function platformOfPath(path: string): Platform | null {
  const folders = path.split(sep).slice(0, -1).reverse();
  const named = (folder: string): Platform | null =>
    platforms.find(({ name, libraryFile }) => (folder === name || folder.endsWith(`-${name}`)) && basename(path) === libraryFile) ?? null;
  for (const folder of folders) {
    const platform = named(folder);
    if (platform !== null) return platform;
  }
  return null;
}

/** What no platform that the package is for asks for. */
function strangers(project: PluginProject): readonly string[] {
  const prebuilds = join(project.folder, "prebuilds");
  const wanted = new Set(project.platforms.map(({ name }) => name));
  return existsSync(prebuilds) ? readdirSync(prebuilds).filter((name) => !wanted.has(name)) : [];
}

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

/** `wanted`: what the package must hold, as paths in it. */
async function pack(project: PluginProject, wanted: readonly string[]): Promise<string> {
  const output = await runTool("npm", ["pack", "--json", "--loglevel=error"], { cwd: project.folder, capture: true });
  const [packed] = JSON.parse(output.slice(output.indexOf("["))) as readonly Packed[];
  if (packed === undefined) throw refusal("npm pack made no package");
  const held = new Set(packed.files.map(({ path }) => path));
  const left = wanted.filter((path) => !held.has(path));
  if (left.length > 0) {
    throw refusal(
      `npm has left ${left.join(", ")} out of ${packed.filename}`,
      '"files" in package.json must name its folder, which .gitignore would keep out otherwise.',
    );
  }
  return join(project.folder, packed.filename);
}
