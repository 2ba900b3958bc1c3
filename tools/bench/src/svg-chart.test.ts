import { describe, expect, test } from "vitest";
import { type Panel, renderSheet, shortNumber } from "./svg-chart.js";

const panel: Panel = {
  title: "tps & more",
  xTitle: "clients",
  xLabels: ["1", "16", "100"],
  isLogarithmic: false,
  series: [
    { name: "pgbouncer", colour: 0, isDashed: false, values: [0, 50, 100] },
    { name: "<pooler>", colour: 1, isDashed: true, values: [10, null, 90] },
  ],
};

/** The points of every line, as numbers. */
function paths(svg: string): number[][][] {
  return [...svg.matchAll(/<path [^>]*d="([^"]*)"/g)].map(([, d = ""]) =>
    d.split(/(?=[ML])/).map((point) => point.slice(1).split(" ").map(Number)),
  );
}

describe("a sheet of charts", () => {
  test("draws a line for each series, higher values higher up, from zero at the bottom", () => {
    const svg = renderSheet({ title: "Throughput", columns: 2, panels: [panel] });
    const [[first = [], second = [], third = []] = []] = paths(svg);
    expect(first[1]).toBeGreaterThan(second[1] ?? 0);
    const half = ((first[1] ?? 0) + (third[1] ?? 0)) / 2;
    expect(second[1]).toBeCloseTo(half, 0);
    expect((second[0] ?? 0) - (first[0] ?? 0)).toBeCloseTo((third[0] ?? 0) - (second[0] ?? 0), 0);
  });

  test("leaves a gap where nothing was measured", () => {
    const svg = renderSheet({ title: "Throughput", columns: 1, panels: [panel] });
    expect(svg.match(/<circle/g)).toHaveLength(5);
    expect(/d="M[\d. ]+M[\d. ]+"/.test(svg)).toBe(true);
  });

  test("a logarithmic axis has equal steps for equal factors", () => {
    const values = [10, 100, 1000];
    const svg = renderSheet({
      title: "",
      columns: 1,
      panels: [{ ...panel, isLogarithmic: true, series: [{ name: "a", colour: 0, isDashed: false, values }] }],
    });
    const ys = (paths(svg)[0] ?? []).map((point) => point[1] ?? 0);
    expect((ys[0] ?? 0) - (ys[1] ?? 0)).toBeCloseTo((ys[1] ?? 0) - (ys[2] ?? 0), 0);
  });

  test("one series has one colour in all panels, and names are escaped", () => {
    const svg = renderSheet({ title: "A < B", columns: 2, panels: [panel, { ...panel, series: panel.series.slice(1) }] });
    const strokes = [...svg.matchAll(/<path class="l" stroke="([^"]+)"/g)].map((match) => match[1]);
    expect(strokes).toHaveLength(3);
    expect(strokes[1]).toBe(strokes[2]);
    expect(strokes[0]).not.toBe(strokes[1]);
    expect(svg).toContain("&lt;pooler&gt;");
    expect(svg).toContain("tps &amp; more");
    expect(svg).toContain("<title>A &lt; B</title>");
  });

  test("has a place for every panel, also when none has a value", () => {
    const empty = { ...panel, series: [{ name: "a", colour: 0, isDashed: false, values: [null, null, null] }] };
    const svg = renderSheet({ title: "", columns: 2, panels: [empty, empty, { ...empty, isLogarithmic: true }] });
    expect(svg.match(/<g transform/g)).toHaveLength(3);
    expect(svg).not.toContain("NaN");
    expect(svg).not.toContain("Infinity");
  });
});

test("axis labels are short", () => {
  expect([0, 0.5, 250, 1000, 12_500, 1e6].map(shortNumber)).toEqual(["0", "0.5", "250", "1k", "12.5k", "1M"]);
});
