import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { runProgram } from "./program.js";

const directory = mkdtempSync(join(tmpdir(), "pooler-cli-"));
afterAll(() => rmSync(directory, { recursive: true }));

let files = 0;
function configFile(text: string): string {
  files += 1;
  const file = join(directory, `${files}.toml`);
  writeFileSync(file, text);
  return file;
}

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runProgram(args, { out: (text) => out.push(text), err: (text) => err.push(text) });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

const fine = `[databases.app]
shards = [
  { primary = "postgres://u:hunter2@one/a", replicas = ["postgres://[::1]:6000/a?sslmode=require"] },
  "postgres://two/a",
]
[users.app]
password = "hunter2"
[users.operator]
password = "hunter2"
console = "admin"
`;

describe("arguments", () => {
  test("version tells the version", async () => {
    expect(await run("version")).toMatchObject({ code: 0, out: expect.stringMatching(/^pooler \d+\.\d+\.\d+ \(Node.js v\d+/), err: "" });
    expect(await run("--version")).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
  });

  test("help tells the commands", async () => {
    const { code, out } = await run("--help");
    expect(code).toBe(0);
    for (const command of ["start", "check", "config-schema", "version"]) expect(out).toContain(command);
  });

  test.each([
    [["stat"], "Did you mean start?"],
    [["start", "--confg", "x"], "Did you mean --config?"],
    [["check", "--config"], "argument missing"],
    [["start", "surplus"], "too many arguments"],
  ])("%j is refused", async (args, message) => {
    const { code, err } = await run(...args);
    expect(code).toBe(1);
    expect(err).toContain(message);
  });

  test("config-schema prints a JSON Schema", async () => {
    const { code, out } = await run("config-schema");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ type: "object", properties: { listen: {}, databases: {} } });
  });
});

describe.each(["start", "check"])("%s", (command) => {
  test("without a configuration file says what to do and shows one", async () => {
    const { code, err } = await run(command, "--config", join(directory, "none.toml"));
    expect(code).toBe(1);
    expect(err).toContain(`error: there is no configuration file ${join(directory, "none.toml")}`);
    expect(err).toContain("[databases.app]");
    expect(err).not.toMatch(/\n\s+at /);
  });

  test("with a wrong configuration tells every error, and no stack", async () => {
    const file = configFile(`workers = 0\n${fine}[listen]\nprot = 1\n`);
    const { code, err } = await run(command, "--config", file);
    expect(code).toBe(1);
    expect(err).toContain(`error: ${file} has 2 errors:`);
    expect(err).toContain(`${file}:1:11: workers: 0 is not allowed`);
    expect(err).toContain("listen.prot: unknown key; did you mean port?");
    expect(err).not.toMatch(/\n\s+at |hunter2/);
  });

  test("with a plugin that is not installed says how to get it", async () => {
    const file = configFile(`${fine}[[plugins]]\nname = "@acme/none"\n`);
    const { code, err } = await run(command, "--config", file);
    expect(code).toBe(1);
    expect(err).toContain(`${file}:12:8: plugins[0].name: plugin "@acme/none" cannot be used: the package is not installed`);
    expect(err).toContain("npm install @acme/none");
  });
});

describe("check", () => {
  test("sums up a good configuration without its secrets", async () => {
    const file = configFile(fine);
    const { code, out, err } = await run("check", "--config", file);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toBe(`listen     127.0.0.1:6432, auth scram-sha-256, TLS disable
workers    1, io auto
metrics    off
databases  app: 2 shards, transaction pooling, 20 server connections per user and server
             shard 0: primary one:5432/a, replica [::1]:6000/a (TLS require)
             shard 1: primary two:5432/a
users      app, operator (console: admin)
plugins    none

${file} is fine.`);
  });

  test("warns about what can hardly be meant, and finds it good all the same", async () => {
    const { code, err } = await run("check", "--config", configFile('[databases.app]\nurl = "postgres://db"\n'));
    expect(code).toBe(0);
    expect(err).toMatch(/^warning: .*: users: there is no user/);
  });

  test("--connect tells which servers are there and which are not", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end("N"));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const file = configFile(
      `[databases.app]\nurl = "postgres://127.0.0.1:${port}/a"\nreplicas = ["postgres://127.0.0.1:1/a"]\n[users.app]\npassword = "x"\n`,
    );
    const { code, out, err } = await run("check", "--connect", "--config", file);
    server.close();
    expect(code).toBe(1);
    expect(out).toContain(`reached 127.0.0.1:${port}/a`);
    expect(err).toContain("error: cannot reach 127.0.0.1:1/a: nothing listens there (connection refused)");
    expect(err).toContain("1 error.");
  });
});
