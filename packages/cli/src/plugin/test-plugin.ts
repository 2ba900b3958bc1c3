// `pooler plugin test`: builds the plugin, runs the tests of its language (Rust: in the SDK's harness), then those in test/,
// which have the built plugin alone and in a real pooler before real servers.
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Terminal } from "../terminal.js";
import { buildPlugin, thisPlatform } from "./build/build-plugin.js";
import { type PluginProject, shown } from "./project.js";
import { refusal } from "./refusal.js";
import { pathWithDependencies, tryTool } from "./run-tool.js";

export interface TestOptions {
  readonly project: PluginProject;
  /** Only tests whose names hold this. */
  readonly filter: string | null;
  readonly terminal: Terminal;
}

/** Resolves with the exit code. */
export async function testPlugin({ project, filter, terminal }: TestOptions): Promise<number> {
  const files = testFiles(project.folder);
  if (files.length > 0 && !isInstalled(project.folder, "@pooler/plugin-testing")) {
    throw refusal(
      `@pooler/plugin-testing is not installed in ${shown(project.folder)}`,
      'Its tests need it: run "npm install" there first.',
    );
  }
  const results: string[] = [];
  let failed = false;
  const run = async (title: string, command: string, args: readonly string[], cwd: string): Promise<void> => {
    terminal.out(`• ${title}`);
    const { code } = await tryTool(command, args, { cwd, env: { PATH: pathWithDependencies(project.folder) } });
    failed ||= code !== 0;
    results.push(`${code === 0 ? "passed" : "FAILED"}  ${title}`);
  };

  if (project.source !== null) {
    terminal.out("• build");
    await buildPlugin({ project, platform: thisPlatform(), portable: false });
  }
  if (project.source?.lang === "rust") {
    await run("tests of the crate (cargo test)", "cargo", ["test", ...(filter === null ? [] : [filter])], dirname(project.source.manifest));
  }
  if (files.length > 0) {
    const only = filter === null ? [] : [`--test-name-pattern=${filter}`];
    const args = ["--test", "--test-reporter=spec", ...only, ...files];
    await run(
      `tests of the built plugin (${files.length === 1 ? "1 file" : `${files.length} files`} in test/)`,
      process.execPath,
      args,
      project.folder,
    );
  }
  if (results.length === 0) {
    throw refusal(
      `${shown(project.folder)} has no tests`,
      'They are files test/*.test.mjs, which "@pooler/plugin-testing" gives a pooler and servers: see the package.',
    );
  }
  terminal.out(`\n${results.join("\n")}`);
  return failed ? 1 : 0;
}

function testFiles(folder: string): readonly string[] {
  const tests = join(folder, "test");
  if (!existsSync(tests)) return [];
  return readdirSync(tests)
    .filter((name) => /\.test\.(?:mjs|js|cjs)$/.test(name))
    .sort()
    .map((name) => join("test", name));
}

/** As Node looks for it. */
function isInstalled(folder: string, name: string): boolean {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, "node_modules", name, "package.json"))) return true;
    if (at === dirname(at)) return false;
  }
}
