// Whether package.json and what lies beside it will work where the package is installed, and agree with the library.
import { existsSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { PluginDescription } from "@pooler/core";
import { isObject, type PluginProject } from "../project.js";

export interface PackageJudgement {
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

/** Scripts that npm runs where the package is installed: many registries and companies forbid them. */
const installScripts = ["preinstall", "install", "postinstall", "prepare"];

export function judgePackage(project: PluginProject, library: PluginDescription): PackageJudgement {
  const { manifest, folder, version, name } = project;
  const problems: string[] = [];
  const notes: string[] = [];
  const pooler = isObject(manifest["pooler"]) ? manifest["pooler"] : {};
  const major = Number(library.abi.split(".")[0]);
  if (pooler["abi"] !== major)
    problems.push(`"pooler.abi" in package.json is ${JSON.stringify(pooler["abi"]) ?? "missing"}, the library says ABI ${library.abi}`);
  if (library.version !== version) notes.push(`package.json says version ${version}, the library says ${library.version}`);
  const files = manifest["files"];
  if (!Array.isArray(files)) problems.push('package.json has no "files": without it .gitignore keeps prebuilds/ out of the package');
  else {
    const holder = project.source?.lang === "js" ? relative(folder, dirname(project.source.module)) : "prebuilds";
    if (!files.some((file) => typeof file === "string" && holds(file, holder)))
      problems.push(`"files" in package.json does not name ${holder}`);
    const schema = pooler["config"];
    if (typeof schema === "string" && !files.some((file) => typeof file === "string" && join(folder, file) === join(folder, schema))) {
      problems.push(`"files" in package.json does not name ${schema}, which "pooler.config" does`);
    }
  }
  const scripts = isObject(manifest["scripts"]) ? manifest["scripts"] : {};
  for (const script of installScripts) {
    if (script in scripts && script !== "prepare")
      problems.push(`package.json has the script "${script}", which runs where the package is installed: plugins are prebuilt`);
  }
  const peers = manifest["peerDependencies"];
  if (!isObject(peers) || !("@pooler/plugin-abi" in peers))
    notes.push('package.json has no peerDependency on "@pooler/plugin-abi", which says for which pooler it is');
  if (project.schema === null) notes.push('there is no "pooler.config": a JSON Schema tells mistakes in [plugins.config] by line and key');
  if (!existsSync(join(folder, "README.md"))) notes.push(`${name} has no README.md`);
  return { problems, notes };
}

/** An entry of "files" and a folder, both relative to the package. */
function holds(entry: string, folder: string): boolean {
  const plain = entry.replace(/^\.?\//, "").replace(/\/(?:\*\*?)?$/, "");
  return plain === "" || plain === folder || folder.startsWith(`${plain}/`) || plain.startsWith(`${folder}/`);
}
