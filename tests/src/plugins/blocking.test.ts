// Plugins that may wait: only who asks waits, in every state that a session can be in, and what becomes of the deadline and of too many questions.
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { backendKeyIn, errorIn, rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { connectWire, messages, type WireClient } from "../harness/wire-client.js";
import { createWaiter, untilPlugin, untilRunning } from "./blocking-rig.js";
import { again, batch, direct, flush, type Rig, run, shortly, startRig, sync } from "./rig.js";

const waiter = createWaiter();
const shards = sharedShards().slice(0, 1);
let rig: Rig;

beforeAll(async () => {
  rig = await startRig({
    plugins: [waiter.entry({ max_concurrent: 4, deadline: "60s" })],
    databases: { app: { shards, pool_size: 4 }, shared: { shards, pool_size: 1, multiplex: 16 } },
  });
});
afterEach(async () => {
  waiter.releaseAll();
  await rig.disconnectAll();
  await untilRunning(rig, 0);
});
afterAll(async () => {
  await rig.stop();
  waiter.remove();
});

const refusal = { C: "42501", M: "the waiter refuses" };
const rewritten = [["rewritten"]];
/** Asks, and does not wait for the answer. */
const send = (client: WireClient, sql: string): void => client.send(messages.query(sql));
/** A client whose question is under way, behind the file "hold-a". */
async function askingClient(sql: string, from: Rig = rig): Promise<WireClient> {
  const client = await from.client();
  waiter.hold("a");
  send(client, sql);
  await untilRunning(from, 1);
  return client;
}

describe("a simple query", () => {
  test("waits for its answer; others do not", async () => {
    const client = await askingClient("SELECT /* hold:a */ 'asked'");
    const other = await rig.client();
    expect(rowsOf(await other.query("SELECT 'meanwhile'"))).toEqual([["meanwhile"]]);
    expect(errorIn(await other.query("SELECT 'forbidden'"))).toMatchObject(refusal);
    expect(client.pending()).toEqual([]);
    waiter.release("a");
    expect(rowsOf(await client.until("Z"))).toEqual([["asked"]]);
  });

  test.each([
    ["refused", "SELECT /* hold:a */ 'forbidden'", "E(42501 the waiter refuses) Z(I)"],
    ["rewritten", "SELECT /* hold:a */ 1 AS rewrite", "T D(rewritten) C(SELECT 1) Z(I)"],
    ["answered", "SELECT /* hold:a */ 'answer'", "T D(SELECT /* hold:a */ 'answer') D(the second row) C(SELECT 2) Z(I)"],
  ])("is %s", async (_, sql, answer) => {
    const client = await askingClient(sql);
    waiter.release("a");
    expect(shortly(await client.until("Z"))).toBe(answer);
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
  });

  test("of several statements is asked about one after the other, and each is asked about once", async () => {
    const calls = Number((await rig.console("SHOW PLUGINS"))[0]?.["calls"]);
    const client = await askingClient("SELECT /* hold:a */ 1; SELECT 2; SELECT 3 AS rewrite");
    waiter.release("a");
    expect(shortly(await client.until("Z"))).toBe("T D(1) C(SELECT 1) T D(2) C(SELECT 1) T D(rewritten) C(SELECT 1) Z(I)");
    expect(Number((await rig.console("SHOW PLUGINS"))[0]?.["calls"]) - calls).toBe(3);
  });

  test("what the client sends behind it waits, in order", async () => {
    const client = await askingClient("SELECT /* hold:a */ 'first'");
    client.send(messages.query("SELECT 'second'"), run("SELECT 'third'"), sync, messages.query("SELECT 'rewrite'"));
    expect(rowsOf(await (await rig.client()).query("SELECT 1"))).toEqual([["1"]]);
    waiter.release("a");
    const answers = [await client.until("Z"), await client.until("Z"), await client.until("Z"), await client.until("Z")];
    expect(answers.map(rowsOf)).toEqual([[["first"]], [["second"]], [["third"]], rewritten]);
  });

  test("in a transaction keeps its server, and a refusal fails the transaction there", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    const [[before]] = rowsOf(await client.query("SELECT pg_backend_pid()")) as [[string]];
    waiter.hold("a");
    send(client, "SELECT /* hold:a */ pg_backend_pid()");
    await untilRunning(rig, 1);
    expect(await rig.console("SHOW POOLS")).toMatchObject([{ database: "app", sv_active: "1" }]);
    waiter.release("a");
    expect(rowsOf(await client.until("Z"))).toEqual([[before]]);
    expect(shortly(await client.query("SELECT 'forbidden'"))).toBe("E(42501 the waiter refuses) Z(E)");
    expect(errorIn(await client.query("SELECT 1"))).toMatchObject({ C: "25P02" });
    expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
  });

  test("a cancel request ends it at once, and the answer reaches nobody", async () => {
    const client = await connectWire({ port: rig.pooler.port });
    const key = backendKeyIn(await client.login({ user: "app", database: "app" }));
    waiter.hold("a");
    send(client, "SELECT /* hold:a */ 'cancelled'");
    await untilRunning(rig, 1);
    const canceller = await connectWire({ port: rig.pooler.port });
    canceller.send(messages.cancel(key?.processId ?? 0, key?.secretKey ?? 0));
    expect(errorIn(await client.until("Z"))).toMatchObject({ C: "57014" });
    // The call goes on.
    expect(await untilPlugin(rig, { running: "1" })).toMatchObject({ stuck: "0" });
    expect(rowsOf(await client.query("SELECT 'next'"))).toEqual([["next"]]);
    waiter.release("a");
    await untilRunning(rig, 0);
    expect(rowsOf(await client.query("SELECT 'last'"))).toEqual([["last"]]);
    expect(client.pending()).toEqual([]);
    client.reset();
  });

  test("a client that leaves meanwhile gives its server back", async () => {
    const client = await rig.client();
    await client.query("BEGIN; SELECT 1");
    waiter.hold("a");
    send(client, "SELECT /* hold:a */ 2");
    await untilRunning(rig, 1);
    client.reset();
    await client.closed;
    for (let active = ""; active !== "0"; ) active = (await rig.console("SHOW POOLS"))[0]?.["sv_active"] ?? "0";
    waiter.release("a");
    await untilRunning(rig, 0);
    expect(rowsOf(await (await rig.client()).query("SELECT 1"))).toEqual([["1"]]);
  });

  test("a server that goes meanwhile, in a transaction, is an error", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    const [[pid]] = rowsOf(await client.query("SELECT pg_backend_pid()")) as [[string]];
    waiter.hold("a");
    send(client, "SELECT /* hold:a */ 2");
    await untilRunning(rig, 1);
    const killer = await direct(0);
    await killer.query(`SELECT pg_terminate_backend(${pid})`);
    killer.end();
    expect(errorIn(await client.until("Z"))?.["C"]).toMatch(/^(?:57P01|08006)$/);
    waiter.release("a");
    await untilRunning(rig, 0);
    expect(shortly(await client.query("ROLLBACK"))).toBe("C(ROLLBACK) Z(I)");
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
  });

  test("when as many calls run as may, the next is refused at once and nothing piles up", async () => {
    waiter.hold("a");
    const clients = await Promise.all([1, 2, 3, 4].map(() => rig.client()));
    for (const [index, client] of clients.entries()) send(client, `SELECT /* hold:a */ ${index}`);
    await untilRunning(rig, 4);
    const admin = await rig.console("SHOW PLUGINS");
    // Those who are there already: the login asks, too.
    const [first] = clients as [WireClient];
    first.send(messages.query("SELECT 'behind'"));
    await rig.console("SHOW CLIENTS");
    const late = await connectWire({ port: rig.pooler.port });
    late.send(messages.startup({ user: "app", database: "app" }));
    expect(errorIn(await late.until("E"))).toMatchObject({
      S: "FATAL",
      C: "53300",
      M: 'plugin "./waiter" is busy: 4 of its calls run already',
      H: expect.stringContaining("max_concurrent") as string,
    });
    const overloads = Number(admin[0]?.["overloads"]);
    expect(Number((await rig.console("SHOW PLUGINS"))[0]?.["overloads"])).toBe(overloads + 1);
    waiter.release("a");
    const answers = await Promise.all(clients.map((client) => client.until("Z")));
    expect(answers.map(rowsOf)).toEqual([[["0"]], [["1"]], [["2"]], [["3"]]]);
    expect(rowsOf(await first.until("Z"))).toEqual([["behind"]]);
  });

  test("on a shared server is asked about before it rides", async () => {
    const clients = await Promise.all([1, 2, 3].map(() => rig.client({ database: "shared" })));
    waiter.hold("a");
    for (const [index, client] of clients.entries()) send(client, `SELECT /* hold:a */ ${index}`);
    await untilRunning(rig, 3);
    const other = await rig.client({ database: "shared" });
    expect(rowsOf(await other.query("SELECT 'rides'"))).toEqual([["rides"]]);
    waiter.release("a");
    expect((await Promise.all(clients.map((client) => client.until("Z")))).map(rowsOf)).toEqual([[["0"]], [["1"]], [["2"]]]);
  });
});

describe("an extended batch", () => {
  test.each([
    ["goes on", "SELECT /* hold:a */ 'asked'", "1 2 D(asked) C(SELECT 1) Z(I)"],
    ["is refused", "SELECT /* hold:a */ 'forbidden'", "E(42501 the waiter refuses) Z(I)"],
    ["is rewritten", "SELECT /* hold:a */ 1 AS rewrite", "1 2 D(rewritten) C(SELECT 1) Z(I)"],
    ["is answered", "SELECT /* hold:a */ 'answer'", "1 2 D(SELECT /* hold:a */ 'answer') D(the second row) C(SELECT 2) Z(I)"],
  ])("%s when the answer is there", async (_, sql, answer) => {
    const client = await rig.client();
    waiter.hold("a");
    client.send(run(sql), sync);
    await untilRunning(rig, 1);
    waiter.release("a");
    expect(shortly(await client.until("Z"))).toBe(answer);
    expect(shortly(await batch(client, run("SELECT 1")))).toBe("1 2 D(1) C(SELECT 1) Z(I)");
  });

  test("with several executions asks about each, and prepared statements are there once", async () => {
    const client = await rig.client();
    waiter.hold("a");
    client.send(
      messages.parse({ name: "s", text: "SELECT $1::text || ' hold:a'" }),
      again({ name: "s", values: ["1"] }),
      again({ name: "s", values: ["2"] }),
      run("SELECT /* hold:a */ 3"),
      sync,
    );
    await untilRunning(rig, 1);
    waiter.release("a");
    expect(rowsOf(await client.until("Z"))).toEqual([["1 hold:a"], ["2 hold:a"], ["3"]]);
    expect(errorIn(await batch(client, messages.parse({ name: "s", text: "SELECT 1" })))).toMatchObject({ C: "42P05" });
    expect(rowsOf(await batch(client, again({ name: "s", values: ["4"] })))).toEqual([["4 hold:a"]]);
  });

  test("that is refused leaves no prepared statement", async () => {
    const client = await rig.client();
    waiter.hold("a");
    client.send(messages.parse({ name: "s", text: "SELECT 1" }), again({ name: "s" }), run("SELECT /* hold:a */ 'forbidden'"), sync);
    await untilRunning(rig, 1);
    waiter.release("a");
    await client.until("Z");
    expect(errorIn(await batch(client, again({ name: "s" })))).toMatchObject({ C: "26000" });
  });

  test("in parts, each up to a Flush: what was sent before stays sent", async () => {
    const client = await rig.client();
    client.send(run("SELECT 1"), flush);
    expect(shortly(await client.until("C"))).toBe("1 2 D(1) C(SELECT 1)");
    waiter.hold("a");
    client.send(run("SELECT /* hold:a */ 2"), flush, run("SELECT 'forbidden'"), sync);
    await untilRunning(rig, 1);
    waiter.release("a");
    expect(shortly(await client.until("Z"))).toBe("1 2 D(2) C(SELECT 1) E(42501 the waiter refuses) Z(I)");
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
  });

  test("behind a held BEGIN, and in its transaction", async () => {
    const client = await rig.client();
    expect(shortly(await batch(client, run("BEGIN")))).toBe("1 2 C(BEGIN) Z(T)");
    waiter.hold("a");
    client.send(run("SELECT /* hold:a */ 1"), sync);
    await untilRunning(rig, 1);
    waiter.release("a");
    expect(shortly(await client.until("Z"))).toBe("1 2 D(1) C(SELECT 1) Z(T)");
    expect(shortly(await batch(client, run("SELECT 'forbidden'")))).toBe("E(42501 the waiter refuses) Z(E)");
    expect(shortly(await batch(client, run("ROLLBACK")))).toBe("1 2 C(ROLLBACK) Z(I)");
  });

  test("rows of a portal that a plugin answers are given out once", async () => {
    const client = await rig.client();
    await client.query("BEGIN; SELECT 1");
    expect(shortly(await batch(client, run("SELECT 'answer'", { portal: "p", rows: 1 })))).toBe("1 2 D(SELECT 'answer') s Z(T)");
    waiter.hold("a");
    client.send(messages.execute({ portal: "p", rows: 1 }), run("SELECT /* hold:a */ 1"), sync);
    await untilRunning(rig, 1);
    waiter.release("a");
    expect(rowsOf(await client.until("Z"))).toEqual([["the second row"], ["1"]]);
  });

  test("a cancel request and a client that leaves", async () => {
    const client = await connectWire({ port: rig.pooler.port });
    const key = backendKeyIn(await client.login({ user: "app", database: "app" }));
    waiter.hold("a");
    client.send(messages.parse({ name: "s", text: "SELECT /* hold:a */ 1" }), again({ name: "s" }), sync);
    await untilRunning(rig, 1);
    const canceller = await connectWire({ port: rig.pooler.port });
    canceller.send(messages.cancel(key?.processId ?? 0, key?.secretKey ?? 0));
    expect(errorIn(await client.until("Z"))).toMatchObject({ C: "57014" });
    client.send(run("SELECT /* hold:a */ 2"), sync);
    await untilRunning(rig, 2);
    client.reset();
    await client.closed;
    waiter.release("a");
    await untilRunning(rig, 0);
  });
});

describe("a login", () => {
  const startup = async (applicationName: string, more: Readonly<Record<string, string>> = {}): Promise<WireClient> => {
    const client = await connectWire({ port: rig.pooler.port });
    client.send(messages.startup({ user: "app", database: "app", application_name: applicationName, ...more }));
    return client;
  };

  test("waits for its answer; others log in and work", async () => {
    waiter.hold("a");
    const client = await startup("hold:a");
    await untilRunning(rig, 1);
    expect(rowsOf(await (await rig.client()).query("SELECT 1"))).toEqual([["1"]]);
    client.send(messages.query("SELECT 'sent ahead'"));
    waiter.release("a");
    await client.until("Z");
    expect(rowsOf(await client.until("Z"))).toEqual([["sent ahead"]]);
    client.reset();
  });

  test("is refused, or goes elsewhere, when the answer says so", async () => {
    waiter.hold("a");
    const refused = await startup("hold:a forbidden");
    const moved = await startup("hold:a rewrite");
    await untilRunning(rig, 2);
    waiter.release("a");
    expect(errorIn(await refused.until("E"))).toMatchObject({ S: "FATAL", C: "28000", M: "the waiter lets nobody in" });
    expect(errorIn(await moved.until("E"))).toMatchObject({ C: "3D000", M: 'database "other" does not exist' });
  });

  test("that is given up leaves nothing behind", async () => {
    waiter.hold("a");
    const client = await startup("hold:a");
    await untilRunning(rig, 1);
    client.reset();
    await client.closed;
    waiter.release("a");
    await untilRunning(rig, 0);
    expect((await rig.console("SHOW CLIENTS")).filter(({ database }) => database !== "pooler")).toEqual([]);
  });
});

test("a new server connection waits, and what the plugin wants is run first", async () => {
  const own = await startRig({
    plugins: [waiter.entry({ deadline: "60s" })],
    databases: { app: { shards, pool_size: 2 } },
  });
  onTestFinished(async () => {
    waiter.releaseAll();
    await own.stop();
  });
  const client = await own.client();
  expect(rowsOf(await client.query("SELECT current_setting('application_name')"))).toEqual([["set by the waiter"]]);
  waiter.hold("server");
  await client.query("BEGIN; SELECT 1");
  const second = await own.client();
  send(second, "SELECT 'on a new server'");
  await untilRunning(own, 1);
  expect(rowsOf(await client.query("SELECT 'meanwhile'"))).toEqual([["meanwhile"]]);
  expect(second.pending()).toEqual([]);
  waiter.release("server");
  expect(rowsOf(await second.until("Z"))).toEqual([["on a new server"]]);
  await own.disconnectAll();
});

test("a drain waits for the answer, as for a statement that runs", async () => {
  const own = await startRig({ plugins: [waiter.entry({ deadline: "60s" })], databases: { app: { shards } } });
  onTestFinished(async () => {
    waiter.releaseAll();
    await own.stop();
  });
  const client = await askingClient("SELECT /* hold:a */ 'asked'", own);
  const idle = await own.client();
  own.pooler.signal("SIGTERM");
  expect(errorIn(await idle.until("E"))).toMatchObject({ C: "57P01" });
  waiter.release("a");
  expect(rowsOf(await client.until("Z"))).toEqual([["asked"]]);
  expect(errorIn(await client.until("E"))).toMatchObject({ C: "57P01" });
  expect(await own.pooler.ended).toBe(0);
});

test("a large batch that has to wait, and what is sent behind it", async () => {
  const client = await rig.client();
  waiter.hold("a");
  const padding = "x".repeat(300_000);
  client.send(messages.query(`SELECT /* hold:a ${padding} */ 'large'`), messages.query(`SELECT /* ${padding} */ 'behind'`));
  await untilRunning(rig, 1);
  expect(rowsOf(await (await rig.client()).query(`SELECT /* ${padding} */ 'meanwhile'`))).toEqual([["meanwhile"]]);
  waiter.release("a");
  expect(rowsOf(await client.until("Z"))).toEqual([["large"]]);
  expect(rowsOf(await client.until("Z"))).toEqual([["behind"]]);
});

describe("a plugin that inspects and may wait", () => {
  let own: Rig;
  beforeAll(async () => {
    own = await startRig({
      plugins: [waiter.entry({ deadline: "60s" }, { CAPABILITIES: "POOLER_CAP_INSPECT" })],
      databases: { app: { shards }, session: { shards, pool_mode: "session" } },
    });
  });
  afterEach(() => own.disconnectAll());
  afterAll(() => own.stop());

  test.each([
    ["are taken", "hold:a", undefined],
    ["are refused", "hold:a forbidden", refusal],
  ])("is asked about the settings of a startup packet before there is a session: they %s", async (_, path, refused) => {
    waiter.hold("a");
    const client = await connectWire({ port: own.pooler.port });
    client.send(messages.startup({ user: "app", database: "app", search_path: `"${path}"` }));
    await untilRunning(own, 1);
    expect(rowsOf(await (await own.client()).query("SELECT 1"))).toEqual([["1"]]);
    waiter.release("a");
    const error = errorIn(await client.until(refused === undefined ? "Z" : "E"));
    if (refused === undefined) expect(rowsOf(await client.query("SHOW search_path"))).toEqual([[`"${path}"`]]);
    else expect(error).toMatchObject({ S: "FATAL", ...refused });
    client.reset();
  });

  test("is asked about what is only prepared, and in session mode", async () => {
    const client = await own.client({ database: "session" });
    waiter.hold("a");
    client.send(messages.parse({ name: "s", text: "SELECT /* hold:a */ 'forbidden'" }), sync);
    await untilRunning(own, 1);
    waiter.release("a");
    expect(errorIn(await client.until("Z"))).toMatchObject(refusal);
    expect(rowsOf(await client.query("SELECT /* hold:a */ 'session'"))).toEqual([["session"]]);
  });
});

test("a reload is taken over while calls run", async () => {
  const client = await askingClient("SELECT /* hold:a */ 'asked'");
  await rig.console("RELOAD");
  expect(waiter.logged()).toContain("reloaded");
  expect(client.pending()).toEqual([]);
  waiter.release("a");
  expect(rowsOf(await client.until("Z"))).toEqual([["asked"]]);
});
