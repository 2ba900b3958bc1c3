// A company's own registry: the pooler's packages and a private plugin are published to it as releases are, installed from it by name into an
// empty project, and run. Who is not let in neither publishes nor installs.
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Finished, repository, run } from "../authors/command.js";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, type WireClient } from "../harness/wire-client.js";
import { byCustomer, libraryFile, platform } from "../plugins/plugin-libraries.js";
import { batch, run as execute, int8, onAllShards, placeIn, port } from "../plugins/rig.js";
import { type InstalledPooler, startInstalledPooler } from "./installed-pooler.js";
import { owner, passwordOf, type Registry, startRegistry } from "./registry.js";
import { followTutorial, readTutorial } from "./tutorial.js";

// npm is started some twenty times.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 180_000 });

const plugin = "@acme/pooler-plugin-by-customer";
let registry: Registry;
let ownersToken: string;
beforeAll(async () => {
  registry = await startRegistry();
  ownersToken = await registry.login(owner);
  await registry.publishPooler();
  layPlugin();
});
afterAll(() => registry.stop());

const pluginFolder = (): string => join(registry.folder, "by-customer");

/** The private plugin: a library of C, built for this machine. */
function layPlugin(): void {
  const prebuilds = join(pluginFolder(), "prebuilds", platform);
  mkdirSync(prebuilds, { recursive: true });
  copyFileSync(byCustomer(), join(prebuilds, libraryFile));
  writeFileSync(
    join(pluginFolder(), "package.json"),
    JSON.stringify({
      name: plugin,
      version: "3.1.4",
      files: ["prebuilds"],
      pooler: { abi: 1 },
      peerDependencies: { "@pooler/plugin-abi": `^${versionOf("plugin-abi")}` },
    }),
  );
  writeFileSync(join(pluginFolder(), ".npmrc"), `registry=${registry.url}\n`);
}

function versionOf(folder: string): string {
  return (JSON.parse(readFileSync(join(repository, "packages", folder, "package.json"), "utf8")) as { readonly version: string }).version;
}

/** A folder with what a project of that company has in its .npmrc; the token comes from the environment. */
function emptyProject(name: string): string {
  const folder = join(registry.folder, name);
  mkdirSync(folder);
  const host = new URL(registry.url).host;
  writeFileSync(
    join(folder, ".npmrc"),
    [`registry=${registry.url}`, `//${host}/:_authToken=\${NPM_TOKEN}`, "ignore-scripts=true", ""].join("\n"),
  );
  return folder;
}

const npm = (args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Finished> => run("npm", args, cwd, env);

describe("publishing", () => {
  const published = async (): Promise<Finished> => npm(["view", plugin, "version"], pluginFolder(), registry.env(ownersToken));

  test("without a login is refused", async () => {
    const nobody = await npm(["publish"], pluginFolder(), registry.env());
    expect(nobody.err).toMatch(/npm error code ENEEDAUTH/);
    const unknown = await npm(["publish"], pluginFolder(), registry.env("made-up"));
    expect(unknown.err).toMatch(/npm error code E401/);
    expect([nobody.code, unknown.code]).not.toContain(0);
  });

  test("by somebody whose scope it is not is refused", async () => {
    const other = await npm(["publish"], pluginFolder(), registry.env(await registry.login("eve")));
    expect(other.code).not.toBe(0);
    expect(other.err).toMatch(/npm error code E403/);
    expect((await published()).err).toMatch(/npm error code E404/);
  });

  test("by its owner works", async () => {
    const own = await npm(["publish"], pluginFolder(), registry.env(ownersToken));
    expect(own.err).not.toContain("npm error");
    expect(own.out).toContain(`+ ${plugin}@3.1.4`);
    expect((await published()).out.trim()).toBe("3.1.4");
  });
});

describe("installing", () => {
  test.each([
    ["nobody", async () => registry.env(), /npm error code E401/],
    ["a made-up token", async () => ({ ...registry.env(), NPM_TOKEN: "made-up" }), /npm error code E401/],
    ["somebody else", async () => ({ ...registry.env(), NPM_TOKEN: await registry.login("mallory") }), /npm error code E403/],
  ])("the private plugin as %s is refused", async (who, env, message) => {
    const project = emptyProject(`project of ${who}`);
    const { code, err } = await npm(["install", plugin], project, await env());
    expect(err).toMatch(message);
    expect(code).not.toBe(0);
  });

  test("what is public needs no login, and brings no version of the workspace", async () => {
    const project = emptyProject("public");
    const shown = await npm(["view", "@pooler/cli", "dependencies", "--json"], project, registry.env());
    expect(JSON.parse(shown.out)).toMatchObject({
      "@pooler/core": `^${versionOf("core")}`,
      "@pooler/plugin-abi": `^${versionOf("plugin-abi")}`,
    });
    expect(shown.out).not.toContain("workspace:");
  });
});

describe("an empty project", () => {
  let pooler: InstalledPooler | undefined;
  let client: WireClient | undefined;
  afterAll(async () => {
    client?.reset();
    await pooler?.stop();
  });

  test("installs pooler and plugins by name, starts, and routes by them", async () => {
    const project = emptyProject("project");
    const env = { ...registry.env(), NPM_TOKEN: ownersToken };
    const installed = await npm(["install", "@pooler/cli", "@pooler/plugin-read-write-split", plugin], project, env);
    expect(installed.err).not.toContain("npm error");
    expect(installed.code).toBe(0);
    writeFileSync(
      join(project, "pooler.toml"),
      stringify({
        listen: { host: "127.0.0.1", port: 0, auth: "trust" },
        log: { format: "json" },
        users: { app: { server_user: "postgres" }, admin: { console: "admin" } },
        databases: { app: { shards: sharedShards() } },
        plugins: [{ name: "@pooler/plugin-read-write-split" }, { name: plugin }],
      }),
    );
    pooler = await startInstalledPooler(project, env);
    client = await connectWire({ port: pooler.port });
    await client.login({ user: "app", database: "app" });
    // The private plugin knows the shard, the public one that it is a read.
    expect(placeIn(await batch(client, execute(`SELECT ${port}, $1::int8`, { values: [int8(3)] })))).toBe("1 replica");
    expect(placeIn(await batch(client, execute(`SELECT ${port}, $1::int8`, { values: [int8(4)] })))).toBe("0 replica");
    expect(placeIn(await batch(client, execute(`SELECT ${port}, $1::int8 FOR UPDATE`, { values: [int8(3)] })))).toBe("1 primary");
    expect(errorIn(await client.query("DROP TABLE nothing"))).toMatchObject({ M: "nothing is dropped here" });

    const admin = await connectWire({ port: pooler.port });
    await admin.login({ user: "admin", database: "pooler" });
    const shown = rowsOf(await admin.query("SHOW PLUGINS")).map((row) => row.join(" "));
    admin.reset();
    expect(shown[1]).toContain(join(project, "node_modules", plugin, "prebuilds", platform, libraryFile));
    const listed = await run("npx", ["pooler", "plugin", "list"], project, env);
    expect(listed.err).toBe("");
    expect(listed.out).toMatch(/2\. @acme\/pooler-plugin-by-customer\n +plugin +by-customer/);
  });
});

describe("docs/tutorial.md", () => {
  const steps = readTutorial();

  test("followed word by word ends with a published plugin that decides about queries", { timeout: 300_000 }, async () => {
    const folder = join(registry.folder, "tutorial");
    mkdirSync(folder);
    await onAllShards("DROP TABLE IF EXISTS tutorial");
    const written = await followTutorial(steps, {
      folder,
      env: {
        ...registry.env(),
        REGISTRY: registry.url,
        DATABASE_URL: sharedShards()[0]?.primary,
        POOLER_PORT: String(await freePort()),
      },
      answers: [
        ["Username:", owner],
        ["Password:", passwordOf(owner)],
      ],
    });
    let commands = 0;
    for (const step of steps) {
      if (step.kind === "commands") commands = step.line;
      if (step.kind !== "output") continue;
      const said = written.get(commands) ?? "";
      let from = 0;
      for (const line of step.text.trimEnd().split("\n")) {
        const at = said.indexOf(line, from);
        expect(at, `docs/tutorial.md:${step.line}: "${line}" is not in what the commands wrote:\n${said}`).not.toBe(-1);
        from = at + line.length;
      }
    }
    await onAllShards("DROP TABLE IF EXISTS tutorial");
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port: free } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return free;
}
