// The header of today against those that were released, which are kept in released/: what was promised is still there, as it was.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { includeDir } from "../index.js";
import { compareHeaders, hasAdditions, minorOf } from "./compare-headers.js";

const packageDirectory = fileURLToPath(new URL("../..", import.meta.url));
const current = readFileSync(join(includeDir, "pooler_plugin.h"), "utf8");
const headerOf = (version: string): string => readFileSync(join(packageDirectory, "released", version, "pooler_plugin.h"), "utf8");
const versions = readdirSync(join(packageDirectory, "released")).sort((a, b) => Number(a.split(".")[1]) - Number(b.split(".")[1]));
const { version: packageVersion } = JSON.parse(readFileSync(join(packageDirectory, "package.json"), "utf8")) as { version: string };

describe("the header keeps what was released", () => {
  it.each(versions)("ABI %s", (version) => {
    const released = headerOf(version);
    expect(compareHeaders(released, current)).toEqual([]);
    expect(`1.${minorOf(released)}`).toBe(version);
  });

  it("with every minor version before this one, from 1.0 on", () => {
    expect(versions).toEqual(versions.map((_, minor) => `1.${minor}`));
    expect(minorOf(current)).toBeGreaterThanOrEqual(versions.length - 1);
  });

  // Before the first release of this package there is nobody to whom 1.0 means less than it has.
  it("and says another minor version when it has more", () => {
    const latest = headerOf(versions.at(-1) ?? "");
    if (packageVersion !== "0.0.0" && hasAdditions(latest, current)) expect(minorOf(current)).toBeGreaterThan(minorOf(latest));
  });
});

describe("a change of what was released is found", () => {
  const released = headerOf("1.0");
  const changed = (from: string | RegExp, to: string): readonly string[] => {
    const header = released.replace(from, to);
    expect(header).not.toBe(released);
    return compareHeaders(released, header);
  };

  it.each([
    ["a constant with another value", "#define POOLER_FORWARD 1 ", "#define POOLER_FORWARD 7 ", '"1" and is "7" now'],
    ["a constant that is gone", /^#define POOLER_CAP_INSPECT .*\n/m, "", "#define POOLER_CAP_INSPECT was released and is gone"],
    ["a constant with another name", "POOLER_HOOK_RELOAD 0x20u", "POOLER_HOOK_REREAD 0x20u", "POOLER_HOOK_RELOAD was released"],
    ["a constant that is defined again", "#define POOLER_SKIP 0 ", "#define POOLER_SKIP 0\n#define POOLER_SKIP 0 ", "declared twice"],
    ["a field of another type", "uint32_t lag_ms;", "uint64_t lag_ms;", 'struct pooler_host: "uint32_t lag_ms;" was released as field 4'],
    ["a field with another name", "  uint32_t lag_ms; ", "  uint32_t lag_us; ", "struct pooler_host"],
    ["fields in another order", /( {2}uint32_t role; .*\n)( {2}uint32_t shard; .*\n)/, "$2$1", "struct pooler_input"],
    ["a field in the middle", "  uint32_t protocol; ", "  uint32_t more;\n  uint32_t protocol; ", "struct pooler_input"],
    ["a field that is gone", /^ {2}pooler_slice parse_error;.*\n/m, "", 'which is "nothing" now'],
    ["a piece that grows", "  uint32_t length;\n} pooler_slice;", "  uint32_t length;\n  uint32_t more;\n} pooler_slice;", "may not grow"],
    ["a struct that is gone", /typedef struct pooler_row_input[\s\S]*?\} pooler_row_input;/, "", "struct pooler_row_input was released"],
    ["a type that is another", "typedef uint32_t pooler_ref;", "typedef uint64_t pooler_ref;", "pooler_ref was released as"],
    [
      "a hook with another parameter",
      "(*pooler_destroy_fn)(void *state)",
      "(*pooler_destroy_fn)(void *state, int how)",
      "pooler_destroy_fn",
    ],
    ["an export with another parameter", "void pooler_destroy(void *state)", "int pooler_destroy(void *state)", "pooler_destroy was"],
    ["an accessor with another parameter", "pooler_equals(pooler_bytes bytes,", "pooler_equals(pooler_slice bytes,", "pooler_equals"],
    ["another header that it needs", "#include <string.h>", "#include <strings.h>", "#include <string.h> was released and is gone"],
  ])("%s", (_, from, to, told) => {
    expect(changed(from, to).join("\n")).toContain(told);
  });

  it.each([
    ["a constant", "#define POOLER_SKIP 0 ", "#define POOLER_NEW 9\n#define POOLER_SKIP 0 "],
    ["a field at the end of a struct with a size", "} pooler_session;", "  pooler_slice more;\n} pooler_session;"],
    ["a field at the end of an element", "} pooler_column;", "  uint64_t more;\n} pooler_column;"],
    ["a struct", "/* ---- Output", "typedef struct pooler_more {\n  uint32_t size;\n} pooler_more;\n/* ---- Output"],
    ["an export", "#endif\n\n/* ---- Accessors", "POOLER_EXPORT void pooler_more(void *state);\n#endif\n\n/* ---- Accessors"],
  ])("what may be added is no change: %s", (_, from, to) => {
    expect(changed(from, to)).toEqual([]);
    expect(hasAdditions(released, released.replace(from, to))).toBe(true);
  });

  it.each([
    ["a comment", "/* not mine: ask the next plugin */", "/* not mine */"],
    ["the body of an accessor", "out->role = role;\n  out->shard = shard;", "out->shard = shard;\n  out->role = role;"],
    ["the minor version", "#define POOLER_ABI_MINOR 0u", "#define POOLER_ABI_MINOR 1u"],
  ])("what no library has in it may change: %s", (_, from, to) => {
    expect(changed(from, to)).toEqual([]);
    expect(hasAdditions(released, released.replace(from, to))).toBe(false);
  });

  it("sees all that the header declares", () => {
    // Each change of a line that declares something shows, whichever it is.
    const unseen = released
      .replaceAll(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, " "))
      .split("\n")
      .filter((line) =>
        /^(#define POOLER_(?!PLUGIN_H|ABI_MINOR)|typedef (?!struct)|POOLER_EXPORT|static inline| {2}(?!return)\w+ \**\w+;)/.test(line),
      )
      .filter((line) => compareHeaders(released, released.replace(line.trimEnd(), "")).length === 0);
    expect(unseen).toEqual([]);
  });
});
