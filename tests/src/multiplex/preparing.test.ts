// Texts that share a server and come again are prepared there: nobody sees that in an answer, and PostgreSQL has them once.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { BackendMessage } from "../harness/backend-message.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { shortly, untilRunning, valueIn } from "../protocol/rig.js";
import { cancel, errorText, lockQuery, type MultiplexRig, sharing, startMultiplexRig } from "./multiplex-rig.js";

const { parse, bind, describe: describeMessage, execute, sync, query } = messages;

/** Of this file's own: others run beside it, at the same server. */
const key = 4722;

let rig: MultiplexRig;
beforeAll(async () => {
  rig = await startMultiplexRig({
    app: sharing({ multiplex_prepare: true, multiplex_writes: true }),
    crowded: sharing({ multiplex_prepare: true }),
    plain: sharing(),
  });
  const direct = await rig.direct();
  await direct.query(`
    CREATE DOMAIN prepared_domain AS int CHECK (VALUE < 1000);
    CREATE TYPE prepared_mood AS ENUM ('sad', 'happy');
    CREATE TABLE prepared_rows (id int PRIMARY KEY, big bigint, small smallint, n numeric(8, 2), word text, padded char(8), short varchar(3),
      day date, at timestamptz, mood prepared_mood, limited prepared_domain, flag boolean, items int[], data jsonb);
    INSERT INTO prepared_rows SELECT i, 9000000000 + i, i, i / 4.0, CASE i WHEN 5 THEN 'it''s' ELSE 'word ' || i END, 'pad ' || i, 'w' || i,
      date '2026-01-01' + i, timestamptz '2026-01-01 00:00Z' + i * interval '1 hour', CASE i % 2 WHEN 0 THEN 'sad' ELSE 'happy' END::prepared_mood, i, i > 5,
      ARRAY[i, i + 1], jsonb_build_object('a', i) FROM generate_series(1, 20) i`);
});
afterEach(() => rig.disconnectAll());
afterAll(async () => {
  await (await rig.direct()).query("DROP TABLE prepared_rows; DROP DOMAIN prepared_domain; DROP TYPE prepared_mood");
  await rig.disconnectAll();
  await rig.stop();
});

/** Byte for byte. */
const exactly = (answer: readonly BackendMessage[]): string[] => answer.map(({ type, body }) => `${type} ${body.toString("latin1")}`);

const prepared = async (database = "app"): Promise<number> => (await rig.counts(database))["prepared"] ?? 0;

/** Runs what is sent until its kind is known and its text prepared, and a few times more; how many of them ran as prepared statements. */
async function runOften(client: WireClient, other: WireClient, ...sent: Uint8Array[]): Promise<number> {
  const before = await prepared();
  other.send(...sent);
  const expected = exactly(await other.until("Z"));
  for (let i = 0; i < 12; i++) {
    client.send(...sent);
    expect(exactly(await client.until("Z"))).toEqual(expected);
  }
  return (await prepared()) - before;
}

describe("a simple query", () => {
  test.each([
    "SELECT * FROM prepared_rows WHERE id = 3",
    "SELECT id, word FROM prepared_rows WHERE word = 'it''s';",
    "SELECT id FROM prepared_rows WHERE big = 9000000004 OR big > 9000000018 ORDER BY 1 LIMIT 3",
    "SELECT id FROM prepared_rows WHERE small = 3 AND n <= 1.25",
    "SELECT id, padded FROM prepared_rows WHERE padded = 'pad 7'",
    "SELECT id FROM prepared_rows WHERE short = 'w4' AND word <> 'x'",
    "SELECT id FROM prepared_rows WHERE day >= '2026-01-20' ORDER BY id",
    "SELECT id, at FROM prepared_rows WHERE at < '2026-01-01 04:00+01' ORDER BY id",
    "SELECT count(*) FROM prepared_rows WHERE mood = 'happy' AND flag = 'yes'",
    "SELECT id FROM prepared_rows WHERE limited = 7",
    "SELECT id FROM prepared_rows WHERE items = '{4,5}' OR data->>'a' = '9' ORDER BY id",
    "SELECT id = 3, 'text', NULL, 1.0 AS one FROM prepared_rows WHERE id < 5 ORDER BY id",
    "SELECT CASE WHEN id = 1 THEN 'one' ELSE 'more' END FROM prepared_rows WHERE id != 20 ORDER BY id",
    "SELECT count(*) FILTER (WHERE id > 10) FROM prepared_rows GROUP BY flag HAVING count(*) > 2 ORDER BY 1",
    "WITH few AS (SELECT id FROM prepared_rows WHERE id < 4) SELECT * FROM few WHERE id > 1 ORDER BY id",
    "SELECT FROM prepared_rows WHERE id < 3",
    "SELECT id FROM prepared_rows WHERE id = 99",
    "VALUES (1, 'a'), (2, 'b')",
  ])("that was prepared is answered as by PostgreSQL itself: %s", async (sql) => {
    expect(await runOften(await rig.client("app"), await rig.direct(), query(sql))).toBeGreaterThan(2);
  });

  test("has its own values, whoever asks before and behind it", async () => {
    const sqlOf = (id: number): string => `SELECT word FROM prepared_rows WHERE id = ${id} OR word = 'nobody''s'`;
    await rig.learn("app", lockQuery(key), sqlOf(1));
    const clients = await Promise.all(Array.from({ length: 4 }, () => rig.client("app")));
    const [first, ...others] = clients;
    const lock = await rig.lock(key);
    first?.send(query(lockQuery(key)));
    await untilRunning(rig, lockQuery(key));
    const before = await prepared();
    others.forEach((client, i) => {
      client.send(query(sqlOf(11 + i)));
    });
    await rig.untilInFlight("app", 4);
    await lock.letGo();
    await first?.until("Z");
    const answers = await Promise.all(others.map(async (client) => shortly(await client.until("Z"))));
    expect(answers).toEqual([11, 12, 13].map((id) => `T(word:25) D(word ${id}) C(SELECT 1) Z(I)`));
    expect((await prepared()) - before).toBe(3);
  });

  test("is in PostgreSQL once, with parameters", async () => {
    const client = await rig.client("app");
    for (let i = 0; i < 12; i++) await client.query(`SELECT id AS once FROM prepared_rows WHERE id = ${i}`);
    const known =
      "SELECT string_agg(statement || parameter_types::text, ' / ') FROM pg_prepared_statements WHERE statement LIKE '%AS once %WHERE%'";
    expect(await valueIn(client, known)).toBe("SELECT id AS once FROM prepared_rows WHERE id = $1{integer}");
  });

  test.each([
    "SELECT id FROM prepared_rows WHERE at > 'now'::timestamptz",
    "SELECT date 'today' = current_date",
    "SELECT 'prepared_rows'::regclass::text",
    "SELECT id FROM prepared_rows WHERE word = E'it\\'s'",
    "UPDATE prepared_rows SET word = word WHERE id = 1",
  ])("that means something else each time, or has no rows, is never prepared: %s", async (sql) => {
    expect(await runOften(await rig.client("app"), await rig.direct(), query(sql))).toBe(0);
  });

  test("is never prepared where that is not asked for", async () => {
    const client = await rig.client("plain");
    for (let i = 0; i < 6; i++) await client.query("SELECT word FROM prepared_rows WHERE id = 1");
    expect(await rig.counts("plain")).toMatchObject({ prepared: 0 });
  });
});

describe("errors", () => {
  test.each([
    ["a value that is none of its type", "SELECT id FROM prepared_rows WHERE id = 'three'"],
    ["a value that no domain has", "SELECT id FROM prepared_rows WHERE mood = 'angry'"],
    ["what fails while it runs", "SELECT 1 / (id - 1) FROM prepared_rows WHERE id = 1"],
    ["what fails behind its first rows", "SELECT 1 / (id - 2) FROM prepared_rows WHERE id < 4"],
    ["what is not valid with parameters", "SELECT DISTINCT ON (id > 3) id FROM prepared_rows ORDER BY id > 3, id"],
    ["a column that is not there", "SELECT nothing FROM prepared_rows WHERE id = 1"],
  ])("are those of the text itself: %s", async (_, sql) => {
    await runOften(await rig.client("app"), await rig.direct(), query(sql));
  });

  test("a text that is not valid with parameters is tried once", async () => {
    const client = await rig.client("app");
    const sql = "SELECT DISTINCT ON (id > 4) id FROM prepared_rows ORDER BY id > 4, id";
    await runOften(client, await rig.direct(), query(sql));
    const before = await rig.counts("app");
    for (let i = 0; i < 5; i++) await client.query(sql);
    const after = await rig.counts("app");
    expect([after["prepared"], after["again"]]).toEqual([before["prepared"], before["again"]]);
  });

  test("one client's error is nobody else's", async () => {
    const sqlOf = (value: string): string => `SELECT word FROM prepared_rows WHERE limited = ${value}`;
    await rig.learn("app", lockQuery(key), sqlOf("'1'"));
    const [first, ...others] = await Promise.all(Array.from({ length: 4 }, () => rig.client("app")));
    const lock = await rig.lock(key);
    first?.send(query(lockQuery(key)));
    await untilRunning(rig, lockQuery(key));
    ["'2'", "'x'", "'3'"].forEach((value, i) => {
      others[i]?.send(query(sqlOf(value)));
    });
    await rig.untilInFlight("app", 4);
    await lock.letGo();
    await first?.until("Z");
    const answers = await Promise.all(others.map(async (client) => shortly(await client.until("Z"))));
    expect(answers).toEqual([
      "T(word:25) D(word 2) C(SELECT 1) Z(I)",
      'E(22P02 invalid input syntax for type integer: "x") Z(I)',
      "T(word:25) D(word 3) C(SELECT 1) Z(I)",
    ]);
  });
});

describe("unnamed statements", () => {
  const text = "SELECT id, word FROM prepared_rows WHERE id = $1 OR word = $2";
  test.each([
    ["with a described portal", [parse({ text }), bind({ values: ["3", "it's"] }), describeMessage({ type: "P" }), execute(), sync()]],
    ["with a described statement", [parse({ text }), bind({ values: ["3", "it's"] }), describeMessage({ type: "S" }), execute(), sync()]],
    ["without columns", [parse({ text }), bind({ values: ["3", null] }), execute(), sync()]],
    [
      "with types of their own",
      [parse({ text, types: [20, 1043] }), bind({ values: ["3", "x"] }), describeMessage({ type: "S" }), execute(), sync()],
    ],
    ["with binary rows", [parse({ text }), bind({ values: ["3", "x"], binary: true }), describeMessage({ type: "P" }), execute(), sync()]],
    [
      "that write",
      [
        parse({ text: "UPDATE prepared_rows SET n = $1 WHERE id = $2" }),
        bind({ values: ["1", "20"] }),
        describeMessage({ type: "P" }),
        execute(),
        sync(),
      ],
    ],
    ["without rows", [parse({ text }), bind({ values: ["99", "x"] }), describeMessage({ type: "P" }), execute(), sync()]],
  ])("are answered as by PostgreSQL itself: %s", async (_, sent) => {
    expect(await runOften(await rig.client("app"), await rig.direct(), ...sent)).toBeGreaterThan(2);
  });

  test.each([
    [
      "a value that is none of its type",
      [parse({ text }), bind({ values: ["three", "x"] }), describeMessage({ type: "P" }), execute(), sync()],
    ],
    ["too few values", [parse({ text }), bind({ values: ["3"] }), execute(), sync()]],
    ["what fails while it runs", [parse({ text: "SELECT 1 / $1::int, $2::text" }), bind({ values: ["0", "x"] }), execute(), sync()]],
    [
      "what is no statement",
      [parse({ text: "SELECT nothing FROM prepared_rows WHERE id = $1" }), bind({ values: ["0"] }), execute(), sync()],
    ],
  ])("have the errors that they have there: %s", async (_, sent) => {
    await runOften(await rig.client("app"), await rig.direct(), ...sent);
  });

  test("stay the client's: it may bind what it parsed in a batch before", async () => {
    const client = await rig.client("app");
    const batch = [parse({ text }), bind({ values: ["4", "x"] }), execute(), sync()];
    for (let i = 0; i < 6; i++) {
      client.send(...batch);
      await client.until("Z");
    }
    client.send(bind({ values: ["6", "x"] }), execute(), sync());
    expect(shortly(await client.until("Z"))).toBe("2 D(6, word 6) C(SELECT 1) Z(I)");
  });
});

test("columns that change are found at once when this pooler sees it: parameters get their types anew", async () => {
  const client = await rig.client("app");
  await client.query("CREATE TABLE prepared_changing (at timestamp); INSERT INTO prepared_changing VALUES ('2026-01-01 12:00')");
  await client.query("SET timezone = 'Asia/Tokyo'");
  const sql = "SELECT count(*) FROM prepared_changing WHERE at = '2026-01-01 12:00+00'";
  const text = "SELECT count(*) FROM prepared_changing WHERE at = $1";
  const both = async (): Promise<(string | null)[]> => {
    let unnamed: BackendMessage[] = [];
    let simple: string | null = null;
    for (let i = 0; i < 8; i++) {
      client.send(parse({ text }), bind({ values: ["2026-01-01 12:00+00"] }), execute(), sync());
      unnamed = await client.until("Z");
      simple = await valueIn(client, sql);
    }
    return [shortly(unnamed), simple];
  };
  const before = await prepared();
  // Without a time zone what is said of it is passed over: noon is noon.
  expect(await both()).toEqual(["1 2 D(1) C(SELECT 1) Z(I)", "1"]);
  await client.query("ALTER TABLE prepared_changing ALTER at TYPE timestamptz");
  expect(await both()).toEqual(["1 2 D(0) C(SELECT 1) Z(I)", "0"]);
  expect((await prepared()) - before).toBeGreaterThan(6);
  await client.query("DROP TABLE prepared_changing");
});

test("a statement that waits for a lock while it is planned, and is cancelled, does not run again", async () => {
  const sql = (id: number): string => `SELECT word FROM prepared_rows WHERE id = ${id} AND n > 0`;
  await rig.learn("app", sql(1));
  const client = await rig.client("app");
  const holder = await rig.direct();
  await holder.query("BEGIN; LOCK TABLE prepared_rows");
  client.send(query(sql(7)));
  await untilRunning(rig, "SELECT word FROM prepared_rows WHERE id = $1 AND n > $2");
  const before = await rig.counts("app");
  await cancel(rig, client);
  expect(errorText(await client.until("Z"))).toBe("57014 canceling statement due to user request");
  expect((await rig.counts("app"))["again"]).toBe(before["again"]);
  await holder.query("ROLLBACK");
});

describe("clients with other settings", () => {
  /** The last answers, as a statement without a name and as a simple query, of clients that take turns. Texts are prepared when the second one sends them. */
  const runBoth = async (clients: readonly WireClient[], text: string, values: string[] = [], sql = text): Promise<string[]> => {
    const answers: string[] = [];
    for (let i = 0; i < 12; i++)
      for (const [n, client] of clients.entries()) {
        client.send(parse({ text }), bind({ values }), execute(), sync());
        const unnamed = shortly(await client.until("Z"));
        answers[n] = `${unnamed} ${shortly(await client.query(sql))}`;
      }
    return answers;
  };

  test("have the types of their own tables", async () => {
    const [a, b] = await Promise.all([rig.client("app"), rig.client("app")]);
    await a.query(`CREATE SCHEMA prepared_other; CREATE TABLE public.prepared_typed AS SELECT date '2024-01-02' AS v;
      CREATE TABLE prepared_other.prepared_typed AS SELECT timestamp '2024-01-01 05:00' AS v`);
    await b.query("SET search_path = prepared_other");
    const text = "SELECT count(*) FROM prepared_typed WHERE v > ";
    const answers = await runBoth([b, a], `${text}$1`, ["2024-01-01 10:00"], `${text}'2024-01-01 10:00'`);
    expect(answers.map((answer) => answer.match(/D\(\d\)/g)?.join())).toEqual(["D(0),D(0)", "D(1),D(1)"]);
    await a.query("DROP SCHEMA prepared_other CASCADE; DROP TABLE public.prepared_typed");
  });

  test("use the schemas that they may use", async () => {
    const [a, b] = await Promise.all([rig.client("app"), rig.client("app")]);
    await a.query(`CREATE SCHEMA prepared_kept; CREATE TABLE prepared_kept.rows AS SELECT 1 AS n;
      CREATE ROLE prepared_stranger; GRANT SELECT ON prepared_kept.rows TO prepared_stranger`);
    await b.query("SET ROLE prepared_stranger");
    const answers = await runBoth([b, a], "SELECT n FROM prepared_kept.rows WHERE n = 1");
    expect(answers.map((answer) => answer.match(/D\(1\)|42501/g)?.join())).toEqual(["42501,42501", "D(1),D(1)"]);
    await a.query("DROP SCHEMA prepared_kept CASCADE; DROP ROLE prepared_stranger");
  });

  test("have simple queries as they are, where the end of a transaction may fail", async () => {
    const client = await rig.client("app", { default_transaction_isolation: "serializable" });
    const before = await prepared();
    for (let i = 0; i < 6; i++) await client.query("SELECT word FROM prepared_rows WHERE id = 3");
    expect(await prepared()).toBe(before);
  });

  test("are told what is odd about their text each time, or not at all", async () => {
    const [a, b] = await Promise.all([rig.client("app"), rig.client("app", { client_min_messages: "error" })]);
    for (const what of ["to_tsquery('english', 'the')::text", "'1 day'::interval(9)"]) {
      const answers = await runBoth([a, b], `SELECT ${what} FROM prepared_rows WHERE id = 1`);
      expect(answers.map((answer) => answer.match(/N\(/g)?.length ?? 0)).toEqual([2, 0]);
    }
  });
});
