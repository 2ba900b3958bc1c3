// PostgreSQL itself and the pooler in several configurations side by side, each with a database of its own in the same state: runs
// a sequence on all of them and says where the pooler is different.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { rowsOf } from "../harness/backend-message.js";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, type WireClient } from "../harness/wire-client.js";
import { createWaiter } from "../plugins/blocking-rig.js";
import { createBystanders } from "./bystanders.js";
import type { ClientSequence } from "./client-messages.js";
import { converse, type Transcript } from "./conversation.js";
import { createRandom } from "./random.js";
import { contents, schema } from "./statements.js";

export const configurations = ["transaction", "replica", "session", "plugins", "waiting"] as const;
/** "waiting": "plugins" with one between them that is asked about every statement and answers late, on threads. */
export type Configuration = (typeof configurations)[number];

const poolSize = 2;
const maxServerStatements = 5;
const plugins = ["verdicts", "recorder"].map((name) =>
  fileURLToPath(new URL(`../../../rust-plugins/target/release/libfixture_${name}.so`, import.meta.url)),
);

export interface Difference {
  readonly configuration: Configuration;
  /** For people: the step, and both sides. */
  readonly report: string;
}

export interface Arena {
  /** Runs the sequence on PostgreSQL and through the pooler. `seed` moves the other clients and chooses startup settings. */
  differences(sequence: ClientSequence, seed: number, among?: readonly Configuration[]): Promise<Difference[]>;
  stop(): Promise<void>;
}

/** BEGIN waits for the first statement that says where to go. */
const holds = (configuration: Configuration): boolean =>
  configuration === "replica" || configuration === "plugins" || configuration === "waiting";

/** A SET that PostgreSQL refuses: behind a held BEGIN that is told with the statement that takes a server (docs/pooling.md). */
const refusedSetting = /nosuch_parameter|max_connections|'nonsense'|'nowhere'|[=O] 99/;

interface Outcome {
  readonly transcript: Transcript;
  readonly contents: readonly string[];
  /** What is not as it should be, whatever PostgreSQL says. */
  readonly complaints: readonly string[];
}

export async function startArena(): Promise<Arena> {
  const missing = plugins.find((file) => !existsSync(file));
  if (missing !== undefined) throw new Error(`${missing} is missing: node scripts/build-plugins.mjs --fixtures`);
  const primary = new URL(sharedShards()[0]?.primary ?? "");
  const directPort = Number(primary.port);
  const databaseOf = (configuration: Configuration | "direct"): string => `differential_${configuration}`;
  const urlAt = (server: string, configuration: Configuration): string => {
    const url = new URL(server);
    url.pathname = `/${databaseOf(configuration)}`;
    return url.href;
  };
  const direct = async (database: string): Promise<WireClient> => {
    const client = await connectWire({ port: directPort });
    await client.login({ user: "postgres", database });
    return client;
  };

  const admin = await direct("postgres");
  const sides = ["direct", ...configurations] as const;
  const controls = new Map<Configuration | "direct", WireClient>();
  for (const side of sides) {
    const name = databaseOf(side);
    await run(admin, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await run(admin, `CREATE DATABASE ${name}`);
    // A name that some client has set is known to a server from then on: here it is known to all.
    await run(admin, `ALTER DATABASE ${name} SET my.variable = 'initial'`);
    controls.set(side, await direct(name));
  }

  const databaseConfig = (configuration: Configuration): object => ({
    url: urlAt(primary.href, configuration),
    pool_size: poolSize,
    pool_mode: configuration === "session" ? "session" : "transaction",
    ...(configuration === "replica" ? { replicas: sharedShards()[0]?.replicas.map((url) => urlAt(url, configuration)) } : {}),
  });
  const start = (names: readonly Configuration[], chain: readonly object[]): Promise<Pooler> =>
    startPooler({
      config: {
        listen: { auth: "trust" },
        users: { app: { server_user: "postgres" } },
        databases: Object.fromEntries(names.map((name) => [databaseOf(name), databaseConfig(name)])),
        limits: { max_server_statements: maxServerStatements },
        plugins: chain,
      },
    });
  const [first, last] = plugins.map((name) => ({ name }));
  const waiter = createWaiter();
  const { library, config } = waiter.entry({}, { ONLY_LATE: "1", HOOKS: "(POOLER_HOOK_ROUTE_QUERY|POOLER_HOOK_CLIENT_CONNECT)" });
  const late = { name: library, max_concurrent: 64, deadline: "60s", config };
  const [plain, chained, waiting] = await Promise.all([
    start(["transaction", "replica", "session"], []),
    start(["plugins"], [first, last] as object[]),
    start(["waiting"], [first, late, last] as object[]),
  ]);
  const poolerOf = (configuration: Configuration): Pooler =>
    configuration === "plugins" ? chained : configuration === "waiting" ? waiting : plain;
  const connect = async (configuration: Configuration): Promise<WireClient> => {
    const client = await connectWire({ port: poolerOf(configuration).port });
    await client.login({ user: "app", database: databaseOf(configuration) });
    return client;
  };

  const reset = async (side: Configuration | "direct"): Promise<WireClient> => {
    const control = controls.get(side) as WireClient;
    await run(control, schema);
    return control;
  };

  const runDirect = async (sequence: ClientSequence, seed: number): Promise<Outcome> => {
    const control = await reset("direct");
    const client = await connectWire({ port: directPort });
    const greeting = await client.login({ ...startupOf(sequence, seed), user: "postgres", database: databaseOf("direct") });
    const transcript = await converse(client, greeting, sequence);
    client.reset();
    return { transcript, contents: await linesOf(control, contents), complaints: [] };
  };

  const runPooled = async (configuration: Configuration, sequence: ClientSequence, seed: number): Promise<Outcome> => {
    const control = await reset(configuration);
    const client = await connectWire({ port: poolerOf(configuration).port });
    const greeting = await client.login({ ...startupOf(sequence, seed), user: "app", database: databaseOf(configuration) });
    const bystanders = createBystanders({
      count: 3,
      random: createRandom(seed),
      connect: () => connect(configuration),
      visitOnly: configuration === "session",
    });
    const transcript = await converse(client, greeting, sequence, { beforeStep: () => bystanders.stir() });
    client.reset();
    const complaints = [...(await bystanders.leave())];
    complaints.push(...(await leftovers(() => connect(configuration))));
    return { transcript, contents: await linesOf(control, contents), complaints };
  };

  return {
    async differences(sequence, seed, asked = configurations) {
      const among = asked.filter((configuration) => !holds(configuration) || !refusedSetting.test(JSON.stringify(sequence)));
      const [expected, ...found] = await Promise.all([
        runDirect(sequence, seed),
        ...among.map((configuration) => runPooled(configuration, sequence, seed)),
      ]);
      return found.flatMap((outcome, i) => {
        const configuration = among[i] as Configuration;
        const report = compare(sequence, expected, outcome, holds(configuration));
        return report === undefined ? [] : [{ configuration, report }];
      });
    },
    async stop() {
      await Promise.all([plain.stop(), chained.stop(), waiting.stop()]);
      waiter.remove();
      for (const control of controls.values()) control.reset();
      for (const side of sides) await run(admin, `DROP DATABASE ${databaseOf(side)} WITH (FORCE)`);
      admin.reset();
    },
  };
}

/**
 * What a client says of its settings when it connects, with an even seed. Until the transaction of a RESET is over the server's own
 * defaults count (docs/pooling.md): random sequences that could see that say nothing.
 */
function startupOf(sequence: ClientSequence, seed: number): Readonly<Record<string, string>> {
  if (seed % 2 === 1 || (seed > 2 && /reset|default|set_config/i.test(JSON.stringify(sequence)))) return {};
  return { application_name: "started", extra_float_digits: "2", options: "-c DateStyle=SQL,\\ DMY -c work_mem=8MB" };
}

function compare(sequence: ClientSequence, expected: Outcome, found: Outcome, isHeld: boolean): string | undefined {
  let failed = false;
  for (const [i, step] of sequence.entries()) {
    const [theirs = [], ours = []] = [expected.transcript[i], found.transcript[i]];
    const isSame = theirs.join("\n") === ours.join("\n") || (isHeld && failed && refusedAlike(theirs, ours));
    failed = theirs.findLast((line) => line.startsWith("Z ")) === "Z E";
    if (isSame) continue;
    const message = JSON.stringify(step);
    const same = theirs.findIndex((line, at) => line !== ours[at]);
    const tail = (lines: readonly string[]): string => lines.slice(same < 0 ? theirs.length : same).join("\n  ");
    return `step ${i}: ${message.slice(0, 2_000)}\nafter ${same} messages PostgreSQL answers\n  ${tail(theirs)}\nthe pooler\n  ${tail(ours)}`;
  }
  if (expected.contents.join("\n") !== found.contents.join("\n"))
    return `the tables hold\n  ${expected.contents.join("\n  ")}\nat PostgreSQL, through the pooler\n  ${found.contents.join("\n  ")}`;
  return found.complaints.length === 0 ? undefined : found.complaints.join("\n");
}

/**
 * A transaction that failed before it had a server answers everything with 25P02 (docs/pooling.md), where PostgreSQL looks for other
 * errors first.
 */
function refusedAlike(theirs: readonly string[], ours: readonly string[]): boolean {
  const units = (lines: readonly string[]): string[] => lines.join("\n").split(/^(?=Z )/m);
  const [expected, found] = [units(theirs), units(ours)];
  return (
    expected.length === found.length &&
    expected.every((unit, i) => unit === found[i] || (/^E /m.test(unit) && /^E C:25P02/m.test(found[i] as string)))
  );
}

/** New clients hold all servers of the pool at once and look around. */
async function leftovers(connect: () => Promise<WireClient>): Promise<string[]> {
  const clients = await Promise.all(Array.from({ length: poolSize }, connect));
  await Promise.all(clients.map((client) => run(client, "BEGIN; SELECT 1")));
  const found = await Promise.all(
    clients.map((client) =>
      linesOf(
        client,
        `SELECT 'setting ' || name || '=' || setting FROM pg_settings
           WHERE source = 'session' AND name <> 'client_encoding' AND name !~ '^transaction_'
         UNION ALL SELECT 'temporary table ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
         UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE name <> ''
         UNION ALL SELECT 'lock ' || objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
         UNION ALL SELECT 'statements ' || count(*) FROM pg_prepared_statements HAVING count(*) > ${maxServerStatements + 1}
         UNION ALL SELECT 'my.variable ' || current_setting('my.variable') WHERE current_setting('my.variable') <> 'initial'`,
      ),
    ),
  );
  for (const client of clients) client.reset();
  await Promise.all(clients.map(({ closed }) => closed));
  return found.flat().map((line) => `left on a server: ${line}`);
}

async function linesOf(client: WireClient, sql: string): Promise<string[]> {
  return rowsOf(await run(client, sql)).map((row) => row.join(" | "));
}

async function run(client: WireClient, sql: string): ReturnType<WireClient["query"]> {
  const answer = await client.query(sql);
  const failed = answer.find(({ type }) => type === "E");
  if (failed !== undefined) throw new Error(`${sql.slice(0, 100)}: ${failed}`);
  return answer;
}
