// The package whose tests run: found from the working directory upwards, as the pooler will find it by its name.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

export interface PluginPackage {
  readonly folder: string;
  readonly name: string;
}

/** `start`: a folder in the package. */
export function findPackage(start: string = process.cwd()): PluginPackage {
  for (let folder = resolve(start); ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file)) {
      const manifest = JSON.parse(readFileSync(file, "utf8")) as { readonly name?: unknown; readonly pooler?: unknown };
      if (typeof manifest.name === "string" && manifest.pooler !== undefined) return { folder, name: manifest.name };
    }
    if (folder === dirname(folder))
      throw new Error(`there is no package of a plugin (with "pooler" in package.json) in ${resolve(start)} or above it`);
  }
}
