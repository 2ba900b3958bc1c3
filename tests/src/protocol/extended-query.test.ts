import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { messages } from "../harness/wire-client.js";
import { converse, oneTarget, type Rig, type Step, settingsOf, startRig, twoShards } from "./rig.js";

const { parse, bind, describe: describeMessage, execute, close, sync, flush, query } = messages;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ databases: { one: oneTarget(), two: twoShards(), session: oneTarget({ pool_mode: "session" }) } });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

const statement = (name = ""): Uint8Array => describeMessage({ type: "S", name });
const portal = (name = ""): Uint8Array => describeMessage({ type: "P", name });
const closeStatement = (name = ""): Uint8Array => close({ type: "S", name });
const closePortal = (name = ""): Uint8Array => close({ type: "P", name });
/** Parse, Bind, Execute of the unnamed statement and portal. */
const run = (text: string): Uint8Array[] => [parse({ text }), bind(), execute()];

const conversations: Readonly<Record<string, readonly Step[]>> = {
  "an unnamed statement": [
    ["Z", parse({ text: "SELECT $1::int + 1, 'x'" }), bind({ values: ["1"] }), portal(), execute(), sync()],
    ["Z", bind({ values: ["41"] }), execute(), sync()],
  ],
  "an unnamed statement in later batches": [
    ["Z", parse({ text: "SELECT $1::text AS a" }), statement(), sync()],
    ["Z", bind({ values: ["one"] }), execute(), sync()],
    ["Z", statement(), sync()],
    ["Z", bind({ values: ["two"] }), portal(), execute(), sync()],
  ],
  "a named statement": [
    ["Z", parse({ name: "a", text: "SELECT $1::int AS n" }), sync()],
    ["Z", bind({ statement: "a", values: ["1"] }), execute(), sync()],
    ["Z", statement("a"), sync()],
    ["Z", closeStatement("a"), sync()],
    ["Z", bind({ statement: "a", values: ["1"] }), execute(), sync()],
    ["Z", query("SELECT 1")],
  ],
  "a name that is taken, one that is not known": [
    ["Z", parse({ name: "a", text: "SELECT 1" }), sync()],
    ["Z", parse({ name: "a", text: "SELECT 2" }), sync()],
    ["Z", bind({ statement: "a" }), execute(), sync()],
    ["Z", bind({ statement: "b" }), execute(), sync()],
    ["Z", statement("b"), sync()],
    ["Z", closeStatement("b"), sync()],
    ["Z", bind(), execute(), sync()],
    ["Z", execute({ portal: "p" }), sync()],
    ["Z", portal("p"), sync()],
    ["Z", closePortal("p"), sync()],
  ],
  "Close and Parse of one name in one batch": [
    ["Z", parse({ name: "a", text: "SELECT 1" }), sync()],
    ["Z", closeStatement("a"), parse({ name: "a", text: "SELECT 'two'" }), bind({ statement: "a" }), execute(), sync()],
    ["Z", bind({ statement: "a" }), portal(), execute(), sync()],
  ],
  "Close that comes behind an error": [
    ["Z", parse({ name: "a", text: "SELECT 1" }), sync()],
    ["Z", ...run("SELECT 1/0"), closeStatement("a"), sync()],
    ["Z", bind({ statement: "a" }), execute(), sync()],
    ["Z", ...run("SELECT 1/0"), closeStatement("a"), parse({ name: "a", text: "SELECT 2" }), sync()],
    ["Z", bind({ statement: "a" }), execute(), sync()],
  ],
  "Parse that comes behind an error": [
    ["Z", ...run("SELECT 1/0"), parse({ name: "a", text: "SELECT 1" }), sync()],
    ["Z", bind({ statement: "a" }), execute(), sync()],
    ["Z", parse({ text: "SELECT 'first'" }), sync()],
    ["Z", parse({ name: "b", text: "SELEC" }), parse({ text: "SELECT 'second'" }), sync()],
    ["Z", bind(), execute(), sync()],
  ],
  "Parse that fails": [
    ["Z", parse({ text: "SELECT 1" }), sync()],
    ["Z", parse({ text: "SELEC" }), sync()],
    ["Z", bind(), execute(), sync()],
    ["Z", parse({ name: "a", text: "SELECT * FROM no_such_table" }), statement("a"), sync()],
    ["Z", bind({ statement: "a" }), execute(), sync()],
    ["Z", parse({ name: "a", text: "SELECT 1" }), bind({ statement: "a" }), execute(), sync()],
  ],
  "several statements in one Parse, and none": [
    ["Z", ...run("SELECT 1; SELECT 2"), sync()],
    ["Z", parse({ text: "" }), bind(), portal(), execute(), sync()],
    ["Z", parse({ text: "  -- comment" }), statement(), bind(), execute(), sync()],
    ["Z", ...run("SELECT 1;"), sync()],
  ],
  "Bind with values that do not fit": [
    ["Z", parse({ name: "a", text: "SELECT $1::int" }), sync()],
    ["Z", bind({ statement: "a", values: ["x"] }), execute(), sync()],
    ["Z", bind({ statement: "a", values: [null] }), execute(), sync()],
  ],
  "results in binary": [
    ["Z", parse({ name: "a", text: "SELECT 258::int4" }), sync()],
    ["Z", bind({ statement: "a", binary: true }), portal(), execute(), sync()],
  ],
  "DDL, and commands without rows": [
    ["Z", ...run("CREATE TEMP TABLE x (a int) ON COMMIT DROP"), sync()],
    ["Z", parse({ text: "SET work_mem = '3MB'" }), statement(), bind(), portal(), execute(), sync()],
    ["Z", ...run("SHOW work_mem"), sync()],
    ["Z", ...run("RESET work_mem"), ...run("SHOW work_mem"), sync()],
  ],
  "a batch of several statements is one transaction": [
    ["Z", ...run("SELECT 1"), ...run("SELECT 2"), sync()],
    ["Z", ...run("SET work_mem = '3MB'"), ...run("SELECT 1/0"), ...run("SELECT 3"), sync()],
    ["Z", ...run("SHOW work_mem"), sync()],
    ["Z", ...run("SET work_mem = '3MB'"), ...run("ROLLBACK"), sync()],
    ["Z", ...run("SHOW work_mem"), sync()],
  ],
  "pipelined batches: an error in one leaves the others alone": [
    ["ZZZZ", ...run("SELECT 1"), sync(), ...run("SELECT 1/0"), ...run("SELECT 2"), sync(), ...run("SELECT 3"), sync(), sync()],
    [
      "ZZZ",
      parse({ name: "a", text: "SELECT $1::int" }),
      sync(),
      bind({ statement: "a", values: ["7"] }),
      execute(),
      sync(),
      query("SELECT 8"),
    ],
    ["ZZ", bind({ statement: "no" }), execute(), sync(), bind({ statement: "a", values: ["9"] }), execute(), sync()],
  ],
  "a transaction": [
    ["Z", ...run("BEGIN"), sync()],
    ["Z", ...run("SELECT 1"), sync()],
    ["Z", ...run("SELECT 1/0"), sync()],
    ["Z", ...run("SELECT 1"), sync()],
    ["Z", ...run("COMMIT"), sync()],
    ["Z", ...run("SELECT 1"), sync()],
  ],
  "a transaction in one batch": [
    ["Z", ...run("BEGIN"), ...run("SELECT 1"), ...run("COMMIT"), sync()],
    ["Z", ...run("BEGIN"), ...run("SELECT 1"), sync()],
    ["Z", ...run("ROLLBACK"), ...run("SELECT 2"), sync()],
    ["Z", ...run("BEGIN"), ...run("SELECT 1/0"), ...run("COMMIT"), sync()],
    ["Z", ...run("ROLLBACK"), sync()],
    ["Z", ...run("BEGIN"), ...run("COMMIT"), sync()],
    ["Z", ...run("BEGIN"), ...run("BEGIN"), sync()],
    ["Z", ...run("COMMIT"), ...run("COMMIT"), sync()],
  ],
  "transaction control that is prepared": [
    ["Z", parse({ name: "b", text: "BEGIN" }), statement("b"), sync()],
    ["Z", parse({ name: "c", text: "COMMIT" }), statement("c"), sync()],
    ["Z", bind({ statement: "b" }), portal(), execute(), sync()],
    ["Z", ...run("SELECT 1"), sync()],
    ["Z", bind({ statement: "c" }), portal(), execute(), sync()],
    ["Z", bind({ statement: "b" }), execute(), sync()],
    ["Z", bind({ statement: "c" }), execute(), sync()],
    ["Z", parse({ text: "START TRANSACTION" }), bind(), execute({ rows: 1 }), sync()],
    ["Z", ...run("ROLLBACK"), closeStatement("b"), closeStatement("c"), sync()],
  ],
  "what is prepared in a transaction stays": [
    ["Z", query("BEGIN")],
    ["Z", parse({ name: "a", text: "SELECT 1" }), sync()],
    ["Z", parse({ name: "b", text: "SELECT 2" }), statement("b"), sync()],
    ["Z", bind({ statement: "a" }), execute(), sync()],
    ["Z", query("ROLLBACK")],
    ["Z", bind({ statement: "a" }), execute(), sync()],
    ["Z", bind({ statement: "b" }), execute(), sync()],
  ],
  "a Parse that fails makes the transaction fail": [
    ["Z", query("BEGIN")],
    ["Z", parse({ text: "SELEC" }), sync()],
    ["Z", parse({ text: "SELECT 1" }), sync()],
    ["Z", ...run("SELECT 1"), sync()],
    ["Z", ...run("ROLLBACK"), sync()],
    ["Z", ...run("SELECT 1"), sync()],
  ],
  "an unknown statement makes the transaction fail": [
    ["Z", query("BEGIN")],
    ["Z", bind({ statement: "no" }), sync()],
    ["Z", query("SELECT 1")],
    ["Z", query("COMMIT")],
    ["Z", query("BEGIN")],
    ["Z", query("SELECT 1")],
    ["Z", bind({ statement: "no" }), sync()],
    ["Z", query("SELECT 1")],
    ["Z", query("COMMIT")],
  ],
  "portals with row limits": [
    ["Z", query("BEGIN")],
    [
      "Z",
      parse({ name: "s", text: "SELECT generate_series(1, 5)" }),
      bind({ portal: "p", statement: "s" }),
      execute({ portal: "p", rows: 2 }),
      sync(),
    ],
    ["Z", portal("p"), execute({ portal: "p", rows: 2 }), sync()],
    ["Z", execute({ portal: "p", rows: 2 }), sync()],
    ["Z", execute({ portal: "p", rows: 2 }), sync()],
    ["Z", closePortal("p"), sync()],
    ["Z", execute({ portal: "p", rows: 2 }), sync()],
    ["Z", query("COMMIT")],
  ],
  "a row limit outside a transaction": [
    ["Z", parse({ text: "SELECT generate_series(1, 3)" }), bind(), execute({ rows: 2 }), execute({ rows: 2 }), sync()],
    ["Z", execute({ rows: 2 }), sync()],
    ["Z", ...run("SELECT 1"), sync()],
  ],
  "two portals side by side": [
    ["Z", query("BEGIN")],
    [
      "Z",
      parse({ name: "s", text: "SELECT $1::int + generate_series(1, 3)" }),
      bind({ portal: "p", statement: "s", values: ["10"] }),
      bind({ portal: "q", statement: "s", values: ["20"] }),
      execute({ portal: "p", rows: 1 }),
      execute({ portal: "q", rows: 2 }),
      execute({ portal: "p", rows: 1 }),
      sync(),
    ],
    ["Z", execute({ portal: "q" }), execute({ portal: "p" }), sync()],
    ["Z", bind({ portal: "p", statement: "s", values: ["1"] }), sync()],
    ["Z", query("ROLLBACK")],
  ],
  "Flush: answers before Sync": [
    ["T", parse({ name: "a", text: "SELECT $1::int AS n" }), statement("a"), flush()],
    ["2", bind({ statement: "a", values: ["1"] }), flush()],
    ["C", execute(), flush()],
    ["Z", sync()],
    ["C", bind({ statement: "a", values: ["2"] }), execute(), flush()],
    ["Z", bind({ statement: "a", values: ["3"] }), execute(), sync()],
  ],
  "Flush: transaction control": [
    ["n", parse({ text: "BEGIN" }), statement(), flush()],
    ["C", bind(), execute(), flush()],
    ["Z", sync()],
    ["1", parse({ text: "SELECT 1" }), flush()],
    ["2", bind(), flush()],
    ["C", execute(), flush()],
    ["Z", sync()],
    ["2", parse({ text: "COMMIT" }), bind(), flush()],
    ["C", execute(), flush()],
    ["Z", sync()],
    ["2", parse({ text: "BEGIN" }), bind(), flush()],
    ["C", execute(), flush()],
    ["Z", sync()],
    ["Z", query("ROLLBACK")],
  ],
  "Flush: an error is told at once, and the rest passed over until Sync": [
    ["E", parse({ text: "SELEC" }), flush()],
    ["Z", ...run("SELECT 1"), flush(), ...run("SELECT 2"), sync()],
    ["E", bind({ statement: "no" }), flush()],
    ["Z", ...run("SELECT 1"), flush(), query("SELECT 2"), sync()],
    ["E", ...run("SELECT 1/0"), flush()],
    ["Z", parse({ name: "a", text: "SELECT 1" }), closeStatement("a"), flush(), query("SELECT 3"), sync()],
    ["Z", bind({ statement: "a" }), sync()],
    ["1", parse({ text: "SELECT 'old'" }), flush()],
    ["E", bind({ statement: "no" }), flush()],
    ["Z", parse({ text: "SELECT 'new'" }), flush(), sync()],
    ["Z", bind(), execute(), sync()],
  ],
  "Flush with nothing before it": [
    ["Z", flush(), flush(), sync()],
    ["Z", flush(), ...run("SELECT 1"), flush(), flush(), sync()],
    ["Z", flush(), query("SELECT 1")],
  ],
  "a query in the middle of a batch": [
    ["1", parse({ name: "a", text: "SELECT 1" }), flush()],
    ["Z", query("SELECT 2")],
    ["Z", bind({ statement: "a" }), execute(), sync()],
    ["Z", parse({ name: "b", text: "SELECT 1" }), bind({ statement: "b" }), execute(), query("SELECT 2")],
    ["Z", bind({ statement: "b" }), execute(), sync()],
  ],
  "a savepoint rolls the transaction's error back": [
    ["Z", ...run("BEGIN"), ...run("SAVEPOINT a"), sync()],
    ["Z", ...run("SELECT 1/0"), sync()],
    ["Z", ...run("ROLLBACK TO a"), sync()],
    ["Z", ...run("SET work_mem = '3MB'"), sync()],
    ["Z", ...run("RELEASE a"), ...run("COMMIT"), sync()],
    ["Z", ...run("SHOW work_mem"), sync()],
  ],
  DEALLOCATE: [
    ["Z", parse({ name: "a", text: "SELECT 1" }), parse({ name: "b", text: "SELECT 2" }), parse({ name: "C", text: "SELECT 3" }), sync()],
    ["Z", query("DEALLOCATE a")],
    ["Z", bind({ statement: "a" }), execute(), sync()],
    ["Z", query("DEALLOCATE a")],
    ["Z", query("DEALLOCATE C")],
    ["Z", query('DEALLOCATE PREPARE "C"')],
    ["Z", ...run("DEALLOCATE ALL"), sync()],
    ["Z", bind({ statement: "b" }), execute(), sync()],
    ["Z", parse({ name: "a", text: "SELECT 1" }), sync()],
    ["Z", query("DISCARD ALL")],
    ["Z", bind({ statement: "a" }), execute(), sync()],
    ["Z", parse({ name: "a", text: "SELECT 1" }), bind({ statement: "a" }), execute(), sync()],
  ],
  "DEALLOCATE with the extended protocol": [
    ["Z", parse({ name: "a", text: "SELECT 1" }), sync()],
    ["Z", ...run("DEALLOCATE a"), sync()],
    ["Z", query("DEALLOCATE a")],
    ["Z", ...run("DEALLOCATE"), sync()],
  ],
  "notices stay where they belong": [
    [
      "Z",
      parse({ name: "n", text: "SELECT 1" }),
      ...run("DO $$ BEGIN RAISE NOTICE 'one'; END $$"),
      bind({ statement: "n" }),
      execute(),
      sync(),
    ],
  ],
};

describe.each(["one", "two", "session"])("database %s", (database) => {
  test.each(Object.keys(conversations))("%s: answered as PostgreSQL does", async (name) => {
    const steps = conversations[name] as readonly Step[];
    const [client, direct] = await Promise.all([rig.client(database), rig.direct()]);
    expect(await converse(client, steps)).toEqual(await converse(direct, steps));
    client.end();
    await client.closed;
    expect(await settingsOf(await rig.client(database))).toEqual([]);
  });
});
