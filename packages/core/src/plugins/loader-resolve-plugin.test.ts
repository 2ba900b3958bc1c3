import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PoolerError } from "../base/errors.js";
import { currentPlatform, type ResolveOptions, resolvePlugin } from "./loader-resolve-plugin.js";

const root = realpathSync(mkdtempSync(join(tmpdir(), "pooler-resolve-")));
const configDir = join(root, "project", "config");
const cliDir = join(root, "cli");
const here = { platform: "linux-x64" } as const;

function write(file: string, content: string): string {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

interface Manifest {
  readonly version?: string;
  readonly pooler?: unknown;
  readonly exports?: unknown;
}

/** An installed package with prebuilt files for these platforms. */
function install(under: string, name: string, manifest: Manifest, platforms: readonly string[] = []): string {
  const folder = join(under, "node_modules", name);
  write(join(folder, "package.json"), JSON.stringify({ name, ...manifest }));
  for (const platform of platforms)
    write(join(folder, "prebuilds", platform, platform.startsWith("darwin") ? "plugin.dylib" : "plugin.so"), "");
  return folder;
}

beforeAll(() => {
  mkdirSync(configDir, { recursive: true });
  mkdirSync(cliDir, { recursive: true });
});
afterAll(() => rmSync(root, { recursive: true }));

function refusalOf(name: string, options: ResolveOptions = here): PoolerError {
  try {
    resolvePlugin(name, configDir, options);
  } catch (cause) {
    if (cause instanceof PoolerError) return cause;
    throw cause;
  }
  throw new Error(`${name} was resolved`);
}

describe("a package", () => {
  it("is found from the configuration's folder upwards, with its version and schema", () => {
    const folder = install(join(root, "project"), "@acme/audit", { version: "2.1.0", pooler: { abi: 1, config: "./config.schema.json" } }, [
      "linux-x64",
    ]);
    write(join(folder, "config.schema.json"), '{"type":"object"}');
    expect(resolvePlugin("@acme/audit", configDir, here)).toEqual({
      library: join(folder, "prebuilds", "linux-x64", "plugin.so"),
      source: "package",
      packageVersion: "2.1.0",
      schema: { type: "object" },
    });
  });

  it("is found beside the CLI when the configuration's folder has it not", () => {
    const folder = install(cliDir, "beside-cli", { pooler: { abi: 1 } }, ["linux-x64"]);
    const file = write(join(cliDir, "node_modules", "@pooler", "cli", "bin", "pooler.js"), "");
    const expected = { library: join(folder, "prebuilds", "linux-x64", "plugin.so"), packageVersion: null, schema: null };
    expect(resolvePlugin("beside-cli", configDir, { ...here, alsoFrom: [dirname(file)] })).toMatchObject(expected);
    expect(resolvePlugin("beside-cli", configDir, { ...here, alsoFrom: [file] })).toMatchObject(expected);
  });

  it("of the configuration's folder comes first", () => {
    install(cliDir, "twice", { version: "1.0.0", pooler: { abi: 1 } }, ["linux-x64"]);
    install(join(root, "project"), "twice", { version: "2.0.0", pooler: { abi: 1 } }, ["linux-x64"]);
    expect(resolvePlugin("twice", configDir, { ...here, alsoFrom: [cliDir] }).packageVersion).toBe("2.0.0");
  });

  it("is found when its exports hide the manifest", () => {
    install(join(root, "project"), "hidden", { exports: { ".": "./index.js" }, pooler: { abi: 1 } }, ["linux-x64"]);
    expect(resolvePlugin("hidden", configDir, here).source).toBe("package");
  });

  it.each([
    ["linux-x64", "linux-x64/plugin.so"],
    ["linux-arm64-musl", "linux-arm64-musl/plugin.so"],
    ["darwin-arm64", "darwin-arm64/plugin.dylib"],
  ])("gives the binary of the platform %s", (platform, file) => {
    const folder = install(join(root, "project"), "everywhere", { pooler: { abi: 1 } }, [
      "linux-x64",
      "linux-x64-musl",
      "linux-arm64-musl",
      "darwin-arm64",
    ]);
    expect(resolvePlugin("everywhere", configDir, { platform }).library).toBe(join(folder, "prebuilds", file));
  });

  it("gives the binary of this machine when nobody says another", () => {
    const folder = install(join(root, "project"), "native", { pooler: { abi: 1 } }, [currentPlatform()]);
    expect(dirname(resolvePlugin("native", configDir).library)).toBe(join(folder, "prebuilds", currentPlatform()));
    expect(currentPlatform()).toMatch(new RegExp(`^${process.platform}-${process.arch}(-musl)?$`));
  });
});

describe("a package is refused", () => {
  it("when it is not installed, with the command that installs it", () => {
    const { message, hint, code } = refusalOf("@acme/missing");
    expect(code).toBe("PLUGIN_UNUSABLE");
    expect(message).toBe(`plugin "@acme/missing" cannot be used: the package is not installed (looked from ${configDir} upwards)`);
    expect(hint).toContain("npm install @acme/missing");
  });

  it("when it has no binary for this platform, with those that it has", () => {
    install(join(root, "project"), "elsewhere", { pooler: { abi: 1 } }, ["linux-x64-musl", "darwin-x64"]);
    expect(refusalOf("elsewhere").message).toContain("it has no binary for linux-x64; it has darwin-x64, linux-x64-musl");
  });

  it("when it has no binary at all", () => {
    install(join(root, "project"), "source-only", { pooler: { abi: 1 } });
    expect(refusalOf("source-only").message).toContain("it has no binary for linux-x64; it has none");
  });

  it("when it is no plugin", () => {
    install(join(root, "project"), "left-pad", { version: "1.3.0" });
    expect(refusalOf("left-pad").message).toContain('is no pooler plugin: its package.json has no "pooler" field');
  });

  it.each([
    [2, "it is built for ABI 2, this pooler speaks ABI 1"],
    [0, "it is built for ABI 0, this pooler speaks ABI 1"],
    ["1", '"pooler.abi" in its package.json is "1", not a number'],
    [undefined, '"pooler.abi" in its package.json is missing, not a number'],
  ])("when its ABI is %j", (abi, problem) => {
    install(join(root, "project"), "other-abi", { pooler: { abi } }, ["linux-x64"]);
    expect(refusalOf("other-abi").message).toContain(problem);
  });

  it.each([
    ["./nowhere.json", "cannot read its config schema"],
    ["../../secret.json", 'is "../../secret.json", not a path within the package'],
    [7, "is 7, not a path within the package"],
  ])("when its schema is %j", (config, problem) => {
    install(join(root, "project"), "bad-schema", { pooler: { abi: 1, config } }, ["linux-x64"]);
    expect(refusalOf("bad-schema").message).toContain(problem);
  });

  it("when its schema is no JSON object", () => {
    const folder = install(join(root, "project"), "list-schema", { pooler: { abi: 1, config: "s.json" } }, ["linux-x64"]);
    write(join(folder, "s.json"), "[1]");
    expect(refusalOf("list-schema").message).toContain("is no JSON object");
    write(join(folder, "s.json"), "{");
    expect(refusalOf("list-schema").message).toContain("cannot read its config schema");
  });

  it.each([[""], ["a b"], ["@acme"], ["a/b/c"], ["plugin.so/"], ["@acme/../x"]])("when its name is none: %j", (name) => {
    expect(refusalOf(name).message).toMatch(/neither the name of a package nor a path|not installed/);
  });
});

describe("a path", () => {
  it("is taken from the configuration's folder", () => {
    const library = write(join(root, "project", "target", "libaudit.so"), "");
    const expected = { library, source: "path", packageVersion: null, schema: null };
    expect(resolvePlugin("../target/libaudit.so", configDir)).toEqual(expected);
    expect(resolvePlugin(library, configDir)).toEqual(expected);
  });

  it("is refused when nothing is there, or a folder", () => {
    expect(refusalOf("./nowhere.so").message).toContain(`there is no file ${join(configDir, "nowhere.so")}`);
    expect(refusalOf("..").message).toContain("neither the name of a package nor a path");
    expect(refusalOf("../").message).toContain("is no file");
  });
});
