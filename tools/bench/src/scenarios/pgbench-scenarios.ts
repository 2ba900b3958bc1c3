// Loads that pgbench makes.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Peer, plainSetup, type RunningPeer, type Setup } from "../peers/peer.js";
import { type PgbenchRun, type Protocol, runPgbench } from "../pgbench.js";
import { type Progress, seconds, transactionsBetween } from "../pgbench-output.js";
import { cpuUs, processTree, residentKb } from "../process-usage.js";
import { connectIdleClients } from "../wire/idle-clients.js";
import type { Case, Effort, Sample, Scenario, Tools } from "./scenario.js";

const allProtocols: readonly Protocol[] = ["simple", "extended", "prepared"];
const usualClients = [1, 16, 100, 500];

/** The first second is not counted: caches fill, and code is compiled. */
const warmUpSeconds = 1;

/** Of a load with more than ten thousand transactions a second; enough for p99.9 and next to nothing for the load generator. */
const usualSamplingRate = 0.25;

interface Load {
  readonly script: PgbenchRun["script"] | { readonly name: string; readonly text: string };
  readonly reconnect?: boolean;
  readonly samplingRate?: number;
  readonly idleClients?: number;
}

interface Definition {
  readonly name: string;
  readonly title: string;
  readonly protocols?: readonly Protocol[];
  readonly clients?: readonly number[];
  readonly hasFreeClients?: boolean;
  readonly sizes?: readonly number[];
  readonly setup?: Setup;
  readonly takes?: (peer: Peer) => boolean;
  load(size: number | null): Load;
}

export function createPgbenchScenarios(): readonly Scenario[] {
  return definitions.map((definition) => ({
    name: definition.name,
    title: definition.title,
    protocols: definition.protocols ?? allProtocols,
    clients: definition.clients ?? usualClients,
    hasFreeClients: definition.hasFreeClients ?? true,
    sizes: definition.sizes ?? [],
    setup: () => definition.setup ?? plainSetup,
    takes: definition.takes ?? isAny,
    measure: (running, at, effort, tools) => measureLoad(definition.load(at.size), running, at, effort, tools),
  }));
}

const isAny = (): boolean => true;

/** Whether something other than the number of workers or the engine is to be compared. */
const isOneWorker = ({ workers, kind }: Peer): boolean => kind !== "pooler" || workers === 1;
const isPlain = (peer: Peer): boolean => isOneWorker(peer) && !/-(plugins|streams|sockets)$/.test(peer.name);
const isPooler = (peer: Peer): boolean => peer.kind !== "direct" && isPlain(peer);

const bareSelect = { name: "select-one.sql", text: "\\set aid random(1, 100000 * :scale)\nSELECT :aid;\n" };

const tlsSetup: Setup = { ...plainSetup, key: "tls", tls: true };
const scramSetup: Setup = { ...plainSetup, key: "scram", auth: "scram-sha-256" };
const messageBytes = [100, 1_000, 10_000, 100_000, 1_000_000];

const definitions: readonly Definition[] = [
  {
    name: "select-only",
    title: "pgbench -S: a row by its primary key",
    load: () => ({ script: { builtin: "select-only" } }),
  },
  {
    name: "select-one",
    title: "a bare SELECT :aid, every text different",
    load: () => ({ script: bareSelect }),
  },
  {
    name: "idle-5000",
    title: "pgbench -S beside 5,000 idle clients",
    clients: [100],
    hasFreeClients: false,
    takes: isPooler,
    load: () => ({ script: { builtin: "select-only" }, idleClients: 5_000 }),
  },
  {
    name: "tls",
    title: "pgbench -S, clients connected by TLS",
    setup: tlsSetup,
    takes: isOneWorker,
    load: () => ({ script: { builtin: "select-only" } }),
  },
  {
    name: "reconnect",
    title: "pgbench -S -C: a connection for each transaction, no password",
    protocols: ["simple"],
    clients: [1, 16, 100],
    takes: isOneWorker,
    load: () => ({ script: { builtin: "select-only" }, reconnect: true, samplingRate: 1 }),
  },
  {
    name: "reconnect-scram",
    title: "pgbench -S -C: a connection for each transaction, SCRAM",
    protocols: ["simple"],
    clients: [1, 16, 100],
    setup: scramSetup,
    takes: isOneWorker,
    load: () => ({ script: { builtin: "select-only" }, reconnect: true, samplingRate: 1 }),
  },
  {
    name: "tpcb",
    title: "pgbench's TPC-B: seven statements a transaction, reads and writes",
    // Not prepared: pgbench stops its only thread for each PREPARE. When all server connections are in transactions of its other
    // clients, which it does not go on with meanwhile, it waits for ever.
    protocols: ["simple", "extended"],
    clients: [16, 100],
    load: () => ({ script: { builtin: "tpcb-like" }, samplingRate: 1 }),
  },
  {
    name: "growth-clients",
    title: "cost of a bare SELECT against clients",
    protocols: ["simple"],
    clients: [1, 4, 16, 64, 256, 1_000, 2_000, 5_000],
    hasFreeClients: false,
    takes: isPooler,
    load: () => ({ script: bareSelect }),
  },
  {
    name: "growth-result",
    title: "cost of a query against the bytes of its result",
    protocols: ["simple"],
    clients: [16],
    hasFreeClients: false,
    sizes: messageBytes,
    takes: isPooler,
    load: (size) => ({ script: { name: `result-${size}.sql`, text: `SELECT repeat('x', ${size});\n` }, samplingRate: 1 }),
  },
  {
    name: "growth-query",
    title: "cost of a query against the bytes of its text",
    protocols: ["simple"],
    clients: [16],
    hasFreeClients: false,
    sizes: messageBytes.slice(0, -1),
    takes: isPooler,
    load: (size) => ({ script: { name: `query-${size}.sql`, text: `SELECT length('${"x".repeat(size ?? 0)}');\n` }, samplingRate: 1 }),
  },
];

async function measureLoad(load: Load, running: RunningPeer, at: Case, effort: Effort, tools: Tools): Promise<Sample> {
  const { target } = running;
  const idle =
    load.idleClients === undefined || effort.isWarmUp ? undefined : await connectIdleClients(target, load.idleClients, tools.signal);
  try {
    const processes = running.pid === undefined ? [] : processTree(running.pid);
    const marks: (Progress & { readonly cpuUs: number })[] = [];
    let rssKb = 0;
    const beforeUs = cpuUs(processes);
    const { summary, latencies } = await runPgbench(
      tools.pgbench,
      {
        target,
        clients: at.clients,
        protocol: at.protocol,
        script: await scriptOf(load, tools),
        seconds: effort.isWarmUp ? effort.seconds : effort.seconds + warmUpSeconds,
        warmUpSeconds: effort.isWarmUp ? 0 : warmUpSeconds,
        reconnect: load.reconnect ?? false,
        samplingRate: at.clients === 1 ? 1 : (load.samplingRate ?? usualSamplingRate),
        onProgress(progress) {
          marks.push({ ...progress, cpuUs: cpuUs(processes) });
          rssKb = Math.max(rssKb, residentKb(processes));
        },
      },
      tools.directory,
      tools.signal,
    );
    const counted = transactionsBetween(marks);
    const usedUs = (marks.at(-1)?.cpuUs ?? 0) - (marks[0]?.cpuUs ?? 0);
    // A run too short for two marks is taken as a whole, logins included.
    const isWhole = counted === 0;
    const cpuUsPerQuery = isWhole ? (cpuUs(processes) - beforeUs) / summary.transactions : usedUs / counted;
    return {
      tps: isWhole ? summary.tps : counted / seconds(marks),
      cpuUsPerQuery: running.pid === undefined ? null : cpuUsPerQuery,
      p50Ms: latencies?.p50Ms ?? null,
      p99Ms: latencies?.p99Ms ?? null,
      p999Ms: latencies?.p999Ms ?? null,
      rssKb: running.pid === undefined ? null : Math.max(rssKb, isWhole ? residentKb(processes) : 0),
    };
  } finally {
    idle?.close();
  }
}

async function scriptOf({ script }: Load, { directory }: Tools): Promise<PgbenchRun["script"]> {
  if (!("text" in script)) return script;
  const scripts = join(directory, "scripts");
  await mkdir(scripts, { recursive: true });
  const file = join(scripts, script.name);
  await writeFile(file, script.text);
  return { file };
}
