// What one query costs a worker, in counts that do not depend on how fast the machine is: bytes of the heap, calls of functions and
// of native functions. One client asks, one after the other, so that each query is on its own; or a hundred ask at once, round by round,
// and share server connections.
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Pooler, startPooler } from "../harness/pooler.js";
import { messages } from "../harness/wire-client.js";
import { workerPids } from "../operations/support/worker-pids.js";

type Protocol = "simple" | "extended" | "prepared" | "transactions";

/** Each is measured in a pooler with the others of its group. */
const groups = [
  {
    clients: 1,
    database: { pool_size: 1 },
    scenarios: { simple: "simple", extended: "extended", prepared: "prepared", "of three in a transaction": "transactions" },
  },
  {
    // All of a round fit: seven connections take sixteen statements each.
    clients: 100,
    database: { pool_size: 7, multiplex: 16, multiplex_slow: "10s" },
    scenarios: { "simple, multiplexed": "simple", "prepared, multiplexed": "prepared" },
  },
] as const;

export const scenarios = groups.flatMap((group) => Object.keys(group.scenarios) as Scenario[]);
type KeyOf<T> = T extends unknown ? keyof T : never;
export type Scenario = KeyOf<(typeof groups)[number]["scenarios"]>;

export interface Cost {
  /** Bytes of the JavaScript heap. */
  readonly allocatedBytes: number;
  /** Calls of the pooler's functions. */
  readonly functionCalls: number;
  /** Calls into libc and other native code, nearly all of them system calls; 0 with Node's streams. */
  readonly nativeCalls: number;
}

export interface Detail {
  readonly name: string;
  readonly perQuery: number;
}

export interface Measured {
  readonly cost: Cost;
  /** The functions and native functions that are called most, for whoever looks for what has changed. */
  readonly details: readonly Detail[];
}

export interface MeasureOptions {
  readonly url: string;
  readonly io: "sockets" | "streams";
}

/**
 * Functions are counted exactly, after few queries. What is allocated settles only when the compiler has done its work, and is known to
 * the page of 256 kB only: it takes thousands.
 */
const plans = {
  calls: { warmUp: 200, queries: 400 },
  allocations: { warmUp: 6_000, queries: 6_000 },
} as const;

interface Counts {
  readonly allocatedBytes: number;
  readonly nativeCalls: Readonly<Record<string, number>>;
  readonly functionCalls: readonly { readonly name: string; readonly count: number }[];
}

export async function measureCosts(options: MeasureOptions): Promise<Record<Scenario, Measured>> {
  const measured = new Map<Scenario, Measured>();
  for (const group of groups) {
    const allocations = await measureGroup("allocations", options, group);
    const calls = await measureGroup("calls", options, group);
    for (const [scenario, counts] of calls) measured.set(scenario, summary(counts, allocations.get(scenario)?.allocatedBytes ?? 0));
  }
  return Object.fromEntries(measured) as Record<Scenario, Measured>;
}

function summary({ nativeCalls, functionCalls }: Counts, allocatedBytes: number): Measured {
  const perQuery = (count: number): number => Math.round((count / plans.calls.queries) * 100) / 100;
  const all = [...Object.entries(nativeCalls).map(([name, count]) => ({ name: `native ${name}`, count })), ...functionCalls];
  return {
    cost: {
      allocatedBytes: Math.round(allocatedBytes / plans.allocations.queries),
      functionCalls: perQuery(functionCalls.reduce((sum, { count }) => sum + count, 0)),
      nativeCalls: perQuery(Object.values(nativeCalls).reduce((sum, count) => sum + count, 0)),
    },
    details: all
      .map(({ name, count }) => ({ name, perQuery: perQuery(count) }))
      .filter(({ perQuery: often }) => often >= 0.1)
      .sort((a, b) => b.perQuery - a.perQuery),
  };
}

async function measureGroup(
  mode: "allocations" | "calls",
  options: MeasureOptions,
  group: (typeof groups)[number],
): Promise<Map<Scenario, Counts>> {
  const directory = await mkdtemp(join(tmpdir(), "pooler-probe-"));
  const pooler = await startPooler({
    config: {
      io: options.io,
      listen: { auth: "trust" },
      users: { app: { server_user: "postgres" } },
      databases: { app: { url: options.url, ...group.database } },
    },
    env: {
      NODE_OPTIONS: `--import=${fileURLToPath(new URL("probe.mjs", import.meta.url))}`,
      POOLER_PROBE: directory,
      POOLER_PROBE_MODE: mode,
    },
  });
  try {
    const counts = new Map<Scenario, Counts>();
    for (const [scenario, protocol] of Object.entries(group.scenarios) as [Scenario, Protocol][])
      counts.set(scenario, await countOne(pooler, directory, protocol, group.clients, plans[mode]));
    return counts;
  } finally {
    await pooler.stop();
    await rm(directory, { recursive: true });
  }
}

async function countOne(
  pooler: Pooler,
  directory: string,
  protocol: Protocol,
  count: number,
  { warmUp, queries }: { readonly warmUp: number; readonly queries: number },
): Promise<Counts> {
  const clients = await Promise.all(Array.from({ length: count }, () => openClient(pooler.port)));
  const probe = await openProbe(join(directory, "probe.sock"));
  if (protocol === "prepared")
    for (const client of clients) await client.ask(Buffer.concat([messages.parse({ name: "p", text: "SELECT $1::int" }), messages.sync()]));
  const [worker] = workerPids(pooler);
  let value = 1_000_000;
  const ask = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i += count) {
      // While the worker stands, questions gather: it finds all of a round at once, whatever else the machine does.
      if (count > 1) process.kill(worker as number, "SIGSTOP");
      const answers = clients.map((client) => client.ask(questions[protocol](value++)));
      if (count > 1) process.kill(worker as number, "SIGCONT");
      await Promise.all(answers);
    }
  };
  await ask(warmUp);
  await probe.tell("start");
  await ask(queries);
  const counts = await probe.tell("stop");
  for (const client of clients) client.end();
  probe.end();
  return counts;
}

/** As pgbench sends them; the texts of simple queries differ in their literals. */
const questions: Record<Protocol, (value: number) => Buffer> = {
  simple: (value) => messages.query(`SELECT ${value}`),
  transactions: (value) => messages.query(["BEGIN", `SELECT ${value}`, "END"][value % 3] ?? ""),
  extended: (value) =>
    Buffer.concat([
      messages.parse({ text: "SELECT $1::int" }),
      messages.bind({ values: [String(value)] }),
      messages.describe({ type: "P" }),
      messages.execute(),
      messages.sync(),
    ]),
  prepared: (value) =>
    Buffer.concat([
      messages.bind({ statement: "p", values: [String(value)] }),
      messages.describe({ type: "P" }),
      messages.execute(),
      messages.sync(),
    ]),
};

interface Client {
  ask(question: Buffer): Promise<void>;
  end(): void;
}

/** Reads no more of an answer than that it ends in ReadyForQuery. */
function openClient(port: number): Promise<Client> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let answered: () => void = () => {};
    socket.on("error", reject);
    socket.on("data", (chunk) => {
      // All answers here are shorter than a segment.
      if (chunk.length >= 6 && chunk.at(-6) === 0x5a && chunk.at(-2) === 5) answered();
    });
    const ask = (question: Buffer): Promise<void> =>
      new Promise((done) => {
        answered = done;
        socket.write(question);
      });
    ask(messages.startup({ user: "app", database: "app" })).then(() => resolve({ ask, end: () => socket.end() }), reject);
  });
}

interface Probe {
  tell(command: "start" | "stop"): Promise<Counts>;
  end(): void;
}

function openProbe(path: string): Promise<Probe> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      resolve({
        tell: (command) =>
          new Promise((done) => {
            let text = "";
            const take = (chunk: Buffer): void => {
              text += chunk.toString();
              if (!text.endsWith("\n")) return;
              socket.off("data", take);
              done({ allocatedBytes: 0, nativeCalls: {}, functionCalls: [], ...(JSON.parse(text) as Partial<Counts>) });
            };
            socket.on("data", take);
            socket.write(`${command}\n`);
          }),
        end: () => socket.end(),
      });
    });
    socket.on("error", reject);
  });
}
