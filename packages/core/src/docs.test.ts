// docs/ says what the code does. `pnpm --filter @pooler/core docs` writes the files anew.
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { renderErrorReference } from "./base/error-reference.js";
import { parseConfig } from "./config/load-config.js";
import { configJsonSchema, examples, renderConfigReference } from "./config/reference.js";

const docs = (name: string): string => fileURLToPath(new URL(`../../../docs/${name}`, import.meta.url));

test("docs/configuration.md is what the schema says", async () => {
  await expect(renderConfigReference()).toMatchFileSnapshot(docs("configuration.md"));
});

test("docs/pooler.schema.json is what the schema says", async () => {
  await expect(`${JSON.stringify(configJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(docs("pooler.schema.json"));
});

test("docs/errors.md is what the table of errors says", async () => {
  await expect(renderErrorReference()).toMatchFileSnapshot(docs("errors.md"));
});

test("the examples in the docs are files that work", () => {
  const verifier = `SCRAM-SHA-256$4096:AAAA$${"A".repeat(43)}=:${"A".repeat(43)}=`;
  const text = Object.values(examples)
    .join("\n")
    .replace('"file:secrets/web.verifier"', `"${verifier}"`)
    .replace('"file:secrets/operator"', '"x"');
  const config = parseConfig(text, "/etc/pooler.toml", {
    env: { APP_PASSWORD: "a", REPORTING_PASSWORD: "b" },
    resolvePlugin: (name) => ({ library: `/lib/${name}.so`, source: "package", packageVersion: null, schema: null }),
    onWarning: (warning) => expect.unreachable(warning),
  });
  expect(config.databases.map(({ name }) => name)).toEqual(["app", "reports"]);
  expect(config.plugins).toHaveLength(2);
});
