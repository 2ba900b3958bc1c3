// Data directories: one initdb a version, kept in the cache as a template, and a copy of it for every server.
// A primary and its replicas begin as copies of the same template, which is all that a cold copy has to be.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { appendFile, chmod, chown, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { cacheDirectory, type Installation } from "./installation.js";
import { runCommand } from "./run-command.js";
import type { ServerUser } from "./server-user.js";
import type { TlsFiles } from "./types.js";

export const superuser = "postgres";

const initdbArguments = [`--username=${superuser}`, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];

/** What a server inherits: nothing that could point it at other libraries, directories or servers. */
export const serverEnvironment: NodeJS.ProcessEnv = { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };

export interface ServerConfig {
  readonly settings: Readonly<Record<string, string>>;
  readonly hba: readonly string[];
  readonly tls?: TlsFiles;
  /** Makes it a standby of the server at this port. */
  readonly primaryPort?: number;
  readonly name: string;
}

/** The directory of a template, made when it is not there yet. */
export async function findTemplate(installation: Installation, user: ServerUser, scratch: string): Promise<string> {
  const key = createHash("sha256").update(initdbArguments.join("\0")).digest("hex").slice(0, 12);
  const platform = `${process.platform}-${process.arch}`;
  const template = join(cacheDirectory, "templates", `${installation.version}-${platform}-${key}`);
  if (existsSync(join(template, "PG_VERSION"))) {
    return template;
  }
  const fresh = join(scratch, "template");
  await mkdir(fresh, { mode: 0o700 });
  await handOver(fresh, user);
  await runCommand(join(installation.root, "bin", "initdb"), [...initdbArguments, "-D", fresh], {
    as: user,
    env: serverEnvironment,
    cwd: "/",
  });
  return (await keepTemplate(fresh, template)) ? template : fresh;
}

async function keepTemplate(fresh: string, template: string): Promise<boolean> {
  let unfinished: string | undefined;
  try {
    await mkdir(dirname(template), { recursive: true });
    unfinished = await mkdtemp(`${template}.`);
    await runCommand("cp", ["-R", `${fresh}/.`, unfinished]);
    await rename(unfinished, template);
    return true;
  } catch {
    // The cache cannot be written, or somebody else was faster: the fresh one serves as well.
    if (unfinished !== undefined) {
      await rm(unfinished, { recursive: true, force: true });
    }
    return false;
  }
}

export async function createDataDirectory(template: string, path: string, user: ServerUser, config: ServerConfig): Promise<void> {
  await runCommand("cp", ["-R", template, path]);
  await chmod(path, 0o700);
  await writeFile(join(path, "pg_hba.conf"), `${[...config.hba, ...defaultHba].join("\n")}\n`);
  const settings: Record<string, string> = {};
  if (config.tls !== undefined) {
    await writeFile(join(path, "server.crt"), config.tls.certificate);
    await writeFile(join(path, "server.key"), config.tls.privateKey, { mode: 0o600 });
    settings["ssl"] = "on";
    if (config.tls.clientAuthority !== undefined) {
      await writeFile(join(path, "root.crt"), config.tls.clientAuthority);
      settings["ssl_ca_file"] = "root.crt";
    }
  }
  if (config.primaryPort !== undefined) {
    await writeFile(join(path, "standby.signal"), "");
    settings["primary_conninfo"] =
      `host=127.0.0.1 port=${config.primaryPort} user=${superuser} application_name=${config.name} sslmode=disable gssencmode=disable`;
  }
  Object.assign(settings, config.settings);
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
  await appendFile(join(path, "postgresql.conf"), `\n${lines.join("\n")}\n`);
  await handOver(path, user);
}

const defaultHba = ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"];

async function handOver(path: string, user: ServerUser): Promise<void> {
  if (user.isOther) {
    await chown(path, user.uid, user.gid);
    await runCommand("chown", ["-R", `${user.uid}:${user.gid}`, path]);
  }
}
