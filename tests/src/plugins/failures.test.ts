// Plugins that fail: panics and answers that break the contract cost the statement and nobody else anything.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import type { WireClient } from "../harness/wire-client.js";
import { capability, cargoLibrary, script, verdicts } from "./plugin-libraries.js";
import { again, batch, prepare, type Rig, run, shortly, startRig } from "./rig.js";

const garbageSource = fileURLToPath(new URL("../../../rust-plugins/fixtures/garbage/src/lib.rs", import.meta.url));
/** All ways that the fixture knows to break the contract. */
const kinds = [...readFileSync(garbageSource, "utf8").matchAll(/^ {4}\("([a-z0-9-]+)", \|/gm)].map(([, kind]) => kind as string);

/** Those that are no breach: a text that is not UTF-8, and a rewrite whose text only PostgreSQL can judge here. */
const tolerated: Readonly<Record<string, string>> = { "message-not-utf8": "42501", "rewrite-syntax-error": "42601" };

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    plugins: [
      { as: "garbage", library: cargoLibrary("fixture_garbage") },
      { as: "panic", library: cargoLibrary("fixture_panic") },
      { as: "verdicts", library: verdicts() },
      { as: "lenient", library: script(capability.inspect), config: { name: "lenient" }, onError: "skip" },
    ],
  });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

const ways: readonly (readonly [string, (client: WireClient, sql: string) => ReturnType<WireClient["query"]>])[] = [
  ["simple", (client, sql) => client.query(sql)],
  ["extended", (client, sql) => batch(client, run(sql))],
];

test("the fixture breaks the contract in many ways", () => {
  expect(kinds.length).toBeGreaterThan(20);
});

describe.each(ways)("in the %s protocol", (_, ask) => {
  test.each(kinds)("garbage: %s", async (kind) => {
    const client = await rig.client();
    const answer = await ask(client, `SELECT /* garbage: ${kind} */ 1`);
    const error = errorIn(answer);
    if (kind in tolerated) {
      expect(error).toMatchObject({ C: tolerated[kind] });
    } else {
      expect(error).toMatchObject({ C: "XX000", M: expect.stringMatching(/^plugin "\.\/garbage" failed: ./) as string });
    }
    expect(shortly(answer)).toMatch(/^(1 )?E\(.*\) Z\(I\)$/);
    expect(shortly(await ask(client, "SELECT 'goes on'"))).toMatch(/D\(goes on\) C\(SELECT 1\) Z\(I\)$/);
  });

  test("a panic is an error with its words, and a transaction fails by it", async () => {
    const client = await rig.client();
    const failure = { C: "XX000", M: expect.stringMatching(/^plugin "\.\/panic" failed: it panicked: .*asked to panic/) as string };
    expect(errorIn(await ask(client, "SELECT 'panic'"))).toMatchObject(failure);
    await client.query("BEGIN");
    await client.query("SELECT 1");
    const answer = await ask(client, "SELECT 'panic'");
    expect(errorIn(answer)).toMatchObject(failure);
    expect(shortly(answer)).toMatch(/Z\(E\)$/);
    expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
  });
});

test("a failure when a statement is prepared refuses it", async () => {
  const client = await rig.client();
  expect(errorIn(await prepare(client, "p", "SELECT 'panic'"))).toMatchObject({ C: "XX000" });
  expect(errorIn(await batch(client, again({ name: "p" })))).toMatchObject({ C: "26000" });
});

test("other clients notice nothing of a plugin that fails all the time", async () => {
  const [bad, ...good] = await Promise.all(Array.from({ length: 8 }, () => rig.client()));
  if (bad === undefined) throw new Error("eight clients");
  const failing = Array.from({ length: 50 }, (_, i) => bad.query(`SELECT 'panic' /* garbage: ${kinds[i % kinds.length]} */`));
  const working = good.flatMap((client, n) =>
    Array.from({ length: 50 }, async (_, i) => {
      const answer = await batch(client, run("SELECT $1::text", { values: [`${n}-${i}`] }));
      expect(rowsOf(answer)).toEqual([[`${n}-${i}`]]);
    }),
  );
  await Promise.all([...failing, ...working]);
});

test("the log names the plugin and what it did, without a line for each failure", async () => {
  const client = await rig.client();
  const from = rig.pooler.log.length;
  for (let i = 0; i < 200; i++) await client.query("SELECT 'panic'");
  const lines = rig.pooler.log.slice(from).filter(({ msg }) => msg?.includes("it panicked"));
  expect(lines.length).toBeLessThan(20);
  const all = rig.pooler.log.filter(({ msg }) => msg?.includes("it panicked"));
  expect(all.at(-1)).toMatchObject({ level: "error", plugin: "./panic" });
});

describe('with on_error = "skip"', () => {
  test.each(ways)("a failure passes the plugin over: %s", async (_, ask) => {
    const client = await rig.client();
    const before = await rig.console("SHOW PLUGINS");
    const errorsOf = (rows: typeof before): number => Number(rows[3]?.["errors"]);
    const answer = await ask(client, "SELECT /*lenient: status -1*/ 'passed over'");
    expect(shortly(answer)).toMatch(/D\(passed over\) C\(SELECT 1\) Z\(I\)$/);
    const malformed = await ask(client, "SELECT /*lenient: forward 9 9*/ 'malformed'");
    expect(shortly(malformed)).toMatch(/D\(malformed\) C\(SELECT 1\) Z\(I\)$/);
    expect(errorsOf(await rig.console("SHOW PLUGINS")) - errorsOf(before)).toBe(2);
  });

  test("a refusal is none of its failures", async () => {
    const client = await rig.client();
    expect(errorIn(await client.query("SELECT /*lenient: error 22023 no*/ 1"))).toMatchObject({ C: "22023" });
  });
});
