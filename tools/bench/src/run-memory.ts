// Memory and starting up: each pooler is started by itself, serves one query, then thousands of clients connect and stay idle.
import { setTimeout as delay } from "node:timers/promises";
import type { Interruption } from "./interruption.js";
import { type Grounds, type Peer, plainSetup, type RunningPeer } from "./peers/peer.js";
import { processTree, residentKb, residentKbOf } from "./process-usage.js";
import type { Failure, MemoryRow } from "./result.js";
import { rotated } from "./run-rounds.js";
import { median } from "./statistics.js";
import { queryMessage } from "./wire/frontend-messages.js";
import { connectIdleClients, type IdleClients } from "./wire/idle-clients.js";

export interface MemoryOptions {
  readonly peers: readonly Peer[];
  readonly rounds: number;
  readonly idleClients: number;
  readonly grounds: Grounds;
  readonly interruption: Interruption;
  onMeasured(peer: Peer, round: number, sample: MemorySample): void;
  onFailure(failure: Failure): void;
}

export type MemorySample = Omit<MemoryRow, "peer" | "workers" | "io" | "rounds">;

/** Collectors and allocators have given back by then what they give back soon. */
const settleMs = 1000;
const mostRounds = 5;

export async function runMemory(options: MemoryOptions): Promise<readonly MemoryRow[]> {
  const { interruption, grounds } = options;
  const peers = options.peers.filter(
    (peer) => peer.kind !== "direct" && peer.objection({ setup: plainSetup, protocol: "simple", clients: 1 }) === undefined,
  );
  const samples = new Map(peers.map((peer): [Peer, MemorySample[]] => [peer, []]));
  for (let round = 0; round < Math.min(mostRounds, options.rounds); round++) {
    for (const peer of rotated(peers, round)) {
      interruption.check();
      try {
        const running = await peer.start(plainSetup, grounds);
        try {
          const sample = await measureMemory(running, options.idleClients, interruption.signal);
          samples.get(peer)?.push(sample);
          options.onMeasured(peer, round, sample);
        } finally {
          await running.stop();
        }
      } catch (error) {
        interruption.check();
        if (!(error instanceof Error)) throw error;
        options.onFailure({ what: "memory", peer: peer.name, message: error.message });
      }
    }
  }
  return [...samples].filter(([, measured]) => measured.length > 0).map(([peer, measured]) => rowOf(peer, measured));
}

async function measureMemory(running: RunningPeer, count: number, signal: AbortSignal): Promise<MemorySample> {
  const { pid, startMs, target } = running;
  await delay(settleMs, undefined, { signal });
  const processes = pid === undefined ? [] : processTree(pid);
  const baseRssKb = residentKb(processes);
  const largestProcessRssKb = Math.max(...processes.map(residentKbOf));
  const clients = await connectIdleClients(target, count, signal);
  try {
    await delay(settleMs, undefined, { signal });
    const idleRssKb = residentKb(processes);
    const serveMs = await serveAll(clients);
    return {
      startToFirstQueryMs: startMs,
      baseRssKb,
      largestProcessRssKb,
      idleClients: count,
      connectMs: clients.connectMs,
      serveMs,
      bytesPerIdleClient: ((idleRssKb - baseRssKb) * 1024) / count,
    };
  } finally {
    clients.close();
  }
}

async function serveAll({ connections }: IdleClients): Promise<number> {
  const startedMs = performance.now();
  const request = queryMessage("SELECT 1");
  await Promise.all(connections.map((connection) => connection.request(request)));
  return performance.now() - startedMs;
}

function rowOf({ name, workers, io }: Peer, samples: readonly MemorySample[]): MemoryRow {
  const of = (field: keyof MemorySample): number => median(samples.map((sample) => sample[field]));
  return {
    peer: name,
    workers,
    io,
    rounds: samples.length,
    startToFirstQueryMs: of("startToFirstQueryMs"),
    baseRssKb: of("baseRssKb"),
    largestProcessRssKb: of("largestProcessRssKb"),
    idleClients: of("idleClients"),
    connectMs: of("connectMs"),
    serveMs: of("serveMs"),
    bytesPerIdleClient: of("bytesPerIdleClient"),
  };
}
