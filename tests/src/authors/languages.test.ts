// The examples of the contract in languages without an SDK, as a stranger finds them: built by their own package.json against the
// bare header, put through `pooler plugin check`, and asked in a running pooler.
import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { libraryFile, platform } from "../plugins/plugin-libraries.js";
import { placeIn, port, type Rig, startRig } from "../plugins/rig.js";
import { createWorkshop, repository } from "./command.js";

const workshop = createWorkshop();
afterAll(() => workshop.remove());

/** The first of these commands that is there; the example of a language is skipped where its toolchain is not. */
function find(candidates: readonly string[], ...args: string[]): string | undefined {
  return candidates.find((candidate) => {
    const [command = "", ...rest] = candidate.split(" ");
    return spawnSync(command, [...rest, ...args], { stdio: "ignore" }).status === 0;
  });
}

const cxx = find([process.env["CXX"] ?? "c++"], "--version");
const zig = find([process.env["POOLER_ZIG"] ?? "zig", "zig", "python3 -m ziglang"], "version");
const go = find(["go"], "version");

async function checked(language: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const folder = join(workshop.folder, language);
  cpSync(join(repository, "packages/plugin-abi/examples", language), folder, { recursive: true });
  const { code, out, err } = await workshop.plugin(["check"], { cwd: folder, env });
  expect(`${out}${err}`).toContain("It keeps the contract.");
  expect(code).toBe(0);
  return join(folder, "prebuilds", platform, libraryFile);
}

let rig: Rig;
async function start(language: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
  const library = await checked(language, env);
  const users = { app: { server_user: "postgres" }, app_ro: { server_user: "postgres" }, admin: { console: "admin" } };
  rig = await startRig({ plugins: [{ as: language, library }], rest: { users } });
}

// A compiler that has built nothing here before builds its own libraries first.
const buildLimitMs = 400_000;

describe.runIf(cxx !== undefined)("C++ (skipped without a C++ compiler)", () => {
  beforeAll(() => start("cpp"), buildLimitMs);
  afterEach(() => rig.disconnectAll());
  afterAll(() => rig.stop());

  test("read-only users read from replicas, and write nowhere", async () => {
    const client = await rig.client({ user: "app_ro" });
    expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 replica");
    expect(errorIn(await client.query("CREATE TABLE not_there (id int)"))).toMatchObject({ C: "25006", M: 'user "app_ro" only reads' });
    expect(errorIn(await client.query("SELECT nextval('s')"))).toMatchObject({ C: "25006" });
  });

  test("others are left alone", async () => {
    const client = await rig.client();
    expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 primary");
  });
});

describe.runIf(zig !== undefined)("Zig (skipped without zig)", () => {
  beforeAll(() => start("zig", { POOLER_ZIG: zig ?? "zig" }), buildLimitMs);
  afterEach(() => rig.disconnectAll());
  afterAll(() => rig.stop());

  test("application_name pins a client to a shard", async () => {
    for (const shard of [0, 1]) {
      const client = await rig.client({ application_name: `batch shard:${shard}` });
      expect(placeIn(await client.query(`SELECT ${port}`))).toBe(`${shard} primary`);
    }
  });

  test.each(["shard:2", "shard:", "shard:99999999999"])("%s is refused", async (name) => {
    const client = await rig.client({ application_name: name });
    expect(errorIn(await client.query("SELECT 1"))).toMatchObject({ C: "22023", H: expect.stringContaining("shard:0") });
  });
});

describe.runIf(go !== undefined)("Go (skipped without go)", () => {
  beforeAll(() => start("go"), buildLimitMs);
  afterEach(() => rig.disconnectAll());
  afterAll(() => rig.stop());

  test("statements are counted by user", async () => {
    const app = await rig.client();
    const other = await rig.client({ user: "app_ro" });
    for (const client of [app, app, other]) expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    expect(rowsOf(await app.query("show query_counts"))).toEqual([
      ["app", "2"],
      ["app_ro", "1"],
    ]);
  });
});
