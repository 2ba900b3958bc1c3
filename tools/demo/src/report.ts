// What the demo says once it is ready: for people, and as one line for scripts.
import type { Cluster } from "@pooler/embedded-cluster";
import type { DemoConfig } from "./demo-config.js";
import type { TourOutcome, TourStep } from "./tour.js";

export interface Paint {
  strong(text: string): string;
  faint(text: string): string;
}

/** Colours for a terminal, none for files and for those who do not want them. */
export function paintFor(stream: { readonly isTTY?: boolean }, environment: NodeJS.ProcessEnv): Paint {
  const coloured = stream.isTTY === true && !environment["NO_COLOR"] && environment["TERM"] !== "dumb";
  const wrap = (code: number) => (text: string) => (coloured ? `\u001b[${code}m${text}\u001b[0m` : text);
  return { strong: wrap(1), faint: wrap(2) };
}

export function summary(config: DemoConfig, steps: readonly TourStep[], paint: Paint): string {
  const tried = steps.map(({ title, sql, outcome }) => `  ${paint.strong(title)}\n    ${sql}\n    ${described(outcome, paint)}`);
  return `
These statements went through the pooler just now, and this is where they ran:

${tried.join("\n\n")}

${paint.strong("The pooler is yours:")}

  connect   psql ${config.url}
  console   psql ${config.console} -c 'SHOW PLUGINS'
            (or POOLS, CLIENTS, SERVERS, SHARDS, STATS, CONFIG; SHOW HELP lists all)
  metrics   curl ${config.metrics}
  config    ${config.file}

Ctrl-C stops everything and leaves nothing behind.`;
}

function described(outcome: TourOutcome, paint: Paint): string {
  if (outcome.kind === "rows") {
    return `→ ${outcome.server}: ${outcome.values}`;
  }
  const hint = outcome.hint === undefined ? "" : `\n      ${paint.faint(`HINT: ${outcome.hint}`)}`;
  return `→ ${outcome.message}${hint}`;
}

export function readyLine(config: DemoConfig, cluster: Cluster): string {
  return JSON.stringify({
    url: config.url,
    console: config.console,
    metrics: config.metrics,
    shards: cluster.shards.map(({ primary, replicas }) => ({ primary: primary.url, replicas: replicas.map((replica) => replica.url) })),
  });
}
