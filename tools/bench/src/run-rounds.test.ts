import { expect, test, vi } from "vitest";
import { createCollector } from "./collect.js";
import type { Peer, RunningPeer, Setup } from "./peers/peer.js";
import { plainSetup } from "./peers/peer.js";
import type { Protocol } from "./pgbench.js";
import type { Failure } from "./result.js";
import { type RunOptions, rotated, runRounds } from "./run-rounds.js";
import type { Case, Sample, Scenario } from "./scenarios/scenario.js";

const sample: Sample = { tps: 1, cpuUsPerQuery: 1, p50Ms: 1, p99Ms: 1, p999Ms: null, rssKb: 1 };

interface Rig {
  readonly events: string[];
  readonly failures: Failure[];
  run(more?: Partial<RunOptions>): Promise<boolean>;
}

/** Peers a, b and c that only note what happens to them. */
function rig(
  setups: readonly Setup[] = [plainSetup],
  measure: (name: string) => Promise<Sample> = () => Promise.resolve(sample),
  protocol: Protocol = "simple",
): Rig {
  const events: string[] = [];
  const failures: Failure[] = [];
  const names = new Map<RunningPeer, string>();
  const peers = ["a", "b", "c"].map(
    (name): Peer => ({
      name,
      kind: "other",
      workers: 1,
      io: null,
      poolSize: 1,
      objection: ({ protocol }) => (name === "c" && protocol === "prepared" ? "cannot" : undefined),
      start(setup) {
        events.push(`start ${name} ${setup.key}`);
        const running: RunningPeer = {
          target: { port: 1, user: "u", database: "d", tls: false },
          pid: 1,
          startMs: 1,
          stop: () => Promise.resolve(void events.push(`stop ${name}`)),
        };
        names.set(running, name);
        return Promise.resolve(running);
      },
    }),
  );
  const cases = setups.map((setup): Case => {
    const scenario: Scenario = {
      name: setup.key,
      title: "",
      protocols: ["simple"],
      clients: [1],
      sizes: [],
      hasFreeClients: true,
      setup: () => setup,
      takes: () => true,
      measure(running, at, { isWarmUp }) {
        const name = names.get(running) ?? "";
        events.push(`${isWarmUp ? "warm" : "measure"} ${name} ${at.protocol}`);
        return measure(name);
      },
    };
    return { scenario, protocol, clients: 1, size: null };
  });
  return {
    events,
    failures,
    run: (more) =>
      runRounds({
        cases,
        peers,
        rounds: 2,
        seconds: 1,
        deadlineMs: Number.POSITIVE_INFINITY,
        collector: createCollector(),
        interruption: { signal: new AbortController().signal, check: () => {}, forget: () => {} },
        // Neither is looked at by the peers of this rig.
        grounds: Object.create(null),
        tools: Object.create(null),
        onMeasured: () => {},
        onFailure: (failure) => failures.push(failure),
        settle: () => Promise.resolve(),
        ...more,
      }),
  };
}

test("each peer is started once, warmed up once, and the next round begins with another", async () => {
  const { events, run } = rig();
  expect(await run()).toBe(true);
  expect(events.filter((event) => !event.startsWith("s"))).toEqual([
    "warm a simple",
    "measure a simple",
    "warm b simple",
    "measure b simple",
    "warm c simple",
    "measure c simple",
    "measure b simple",
    "measure c simple",
    "measure a simple",
  ]);
  expect(events.filter((event) => event.startsWith("st")).toSorted()).toEqual([
    "start a plain",
    "start b plain",
    "start c plain",
    "stop a",
    "stop b",
    "stop c",
  ]);
});

test("peers of an exclusive setup never run together", async () => {
  const { events, run } = rig([{ ...plainSetup, key: "alone", isExclusive: true }]);
  await run({ rounds: 1 });
  expect(events.filter((event) => event.startsWith("st"))).toEqual([
    "start a alone",
    "stop a",
    "start b alone",
    "stop b",
    "start c alone",
    "stop c",
  ]);
});

test("peers of one setup have ended before those of the next are started", async () => {
  const { events, run } = rig([plainSetup, { ...plainSetup, key: "tls", tls: true }]);
  await run({ rounds: 1 });
  expect(events.indexOf("start a tls")).toBeGreaterThan(events.indexOf("stop c"));
});

test("a peer that fails is told, started anew, and keeps nobody else from being measured", async () => {
  let isFirst = true;
  const { events, failures, run } = rig([plainSetup], (name) => {
    if (name !== "a" || !isFirst) return Promise.resolve(sample);
    isFirst = false;
    return Promise.reject(new Error("lost"));
  });
  const collector = createCollector();
  expect(await run({ collector })).toBe(true);
  expect(failures).toEqual([{ what: "plain, simple, 1 clients", peer: "a", message: "lost" }]);
  expect(events.filter((event) => event === "start a plain")).toHaveLength(2);
  expect(collector.rows().map(({ peer, rounds }) => [peer, rounds])).toEqual([
    ["a", 1],
    ["b", 2],
    ["c", 2],
  ]);
});

test("a peer that hangs is given up on", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    const { failures, run } = rig([plainSetup], (name) => (name === "a" ? new Promise(() => {}) : Promise.resolve(sample)));
    const done = run({ rounds: 1 });
    await vi.advanceTimersByTimeAsync(1_000_000);
    expect(await done).toBe(true);
    expect(failures.map(({ peer, message }) => [peer, message])).toEqual([["a", "no end after 122 seconds"]]);
  } finally {
    vi.useRealTimers();
  }
});

test("no round is begun that would end too late, but the first is always done", async () => {
  const { events, run } = rig();
  expect(await run({ deadlineMs: 0 })).toBe(false);
  expect(events.filter((event) => event.startsWith("measure"))).toHaveLength(3);
});

test("what cannot take part has an empty row and is not started for it", async () => {
  const { events, run } = rig([plainSetup], undefined, "prepared");
  const collector = createCollector();
  await run({ collector, rounds: 1 });
  expect(collector.rows().map(({ peer, tps }) => [peer, tps])).toEqual([
    ["a", 1],
    ["b", 1],
    ["c", null],
  ]);
  expect(events).not.toContain("start c plain");
});

test("rotation lets each be first in turn", () => {
  expect([0, 1, 2, 3].map((round) => rotated(["a", "b", "c"], round).join(""))).toEqual(["abc", "bca", "cab", "abc"]);
  expect(rotated([], 3)).toEqual([]);
});
