// Acts of the randomized test that have a session: transactions, settings, COPY, temporary tables.
import { errorIn, rowsOf } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import { type Act, batch, pause, quiet } from "./act.js";
import type { Player } from "./player.js";
import { selectWord } from "./statement-acts.js";

const { query } = messages;

/** What belongs to the session, and to it alone. */
export const sessionActs: readonly Act[] = [
  { name: "transaction", weight: 8, play: (p) => quiet(transaction(p)) },
  {
    name: "failed transaction",
    weight: 3,
    play: async (p) => {
      const word = p.word();
      await p.expectTag("BEGIN", "BEGIN", "T");
      await p.expectTag(`INSERT INTO random_rows VALUES ('${word}')`, "INSERT 0 1", "T");
      p.expectError(await p.ask(`SELECT "no ${word}"`), "42703", word, "E");
      p.expectError(await p.ask("SELECT 1"), "25P02", "", "E");
      await p.expectTag(p.random.pick(["COMMIT", "ROLLBACK"]), "ROLLBACK");
      return undefined;
    },
  },
  {
    name: "set",
    weight: 5,
    play: async (p) => {
      if (p.plain) return undefined;
      const [name, value] = p.random.pick([
        ["work_mem", `${1 + p.random.below(100)}MB`],
        ["search_path", `"${p.word()}", public`],
        ["statement_timeout", `${100 + p.random.below(20)}s`],
        ["application_name", p.tag + p.random.below(100)],
        ["my.own", p.word()],
        ["extra_float_digits", `${p.random.below(3)}`],
      ] as const);
      if (name !== "search_path" && p.random.percent(20)) await p.expectRows(`SELECT set_config('${name}', '${value}', false)`, [[value]]);
      else await p.expectTag(name === "search_path" ? `SET ${name} = ${value}` : `SET ${name} = '${value}'`, "SET");
      p.settings.set(name, value);
      return undefined;
    },
  },
  {
    name: "reset",
    weight: 1,
    play: async (p) => {
      if (p.plain) return undefined;
      await p.expectTag("RESET work_mem", "RESET");
      p.settings.delete("work_mem");
      return undefined;
    },
  },
  { name: "look at the session", weight: 15, play: (p) => quiet(lookAtSession(p)) },
  {
    name: "write",
    weight: 8,
    play: async (p) => {
      const word = p.word();
      p.ground.perhapsWritten.add(word);
      p.note(`write ${word}`);
      p.send(...batch("INSERT INTO random_rows VALUES ($1::text) RETURNING word", [word]));
      p.expectAnswer(await p.answer(), [[word]]);
      p.ground.written.add(word);
      if (p.random.percent(50)) return undefined;
      p.ground.written.delete(word);
      return quiet(p.expectRows(`DELETE FROM random_rows WHERE word = '${word}' RETURNING word`, [[word]]));
    },
  },
  { name: "copy out", weight: 3, play: (p) => quiet(copyOut(p)) },
  { name: "copy in", weight: 3, play: (p) => quiet(copyIn(p)) },
  { name: "temporary table", weight: 2, play: temporaryTable },
];

async function transaction(p: Player): Promise<void> {
  const word = p.word();
  await p.expectTag(p.random.pick(["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"]), "BEGIN", "T");
  const id = rowsOf(await p.ask("SELECT txid_current()"))[0]?.[0] ?? null;
  if (p.random.percent(50)) await p.expectTag(`SET LOCAL my.local = '${word}'`, "SET", "T");
  p.ground.perhapsWritten.add(word);
  await p.expectTag(`INSERT INTO random_rows VALUES ('${word}')`, "INSERT 0 1", "T");
  if (p.random.percent(30)) await pause(p.random.below(20));
  await p.expectRows(`SELECT pg_try_advisory_xact_lock(hashtext('${word}'))`, [["t"]], "T");
  await p.expectRows(`SELECT txid_current(), word FROM random_rows WHERE word = '${word}'`, [[id, word]], "T");
  if (p.random.percent(50)) {
    await p.expectTag("COMMIT", "COMMIT");
    p.ground.written.add(word);
  } else {
    await p.expectTag("ROLLBACK", "ROLLBACK");
    p.ground.perhapsWritten.delete(word);
  }
  const isThere = p.ground.written.has(word);
  await p.expectRows(`SELECT word FROM random_rows WHERE word = '${word}'`, isThere ? [[word]] : []);
}

/** Settings, transaction, locks and tables are this client's and nobody else's. */
async function lookAtSession(p: Player): Promise<void> {
  const [name, value] = p.random.pick([...p.settings, ["application_name", p.settings.get("application_name") ?? ""] as const]);
  await p.expectRows(`SHOW ${name}`, [[value]]);
  // One statement of its own, that began now; nothing is open, locked or lying about.
  await p.expectRows(
    `SELECT txid_current_if_assigned() IS NULL, now() = statement_timestamp(), coalesce(current_setting('my.local', true), '') = '',
       (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
       (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND pg_table_is_visible(oid)),
       current_setting('application_name')`,
    [["t", "t", "t", "0", p.pinned ? "1" : "0", p.settings.get("application_name") ?? ""]],
  );
  // Exactly what this client has set, on whichever server it is.
  const own = [...p.settings].filter(([key]) => !key.startsWith("my.")).map(([key]) => key);
  const answer = await p.ask("SELECT name FROM pg_settings WHERE source = 'session' AND name !~ '^(my|transaction_|client_encoding)'");
  const found = rowsOf(answer).map(([key]) => key ?? "");
  const foreign = found.filter((key) => !own.includes(key));
  if (foreign.length > 0) throw new Error(`settings that are not ours: ${foreign.join(", ")}`);
}

async function copyOut(p: Player): Promise<void> {
  const word = p.word();
  const count = 1 + p.random.below(500);
  const answer = await p.ask(`COPY (SELECT '${word}' FROM generate_series(1, ${count})) TO STDOUT`);
  if (errorIn(answer) !== undefined) throw new Error(`COPY failed: ${answer.map(String).join(" ").slice(-200)}`);
  const text = Buffer.concat(answer.filter(({ type }) => type === "d").map(({ body }) => body)).toString();
  if (text !== `${word}\n`.repeat(count)) throw new Error(`COPY gave another's rows: ${text.slice(0, 200)}`);
}

async function copyIn(p: Player): Promise<void> {
  const word = p.word();
  p.note(`copy in ${word}`);
  p.send(query("COPY random_rows FROM STDIN"));
  const first = await p.client.next();
  if (first.type !== "G") {
    p.checked([first, ...(await p.client.until("Z"))]);
    throw new Error(`COPY was answered with ${String(first)}`);
  }
  const data = Buffer.from(`${word}\n`);
  if (p.random.percent(30)) await pause(p.random.below(15));
  if (p.random.percent(30)) {
    p.send(messages.copyData(data), messages.copyFail(word));
    p.expectError(await p.answer(), "57014", word);
    return;
  }
  p.ground.perhapsWritten.add(word);
  p.send(messages.copyData(data), messages.copyDone());
  p.expectAnswer(await p.answer(), []);
  p.ground.written.add(word);
}

/** Where servers are pinned; the client leaves soon, so that others have a server. */
async function temporaryTable(p: Player): Promise<"left" | undefined> {
  if (!p.ground.pins) return undefined;
  const word = p.word();
  await p.expectTag("CREATE TEMP TABLE random_temporary (word text)", "CREATE TABLE");
  p.pinned = true;
  await p.expectTag(`INSERT INTO random_temporary VALUES ('${word}')`, "INSERT 0 1");
  await selectWord(p);
  await p.expectRows("SELECT word FROM random_temporary", [[word]]);
  await lookAtSession(p);
  p.leave();
  return "left";
}
