// Stands in for the public npm registry: serves the packages that are installed in this repository, in the versions that are. Needs no network;
// knows nothing of who asks.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { cp } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { repository } from "../authors/command.js";

export interface NpmMirror {
  readonly url: string;
  close(): Promise<void>;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
}

export async function startNpmMirror(): Promise<NpmMirror> {
  const folders = installedPackages();
  const server = createServer((request, response) => {
    answer(folders, `http://127.0.0.1:${(server.address() as AddressInfo).port}`, request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

type Folders = ReadonlyMap<string, readonly string[]>;

/** By name: where pnpm has put the versions of a package. */
function installedPackages(): Folders {
  const store = join(repository, "node_modules", ".pnpm");
  const found = new Map<string, string[]>();
  const add = (modules: string, name: string): void => {
    const folder = join(modules, name);
    // Links lead to what another package depends on.
    if (lstatSync(folder).isDirectory()) found.set(name, [...(found.get(name) ?? []), folder]);
  };
  for (const entry of readdirSync(store)) {
    const modules = join(store, entry, "node_modules");
    for (const name of entry === "node_modules" || !entry.includes("@") ? [] : readdirSync(modules)) {
      if (!name.startsWith("@")) add(modules, name);
      else for (const scoped of readdirSync(join(modules, name))) add(modules, `${name}/${scoped}`);
    }
  }
  return found;
}

async function answer(folders: Folders, origin: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = decodeURIComponent(new URL(request.url ?? "/", origin).pathname).slice(1);
  const [name = "", file] = path.split("/-/");
  const versions = (folders.get(name) ?? []).map((folder) => ({
    folder,
    manifest: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest,
  }));
  const tarball = ({ version }: Manifest): string => `${basename(name)}-${version}.tgz`;
  if (file === undefined && versions.length > 0) {
    const newest = versions.map(({ manifest }) => manifest.version).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    response.setHeader("content-type", "application/json");
    response.end(
      JSON.stringify({
        name,
        "dist-tags": { latest: newest.at(-1) },
        versions: Object.fromEntries(
          versions.map(({ manifest }) => [
            manifest.version,
            { ...manifest, dist: { tarball: `${origin}/${name}/-/${tarball(manifest)}` } },
          ]),
        ),
      }),
    );
    return;
  }
  const wanted = versions.find(({ manifest }) => tarball(manifest) === file);
  if (wanted === undefined) {
    response.writeHead(404, { "content-type": "application/json" }).end('{"error":"not found"}');
    return;
  }
  response.setHeader("content-type", "application/octet-stream");
  await pack(wanted.folder, response);
}

/** A copy is packed: pnpm links files with the same content to each other, and npm leaves links out. */
async function pack(folder: string, response: ServerResponse): Promise<void> {
  const workshop = mkdtempSync(join(tmpdir(), "pooler-mirror-"));
  try {
    await cp(folder, join(workshop, "package"), { recursive: true, filter: (path) => path !== join(folder, "node_modules") });
    const tar = spawn("tar", ["-C", workshop, "-cf", "-", "package"], { stdio: ["ignore", "pipe", "inherit"] });
    await pipeline(tar.stdout, createGzip({ level: 1 }), response);
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
}
