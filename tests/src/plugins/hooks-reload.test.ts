// reload: plugins take another configuration while clients are served, or refuse it, and then everything stays as it was.
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import type { PoolerToml } from "../harness/pooler.js";
import { createHookLog, refusalOf } from "./hook-rig.js";
import { hooks } from "./plugin-libraries.js";
import { type Rig, startRig } from "./rig.js";

type Config = Readonly<Record<string, unknown>>;

const log = createHookLog();
let rig: Rig;
beforeEach(() => log.clear());
afterEach(async () => {
  await rig.disconnectAll();
  await rig.stop();
});
afterAll(() => log.remove());

async function start(one: Config, two: Config, workers = 1): Promise<void> {
  rig = await startRig({
    plugins: [
      { as: "one", library: hooks(), config: { file: log.file, ...one } },
      { as: "two", library: hooks(), config: { file: log.file, ...two } },
    ],
    rest: { workers },
  });
}

/** The file with these settings for the plugins. */
function withConfigs(one: Config, two: Config): PoolerToml {
  const [first, second] = rig.config["plugins"] as readonly Record<string, unknown>[];
  return {
    ...rig.config,
    plugins: [
      { ...first, config: { file: log.file, ...one } },
      { ...second, config: { file: log.file, ...two } },
    ],
  };
}

/** What RELOAD answers: its notices, or its error. */
async function reload(): Promise<string> {
  const admin = await rig.client({ user: "admin", database: "pooler" });
  const answer = await admin.query("RELOAD");
  const error = errorIn(answer);
  return error === undefined ? answer.map(String).join(" ") : `${error["C"]} ${error["M"]}`;
}

describe.each([1, 2])("with %i workers", (workers) => {
  test("another configuration is taken, and clients stay", async () => {
    await start({}, { deny: "evil" }, workers);
    const client = await rig.client();
    await client.query("BEGIN");
    rig.pooler.writeConfig(withConfigs({ label: "new" }, { deny: "app" }));
    expect(await reload()).toContain("plugins[1].config");
    const labels = log.calls("reload").map(([label]) => label);
    expect(labels.filter((label) => label === "new")).toHaveLength(workers);
    expect(labels.filter((label) => label === "")).toHaveLength(workers);
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    expect(await refusalOf(rig.pooler, { user: "app", database: "app" })).toMatchObject({ C: "28P99" });
  });

  test("when one refuses, all keep what they had, and the reload says who", async () => {
    await start({ deny: "evil" }, {}, workers);
    rig.pooler.writeConfig(withConfigs({ deny: "app", label: "new" }, { refuse_reload: true }));
    expect(await reload()).toContain('plugin "./two" refused it: I do not want that configuration');
    // The first had taken it, and was given back what it had.
    expect(log.calls("reload").filter(([label]) => label === "new")).not.toEqual([]);
    const client = await rig.client();
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    expect(await refusalOf(rig.pooler, { user: "evil", database: "app" })).toMatchObject({ C: "28P99" });
  });
});

test.each(["fail", "panic"])("a plugin that %ss in reload refuses it", async (how) => {
  await start({}, { [how]: "reload" });
  rig.pooler.writeConfig({ ...withConfigs({}, { [how]: "reload" }), limits: { max_clients: 7 } });
  expect(await reload()).toMatch(/plugin "\.\/two" refused it: .*asked to/);
  // Nothing of the file was taken over.
  const rows = await rig.console("SHOW CONFIG");
  expect(rows.find(({ key }) => key === "limits.max_clients")?.["value"]).not.toBe("7");
});

test("another chain comes with new workers, and nobody is asked to take it", async () => {
  await start({}, {});
  const config = withConfigs({ label: "new" }, {});
  rig.pooler.writeConfig({ ...config, plugins: [...(config["plugins"] as readonly unknown[])].reverse() });
  expect(await reload()).toContain("changed: plugins");
  expect(log.calls("reload")).toEqual([[""], [""]]);
});
