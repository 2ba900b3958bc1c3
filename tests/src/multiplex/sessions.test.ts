// What a session has of its own, and the form in which it sends a statement, decide whether the statement may share a server.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { until } from "../operations/support/until.js";
import { shortly, twoShards, untilRunning, valueIn } from "../protocol/rig.js";
import { lockQuery, type MultiplexRig, sharing, startMultiplexRig } from "./multiplex-rig.js";

const { parse, bind, describe: describeMessage, execute, sync, flush, close, query } = messages;

/** Of this file's own: others run beside it, at the same server. */
const key = 4722;

let rig: MultiplexRig;
beforeAll(async () => {
  rig = await startMultiplexRig({
    app: sharing(),
    users: sharing({ url: sharedShards()[0]?.primary.replace("postgres@", "") }),
    split: twoShards({ multiplex: 4 }),
    allowed: sharing({ multiplex_functions: ["set_config", "txid_current"], multiplex_relations: "any" }),
  });
  await (await rig.direct()).query("DROP ROLE IF EXISTS other_rider; CREATE ROLE other_rider LOGIN");
  for (const database of ["app", "split"]) await rig.learn(database, "SELECT 1");
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await (await rig.direct()).query("DROP ROLE other_rider");
  await rig.disconnectAll();
  await rig.stop();
});

/** The counters that have grown: by name, without those of kinds that are not known yet. */
async function grownBy(database: string, work: () => Promise<unknown>): Promise<string> {
  const before = await rig.counts(database);
  await work();
  const after = await rig.counts(database);
  return Object.keys(after)
    .filter((name) => (after[name] ?? 0) > (before[name] ?? 0) && name !== "refused_unknown")
    .join(" ");
}

async function ask(client: WireClient, ...parts: Uint8Array[]): Promise<string> {
  client.send(...parts);
  return shortly(await client.until("Z"));
}

describe("a session", () => {
  test.each([
    ["refused_session", "SET standard_conforming_strings = off"],
    ["refused_session", "SET client_encoding = 'SJIS'"],
    ["refused_session", "SET client_encoding = 'GBK'"],
    ["rides", "SET client_encoding = 'LATIN1'"],
    ["rides", "SET client_encoding = 'EUC_JP'"],
    ["refused_timeout", "SET statement_timeout = '1min'"],
    ["refused_timeout", "SET lock_timeout = '1min'"],
    ["refused_timeout", "SET idle_in_transaction_session_timeout = '1min'"],
    ["rides", "SET work_mem = '5MB'"],
  ])("%s: %s", async (expected, setting) => {
    const client = await rig.client("app");
    await client.query(setting);
    expect(await grownBy("app", () => client.query("SELECT 1"))).toBe(expected);
    // And what it has learned since counts when the setting is gone.
    await client.query("RESET ALL");
    expect(await grownBy("app", () => client.query("SELECT 1"))).toBe("rides");
  });

  test("with a transaction that waits for its first statement has its server for itself", async () => {
    const client = await rig.client("split");
    await client.query("BEGIN");
    expect(await grownBy("split", () => client.query("SELECT 1"))).toBe("refused_session");
    await client.query("COMMIT");
    expect(await grownBy("split", () => client.query("SELECT 1"))).toBe("rides");
  });

  test("shares with those of the same user at the server only", async () => {
    await rig.learn("users", lockQuery(key), "SELECT session_user");
    const lock = await rig.lock(key);
    const first = await rig.client("users");
    first.send(query(lockQuery(key)));
    await untilRunning(rig, lockQuery(key));
    const other = await rig.client("users", { user: "other" });
    for (let i = 0; i < 3; i++) expect(await valueIn(other, "SELECT session_user")).toBe("other_rider");
    await lock.letGo();
    await first.until("Z");
    expect(await valueIn(first, "SELECT session_user")).toBe("postgres");
  });

  test("that prepared while backslashes were escapes keeps what it prepared to itself", async () => {
    const client = await rig.client("app");
    await client.query("SET standard_conforming_strings = off");
    await ask(client, parse({ name: "escaped", text: "SELECT 'a\\'b'" }), sync());
    await client.query("SET standard_conforming_strings = on");
    expect(
      await grownBy("app", async () => {
        expect(await ask(client, bind({ statement: "escaped" }), execute(), sync())).toBe("2 D(a'b) C(SELECT 1) Z(I)");
      }),
    ).toBe("refused_batch");
  });

  test("has no unnamed statement after a simple query that shared a server", async () => {
    const client = await rig.client("app");
    await ask(client, parse({ text: "SELECT 2" }), sync());
    expect(await grownBy("app", () => client.query("SELECT 1"))).toBe("rides");
    client.send(bind(), execute(), sync());
    expect(errorIn(await client.until("Z"))).toMatchObject({ C: "26000" });
  });
});

describe("the form of a batch", () => {
  const text = "SELECT $1::int";
  const values = ["1"];

  test.each<[string, Uint8Array[], string]>([
    ["Parse, Bind, Execute, Sync", [parse({ text }), bind({ values }), execute(), sync()], "rides"],
    ["with Describe", [parse({ text }), bind({ values }), describeMessage({ type: "P" }), execute(), sync()], "rides"],
    ["a named statement", [bind({ statement: "known", values }), execute(), sync()], "rides"],
    [
      "a named statement, described",
      [bind({ statement: "known", values }), describeMessage({ type: "S", name: "known" }), execute(), sync()],
      "rides",
    ],
    ["Parse of a name", [parse({ name: "new", text }), bind({ statement: "new", values }), execute(), sync()], "refused_batch"],
    ["Parse of another", [parse({ text }), bind({ statement: "known", values }), execute(), sync()], "refused_batch"],
    ["the unnamed statement of before", [bind({ values }), execute(), sync()], "refused_batch"],
    ["a row limit", [parse({ text }), bind({ values }), execute({ rows: 1 }), sync()], "refused_batch"],
    ["a named portal", [parse({ text }), bind({ portal: "p", values }), execute({ portal: "p" }), sync()], "refused_batch"],
    ["two executions", [parse({ text }), bind({ values }), execute(), bind({ values }), execute(), sync()], "refused_batch"],
    [
      "two statements",
      [parse({ text }), bind({ values }), execute(), parse({ text }), bind({ values }), execute(), sync()],
      "refused_batch",
    ],
    ["Close behind it", [parse({ text }), bind({ values }), execute(), close({ type: "P" }), sync()], "refused_batch"],
    ["Flush in front", [parse({ text }), bind({ values }), execute(), flush(), sync()], "refused_batch"],
    [
      "another statement described",
      [bind({ statement: "known", values }), describeMessage({ type: "S", name: "second" }), execute(), sync()],
      "refused_batch",
    ],
    ["Describe in front", [parse({ text }), describeMessage({ type: "S" }), bind({ values }), execute(), sync()], "refused_batch"],
    ["nothing that is run", [parse({ text: "SELECT 'never seen'" }), describeMessage({ type: "S" }), sync()], "refused_batch"],
    ["a Bind that is no Bind", [parse({ text }), brokenBind(), execute(), sync()], "refused_batch"],
  ])("%s", async (_, parts, expected) => {
    const client = await rig.client("app");
    await ask(client, parse({ name: "known", text }), sync());
    await ask(client, parse({ name: "second", text: "SELECT 2" }), sync());
    // The kind is known, and so is the unnamed statement.
    for (let i = 0; i < 4; i++) await ask(client, parse({ text }), bind({ values }), execute(), sync());
    const sent = async (): Promise<void> => {
      client.send(...parts);
      await client.until("Z");
    };
    expect((await grownBy("app", sent)).replace("refused_batch rides", "rides")).toBe(expected);
  });

  /** It says that it has two parameters, and has one. */
  function brokenBind(): Uint8Array {
    const whole = Buffer.from(bind({ values: ["1"] }));
    whole.writeInt16BE(2, 5 + 2 + 4); // behind two names and the formats
    return whole;
  }
});

describe("a function that is allowed", () => {
  test("shares, and one that changes settings is still followed where that is seen", async () => {
    await rig.learn("allowed", "SELECT txid_current() > 0");
    const client = await rig.client("allowed");
    expect(await grownBy("allowed", () => client.query("SELECT txid_current() > 0"))).toBe("rides");
  });
});

describe("a client that leaves", () => {
  test("while its statement is alone on its server stops it", async () => {
    await rig.learn("app", lockQuery(key));
    const lock = await rig.lock(key);
    const client = await rig.client("app");
    client.send(query(lockQuery(key)));
    await untilRunning(rig, lockQuery(key));
    client.reset();
    await client.closed;
    const direct = await rig.direct();
    // The lock is held still: nothing but a cancel request ends the statement.
    await until("the statement to be stopped", async () => {
      const running = await valueIn(direct, `SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '${lockQuery(key)}'`);
      return running === "0";
    });
    await lock.letGo();
    expect(await valueIn(await rig.client("app"), "SELECT 1")).toBe("1");
  });
});
