import { expect, test } from "vitest";
import { changedKeys, needsRestart, planReload } from "./changes.js";
import { configRows } from "./config-rows.js";
import { parseConfig } from "./load-config.js";

const resolvePlugin = (name: string) => ({ library: `/lib/${name}.so`, source: "package" as const, packageVersion: null, schema: null });
const read = (text: string) => parseConfig(text, "/etc/pooler.toml", { resolvePlugin });
const base = `[databases.app]
url = "postgres://db"
[users.app]
password = "x"
`;

test("the same file again changes nothing", () => {
  expect(changedKeys(read(base), read(base))).toEqual([]);
});

test.each<[string, string, string[], boolean]>([
  ["[limits]\nmax_clients = 5", "", ["limits.max_clients"], false],
  ['[timeouts]\nquery_wait = "1s"', '[timeouts]\nquery_wait = "2s"', ["timeouts.query_wait"], false],
  ['[timeouts]\nquery_wait = "1s"', "[timeouts]\nquery_wait = 1000", [], false],
  ['[log]\nlevel = "warn"', "", ["log.level"], false],
  ["[listen]\nport = 1", "[listen]\nport = 2", ["listen.port"], true],
  ["[metrics]\nport = 1", "", ["metrics.host", "metrics.port"], true],
  ['[databases.b]\nurl = "postgres://b"', "", ["databases.b"], false],
  ["[users.b]\npassword = '1'", "[users.b]\npassword = '2'", ["users.b"], false],
  ["[[plugins]]\nname = 'a'", "", ["plugins"], false],
  ["[[plugins]]\nname = 'a'\n[[plugins]]\nname = 'b'", "[[plugins]]\nname = 'b'\n[[plugins]]\nname = 'a'", ["plugins"], false],
  ["[[plugins]]\nname = 'a'\nconfig.x = 1", "[[plugins]]\nname = 'a'\nconfig.x = 2", ["plugins[0].config"], false],
  ["[[plugins]]\nname = 'a'\non_error = 'skip'", "[[plugins]]\nname = 'a'", ["plugins[0].on_error"], false],
  ["[[plugins]]\nname = 'a'\ncrash_limit = 5", "[[plugins]]\nname = 'a'", ["plugins[0].on_crash"], false],
])("%j to %j", (before, after, keys, restart) => {
  const changed = changedKeys(read(base + before), read(base + after));
  expect(changed).toEqual(keys);
  expect(changed.every(needsRestart)).toBe(keys.length === 0 || restart);
});

test("a reload takes over what it can, keeps the rest as it runs, and tells them apart", () => {
  const running = read(`workers = 2\n${base}[listen]\nport = 1`);
  const loaded = read(`workers = 3\nio = "streams"\n${base}[listen]\nport = 2\n[limits]\nmax_clients = 7\n[log]\nlevel = "warn"`);
  const plan = planReload(running, loaded);
  expect(plan.applied).toEqual(["log.level", "limits.max_clients"]);
  expect(plan.needRestart).toEqual(["workers", "io", "listen.port"]);
  expect(plan.config).toMatchObject({ workers: 2, io: "auto", listen: { port: 1 }, limits: { maxClients: 7 }, log: { level: "warn" } });
  expect(changedKeys(plan.config, loaded)).toEqual(plan.needRestart);
});

const chain = (text: string): string => `${base}[[plugins]]\nname = "a"\n${text}`;

test("what becomes of plugins that crash is taken over in place", () => {
  const plan = planReload(read(chain("")), read(chain('on_crash = "refuse"')));
  expect(plan).toMatchObject({ applied: ["plugins[0].on_crash"], needRestart: [], chain: null });
  expect(plan.config.plugins).toMatchObject([{ crash: { action: "refuse" } }]);
});

test("settings are taken over in place by a plugin that can, and else by new workers with a new chain", () => {
  const [running, loaded] = [read(chain("config.x = 1")), read(chain("config.x = 2"))];
  const inPlace = planReload(running, loaded, () => true);
  expect(inPlace).toMatchObject({ applied: ["plugins[0].config"], needRestart: [], chain: null });
  expect(inPlace.config.plugins).toMatchObject([{ config: { x: 2 } }]);
  const byNewWorkers = planReload(running, loaded, () => false);
  expect(byNewWorkers).toMatchObject({ applied: ["plugins[0].config"], needRestart: [], chain: [{ config: { x: 2 } }] });
  // Those that run go on with what they have.
  expect(byNewWorkers.config.plugins).toEqual(running.plugins);
});

test("another version of a library wants new workers", () => {
  const running = read(chain(""));
  const [plugin] = running.plugins;
  const loaded = { ...running, plugins: [{ ...plugin, libraryStamp: "another" } as (typeof running.plugins)[0]] };
  expect(planReload(running, loaded as typeof running, () => true)).toMatchObject({
    applied: ["plugins[0].library"],
    chain: loaded.plugins,
  });
});

test("the first plugin of a single worker needs a restart", () => {
  expect(planReload(read(base), read(chain("")))).toMatchObject({ applied: [], needRestart: ["plugins"], chain: null });
  expect(planReload(read(`workers = 2\n${base}`), read(`workers = 2\n${chain("")}`))).toMatchObject({
    applied: ["plugins"],
    needRestart: [],
  });
  expect(planReload(read(chain("")), read(base))).toMatchObject({ applied: ["plugins"], needRestart: [], chain: [] });
});

test("SHOW CONFIG has every setting as the file writes it, and no secret", () => {
  const rows = configRows(
    read(
      `${base}[databases.b]\nurl = "postgres://u:hunter2@b"\npool_size = 7\n[timeouts]\nquery_wait = 90000\n[limits]\nmax_message_bytes = "128kB"\n[[plugins]]\nname = "a"`,
    ),
  );
  const row = (key: string) => rows.find((one) => one.key === key);
  expect(row("listen.port")).toEqual({ key: "listen.port", value: "6432", default: "6432", changeable: false });
  expect(row("timeouts.query_wait")).toEqual({ key: "timeouts.query_wait", value: "90s", default: "120s", changeable: true });
  expect(row("limits.max_message_bytes")).toEqual({ key: "limits.max_message_bytes", value: "128kB", default: "64MB", changeable: true });
  expect(row("databases.b.pool_size")).toEqual({ key: "databases.b.pool_size", value: "7", default: "20", changeable: true });
  expect(row("plugins[0].name")).toEqual({ key: "plugins[0].name", value: "a", default: "", changeable: true });
  expect(row("metrics.port")).toEqual({ key: "metrics.port", value: "", default: "9930", changeable: false });
  expect(rows.every(({ key, value }) => value !== "undefined" && value !== "NaN" && key !== "")).toBe(true);
  expect(JSON.stringify(rows)).not.toContain("hunter2");
});
