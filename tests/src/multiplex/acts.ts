// Everything that a client of the randomized test may do next, each with the answer that it must get; and how it may leave.
import { messages } from "../harness/wire-client.js";
import { type Act, batch, pause } from "./act.js";
import { failingActs } from "./failing-acts.js";
import { sessionActs } from "./session-acts.js";
import { statementActs } from "./statement-acts.js";

const { query, flush } = messages;

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

export const acts: readonly Act[] = [...statementActs, ...failingActs, ...sessionActs, ...departures];
