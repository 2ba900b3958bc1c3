// Any other pooler: a program, and a directory with the templates of its configuration. The directory's peer.json says how it is run:
//   { "args": ["{{directory}}/pgcat.toml"], "version": ["--version"], "needsOrdinaryUser": false, "auth": ["trust"], "tls": false }
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BenchError } from "../bench-error.js";
import { launch } from "./launch.js";
import type { Grounds, Peer, Setup } from "./peer.js";

const templatesRoot = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "peers");
const descriptionFile = "peer.json";

export interface OtherProgram {
  readonly name: string;
  readonly path: string;
  readonly version: string;
  readonly templates: string;
  readonly description: Description;
}

interface Description {
  readonly args: readonly string[];
  /** Arguments that make it tell its version. */
  readonly version: readonly string[];
  /** It refuses to run as root. */
  readonly needsOrdinaryUser: boolean;
  /** The setups that the templates are for. */
  readonly auth: readonly string[];
  readonly tls: boolean;
}

export function findOther(name: string, path: string, chosenTemplates: string | undefined): OtherProgram {
  const templates = chosenTemplates ?? join(templatesRoot, name);
  const file = join(templates, descriptionFile);
  if (!existsSync(file)) {
    const own = readdirSync(templatesRoot).join(", ");
    throw new BenchError(
      `--peer ${name}: there is no ${file}. Name a directory with templates by --peer-config ${name}=DIRECTORY; those that come along are for ${own}.`,
    );
  }
  const description = readDescription(file);
  const { error, stdout } = spawnSync(path, [...description.version], { encoding: "utf8" });
  if (error !== undefined) throw new BenchError(`--peer ${name}=${path}: this cannot be run: ${error.message}`);
  return { name, path, version: /\d+(\.\d+)+[\w.-]*/.exec(stdout)?.[0] ?? "unknown", templates, description };
}

function readDescription(file: string): Description {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new BenchError(`${file} is no JSON.`, { cause });
  }
  const fields = new Map(typeof content === "object" && content !== null ? Object.entries(content) : []);
  const list = (key: string, otherwise: readonly string[] | undefined): readonly string[] => {
    const value: unknown = fields.get(key) ?? otherwise;
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
      throw new BenchError(`${file}: "${key}" has to be a list of texts.`);
    }
    return value;
  };
  return {
    args: list("args", undefined),
    version: list("version", ["--version"]),
    auth: list("auth", ["trust"]),
    needsOrdinaryUser: fields.get("needsOrdinaryUser") === true,
    tls: fields.get("tls") === true,
  };
}

export function createOtherPeer(program: OtherProgram, poolSize: number): Peer {
  const { name, description } = program;
  return {
    name,
    kind: "other",
    workers: 1,
    io: null,
    poolSize,
    objection({ setup }) {
      if (!description.auth.includes(setup.auth)) return `its templates are not for ${setup.auth}`;
      if (setup.tls && !description.tls) return "its templates are not for TLS";
      return setup.databases > 1 ? "its templates are for one database" : undefined;
    },
    start: (setup, grounds) =>
      launch(
        {
          name,
          async prepare({ port, directory }) {
            const values = placeholders(setup, grounds, { port, directory, poolSize });
            for (const file of readdirSync(program.templates)) {
              if (file === descriptionFile) continue;
              const template = readFileSync(join(program.templates, file), "utf8");
              await writeFile(join(directory, file), fill(template, values, file));
            }
            return {
              command: program.path,
              args: description.args.map((argument) => fill(argument, values, descriptionFile)),
              ...(description.needsOrdinaryUser ? { ids: grounds.unprivileged } : {}),
            };
          },
        },
        setup,
        grounds,
      ),
  };
}

interface Site {
  readonly port: number;
  readonly directory: string;
  readonly poolSize: number;
}

function placeholders(setup: Setup, { server, accounts, certificate }: Grounds, site: Site): ReadonlyMap<string, string> {
  return new Map([
    ["port", String(site.port)],
    ["directory", site.directory],
    ["poolSize", String(site.poolSize)],
    ["workers", "1"],
    ["serverHost", "127.0.0.1"],
    ["serverPort", String(server.port)],
    ["database", server.database],
    ["serverUser", accounts.plain],
    ["user", setup.auth === "trust" ? accounts.plain : accounts.scram.name],
    ["password", accounts.scram.password],
    ["certificate", certificate?.certificateFile ?? ""],
    ["key", certificate?.keyFile ?? ""],
  ]);
}

export function fill(template: string, values: ReadonlyMap<string, string>, file: string): string {
  return template.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = values.get(name);
    if (value === undefined) {
      throw new BenchError(`${file}: there is no placeholder {{${name}}}; there are ${[...values.keys()].join(", ")}.`);
    }
    return value;
  });
}
