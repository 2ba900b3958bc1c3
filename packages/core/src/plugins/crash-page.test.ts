import { closeSync, fstatSync } from "node:fs";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { createPluginCompiler } from "../../fixtures/compile-plugin.js";
import { runTypescript } from "../../fixtures/run-typescript.js";
import { PoolerError } from "../base/errors.js";
import { clearCrashPage, crashHooks, createCrashPage, openCrashPage, readCrashPage } from "./crash-page.js";

const compiler = createPluginCompiler();
const fds: number[] = [];
afterEach(() => {
  for (const fd of fds.splice(0)) closeSync(fd);
});
afterAll(() => compiler.dispose());

function createPage(): number {
  const fd = createCrashPage();
  fds.push(fd);
  return fd;
}

describe("a crash page", () => {
  it("shows through its descriptor who is running", () => {
    const fd = createPage();
    expect(readCrashPage(fd)).toBeNull();
    const page = openCrashPage(fd);
    page.enter(0, crashHooks.create);
    expect(readCrashPage(fd)).toEqual({ plugin: 0, hook: "create", call: 1 });
    page.enter(30, crashHooks.route_query);
    expect(readCrashPage(fd)).toEqual({ plugin: 30, hook: "route_query", call: 2 });
    page.leave();
    expect(readCrashPage(fd)).toBeNull();
  });

  it("leaves no file behind, and can be used for the next worker", () => {
    const fd = createPage();
    expect(fstatSync(fd)).toMatchObject({ nlink: 0, size: 4096 });
    openCrashPage(fd).enter(2, crashHooks.load);
    clearCrashPage(fd);
    expect(readCrashPage(fd)).toBeNull();
  });

  it("is memory of one's own when there is no descriptor", () => {
    const page = openCrashPage(null);
    page.enter(1, crashHooks.route_query);
    page.leave();
  });

  it("says which descriptor cannot be mapped", () => {
    expect(() => openCrashPage(9999)).toThrow(PoolerError);
    expect(() => openCrashPage(9999)).toThrow(/descriptor 9999 \(errno \d+\)/);
  });
});

describe("a process that a plugin takes down", () => {
  const run = async (...texts: string[]) => {
    const fd = createPage();
    const end = await runTypescript("crash-program.ts", [compiler.compile("puppet"), ...texts], [fd]);
    return { ...end, record: readCrashPage(fd) };
  };

  it("leaves plugin and hook on the page", async () => {
    const { signal, stdout, record } = await run("a:skip", "b:abort");
    expect(stdout).toBe("route\n");
    expect(signal).toBe("SIGABRT");
    expect(record).toMatchObject({ plugin: 1, hook: "route_query" });
  });

  it("leaves them also when it was being created", async () => {
    const { signal, record } = await run("create");
    expect(signal).toBe("SIGABRT");
    expect(record).toMatchObject({ plugin: 1, hook: "create" });
  });

  it("and one that ends well leaves nothing", async () => {
    const { code, stdout, stderr, record } = await run("a:skip", "b:forward 1 1");
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "route\nroute\ndone\n", stderr: "" });
    expect(record).toBeNull();
  });
});
