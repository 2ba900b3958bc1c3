// A private npm registry on loopback, as a company has one: verdaccio with users, a scope that only one of them may use, and the public
// registry behind it. And npm as its users run it, with nothing of the settings of whoever runs the tests.
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runServer } from "verdaccio";
import { repository, run } from "../authors/command.js";
import { startNpmMirror } from "./npm-mirror.js";

export interface Registry {
  /** With a slash at its end. */
  readonly url: string;
  /** For packages and projects of the test; removed with the registry. */
  readonly folder: string;
  /** A token of a user, who is made when there is none of this name. */
  login(user: string): Promise<string>;
  /** The environment of a user's shell: a home of its own, and no settings of npm but the registry's token, if any. */
  env(token?: string): NodeJS.ProcessEnv;
  /** Every package of this repository that is public, in the way in which releases are made. */
  publishPooler(): Promise<void>;
  /** What it has logged, for tests that fail. */
  log(): string;
  stop(): Promise<void>;
}

/** Who may read and write @acme/…. */
export const owner = "ada";

export const passwordOf = (user: string): string => `password-of-${user}`;

export async function startRegistry(): Promise<Registry> {
  const folder = mkdtempSync(join(tmpdir(), "pooler-registry-"));
  const mirror = await startNpmMirror();
  const logFile = join(folder, "registry.log");
  const server = (await runServer({
    configPath: join(folder, "config.yaml"),
    storage: join(folder, "storage"),
    auth: { htpasswd: { file: join(folder, "htpasswd"), max_users: 10 } },
    // Tokens that are looked at, not passwords that are hashed anew for each request.
    security: { api: { jwt: { sign: { expiresIn: "1d" } } } },
    uplinks: { public: { url: mirror.url, timeout: "60s", max_fails: 100 } },
    packages: {
      "@acme/*": { access: owner, publish: owner },
      "@pooler/*": { access: "$all", publish: "$authenticated" },
      "**": { access: "$all", proxy: "public" },
    },
    max_body_size: "100mb",
    web: { enable: false },
    log: { type: "file", path: logFile, format: "json", level: "http" },
  } as unknown as Parameters<typeof runServer>[0])) as Server;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const url = `http://${address}`;
  let homes = 0;

  const env = (token?: string): NodeJS.ProcessEnv => {
    const home = join(folder, `home-${homes++}`);
    mkdirSync(home);
    writeFileSync(join(home, ".npmrc"), token === undefined ? "" : `//${address}:_authToken=${token}\n`);
    return { ...withoutNpm(process.env), HOME: home, ...quiet };
  };
  const login = async (user: string): Promise<string> => {
    const answer = await fetch(`${url}-/user/org.couchdb.user:${user}`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: user, password: passwordOf(user) }),
    });
    const { token, error } = (await answer.json()) as { readonly token?: string; readonly error?: string };
    if (token === undefined) throw new Error(`the registry did not let ${user} in: ${error}`);
    return token;
  };
  return {
    url,
    folder,
    login,
    env,
    async publishPooler() {
      const token = await login("release");
      const { code, out, err } = await run(
        process.execPath,
        [join(repository, "node_modules", "pnpm", "bin", "pnpm.cjs"), "publish", "--recursive", "--no-git-checks", "--access", "public"],
        repository,
        { ...env(token), npm_config_registry: url },
      );
      if (code !== 0) throw new Error(`the packages of the pooler were not published:\n${out}\n${err}`);
    },
    log: () => readFileSync(logFile, "utf8"),
    async stop() {
      server.close();
      server.closeAllConnections();
      await mirror.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const quiet = { npm_config_audit: "false", npm_config_fund: "false", npm_config_update_notifier: "false", NO_PROXY: "127.0.0.1,localhost" };

/** undefined takes a variable out where the environment is that of the tests. */
function withoutNpm(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [
      name,
      /^npm_|^pnpm_|^node_auth_token$|_proxy$|^node_options$/i.test(name) ? undefined : value,
    ]),
  );
}
