// What `pooler plugin check` looks at: the package of a plugin, or a library alone; with which configuration.
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import { isObject, type PluginProject, readProject } from "../project.js";
import { refusal } from "../refusal.js";

export interface CheckTarget {
  /** What it is called in messages. */
  readonly name: string;
  /** Null: a library alone. */
  readonly project: PluginProject | null;
  /** Null: the project is built first, or has it in prebuilds/. */
  readonly library: string | null;
}

export function findTarget(path: string): CheckTarget {
  const absolute = resolve(path);
  const found = statSync(absolute, { throwIfNoEntry: false });
  if (found === undefined) throw refusal(`there is no ${absolute}`, "Give the folder of a plugin's package, or its library.");
  if (found.isFile()) return { name: basename(absolute), project: null, library: absolute };
  const project = readProject(absolute);
  return { name: `${project.name} ${project.version}`, project, library: null };
}

/** `given`: JSON, or @ and a file with JSON. Without it the first example of the package's schema. */
export function configOf(project: PluginProject | null, given: string | undefined): string {
  if (given !== undefined) return readGiven(given);
  const examples = project?.schema?.["examples"];
  return JSON.stringify(Array.isArray(examples) && isObject(examples[0]) ? examples[0] : {});
}

function readGiven(given: string): string {
  const file = given.startsWith("@") ? resolve(given.slice(1)) : null;
  if (file !== null && !existsSync(file)) throw refusal(`there is no file ${file} with a configuration`);
  const text = file === null ? given : readFileSync(file, "utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refusal(
      `the configuration is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      `It is what [plugins.config] holds: '{"key": "value"}'.`,
    );
  }
  if (!isObject(value)) throw refusal("the configuration is no JSON object", `It is what [plugins.config] holds: '{"key": "value"}'.`);
  return JSON.stringify(value);
}

/** Of a file, separated by lines with nothing but a semicolon or by empty lines. */
export function statementsIn(file: string): readonly string[] {
  const path = resolve(file);
  if (!existsSync(path)) throw refusal(`there is no file ${path} with statements`);
  return readFileSync(path, "utf8")
    .split(/\n\s*;?\s*\n/)
    .map((text) => text.trim())
    .filter((text) => text !== "");
}
