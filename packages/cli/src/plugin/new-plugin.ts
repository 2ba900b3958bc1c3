// `pooler plugin new`: lays out a package that builds, tests and publishes as it is, from the files in templates/.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { shown } from "./project.js";
import { refusal } from "./refusal.js";

export const languages = ["rust", "c", "ts"] as const;
export type Language = (typeof languages)[number];

/** Folders in templates/. "prefix": settings and tests of a plugin that guards tables by a prefix of their names. */
const templatesOf: Readonly<Record<Language, readonly string[]>> = { rust: ["prefix", "rust"], c: ["c"], ts: ["prefix", "ts"] };

export interface NewPluginOptions {
  /** Of the npm package: "@acme/pooler-plugin-audit". */
  readonly name: string;
  readonly lang: string;
  /** Null: a new folder of the package's name, without its scope. */
  readonly folder: string | null;
  /** Of @pooler/cli, which the package will ask for. */
  readonly version: string;
}

const templates = fileURLToPath(new URL("../../templates", import.meta.url));
const mostNameLength = 214;

/** Returns the folder that it made. */
export function newPlugin({ name, lang, folder, version }: NewPluginOptions): string {
  const language = languages.find((known) => known === lang);
  if (language === undefined)
    throw refusal(`there is no template for the language "${lang}"`, `The languages are ${languages.join(", ")}.`);
  const names = namesOf(name);
  const target = resolve(folder ?? names.crate);
  if (existsSync(target) && readdirSync(target).some((entry) => entry !== ".git")) {
    throw refusal(`${shown(target)} is there already and not empty`, "Give another folder with --folder, or empty this one.");
  }
  for (const template of templatesOf[language]) {
    for (const file of filesOf(join(templates, template))) {
      const text = readFileSync(join(templates, template, ...file), "utf8");
      // npm leaves .gitignore out of the packages that it makes.
      const to = join(target, ...file.map((part) => (part === "_gitignore" ? ".gitignore" : part)));
      mkdirSync(join(to, ".."), { recursive: true });
      writeFileSync(to, fill(text, names, version, file.at(-1) === "package.json"));
    }
  }
  return target;
}

interface Names {
  readonly package: string;
  /** The package's name without its scope: of the folder and the crate. */
  readonly crate: string;
  readonly library: string;
  /** What the plugin calls itself. */
  readonly plugin: string;
}

export function namesOf(name: string): Names {
  const match = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?([a-z][a-z0-9_-]*)$/.exec(name);
  const crate = match?.[1];
  if (crate === undefined || name.length > mostNameLength) {
    throw refusal(
      `"${name}" cannot be the name of a plugin's package`,
      'Use lower-case letters, digits and hyphens, with or without a scope: "@acme/pooler-plugin-audit".',
    );
  }
  if (crate === "pooler-plugin" || crate === "pooler" || name.startsWith("@pooler/")) {
    throw refusal(`"${name}" is a name of the pooler itself`, 'Take one of your own: "@acme/pooler-plugin-audit".');
  }
  return { package: name, crate, library: crate.replaceAll("-", "_"), plugin: crate.replace(/^pooler-(?:plugin-)?(?=.)/, "") };
}

function fill(text: string, names: Names, version: string, isManifest: boolean): string {
  const filled = text
    .replaceAll("template-package-name", names.package)
    .replaceAll("template-crate-name", names.crate)
    .replaceAll("template_crate_name", names.library)
    .replaceAll("template-plugin-name", names.plugin);
  // Packages of the pooler are released together.
  return isManifest ? filled.replaceAll(/("@pooler\/[a-z-]+"): "\*"/g, `$1: "^${version}"`) : filled;
}

function filesOf(folder: string, at: readonly string[] = []): string[][] {
  return readdirSync(join(folder, ...at), { withFileTypes: true }).flatMap((entry) => {
    const path = [...at, entry.name];
    return entry.isDirectory() ? filesOf(folder, path) : [path];
  });
}
