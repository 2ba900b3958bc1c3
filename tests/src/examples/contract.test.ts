// Every example keeps the contract, with the configuration that its documentation shows; and the list of examples is whole.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createWorkshop, repository } from "../authors/command.js";
import { documentedConfig, libraryOf } from "./example-plugins.js";

const workshop = createWorkshop();
const folder = mkdtempSync(join(tmpdir(), "pooler-examples-"));
afterAll(() => {
  workshop.remove();
  rmSync(folder, { recursive: true });
});

const names = readdirSync(join(repository, "examples"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

/** What is not on every machine. */
const here: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "query-log": { file: join(folder, "queries.jsonl") },
  // Nobody listens there, which it learns at once.
  "http-check": { url: "http://127.0.0.1:9/check" },
};

test.each(names)(
  "%s",
  async (name) => {
    const config = JSON.stringify({ ...documentedConfig(name), ...here[name] });
    const { code, out, err } = await workshop.plugin(["check", libraryOf(name), "--config", config], { env: { SVC_APP_PASSWORD: "x" } });
    expect(`${out}${err}`).toContain("It keeps the contract.");
    expect(code).toBe(0);
  },
  // A check runs for seconds.
  240_000,
);

test("each of them is in the list", () => {
  const list = readFileSync(join(repository, "examples", "README.md"), "utf8");
  expect(names.filter((name) => !list.includes(`[\`${name}\`](${name}/src/lib.rs)`))).toEqual([]);
});
