// A plugin that takes its worker along: that worker's clients are gone, the log says why, and nobody else notices.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { backendKeyIn, errorIn, rowsOf } from "../harness/backend-message.js";
import type { LogLine } from "../harness/pooler.js";
import { startLimitMs } from "../harness/start-limit.js";
import { connectWire, type WireClient } from "../harness/wire-client.js";
import { cargoLibrary } from "./plugin-libraries.js";
import { batch, type Rig, run, startRig } from "./rig.js";

let rig: Rig;
const open = new Set<WireClient>();
beforeAll(async () => {
  rig = await startRig({ plugins: [{ as: "abort", library: cargoLibrary("fixture_abort") }], rest: { workers: 2 } });
});
afterEach(async () => {
  for (const client of open) client.reset();
  open.clear();
  await rig.disconnectAll();
});
afterAll(() => rig.stop());

interface Member {
  readonly client: WireClient;
  readonly worker: number;
}

async function connect(): Promise<Member> {
  const client = await connectWire({ port: rig.pooler.port });
  open.add(client);
  const greeting = await client.login({ user: "app", database: "app" });
  const processId = String(backendKeyIn(greeting)?.processId);
  const own = (await rig.console("SHOW CLIENTS")).find((row) => row["cancel_pid"] === processId);
  return { client, worker: Number(own?.["worker"]) };
}

/** Clients until each worker has some of them. */
async function clientsOfBoth(): Promise<ReadonlyMap<number, WireClient[]>> {
  const byWorker = new Map<number, WireClient[]>();
  for (
    let count = 0;
    count < 200 && ([...byWorker.values()].length < 2 || [...byWorker.values()].some(({ length }) => length < 2));
    count++
  ) {
    const { client, worker } = await connect();
    byWorker.set(worker, [...(byWorker.get(worker) ?? []), client]);
  }
  expect(byWorker.size).toBe(2);
  return byWorker;
}

/** How long the worker was away, each time. */
const awayMs: number[] = [];
const timeOf = (line: LogLine): number => Date.parse(String(line["time"]));

test.each(["in the simple protocol", "in the extended protocol", "in a transaction"])("an abort %s", async (how) => {
  const byWorker = await clientsOfBoth();
  const [[doomed, victims], [, others]] = [...byWorker.entries()] as [[number, WireClient[]], [number, WireClient[]]];
  const from = rig.pooler.log.length;

  // The others are at work all the while, one of them in a transaction.
  const [holder, ...workers] = others as [WireClient, ...WireClient[]];
  await holder.query("BEGIN");
  await holder.query("SELECT set_config('app.kept', 'yes', true)");
  let over = false;
  const failures: unknown[] = [];
  const atWork = workers.map(async (client, n) => {
    for (let count = 0; !over || count < 20; count++) {
      const answer = await batch(client, run("SELECT $1::text", { values: [`${n}-${count}`] }));
      if (rowsOf(answer)[0]?.[0] !== `${n}-${count}`) failures.push(errorIn(answer) ?? rowsOf(answer));
    }
  });

  Promise.all(atWork).catch(() => {}); // told of below, unless something else fails before
  const [killer] = victims as [WireClient];
  if (how === "in a transaction") {
    await killer.query("BEGIN");
    await killer.query("SELECT 1");
  }
  const fatal = "SELECT 'abort please'";
  const answer = how === "in the extended protocol" ? batch(killer, run(fatal)) : killer.query(fatal);
  await expect(answer).rejects.toThrow(/closed/);
  await Promise.all(victims.map(({ closed }) => closed));

  const gone = await rig.pooler.untilLog((line) => line["event"] === "worker gone", from);
  expect(gone).toMatchObject({ level: "error", worker: doomed, signal: "SIGABRT", plugin: "./abort", hook: "route_query" });
  expect(gone.msg).toContain('while plugin "./abort" ran route_query');
  const back = await rig.pooler.untilLog((line) => line["event"] === "worker ready", from);
  expect(back).toMatchObject({ worker: doomed });
  awayMs.push(timeOf(back) - timeOf(gone));

  over = true;
  await Promise.all(atWork);
  expect(failures).toEqual([]);
  expect(rowsOf(await holder.query("SELECT current_setting('app.kept')"))).toEqual([["yes"]]);
  expect(errorIn(await holder.query("COMMIT"))).toBeUndefined();
  const newcomers = await clientsOfBoth();
  for (const client of [...newcomers.values()].flat()) expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
});

test("the worker was back within a second", async () => {
  expect(awayMs.length).toBe(3);
  // Whatever else the machine was busy with meanwhile: once at least it was not.
  expect(Math.min(...awayMs)).toBeLessThan(await startLimitMs());
});
