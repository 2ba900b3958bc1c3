// REFERENCE.md is what the header says, and all of it. `pnpm --filter @pooler/plugin-abi docs` writes the file anew.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { constants, includeDir, structs } from "../index.js";
import { renderReference } from "./render-reference.js";

const header = readFileSync(join(includeDir, "pooler_plugin.h"), "utf8");
const reference = renderReference(header);

test("REFERENCE.md is what the header says", async () => {
  await expect(reference).toMatchFileSnapshot(fileURLToPath(new URL("../../REFERENCE.md", import.meta.url)));
});

test("it has every constant with its value", () => {
  for (const [name, value] of Object.entries(constants)) {
    // The version stands above the first section.
    if (name.startsWith("POOLER_ABI_")) continue;
    const written = new RegExp(`^\\| \`${name}\` \\| \`(.*?)\` \\|`, "m").exec(reference)?.[1];
    expect(Number(written), name).toBe(value);
  }
});

test("it has every field where it is", () => {
  for (const [name, { size, fields }] of Object.entries(structs)) {
    const [, part = ""] = reference.split(`### \`${name}\`\n`);
    const [own = ""] = part.split(/^##/m);
    expect(own, name).toContain(`${size} bytes.`);
    expect([...own.matchAll(/^\| (\d+) \| `(\w+)`/gm)].map(([, offset, field]) => [field, Number(offset)])).toEqual(Object.entries(fields));
  }
});

test("it has every function that a plugin exports or may call", () => {
  const names = [...header.matchAll(/^(?:POOLER_EXPORT|static inline) [^;{]*?\b(\w+)\(/gm)].map(([, name = ""]) => name);
  expect(names.length).toBeGreaterThan(25);
  for (const name of names) expect(reference).toContain(`### \`${name}\`\n`);
});

test("no comment of the header is left out", () => {
  const [, ...sections] = header.split(/^\/\* -{4} .*$/m);
  const comments = [...sections.join("\n").matchAll(/\/\*([\s\S]*?)\*\//g)].map(([, text = ""]) =>
    text
      .replaceAll(/^ \* ?/gm, "")
      .replaceAll(/\s+/g, " ")
      .trim(),
  );
  expect(comments.length).toBeGreaterThan(100);
  const bodies = [...header.matchAll(/^static inline [^;{]*\{\n([\s\S]*?)^\}/gm)].map(([, body = ""]) => body).join("\n");
  const written = reference.replaceAll(/\\([|*<])/g, "$1");
  for (const comment of comments) {
    if (comment !== "POOLER_PLUGIN_H" && !bodies.includes(comment)) expect(written).toContain(comment);
  }
});
