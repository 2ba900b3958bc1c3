// Plugins as a user has them: packages in the project's node_modules, found by name; and every way in which one cannot be used, which
// stops the start with a message that says what to do.
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type PoolerToml, runPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { byCustomer, cargoLibrary, compilePlugin, libraryFile, platform, puppet, recorder, script, verdicts } from "./plugin-libraries.js";
import { placeIn, port, type Rig, startRig } from "./rig.js";

interface Package {
  readonly name: string;
  readonly library?: string;
  readonly platforms?: readonly string[];
  readonly manifest?: Readonly<Record<string, unknown>>;
  readonly schema?: unknown;
}

/** What `npm install` leaves in a project. */
function install(project: string, { name, library, platforms = [platform], manifest = {}, schema }: Package): void {
  const folder = join(project, "node_modules", ...name.split("/"));
  mkdirSync(folder, { recursive: true });
  const pooler = { abi: 1, ...(schema === undefined ? {} : { config: "./config.schema.json" }) };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name, version: "3.2.1", pooler, ...manifest }));
  if (schema !== undefined) writeFileSync(join(folder, "config.schema.json"), JSON.stringify(schema));
  for (const each of library === undefined ? [] : platforms) {
    mkdirSync(join(folder, "prebuilds", each), { recursive: true });
    copyFileSync(library as string, join(folder, "prebuilds", each, libraryFile));
  }
}

const base: PoolerToml = {
  listen: { auth: "trust" },
  users: { app: { server_user: "postgres" } },
  databases: { app: { shards: sharedShards() } },
};

describe("packages of a project", () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startRig({
      plugins: [
        { package: "@acme/pooler-plugin-verdicts" },
        { package: "unscoped-plugin", config: { name: "installed" } },
        { package: "@pooler/plugin-read-write-split" },
      ],
      prepare: (project) => {
        install(project, { name: "@acme/pooler-plugin-verdicts", library: verdicts() });
        install(project, {
          name: "unscoped-plugin",
          library: recorder(),
          schema: { type: "object", properties: { name: { type: "string" } } },
        });
        // One that the package manager has put elsewhere and linked, as pnpm does.
        const own = dirname(dirname(dirname(cargoLibrary("read_write_split"))));
        const source = join(own, "..", "packages", "plugin-read-write-split");
        mkdirSync(join(project, "node_modules", "@pooler"), { recursive: true });
        symlinkSync(source, join(project, "node_modules", "@pooler", "plugin-read-write-split"), "dir");
      },
    });
  });
  afterAll(() => rig.stop());

  test("are found by name, with their versions", async () => {
    const shown = await rig.console("SHOW PLUGINS");
    expect(shown.map(({ name, plugin }) => [name, plugin])).toEqual([
      ["@acme/pooler-plugin-verdicts", "fixture-verdicts"],
      ["unscoped-plugin", "fixture-recorder"],
      ["@pooler/plugin-read-write-split", "read-write-split"],
    ]);
    expect(shown[0]?.["library"]).toMatch(new RegExp(`node_modules/@acme/pooler-plugin-verdicts/prebuilds/${platform}/${libraryFile}$`));
  });

  test("route", async () => {
    const client = await rig.client();
    expect(placeIn(await client.query(`SELECT /* verdict: forward open 1 */ ${port}`))).toBe("1 replica");
    expect(placeIn(await client.query(`SELECT /* verdict: forward open 1 */ ${port} FROM nextval('pg_catalog.none')`))).toMatch(/^42P01/);
  });
});

/** Runs `pooler start`, which must refuse; what it wrote. */
async function refusal(plugin: Readonly<Record<string, unknown>>, prepare: (project: string) => void = () => {}): Promise<string> {
  const finished = await runPooler(["start"], { config: { ...base, plugins: [plugin] }, prepare });
  expect(finished.code).toBe(1);
  const said = finished.stderr + finished.stdout;
  expect(said).not.toMatch(/\bat .*\.js:\d+/);
  return said;
}

describe.concurrent("a plugin that cannot be used stops the start", () => {
  const named = { name: "@acme/audit" };
  const installed = (changes: Partial<Package>) => (project: string) =>
    install(project, { name: "@acme/audit", library: verdicts(), ...changes });

  test("a package that is not installed", async () => {
    expect(await refusal(named)).toMatch(/plugin \\?"@acme\/audit\\?".*is not installed.*npm install @acme\/audit/);
  });

  test("a package that is no plugin", async () => {
    expect(await refusal(named, installed({ manifest: { pooler: undefined } }))).toMatch(/@acme\/audit.*no pooler plugin/);
  });

  test("a package for another ABI", async () => {
    expect(await refusal(named, installed({ manifest: { pooler: { abi: 2 } } }))).toMatch(
      /@acme\/audit.*ABI 2.*speaks ABI 1.*Update the pooler/,
    );
  });

  test("a package without a binary for this platform, which names those that are there", async () => {
    const other = platform === "darwin-arm64" ? "darwin-x64" : "linux-s390x";
    expect(await refusal(named, installed({ platforms: [other, "linux-riscv64"] }))).toMatch(
      new RegExp(`@acme/audit.*no binary for ${platform}; it has .*linux-riscv64`),
    );
  });

  test("a package whose prebuilds are missing", async () => {
    expect(await refusal(named, installed({ platforms: [] }))).toMatch(/@acme\/audit.*it has none.*install it again/);
  });

  test("a path where nothing is", async () => {
    expect(await refusal({ name: "./target/release/libaudit.so" })).toMatch(/libaudit\.so.*there is no file.*built/);
  });

  test.each([
    ["a file that is no library", Buffer.from("#!/bin/sh\necho this is no library at all, is it?\n"), /no shared library/],
    ["a library of another architecture", elfFor(process.arch === "arm64" ? 62 : 183), /it is built for (arm64|x64)/],
    ["a library of another system", Buffer.concat([Buffer.from("MZ"), Buffer.alloc(200)]), /it is built for Windows/],
    ["an empty file", Buffer.alloc(0), /a file of 0 bytes/],
  ])("%s", async (_, bytes, message) => {
    const said = await refusal({ name: "./wrong" }, (project) => writeFileSync(join(project, "wrong"), bytes));
    expect(said).toMatch(message);
    expect(said).toMatch(/plugin \\?"\.\/wrong\\?"/);
  });

  test("a library that is no plugin", async () => {
    const said = await refusal({ name: cargoLibrary("pooler_plugin_macros") });
    expect(said).toMatch(/does not export pooler_plugin_info_v1/);
  });

  test("a plugin of a newer ABI", async () => {
    expect(await refusal({ name: cargoLibrary("fixture_abi_newer") })).toMatch(
      /abi_major is \d+, this pooler speaks ABI 1.*Update the pooler/,
    );
  });

  test("a plugin of an older ABI", async () => {
    expect(await refusal({ name: cargoLibrary("fixture_abi_older") })).toMatch(
      /abi_major is 0, this pooler speaks ABI 1.*newer version of the plugin/,
    );
  });

  test("a configuration that the package's schema does not take: key, value and line", async () => {
    const schema = { type: "object", additionalProperties: false, properties: { limit: { type: "integer", minimum: 1 } } };
    const wrong = await refusal({ ...named, config: { limit: 0 } }, installed({ schema }));
    expect(wrong).toMatch(/limit/);
    expect(wrong).toMatch(/line \d+|pooler\.toml:\d+/);
    const unknown = await refusal({ ...named, config: { limits: 3 } }, installed({ schema }));
    expect(unknown).toMatch(/limits/);
  });

  test("a configuration that the plugin refuses, in its own words", async () => {
    expect(await refusal({ name: recorder(), config: { nome: "x" } })).toMatch(/unknown field `nome`/);
    expect(await refusal({ name: verdicts(), config: { default: "dance" } })).toMatch(/there is no verdict/);
    expect(await refusal({ name: byCustomer(), config: { anything: 1 } })).toMatch(/by-customer takes no configuration/);
    expect(await refusal({ name: script(), config: { file: "/nowhere/at/all" } })).toMatch(/the file cannot be opened/);
  });

  test("a plugin that aborts while it starts", async () => {
    expect(await refusal({ name: puppet(), config: { abort: true } })).toMatch(/while plugin \\?".*\\?" ran create|SIGABRT/);
  });

  test("a plugin without a function that it must have", async () => {
    const source = readFileSync(new URL("fixtures/script.c", import.meta.url), "utf8").replaceAll(
      "pooler_route_query(void",
      "not_route_query(void",
    );
    const file = join(dirname(script()), "without.c");
    writeFileSync(
      file,
      source.replace(
        "pooler_status not_route_query",
        "pooler_status not_route_query(void *, const pooler_input *, uint32_t, pooler_output *, uint32_t);\npooler_status not_route_query",
      ),
    );
    expect(await refusal({ name: compilePlugin(file) })).toMatch(/does not export pooler_route_query/);
  });

  test("the second of two, by its own name", async () => {
    const finished = await runPooler(["start"], { config: { ...base, plugins: [{ name: verdicts() }, { name: "@acme/missing" }] } });
    expect(finished.code).toBe(1);
    expect(finished.stderr + finished.stdout).toMatch(/@acme\/missing/);
  });
});

/** The head of an ELF library for this machine number. */
function elfFor(machine: number): Buffer {
  const head = Buffer.alloc(4096);
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  head.writeUInt16LE(3, 16);
  head.writeUInt16LE(machine, 18);
  return head;
}
