// A new version of a plugin, and another chain, come with a reload: new workers take the places of the old ones one by one, and clients notice
// nothing of it.
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import type { WireClient } from "../harness/wire-client.js";
import { capability, compilePlugin, script } from "./plugin-libraries.js";
import { batch, type Rig, run, startRig } from "./rig.js";

const source = fileURLToPath(new URL("fixtures/doom.c", import.meta.url));
const version = (name: string): string => compilePlugin(source, { VERSION: `"${name}"` });
const folder = mkdtempSync(join(tmpdir(), "pooler-versions-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let rig: Rig;
afterEach(async () => {
  await rig.disconnectAll();
  await rig.stop();
});

const start = async (workers: number): Promise<void> => {
  rig = await startRig({
    plugins: [{ as: "plugin", library: version("1.0.0"), config: { folder } }],
    databases: { app: { shards: sharedShards().slice(0, 1), pool_size: 2 } },
    rest: { workers },
  });
};

/** As package managers and compilers do: the new file takes the name of the old one. */
function install(library: string): void {
  const path = join(dirname(rig.pooler.configFile), "plugin");
  symlinkSync(library, `${path}.new`);
  renameSync(`${path}.new`, path);
}

/** What RELOAD answers: its notices, or its error. */
async function reload(): Promise<string> {
  const admin = await rig.client({ user: "admin", database: "pooler" });
  const answer = await admin.query("RELOAD");
  const error = errorIn(answer);
  return error === undefined ? answer.map(String).join(" ") : `${error["C"]} ${error["M"]}`;
}

/** The version that answers a client, by its refusal. */
const versionFor = async (client: WireClient): Promise<string | undefined> =>
  errorIn(await client.query("SELECT 'forbidden'"))?.["M"]?.replace("that is forbidden by ", "");

const newVersion = async (): Promise<string | undefined> => versionFor(await rig.client());

describe.each([1, 2])("with %i workers", (workers) => {
  test("clients under load notice nothing, and a new version answers afterwards", async () => {
    await start(workers);
    const clients = await Promise.all(Array.from({ length: 6 }, () => rig.client()));
    let over = false;
    let rounds = 0;
    const failures: unknown[] = [];
    const load = clients.map(async (client, n) => {
      for (let count = 0; !over; count++) {
        const answer = await batch(client, run("SELECT $1::text", { values: [`${n}-${count}`] }));
        if (rowsOf(answer)[0]?.[0] !== `${n}-${count}`) failures.push(errorIn(answer) ?? rowsOf(answer));
        rounds++;
      }
    });
    const working = Promise.all(load);
    working.catch(() => {});
    install(version("2.0.0"));
    expect(await reload()).toContain("changed: plugins[0].library");
    for (let i = 0; i < 2 * workers; i++) expect(await newVersion()).toBe("2.0.0");
    // Who was there is still served, by the old one, and by no more servers than there may be.
    const seen = rounds;
    while (rounds < seen + 60) await new Promise((resolve) => setImmediate(resolve));
    over = true;
    await working;
    expect(failures).toEqual([]);
    for (const client of clients) expect(await versionFor(client)).toBe("1.0.0");
    const [pool] = await rig.console("SHOW POOLS");
    expect(Number(pool?.["sv_active"]) + Number(pool?.["sv_idle"])).toBeLessThanOrEqual(2);
    expect((await rig.console("SHOW PLUGINS"))[0]).toMatchObject({ version: "2.0.0", state: "active" });
    expect((await rig.console("SHOW WORKERS")).filter(({ state }) => state === "retiring").length).toBeGreaterThan(0);
    const from = rig.pooler.log.length;
    await rig.disconnectAll();
    // Workers without clients have ended before, those with consoles may still be there.
    for (const client of clients) await client.closed;
    expect(rig.pooler.log.slice(from).filter(({ level }) => level === "error")).toEqual([]);
  });

  test("transactions of old and new clients take turns within the same pool", async () => {
    await start(workers);
    const old = await Promise.all([rig.client(), rig.client()]);
    for (const client of old) await client.query("BEGIN; SELECT 1");
    install(version("2.0.0"));
    await reload();
    // The new worker has no connection of its own, and gets none as long as the old one needs them all.
    const answer = newVersion();
    for (const client of old) expect(errorIn(await client.query("COMMIT"))).toBeUndefined();
    expect(await answer).toBe("2.0.0");
    for (const client of old) expect(rowsOf(await client.query("SELECT 'served'"))).toEqual([["served"]]);
  });

  test("a new version that does not load changes nothing, and the reload says why", async () => {
    await start(workers);
    const client = await rig.client();
    const broken = join(folder, `broken-${workers}`);
    writeFileSync(broken, "no library");
    install(broken);
    expect(await reload()).toMatch(/^F0000 the plugins stay as they were: worker \d could not start: plugin "\.\/plugin" .*cannot be used/);
    expect(await versionFor(client)).toBe("1.0.0");
    expect(await newVersion()).toBe("1.0.0");
    install(version("2.0.0"));
    expect(await reload()).toContain("changed: plugins[0].library");
    expect(await newVersion()).toBe("2.0.0");
  });
});

test("a plugin that is JavaScript comes the same way", async () => {
  const js = fileURLToPath(new URL("../../../packages/plugin-abi/dist/js/index.js", import.meta.url));
  const module = join(folder, "version.mjs");
  const write = (name: string): void =>
    writeFileSync(
      module,
      `import { definePlugin, refuse } from ${JSON.stringify(js)};
export default definePlugin({ name: "version", version: "${name}", route: () => refuse("that is forbidden by ${name}") });
`,
    );
  write("1.0.0");
  rig = await startRig({ plugins: [{ as: "version.mjs", library: module }], databases: { app: { shards: sharedShards().slice(0, 1) } } });
  const stays = await rig.client();
  write("2.0.0-beta");
  expect(await reload()).toContain("changed: plugins[0].library");
  expect([await versionFor(stays), await newVersion()]).toEqual(["1.0.0", "2.0.0-beta"]);
});

test("another chain, other settings and no plugin at all come the same way", async () => {
  rig = await startRig({
    plugins: [{ as: "plugin", library: version("1.0.0"), config: { folder } }],
    databases: { app: { shards: sharedShards().slice(0, 1) } },
  });
  symlinkSync(script(capability.inspect), join(dirname(rig.pooler.configFile), "script"));
  const scripted = (name: string) => ({ name: "./script", config: { name } });
  const plugins = rig.config["plugins"] as readonly unknown[];
  const answers = async (): Promise<(string | undefined)[]> => {
    const client = await rig.client();
    const texts = ["SELECT 'forbidden'", "SELECT /*a: error 22023 no*/ 1", "SELECT /*b: error 22023 no*/ 1"];
    const codes: (string | undefined)[] = [];
    for (const text of texts) codes.push(errorIn(await client.query(text))?.["C"]);
    return codes;
  };
  expect(await answers()).toEqual(["42501", undefined, undefined]);
  rig.pooler.writeConfig({ ...rig.config, plugins: [scripted("a"), ...plugins] });
  expect(await reload()).toContain("changed: plugins");
  expect(await answers()).toEqual(["42501", "22023", undefined]);
  // The script has no reload hook.
  rig.pooler.writeConfig({ ...rig.config, plugins: [scripted("b"), ...plugins] });
  expect(await reload()).toContain("changed: plugins[0].config");
  expect(await answers()).toEqual(["42501", undefined, "22023"]);
  rig.pooler.writeConfig({ ...rig.config, plugins: [] });
  expect(await reload()).toContain("changed: plugins");
  expect(await answers()).toEqual([undefined, undefined, undefined]);
  expect(await rig.console("SHOW PLUGINS")).toEqual([]);
});
