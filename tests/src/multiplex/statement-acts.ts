// Statements of the randomized test that begin and end in themselves: each is answered with its own word.
import { type BackendMessage, errorIn, rowsOf, typesOf } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import { type Act, batch, pause, quiet } from "./act.js";
import type { Player } from "./player.js";

const { parse, bind, describe, execute, sync, query, close } = messages;

/** Ordinary statements that begin and end in themselves. */
export const statementActs: readonly Act[] = [
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
    // Of few texts: where texts are prepared, they are.
    name: "text that comes again",
    weight: 12,
    play: async (p) => {
      const n = 1 + p.random.below(1_000);
      if (p.random.percent(50)) return quiet(p.expectRows(`SELECT n FROM random_known WHERE text = 'row ${n}' AND n <> -1`, [[`${n}`]]));
      const value = p.word();
      p.note(`extended again ${value} ${n}`);
      p.send(...batch("SELECT $1::text, text FROM random_known WHERE n = $2", [value, `${n}`]));
      p.expectAnswer(await p.answer(), [[value, `row ${n}`]]);
      return undefined;
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
  {
    // Of one kind, and now and then slow or large: what was known of the kind does not hold.
    name: "unsteady",
    weight: 6,
    play: (p) => {
      const word = p.word();
      const [size, count] = [p.random.percent(3) ? 300_000 : p.random.below(100), p.random.percent(3) ? 300_000 : p.random.below(100)];
      const sql = `SELECT '${word}' || repeat('y', ${size}), count(*) FROM generate_series(1, ${count})`;
      return quiet(p.expectRows(sql, [[word + "y".repeat(size), `${count}`]]));
    },
  },
  { name: "pipeline", weight: 8, play: (p) => quiet(pipeline(p)) },
  { name: "slow reader", weight: 2, play: (p) => quiet(readSlowly(p)) },
];

export async function selectWord(p: Player): Promise<void> {
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
