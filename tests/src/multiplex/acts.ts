// What a client of the randomized test may do next, each with the answer that it must get.
import { type BackendMessage, errorIn, rowsOf, typesOf } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import type { Player } from "./player.js";

export interface Act {
  readonly name: string;
  /** How often it is chosen. */
  readonly weight: number;
  /** "left": the client is gone and another comes in its place. */
  play(player: Player): Promise<"left" | undefined>;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const quiet = async (work: Promise<unknown>): Promise<undefined> => {
  await work;
  return undefined;
};

const { parse, bind, describe, execute, sync, flush, query, close } = messages;

const batch = (text: string, values: string[] = []): Uint8Array[] => [
  parse({ text }),
  bind({ values }),
  describe({ type: "P" }),
  execute(),
  sync(),
];

/** Ordinary statements that begin and end in themselves. */
const selects: Act[] = [
  { name: "select", weight: 30, play: (p) => quiet(selectWord(p)) },
  {
    name: "select rows",
    weight: 6,
    play: async (p) => {
      const word = p.word();
      const count = 1 + p.random.below(300);
      const rows = Array.from({ length: count }, (_, i) => [`${word}/${i + 1}`]);
      return quiet(p.expectRows(`SELECT '${word}/' || i FROM generate_series(1, ${count}) i`, rows));
    },
  },
  {
    name: "select from a table",
    weight: 10,
    play: async (p) => {
      const n = 1 + p.random.below(1_000);
      return quiet(p.expectRows(`SELECT n, 'row ' || n FROM random_known WHERE n = ${n}`, [[`${n}`, `row ${n}`]]));
    },
  },
  {
    name: "extended",
    weight: 20,
    play: async (p) => {
      const [text, value] = [p.word(), p.word()];
      p.note(`extended ${text} ${value}`);
      p.send(...batch(`SELECT '${text}', $1::text`, [value]));
      p.expectAnswer(await p.answer(), [[text, value]]);
      return undefined;
    },
  },
  { name: "prepared", weight: 20, play: (p) => quiet(runPrepared(p)) },
  {
    name: "slow",
    weight: 2,
    play: (p) => {
      const word = p.word();
      return quiet(p.expectRows(`SELECT '${word}' FROM pg_sleep(${0.002 + p.random.below(30) / 1000})`, [[word]]));
    },
  },
  {
    name: "two statements",
    weight: 3,
    play: (p) => {
      const [one, two] = [p.word(), p.word()];
      return quiet(p.expectRows(`SELECT '${one}'; SELECT '${two}'`, [[one], [two]]));
    },
  },
  { name: "pipeline", weight: 8, play: (p) => quiet(pipeline(p)) },
  { name: "slow reader", weight: 2, play: (p) => quiet(readSlowly(p)) },
];

async function selectWord(p: Player): Promise<void> {
  const word = p.word();
  await p.expectRows(`SELECT '${word}'`, [[word]]);
}

async function runPrepared(p: Player): Promise<void> {
  const value = p.word();
  const names = [...p.prepared.keys()];
  if (names.length === 0 || p.random.percent(15)) {
    const name = `s${p.word()}`;
    // Half of them are the same for everybody: those share a statement at the server.
    const text = p.random.percent(50) ? "shared by all" : p.word();
    p.note(`prepare ${name} ${text}`);
    p.send(parse({ name, text: `SELECT '${text}', $1::text` }), describe({ type: "S", name }), sync());
    const answer = await p.answer();
    if (typesOf(answer) !== "1tTZ") throw new Error(`a statement was not prepared: ${answer.map(String).join(" ")}`);
    p.prepared.set(name, text);
    return;
  }
  const name = p.random.pick(names);
  if (p.random.percent(8)) {
    p.note(`close ${name}`);
    p.send(close({ type: "S", name }), sync());
    await p.answer();
    p.prepared.delete(name);
    p.send(bind({ statement: name, values: [value] }), execute(), sync());
    p.expectError(await p.answer(), "26000", name);
    return;
  }
  p.note(`execute ${name} ${value}`);
  p.send(bind({ statement: name, values: [value] }), describe({ type: "P" }), execute(), sync());
  p.expectAnswer(await p.answer(), [[p.prepared.get(name) ?? "", value]]);
}

/** Several batches in one write: answered in their order, an error among them stays with its own. */
async function pipeline(p: Player): Promise<void> {
  const parts: Uint8Array[] = [];
  const wanted: (string | null)[] = [];
  for (let i = 2 + p.random.below(6); i > 0; i--) {
    const word = p.word();
    if (p.random.percent(15)) {
      parts.push(...batch(`SELECT 'x${word}'::int`));
      wanted.push(null);
    } else {
      parts.push(...(p.random.percent(50) ? [query(`SELECT '${word}'`)] : batch("SELECT $1::text", [word])));
      wanted.push(word);
    }
  }
  p.note(`pipeline ${JSON.stringify(wanted)}`);
  p.send(...parts);
  const answers: BackendMessage[][] = [];
  for (const _ of wanted) answers.push(await p.client.until("Z"));
  for (const [i, word] of wanted.entries()) {
    const answer = p.checked(answers[i] ?? []);
    if (word === null) p.expectError(answer, "22P02", p.tag);
    else p.expectAnswer(answer, [[word]]);
  }
}

async function readSlowly(p: Player): Promise<void> {
  const word = p.word();
  const count = 200 + p.random.below(800);
  p.note(`slow reader ${word} ${count}`);
  p.client.pause();
  p.send(query(`SELECT '${word}' || repeat('x', 1000) || i FROM generate_series(1, ${count}) i`));
  await pause(20 + p.random.below(150));
  p.client.resume();
  const answer = await p.answer();
  if (errorIn(answer) !== undefined) throw new Error(`a slow reader's error: ${answer.map(String).join(" ").slice(-200)}`);
  const rows = rowsOf(answer);
  const wrong = rows.findIndex(([value], i) => value !== `${word}${"x".repeat(1000)}${i + 1}`);
  if (rows.length !== count || wrong >= 0) throw new Error(`a slow reader got ${rows.length} rows of ${count}, row ${wrong} is another's`);
}

/** What goes wrong goes wrong for one. */
const failures: Act[] = [
  {
    name: "error",
    weight: 8,
    play: async (p) => {
      const word = p.word();
      const column = `"no ${word}"`;
      if (p.random.percent(50)) {
        p.expectError(await p.ask(`SELECT ${column}`), "42703", word);
      } else {
        p.note(`extended error ${word}`);
        p.send(...batch(`SELECT $1::text::int`, [word]));
        p.expectError(await p.answer(), "22P02", word);
      }
      return undefined;
    },
  },
  {
    name: "refused",
    weight: 4,
    play: async (p) => {
      if (p.ground.pins) return undefined;
      const sql = p.random.pick([
        "CREATE TEMP TABLE random_temporary (n int)",
        `SELECT pg_advisory_lock(${p.random.below(10)})`,
        "LISTEN random_channel",
        "PREPARE random_statement AS SELECT 1",
      ]);
      const answer = await p.ask(sql);
      if (errorIn(answer)?.["C"] !== "0A000") throw new Error(`${sql} was not refused: ${answer.map(String).join(" ")}`);
      p.expectState(answer, "I");
      return undefined;
    },
  },
  {
    name: "cancel",
    weight: 1,
    play: async (p) => {
      const word = p.word();
      p.note(`cancel ${word}`);
      p.send(
        p.random.percent(50) ? query(`SELECT '${word}' FROM pg_sleep(60)`) : Buffer.concat(batch(`SELECT '${word}' FROM pg_sleep(60)`)),
      );
      const answer = p.answer();
      let isOver = false;
      const done = (): void => {
        isOver = true;
      };
      answer.then(done, done);
      // One that comes before the pooler has read the query does nothing.
      do {
        await pause(p.random.below(60));
        await p.cancel();
        await Promise.race([answer.catch(() => {}), pause(300)]);
      } while (!isOver);
      p.expectError(await answer, "57014", "");
      return undefined;
    },
  },
];

/** What belongs to the session, and to it alone. */
const states: Act[] = [
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
  const [name = "application_name", value = null] = p.random.pick([...p.settings]);
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

/** Clients that leave in the middle of something. */
const departures: Act[] = [
  {
    name: "leave",
    weight: 3,
    play: async (p) => {
      const word = p.word();
      const left: Uint8Array[][] = [
        [],
        [query(`SELECT '${word}'`)],
        [query(`SELECT '${word}' FROM pg_sleep(0.05)`)],
        [query(`SELECT '${word}' || repeat('x', 1000) FROM generate_series(1, 5000)`)],
        [query(`SELECT '${word}'`).subarray(0, 9)],
        [query("BEGIN"), query(`INSERT INTO random_rows VALUES ('${word}')`)],
        [query("COPY random_rows FROM STDIN"), messages.copyData(Buffer.from(`${word}\n`))],
        [query("SET work_mem = '77MB'")],
        batch(`SELECT '${word}'`).slice(0, 3),
        [...batch(`SELECT '${word}'`).slice(0, 4), flush()],
        batch(`SELECT '${word}' FROM pg_sleep(0.02)`),
        [query("this is no SQL")],
        Array.from({ length: 20 }, () => query(`SELECT '${word}'`)),
      ];
      const bytes = p.random.pick(left);
      p.note(`leave behind ${Buffer.concat(bytes).toString("latin1")}`);
      if (bytes.length > 0) p.send(...bytes);
      if (p.random.percent(50)) await pause(p.random.below(30));
      p.leave();
      return "left";
    },
  },
];

export const acts: readonly Act[] = [...selects, ...failures, ...states, ...departures];
