// Which charts the results make: throughput, processor time and latency against clients, and what a query costs as things grow.
import type { Row } from "./result.js";
import { type Panel, renderSheet, shortNumber } from "./svg-chart.js";
import { peerLabel } from "./table.js";

const chartedScenarios = ["select-only", "select-one", "tls"];
/** The same colours in all charts. */
const colourOrder = ["pgbouncer", "pooler", "pooler-multiplex-prepare", "direct", "pooler-multiplex", "pooler-plugins", "pooler-streams"];
const figures = [
  { title: "transactions a second", of: (row: Row) => row.tps, isLogarithmic: false },
  { title: "CPU µs a query", of: (row: Row) => row.cpuUsPerQuery, isLogarithmic: false },
  { title: "p99 ms", of: (row: Row) => row.p99Ms, isLogarithmic: true },
];

const growths = [
  { scenario: "growth-clients", xTitle: "clients", x: (row: Row) => row.clients, isLogarithmic: false },
  { scenario: "growth-databases", xTitle: "databases", x: (row: Row) => row.size ?? 0, isLogarithmic: false },
  { scenario: "growth-statements", xTitle: "prepared statements", x: (row: Row) => row.size ?? 0, isLogarithmic: false },
  { scenario: "growth-result", xTitle: "bytes of the result", x: (row: Row) => row.size ?? 0, isLogarithmic: true },
  { scenario: "growth-query", xTitle: "bytes of the statement", x: (row: Row) => row.size ?? 0, isLogarithmic: true },
];

/** undefined when the results have none of these scenarios. */
export function renderLoadChart(rows: readonly Row[]): string | undefined {
  const protocols = distinct(rows.filter(({ scenario }) => chartedScenarios.includes(scenario)).map(({ protocol }) => protocol));
  const scenarios = chartedScenarios.filter((name) => rows.some(({ scenario }) => scenario === name));
  if (scenarios.length === 0) return undefined;
  const panels = scenarios.flatMap((scenario) =>
    figures.flatMap((figure) =>
      protocols.map((protocol) =>
        panelOf(
          rows.filter((row) => row.scenario === scenario && row.protocol === protocol),
          { ...figure, title: `${scenario}, ${protocol}: ${figure.title}`, xTitle: "clients", x: (row) => row.clients },
        ),
      ),
    ),
  );
  return renderSheet({ title: "Throughput, processor time and latency", columns: protocols.length, panels });
}

/** undefined when the results have none of these scenarios. */
export function renderGrowthChart(rows: readonly Row[]): string | undefined {
  const panels = growths
    .filter(({ scenario }) => rows.some((row) => row.scenario === scenario))
    .map((growth) =>
      panelOf(
        rows.filter((row) => row.scenario === growth.scenario),
        { ...growth, title: `CPU µs a query against ${growth.xTitle}`, of: (row) => row.cpuUsPerQuery },
      ),
    );
  return panels.length === 0 ? undefined : renderSheet({ title: "How the cost of a query grows", columns: 2, panels });
}

interface PanelPlan {
  readonly title: string;
  readonly xTitle: string;
  readonly isLogarithmic: boolean;
  x(row: Row): number;
  of(row: Row): number | null;
}

function panelOf(rows: readonly Row[], plan: PanelPlan): Panel {
  const xs = distinct(rows.map(plan.x)).sort((a, b) => a - b);
  const measured = rows.filter((row) => plan.of(row) !== null);
  return {
    title: plan.title,
    xTitle: plan.xTitle,
    xLabels: xs.map(shortNumber),
    isLogarithmic: plan.isLogarithmic,
    series: distinct(measured.map(peerLabel)).map((name) => {
      const own = measured.filter((row) => peerLabel(row) === name);
      const peer = own[0]?.peer ?? name;
      return {
        name,
        colour: colourOf(peer),
        // More workers of the same.
        isDashed: name !== peer,
        values: xs.map((x) => {
          const row = own.find((candidate) => plan.x(candidate) === x);
          return row === undefined ? null : plan.of(row);
        }),
      };
    }),
  };
}

function colourOf(peer: string): number {
  const known = colourOrder.indexOf(peer);
  return known >= 0 ? known : colourOrder.length + (peer.length % 2);
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
