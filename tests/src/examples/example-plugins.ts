// The plugins of examples/ for chains of tests, and the configuration that each of them documents.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";
import { cargoLibrary } from "../plugins/plugin-libraries.js";
import type { PluginEntry } from "../plugins/rig.js";

const folder = fileURLToPath(new URL("../../../examples", import.meta.url));

export type Config = Readonly<Record<string, unknown>>;

export const libraryOf = (name: string): string => cargoLibrary(`example_${name.replaceAll("-", "_")}`);

export function example(name: string, config: Config): PluginEntry {
  return { as: name, library: libraryOf(name), config };
}

/** `[plugins.config]` as the example's own documentation has it. */
export function documentedConfig(name: string): Config {
  const source = readFileSync(join(folder, name, "src", "lib.rs"), "utf8").replaceAll(/^\/\/! ?/gm, "");
  const toml = /^```toml\n([\s\S]*?)^```/m.exec(source)?.[1];
  const plugins = parse(toml ?? "")["plugins"] as readonly { readonly name: string; readonly config: Config }[] | undefined;
  if (plugins?.[0]?.name !== `./libexample_${name.replaceAll("-", "_")}.so`) throw new Error(`${name} documents no configuration`);
  return plugins[0].config;
}
