// A package that `pooler plugin new` has made, outside the repository: it builds and passes the check as it is; and what is told
// when something is wrong.
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { compilePlugin, libraryFile, platform } from "../plugins/plugin-libraries.js";
import { createWorkshop, run } from "./command.js";

const workshop = createWorkshop();
afterAll(() => workshop.remove());
const { folder } = workshop;

const prebuild = join("prebuilds", platform, libraryFile);

describe.each([
  ["c", "@acme/pooler-plugin-see", "see"],
  ["rust", "@acme/pooler-plugin-rust", "rust"],
])("a new plugin in %s", (lang, name, short) => {
  const project = join(folder, name.replace("@acme/", ""));

  test("is laid out under its name", async () => {
    const { code, out, err } = await workshop.plugin(["new", name, "--lang", lang]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain(`cd pooler-plugin-${short}`);
    const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as Record<string, unknown>;
    expect(manifest).toMatchObject({
      name,
      version: "0.1.0",
      pooler: { abi: 1, config: "./config.schema.json" },
      files: ["prebuilds", "config.schema.json", "README.md"],
      peerDependencies: { "@pooler/plugin-abi": expect.stringMatching(/^\^\d+\.\d+\.\d+/) },
    });
    expect(manifest["scripts"]).not.toHaveProperty("install");
    expect(manifest["scripts"]).not.toHaveProperty("postinstall");
    expect(existsSync(join(project, ".gitignore"))).toBe(true);
    expect(existsSync(join(project, ".github/workflows/release.yml"))).toBe(true);
    for (const file of readdirSync(project, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())) {
      expect(readFileSync(join(file.parentPath, file.name), "utf8"), file.name).not.toMatch(/template[-_](package|crate|plugin)/);
    }
  });

  test("builds and passes the check", { timeout: 300_000 }, async () => {
    workshop.install(project);
    const built = await workshop.plugin(["build"], { cwd: project });
    expect(built.out).toMatch(new RegExp(`^built ${prebuild} \\(\\d+ KiB, glibc`));
    expect(built.code).toBe(0);
    const checked = await workshop.plugin(["check"], { cwd: project });
    expect(checked.out).toMatch(new RegExp(`handshake +ok +${short} 0\\.1\\.0, ABI 1\\.\\d+ .*hooks route_query`));
    expect(checked.out).toMatch(lang === "c" ? /sanitizers +ok +address, undefined: \d+ calls/ : /sanitizers +skipped: Rust has them/);
    expect(checked.out).toContain("It keeps the contract.");
    expect(checked.code).toBe(0);
  });

  test("passes its own tests, in a pooler before a PostgreSQL among them", { timeout: 400_000 }, async () => {
    const { code, out, err } = await workshop.plugin(["test"], { cwd: project });
    if (lang === "rust") {
      expect(err).toMatch(/test result: ok\. 4 passed/);
      expect(out).toContain("passed  tests of the crate (cargo test)");
    }
    expect(err).toMatch(/the pooler lets reads through and refuses writes/);
    expect(out).toContain("passed  tests of the built plugin (1 file in test/)");
    expect(code).toBe(0);
  });

  test("fails when one of its tests does", { timeout: 100_000 }, async () => {
    const file = join(project, "test", "failing.test.mjs");
    writeFileSync(file, 'import { test } from "node:test";\ntest("no", () => { throw new Error("as meant"); });\n');
    const { code, out, err } = await workshop.plugin(["test", "--filter", "no_test_of_this_name|^no$"], { cwd: project });
    rmSync(file);
    expect(err).toContain("as meant");
    expect(out).toContain("FAILED  tests of the built plugin (2 files in test/)");
    expect(code).toBe(1);
  });

  test("is packed with what is there, and says what is missing", { timeout: 100_000 }, async () => {
    const verified = await workshop.plugin(["pack", "--verify"], { cwd: project });
    expect(verified.out).toMatch(/darwin-arm64 +missing/);
    expect(verified.err).toMatch(/error: there is no library for .*darwin-x64/);
    expect(verified.code).toBe(1);
    // As a workflow collects what other machines have built.
    for (const [from, to] of [
      [prebuild, `artifacts/prebuild-${platform}/plugin.so`],
      [prebuild, "artifacts/linux-arm64-musl/plugin.so"],
    ] as const) {
      mkdirSync(join(project, dirname(to)), { recursive: true });
      copyFileSync(join(project, from), join(project, to));
    }
    const wrong = await workshop.plugin(["pack", "--verify", "--allow-missing", "--from", "artifacts"], { cwd: project });
    expect(wrong.out).toMatch(/linux-arm64-musl +WRONG.*\n +- it is built for x64, not for linux-arm64-musl/);
    expect(wrong.code).toBe(1);
    rmSync(join(project, "prebuilds", "linux-arm64-musl"), { recursive: true });
    const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as Record<string, unknown>;
    const settled = { ...manifest, pooler: { ...(manifest["pooler"] as object), platforms: [platform] } };
    writeFileSync(join(project, "package.json"), JSON.stringify(settled));
    const packed = await workshop.plugin(["pack"], { cwd: project });
    // What this machine's compiler has built may want a newer C library than all that the pooler runs on have.
    if (/wants glibc/.test(packed.out)) expect(packed.code).toBe(1);
    else {
      expect(packed.out).toContain(`packed acme-pooler-plugin-${short}-0.1.0.tgz`);
      const listed = await run("tar", ["-tzf", join(project, `acme-pooler-plugin-${short}-0.1.0.tgz`)], project);
      expect(listed.out.trim().split("\n").sort()).toEqual(
        ["README.md", "config.schema.json", "package.json", `prebuilds/${platform}/${libraryFile}`].map((name) => `package/${name}`).sort(),
      );
    }
    writeFileSync(join(project, "package.json"), JSON.stringify(manifest));
  });
});

test("a new plugin in TypeScript builds, passes its tests and the check, and is packed", { timeout: 200_000 }, async () => {
  const project = join(folder, "pooler-plugin-typed");
  expect((await workshop.plugin(["new", "@acme/pooler-plugin-typed", "--lang", "ts"])).code).toBe(0);
  const early = await workshop.plugin(["build"], { cwd: project });
  expect(early.err).toMatch(/there is no TypeScript compiler for [\s\S]*npm install/);
  workshop.install(project);
  const tested = await workshop.plugin(["test"], { cwd: project });
  expect(tested.err).toMatch(/the pooler lets reads through and refuses writes/);
  expect(tested.out).toContain("passed  tests of the built plugin (1 file in test/)");
  expect(tested.code).toBe(0);
  const checked = await workshop.plugin(["check"], { cwd: project });
  expect(checked.out).toMatch(/handshake +ok +typed 0\.1\.0, ABI 1\.\d+ \(javascript\); hooks route_query; asks for inspect, facts/);
  expect(checked.out).toContain("It keeps the contract.");
  const packed = await workshop.plugin(["pack"], { cwd: project });
  expect(packed.out).toContain("packed acme-pooler-plugin-typed-0.1.0.tgz");
  const listed = await run("tar", ["-tzf", join(project, "acme-pooler-plugin-typed-0.1.0.tgz")], project);
  expect(listed.out.trim().split("\n").sort()).toEqual(
    ["README.md", "config.schema.json", "dist/index.js", "package.json"].map((name) => `package/${name}`).sort(),
  );
});

test("list shows the chain of a configuration, and what cannot be used", async () => {
  const text = (name: string): string =>
    `[databases.app]\nurl = "postgres://db/app"\n[users.app]\npassword = "x"\n[[plugins]]\nname = "${name}"\n`;
  const project = join(folder, "pooler-plugin-listed");
  expect((await workshop.plugin(["new", "@acme/pooler-plugin-listed", "--lang", "c"])).code).toBe(0);
  workshop.install(project);
  expect((await workshop.plugin(["build"], { cwd: project })).code).toBe(0);
  writeFileSync(join(folder, "pooler.toml"), text(`./pooler-plugin-listed/${prebuild}`));
  const { code, out } = await workshop.plugin(["list"]);
  expect(out).toBe(`1. ./pooler-plugin-listed/${prebuild}
   plugin       listed 0.1.0
   ABI          1.1, built with c
   platform     ${platform}
   hooks        route_query
   capabilities inspect, facts
   path         ${join(project, prebuild)}
`);
  expect(code).toBe(0);
  const json = await workshop.plugin(["list", "--json"]);
  expect(JSON.parse(json.out)).toMatchObject([
    { position: 1, plugin: "listed", version: "0.1.0", abi: "1.1", hooks: ["route_query"], problem: null },
  ]);
  writeFileSync(join(folder, "wrong.toml"), text("./wrong.so"));
  writeFileSync(join(folder, "wrong.so"), "#!/bin/sh\necho this is no library at all, is it?\n");
  const wrong = await workshop.plugin(["list", "--config", "wrong.toml"]);
  expect(wrong.out).toContain("cannot be used");
  expect(wrong.err).toMatch(/no shared library/);
  expect(wrong.code).toBe(1);
});

test("list says how a plugin that may wait is called", async () => {
  const library = compilePlugin(fileURLToPath(new URL("fixtures/waiting.c", import.meta.url)));
  const entry = `[[plugins]]\nname = "${library}"\ndeadline = "5s"\n`;
  writeFileSync(join(folder, "waiting.toml"), `[databases.app]\nurl = "postgres://db/app"\n[users.app]\npassword = "x"\n${entry}`);
  const { out } = await workshop.plugin(["list", "--config", "waiting.toml"]);
  expect(out).toContain("   capabilities blocking\n   may wait     4 calls at a time, deadline 5000 ms\n");
  const json = await workshop.plugin(["list", "--json", "--config", "waiting.toml"]);
  expect(JSON.parse(json.out)).toMatchObject([{ max_concurrent: 4, deadline_ms: 5000 }]);
});

describe("new refuses", () => {
  test.each([
    [["Audit", "--lang", "c"], /"Audit" cannot be the name of a plugin's package/],
    [["../audit", "--lang", "c"], /cannot be the name/],
    [["@acme/Über", "--lang", "c"], /cannot be the name/],
    [["@pooler/audit", "--lang", "c"], /a name of the pooler itself/],
    [["pooler-plugin", "--lang", "rust"], /a name of the pooler itself/],
    [["@acme/audit", "--lang", "cobol"], /no template for the language "cobol"[\s\S]*rust, c, ts/],
    [["@acme/audit"], /required option '-l, --lang <language>' not specified/],
    [["@acme/full", "--lang", "c"], /full is there already and not empty/],
  ])("%j", async (args, message) => {
    mkdirSync(join(folder, "full"), { recursive: true });
    writeFileSync(join(folder, "full", "file"), "");
    const { code, err } = await workshop.plugin(["new", ...args]);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/\bat .*\.js:\d+/);
    expect(code).toBe(1);
    expect(existsSync(join(folder, "audit"))).toBe(false);
  });
});

describe("build tells what is wrong with a package", () => {
  const project = join(folder, "broken");
  const manifest = (pooler: unknown): string => JSON.stringify({ name: "broken", version: "1.0.0", pooler });

  test.each([
    [null, [], /there is no package\.json/],
    ["{", [], /cannot read .*package\.json/],
    [JSON.stringify({ name: "x", version: "1.0.0" }), [], /no "pooler" field/],
    [manifest({ abi: 1 }), [], /does not say what the plugin is built from/],
    [manifest({ abi: 1, source: "./none.c" }), [], /names \.\/none\.c, and there is no such file/],
    [manifest({ abi: 1, source: "./package.json" }), [], /in no language that "build" knows/],
    [manifest({ abi: 1, source: "./plugin.c", platforms: ["windows"] }), [], /names "windows", which is no platform/],
    [manifest({ abi: 1, source: "./plugin.c", config: "./none.json" }), [], /names \.\/none\.json, and there is no such file/],
    [manifest({ abi: 1, source: "./plugin.c" }), ["--platform", "linux-sparc"], /"linux-sparc", which is no platform/],
    [manifest({ abi: 1, source: "./plugin.c" }), [], /(failed with exit code 1)/],
    [manifest({ abi: 1, build: "exit 3" }), [], /failed with exit code 3/],
  ])("%s %j", async (text, args, message) => {
    rmSync(project, { recursive: true, force: true });
    mkdirSync(project);
    writeFileSync(join(project, "plugin.c"), "this is no C\n");
    if (text !== null) writeFileSync(join(project, "package.json"), text);
    const { code, err } = await workshop.plugin(["build", ...args], { cwd: project });
    expect(err).toMatch(message);
    expect(err).not.toMatch(/\bat .*\.js:\d+/);
    expect(code).toBe(1);
  });

  test("a command of the author's own builds what it likes", async () => {
    expect((await workshop.plugin(["new", "@acme/pooler-plugin-own", "--lang", "c"])).code).toBe(0);
    const source = join(folder, "pooler-plugin-own", "src", "plugin.c");
    const build = `test "$POOLER_PLATFORM" = ${platform} && cc -shared -fPIC -I "$POOLER_INCLUDE" ${source} -o "$POOLER_OUTPUT"`;
    mkdirSync(project, { recursive: true });
    writeFileSync(join(project, "package.json"), manifest({ abi: 1, build }));
    const { code, out } = await workshop.plugin(["build"], { cwd: project });
    expect(out).toContain(`built ${prebuild}`);
    expect(code).toBe(0);
  });
});
