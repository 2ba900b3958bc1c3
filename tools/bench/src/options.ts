// The command line of pnpm bench.
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { Protocol } from "./pgbench.js";

export interface BenchOptions {
  /** Empty: all of them. */
  readonly scenarios: readonly string[];
  /** Empty: all that are there. */
  readonly peers: readonly string[];
  /** Empty: those of the scenario. */
  readonly clients: readonly number[];
  /** Empty: those of the scenario. */
  readonly protocols: readonly Protocol[];
  readonly workers: readonly number[];
  readonly io: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  readonly poolSize: number;
  readonly multiplexPoolSize: number;
  readonly scale: number;
  readonly idleClients: number;
  /** No round is begun that would end later. */
  readonly maxMinutes: number | undefined;
  readonly jsonFile: string | undefined;
  readonly pgbench: string | undefined;
  readonly pgbouncer: string | undefined;
  readonly otherPeers: readonly NamedPath[];
  readonly peerConfigs: readonly NamedPath[];
}

export interface NamedPath {
  readonly name: string;
  readonly path: string;
}

export type BenchCommand =
  | { readonly kind: "measure"; readonly options: BenchOptions }
  /** Results to turn into docs/benchmarks.md and its charts. */
  | { readonly kind: "docs"; readonly files: readonly string[] }
  /** Help was asked for, or something was wrong; it has been said already. */
  | { readonly kind: "done"; readonly exitCode: number };

const allProtocols: readonly Protocol[] = ["simple", "extended", "prepared"];
const engines = ["auto", "streams", "sockets"];
const peerNames = ["direct", "pgbouncer", "pooler", "pooler-multiplex", "pooler-multiplex-prepare", "pooler-plugins"];

export interface Output {
  out(text: string): void;
  err(text: string): void;
}

export function parseCommandLine(args: readonly string[], scenarioNames: readonly string[], output: Output): BenchCommand {
  const program = createProgram(scenarioNames, output);
  try {
    // pnpm passes on the "--" that npm wants.
    program.parse(args[0] === "--" ? args.slice(1) : args, { from: "user" });
    const values = program.opts<RawOptions>();
    if (values.docs !== undefined) return { kind: "docs", files: values.docs };
    return { kind: "measure", options: toOptions(values, program) };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { kind: "done", exitCode: error.exitCode === 0 ? 0 : 2 };
  }
}

interface RawOptions {
  readonly quick?: true;
  readonly json?: string;
  readonly docs?: readonly string[];
  readonly scenario?: readonly string[];
  readonly peers?: readonly string[];
  readonly clients?: readonly number[];
  readonly protocols?: readonly Protocol[];
  readonly workers?: readonly number[];
  readonly io?: readonly string[];
  readonly rounds?: number;
  readonly seconds?: number;
  readonly poolSize: number;
  readonly multiplexPoolSize: number;
  readonly scale: number;
  readonly idleClients: number;
  readonly maxMinutes?: number;
  readonly pgbench?: string;
  readonly pgbouncer?: string;
  readonly peer: readonly NamedPath[];
  readonly peerConfig: readonly NamedPath[];
}

function createProgram(scenarioNames: readonly string[], output: Output): Command {
  const collect = (text: string, previous: readonly NamedPath[]): readonly NamedPath[] => [...previous, namedPath(text)];
  return new Command("pnpm bench")
    .description(
      "Measures this pooler, PgBouncer and other peers in front of the same PostgreSQL, in turn, and compares them round by round.",
    )
    .exitOverride()
    .configureOutput({ writeOut: (text) => output.out(text.trimEnd()), writeErr: (text) => output.err(text.trimEnd()) })
    .showSuggestionAfterError()
    .showHelpAfterError("(pnpm bench --help tells the options)")
    .allowExcessArguments(false)
    .option("--quick", "select-only with 16, 100 and 500 clients, three rounds of three seconds: below 15 minutes")
    .option("--json <file>", "write the results there")
    .option("--docs <files...>", "measure nothing: fill docs/benchmarks.md and its charts from these results")
    .option("--scenario <names>", `some of: ${scenarioNames.join(", ")}`, listOf("scenario", scenarioNames))
    .option("--peers <names>", `some of: ${peerNames.join(", ")}, and those of --io and --peer`, texts)
    .option("--clients <numbers>", "such as 16,100", listOfNumbers(1, 50_000))
    .option("--protocols <names>", `some of: ${allProtocols.join(", ")}`, listOf("protocol", allProtocols))
    .option("--workers <numbers>", "worker processes of this pooler, such as 1,2", listOfNumbers(1, 256))
    .option(
      "--io <engines>",
      `some of: ${engines.join(", ")}; auto is the peer pooler, the others are pooler-streams and pooler-sockets`,
      listOf("engine", engines),
    )
    .option("--rounds <number>", "7, or 3 with --quick", wholeNumber(1, 1000))
    .option("--seconds <number>", "counted in each measurement: 5, or 3 with --quick", wholeNumber(1, 3600))
    .addOption(new Option("--pool-size <number>", "server connections of each pooler").default(10).argParser(wholeNumber(1, 1000)))
    .addOption(
      new Option("--multiplex-pool-size <number>", "those of pooler-multiplex and pooler-multiplex-prepare")
        .default(4)
        .argParser(wholeNumber(1, 1000)),
    )
    .addOption(new Option("--scale <number>", "of pgbench's tables").default(10).argParser(wholeNumber(1, 10_000)))
    .addOption(new Option("--idle-clients <number>", "in the scenario memory").default(10_000).argParser(wholeNumber(1, 100_000)))
    .option("--max-minutes <number>", "begin no round that would end later (14 with --quick)", wholeNumber(1, 10_000))
    .option("--pgbench <path>", "the load generator, unless it is on PATH")
    .option("--pgbouncer <path>", "PgBouncer, unless it is on PATH")
    .addOption(new Option("--peer <name=path>", "another pooler's program; may be repeated").default([], "none").argParser(collect))
    .addOption(
      new Option("--peer-config <name=directory>", "its peer.json and templates, unless they are in tools/bench/peers")
        .default([], "none")
        .argParser(collect),
    );
}

function toOptions(values: RawOptions, program: Command): BenchOptions {
  const isQuick = values.quick === true;
  const named = new Set(values.peer.map(({ name }) => name));
  const known = [...peerNames, "pooler-streams", "pooler-sockets", ...named];
  for (const name of values.peers ?? []) {
    if (!known.includes(name)) program.error(`error: --peers ${name}: the peers are ${known.join(", ")}.`, { exitCode: 2 });
  }
  for (const { name } of values.peerConfig) {
    if (!named.has(name)) program.error(`error: --peer-config ${name}=…: there is no --peer ${name}=PATH.`, { exitCode: 2 });
  }
  for (const name of named) {
    if ([...peerNames, "pooler-streams", "pooler-sockets"].includes(name)) {
      program.error(`error: --peer ${name}=…: this name is taken.`, { exitCode: 2 });
    }
  }
  return {
    scenarios: values.scenario ?? (isQuick ? ["select-only"] : []),
    peers: values.peers ?? (isQuick ? ["direct", "pgbouncer", "pooler", "pooler-multiplex", ...named] : []),
    clients: values.clients ?? (isQuick ? [16, 100, 500] : []),
    protocols: values.protocols ?? [],
    workers: values.workers ?? (isQuick ? [1] : [1, 2]),
    io: values.io ?? (isQuick ? ["auto"] : ["auto", "streams"]),
    rounds: values.rounds ?? (isQuick ? 3 : 7),
    seconds: values.seconds ?? (isQuick ? 3 : 5),
    poolSize: values.poolSize,
    multiplexPoolSize: values.multiplexPoolSize,
    scale: values.scale,
    idleClients: values.idleClients,
    maxMinutes: values.maxMinutes ?? (isQuick ? 14 : undefined),
    jsonFile: values.json,
    pgbench: values.pgbench,
    pgbouncer: values.pgbouncer,
    otherPeers: values.peer,
    peerConfigs: values.peerConfig,
  };
}

function texts(text: string): readonly string[] {
  return text.split(",").map((item) => item.trim());
}

function listOf<T extends string>(what: string, allowed: readonly T[]): (text: string) => readonly T[] {
  return (text) =>
    texts(text).map((item) => {
      const found = allowed.find((name) => name === item);
      if (found === undefined) throw new InvalidArgumentError(`There is no ${what} "${item}"; there are ${allowed.join(", ")}.`);
      return found;
    });
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number < least || number > most) {
      throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`);
    }
    return number;
  };
}

function listOfNumbers(least: number, most: number): (text: string) => readonly number[] {
  return (text) => texts(text).map(wholeNumber(least, most));
}

function namedPath(text: string): NamedPath {
  const [, name, path] = /^([a-z][a-z0-9_-]*)=(.+)$/.exec(text) ?? [];
  if (name === undefined || path === undefined) throw new InvalidArgumentError("Expected name=path, such as pgcat=/usr/local/bin/pgcat.");
  return { name, path };
}
