// A view as Prometheus text or OpenMetrics. A registry is made for each scrape: nothing is kept between two of them.
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { type HistogramSample, type MetricFamily, metricFamilies } from "./metric-families.js";
import type { PoolerView } from "./pooler-view.js";

export const metricsFormats = {
  prometheus: Registry.PROMETHEUS_CONTENT_TYPE,
  openMetrics: Registry.OPENMETRICS_CONTENT_TYPE,
} as const;

export type MetricsFormat = keyof typeof metricsFormats;

export async function renderMetrics(view: PoolerView, format: MetricsFormat): Promise<string> {
  const registry = createRegistry(format);
  for (const family of metricFamilies) register(registry, family, view);
  return await registry.metrics();
}

/** An empty registry of that format. Its type in prom-client depends on the format, which is of no use here. */
function createRegistry(format: MetricsFormat): Registry {
  const registry = new Registry();
  (registry as { setContentType(contentType: string): void }).setContentType(metricsFormats[format]);
  return registry;
}

function register(registry: Registry, family: MetricFamily, view: PoolerView): void {
  const configuration = { name: family.name, help: family.help, labelNames: [...family.labels], registers: [registry] };
  switch (family.type) {
    case "counter": {
      const counter = new Counter(configuration);
      if (family.labels.length > 0) counter.reset();
      for (const { labels, value } of family.samples(view)) counter.inc({ ...labels }, value);
      return;
    }
    case "gauge": {
      const gauge = new Gauge(configuration);
      // Two with the same labels (a plugin that stands in the chain twice) are one.
      for (const { labels, value } of family.samples(view)) gauge.inc({ ...labels }, value);
      return;
    }
    case "histogram":
      new CountedHistogram({ ...configuration, buckets: [...family.bounds] }).fill(family.bounds, family.histograms(view));
  }
}

interface HistogramValue {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** prom-client's histograms take single observations; the workers have counted them into buckets already. */
class CountedHistogram extends Histogram {
  readonly #values: HistogramValue[] = [];

  fill(bounds: readonly number[], samples: readonly HistogramSample[]): void {
    const merged = new Map<string, HistogramSample>();
    for (const sample of samples) {
      const key = JSON.stringify(sample.labels);
      const before = merged.get(key);
      merged.set(
        key,
        before === undefined
          ? sample
          : { ...sample, counts: sample.counts.map((count, i) => count + (before.counts[i] ?? 0)), sum: sample.sum + before.sum },
      );
    }
    const { name } = this as unknown as { readonly name: string };
    for (const { labels, counts, sum } of merged.values()) {
      let below = 0;
      for (const [index, bound] of [...bounds, "+Inf"].entries()) {
        below += counts[index] ?? 0;
        this.#values.push({ metricName: `${name}_bucket`, labels: { le: bound, ...labels }, value: below });
      }
      this.#values.push({ metricName: `${name}_sum`, labels, value: sum }, { metricName: `${name}_count`, labels, value: below });
    }
  }

  /** What the registry prints. */
  async getForPromString(): Promise<unknown> {
    const { name, help } = this as unknown as { readonly name: string; readonly help: string };
    return { name, help, type: "histogram", values: this.#values };
  }
}
