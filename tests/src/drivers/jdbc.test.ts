// What pgjdbc sends in its modes, through the reference plugins.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { shortly, valueIn } from "../protocol/rig.js";
import { type ShardedRig, startShardedRig } from "./rig.js";

const { parse, bind, describe, execute, sync } = messages;

let rig: ShardedRig;
beforeAll(async () => {
  rig = await startShardedRig("drivers_jdbc");
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

const begin = [parse({ name: "S_1", text: "BEGIN" }), bind({ statement: "S_1" }), execute()];

test("isValid(): a statement without text", async () => {
  const client = await rig.client("app");
  client.send(parse({ text: "" }), bind(), describe({ type: "P", name: "" }), execute(), sync());
  expect(shortly(await client.until("Z"))).toBe("1 2 n I Z(I)");
});

test.each([0, 1])("prepareThreshold=-1: BEGIN comes with a statement that is only described, then runs on shard %i", async (shard) => {
  const client = await rig.client("app");
  const text = `SELECT word, ${shard} FROM drivers_jdbc WHERE id = $1`;
  client.send(...begin, parse({ name: "S_2", text, types: [20] }), describe({ type: "S", name: "S_2" }), sync());
  expect(shortly(await client.until("Z"))).toBe("1 2 C(BEGIN) 1 t(20) T(word:25, ?column?:23) Z(T)");
  client.send(bind({ statement: "S_2", values: [String(rig.keyOf(shard))] }), execute(), sync());
  expect(rowsOf(await client.until("Z"))).toEqual([[`word ${rig.keyOf(shard)}`, String(shard)]]);
  expect(shortly(await client.query("COMMIT"))).toBe("C(COMMIT) Z(I)");
});

test("prepareThreshold=-1: what is sent ahead goes to the shard of its key, and COMMIT may come with a description, too", async () => {
  const client = await rig.client("app");
  const text = "SELECT word, 'ahead' FROM drivers_jdbc WHERE id = $1";
  client.send(...begin, parse({ name: "S_2", text, types: [20] }), describe({ type: "S", name: "S_2" }), sync());
  client.send(bind({ statement: "S_2", values: [String(rig.keyOf(1))] }), execute(), sync());
  expect(shortly(await client.until("Z"))).toBe("1 2 C(BEGIN) 1 t(20) T(word:25, ?column?:25) Z(T)");
  expect(rowsOf(await client.until("Z"))).toEqual([[`word ${rig.keyOf(1)}`, "ahead"]]);
  expect(shortly(await client.query("ROLLBACK"))).toBe("C(ROLLBACK) Z(I)");
  const end = [parse({ name: "S_3", text: "COMMIT" }), bind({ statement: "S_3" }), execute()];
  await client.query("BEGIN");
  client.send(...end, parse({ name: "S_4", text: "SELECT 4 AS four" }), describe({ type: "S", name: "S_4" }), sync());
  expect(shortly(await client.until("Z"))).toBe("1 2 C(COMMIT) 1 t() T(four:23) Z(I)");
});

test("prepareThreshold=-1: a statement that cannot be described makes the transaction fail", async () => {
  const client = await rig.client("app");
  client.send(...begin, parse({ name: "S_2", text: "SELECT nothing FROM nowhere" }), describe({ type: "S", name: "S_2" }), sync());
  expect(shortly(await client.until("Z"))).toMatch(/^1 2 C\(BEGIN\) E\(42P01 .*\) Z\(E\)$/);
  expect(errorIn(await client.query("SELECT 1"))).toMatchObject({ C: "25P02" });
  expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
});

async function isOnReplica(client: WireClient): Promise<boolean> {
  return (await valueIn(client, "SELECT pg_is_in_recovery()")) === "t";
}

test("a session whose transactions are serializable reads from primaries, since no standby takes them", async () => {
  const client = await rig.client("app");
  expect(await isOnReplica(client)).toBe(true);
  await client.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY");
  await client.query("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE");
  expect(await isOnReplica(client)).toBe(false);
  await client.query("BEGIN READ ONLY");
  expect(await isOnReplica(client)).toBe(false);
  await client.query("COMMIT");
  await client.query("RESET default_transaction_isolation");
  expect(await isOnReplica(client)).toBe(true);
});
