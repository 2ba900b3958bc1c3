// What processes load before they work: every library costs some milliseconds of the start and some megabytes for good.
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** Packages that are loaded when a source file is: what import() and createRequire() bring later is not among them. */
function packagesBehind(file: string): string[] {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const follow = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const [, target = ""] of readFileSync(path, "utf8").matchAll(/^(?:import|export)(?! type)(?:[^;"]* from)? "([^"]+)";$/gm)) {
      if (target.startsWith(".")) follow(resolve(dirname(path), target.replace(/\.js$/, ".ts")));
      else if (!target.startsWith("node:")) packages.add(target);
    }
  };
  follow(fileURLToPath(new URL(file, import.meta.url)));
  return [...packages].sort();
}

test("a worker without plugins loads the way to native code and no other library", () => {
  expect(packagesBehind("../worker/main.ts")).toEqual(["@pooler/plugin-abi", "koffi"]);
});

test("the start of the pooler loads what reads the configuration; loggers, metrics and checks of settings come when they are used", () => {
  expect(packagesBehind("../index.ts")).toEqual(["@pooler/plugin-abi", "koffi", "smol-toml", "zod"]);
});
