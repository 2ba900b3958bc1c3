// What the soak found, line by line, and whether that is as it must be.

export interface Verdict {
  /** For information. */
  fact(what: string, value: string | number): void;
  equal(what: string, found: number, wanted: number): void;
  check(what: string, found: string, isGood: boolean): void;
  /** What is off. */
  readonly failed: readonly string[];
  table(): string;
}

export function createVerdict(): Verdict {
  const lines: (readonly [mark: string, what: string, value: string])[] = [];
  const failed: string[] = [];
  const note = (what: string, value: string, isGood: boolean): void => {
    lines.push([isGood ? "ok" : "OFF", what, value]);
    if (!isGood) failed.push(`${what}: ${value}`);
  };
  return {
    fact: (what, value) => void lines.push(["", what, String(value)]),
    equal: (what, found, wanted) => note(what, found === wanted ? String(found) : `${found}, not ${wanted}`, found === wanted),
    check: note,
    failed,
    table() {
      const width = Math.max(...lines.map(([, what]) => what.length));
      return lines.map(([mark, what, value]) => `${mark.padEnd(4)}${what.padEnd(width)}  ${value}`).join("\n");
    },
  };
}
