import { expect, test } from "vitest";
import { createFakeClock } from "../base/clock.js";
import type { OnPluginCrash, PluginConfig } from "../config/types.js";
import { createPluginWard } from "./plugin-ward.js";

const plugin = (name: string, action: OnPluginCrash, limit = 3): PluginConfig => ({
  name,
  library: `/opt/${name}.so`,
  source: "path",
  packageVersion: null,
  config: {},
  onError: "fail",
  crash: { action, limit, windowMs: 10_000 },
});

function createRig(...plugins: readonly PluginConfig[]) {
  const clock = createFakeClock();
  const ward = createPluginWard(plugins, clock);
  const crash = (position: number, hook = "route_query", hung = false) => ward.note({ plugin: position, hook, hung, worker: 1 });
  return { clock, ward, crash };
}

test.each(["disable", "refuse"] as const)("too many crashes within the window, and the plugin is out: %s", (action) => {
  const { clock, ward, crash } = createRig(plugin("a", "restart"), plugin("b", action));
  expect([crash(1), crash(1, "learn_statement", true)]).toEqual([null, null]);
  clock.advance(9_000);
  const reason = "it ended its worker 3 times within 10 s, the last time in create";
  expect(crash(1, "create")).toEqual({ plugin: 1, action, reason });
  expect(ward.outOfService).toEqual([{ plugin: 1, action, reason }]);
  expect(ward.health.map(({ state }) => state)).toEqual(["active", action === "disable" ? "disabled" : "refusing"]);
  expect([...(ward.health[1]?.hooks ?? [])]).toEqual([
    ["route_query", { crashes: 1, hangs: 0 }],
    ["learn_statement", { crashes: 0, hangs: 1 }],
    ["create", { crashes: 1, hangs: 0 }],
  ]);
  // Said once.
  expect(crash(1)).toBeNull();
});

test("crashes that lie far apart do no harm", () => {
  const { clock, ward, crash } = createRig(plugin("a", "disable"));
  for (let i = 0; i < 20; i++) {
    expect(crash(0)).toBeNull();
    clock.advance(5_001);
  }
  expect(ward.health[0]).toMatchObject({ state: "active", last: { hook: "route_query", hung: false, worker: 1 } });
});

test("with restart, and without a policy, a plugin stays in service whatever it does", () => {
  const { crash, ward } = createRig(plugin("a", "restart", 1), { ...plugin("b", "disable", 1), crash: undefined } as never);
  for (let i = 0; i < 20; i++) expect([crash(0), crash(1)]).toEqual([null, null]);
  expect(ward.outOfService).toEqual([]);
});

test("each plugin is counted by itself, and one that the chain does not have by nobody", () => {
  const { crash } = createRig(plugin("a", "refuse", 2), plugin("b", "refuse", 2));
  expect([crash(0), crash(1), crash(5)]).toEqual([null, null, null]);
  expect(crash(1)).toMatchObject({ plugin: 1 });
});

test("a reload puts plugins in service again and begins to count anew, but forgets no total", () => {
  const { crash, ward } = createRig(plugin("a", "refuse", 2), plugin("b", "disable", 2));
  crash(1);
  crash(1);
  expect(ward.restore([plugin("a", "refuse", 2), plugin("b", "disable", 1)])).toEqual([1]);
  expect(ward.outOfService).toEqual([]);
  expect(ward.health[1]).toMatchObject({ state: "active", hooks: new Map([["route_query", { crashes: 2, hangs: 0 }]]) });
  // The new limit counts.
  expect(crash(1)).toMatchObject({ action: "disable", reason: "it ended its worker once, the last time in route_query" });
  expect(ward.restore([plugin("other", "refuse")])).toEqual([1]);
  expect(ward.health).toEqual([{ state: "active", hooks: new Map(), last: null }]);
});
