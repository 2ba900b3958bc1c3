// Statements of several clients on one server connection: who may share, that each gets its own answer, and what keeps others apart.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { messages, type WireClient } from "../harness/wire-client.js";
import { shortly, untilRunning, valueIn } from "../protocol/rig.js";
import { cancel, errorText, lockQuery, type MultiplexRig, pidOf, sharing, startMultiplexRig } from "./multiplex-rig.js";

const { parse, bind, describe: describeMessage, execute, sync, query } = messages;

/** Of this file's own: others run beside it, at the same server. */
const key = 4721;

let rig: MultiplexRig;
beforeAll(async () => {
  rig = await startMultiplexRig({
    app: sharing({ multiplex_never: ["shared_never"] }),
    writes: sharing({ multiplex_writes: true }),
    any: sharing({ multiplex_relations: "any" }),
    alone: sharing({ multiplex: 0 }),
  });
  const direct = await rig.direct();
  await direct.query(`
    CREATE TABLE IF NOT EXISTS shared_rows (id int PRIMARY KEY, word text);
    INSERT INTO shared_rows SELECT i, 'word ' || i FROM generate_series(1, 100) i ON CONFLICT DO NOTHING;
    CREATE TABLE IF NOT EXISTS shared_never (id int);
    CREATE OR REPLACE VIEW shared_view AS SELECT * FROM shared_rows;
    CREATE TABLE IF NOT EXISTS shared_policy (id int); ALTER TABLE shared_policy ENABLE ROW LEVEL SECURITY;
    CREATE OR REPLACE FUNCTION shared_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE IF NOT EXISTS shared_triggered (id int);
    CREATE OR REPLACE TRIGGER t BEFORE INSERT ON shared_triggered FOR EACH ROW EXECUTE FUNCTION shared_trigger()`);
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await (await rig.direct()).query(
    "DROP VIEW shared_view; DROP TABLE shared_rows, shared_never, shared_policy, shared_triggered; DROP FUNCTION shared_trigger",
  );
  await rig.disconnectAll();
  await rig.stop();
});

const clients = (count: number, database = "app"): Promise<WireClient[]> =>
  Promise.all(Array.from({ length: count }, () => rig.client(database)));

/** Statements are sent one after the other while the first one is held up; the answers in short. */
async function behindOneAnother(database: string, ...sent: Uint8Array[][]): Promise<string[]> {
  const [first, ...others] = await clients(sent.length + 1, database);
  const lock = await rig.lock(key);
  first?.send(query(lockQuery(key)));
  await untilRunning(rig, lockQuery(key));
  others.forEach((client, i) => {
    client.send(...(sent[i] ?? []));
  });
  await rig.untilInFlight(database, sent.length + 1);
  await lock.letGo();
  await first?.until("Z");
  return Promise.all(others.map(async (client) => shortly(await client.until("Z"))));
}

describe("who shares a server", () => {
  test("gets its own answer, whatever the others asked", async () => {
    await rig.learn("app", lockQuery(key), "SELECT word FROM shared_rows WHERE id = 1", "SELECT 1/0");
    const before = await rig.counts("app");
    const answers = await behindOneAnother(
      "app",
      [query("SELECT word FROM shared_rows WHERE id = 17")],
      [query("SELECT 1/0")],
      [query("SELECT word FROM shared_rows WHERE id = 34")],
    );
    expect(answers).toEqual([
      "T(word:25) D(word 17) C(SELECT 1) Z(I)",
      "E(22012 division by zero) Z(I)",
      "T(word:25) D(word 34) C(SELECT 1) Z(I)",
    ]);
    const after = await rig.counts("app");
    expect((after["waits_saved"] ?? 0) - (before["waits_saved"] ?? 0)).toBe(3);
  });

  test("extended batches share, with unnamed and with named statements, and an error ends its own batch only", async () => {
    await rig.learn("app", lockQuery(key), "SELECT $1::int + 1");
    const named = await rig.client("app");
    named.send(parse({ name: "plus", text: "SELECT $1::int + 1" }), bind({ statement: "plus", values: ["1"] }), execute(), sync());
    await named.until("Z");
    const run = (value: string): Uint8Array[] => [
      parse({ text: "SELECT $1::int + 1" }),
      bind({ values: [value] }),
      describeMessage({ type: "P" }),
      execute(),
      sync(),
    ];
    // The kind of a Parse is known by its text, however it was learned.
    for (let i = 0; i < 4; i++) {
      named.send(bind({ statement: "plus", values: ["1"] }), execute(), sync());
      await named.until("Z");
    }
    const [first, second, third] = await clients(3);
    const lock = await rig.lock(key);
    first?.send(query(lockQuery(key)));
    await untilRunning(rig, lockQuery(key));
    second?.send(...run("x"));
    third?.send(...run("41"));
    named.send(bind({ statement: "plus", values: ["99"] }), execute(), sync());
    await rig.untilInFlight("app", 4);
    await lock.letGo();
    expect(shortly((await second?.until("Z")) ?? [])).toBe('1 E(22P02 invalid input syntax for type integer: "x") Z(I)');
    expect(shortly((await third?.until("Z")) ?? [])).toBe("1 2 T(?column?:23) D(42) C(SELECT 1) Z(I)");
    expect(shortly(await named.until("Z"))).toBe("2 D(100) C(SELECT 1) Z(I)");
  });

  test("a named statement that the server does not know is prepared in the same write", async () => {
    await rig.learn("app", lockQuery(key), "SELECT $1::int + 1");
    const [first, second] = await clients(2);
    second?.send(parse({ name: "again", text: "SELECT $1::int + 1" }), sync());
    await second?.until("Z");
    // The only server is another one from here on.
    await (await rig.direct()).query(`SELECT pg_terminate_backend(${await pidOf(second as WireClient)}, 5000)`);
    const lock = await rig.lock(key);
    first?.send(query(lockQuery(key)));
    await untilRunning(rig, lockQuery(key));
    second?.send(bind({ statement: "again", values: ["1"] }), execute(), sync());
    await rig.untilInFlight("app", 2);
    await lock.letGo();
    expect(shortly((await second?.until("Z")) ?? [])).toBe("2 D(2) C(SELECT 1) Z(I)");
  });

  test("no more than the depth says; the others wait for their turn", async () => {
    await rig.learn("app", lockQuery(key), "SELECT 2 AS n");
    const [first, ...others] = await clients(8);
    const lock = await rig.lock(key);
    first?.send(query(lockQuery(key)));
    await untilRunning(rig, lockQuery(key));
    others.forEach((client, i) => {
      client.send(query(`SELECT ${i} AS n`));
    });
    await rig.untilInFlight("app", 4);
    await lock.letGo();
    expect(await Promise.all(others.map(async (client) => shortly(await client.until("Z"))))).toEqual(
      others.map((_, i) => `T(n:23) D(${i}) C(SELECT 1) Z(I)`),
    );
  });

  test("a transaction has its server for itself, and gets one though riders keep coming", async () => {
    await rig.learn("app", lockQuery(key), "SELECT 2 AS n");
    const [owner, rider] = await clients(2);
    await owner?.query("BEGIN");
    await owner?.query("SELECT 1");
    rider?.send(query("SELECT 5 AS n"));
    expect((await rig.counts("app"))["in_flight"]).toBe(0);
    expect(rider?.pending()).toEqual([]);
    await owner?.query("COMMIT");
    expect(shortly((await rider?.until("Z")) ?? [])).toBe("T(n:23) D(5) C(SELECT 1) Z(I)");

    const others = await clients(6);
    let isOver = false;
    const traffic = others.map(async (client) => {
      while (!isOver) await client.query("SELECT 3 AS n");
    });
    for (let i = 0; i < 20; i++) {
      expect(shortly((await owner?.query("BEGIN")) ?? [])).toBe("C(BEGIN) Z(T)");
      expect(await valueIn(owner as WireClient, "SELECT 7")).toBe("7");
      await owner?.query("ROLLBACK");
    }
    isOver = true;
    await Promise.all(traffic);
  });

  test("who waits for a server for itself is not overtaken by those who come later", async () => {
    await rig.learn("app", lockQuery(key), "SELECT 2 AS n");
    const [first, owner, rider] = await clients(3);
    const lock = await rig.lock(key);
    first?.send(query(lockQuery(key)));
    await untilRunning(rig, lockQuery(key));
    owner?.send(query("BEGIN"));
    rider?.send(query("SELECT 5 AS n"));
    const admin = await rig.counts("app");
    expect(admin["in_flight"]).toBe(1);
    await lock.letGo();
    expect(shortly((await owner?.until("Z")) ?? [])).toBe("C(BEGIN) Z(T)");
    expect(rider?.pending()).toEqual([]);
    await owner?.query("COMMIT");
    expect(shortly((await rider?.until("Z")) ?? [])).toBe("T(n:23) D(5) C(SELECT 1) Z(I)");
  });
});

describe("who does not share", () => {
  /** What the counters say after the statement was run four times; the reasons without "unknown". */
  const reasonOf = async (database: string, ...sent: Uint8Array[]): Promise<string> => {
    const client = await rig.client(database);
    const before = await rig.counts(database);
    for (let i = 0; i < 4; i++) {
      client.send(...sent);
      await client.until("Z");
    }
    const after = await rig.counts(database);
    const grown = Object.keys(after).filter((name) => (after[name] ?? 0) > (before[name] ?? 0) && name !== "refused_unknown");
    return grown.join(" ");
  };

  test.each([
    ["refused_kind", "SHOW work_mem"],
    ["refused_kind", "SELECT 1; SELECT 2"],
    ["refused_locks", "SELECT 1 FROM shared_rows WHERE id = 1 FOR UPDATE"],
    ["refused_function", "SELECT pg_try_advisory_xact_lock(1)"],
    ["refused_function", "SELECT txid_current()"],
    ["refused_excluded", "SELECT * FROM shared_never"],
    ["refused_write", "UPDATE shared_rows SET word = word WHERE id = 1"],
    ["refused_relation", "SELECT * FROM shared_view WHERE id = 1"],
    ["refused_relation", "SELECT * FROM shared_policy"],
    ["refused_relation", "SELECT * FROM pg_stat_activity WHERE false"],
  ])("%s: %s", async (reason, sql) => {
    expect(await reasonOf("app", query(sql))).toBe(reason);
  });

  test.each([
    ["row limits", [parse({ text: "SELECT 1" }), bind(), execute({ rows: 1 }), sync()]],
    ["named portals", [parse({ text: "SELECT 1" }), bind({ portal: "p" }), execute({ portal: "p" }), sync()]],
    ["two executions", [parse({ text: "SELECT 1" }), bind(), execute(), bind(), execute(), sync()]],
  ])("%s", async (_, sent) => {
    expect(await reasonOf("app", ...sent)).toBe("refused_batch");
  });

  test("a session with time limits of its own, or other settings than the others", async () => {
    const client = await rig.client("app");
    await client.query("SET statement_timeout = '1min'");
    const before = await rig.counts("app");
    await client.query("SELECT 1");
    expect((await rig.counts("app"))["refused_timeout"]).toBe((before["refused_timeout"] ?? 0) + 1);
  });

  test("clients with other settings never share a server at a time, and each runs with its own", async () => {
    await rig.learn("app", "SELECT current_setting('application_name')");
    const some = await Promise.all(["a", "b", "c", "a", "b", "c"].map((name) => rig.client("app", { application_name: name })));
    const answers = await Promise.all(
      some.map(async (client) => {
        const seen = new Set<string | null>();
        for (let i = 0; i < 30; i++) seen.add(await valueIn(client, "SELECT current_setting('application_name')"));
        return [...seen].join();
      }),
    );
    expect(answers).toEqual(["a", "b", "c", "a", "b", "c"]);
  });

  test("everyone, with multiplex = 0", async () => {
    const client = await rig.client("alone");
    await client.query("SELECT 1");
    expect(await rig.counts("alone")).toMatchObject({ depth: 0, rides: 0, refused_unknown: 0 });
  });

  test("a table that gets a trigger or a policy, as soon as this pooler changed it", async () => {
    const client = await rig.client("writes");
    await client.query("CREATE TABLE shared_changing (id int)");
    await rig.learn("writes", "INSERT INTO shared_changing VALUES (1)");
    expect(await reasonOf("writes", query("INSERT INTO shared_changing VALUES (2)"))).toBe("rides");
    await client.query("CREATE TRIGGER t BEFORE INSERT ON shared_changing FOR EACH ROW EXECUTE FUNCTION shared_trigger()");
    expect(await reasonOf("writes", query("INSERT INTO shared_changing VALUES (3)"))).toBe("refused_relation");
    await client.query("DROP TABLE shared_changing");
  });
});

describe("writes, where the configuration lets them share", () => {
  test("each takes effect by itself", async () => {
    const update = (id: string): string => `UPDATE shared_rows SET word = 'new' WHERE id = ${id}`;
    await rig.learn("writes", lockQuery(key), update("0 / 1"));
    const answers = await behindOneAnother("writes", [query(update("91 / 1"))], [query(update("92 / 0"))], [query(update("93 / 1"))]);
    expect(answers).toEqual(["C(UPDATE 1) Z(I)", "E(22012 division by zero) Z(I)", "C(UPDATE 1) Z(I)"]);
    expect(await valueIn(await rig.direct(), "SELECT string_agg(id::text, ' ' ORDER BY id) FROM shared_rows WHERE word = 'new'")).toBe(
      "91 93",
    );
  });
});

describe("cancel requests", () => {
  test("a statement that waits is taken out of the queue", async () => {
    await rig.learn("app", "SELECT 2 AS n");
    const [owner, rider] = await clients(2);
    await owner?.query("BEGIN");
    await owner?.query("SELECT 1");
    rider?.send(query("SELECT 5 AS n"));
    await cancel(rig, rider as WireClient);
    expect(errorText((await rider?.until("Z")) ?? [])).toBe("57014 canceling statement due to user request");
    expect(await valueIn(owner as WireClient, "SELECT 6")).toBe("6");
    await owner?.query("COMMIT");
  });

  test("a statement that is alone on its server is stopped", async () => {
    await rig.learn("app", lockQuery(key));
    const client = await rig.client("app");
    const lock = await rig.lock(key);
    client.send(query(lockQuery(key)));
    await untilRunning(rig, lockQuery(key));
    await cancel(rig, client);
    expect(errorText(await client.until("Z"))).toBe("57014 canceling statement due to user request");
    await lock.letGo();
    expect(await valueIn(client, "SELECT 6")).toBe("6");
  });
});

describe("clients that leave", () => {
  test("in flight: nobody else's answer is touched", async () => {
    await rig.learn("app", lockQuery(key), "SELECT 2 AS n");
    const [first, second, third] = await clients(3);
    const lock = await rig.lock(key);
    first?.send(query(lockQuery(key)));
    await untilRunning(rig, lockQuery(key));
    second?.send(query("SELECT 5 AS n"));
    third?.send(query("SELECT 6 AS n"));
    await rig.untilInFlight("app", 3);
    second?.reset();
    first?.reset();
    await Promise.all([first?.closed, second?.closed]);
    await lock.letGo();
    expect(shortly((await third?.until("Z")) ?? [])).toBe("T(n:23) D(6) C(SELECT 1) Z(I)");
  });
});
