// Ordinary drivers doing ordinary things, many at a time on a small pool: every answer goes to the one who asked.
import pg from "pg";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { oneTarget, type Rig, startRig, twoShards, untilRunning } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    databases: { one: oneTarget({ pool_size: 10 }), two: twoShards({ pool_size: 10 }), small: oneTarget({ pool_size: 2 }) },
    limits: { max_server_statements: 20 },
  });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

const options = (database: string): { host: string; port: number; user: string; database: string } => ({
  host: "127.0.0.1",
  port: rig.pooler.port,
  user: "app",
  database,
});

/** The same numbers for everyone who begins with the same one. */
function random(seed: number): () => number {
  let state = seed + 1;
  return () => {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
}

describe.each(["one", "two"])("database %s", (database) => {
  test("pg: simple and prepared queries, transactions, errors, cursors by name", async () => {
    const client = new pg.Client(options(database));
    await client.connect();
    expect((await client.query("SELECT 1 AS a; SELECT 2 AS a")) as unknown).toMatchObject([{ rows: [{ a: 1 }] }, { rows: [{ a: 2 }] }]);
    for (let i = 0; i < 3; i++) {
      expect((await client.query({ name: "named", text: "SELECT $1::int + 1 AS n", values: [i] })).rows).toEqual([{ n: i + 1 }]);
      expect((await client.query("SELECT $1::text AS t", [`unnamed ${i}`])).rows).toEqual([{ t: `unnamed ${i}` }]);
    }
    await expect(client.query({ name: "broken", text: "SELEC" })).rejects.toMatchObject({ code: "42601" });
    await expect(client.query({ name: "broken", text: "SELECT 1/0" })).rejects.toMatchObject({ code: "22012" });
    await expect(client.query("SELECT $1::int", ["x"])).rejects.toMatchObject({ code: "22P02" });
    await client.query("BEGIN");
    await expect(client.query({ name: "named", text: "SELECT $1::int + 1 AS n", values: ["x"] })).rejects.toMatchObject({ code: "22P02" });
    await expect(client.query("SELECT 1")).rejects.toMatchObject({ code: "25P02" });
    await client.query("ROLLBACK");
    expect((await client.query({ name: "named", text: "SELECT $1::int + 1 AS n", values: [41] })).rows).toEqual([{ n: 42 }]);
    await client.end();
    const pool = new pg.Pool({ ...options(database), max: 5 });
    const many = await Promise.all(Array.from({ length: 50 }, (_, i) => pool.query("SELECT $1::int AS i", [i])));
    expect(many.map(({ rows }) => (rows[0] as { i: number }).i)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    await pool.end();
  });

  test("pg: binary results, large parameters, a notice, LISTEN refused", async () => {
    const client = new pg.Client({ ...options(database), application_name: "driver test" });
    const notices: (string | undefined)[] = [];
    client.on("notice", ({ message }) => notices.push(message));
    await client.connect();
    const bytes = Buffer.from([0, 1, 255]);
    const binary: pg.QueryConfig & { readonly binary: boolean } = { text: "SELECT 258::int4 AS n", values: [], binary: true };
    expect((await client.query(binary)).rows).toEqual([{ n: 258 }]);
    expect((await client.query("SELECT $1::bytea AS b", [bytes])).rows).toEqual([{ b: bytes }]);
    const text = "ä".repeat(1_000_000);
    expect((await client.query("SELECT length($1) AS n, md5($1) AS m", [text])).rows).toMatchObject([{ n: 1_000_000 }]);
    await client.query("DO $$ BEGIN RAISE NOTICE 'a notice'; END $$");
    expect(notices).toEqual(["a notice"]);
    expect((await client.query("SHOW application_name")).rows).toEqual([{ application_name: "driver test" }]);
    await expect(client.query("LISTEN x")).rejects.toMatchObject({ code: "0A000" });
    await client.end();
  });

  test("pg: a query that is cancelled leaves a client that can be used", async () => {
    const client = new pg.Client({ ...options(database), statement_timeout: 100 });
    await client.connect();
    await expect(client.query("SELECT pg_sleep(60)")).rejects.toMatchObject({ code: "57014" });
    expect((await client.query("SELECT 1 AS n")).rows).toEqual([{ n: 1 }]);
    await client.end();
  });

  test("postgres: queries, transactions with savepoints, cursors, COPY both ways, pipelines", async () => {
    const sql = postgres({ ...options(database), max: 3, onnotice: () => {} });
    await sql`DROP TABLE IF EXISTS driver_rows`;
    await sql`CREATE TABLE driver_rows (n int, t text)`;
    await sql`INSERT INTO driver_rows ${sql([
      { n: 1, t: "one" },
      { n: 2, t: "two" },
    ])}`;
    expect([...(await sql`SELECT * FROM driver_rows WHERE n = ${2}`)]).toEqual([{ n: 2, t: "two" }]);
    await expect(sql`SELECT 1 / ${0}::int`).rejects.toMatchObject({ code: "22012" });
    const [count] = await sql.begin(async (tx) => {
      await tx`INSERT INTO driver_rows VALUES (3, 'three')`;
      await tx
        .savepoint(async (inner) => {
          await inner`INSERT INTO driver_rows VALUES (4, 'four')`;
          throw new Error("take it back");
        })
        .catch(() => {});
      return tx`SELECT count(*)::int AS n FROM driver_rows`;
    });
    expect(count).toEqual({ n: 3 });
    await expect(
      sql.begin(async (tx) => {
        await tx`INSERT INTO driver_rows VALUES (5, 'five')`;
        await tx`SELECT 1/0`;
      }),
    ).rejects.toMatchObject({ code: "22012" });
    const seen: number[] = [];
    await sql`SELECT generate_series(1, 10) AS n`.cursor(3, (rows) => {
      seen.push(...rows.map((row) => (row as unknown as { n: number }).n));
    });
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const writable = await sql`COPY driver_rows FROM STDIN`.writable();
    writable.write("10\tten\n");
    writable.end("11\televen\n");
    await new Promise((resolve, reject) => writable.on("finish", resolve).on("error", reject));
    const readable = await sql`COPY (SELECT n FROM driver_rows ORDER BY n) TO STDOUT`.readable();
    let text = "";
    for await (const chunk of readable) text += String(chunk);
    expect(text).toBe("1\n2\n3\n10\n11\n");
    const many = await Promise.all(Array.from({ length: 100 }, (_, i) => sql`SELECT ${i}::int AS i, ${`text ${i}`} AS t`));
    expect(many.map(([row]) => row)).toEqual(Array.from({ length: 100 }, (_, i) => ({ i, t: `text ${i}` })));
    expect((await sql.unsafe("SELECT 1 AS a; SELECT 2 AS b")) as unknown).toHaveLength(2);
    await sql`DROP TABLE driver_rows`;
    await sql.end();
  });

  test("postgres: a query that is cancelled", async () => {
    const sql = postgres({ ...options(database), max: 1 });
    await sql`SELECT 1`;
    const sleeping = sql`SELECT pg_sleep(60) /* by postgres */`;
    const outcome = sleeping.execute().catch((error: unknown) => error);
    await untilRunning(rig, "SELECT pg_sleep(60) /* by postgres");
    sleeping.cancel();
    expect(await outcome).toMatchObject({ code: "57014" });
    expect([...(await sql`SELECT 1 AS n`)]).toEqual([{ n: 1 }]);
    await sql.end();
  });

  test("a hundred clients on ten servers, everything mixed: every answer goes to the one who asked, no row is lost", async () => {
    const setup = new pg.Client(options(database));
    await setup.connect();
    await setup.query("DROP TABLE IF EXISTS driver_ledger; CREATE TABLE driver_ledger (client int, n int, PRIMARY KEY (client, n))");
    const rounds = 25;

    const work = async (me: number): Promise<number> => {
      const next = random(me);
      const client = new pg.Client(options(database));
      await client.connect();
      let inserted = 0;
      await client.query(`SET app.me = '${me}'`);
      for (let round = 0; round < rounds; round++) {
        const tag = `${me}/${round}`;
        switch (Math.floor(next() * 8)) {
          case 0:
            expect((await client.query(`SELECT '${tag}' AS tag`)).rows).toEqual([{ tag }]);
            break;
          case 1:
            expect((await client.query("SELECT $1::text AS tag", [tag])).rows).toEqual([{ tag }]);
            break;
          case 2:
            // The same name with a text of each client's own.
            expect((await client.query({ name: "own", text: `SELECT ${me} AS me, $1::text AS tag`, values: [tag] })).rows).toEqual([
              { me, tag },
            ]);
            break;
          case 3: {
            const shared = { name: `shared ${round % 5}`, text: `SELECT $1::text AS tag, ${round % 5} AS n`, values: [tag] };
            expect((await client.query(shared)).rows).toEqual([{ tag, n: round % 5 }]);
            break;
          }
          case 4:
            await client.query("BEGIN");
            await client.query({ name: "insert", text: "INSERT INTO driver_ledger VALUES ($1, $2)", values: [me, round] });
            expect((await client.query("SELECT current_setting('app.me')::int AS me")).rows).toEqual([{ me }]);
            if (next() < 0.5) {
              await client.query("ROLLBACK");
            } else {
              await client.query("COMMIT");
              inserted++;
            }
            break;
          case 5:
            await expect(client.query("SELECT 1 / $1::int", [0])).rejects.toMatchObject({ code: "22012" });
            break;
          case 6:
            expect((await client.query(`SELECT '${tag} 1' AS tag; SELECT '${tag} 2' AS tag`)) as unknown).toMatchObject([
              { rows: [{ tag: `${tag} 1` }] },
              { rows: [{ tag: `${tag} 2` }] },
            ]);
            break;
          default:
            expect((await client.query("SELECT current_setting('app.me')::int AS me, generate_series(1, 50) AS n")).rows).toEqual(
              Array.from({ length: 50 }, (_, i) => ({ me, n: i + 1 })),
            );
        }
      }
      await client.end();
      return inserted;
    };

    const inserted = await Promise.all(Array.from({ length: 100 }, (_, me) => work(me)));
    const { rows } = await setup.query("SELECT count(*)::int AS n FROM driver_ledger");
    expect(rows).toEqual([{ n: inserted.reduce((sum, n) => sum + n, 0) }]);
    expect((await setup.query("SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend'")).rows[0]).toSatisfy(
      ({ n }: { n: number }) => n < 60,
    );
    await setup.query("DROP TABLE driver_ledger");
    await setup.end();
  });
});

test("postgres: a hundred queries at once by many connections on two servers", async () => {
  const clients = Array.from({ length: 20 }, () => postgres({ ...options("small"), max: 2 }));
  const answers = await Promise.all(
    clients.flatMap((sql, c) => Array.from({ length: 30 }, async (_, i) => [...(await sql`SELECT ${c}::int AS c, ${i}::int AS i`)][0])),
  );
  expect(answers).toEqual(clients.flatMap((_, c) => Array.from({ length: 30 }, (__, i) => ({ c, i }))));
  await Promise.all(clients.map((sql) => sql.end()));
});
