// The commands of `pooler plugin` and their options. Thin: what they do is in the files beside.
import { relative, resolve } from "node:path";
import type { PoolerConfig } from "@pooler/core";
import type { Command } from "commander";
import type { Terminal } from "../terminal.js";
import { judgeBinary } from "./binary/judge-binary.js";
import { buildPlugin, platformHelp, platformsOf, thisPlatform } from "./build/build-plugin.js";
import { groups } from "./check/battery-types.js";
import { checkCommand } from "./check/check-command.js";
import { listPlugins } from "./list-plugins.js";
import { languages, newPlugin } from "./new-plugin.js";
import { packPlugin } from "./pack-plugin.js";
import { readProject, shown } from "./project.js";
import { refusal } from "./refusal.js";
import { testPlugin } from "./test-plugin.js";

export interface PluginCommandsOptions {
  readonly terminal: Terminal;
  readonly version: string;
  readonly defaultFile: string;
  readonly load: (file: string, onWarning: (warning: string) => void) => PoolerConfig;
  readonly setExitCode: (code: number) => void;
}

interface CheckFlags {
  readonly only: readonly string[];
  readonly config?: string;
  readonly statement?: string[];
  readonly statements?: string[];
  readonly timeout: string;
  readonly build: boolean;
  readonly sanitize: boolean;
  readonly verbose: boolean;
}

export function addPluginCommands(program: Command, options: PluginCommandsOptions): void {
  const { terminal, setExitCode } = options;
  const plugin = program.command("plugin").description("make, build, test, check and pack plugins; list those of a configuration");

  plugin
    .command("new <name>")
    .description("lay out a package that builds, tests and publishes as it is")
    .requiredOption("-l, --lang <language>", languages.join(", "))
    .option("--folder <path>", "where (default: a new folder of the package's name)")
    .action((name: string, { lang, folder }: { lang: string; folder?: string }) => {
      const made = newPlugin({ name, lang, folder: folder ?? null, version: options.version });
      const place = relative(process.cwd(), made);
      terminal.out(`${name} is in ${shown(made)}. Next:\n\n${place === "" ? "" : `  cd ${shown(made)}\n`}  npm install\n  npm test`);
    });

  plugin
    .command("build [folder]")
    .description("build the plugin of a folder into its prebuilds/")
    .option("-p, --platform <names...>", `for these platforms: ${platformHelp} (default: this machine's, with its own compiler)`)
    .action(async (folder: string | undefined, { platform: names }: { platform?: string[] }) => {
      const project = readProject(resolve(folder ?? "."));
      const platforms = names === undefined ? [thisPlatform()] : platformsOf(project, names);
      for (const platform of platforms) {
        const library = await buildPlugin({ project, platform, portable: names !== undefined });
        if (project.source?.lang === "js") {
          terminal.out(`built ${shown(library)}, which runs on every platform`);
          return;
        }
        const { bytes, wants, problems } = judgeBinary(library, platform);
        terminal.out(`built ${shown(library)} (${Math.ceil(bytes / 1024)} KiB${wants === "" ? "" : `, ${wants}`})`);
        // For this machine alone, its own C library will do.
        if (names !== undefined) for (const problem of problems) terminal.err(`warning: ${shown(library)}: ${problem}`);
      }
    });

  plugin
    .command("check [target]")
    .description("put a plugin (a folder, or a library) through everything that the contract asks of it, in a process of its own")
    .option("--config <json>", "what [plugins.config] holds, as JSON, or @ and a file (default: the first example of its schema)")
    .option("-s, --statement <sql...>", "ask about these statements, too")
    .option("--statements <file...>", "... and those of a file, separated by empty lines")
    .option("--only <kinds...>", `only calls of these kinds: ${groups.join(", ")}`, [])
    .option("--timeout <seconds>", "for one call of the plugin", "10")
    .option("--no-build", "check what is in prebuilds/ instead of building it anew")
    .option("--no-sanitize", "without the build with the compiler's sanitizers")
    .option("--verbose", "show every problem, not the first ones of each kind", false)
    .action(async (target: string | undefined, given: CheckFlags) => {
      const timeoutMs = Number(given.timeout) * 1000;
      if (!(timeoutMs > 0)) throw refusal(`--timeout ${given.timeout} is no number of seconds`);
      const { config, statement: statements = [], statements: statementFiles = [], only, build, sanitize, verbose } = given;
      setExitCode(
        await checkCommand({
          target: target ?? ".",
          config,
          statements,
          statementFiles,
          only,
          timeoutMs,
          build,
          sanitize,
          verbose,
          terminal,
        }),
      );
    });

  plugin
    .command("test [folder]")
    .description("build the plugin and run its tests: in the SDK's harness, and in a real pooler before a real PostgreSQL")
    .option("-t, --filter <text>", "only tests whose names hold this")
    .action(async (folder: string | undefined, { filter }: { filter?: string }) => {
      setExitCode(await testPlugin({ project: readProject(resolve(folder ?? ".")), filter: filter ?? null, terminal }));
    });

  plugin
    .command("pack [folder]")
    .description("make one npm package with the libraries of all platforms, and say which are missing")
    .option("--from <folders...>", "take libraries that other machines have built: …/linux-arm64/plugin.so", [])
    .option("--verify", "only say what is there and what is missing", false)
    .option("--allow-missing", "make the package without what is missing", false)
    .action(async (folder: string | undefined, given: { from: string[]; verify: boolean; allowMissing: boolean }) => {
      setExitCode(await packPlugin({ project: readProject(resolve(folder ?? ".")), ...given, terminal }));
    });

  plugin
    .command("list")
    .description("show the chain of a configuration: version, ABI, platform, hooks and path of each plugin")
    .option("-c, --config <file>", "configuration file", options.defaultFile)
    .option("--json", "as JSON", false)
    .action(async ({ config: file, json }: { config: string; json: boolean }) => {
      const config = options.load(file, (warning) => terminal.err(`warning: ${warning}`));
      setExitCode(await listPlugins({ config, json, terminal }));
    });
}
