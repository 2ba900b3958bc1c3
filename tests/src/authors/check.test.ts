// `pooler plugin check` against plugins that break the contract: each is found, and told for what it is.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test, vi } from "vitest";
import { byCustomer, cargoLibrary, compilePlugin, hooks, verdicts } from "../plugins/plugin-libraries.js";
import { createWorkshop, type Finished, repository } from "./command.js";

// A check runs for seconds, and asks a compiler, too.
vi.setConfig({ testTimeout: 240_000 });

const workshop = createWorkshop();
afterAll(() => workshop.remove());

const careless = fileURLToPath(new URL("fixtures/careless.c", import.meta.url));
const check = (library: string, ...args: string[]): Promise<Finished> => workshop.plugin(["check", library, ...args]);

/** A package whose source is the careless plugin. */
function carelessPackage(mistake: string): string {
  const folder = workshop.folder;
  const source = join(folder, `${mistake}.c`);
  writeFileSync(source, `#define MISTAKE ${mistake}\n${readFileSync(careless, "utf8")}`);
  const pooler = { abi: 1, source: `./${mistake}.c` };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "careless", version: "1.0.0", files: ["prebuilds"], pooler }));
  return folder;
}

describe("a plugin that keeps the contract passes", () => {
  test.each([
    ["the C example", byCustomer],
    ["one without a mistake", () => compilePlugin(careless)],
    ["one in Rust", verdicts],
    ["one in Rust with every hook", hooks],
  ])("%s", async (_, library) => {
    const { code, out, err } = await check(library());
    expect(`${out}${err}`).toContain("It keeps the contract.");
    expect(code).toBe(0);
  });

  test.each([
    ["read-write-split", []],
    ["hash-sharding", ["--config", '{"tables":[{"table":"users","column":"id","type":"bigint"}]}']],
    ["validator", ["--config", '{"rules":[{"type":"deny_tables","tables":["orders"]}]}']],
  ])("the reference plugin %s", async (name, args) => {
    const { code, out } = await workshop.plugin(["check", join(repository, "packages", `plugin-${name}`), ...args]);
    expect(out).toContain("It keeps the contract.");
    expect(code).toBe(0);
  });
});

describe("a mistake is found", () => {
  test.each([
    ["WRITES_BEHIND_OUTPUT", ["questions"], /questions +FAILED.*\n.*it wrote behind its output frame \(byte \d+ of a frame of \d+\)/],
    [
      "WRITES_FAR_BEHIND_OUTPUT",
      ["questions"],
      /in pooler_route_query: it crashed its process \(SIG(SEGV|BUS)\); frames end where mapped memory ends/,
    ],
    [
      "READS_BEYOND_INPUT",
      ["questions"],
      /in pooler_route_query: it crashed its process \(SIG(SEGV|BUS)\); frames end where mapped memory ends/,
    ],
    ["WRITES_INTO_INPUT", ["questions"], /it wrote into its input frame \(byte \d+\)/],
    ["TRUSTS_OFFSETS", ["damaged frames"], /damaged frames +FAILED.*\n.*in pooler_route_query: it crashed its process/],
    ["KNOWS_STRIDE", ["later versions"], /later versions +FAILED.*\n.*it answered "skip" instead of "error/],
    [
      "KNOWS_OUTPUT",
      ["later versions"],
      /later versions +FAILED.*\n.*its message begins at byte \d+, inside the output's struct, whose size says \d+/,
    ],
    ["LEAKS_STATE", ["memory"], /memory +FAILED\n.*created and destroyed 200 times: \d+ bytes stay allocated each time/],
    ["LEAKS_STATEMENTS", ["memory"], /memory +FAILED\n.*created, asked and destroyed 200 times: \d+ bytes stay allocated each time/],
    ["FREES_TWICE", ["handshake"], /handshake +FAILED\n.*it crashed its process \(SIGABRT\)/],
    ["REFUSES_SILENTLY", ["create"], /create +FAILED.*\n.*it failed without a message \(POOLER_FAILED\)/],
    ["CHANGES_INFO", ["handshake"], /handshake +FAILED.*\n.*pooler_plugin_info_v1 returned another address: the info must be static/],
    ["WITHOUT_VERSION", ["handshake"], /handshake +FAILED.*\n.*the info has no version/],
    ["WITHOUT_FETCH", ["questions"], /it answered POOLER_NEEDS_SPACE and does not export pooler_fetch_output/],
    [
      "ACCEPTS_NOBODY",
      ["other hooks"],
      /other hooks +FAILED.*\n.*client_connect told of a client that other plugins made another: user is empty/,
    ],
    ["PASSWORD_WITHOUT_USER", ["other hooks"], /other hooks +FAILED.*\n.*it gave a server_password without a server_user/],
    [
      "ACCEPTS_AN_END",
      ["other hooks"],
      /other hooks +FAILED.*\n.*client_disconnect told of a client: it returned 1, which is no status of the contract/,
    ],
    [
      "COUNTS_ON_PAIRS",
      ["damaged frames"],
      /damaged frames +FAILED.*\n.*client_connect called with .*, in pooler_client_connect: it crashed its process/,
    ],
    ["SERVER_SQL_WITH_NUL", ["other hooks"], /other hooks +FAILED.*\n.*server_connect told of a primary: sql has a NUL byte/],
    [
      "ENDS_WITH_NUL",
      ["other hooks"],
      /query_end told of a statement that ended well, in pooler_query_end: it crashed its process \(SIG(SEGV|BUS)\)/,
    ],
    [
      "FORGETS_A_VALUE",
      ["other hooks"],
      /other hooks +FAILED.*\n.*result_row told of a row with texts: the row has 3 values, it answered 2/,
    ],
    [
      "WRITES_INTO_ROW",
      ["other hooks"],
      /other hooks +FAILED.*\n.*result_row told of a row with texts: it wrote into its input frame \(byte \d+\)/,
    ],
    [
      "ROOM_FOR_ALL_VALUES",
      ["other hooks", "space"],
      /result_row (answering into \d+ bytes|told of a row with [^:]*)(, in pooler_result_row)?: it (wrote behind its output|crashed its process)/,
    ],
    [
      "REFUSES_WHAT_IT_HAS",
      ["other hooks"],
      /other hooks +FAILED.*\n.*it refused the configuration that it has: it takes no other configuration/,
    ],
    [
      "LEAKS_CLIENTS",
      ["memory"],
      /memory +FAILED\n.*created, called in client_connect and destroyed 200 times: \d+ bytes stay allocated each time/,
    ],
    [
      "KNOWS_ROW_STRIDE",
      ["later versions"],
      /later versions +FAILED.*\n.*result_row called with structs that are \d+ bytes longer: .* it answered otherwise/,
    ],
    ["NEVER_RETURNS", ["questions"], /asked about "VACUUM users", in pooler_route_query: it did not return within 2 s/],
  ] as const)("%s", async (mistake, kinds, message) => {
    const { code, out } = await check(
      compilePlugin(careless, { MISTAKE: mistake }),
      "--only",
      ...kinds,
      ...(mistake === "NEVER_RETURNS" ? ["--timeout", "2"] : []),
    );
    expect(out).toMatch(message);
    expect(out).toMatch(/It breaks the contract: \d+ problems?\./);
    expect(code).toBe(1);
  });
});

describe("a plugin that may wait is asked by several threads", () => {
  const waiting = (mistake: string): string =>
    compilePlugin(fileURLToPath(new URL("fixtures/waiting.c", import.meta.url)), { MISTAKE: mistake });

  test("and passes", async () => {
    // Its calls take their time, and the memory case is two hundred times some of them.
    const { code, out, err } = await check(waiting("NONE"), "--timeout", "60");
    expect(out).toMatch(/handshake +ok .* asks for blocking/);
    expect(out).toMatch(/threads +ok +\d{3,} calls/);
    expect(`${out}${err}`).toContain("It keeps the contract.");
    expect(code).toBe(0);
  });

  test.each([
    ["ONE_BUFFER", /threads +FAILED.*\n.*asked about .* beside others it answered ".*[0-9a-f]+, which has \d+ bytes.*, alone ".*which has/],
    [
      "ONE_ANSWER",
      /threads +FAILED.*\n.*with \d+ bytes for its answer: asked about .* beside others it answered ".*which has \d+ bytes.*, alone ".*which has/,
    ],
    [
      "DROPS_COOKIE",
      /space +FAILED.*\n.*pooler_fetch_output failed \(POOLER_FAILED: no answer with this number is kept\): it is given in out->cookie/,
    ],
    ["FOLLOWS_ENDS", /handshake +FAILED\n.*it is blocking \(POOLER_CAP_BLOCKING\) and has query_end, which cannot wait/],
    ["OLD_HOSTS", /handshake +FAILED\n.*it is blocking \(POOLER_CAP_BLOCKING\) and has a min_host_minor of 0/],
  ])("%s is found", async (mistake, message) => {
    const { code, out } = await check(waiting(mistake), "--only", "space", "threads");
    expect(out).toMatch(message);
    expect(code).toBe(1);
  });
});

test.runIf(process.platform === "linux").each([
  ["USES_WHAT_IT_FREED", /sanitizers +FAILED.*\n.*it crashed its process[\s\S]*heap-use-after-free[\s\S]*make_a_mistake/],
  ["SHIFTS_TOO_FAR", /sanitizers +FAILED.*\n.*it crashed its process[\s\S]*shift exponent 3[23] is too large/],
])("the sanitizers of the compiler find what shows nowhere else: %s", async (mistake, message) => {
  const { code, out } = await workshop.plugin(["check", carelessPackage(mistake), "--only", "questions"]);
  expect(out).toMatch(message);
  expect(code).toBe(1);
});

describe("a plugin of the repository that misbehaves is found, asked with --statement", () => {
  const kinds = [
    ...readFileSync(join(repository, "rust-plugins/fixtures/garbage/src/lib.rs"), "utf8").matchAll(/^ {4}\("([a-z0-9-]+)",/gm),
  ];

  test("every kind of garbage, each with its reason", async () => {
    expect(kinds.length).toBeGreaterThan(25);
    const statements = kinds.flatMap(([, kind]) => ["-s", `SELECT 1 /* garbage: ${kind} */`]);
    const { out: said, code } = await check(cargoLibrary("fixture_garbage"), "--verbose", ...statements);
    expect(code).toBe(1);
    for (const [, kind] of kinds) expect(said).toContain(`garbage: ${kind} */": alone: `);
  });

  test("a panic", async () => {
    const { code, out } = await check(cargoLibrary("fixture_panic"), "-s", "SELECT 'panic'");
    expect(out).toMatch(/asked about "SELECT 'panic'": alone: it panicked: asked to panic/);
    expect(code).toBe(1);
  });

  test("an abort", async () => {
    const { code, out } = await check(cargoLibrary("fixture_abort"), "-s", "SELECT 'abort please'");
    expect(out).toMatch(/in pooler_route_query: it crashed its process \(SIGABRT\)/);
    expect(code).toBe(1);
  });

  test("a hang", async () => {
    const { code, out } = await check(cargoLibrary("fixture_hang"), "--timeout", "1", "-s", "SELECT 'hang please'");
    expect(out).toMatch(/in pooler_route_query: it did not return within 1 s/);
    expect(code).toBe(1);
  });

  test.each([
    ["fixture_abi_newer", /handshake +FAILED\n.*abi_major is 2, this pooler speaks ABI 1/],
    ["fixture_abi_older", /handshake +FAILED\n.*abi_major is 0, this pooler speaks ABI 1/],
    ["pooler_plugin_macros", /handshake +FAILED\n.*does not export pooler_plugin_info_v1/],
  ])("%s", async (crate, message) => {
    const { code, out } = await check(cargoLibrary(crate));
    expect(out).toMatch(message);
    expect(code).toBe(1);
  });
});

describe("a module in JavaScript", () => {
  const plugin = (body: string): string => {
    const file = join(workshop.folder, "script.mjs");
    const js = join(repository, "packages/plugin-abi/dist/js/index.js");
    writeFileSync(file, `import { definePlugin } from ${JSON.stringify(js)};\nexport default definePlugin({ ${body} });\n`);
    return file;
  };

  test("passes", async () => {
    const { code, out } = await check(
      plugin('route: ({ statement, cluster }) => ({ verdict: "forward", shard: statement.sql.length % cluster.shards })'),
    );
    expect(out).toMatch(/handshake +ok +.*\(javascript\); hooks route_query/);
    expect(out).toContain("It keeps the contract.");
    expect(code).toBe(0);
  });

  test("with every hook passes, and is asked all of them", async () => {
    const file = plugin(`
      route: () => ({ verdict: "skip", showRows: true, cookie: 7 }),
      clientConnect: ({ peerName }) => peerName === null ? undefined : { verdict: "accept", serverUser: peerName || "nobody" },
      clientDisconnect: () => {},
      serverConnect: ({ role }) => ({ verdict: "accept", sql: role === "primary" ? "SET ROLE a" : "SET ROLE b", onceSql: "SELECT 1" }),
      queryEnd: () => {},
      resultRow: ({ values }) => values.length === 0 ? "drop" : "keep",
      reload: () => {},
    `);
    const { code, out } = await check(file);
    expect(out).toMatch(/hooks route_query, client_connect, client_disconnect, server_connect, query_end, result_row, reload/);
    expect(out).toMatch(/other hooks +ok +\d{2,} calls/);
    expect(out).toContain("It keeps the contract.");
    expect(code).toBe(0);
  });

  test.each([
    ["throws", "route: ({ parameters }) => parameters[0].text.length", /alone: TypeError: Cannot read/],
    ["answers nonsense", 'route: () => ({ verdict: "no" })', /its answer is malformed: verdict is "no", which is none/],
    ["answers late", "route: async () => undefined", /it is a promise: plugins answer at once/],
    ["sends where nothing is", 'route: () => ({ verdict: "forward", shard: 2 })', /its shard is 2, the cluster has 2/],
    [
      "hangs",
      "route: ({ statement }) => { while (statement.kind >= 0 || statement.sql === 'VACUUM users'); }",
      /it did not return within 2 s/,
    ],
    [
      "cannot be loaded",
      "route: () => nowhere }); import 'nowhere-at-all'; ({",
      /its module cannot be loaded: Cannot find package 'nowhere-at-all'/,
    ],
    ["is none", "}); export const x = ({", /handshake +FAILED/],
    [
      "lets nobody in",
      'clientConnect: ({ askedUser }) => ({ verdict: "accept", user: askedUser })',
      /client_connect told of a client whose names are empty: user is empty/,
    ],
    ["lets in late", "clientConnect: async () => undefined", /client_connect told of a client: .*it is a promise/],
    [
      "counts on what a server reports",
      "serverConnect: ({ parameters }) => { parameters.get('TimeZone').trim(); }",
      /server_connect told of a replica: TypeError: Cannot read|server_connect told of a server that reports nothing: TypeError: Cannot read/,
    ],
    [
      "counts on a good end",
      "queryEnd: ({ commandTag }) => { commandTag.length; }",
      /query_end told of a statement that failed: TypeError: Cannot read/,
    ],
    ["mourns", "clientDisconnect: () => nobody", /client_disconnect told of a client: ReferenceError: nobody is not defined/],
    [
      "loses values",
      'route: () => ({ verdict: "skip", showRows: true }), resultRow: () => ["one"]',
      /result_row told of a row with texts: .*3/,
    ],
    ["refuses what it has", 'reload: () => { throw new Error("never"); }', /it refused the configuration that it has: Error: never/],
  ])("that %s is found", async (_, body, message) => {
    const { out, code } = await check(plugin(body), "--timeout", "2", "--only", "questions", "other hooks");
    expect(out).toMatch(message);
    expect(code).toBe(1);
  });
});

describe("what cannot be checked is told", () => {
  test.each([
    [["nowhere"], /there is no .*nowhere/],
    [[".", "--config", "{"], /there is no package.json/],
    [[fileURLToPath(import.meta.url)], /it is no shared library/],
  ])("%j", async (args, message) => {
    const { code, out, err } = await workshop.plugin(["check", ...args], { cwd: join(workshop.folder, ".cargo") });
    expect(`${out}${err}`).toMatch(message);
    expect(code).toBe(1);
  });

  test("a configuration that is none, and one that the plugin refuses", async () => {
    expect((await check(verdicts(), "--config", "{")).err).toContain("the configuration is no JSON");
    expect((await check(verdicts(), "--config", "[]")).err).toContain("the configuration is no JSON object");
    expect((await check(verdicts(), "--config", '{"default":"dance"}')).out).toMatch(/there is no verdict/);
  });
});
