// Samples of all rounds become rows: medians, and ratios to PgBouncer within each round.
import type { RatioIntervals, Ratios, Row } from "./result.js";
import type { Sample } from "./scenarios/scenario.js";
import { median, ratioInterval } from "./statistics.js";

/** What a row is about. Equal subjects, but for peer, workers, io and pool size, are compared. */
export type Subject = Pick<Row, "scenario" | "protocol" | "clients" | "size" | "workers" | "peer" | "io" | "poolSize">;

export interface Collector {
  /** Rows come out in the order of their announcements; one that nothing is added to has nothing but nulls. */
  announce(subject: Subject): void;
  add(subject: Subject, round: number, sample: Sample): void;
  rows(): readonly Row[];
}

interface Collected {
  readonly subject: Subject;
  readonly byRound: Map<number, Sample>;
}

const reference = "pgbouncer";

export function createCollector(): Collector {
  const collected = new Map<string, Collected>();

  function entryOf(subject: Subject): Collected {
    const key = keyOf(subject, subject.peer, subject.workers);
    let entry = collected.get(key);
    if (entry === undefined) {
      entry = { subject, byRound: new Map() };
      collected.set(key, entry);
    }
    return entry;
  }

  return {
    announce(subject) {
      entryOf(subject);
    },
    add(subject, round, sample) {
      entryOf(subject).byRound.set(round, sample);
    },
    rows: () =>
      [...collected.values()].map(({ subject, byRound }) => {
        const samples = [...byRound.values()];
        const references = [...collected.values()].find(
          (entry) => entry.subject.peer === reference && keyOf(entry.subject, "", null) === keyOf(subject, "", null),
        )?.byRound;
        return { ...subject, rounds: samples.length, ...mediansOf(samples), ...ratiosOf(byRound, references) };
      }),
  };
}

function keyOf({ scenario, protocol, clients, size }: Subject, peer: string, workers: number | null): string {
  return [scenario, protocol, clients, size, peer, workers].join(" ");
}

function mediansOf(samples: readonly Sample[]): Medians {
  const of = (field: keyof Sample): number | null => medianOrNull(samples.map((sample) => sample[field]));
  return {
    tps: of("tps"),
    cpuUsPerQuery: of("cpuUsPerQuery"),
    p50Ms: of("p50Ms"),
    p99Ms: of("p99Ms"),
    p999Ms: of("p999Ms"),
    rssKb: of("rssKb"),
  };
}

type Medians = { readonly [Field in keyof Sample]: number | null };

function medianOrNull(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : median(known);
}

interface RatioFields {
  readonly ratioToPgbouncer: Ratios | null;
  readonly ratioIntervals: RatioIntervals | null;
}

function ratiosOf(own: ReadonlyMap<number, Sample>, references: ReadonlyMap<number, Sample> | undefined): RatioFields {
  if (references === undefined || references.size === 0 || own.size === 0) return { ratioToPgbouncer: null, ratioIntervals: null };
  const of = (field: "tps" | "cpuUsPerQuery" | "p99Ms"): readonly number[] =>
    [...own].flatMap(([round, sample]) => {
      const mine = sample[field];
      const theirs = references.get(round)?.[field];
      return mine === null || theirs === null || theirs === undefined || theirs === 0 || mine === 0 ? [] : [mine / theirs];
    });
  const [tps, cpu, p99] = [of("tps"), of("cpuUsPerQuery"), of("p99Ms")];
  return {
    ratioToPgbouncer: { tps: medianOrNull(tps), cpu: medianOrNull(cpu), p99: medianOrNull(p99) },
    ratioIntervals: { tps: ratioInterval(tps), cpu: ratioInterval(cpu), p99: ratioInterval(p99) },
  };
}
