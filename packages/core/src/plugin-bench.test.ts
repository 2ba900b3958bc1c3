import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createPluginCompiler } from "../fixtures/compile-plugin.js";
import { createConfig } from "./config/load-config.js";
import { createPluginBench, type PluginBench } from "./plugin-bench.js";
import { resolvePlugin } from "./plugins/loader-resolve-plugin.js";

const compiler = createPluginCompiler();
let folder: string;
let bench: PluginBench;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "pooler-bench-"));
  const plugins = [{ name: compiler.compile("waiter", {}), config: { folder } }];
  const config = createConfig(
    { databases: { app: { url: "postgres://db:5432/app" } }, users: { app: { password: "app" } }, plugins },
    { resolvePlugin: (plugin) => resolvePlugin(plugin, folder), onWarning: () => {} },
  );
  bench = await createPluginBench(config);
});
afterAll(() => {
  bench.close();
  rmSync(folder, { recursive: true });
  compiler.dispose();
});

describe("a plugin that may wait", () => {
  const refused = { outcome: "error", error: { message: "the waiter refuses", failed: false } };

  it("is asked at once, in this thread", () => {
    expect(bench.ask({ sql: "forbidden" })).toMatchObject(refused);
    expect(bench.ask({ sql: "SELECT 1" })).toMatchObject({ outcome: "route", error: null });
  });

  it("is asked on threads, as sessions do, while this one goes on", async () => {
    const file = join(folder, "hold-a");
    writeFileSync(file, "");
    let isOver = false;
    const later = bench.askLater({ sql: "hold:a forbidden" }).finally(() => {
      isOver = true;
    });
    expect(await bench.askLater({ sql: "forbidden" })).toMatchObject(refused);
    expect(isOver).toBe(false);
    rmSync(file);
    expect(await later).toMatchObject(refused);
  });
});
