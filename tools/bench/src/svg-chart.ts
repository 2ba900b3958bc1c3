// Line charts as one SVG file, side by side, with a legend. Colours follow the reader's light or dark theme. Knows nothing of benchmarks.

export interface Series {
  readonly name: string;
  /** Equal numbers have equal colours; there are eight. */
  readonly colour: number;
  readonly isDashed: boolean;
  /** One for each label of the panel; null leaves a gap. */
  readonly values: readonly (number | null)[];
}

export interface Panel {
  readonly title: string;
  readonly xTitle: string;
  readonly xLabels: readonly string[];
  readonly isLogarithmic: boolean;
  readonly series: readonly Series[];
}

export interface Sheet {
  readonly title: string;
  readonly columns: number;
  readonly panels: readonly Panel[];
}

const width = 1080;
const margin = 20;
const gap = 24;
const panelHeight = 230;
const plot = { left: 52, right: 8, top: 30, bottom: 44 };
const titleHeight = 34;
const legendHeight = 30;
const ticksWanted = 4;

/** Told apart by readers who see colours differently, too, on light and on dark ground. */
const colours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8a8a8a", "#b8a800"];

const style = `text{font:12px system-ui,sans-serif;fill:#24292f}.t{font-size:16px;font-weight:600}.p{font-weight:600}.s{fill:#57606a;font-size:11px}
.g{stroke:#d0d7de;stroke-width:1}.l{fill:none;stroke-width:2}.b{fill:#fff}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.g{stroke:#3d444d}.b{fill:#0d1117}}`;

export function renderSheet({ title, columns, panels }: Sheet): string {
  const named = new Map(panels.flatMap(({ series }) => series.map((line): [string, Series] => [line.name, line])));
  const panelWidth = (width - 2 * margin - (columns - 1) * gap) / columns;
  const rows = Math.ceil(panels.length / columns);
  const top = margin + titleHeight + legendHeight;
  const height = top + rows * (panelHeight + gap) - gap + margin;
  const parts = panels.map((panel, index) => {
    const x = margin + (index % columns) * (panelWidth + gap);
    const y = top + Math.floor(index / columns) * (panelHeight + gap);
    return `<g transform="translate(${round(x)} ${round(y)})">${renderPanel(panel, panelWidth)}</g>`;
  });
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<style>${style}</style>`,
    `<rect class="b" width="${width}" height="${height}"/>`,
    `<text class="t" x="${margin}" y="${margin + 16}">${escapeXml(title)}</text>`,
    renderLegend([...named.values()]),
    ...parts,
    "</svg>",
  ].join("\n")}\n`;
}

function renderLegend(lines: readonly Series[]): string {
  let x = margin;
  const y = margin + titleHeight + 8;
  return lines
    .map((line) => {
      const entry = `<line ${strokeOf(line)} x1="${x}" y1="${y}" x2="${x + 18}" y2="${y}"/><text x="${x + 24}" y="${y + 4}">${escapeXml(line.name)}</text>`;
      x += 24 + line.name.length * 7 + 22;
      return entry;
    })
    .join("");
}

function strokeOf({ colour, isDashed }: Series): string {
  return `class="l" stroke="${colourOf(colour)}"${isDashed ? ' stroke-dasharray="5 4"' : ""}`;
}

function colourOf(index: number): string {
  return colours[index % colours.length] ?? "#000";
}

function renderPanel(panel: Panel, panelWidth: number): string {
  const { xLabels, series } = panel;
  const right = panelWidth - plot.right;
  const bottom = panelHeight - plot.bottom;
  const values = series.flatMap((line) => line.values.filter((value) => value !== null));
  const scale = panel.isLogarithmic ? logarithmicScale(values) : linearScale(values);
  const xOf = (index: number): number =>
    xLabels.length === 1 ? (plot.left + right) / 2 : plot.left + 8 + (index * (right - plot.left - 16)) / (xLabels.length - 1);
  const yOf = (value: number): number => bottom - scale.share(value) * (bottom - plot.top);
  const grid = scale.ticks.map(
    (tick) =>
      `<line class="g" x1="${plot.left}" y1="${round(yOf(tick))}" x2="${round(right)}" y2="${round(yOf(tick))}"/><text class="s" text-anchor="end" x="${plot.left - 6}" y="${round(yOf(tick) + 4)}">${shortNumber(tick)}</text>`,
  );
  const labels = xLabels.map(
    (label, index) => `<text class="s" text-anchor="middle" x="${round(xOf(index))}" y="${bottom + 16}">${escapeXml(label)}</text>`,
  );
  return [
    `<text class="p" x="0" y="14">${escapeXml(panel.title)}</text>`,
    ...grid,
    ...labels,
    `<text class="s" text-anchor="middle" x="${round((plot.left + right) / 2)}" y="${bottom + 34}">${escapeXml(panel.xTitle)}</text>`,
    ...series.map((line) => renderLine(line, xOf, yOf)),
  ].join("");
}

function renderLine(line: Series, xOf: (index: number) => number, yOf: (value: number) => number): string {
  let path = "";
  let isDrawing = false;
  const points: string[] = [];
  for (const [index, value] of line.values.entries()) {
    if (value === null) {
      isDrawing = false;
      continue;
    }
    const [x, y] = [round(xOf(index)), round(yOf(value))];
    path += `${isDrawing ? "L" : "M"}${x} ${y}`;
    isDrawing = true;
    points.push(`<circle fill="${colourOf(line.colour)}" cx="${x}" cy="${y}" r="3"/>`);
  }
  return path === "" ? "" : `<path ${strokeOf(line)} d="${path}"/>${points.join("")}`;
}

interface Scale {
  readonly ticks: readonly number[];
  /** 0 at the bottom, 1 at the top. */
  share(value: number): number;
}

/** From zero: a difference looks as large as it is. */
function linearScale(values: readonly number[]): Scale {
  const most = Math.max(1e-9, ...values);
  const step = niceStep(most / ticksWanted);
  const top = Math.ceil(most / step) * step;
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step);
  return { ticks, share: (value) => value / top };
}

function logarithmicScale(values: readonly number[]): Scale {
  const positive = values.filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.min(1, ...positive)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(1, ...positive))));
  const start = positive.length === 0 ? low : Math.max(low, Math.floor(Math.log10(Math.min(...positive))));
  const from = Math.min(start, high - 1);
  const ticks = Array.from({ length: high - from + 1 }, (_, index) => 10 ** (from + index));
  return { ticks, share: (value) => (Math.log10(Math.max(value, 10 ** from)) - from) / (high - from) };
}

/** 1, 2 or 5 times a power of ten, not below. */
function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5].find((candidate) => candidate * power >= rough) ?? 10;
  return factor * power;
}

export function shortNumber(value: number): string {
  if (value >= 1e6) return `${trimmed(value / 1e6)}M`;
  if (value >= 1e3) return `${trimmed(value / 1e3)}k`;
  return trimmed(value);
}

function trimmed(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
