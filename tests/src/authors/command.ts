// `pooler plugin …` as an author runs it: the built command, in a folder outside the repository whose node_modules lead to the
// packages of this one.
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("../../..", import.meta.url));
const cli = join(dirname(createRequire(import.meta.url).resolve("@pooler/cli/package.json")), "bin", "pooler.js");

export interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Workshop {
  readonly folder: string;
  /** Runs `pooler plugin …args`. */
  plugin(
    args: readonly string[],
    options?: { readonly cwd?: string; readonly env?: Readonly<Record<string, string | undefined>> },
  ): Promise<Finished>;
  /** What `npm install` does in a package, with what is here. */
  install(folder: string): void;
  remove(): void;
}

/** The crates are taken from this repository, and what they need from what cargo has already. */
const cargoConfig = `[patch.crates-io]
pooler-plugin = { path = ${JSON.stringify(join(repository, "rust-plugins", "pooler-plugin"))} }

[build]
target-dir = ${JSON.stringify(join(repository, "rust-plugins", "target", "authors"))}

[net]
offline = true
`;

export function createWorkshop(): Workshop {
  const folder = mkdtempSync(join(tmpdir(), "pooler-authors-"));
  mkdirSync(join(folder, ".cargo"));
  writeFileSync(join(folder, ".cargo", "config.toml"), cargoConfig);
  return {
    folder,
    plugin: (args, { cwd = folder, env = {} } = {}) => run(process.execPath, [cli, "plugin", ...args], cwd, env),
    install(target) {
      const scope = join(target, "node_modules", "@pooler");
      mkdirSync(scope, { recursive: true });
      for (const name of ["cli", "plugin-abi", "plugin-testing"]) symlinkSync(join(repository, "packages", name), join(scope, name), "dir");
      // A package in TypeScript has these from npm.
      mkdirSync(join(target, "node_modules", "@types"));
      symlinkSync(join(repository, "tests", "node_modules", "typescript"), join(target, "node_modules", "typescript"), "dir");
      symlinkSync(join(repository, "tests", "node_modules", "@types", "node"), join(target, "node_modules", "@types", "node"), "dir");
      // The versions that cargo has here.
      if (existsSync(join(target, "Cargo.toml"))) copyFileSync(join(repository, "rust-plugins", "Cargo.lock"), join(target, "Cargo.lock"));
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, NO_COLOR: "1", ...env }, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      err += text;
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, out, err }));
  });
}
