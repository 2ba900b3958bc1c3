// What pnpm bench runs once everything is built: it starts PostgreSQL and the poolers, measures them in turn, and reports.
import { closeSync, openSync, writeFileSync } from "node:fs";
import { ClusterError, query } from "@pooler/embedded-cluster";
import { BenchError } from "./bench-error.js";
import { createCollector } from "./collect.js";
import { writeDocs } from "./docs.js";
import { prepareGrounds } from "./grounds.js";
import { InterruptedError, type Interruption, watchInterruption } from "./interruption.js";
import { describeMachine } from "./machine.js";
import { type BenchOptions, parseCommandLine } from "./options.js";
import { findLineUp } from "./peers/line-up.js";
import { findPgbench } from "./pgbench.js";
import { planCases } from "./plan.js";
import { readResults } from "./read-result.js";
import type { BenchResult, Failure, MemoryRow } from "./result.js";
import { runMemory } from "./run-memory.js";
import { runRounds } from "./run-rounds.js";
import { allScenarios, memoryScenarioName } from "./scenarios/all-scenarios.js";
import type { Case } from "./scenarios/scenario.js";
import { createTransferTables } from "./scenarios/transfer-scenarios.js";
import { formatNumber, groupTitle, peerLabel, report } from "./table.js";

/** A load of more than this for each core comes from somebody who will be in the way. */
const busyShare = 0.5;

/** Resolves with the exit code: 0 measured, 1 something could not be measured, 2 wrong arguments, 130 interrupted. */
export async function runBench(args: readonly string[]): Promise<number> {
  const names = [...allScenarios.map(({ name }) => name), memoryScenarioName];
  const command = parseCommandLine(args, names, { out: (text) => process.stdout.write(`${text}\n`), err: say });
  if (command.kind === "done") return command.exitCode;
  const interruption = watchInterruption();
  try {
    if (command.kind === "docs") {
      for (const file of writeDocs(readResults(command.files))) say(`written: ${file}`);
      return 0;
    }
    return await measure(command.options, interruption);
  } catch (error) {
    if (!(error instanceof BenchError || error instanceof ClusterError)) throw error;
    say(`\n${error.message}`);
    return error instanceof InterruptedError ? 130 : 1;
  } finally {
    interruption.forget();
  }
}

async function measure(options: BenchOptions, interruption: Interruption): Promise<number> {
  if (process.platform !== "linux") {
    throw new BenchError("The benchmark reads processor time and memory of processes from /proc, so it runs on Linux only.");
  }
  if (options.jsonFile !== undefined) checkWritable(options.jsonFile);
  const startedAt = new Date();
  const machine = describeMachine();
  const beginMs = performance.now();
  const pgbench = findPgbench(options.pgbench);
  const lineUp = findLineUp(options);
  const cases = planCases(allScenarios, options);
  const withMemory = options.scenarios.length === 0 || options.scenarios.includes(memoryScenarioName);
  if (cases.length === 0 && !withMemory) {
    throw new BenchError("There is nothing to measure: none of these scenarios has one of these protocols.");
  }
  for (const note of lineUp.notes) say(note);
  if (machine.loadAverage > machine.cores * busyShare) {
    say(`This machine is busy (load ${machine.loadAverage} on ${machine.cores} cores): figures and their ratios will scatter.`);
  }
  const releases: (() => Promise<void>)[] = [];
  const collector = createCollector();
  let memory: readonly MemoryRow[] = [];
  const failures: Failure[] = [];
  let serverVersion = "unknown";
  let isComplete = false;
  try {
    const prepared = await prepareGrounds({
      pgbench,
      scale: options.scale,
      needsTls: cases.some(({ scenario, size }) => scenario.setup(size).tls),
      interruption,
      onStarted: (release) => releases.push(release),
      say,
    });
    const { grounds, cluster } = prepared;
    serverVersion = prepared.serverVersion;
    const serverUrl = cluster.shards[0]?.primary.url ?? "";
    await createTransferTables(serverUrl);
    const onFailure = (failure: Failure): void => {
      failures.push(failure);
      say(`  ${failure.what}, ${failure.peer}: ${failure.message}`);
    };
    say(`• measuring: ${lineUp.peers.map(peerLabelOf).join(", ")}`);
    if (withMemory) {
      memory = await runMemory({
        peers: lineUp.peers,
        rounds: options.rounds,
        idleClients: options.idleClients,
        grounds,
        interruption,
        onMeasured: ({ name }, round, sample) =>
          say(
            `  ${round + 1} memory: ${name.padEnd(18)} started in ${formatNumber(sample.startToFirstQueryMs)} ms, ${formatNumber(sample.baseRssKb / 1024, 1)} MB, ${formatNumber(sample.idleClients)} clients in ${formatNumber(sample.connectMs)} ms, ${formatNumber(sample.bytesPerIdleClient)} bytes each`,
          ),
        onFailure,
      });
    }
    isComplete = await runRounds({
      cases,
      peers: lineUp.peers,
      rounds: options.rounds,
      seconds: options.seconds,
      deadlineMs: options.maxMinutes === undefined ? Number.POSITIVE_INFINITY : options.maxMinutes * 60_000,
      grounds,
      tools: { pgbench, directory: grounds.runDirectory.path, signal: interruption.signal },
      collector,
      interruption,
      settle: (at) => settle(at, serverUrl),
      onMeasured: (subject, round, { tps, cpuUsPerQuery, p99Ms }) =>
        say(
          `  ${round + 1}/${options.rounds} ${groupTitle(subject)}: ${peerLabel(subject).padEnd(18)} ${formatNumber(tps).padStart(8)} tps ${formatNumber(cpuUsPerQuery, 1).padStart(6)} µs  p99 ${formatNumber(p99Ms, 2)} ms`,
        ),
      onFailure,
    });
  } catch (error) {
    // What was measured until then is worth reporting.
    if (!(error instanceof InterruptedError)) throw error;
    say("\ninterrupted; stopping …");
  } finally {
    for (const release of releases.reverse()) {
      await release().catch((error: unknown) => say(`while stopping: ${String(error)}`));
    }
  }
  const result: BenchResult = {
    startedAt: startedAt.toISOString(),
    durationSeconds: Math.round((performance.now() - beginMs) / 1000),
    isComplete,
    machine,
    versions: { ...lineUp.versions, postgresql: serverVersion, pgbench: pgbench.version },
    settings: { rounds: options.rounds, seconds: options.seconds, poolSize: options.poolSize, scale: options.scale },
    rows: collector.rows(),
    memory,
    failures,
  };
  process.stdout.write(`\n${report(result.rows, result.memory)}\n`);
  if (options.jsonFile !== undefined) writeFileSync(options.jsonFile, `${JSON.stringify(result, null, 2)}\n`);
  if (interruption.signal.aborted) return 130;
  return failures.length > 0 ? 1 : 0;
}

/** Better now than after hours. */
function checkWritable(file: string): void {
  try {
    closeSync(openSync(file, "a"));
  } catch (cause) {
    throw new BenchError(`--json ${file}: cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Dead rows of the peer before would slow the next one down. */
async function settle(at: Case, serverUrl: string): Promise<void> {
  if (at.scenario.name !== "tpcb") return;
  await query(serverUrl, "VACUUM pgbench_branches");
  await query(serverUrl, "VACUUM pgbench_tellers");
  await query(serverUrl, "TRUNCATE pgbench_history");
}

function peerLabelOf({ name, workers, kind }: { readonly name: string; readonly workers: number | null; readonly kind: string }): string {
  return peerLabel({ peer: name, workers: kind === "pooler" ? workers : 1 });
}

function say(message: string): void {
  process.stderr.write(`${message}\n`);
}
