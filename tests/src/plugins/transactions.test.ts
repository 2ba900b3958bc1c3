// Plugins and transactions: what a refusal does to one, where one goes, and strings of several statements.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { sharedShards } from "../harness/shared-cluster.js";
import type { WireClient } from "../harness/wire-client.js";
import { verdicts } from "./plugin-libraries.js";
import { batch, onAllShards, placeIn, placeOf, port, type Rig, run, shortly, startRig } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  await onAllShards("DROP TABLE IF EXISTS plugins_transactions; CREATE TABLE plugins_transactions (id int)");
  rig = await startRig({
    plugins: [{ as: "verdicts", library: verdicts() }],
    databases: {
      app: { shards: sharedShards(), pool_size: 2 },
      strict: { shards: sharedShards(), pool_size: 2, on_unrouted: "error" },
    },
  });
});
afterEach(async () => {
  await rig.disconnectAll();
  await onAllShards("DELETE FROM plugins_transactions");
});
afterAll(async () => {
  await rig.stop();
  await onAllShards("DROP TABLE plugins_transactions");
});

const where = (route: string): string => `SELECT /* verdict: forward ${route} */ ${port}`;
const insert = (id: number, verdict = "skip"): string => `INSERT /* verdict: ${verdict} */ INTO plugins_transactions VALUES (${id})`;
const refused = "SELECT /* verdict: error 22023 no */ 1";

/** Rows on the first shard's primary. */
async function rows(): Promise<(string | null)[]> {
  const client = await rig.client();
  return rowsOf(await client.query("SELECT id FROM plugins_transactions ORDER BY id")).map(([id]) => id ?? null);
}

describe("a refusal in a transaction that a server has", () => {
  test.each([
    ["a simple query", (client: WireClient) => client.query(refused)],
    ["a batch", (client: WireClient) => batch(client, run(refused))],
  ])("fails it there, too: COMMIT commits nothing (%s)", async (_, refuse) => {
    const client = await rig.client();
    await client.query("BEGIN");
    await client.query(insert(1));
    expect(shortly(await refuse(client))).toBe("E(22023 no) Z(E)");
    expect(shortly(await client.query(insert(2)))).toMatch(/^E\(25P02 .*\) Z\(E\)$/);
    expect(shortly(await batch(client, run(insert(3))))).toMatch(/^E\(25P02 .*\) Z\(E\)$/);
    expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
    expect(await rows()).toEqual([]);
  });

  test("behind another statement of its string runs nothing of the string", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    await client.query(insert(1));
    expect(shortly(await client.query(`${insert(2)}; ${refused}; COMMIT`))).toBe("E(22023 no) Z(E)");
    expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
    expect(await rows()).toEqual([]);
  });

  test("is undone by ROLLBACK TO SAVEPOINT", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    await client.query(insert(1));
    await client.query("SAVEPOINT before");
    await client.query(insert(2));
    expect(shortly(await client.query(refused))).toBe("E(22023 no) Z(E)");
    expect(shortly(await client.query("ROLLBACK TO before"))).toBe("C(ROLLBACK) Z(T)");
    expect(shortly(await batch(client, run(refused)))).toBe("E(22023 no) Z(E)");
    expect(shortly(await batch(client, run("ROLLBACK TO before")))).toBe("1 2 C(ROLLBACK) Z(T)");
    await client.query(insert(3));
    expect(shortly(await client.query("COMMIT"))).toBe("C(COMMIT) Z(I)");
    expect(await rows()).toEqual(["1", "3"]);
  });

  test("leaves the server clean for the next client", async () => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => rig.client()));
    await Promise.all(
      clients.map(async (client) => {
        await client.query("BEGIN");
        await client.query("SELECT 1");
        await client.query(refused);
        expect(shortly(await client.query("ROLLBACK"))).toBe("C(ROLLBACK) Z(I)");
        expect(shortly(await client.query("SELECT 2"))).toBe("T D(2) C(SELECT 1) Z(I)");
      }),
    );
  });
});

describe("a refusal in a transaction that is held", () => {
  test("fails it until it ends", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    expect(shortly(await client.query(refused))).toBe("E(22023 no) Z(E)");
    expect(shortly(await client.query(insert(1)))).toMatch(/^E\(25P02 .*\) Z\(E\)$/);
    expect(shortly(await batch(client, run(insert(1))))).toMatch(/^E\(25P02 .*\) Z\(E\)$/);
    expect(shortly(await client.query("ROLLBACK"))).toBe("C(ROLLBACK) Z(I)");
    expect(await rows()).toEqual([]);
  });

  test("is undone by ROLLBACK TO SAVEPOINT", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    await client.query("SAVEPOINT before");
    expect(shortly(await batch(client, run(refused)))).toBe("E(22023 no) Z(E)");
    expect(shortly(await client.query("ROLLBACK TO before"))).toBe("C(ROLLBACK) Z(T)");
    await client.query(insert(4));
    expect(shortly(await client.query("COMMIT"))).toBe("C(COMMIT) Z(I)");
    expect(await rows()).toEqual(["4"]);
  });

  test("of a batch that also begins it leaves no transaction", async () => {
    const client = await rig.client();
    expect(shortly(await batch(client, run("BEGIN"), run(insert(1)), run(refused)))).toBe("E(22023 no) Z(I)");
    expect(shortly(await client.query(`BEGIN; ${insert(1)}; ${refused}`))).toBe("E(22023 no) Z(I)");
    expect(await rows()).toEqual([]);
  });
});

describe("a string of several statements", () => {
  test("that holds a refused one is refused as a whole", async () => {
    const client = await rig.client();
    expect(shortly(await client.query(`${insert(1)}; ${refused}; ${insert(2)}`))).toBe("E(22023 no) Z(I)");
    expect(await rows()).toEqual([]);
  });

  test("runs where its statements say together", async () => {
    const client = await rig.client();
    const answer = await client.query(`${where("read open")}; ${where("open 1")}; ${where("read 1")}`);
    expect(rowsOf(answer).map(([at]) => placeOf(at))).toEqual(["1 primary", "1 primary", "1 primary"]);
    const reads = await client.query(`${where("read open")}; ${where("read 1")}`);
    expect(rowsOf(reads).map(([at]) => placeOf(at))).toEqual(["1 replica", "1 replica"]);
  });

  test("that belongs on two shards is refused with both", async () => {
    const client = await rig.client();
    const error = errorIn(await client.query(`${insert(1, "forward write 0")}; ${insert(2, "forward write 1")}`));
    expect(error).toMatchObject({ C: "0A000" });
    expect(error?.["D"]).toMatch(/"\.\/verdicts" sends one to shard 0, "\.\/verdicts" sends another to shard 1/);
    expect(await rows()).toEqual([]);
  });

  test("has its statements rewritten one by one", async () => {
    const client = await rig.client();
    const answer = await client.query("SELECT 'a'; SELECT /* verdict: rewrite SELECT 'new' */ 'old'; -- end\n SELECT 'b;'");
    expect(rowsOf(answer)).toEqual([["a"], ["new"], ["b;"]]);
  });

  test("is answered by plugins as a whole or refused", async () => {
    const client = await rig.client();
    const intercept = "SELECT /* verdict: intercept */ 1";
    expect(shortly(await client.query(`${intercept}; ${intercept}`))).toBe(
      "T D(1, one) D(2, null) C(SELECT 2) T D(1, one) D(2, null) C(SELECT 2) Z(I)",
    );
    expect(shortly(await client.query(`${intercept}; ${insert(1)}`))).toMatch(/^E\(0A000 .*\) Z\(I\)$/);
    expect(await rows()).toEqual([]);
  });

  test("may begin and end a transaction", async () => {
    const client = await rig.client();
    expect(shortly(await client.query(`BEGIN; ${insert(5)}; COMMIT`))).toBe("C(BEGIN) C(INSERT 0 1) C(COMMIT) Z(I)");
    expect(shortly(await client.query(`BEGIN; ${where("read 1")}; COMMIT`))).toMatch(
      /^C\(BEGIN\) T D\(\d+\) C\(SELECT 1\) C\(COMMIT\) Z\(I\)$/,
    );
    expect(await rows()).toEqual(["5"]);
  });

  test("cannot be rewritten into several, nor with parameters", async () => {
    const client = await rig.client();
    expect(errorIn(await client.query("SELECT /* verdict: rewrite SELECT 1; SELECT 2 */ 0"))).toMatchObject({ C: "XX000" });
    expect(errorIn(await client.query("SELECT /* verdict: rewrite SELECT $1 ;; 1 */ 0"))).toMatchObject({ C: "XX000" });
    expect(shortly(await client.query("SELECT 1"))).toBe("T D(1) C(SELECT 1) Z(I)");
  });
});

describe("where a transaction goes", () => {
  test("is decided by its first statement, and the rest follows", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    await client.query("SET LOCAL work_mem = '8MB'");
    await client.query("SAVEPOINT s");
    expect(placeIn(await client.query(where("write 1")))).toBe("1 primary");
    expect(placeIn(await client.query(`SELECT ${port}`))).toBe("1 primary");
    expect(rowsOf(await client.query("SHOW work_mem"))).toEqual([["8MB"]]);
    expect(shortly(await client.query("COMMIT"))).toBe("C(COMMIT) Z(I)");
  });

  test("is the primary, whatever its first statement is, unless it is READ ONLY", async () => {
    const client = await rig.client();
    await client.query("BEGIN");
    expect(placeIn(await client.query(where("read 1")))).toBe("1 primary");
    await client.query("COMMIT");
    for (const begin of ["BEGIN READ ONLY", "START TRANSACTION READ ONLY, ISOLATION LEVEL REPEATABLE READ"]) {
      await client.query(begin);
      expect(placeIn(await client.query(where("read 1")))).toBe("1 replica");
      expect(placeIn(await batch(client, run(where("read 1"))))).toBe("1 replica");
      expect(shortly(await client.query("COMMIT"))).toBe("C(COMMIT) Z(I)");
    }
    await client.query("BEGIN; SET TRANSACTION READ ONLY");
    expect(placeIn(await batch(client, run(where("read 0"))))).toBe("0 replica");
    await client.query("ROLLBACK");
    expect(placeIn(await client.query(`BEGIN READ ONLY; ${where("read 1")}; COMMIT`))).toBe("1 replica");
    expect(placeIn(await batch(client, run("BEGIN READ ONLY"), run(where("read 1")), run("COMMIT")))).toBe("1 replica");
  });

  test("is the primary when READ ONLY is taken back or serializable", async () => {
    const client = await rig.client();
    for (const begin of ["BEGIN READ ONLY; SET TRANSACTION READ WRITE", "BEGIN READ ONLY ISOLATION LEVEL SERIALIZABLE"]) {
      await client.query(begin);
      expect(placeIn(await client.query(where("read 1")))).toBe("1 primary");
      await client.query("COMMIT");
    }
  });

  test("is the first shard's primary when nobody decides", async () => {
    const client = await rig.client();
    expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 primary");
    expect(placeIn(await batch(client, run(`SELECT ${port}`)))).toBe("0 primary");
    await client.query("BEGIN READ ONLY");
    expect(placeIn(await client.query(`SELECT ${port}`))).toBe("0 primary");
    await client.query("COMMIT");
  });

  test("is nowhere when nobody decides and the configuration says so", async () => {
    const client = await rig.client({ database: "strict" });
    const unrouted = { C: "0A000", M: "no plugin decided which shard the statement goes to" };
    expect(errorIn(await client.query(`SELECT ${port}`))).toMatchObject(unrouted);
    expect(errorIn(await batch(client, run(`SELECT ${port}`)))).toMatchObject(unrouted);
    expect(errorIn(await client.query(where("read open")))).toMatchObject(unrouted);
    expect(placeIn(await client.query(where("read 1")))).toBe("1 replica");
    expect(shortly(await client.query("SET work_mem = '9MB'"))).toBe("C(SET) Z(I)");
    await client.query("BEGIN");
    expect(errorIn(await client.query(`SELECT ${port}`))).toMatchObject(unrouted);
    expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
  });

  test("cannot be all shards", async () => {
    const client = await rig.client();
    const refusal = { C: "0A000", M: expect.stringContaining('"./verdicts"') as string, H: expect.any(String) as string };
    expect(errorIn(await client.query(where("write all")))).toMatchObject(refusal);
    expect(errorIn(await batch(client, run(where("read all"))))).toMatchObject(refusal);
    await client.query("BEGIN");
    expect(errorIn(await client.query(where("write all")))).toMatchObject(refusal);
    expect(shortly(await client.query("COMMIT"))).toBe("C(ROLLBACK) Z(I)");
    await client.query("BEGIN");
    await client.query("SELECT 1");
    expect(errorIn(await client.query(where("write all")))).toMatchObject({ C: "25001" });
    await client.query("ROLLBACK");
  });

  test("is refused when the cluster has no such shard", async () => {
    const client = await rig.client();
    expect(errorIn(await client.query(where("write 2")))).toMatchObject({
      C: "XX000",
      M: 'plugin "./verdicts" failed: its answer is malformed: shard is 2, the cluster has 2',
    });
  });

  test("is not asked for SET and the like, which run anywhere", async () => {
    const client = await rig.client();
    expect(shortly(await client.query("SET /* verdict: forward write 1 */ work_mem = '9MB'"))).toBe("C(SET) Z(I)");
    await client.query("BEGIN");
    expect(shortly(await client.query("SET /* verdict: forward write 1 */ work_mem = '9MB'"))).toBe("C(SET) Z(T)");
    expect(placeIn(await client.query(where("write 0")))).toBe("0 primary");
    expect(shortly(await client.query("COMMIT /* verdict: forward write 1 */ WORK"))).toBe("C(COMMIT) Z(I)");
  });
});

describe("statements that say nothing about where they belong", () => {
  test.each(["BEGIN", "SET work_mem = '8MB'", "SAVEPOINT s", "COMMIT", "SHOW work_mem", "DISCARD ALL", "RESET ALL"])(
    "%s can be refused by a plugin that asks for every statement",
    async (sql) => {
      const client = await rig.client();
      const words = sql.split(" ");
      const verdict = [words[0], "/* verdict: error 22023 no */", ...words.slice(1)].join(" ");
      const told = words.length === 1 ? `${words[0]} /* verdict: error 22023 no */ WORK` : verdict;
      expect(shortly(await client.query(told))).toBe("E(22023 no) Z(I)");
      expect(shortly(await batch(client, run(told)))).toBe("E(22023 no) Z(I)");
    },
  );
});
