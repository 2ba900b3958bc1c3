// `pooler plugin check`: everything that can be known of a plugin without its author. Says what it did, what it found, and
// fails when the contract is broken.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PluginDescription } from "@pooler/core";
import { checkPlugin } from "../../check/check-plugin.js";
import type { Terminal } from "../../terminal.js";
import { judgeBinary } from "../binary/judge-binary.js";
import { buildPlugin, thisPlatform } from "../build/build-plugin.js";
import { type PluginProject, libraryOf as pathOfLibrary, shown } from "../project.js";
import { refusal } from "../refusal.js";
import { type Group, groups } from "./battery-types.js";
import { judgePackage } from "./check-package.js";
import { type CheckTarget, configOf, findTarget, statementsIn } from "./check-target.js";
import { type BatteryOptions, type BatteryResult, type Finding, runBattery } from "./run-battery.js";
import { buildSanitized } from "./sanitize.js";

export interface CheckCommandOptions {
  readonly target: string;
  readonly config: string | undefined;
  readonly statements: readonly string[];
  readonly statementFiles: readonly string[];
  /** Names of groups; none: all. */
  readonly only: readonly string[];
  readonly timeoutMs: number;
  readonly build: boolean;
  readonly sanitize: boolean;
  /** Show every problem, not the first ones of each line. */
  readonly verbose: boolean;
  readonly terminal: Terminal;
}

/** Of one group so many are shown. */
const mostShown = 5;

/** Resolves with the exit code. */
export async function checkCommand(options: CheckCommandOptions): Promise<number> {
  const { terminal, timeoutMs } = options;
  const target = findTarget(options.target);
  const config = configOf(target.project, options.config);
  const statements = [...options.statements, ...options.statementFiles.flatMap(statementsIn)];
  const only = options.only.length === 0 ? null : options.only.map(groupOf);
  const library = await libraryOf(target, options.build);
  const say = createReport(terminal, options.verbose);
  terminal.out(`${target.name} (${shown(library)})`);

  const loaded = await checkPlugin(
    {
      name: target.name,
      library,
      source: "path",
      packageVersion: null,
      config: JSON.parse(config) as Record<string, unknown>,
      onError: "fail",
    },
    // Node itself needs a while to start on a busy machine.
    { timeoutMs: timeoutMs + 15_000 },
  );
  if (!loaded.ok) {
    say("handshake", [[loaded.message, loaded.hint].filter((part) => part !== null).join(". ")], [], "");
    return say.end();
  }
  const { description } = loaded;
  if (target.project !== null) {
    const { problems, notes } = judgePackage(target.project, description);
    say("package", problems, notes, "");
  }
  const isScript = description.sdk === "javascript";
  if (!isScript) say("binary", binaryProblems(library), [], `${thisPlatform().name}`);

  const battery: BatteryOptions = { library, config, statements, only, timeoutMs };
  sayBattery(say, await runBattery(battery), description, only);
  if (isScript) return say.end();
  if (options.sanitize && target.project !== null) await checkSanitized(target.project, battery, say);
  else say("sanitizers", [], [target.project === null ? "skipped: there is no source, only a library" : "skipped"], "");
  return say.end();
}

function groupOf(name: string): Group {
  const group = groups.find((each) => each === name);
  if (group === undefined) throw refusal(`there are no calls of the kind "${name}"`, `The kinds are ${groups.join(", ")}.`);
  return group;
}

async function libraryOf({ project, library }: CheckTarget, build: boolean): Promise<string> {
  if (library !== null || project === null) return library ?? "";
  const platform = thisPlatform();
  if (build && project.source !== null) return buildPlugin({ project, platform, portable: false });
  const prebuild = pathOfLibrary(project, platform);
  if (!existsSync(prebuild)) throw refusal(`there is no ${shown(prebuild)}`, '"pooler plugin build" makes it.');
  return prebuild;
}

/** A library of this machine's own C library is fine for a check: whether it goes everywhere is for `pack`. */
function binaryProblems(library: string): readonly string[] {
  return judgeBinary(library, thisPlatform()).problems.filter((problem) => !problem.startsWith("it wants glibc"));
}

async function checkSanitized(project: PluginProject, battery: BatteryOptions, say: Report): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "pooler-check-"));
  try {
    const sanitizer = await buildSanitized(project, join(folder, "plugin.so"));
    if (!sanitizer.available) {
      say("sanitizers", [], [`skipped: ${sanitizer.why}`], "");
      return;
    }
    const { problems, calls } = await runBattery({
      ...battery,
      library: sanitizer.library,
      sanitizer: sanitizer.env,
      timeoutMs: 4 * battery.timeoutMs,
    });
    say(
      "sanitizers",
      problems.map(({ text }) => text),
      [],
      `address, undefined: ${total(calls)} calls`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function sayBattery(
  say: Report,
  { problems, notes, calls }: BatteryResult,
  description: PluginDescription,
  only: readonly Group[] | null,
): void {
  const of = (findings: readonly Finding[], group: Group): readonly string[] =>
    findings.filter((each) => each.group === group).map(({ text }) => text);
  for (const group of groups) {
    const count = calls.get(group) ?? 0;
    const found = of(problems, group);
    const isUncounted = group === "memory" && description.sdk !== "javascript" && only?.includes(group) !== false;
    if (count === 0 && found.length === 0 && !isUncounted) continue;
    say(group, found, of(notes, group), group === "handshake" ? describe(description) : group === "memory" ? "" : `${count} calls`);
  }
}

function describe({ pluginName, version, abi, sdk, hooks, capabilities }: PluginDescription): string {
  const asks = capabilities.length === 0 ? "" : `; asks for ${capabilities.join(", ")}`;
  return `${pluginName} ${version}, ABI ${abi}${sdk === "" ? "" : ` (${sdk})`}; hooks ${hooks.join(", ")}${asks}`;
}

function total(calls: ReadonlyMap<Group, number>): number {
  return [...calls.values()].reduce((sum, count) => sum + count, 0);
}

interface Report {
  (title: string, problems: readonly string[], notes: readonly string[], detail: string): void;
  /** Says the sum; the exit code. */
  end(): number;
}

function createReport(terminal: Terminal, verbose: boolean): Report {
  let count = 0;
  const several = (texts: readonly string[]): readonly string[] => {
    const different = [...new Set(texts)];
    const more = different.length - mostShown;
    return more > 0 && !verbose ? [...different.slice(0, mostShown), `and ${more} more: --verbose shows them`] : different;
  };
  const say = (title: string, problems: readonly string[], notes: readonly string[], detail: string): void => {
    count += new Set(problems).size;
    const skipped = notes.length === 1 && notes[0]?.startsWith("skipped") === true;
    const verdict = problems.length > 0 ? "FAILED" : skipped ? notes[0] : "ok";
    terminal.out(`  ${title.padEnd(16)}${[verdict, ...(detail === "" ? [] : [detail])].join("   ")}`);
    for (const problem of several(problems)) terminal.out(`    - ${problem}`);
    if (!skipped) for (const note of several(notes)) terminal.out(`    note: ${note}`);
  };
  return Object.assign(say, {
    end: () => {
      terminal.out(
        count === 0 ? "\nIt keeps the contract." : `\nIt breaks the contract: ${count === 1 ? "1 problem" : `${count} problems`}.`,
      );
      return count === 0 ? 0 : 1;
    },
  });
}
