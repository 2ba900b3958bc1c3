// Acts of the randomized test that fail, are refused or cancelled: for the one who asked, and nobody else.
import { errorIn } from "../harness/backend-message.js";
import { messages } from "../harness/wire-client.js";
import { type Act, batch, pause, quiet } from "./act.js";
import type { Player } from "./player.js";

const { query } = messages;

/** What goes wrong goes wrong for one. */
export const failingActs: readonly Act[] = [
  {
    name: "error",
    weight: 8,
    play: async (p) => {
      const word = p.word();
      const column = `"no ${word}"`;
      const chance = p.random.below(100);
      if (chance < 40) {
        p.expectError(await p.ask(`SELECT ${column}`), "42703", word);
      } else if (chance < 60) {
        p.expectError(await p.ask(`SELECT text FROM random_known WHERE n = '${word}'`), "22P02", word);
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
  { name: "cancel in passing", weight: 4, play: (p) => quiet(cancelInPassing(p)) },
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

/** A statement that is over soon, or never begins: cancelled or answered, and in both cases nobody else notices. */
async function cancelInPassing(p: Player): Promise<void> {
  const word = p.word();
  const count = p.random.below(100_000);
  p.note(`cancel in passing ${word} ${count}`);
  const sql = `SELECT '${word}', count(*) FROM generate_series(1, ${count})`;
  p.send(...(p.random.percent(50) ? [query(sql)] : batch(sql)));
  const answer = p.answer();
  answer.catch(() => {}); // it is looked at below
  if (p.random.percent(60)) await pause(p.random.below(15));
  await p.cancel();
  if (errorIn(await answer) === undefined) p.expectAnswer(await answer, [[word, `${count}`]]);
  else p.expectError(await answer, "57014", "");
}
