// Growth in what pgbench cannot make many of: databases, and prepared statements that all differ.
import { plainSetup, type RunningPeer } from "../peers/peer.js";
import { cpuUs, processTree, residentKb } from "../process-usage.js";
import { createConnectionSet } from "../wire/connection-set.js";
import { bindAndExecuteMessages, parseMessage, queryMessage, syncMessage } from "../wire/frontend-messages.js";
import type { RawConnection } from "../wire/raw-connection.js";
import { runRawLoad } from "../wire/raw-load.js";
import type { Case, Effort, Sample, Scenario, Tools } from "./scenario.js";

const inFlight = 16;
const warmUpSeconds = 1;

/** Clients are as many for one database as for a thousand. */
const databaseClients = 1000;
const statementClients = 10;
const parsesPerBatch = 100;

export function createRawScenarios(): readonly Scenario[] {
  return [
    {
      name: "growth-databases",
      title: "cost of a query against databases; 1,000 clients spread over them",
      protocols: ["simple"],
      clients: [databaseClients],
      hasFreeClients: false,
      sizes: [1, 10, 100, 1000],
      setup: (size) => ({ ...plainSetup, key: `databases-${size}`, databases: size ?? 1, isExclusive: true }),
      takes: isOneWorkerPooler,
      measure: measureDatabases,
    },
    {
      name: "growth-statements",
      title: "cost of a query against prepared statements that all differ, over 10 clients",
      protocols: ["prepared"],
      clients: [statementClients],
      hasFreeClients: false,
      sizes: [10, 100, 1000, 10_000, 100_000],
      setup: (size) => ({ ...plainSetup, key: `statements-${size}`, isExclusive: true }),
      takes: isOneWorkerPooler,
      measure: measureStatements,
    },
  ];
}

function isOneWorkerPooler({
  kind,
  name,
  workers,
}: {
  readonly kind: string;
  readonly name: string;
  readonly workers: number | null;
}): boolean {
  return kind !== "direct" && workers === 1 && !/-(plugins|streams|sockets)$/.test(name);
}

async function measureDatabases(running: RunningPeer, { size }: Case, effort: Effort, { signal }: Tools): Promise<Sample> {
  const { port, user, database } = running.target;
  const databases = size ?? 1;
  const set = createConnectionSet(signal);
  try {
    const nameOf = (number: number): string => (number === 0 ? database : `${database}_${number}`);
    await set.openMany(databaseClients, (index) => ({ port, user, database: nameOf(index % databases) }), inFlight);
    const request = queryMessage("SELECT 1");
    return await measureRaw(running, set.connections, () => request, effort);
  } finally {
    set.close();
  }
}

async function measureStatements(running: RunningPeer, { size }: Case, effort: Effort, { signal }: Tools): Promise<Sample> {
  const each = Math.max(1, (size ?? statementClients) / statementClients);
  const set = createConnectionSet(signal);
  try {
    const connections = await set.openMany(statementClients, () => running.target, inFlight);
    await Promise.all(connections.map((connection, client) => prepare(connection, client, each)));
    const requests = Array.from({ length: each }, (_, index) => Buffer.concat([bindAndExecuteMessages(`s${index}`), syncMessage]));
    // Steps through all of them in an order that no cache can guess; 7919 is prime and divides none of the sizes.
    const turns = connections.map((_, client) => client);
    const next = (client: number): Buffer => {
      const turn = ((turns[client] ?? 0) + 7919) % each;
      turns[client] = turn;
      return requests[turn] ?? syncMessage;
    };
    return await measureRaw(running, connections, next, effort);
  } finally {
    set.close();
  }
}

async function prepare(connection: RawConnection, client: number, count: number): Promise<void> {
  for (let first = 0; first < count; first += parsesPerBatch) {
    const indexes = Array.from({ length: Math.min(parsesPerBatch, count - first) }, (_, offset) => first + offset);
    const parses = indexes.map((index) => parseMessage(`s${index}`, `SELECT ${client * count + index}`));
    await connection.request(Buffer.concat([...parses, syncMessage]));
  }
}

async function measureRaw(
  running: RunningPeer,
  connections: readonly RawConnection[],
  request: (connection: number) => Buffer,
  effort: Effort,
): Promise<Sample> {
  const processes = running.pid === undefined ? [] : processTree(running.pid);
  const marksUs: number[] = [];
  const outcome = await runRawLoad({
    connections,
    inFlight,
    request,
    warmUpSeconds: effort.isWarmUp ? 0 : warmUpSeconds,
    seconds: effort.seconds,
    onMark: () => marksUs.push(cpuUs(processes)),
  });
  const [beginUs = 0, endUs = 0] = marksUs;
  const { p50Ms, p99Ms, p999Ms } = outcome.latencies;
  return { tps: outcome.tps, cpuUsPerQuery: (endUs - beginUs) / outcome.requests, p50Ms, p99Ms, p999Ms, rssKb: residentKb(processes) };
}
