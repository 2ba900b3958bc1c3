// Waits for what no event tells: the state of another process, seen by asking again and again.
import { setTimeout as delay } from "node:timers/promises";

/** Resolves with the first answer that is neither false, undefined nor null; rejects with the last one after `limitMs`. */
export async function until<Answer>(
  what: string,
  ask: () => Promise<Answer | false | undefined | null> | Answer | false | undefined | null,
  limitMs = 15_000,
): Promise<Answer> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== false && answer !== undefined && answer !== null) {
      return answer;
    }
    if (Date.now() > deadline) {
      throw new Error(`Waited ${limitMs} ms for ${what}.`);
    }
    await delay(15);
  }
}
