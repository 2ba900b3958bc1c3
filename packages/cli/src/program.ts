// The commands of `pooler` and their options. Thin: what they do is in @pooler/core.
import { createRequire } from "node:module";
import { configJsonSchema, createLogger, loadConfig, type PoolerConfig, resolvePlugin, runSupervisor } from "@pooler/core";
import { Command, CommanderError } from "commander";
import { addPluginCommands } from "./plugin/plugin-commands.js";
import { reportError, type Terminal } from "./terminal.js";

const defaultFile = "pooler.toml";

/** Resolves with the exit code. Never rejects. */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode = 0;
  const program = createProgram(terminal, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    // Help that was asked for, or wrong arguments: commander has said it already.
    if (error instanceof CommanderError) return error.exitCode;
    reportError(terminal, error);
    return 1;
  }
}

function createProgram(terminal: Terminal, setExitCode: (code: number) => void): Command {
  const program = new Command("pooler")
    .description("A PostgreSQL connection pooler whose behaviour is extended by native plugins.")
    .exitOverride()
    .configureOutput({ writeOut: (text) => terminal.out(text.trimEnd()), writeErr: (text) => terminal.err(text.trimEnd()) })
    .showSuggestionAfterError()
    .showHelpAfterError("(pooler --help tells the commands)")
    .version(version(), "-v, --version", "print the version");

  const withConfig = (name: string, description: string): Command =>
    program.command(name).description(description).option("-c, --config <file>", "configuration file", defaultFile);

  withConfig("start", "start the pooler; SIGTERM stops it when transactions are over, SIGHUP reads the configuration again").action(
    async ({ config: file }: { config: string }) => setExitCode(await start(file)),
  );

  withConfig("check", "check the configuration and load its plugins, without starting anything")
    .option("--connect", "also try to reach every server", false)
    .action(async ({ config: file, connect }: { config: string; connect: boolean }) => {
      const { check } = await import("./check/check.js");
      setExitCode(await check({ file, connect, terminal, load: (onWarning) => load(file, onWarning) }));
    });

  program
    .command("config-schema")
    .description("print the JSON Schema of the configuration file, for editors")
    .action(() => terminal.out(JSON.stringify(configJsonSchema(), null, 2)));

  addPluginCommands(program, { terminal, version: version(), defaultFile, load, setExitCode });

  program
    .command("version")
    .description("print the version")
    .action(() => terminal.out(`pooler ${version()} (Node.js ${process.version}, ${process.platform}-${process.arch})`));

  return program;
}

async function start(file: string): Promise<number> {
  const warnings: string[] = [];
  const config = load(file, (warning) => warnings.push(warning));
  const logger = createLogger(config.log);
  for (const warning of warnings) logger.warn({}, warning);
  const { exitCode } = await runSupervisor({ config, reload: () => load(file, (warning) => logger.warn({}, warning)) });
  return exitCode;
}

/** Plugins beside the configuration come first; then those that were installed beside this command, as npx does. */
function load(file: string, onWarning: (warning: string) => void): PoolerConfig {
  const alsoFrom = [import.meta.dirname];
  return loadConfig(file, { onWarning, resolvePlugin: (name, configDir) => resolvePlugin(name, configDir, { alsoFrom }) });
}

function version(): string {
  const manifest: unknown = createRequire(import.meta.url)("@pooler/cli/package.json");
  return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "unknown";
}
