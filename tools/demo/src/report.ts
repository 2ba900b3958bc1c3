// What the demo says once it is ready: for people, and as one line for scripts.
import type { Cluster } from "@pooler/embedded-cluster";
import type { DemoConfig } from "./demo-config.js";
import type { TourStep } from "./tour.js";

export function summary(config: DemoConfig, steps: readonly TourStep[]): string {
  const tried = steps.map((step) => `  ${step.title}\n    ${step.sql}\n    → ${step.outcome}`);
  return `
These ran through the pooler just now:

${tried.join("\n\n")}

Try them yourself, and have a look around:

  connect   psql ${config.url}
  console   psql ${config.console} -c 'SHOW PLUGINS'   (POOLS, CLIENTS, SERVERS, STATS, SHARDS, CONFIG …)
  metrics   curl ${config.metrics}
  config    ${config.file}

Ctrl-C stops everything and leaves nothing behind.`;
}

export function readyLine(config: DemoConfig, cluster: Cluster): string {
  return JSON.stringify({
    url: config.url,
    console: config.console,
    metrics: config.metrics,
    shards: cluster.shards.map(({ primary, replicas }) => ({ primary: primary.url, replicas: replicas.map((replica) => replica.url) })),
  });
}
