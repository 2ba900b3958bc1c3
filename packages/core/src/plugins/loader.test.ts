import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createPluginCompiler } from "../../fixtures/compile-plugin.js";
import { PoolerError } from "../base/errors.js";
import type { PluginConfig } from "../config/types.js";
import { openCrashPage } from "./crash-page.js";
import { inspectPlugin, loadPlugins } from "./loader.js";
import { targetOf, whyUnloadable } from "./loader-binary.js";

const compiler = createPluginCompiler();
afterAll(() => compiler.dispose());

const grammar = 18;
const options = { grammar, worker: 3, crashPage: openCrashPage(null) };

function entry(library: string, changes: Partial<PluginConfig> = {}): PluginConfig {
  return { name: "@acme/test", library, source: "path", packageVersion: null, config: {}, onError: "fail", ...changes };
}

/** The error of loading it; inspecting must say the same. */
function refusalOf(library: string): PoolerError {
  const caught = [() => inspectPlugin(entry(library), grammar), () => loadPlugins([entry(library)], options)].map((load) => {
    try {
      load();
    } catch (cause) {
      if (cause instanceof PoolerError) return cause;
      throw cause;
    }
    throw new Error(`${library} was loaded`);
  });
  const [inspected, loaded] = caught;
  if (inspected === undefined || loaded === undefined) throw new Error("nothing was caught");
  expect(inspected.message).toBe(loaded.message);
  expect(loaded.code).toBe("PLUGIN_UNUSABLE");
  expect(loaded.message).toContain(`plugin "@acme/test" (${library}) cannot be used: `);
  expect(loaded.hint).toMatch(/\w/);
  return loaded;
}

describe("a plugin that fits", () => {
  it("is described without being created", () => {
    const library = compiler.compile("handshake", { CAPABILITIES: "7" });
    expect(inspectPlugin(entry(library), grammar)).toEqual({
      name: "@acme/test",
      library,
      pluginName: "handshake",
      version: "0.0.1",
      abi: "1.1",
      minHostMinor: 0,
      sdk: "c",
      hooks: ["route_query"],
      capabilities: ["inspect", "every_statement", "facts"],
      capabilityBits: 7,
      grammar: { min: 0, max: 0 },
    });
  });

  it.each<[string, Record<string, string>]>([
    ["a newer minor that can work with this host", { ABI_MINOR: "9", HOOKS: "0x8001", CAPABILITIES: "0x8001" }],
    ["hooks that wait", { CAPABILITIES: "0x40", MIN_HOST_MINOR: "1" }],
    ["an info struct that has grown", { INFO_SIZE: "96" }],
    [
      "a range of grammars around the host's",
      { CAPABILITIES: "8", GRAMMAR_MIN: "17", GRAMMAR_MAX: "18", WITH_LEARN: "1", WITH_FORGET: "1" },
    ],
    ["a range of grammars that has no end", { CAPABILITIES: "8", GRAMMAR_MIN: "18", WITH_LEARN: "1", WITH_FORGET: "1" }],
    ["grammars that do not matter, because it reads no parse trees", { GRAMMAR_MIN: "13", GRAMMAR_MAX: "14" }],
  ])("may have %s", (_title, defines) => {
    expect(inspectPlugin(entry(compiler.compile("handshake", defines)), grammar).hooks).toEqual(["route_query"]);
  });

  it("gets a state of its own for each entry, and each is destroyed once", () => {
    const library = compiler.compile("puppet");
    const seen = join(compiler.folder, "destroyed");
    process.env["PUPPET_DESTROYED"] = seen;
    try {
      const plugins = loadPlugins([entry(library, { name: "one" }), entry(library, { name: "two", onError: "skip" })], options);
      expect(plugins.map(({ description, onError }) => [description.name, onError])).toEqual([
        ["one", "fail"],
        ["two", "skip"],
      ]);
      expect(plugins[0]?.state).not.toBe(plugins[1]?.state);
      for (const plugin of [...plugins, ...plugins]) plugin.destroy();
      expect(readFileSync(seen, "utf8")).toBe("one\ntwo\n");
    } finally {
      delete process.env["PUPPET_DESTROYED"];
    }
  });
});

describe("a handshake that does not fit", () => {
  it.each<[string, Record<string, string>, string]>([
    ["a newer major", { ABI_MAJOR: "2" }, "abi_major is 2, this pooler speaks ABI 1"],
    ["an older major", { ABI_MAJOR: "0" }, "abi_major is 0, this pooler speaks ABI 1"],
    ["a newer major with a struct of its own", { ABI_MAJOR: "3", INFO_SIZE: "8" }, "abi_major is 3"],
    ["an info function of another major alone", { INFO_NAME: "pooler_plugin_info_v2" }, "it is built for ABI 2, this pooler speaks ABI 1"],
    ["too small a struct", { INFO_SIZE: "48" }, "pooler_plugin_info has size 48, ABI 1 has 56"],
    ["a host minor that is to come", { ABI_MINOR: "4", MIN_HOST_MINOR: "3" }, "min_host_minor is 3, this pooler speaks ABI 1.1"],
    ["no hook", { HOOKS: "0" }, "hooks is 0x0: it has no hook that ABI 1.1 calls"],
    ["a newer minor with newer hooks only", { ABI_MINOR: "9", HOOKS: "0x8000" }, "hooks is 0x8000: it has no hook that ABI 1.1 calls"],
    ["hooks that this minor does not have", { HOOKS: "0x8001" }, "hooks is 0x8001, of which ABI 1.1 does not know 0x8000"],
    ["a hook that is declared and not exported", { HOOKS: "0x3" }, "it does not export pooler_client_connect"],
    [
      "capabilities that this minor does not have",
      { CAPABILITIES: "0x80000001" },
      "capabilities is 0x80000001, of which ABI 1.1 does not know 0x80000000",
    ],
    [
      "older grammars only",
      { CAPABILITIES: "8", GRAMMAR_MIN: "15", GRAMMAR_MAX: "17" },
      "PostgreSQL 15 to 17 (grammar_min, grammar_max), this pooler makes those of PostgreSQL 18",
    ],
    [
      "newer grammars only",
      { CAPABILITIES: "8", GRAMMAR_MIN: "19" },
      "PostgreSQL 19 and up (grammar_min, grammar_max), this pooler makes those of PostgreSQL 18",
    ],
    ["no info", { NO_INFO: "1" }, "pooler_plugin_info_v1 returned NULL"],
    ["no info function", { INFO_NAME: "something_else" }, "it does not export pooler_plugin_info_v1, so it is no pooler plugin"],
    ["no create", { NO_CREATE: "1" }, "it does not export pooler_create"],
    ["no destroy", { NO_DESTROY: "1" }, "it does not export pooler_destroy"],
    ["no hook function", { NO_ROUTE_QUERY: "1" }, "it does not export pooler_route_query"],
    ["parse trees wanted and nowhere to give them", { CAPABILITIES: "8" }, "it does not export pooler_learn_statement"],
    [
      "blocking with hooks that cannot wait",
      { CAPABILITIES: "0x40", MIN_HOST_MINOR: "1", HOOKS: "0x49" },
      "it is blocking (POOLER_CAP_BLOCKING) and has query_end and result_row, which cannot wait",
    ],
    ["blocking, and fine with hosts that do not know of it", { CAPABILITIES: "0x40" }, "has a min_host_minor of 0"],
    ["learning without forgetting", { WITH_LEARN: "1" }, "it does not export pooler_forget_statement"],
  ])("is refused: %s", (_title, defines, problem) => {
    expect(refusalOf(compiler.compile("handshake", defines)).message).toContain(problem);
  });
});

describe("a file that is no plugin for this machine", () => {
  const write = (name: string, bytes: string | Buffer) => {
    const file = join(compiler.folder, name);
    writeFileSync(file, bytes);
    return file;
  };

  it("is refused when it is not there, or no file", () => {
    expect(refusalOf(join(compiler.folder, "nowhere.so")).message).toContain("ENOENT");
    mkdirSync(join(compiler.folder, "folder.so"));
    expect(refusalOf(join(compiler.folder, "folder.so")).message).toContain("EISDIR");
  });

  it("is refused when it is something else", () => {
    expect(refusalOf(write("empty.so", "")).message).toContain("it is a file of 0 bytes");
    expect(refusalOf(write("text.so", "#!/bin/sh\n".repeat(20))).message).toContain("it is no shared library");
  });

  it("is refused with what it was built for", () => {
    const other = process.arch === "x64" ? { machine: 183, name: "arm64" } : { machine: 62, name: "x64" };
    const elf = Buffer.from(readFileSync(compiler.compile("handshake")));
    elf.writeUInt16LE(other.machine, 18);
    expect(refusalOf(write("other.so", elf)).message).toContain(
      `it is built for ${other.name}, this is ${process.platform}-${process.arch}`,
    );
  });

  it("is refused in the linker's words when those are all there is", () => {
    const broken = compiler.compile("handshake", { MISSING_SYMBOL: "1" });
    expect(refusalOf(broken).message).toMatch(/the system cannot load it: .*a_function_that_nobody_has/);
  });

  it.each<[string, (head: Buffer) => unknown, string, string, string | null]>([
    ["a program", (head) => head.writeUInt16LE(2, 16), "linux", "x64", "it is a program"],
    ["a library for 32 bits", (head) => head.writeUInt8(1, 4), "linux", "x64", "it is built for x64 (32 bits), this is linux-x64"],
    [
      "a library for big machines",
      (head) => head.writeUInt8(2, 5) && head.writeUInt16BE(3, 16) && head.writeUInt16BE(22, 18),
      "linux",
      "x64",
      "it is built for machine 22 (big-endian), this is linux-x64",
    ],
    ["a Linux library on macOS", () => {}, "darwin", "x64", "it is built for Linux, this is darwin-x64"],
    ["a Linux library on another machine", () => {}, "linux", "arm64", "it is built for x64, this is linux-arm64"],
    ["a Linux library", () => {}, "linux", "x64", null],
  ])("is told from its header: %s", (_title, change, platform, arch, reason) => {
    const head = Buffer.alloc(64);
    head.write("\x7fELF\x02\x01\x01", "latin1");
    head.writeUInt16LE(3, 16);
    head.writeUInt16LE(62, 18);
    change(head);
    expect(whyUnloadable(targetOf(head), platform, arch)).toBe(reason);
  });

  it.each<[string, number[], string, string, string | null]>([
    ["a macOS library", [0xcffaedfe, 0x0c000001, 0, 0x06000000], "darwin", "arm64", null],
    ["a macOS bundle", [0xcffaedfe, 0x0c000001, 0, 0x08000000], "darwin", "arm64", null],
    ["a macOS program", [0xcffaedfe, 0x0c000001, 0, 0x02000000], "darwin", "arm64", "it is no dynamic library"],
    ["a macOS library for Intel", [0xcffaedfe, 0x07000001, 0, 0x06000000], "darwin", "arm64", "it is built for x64, this is darwin-arm64"],
    ["a macOS library on Linux", [0xcffaedfe, 0x07000001, 0, 0x06000000], "linux", "x64", "it is built for macOS, this is linux-x64"],
    ["a universal library", [0xcafebabe, 2, 0x01000007, 0, 0, 0, 0, 0x0100000c], "darwin", "arm64", null],
    ["a universal library without us", [0xcafebabe, 1, 0x01000007], "darwin", "arm64", "it is built for x64, this is darwin-arm64"],
    ["a Windows library", [0x4d5a9000], "linux", "x64", "it is built for Windows, this is linux-x64"],
  ])("is told from its header: %s", (_title, words, platform, arch, reason) => {
    const head = Buffer.alloc(64);
    words.forEach((word, index) => {
      head.writeUInt32BE(word, index * 4);
    });
    expect(whyUnloadable(targetOf(head), platform, arch)).toBe(reason);
  });
});

describe("creating", () => {
  const library = () => compiler.compile("puppet");

  it("that is refused stops with the plugin's own words, and takes back what was created", () => {
    const seen = join(compiler.folder, "taken-back");
    process.env["PUPPET_DESTROYED"] = seen;
    try {
      const configs = [entry(library(), { name: "first" }), entry(library(), { config: { refuse: true, tables: ["a"] } })];
      expect(() => loadPlugins(configs, options)).toThrow(
        `plugin "@acme/test" (${library()}) cannot be used: I was given {"refuse":true,"tables":["a"]}, worker 3, grammar 18`,
      );
      expect(readFileSync(seen, "utf8")).toBe("first\n");
    } finally {
      delete process.env["PUPPET_DESTROYED"];
    }
  });

  it("that is refused without a word says so", () => {
    expect(() => loadPlugins([entry(library(), { config: { silent: true } })], options)).toThrow(
      "pooler_create returned -1 and no message",
    );
  });

  it("of more plugins than a chain can have is refused before any is loaded", () => {
    const many = Array.from({ length: 32 }, (_, index) => entry("/nowhere.so", { name: `p${index}` }));
    expect(() => loadPlugins(many, options)).toThrow(/plugin "p31" .* it is plugin 32, a chain has at most 31/);
  });
});
