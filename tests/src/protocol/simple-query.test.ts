import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorIn } from "../harness/backend-message.js";
import { messages, type WireClient } from "../harness/wire-client.js";
import { oneTarget, type Rig, settingsOf, shortly, startRig, twoShards } from "./rig.js";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ databases: { one: oneTarget(), two: twoShards(), session: oneTarget({ pool_mode: "session" }) } });
});
afterEach(() => rig.disconnectAll());
afterAll(() => rig.stop());

/** Every query's answer in short, one after the other. */
async function say(client: WireClient, queries: readonly string[]): Promise<string[]> {
  const answers: string[] = [];
  for (const sql of queries) answers.push(shortly(await client.query(sql)));
  return answers;
}

const conversations: Readonly<Record<string, readonly string[]>> = {
  "rows, NULLs and several columns": ["SELECT 1, NULL, 'two'", "VALUES (1), (2)", "SELECT", "SELECT 1 WHERE false"],
  "nothing at all": ["", " ", ";", ";;", "-- only a comment", "/* /* nested */ */", "\n;\t; --x"],
  "several statements in one string": ["SELECT 1; SELECT 2", "SELECT 1;; ;SELECT 2;", "SELECT 1; SELECT 2/0; SELECT 3", "SELECT 4"],
  errors: ["SELEC", "SELECT 1/0", "SELECT * FROM no_such_table", "SELECT 'open", "SELECT 1"],
  "a transaction": ["BEGIN", "SELECT 1", "COMMIT", "SELECT 2"],
  "a transaction that fails": ["BEGIN", "SELECT 1/0", "SELECT 1", "", "COMMIT", "SELECT 1"],
  "a transaction that fails and is rolled back": ["BEGIN", "SELEC", "SELECT 1", "ROLLBACK", "SELECT 1"],
  "a transaction in one string": [
    "BEGIN; SELECT 1; COMMIT",
    "BEGIN; SELECT 1",
    "SELECT 2; COMMIT",
    "BEGIN; SELECT 1/0; COMMIT",
    "ROLLBACK",
  ],
  savepoints: [
    "BEGIN",
    "SELECT 1",
    "SAVEPOINT a",
    "SELECT 1/0",
    "SELECT 1",
    "ROLLBACK TO a",
    "SELECT 2",
    "RELEASE a",
    "RELEASE a",
    "ROLLBACK",
  ],
  "savepoints before anything else": [
    "BEGIN",
    "SAVEPOINT a",
    "SAVEPOINT b",
    "RELEASE a",
    "ROLLBACK TO b",
    "SELECT 1",
    "ROLLBACK TO a",
    "ROLLBACK",
  ],
  "transaction control without a transaction": ["COMMIT", "ROLLBACK", "END", "ABORT", "SAVEPOINT a", "ROLLBACK TO a", "RELEASE a"],
  "an empty transaction": ["BEGIN", "COMMIT", "BEGIN", "ROLLBACK", "START TRANSACTION", "END", "BEGIN;COMMIT", "BEGIN; ; COMMIT;"],
  "a second BEGIN": ["BEGIN", "BEGIN", "START TRANSACTION", "SELECT 1", "BEGIN", "COMMIT"],
  "transaction modes": [
    "BEGIN READ ONLY",
    "CREATE TABLE never_there (a int)",
    "ROLLBACK",
    "BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE",
    "SHOW transaction_isolation",
    "COMMIT",
    "BEGIN",
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SHOW transaction_isolation",
    "COMMIT",
    "BEGIN TRANSACTION NONSENSE",
    "START",
  ],
  "COMMIT AND CHAIN": [
    "BEGIN ISOLATION LEVEL REPEATABLE READ",
    "COMMIT AND CHAIN",
    "SHOW transaction_isolation",
    "COMMIT AND CHAIN",
    "SHOW transaction_isolation",
    "SELECT 1/0",
    "ROLLBACK AND CHAIN",
    "SELECT 1",
    "COMMIT AND NO CHAIN",
    "COMMIT AND CHAIN",
    "ROLLBACK AND CHAIN",
  ],
  "SET LOCAL": [
    "BEGIN",
    "SET LOCAL work_mem = '3MB'",
    "SHOW work_mem",
    "COMMIT",
    "SHOW work_mem",
    "SET LOCAL work_mem = '3MB'",
    "SHOW work_mem",
  ],
  "SET in a transaction": [
    "BEGIN",
    "SET work_mem = '3MB'",
    "SAVEPOINT a",
    "SET work_mem = '5MB'",
    "ROLLBACK TO a",
    "SHOW work_mem",
    "COMMIT",
    "SHOW work_mem",
    "RESET work_mem",
    "SHOW work_mem",
  ],
  "a transaction of nothing but SET": ["BEGIN", "SET work_mem = '3MB'", "COMMIT", "SHOW work_mem", "RESET ALL", "SHOW work_mem"],
  "SET after an error that a savepoint took back": [
    "BEGIN",
    "SELECT 1",
    "SAVEPOINT a",
    "SELECT 1/0",
    "ROLLBACK TO a",
    "SET work_mem = '3MB'",
    "COMMIT",
    "SHOW work_mem",
  ],
  "a SET that is rolled back in the string it came in": ["SET work_mem = '3MB'; ROLLBACK", "SHOW work_mem"],
  "a SET that is committed in the string it came in": ["SET work_mem = '3MB'; COMMIT; SELECT 1", "SHOW work_mem"],
  "a SET before an error in one string": ["SET work_mem = '3MB'; SELECT 1/0", "SHOW work_mem"],
  "a SET before an error, committed in one string": ["SET work_mem = '3MB'; COMMIT; SELECT 1/0"],
  "a transaction of nothing but a SET that fails": ["BEGIN", "SET LOCAL work_mem = '3MB'", "COMMIT", "SHOW work_mem"],
  "what follows the end of a failed transaction in the same string": [
    "BEGIN",
    "DISCARD ALL",
    "ROLLBACK; SELECT 1",
    "BEGIN",
    "SELECT 2",
    "COMMIT",
  ],
  "statements that no parser takes": [
    "BEGIN",
    "SAVEPOINT",
    "ROLLBACK",
    "BEGIN",
    "COMMIT NONSENSE",
    "COMMIT",
    "BEGIN",
    "BEGIN NONSENSE",
    "COMMIT",
  ],
  notices: ["DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$", "DROP TABLE IF EXISTS no_such_table"],
  "a cursor": [
    "BEGIN",
    "DECLARE c CURSOR FOR SELECT generate_series(1, 5)",
    "FETCH 2 FROM c",
    "MOVE 1 FROM c",
    "FETCH ALL FROM c",
    "CLOSE c",
    "FETCH 1 FROM c",
    "COMMIT",
  ],
  "DISCARD and DEALLOCATE": [
    "DISCARD PLANS",
    "DEALLOCATE no_such_statement",
    "DEALLOCATE ALL",
    "DISCARD ALL",
    "BEGIN",
    "DISCARD ALL",
    "ROLLBACK",
    "BEGIN",
    "SELECT 1",
    "DEALLOCATE no_such_statement",
    "SELECT 1",
    "DEALLOCATE ALL",
    "COMMIT",
  ],
  "DEALLOCATE in a transaction that waits for a server": ["BEGIN", "DEALLOCATE no_such_statement", "SELECT 1", "DEALLOCATE ALL", "COMMIT"],
};

describe.each(["one", "two", "session"])("database %s", (database) => {
  test.each(Object.keys(conversations))("%s: answered as PostgreSQL does", async (name) => {
    const queries = conversations[name] as readonly string[];
    const [client, direct] = await Promise.all([rig.client(database), rig.direct()]);
    expect(await say(client, queries)).toEqual(await say(direct, queries));
    client.end();
    await client.closed;
    const next = await rig.client(database);
    expect(await settingsOf(next)).toEqual([]);
  });

  test("queries sent ahead are answered in their order, an error spoils only its own", async () => {
    const [client, direct] = await Promise.all([rig.client(database), rig.direct()]);
    const script = async (to: WireClient): Promise<string[]> => {
      to.send(...["SELECT 1", "SELECT 1/0", "", "BEGIN", "SELECT 2", "SELECT 2/0", "COMMIT", "SELECT 3"].map(messages.query));
      const answers: string[] = [];
      for (let i = 0; i < 8; i++) answers.push(shortly(await to.until("Z")));
      return answers;
    };
    expect(await script(client)).toEqual(await script(direct));
  });

  test("every byte of an error reaches the client", async () => {
    const [client, direct] = await Promise.all([rig.client(database), rig.direct()]);
    const sql = "DO $$ BEGIN RAISE EXCEPTION 'm' USING ERRCODE = 'AB123', DETAIL = 'd', HINT = 'h', COLUMN = 'c', TABLE = 't'; END $$";
    const error = errorIn(await client.query(sql));
    expect(error).toEqual(errorIn(await direct.query(sql)));
    expect(error).toMatchObject({ C: "AB123", D: "d", H: "h", c: "c", t: "t" });
  });

  test("an error of several megabytes reaches the client", async () => {
    const client = await rig.client(database);
    const error = errorIn(await client.query("DO $$ BEGIN RAISE EXCEPTION '%', repeat('x', 3000000); END $$"));
    expect(error?.["M"]).toHaveLength(3_000_000);
    expect(shortly(await client.query("SELECT 1"))).toBe("T(?column?:23) D(1) C(SELECT 1) Z(I)");
  });
});
