import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PluginConfig } from "@pooler/core";
import { afterAll, expect, test } from "vitest";
import { checkPlugin } from "./check-plugin.js";

const directory = mkdtempSync(join(tmpdir(), "pooler-cli-"));
afterAll(() => rmSync(directory, { recursive: true }));

const plugin: PluginConfig = {
  name: "@acme/audit",
  library: "/lib/audit.so",
  source: "package",
  packageVersion: null,
  config: { a: 1 },
  onError: "fail",
};

function program(name: string, text: string): string {
  const file = join(directory, `${name}.mjs`);
  writeFileSync(file, text);
  return file;
}

test("the process gets the plugin's entry and its answer is the verdict", async () => {
  const echo = program(
    "echo",
    "process.once('message', (m) => process.send({ ok: true, description: m.config }, () => process.disconnect()));",
  );
  expect(await checkPlugin(plugin, { program: echo })).toEqual({ ok: true, description: { a: 1 } });
});

test("a library that aborts its process is an error that names it, and nothing more", async () => {
  const crash = program("crash", "process.once('message', () => process.kill(process.pid, 'SIGSEGV'));");
  expect(await checkPlugin(plugin, { program: crash })).toEqual({
    ok: false,
    message: 'plugin "@acme/audit" cannot be used: it crashed its process (SIGSEGV) when it was loaded',
    hint: "Report it to whoever made it; the library is /lib/audit.so.",
  });
});

test("a library that exits its process is an error, too", async () => {
  const exit = program("exit", "process.once('message', () => process.exit(0));");
  expect(await checkPlugin(plugin, { program: exit })).toMatchObject({
    ok: false,
    message: expect.stringContaining("crashed its process (exit code 0)"),
  });
});

test("so is one that crashes when the process ends", async () => {
  const late = program(
    "late",
    "process.once('message', () => process.send({ ok: true, description: {} }, () => process.disconnect()));\nprocess.once('exit', () => process.kill(process.pid, 'SIGKILL'));",
  );
  expect(await checkPlugin(plugin, { program: late })).toMatchObject({
    ok: false,
    message: expect.stringContaining("crashed its process (SIGKILL) when it ended"),
  });
});

test("a library that hangs is given up", async () => {
  const hang = program("hang", "process.once('message', () => { for (;;) {} });");
  expect(await checkPlugin(plugin, { program: hang, timeoutMs: 300 })).toMatchObject({
    ok: false,
    message: expect.stringContaining("longer than 300 ms"),
  });
});
