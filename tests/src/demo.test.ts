// What npm start runs, as its users meet it: a process, what it prints, and what is left of it.
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { query } from "@pooler/embedded-cluster";
import pg from "pg";
import { afterEach, expect, test } from "vitest";

const demoMain = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "tools", "demo", "dist", "index.js");
const readyLimitMs = 60_000;
const goneLimitMs = 20_000;

interface Ready {
  readonly url: string;
  readonly console: string;
  readonly metrics: string;
  readonly shards: readonly { readonly primary: string; readonly replicas: readonly string[] }[];
}

interface RunningDemo {
  readonly child: ChildProcess;
  /** Its temporary files are in here and nowhere else. */
  readonly temporary: string;
  readonly ended: Promise<number | null>;
  stdout(): string;
  stderr(): string;
}

const running: RunningDemo[] = [];

afterEach(async () => {
  for (const { child, ended, temporary } of running.splice(0)) {
    child.kill("SIGTERM");
    await ended;
    await until(() => readdirSync(temporary).length === 0);
    rmSync(temporary, { recursive: true });
  }
});

function startDemo(...args: string[]): RunningDemo {
  const temporary = mkdtempSync(join(realpathSync(tmpdir()), "demo-test-"));
  // Whom the servers run as has to pass.
  chmodSync(temporary, 0o755);
  const script = `const { readArguments, runDemo } = await import(${JSON.stringify(demoMain)});
    const options = readArguments(${JSON.stringify(args)});
    process.exitCode = typeof options === "number" ? options : await runDemo(options);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const demo = { child, temporary, ended, stdout: () => stdout, stderr: () => stderr };
  running.push(demo);
  return demo;
}

async function until(isDone: () => boolean | Promise<boolean>, limitMs = goneLimitMs): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!(await isDone())) {
    if (Date.now() > deadline) throw new Error(`Waited ${limitMs} ms for ${String(isDone)}.`);
    await delay(50);
  }
}

async function readyOf(demo: RunningDemo): Promise<Ready> {
  await until(() => demo.stdout().includes("\n") || demo.child.exitCode !== null, readyLimitMs);
  expect(demo.stdout(), demo.stderr()).toMatch(/^\{.*\}\n$/);
  return JSON.parse(demo.stdout()) as Ready;
}

const portOf = (url: string): number => Number(new URL(url).port);

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Command lines of processes that were told of the demo's directory: its servers, the pooler, the reaper. */
function processesOf({ temporary }: RunningDemo): string[] {
  if (!existsSync("/proc/self/cmdline")) return [];
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      } catch {
        return ""; // it has ended meanwhile
      }
    })
    .filter((commandLine) => commandLine.includes(temporary));
}

async function untilNothingIsLeft(demo: RunningDemo, ports: readonly number[]): Promise<void> {
  await until(() => processesOf(demo).length === 0);
  await until(() => readdirSync(demo.temporary).length === 0);
  expect(await Promise.all(ports.map(isListening))).toEqual(ports.map(() => false));
}

/** How many users a shard holds, and how many of them PostgreSQL would have put elsewhere. */
async function placement(url: string, modulus: number, remainder: number): Promise<{ held: number; astray: number }> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query("CREATE TEMPORARY TABLE by_hash (id bigint) PARTITION BY HASH (id)");
    const { rows } = await client.query<{ held: number; astray: number }>(
      `SELECT count(*)::int AS held,
         count(*) FILTER (WHERE NOT satisfies_hash_partition('by_hash'::regclass, ${modulus}, ${remainder}, id))::int AS astray
       FROM users`,
    );
    return rows[0] ?? { held: 0, astray: 0 };
  } finally {
    await client.end();
  }
}

test("--json prints one line of URLs that all work, the data lie where PostgreSQL's hash says, and an interrupt leaves nothing", async () => {
  const demo = startDemo("--json");
  const { url, console: consoleUrl, metrics, shards } = await readyOf(demo);

  expect(await query(url, "SELECT email FROM users WHERE id = $1", [1])).toEqual([{ email: "user1@example.com" }]);
  expect(await query(url, "INSERT INTO users VALUES (5000, 'new@example.com') RETURNING id")).toEqual([{ id: "5000" }]);
  const plugins = await query(consoleUrl, "SHOW PLUGINS");
  expect(plugins.map(({ plugin }) => plugin)).toEqual(["validator", "read-write-split", "hash-sharding"]);
  expect(await (await fetch(metrics)).text()).toContain("pooler_plugin_call_seconds_count");

  expect(shards).toHaveLength(2);
  expect(shards.map(({ replicas }) => replicas.length)).toEqual([1, 1]);
  let total = 0;
  for (const [remainder, { primary, replicas }] of shards.entries()) {
    const { held, astray } = await placement(primary, shards.length, remainder);
    expect(astray).toBe(0);
    total += held;
    expect(await query(primary, "SELECT count(*)::int AS held FROM plans")).toEqual([{ held: 3 }]);
    expect(await query(replicas[0] ?? "", "SELECT pg_is_in_recovery() AS standby")).toEqual([{ standby: true }]);
  }
  expect(total).toBe(1001);

  const ports = [url, metrics, ...shards.flatMap(({ primary, replicas }) => [primary, ...replicas])].map(portOf);
  expect(await Promise.all(ports.map(isListening))).toEqual(ports.map(() => true));
  demo.child.kill("SIGINT");
  expect(await demo.ended).toBe(0);
  await untilNothingIsLeft(demo, ports);
});

test("the tour tells which server answered each statement, and SIGKILL leaves nothing either", async () => {
  const demo = startDemo();
  await until(() => demo.stderr().includes("Ctrl-C stops everything") || demo.child.exitCode !== null, readyLimitMs);
  const tour = demo.stderr();
  const outcomes = [...tour.matchAll(/→ (.*)/g)].map(([, outcome]) => outcome?.replace(/ on port \d+/, ""));
  expect(outcomes, tour).toEqual([
    "shard 0, replica: user1@example.com",
    "shard 1, replica: user3@example.com",
    "shard 0, primary: one@example.com",
    "shard 0, primary: 1001",
    "shard 1, primary: three@example.com",
    "shard 0, replica: team",
    "ERROR 0A000: the sharding key id of table users is not in the statement",
    "ERROR 42501: DELETE without WHERE is not allowed",
  ]);
  expect(demo.stdout()).toBe("");

  const ports = [...tour.matchAll(/(?:on port |127\.0\.0\.1:)(\d+)/g)].map(([, port]) => Number(port));
  demo.child.kill("SIGKILL");
  await demo.ended;
  await untilNothingIsLeft(demo, [...new Set(ports)]);
});

test("what is no port is said before anything is started", async () => {
  const demo = startDemo("--port", "abc");
  expect(await demo.ended).toBe(2);
  expect(demo.stderr()).toMatch(/^--port abc: a port is a number from 1 to 65535\.\n\nnpm start -- \[options\]\n/);
  expect(demo.stdout()).toBe("");
});

test("--no-replicas and --port do what they say", async () => {
  const first = startDemo("--no-replicas", "--json");
  const { url, shards } = await readyOf(first);
  expect(shards.map(({ replicas }) => replicas)).toEqual([[], []]);
  expect(await query(url, "SELECT email FROM users WHERE id = 3")).toEqual([{ email: "user3@example.com" }]);

  const port = portOf(url);
  const second = startDemo("--no-replicas", "--port", String(port));
  expect(await second.ended).toBe(1);
  expect(second.stderr()).toContain(`Port ${port} is taken by another process. Choose another with --port.`);
});
