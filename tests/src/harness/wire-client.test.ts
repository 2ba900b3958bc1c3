import { expect, test } from "vitest";
import { backendKeyIn, commandTags, errorIn, rowsOf, transactionState, typesOf } from "./backend-message.js";
import { sharedShards } from "./shared-cluster.js";
import { connectWire, messages } from "./wire-client.js";

const port = (): number => Number(new URL(sharedShards()[0]?.primary ?? "").port);
const superuser = { user: "postgres", database: "app" };

test("the wire client logs in to a PostgreSQL server and shows every message of an answer", async () => {
  const client = await connectWire({ port: port() });
  const greeting = await client.login(superuser);
  expect(greeting[0]?.type).toBe("R");
  expect(backendKeyIn(greeting)?.processId).toBeGreaterThan(0);
  const answer = await client.query("SELECT 1, NULL; SELECT 'two'");
  expect(typesOf(answer)).toBe("TDCTDCZ");
  expect(rowsOf(answer)).toEqual([["1", null], ["two"]]);
  expect(commandTags(answer)).toEqual(["SELECT 1", "SELECT 1"]);
  client.end();
  expect(await client.closed).toBeUndefined();
});

test("the wire client sends messages built by hand, several in one write", async () => {
  const client = await connectWire({ port: port() });
  await client.login(superuser);
  client.send(messages.parse({ text: "SELECT $1::int + 1" }), messages.bind({ values: ["41"] }), messages.execute(), messages.sync());
  client.send(messages.query("BEGIN"), messages.query("SELECT broken"));
  expect(rowsOf(await client.until("Z"))).toEqual([["42"]]);
  expect((await client.until("Z")).map(String)).toEqual(["C(BEGIN)", "Z(T)"]);
  const failed = await client.until("Z");
  expect(errorIn(failed)).toMatchObject({ C: "42703" });
  expect(failed.map(transactionState).at(-1)).toBe("E");
  client.reset();
});
