// The example that asks an HTTP API about writes, in a pooler before real servers: what it lets through, who waits for it and who does not,
// and what becomes of a write about which nobody can be asked.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import type { WireClient } from "../harness/wire-client.js";
import { batch, onAllShards, type PluginEntry, type Rig, run, startRig } from "../plugins/rig.js";
import { type ApiServer, startApi } from "./api-server.js";
import { libraryOf } from "./example-plugins.js";

interface CheckOptions {
  readonly as?: string;
  readonly url: string;
  readonly onFailure?: "refuse" | "allow";
  readonly deadline?: string;
}

/** Its own time limit is beyond any test: the deadline of the entry is what counts. */
function httpCheck({ as = "http-check", url, onFailure = "refuse", deadline = "60s" }: CheckOptions): PluginEntry {
  return {
    as,
    library: libraryOf("http-check"),
    entry: { max_concurrent: 2, deadline },
    config: { url, timeout_ms: 120_000, connect_timeout_ms: 60_000, on_failure: onFailure },
  };
}

/** Nobody listens there: no system gives that port away. */
const deadUrl = "http://127.0.0.1:1/check";

/** For what happens in the pooler soon after the test knows why. */
const soon = { timeout: 20_000 };

let api: ApiServer;
let rig: Rig;

const insert = (note: string): string => `INSERT INTO ex_checked (note) VALUES ('${note}')`;
const notes = async (client: WireClient): Promise<unknown[]> =>
  rowsOf(await client.query("SELECT note FROM ex_checked ORDER BY id")).map(([note]) => note);

beforeAll(async () => {
  await onAllShards("DROP TABLE IF EXISTS ex_checked; CREATE TABLE ex_checked (id serial, note text)");
  api = await startApi(({ statement, params }) => {
    if (`${statement} ${params.join()}`.includes("slow")) return null;
    if (!`${statement} ${params.join()}`.includes("evil")) return { allowed: true };
    return { allowed: false, message: "nothing evil is written here", detail: "It is evil.", sqlstate: "P0666" };
  });
  rig = await startRig({ plugins: [httpCheck({ url: api.url })], app: { pool_size: 10 }, rest: { workers: 1 } });
});
afterEach(async () => {
  await rig.disconnectAll();
  await onAllShards("TRUNCATE ex_checked");
});
afterAll(async () => {
  await rig.stop();
  await api.stop();
  await onAllShards("DROP TABLE ex_checked");
});

describe("a write is asked about", () => {
  test("what the API allows is written, and it was told who writes what", async () => {
    const client = await rig.client();
    expect(errorIn(await client.query(insert("plain")))).toBeUndefined();
    expect(errorIn(await batch(client, run("INSERT INTO ex_checked (note) VALUES ($1)", { values: ["bound"] })))).toBeUndefined();
    expect(await notes(client)).toEqual(["plain", "bound"]);
    expect(api.asked.slice(-2)).toEqual([
      { user: "app", database: "app", statement: insert("plain"), params: [] },
      { user: "app", database: "app", statement: "INSERT INTO ex_checked (note) VALUES ($1)", params: ["bound"] },
    ]);
  });

  test("what it denies is not, and the client gets its words", async () => {
    const client = await rig.client();
    const words = { C: "P0666", M: "nothing evil is written here", D: "It is evil." };
    expect(errorIn(await client.query(insert("evil")))).toMatchObject(words);
    expect(errorIn(await batch(client, run("INSERT INTO ex_checked (note) VALUES ($1)", { values: ["evil"] })))).toMatchObject(words);
    expect(errorIn(await client.query("WITH w AS (INSERT INTO ex_checked (note) VALUES ('evil')) SELECT 1"))).toMatchObject(words);
    expect(await notes(client)).toEqual([]);
  });

  test("each write of a transaction is, and one that is denied fails it", async () => {
    const client = await rig.client();
    for (const sql of ["BEGIN", insert("first"), "SELECT 1"]) expect(errorIn(await client.query(sql))).toBeUndefined();
    expect(errorIn(await client.query(insert("evil")))).toMatchObject({ C: "P0666" });
    expect(errorIn(await client.query("SELECT 1"))).toMatchObject({ C: "25P02" });
    await client.query("ROLLBACK");
    expect(await notes(client)).toEqual([]);
  });

  test("reads are not, and connections to the API are kept", async () => {
    const client = await rig.client();
    await client.query(insert("first"));
    const [asked, connections] = [api.asked.length, api.connections];
    for (let round = 0; round < 20; round++) await client.query("SELECT note FROM ex_checked");
    expect(api.asked).toHaveLength(asked);
    for (let round = 0; round < 20; round++) await client.query(insert("more"));
    expect(api.asked).toHaveLength(asked + 20);
    expect(api.connections).toBe(connections);
  });
});

describe("while the API thinks", () => {
  test("only the session that asked waits", async () => {
    const [patient, busy] = [await rig.client(), await rig.client()];
    const written = patient.query(insert("slow"));
    const held = await api.held();
    for (let round = 0; round < 5; round++) expect(rowsOf(await busy.query("SELECT 1"))).toEqual([["1"]]);
    expect(errorIn(await busy.query(insert("quick")))).toBeUndefined();
    const late = await rig.client();
    expect(await notes(late)).toEqual(["quick"]);
    expect(patient.pending()).toEqual([]);
    held.answer({ allowed: true });
    expect(errorIn(await written)).toBeUndefined();
    expect(await notes(busy)).toEqual(["quick", "slow"]);
  });

  test("a session in a transaction keeps its server and goes on where it was", async () => {
    const [patient, busy] = [await rig.client(), await rig.client()];
    for (const sql of ["BEGIN", insert("before")]) await patient.query(sql);
    const written = patient.query(insert("slow"));
    const held = await api.held();
    expect(await notes(busy)).toEqual([]);
    held.answer({ allowed: false, message: "after all, no" });
    expect(errorIn(await written)).toMatchObject({ C: "23514", M: "after all, no" });
    await patient.query("ROLLBACK");
    expect(await notes(busy)).toEqual([]);
  });

  test("no more wait than may: another write is refused at once, and taken when there is a place", async () => {
    const waiting = [await rig.client(), await rig.client()];
    const written = waiting.map((client, index) => client.query(insert(`slow ${index}`)));
    const held = [await api.held(), await api.held()];
    const third = await rig.client();
    expect(errorIn(await third.query(insert("quick")))).toMatchObject({ C: "53300", M: expect.stringContaining("http-check") });
    expect(rowsOf(await third.query("SELECT 1"))).toEqual([["1"]]);
    for (const { answer } of held) answer({ allowed: true });
    for (const answer of written) expect(errorIn(await answer)).toBeUndefined();
    expect(errorIn(await third.query(insert("quick")))).toBeUndefined();
    expect((await notes(third)).toSorted()).toEqual(["quick", "slow 0", "slow 1"]);
  });

  test("a client that leaves takes nobody's place for ever", async () => {
    const clientCount = async (): Promise<number> => (await rig.console("SHOW CLIENTS")).length;
    const before = await clientCount();
    const leaving = await rig.client();
    const written = leaving.query(insert("slow")).catch(() => []);
    const held = await api.held();
    leaving.reset();
    await written;
    await expect.poll(clientCount, soon).toBe(before);
    held.answer({ allowed: true });
    // With one place taken the other one is that of the client that left.
    const [patient, client] = [await rig.client(), await rig.client()];
    const waiting = patient.query(insert("slow"));
    const other = await api.held();
    await expect.poll(async () => errorIn(await client.query(insert("quick"))), soon).toBeUndefined();
    other.answer({ allowed: true });
    expect(errorIn(await waiting)).toBeUndefined();
    expect(await notes(client)).toEqual(["quick", "slow"]);
  });
});

describe("when nobody can be asked", () => {
  test("the deadline ends the wait; the write has not happened and its session goes on", async () => {
    const short = await startRig({ plugins: [httpCheck({ url: api.url, deadline: "300ms" })], rest: { workers: 1 } });
    try {
      const client = await short.client();
      const answer = await client.query(insert("slow"));
      expect(errorIn(answer)).toMatchObject({ C: "XX000", M: expect.stringContaining("http-check") });
      (await api.held()).answer({ allowed: true });
      expect(await notes(client)).toEqual([]);
      expect(errorIn(await client.query(insert("quick")))).toBeUndefined();
    } finally {
      await short.disconnectAll();
      await short.stop();
    }
  });

  test("an API that is down refuses writes, or allows them, as the configuration says", async () => {
    const allowing = httpCheck({ as: "lenient", url: deadUrl, onFailure: "allow" });
    const plugins = [allowing, httpCheck({ as: "strict", url: deadUrl })];
    const [lenient, both] = [await startRig({ plugins: [allowing] }), await startRig({ plugins })];
    try {
      const client = await lenient.client();
      expect(errorIn(await client.query(insert("unchecked")))).toBeUndefined();
      const refused = await both.client();
      expect(errorIn(await refused.query(insert("unchecked")))).toMatchObject({
        C: "58000",
        M: "it could not be checked whether this may be written",
        D: expect.stringContaining("the API could not be asked"),
      });
      expect(await notes(refused)).toEqual(["unchecked"]);
    } finally {
      for (const each of [lenient, both]) {
        await each.disconnectAll();
        await each.stop();
      }
    }
  });
});
