import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { constants, includeDir, structs } from "./index.js";

const header = readFileSync(join(includeDir, "pooler_plugin.h"), "utf8");

/** Structs that never cross the boundary. */
const local = new Set(["pooler_bytes"]);

/** Names of all structs with their fields, as they stand in the header. */
function structsOfHeader(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const withoutComments = header.replace(/\/\*[\s\S]*?\*\//g, "");
  for (const [, name, body] of withoutComments.matchAll(/typedef struct (pooler_\w+) \{([\s\S]*?)\n\} \1;/g)) {
    if (name === undefined || body === undefined || local.has(name)) continue;
    found.set(
      name,
      [...body.matchAll(/(\w+);/g)].map((match) => String(match[1])),
    );
  }
  return found;
}

function constantsOfHeader(): string[] {
  return [...header.matchAll(/^#define (POOLER_\w+) \(?-?(?:0x)?[0-9]/gm)].map((match) => String(match[1]));
}

/** A program that prints `name value` for everything that the header defines. */
function probeSource(): string {
  const lines: string[] = [];
  for (const [name, fields] of structsOfHeader()) {
    lines.push(`printf("sizeof ${name} %zu\\n", sizeof(${name}));`, `printf("alignof ${name} %zu\\n", _Alignof(${name}));`);
    for (const field of fields) lines.push(`printf("${name}.${field} %zu\\n", offsetof(${name}, ${field}));`);
  }
  for (const name of constantsOfHeader()) lines.push(`printf("${name} %lld\\n", (long long)(${name}));`);
  return `#include <stdio.h>\n#include "pooler_plugin.h"\nint main(void) {\n  ${lines.join("\n  ")}\n  return 0;\n}\n`;
}

describe("the TypeScript layout", () => {
  const printed = new Map<string, number>();
  const folder = mkdtempSync(join(tmpdir(), "pooler-probe-"));

  beforeAll(() => {
    const source = join(folder, "probe.c");
    const program = join(folder, "probe");
    writeFileSync(source, probeSource());
    const strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-DPOOLER_NO_PROTOTYPES"];
    execFileSync("cc", [...strict, "-I", includeDir, source, "-o", program], { stdio: "pipe" });
    for (const line of execFileSync(program, { encoding: "utf8" }).trim().split("\n")) {
      const space = line.lastIndexOf(" ");
      printed.set(line.slice(0, space), Number(line.slice(space + 1)));
    }
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  it("names exactly the structs and fields of the header", () => {
    const ours = new Map(Object.entries(structs).map(([name, struct]) => [name, Object.keys(struct.fields)]));
    expect(ours).toEqual(structsOfHeader());
  });

  it("has every size, alignment and offset as the C compiler sees it", () => {
    const ours = new Map<string, number>();
    for (const [name, struct] of Object.entries(structs)) {
      ours.set(`sizeof ${name}`, struct.size);
      ours.set(`alignof ${name}`, struct.align);
      for (const [field, offset] of Object.entries(struct.fields)) ours.set(`${name}.${field}`, offset);
    }
    const theirs = new Map([...printed].filter(([name]) => !name.startsWith("POOLER_")));
    expect(ours).toEqual(theirs);
  });

  it("has every constant of the header and no other", () => {
    const theirs = new Map([...printed].filter(([name]) => name.startsWith("POOLER_")));
    expect(new Map<string, number>(Object.entries(constants))).toEqual(theirs);
    expect(theirs.size).toBeGreaterThan(60);
  });
});

describe("the header", () => {
  it.each([["c11"], ["c17"]])("is clean as %s with all warnings on", (standard) => {
    const source = `#include "pooler_plugin.h"\n`;
    const flags = [`-std=${standard}`, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", includeDir, "-fsyntax-only", "-x", "c", "-"];
    expect(() => execFileSync("cc", flags, { input: source, stdio: "pipe" })).not.toThrow();
  });

  it("has no padding that a compiler may choose: every struct is the sum of its fields", () => {
    for (const [name, struct] of Object.entries(structs)) {
      const offsets = Object.values<number>(struct.fields).sort((a, b) => a - b);
      expect(struct.size % struct.align, name).toBe(0);
      offsets.forEach((offset, index) => {
        const next = offsets[index + 1] ?? struct.size;
        expect([4, 8, 16], `${name} at ${offset}`).toContain(next - offset);
      });
    }
  });
});
