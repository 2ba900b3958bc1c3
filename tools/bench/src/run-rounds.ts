// The order of things: peers of one setup are started together and measured in turn, one at a time, in an order that changes with each
// round, so that whatever drifts on the machine hits all of them alike.
import { BenchError } from "./bench-error.js";
import type { Collector, Subject } from "./collect.js";
import { InterruptedError, type Interruption } from "./interruption.js";
import type { Grounds, Peer, RunningPeer } from "./peers/peer.js";
import type { Failure } from "./result.js";
import type { Case, Effort, Sample, Tools } from "./scenarios/scenario.js";

export interface RunOptions {
  readonly cases: readonly Case[];
  readonly peers: readonly Peer[];
  readonly rounds: number;
  readonly seconds: number;
  /** Since this process began, which may have built the project first. */
  readonly deadlineMs: number;
  readonly grounds: Grounds;
  readonly tools: Tools;
  readonly collector: Collector;
  readonly interruption: Interruption;
  onMeasured(subject: Subject, round: number, sample: Sample): void;
  onFailure(failure: Failure): void;
  /** Before each measurement. */
  settle(at: Case): Promise<void>;
}

/** For logging in, and for transfers, which take as long as they take. */
const graceMs = 120_000;

/** Until then the pooler's cost of a query still falls. */
const jitWarmUpSeconds = 4;

/** False when the time ran out before all rounds were done. */
export async function runRounds(options: RunOptions): Promise<boolean> {
  let isComplete = true;
  for (const group of groupBySetup(options.cases)) {
    isComplete = (await runGroup(group, options)) && isComplete;
  }
  return isComplete;
}

export function groupBySetup(cases: readonly Case[]): readonly (readonly Case[])[] {
  const groups = new Map<string, Case[]>();
  for (const at of cases) {
    const { key } = at.scenario.setup(at.size);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [at]);
    else group.push(at);
  }
  return [...groups.values()];
}

/** Each peer is first once before one is first again. */
export function rotated<T>(items: readonly T[], round: number): readonly T[] {
  const start = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

async function runGroup(cases: readonly Case[], options: RunOptions): Promise<boolean> {
  const [first] = cases;
  if (first === undefined) return true;
  const setup = first.scenario.setup(first.size);
  const { grounds, collector, interruption } = options;
  const lanes = options.peers
    .filter((peer) => cases.some((at) => at.scenario.takes(peer)))
    .map((peer) => createLane(peer, () => peer.start(setup, grounds), setup.isExclusive));
  try {
    for (const at of cases) {
      for (const { peer } of lanes) {
        if (!at.scenario.takes(peer)) continue;
        // All rows in the order of the line-up, also those that stay empty.
        collector.announce(subjectOf(at, peer));
      }
    }
    let longestRoundMs = 0;
    for (let round = 0; round < options.rounds; round++) {
      const startedMs = performance.now();
      if (round > 0 && startedMs + longestRoundMs > options.deadlineMs) return false;
      for (const [index, at] of cases.entries()) {
        for (const lane of rotated(lanes, round + index)) {
          interruption.check();
          const { peer } = lane;
          if (
            !at.scenario.takes(peer) ||
            lane.hasFailed ||
            peer.objection({ setup, protocol: at.protocol, clients: at.clients }) !== undefined
          )
            continue;
          await measureOne(lane, at, round, options);
        }
      }
      longestRoundMs = Math.max(longestRoundMs, performance.now() - startedMs);
    }
    return true;
  } finally {
    await Promise.all(lanes.map((lane) => lane.end()));
  }
}

async function measureOne(lane: Lane, at: Case, round: number, options: RunOptions): Promise<void> {
  const subject = subjectOf(at, lane.peer);
  const measure = async (effort: Effort): Promise<Sample> => {
    const running = await lane.running();
    await options.settle(at);
    return withinLimit(at.scenario.measure(running, at, effort, options.tools), effort.seconds * 1000 + graceMs);
  };
  try {
    // Just-in-time compilers have to have seen a kind of load before it counts.
    const kind = `${at.scenario.name} ${at.protocol}`;
    if (lane.peer.kind !== "direct" && !lane.warmed.has(kind)) {
      lane.warmed.add(kind);
      await measure({ seconds: Math.min(jitWarmUpSeconds, 2 * options.seconds), isWarmUp: true });
    }
    const sample = await measure({ seconds: options.seconds, isWarmUp: false });
    options.collector.add(subject, round, sample);
    options.onMeasured(subject, round, sample);
  } catch (error) {
    options.interruption.check();
    if (error instanceof InterruptedError || !(error instanceof Error)) throw error;
    const what = [at.scenario.name, at.protocol, `${at.clients} clients`, ...(at.size === null ? [] : [at.size])].join(", ");
    options.onFailure({ what, peer: lane.peer.name, message: error.message });
    await lane.end();
  } finally {
    if (lane.isExclusive) await lane.end();
  }
}

/** Who hangs is stopped like one that failed, which also ends what waits for it. */
async function withinLimit<T>(work: Promise<T>, limitMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new BenchError(`no end after ${limitMs / 1000} seconds`)), limitMs);
  });
  // When it loses it fails later, and nobody is interested any more.
  work.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A peer within a group: started when it is first needed, and again after it failed. */
interface Lane {
  readonly peer: Peer;
  readonly isExclusive: boolean;
  readonly hasFailed: boolean;
  /** Kinds of load that it has seen since its start. */
  readonly warmed: Set<string>;
  running(): Promise<RunningPeer>;
  end(): Promise<void>;
}

function createLane(peer: Peer, start: () => Promise<RunningPeer>, isExclusive: boolean): Lane {
  let running: RunningPeer | undefined;
  let hasFailed = false;
  const warmed = new Set<string>();
  return {
    peer,
    isExclusive,
    warmed,
    get hasFailed() {
      return hasFailed;
    },
    async running() {
      if (running !== undefined) return running;
      try {
        running = await start();
        return running;
      } catch (error) {
        // What does not even start is not tried again.
        hasFailed = true;
        throw error;
      }
    },
    async end() {
      const ending = running;
      running = undefined;
      warmed.clear();
      await ending?.stop();
    },
  };
}

function subjectOf({ scenario, protocol, clients, size }: Case, peer: Peer): Subject {
  const { name, workers, io, poolSize } = peer;
  return { scenario: scenario.name, protocol, clients, size, workers, peer: name, io, poolSize };
}
